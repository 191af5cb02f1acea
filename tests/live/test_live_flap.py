"""A flap on the real world: the neighbour's carrier goes down and up, by the law and no further."""

import json
import signal
import time

import pytest

from drivers import TapWire, VethWire
from wire import PORTS, Wire, law_holds

FLAP = "rules:\n  - {{name: f, enabled: false, impair: [flap: {{{keys}}}]}}\n"
THRICE = FLAP.format(keys="port: right, down: 300ms, up: 300ms, count: 3")
LONG = FLAP.format(keys="port: right, down: 60s, up: 60s")


def carrier(wire, which):
    text = wire.inside(which, "cat", "/sys/class/net/eth0/carrier", check=False).stdout
    return text.strip() == "1"


def wait_for(wire, which, wanted, seconds=3):
    give_up = time.monotonic() + seconds
    while carrier(wire, which) != wanted:
        assert time.monotonic() < give_up, (which, wanted)
        time.sleep(0.01)


def changes_of(wire, port):
    """(up, by, seconds) of the events of a port's link."""
    events = wire.get("/v1/events")[1]["events"]
    return [(event["up"], event["by"], event["t_ns"] / 1e9) for event in events
            if event["kind"] == "link" and event["port"] == port]


def flap_of(wire):
    return wire.stats()["rules"]["f"]["flap"]


@pytest.mark.parametrize("laid", [TapWire, lambda: VethWire("af_packet")],
                         ids=["tap", "af_packet"])
def test_carriers_go_down_and_up(laid):
    """Three times, at the law's instants; what the neighbour sees is what the events say, and a
    flood meets neither an error of the tool's own nor an imbalance."""
    with laid() as wire:
        wire.launch(THRICE)
        wait_for(wire, "b", True)
        before = len(changes_of(wire, "right"))
        flood = wire.spawn("a", "ping", "-qi", "0.002", "-c", 800, "-W", 1, "10.77.0.2")
        wire.enable("f")
        seen = []
        give_up = time.monotonic() + 1.7
        while time.monotonic() < give_up:
            now = carrier(wire, "b")
            if not seen or seen[-1] != now:
                seen.append(now)
        answered = int(flood.communicate()[0].split(" received")[0].split()[-1])
        assert seen in ([False, True] * 3, [True] + [False, True] * 3)
        changes = changes_of(wire, "right")[before:]
        assert [change[:2] for change in changes] == [(False, "flap"), (True, "flap")] * 3
        for turn, (_, _, at) in enumerate(changes):
            assert abs(at - changes[0][2] - 0.3 * turn) < 0.1
        assert changes_of(wire, "left") == [] and carrier(wire, "a")
        assert flap_of(wire) == {"link": "right", "carrier": True}
        stats = wire.settle()
        assert law_holds(stats) and stats["ledger"]["dropped"]["tx_error"] == 0
        assert stats["ledger"]["dropped"]["partition"] > 0 and 100 < answered < 750
        assert wire.get("/v1/status")[1]["own_drops"] == 0


def test_every_end_lets_it_up(wire):
    """heal, disabling, removing, a ttl and a lease, the daemon's own end, and a daemon that comes
    after one that was killed."""
    wire.start(PORTS + LONG)
    healed = wire.get("/v1/policy")[1]["rules"][0]
    ends = [lambda: wire.http("POST", "/v1/heal", {}),
            lambda: wire.http("PATCH", "/v1/rules/f", {"enabled": False}),
            lambda: wire.http("DELETE", "/v1/rules/f"),
            lambda: wire.http("DELETE", "/v1/leases/held"),
            lambda: None]
    for number, end in enumerate(ends):
        wire.http("PUT", "/v1/leases/held", {"ttl": "60s"})
        keys = {**healed, "enabled": True, "ttl": "60s" if number < 4 else "500ms"}
        if number == 3:
            keys["lease"] = "held"
        assert wire.http("PUT", "/v1/rules/f", json.dumps(keys))[0] in (200, 201)
        wait_for(wire, "b", False)
        end()
        wait_for(wire, "b", True)
    wire.enable("f", ttl="60s")
    wait_for(wire, "b", False)
    ports = {port["name"]: port for port in wire.get("/v1/ports")[1]["ports"]}
    assert (ports["right"]["link"], ports["right"]["taken_down"]) == (False, True)
    assert (ports["left"]["link"], ports["left"]["taken_down"]) == (True, False)
    assert wire.stop() == 0
    wait_for(wire, "b", True)
    wire.start(PORTS + LONG)
    wire.enable("f")
    wait_for(wire, "b", False)
    wire.stop(signal.SIGKILL)
    assert not carrier(wire, "b")
    wire.start(PORTS + LONG)
    wait_for(wire, "b", True)


def test_what_waits_for_a_dead_link_is_its_loss():
    """Held before the outage, due in it: dropped as `carrier`, no error of the tool's own."""
    rules = LONG + "  - {name: slow, to: right, impair: [delay: 400ms]}\n"
    with Wire() as wire:
        wire.start(PORTS + rules)
        wire.enable("slow")
        wire.inside("a", "ping", "-qi", "0.01", "-c", 5, "-W", 0.1, "10.77.0.2", check=False)
        wire.enable("f")
        wait_for(wire, "b", False)
        stats = wire.settle()
        dropped = stats["ledger"]["dropped"]
        assert law_holds(stats) and dropped["carrier"] == 5 and dropped["tx_error"] == 0


def test_which_flaps_take_the_carrier(wire):
    """Both ends where links are mirrored, in one go with another flap; none where the rule is
    not about everything of the port, which loses on the path alone."""
    mirrored = PORTS.replace("lab: [left, right]", "lab: {ports: [left, right], link: mirror}")
    other = "  - {name: g, enabled: false, impair: [flap: {port: left, down: 60s, up: 60s}]}\n"
    wire.start(mirrored + LONG + other)
    for rule in "fg":
        wire.enable(rule)
        wait_for(wire, "a", False)
        wait_for(wire, "b", False)
    wire.http("PATCH", "/v1/rules/f", {"enabled": False})
    time.sleep(0.2)
    assert not carrier(wire, "a") and not carrier(wire, "b")
    wire.http("PATCH", "/v1/rules/g", {"enabled": False})
    wait_for(wire, "a", True)
    wait_for(wire, "b", True)
    assert {by for _, by, _ in changes_of(wire, "left") + changes_of(wire, "right")} == {"flap"}
    assert wire.stop() == 0
    wire.start(PORTS + LONG.replace("enabled", "match: {proto: tcp}, enabled"))
    wire.enable("f")
    time.sleep(0.2)
    assert carrier(wire, "b") and flap_of(wire) == {"link": "right", "carrier": False}
