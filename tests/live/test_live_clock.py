"""Real clients and a node whose clock is wrong: what chrony and ptp4l make of it, each beside a
control in the same minute."""

import itertools
import statistics
import time
from multiprocessing.pool import ThreadPool

import pytest

from clocks import PtpPair, Server, ntpdig, offset_of
from second_clock import ADDRESS, SecondClock
from traffic import wait_for
from wire import PORTS, law_holds

YEARS = 10_957 * 86_400
MS = 1e-3


def scenario(nodes, rules):
    return (PORTS + "nodes:\n" + "".join(f"  {name}: {{{where}}}\n" for name, where in nodes.items()) +
            "rules:\n" + "".join(f"  - {{name: {name}, impair: [clock: {{node: {name}, {keys}}}]}}\n"
                                 for name, keys in rules.items()))


# By name: what is wrong, what the client asks with, and what it finds; None: it believes nobody.
SOURCES = {
    "plus": ("offset: 250ms", "", 0.25),
    "minus": ("offset: -3600s", "", -3600),
    "years": ("offset: 10957d", "", YEARS),
    "keyed": ("offset: 250ms, on_auth: pass", "key 1", 0),
    "refused": ("offset: 250ms, on_auth: drop", "key 1", None),
    "nts": ("offset: 250ms, on_auth: pass", "nts", 0),
    "nts_refused": ("offset: 250ms, on_auth: drop", "nts", None),
    "nts_late": ("as: source, by: delay-asymmetry, offset: 10ms", "nts", 0.01),
    "late": ("as: source, by: delay-asymmetry, offset: 10ms", "key 1", 0.01),
    "early": ("as: source, by: delay-asymmetry, offset: -10ms", "", -0.01),
    "unsure": ("leap: unsync", "", None),
    "vague": ("root_dispersion: 10s", "", None),
}


def client_of(stats, address):
    """The row of one client in the report of who told whom the time."""
    (found,) = (one for one in stats["clocks"]["clients"] if one["client"] == address)
    return found


# A machine that does something else meanwhile moves a clock by more than what is asked, so it is asked
# again and again, and the median counts.
LEAST, MOST = 5, 20
WITHIN = 0.2 * MS


def is_median(found, expected, within=WITHIN):
    return len(found) >= LEAST and abs(statistics.median(found) - expected) < within


def is_near(found, expected):
    """Whether one client found that, within 2 ms; None: nothing."""
    if found is None or expected is None:
        return found == expected
    return abs(found - expected) < 2 * MS


def beside_control(server, addresses, sources):
    """What is asked for and not found by the median of five, or up to 20, clients that ask beside a
    control; and how each client's clock differed from the control's."""
    found = {name: [] for name in sources}
    for turn in range(MOST):
        clients = {name: server.ask(f"{name}{turn}", addresses[name], more=SOURCES[name][1])
                   for name in sources}
        right = offset_of(server.ask(f"control{turn}", "10.77.0.2"))
        for name, client in clients.items():
            one = offset_of(client)
            if one is not None and right is not None:
                found[name].append(one - right)
        missed = [name for name in sources if not is_median(found[name], SOURCES[name][2])]
        if turn >= LEAST - 1 and not missed:
            break
    return missed, found


def in_some_round(server, addresses, sources, rounds=3):
    """What none of a few clients that ask alone find as they should."""
    for turn in range(rounds):
        clients = {name: server.ask(f"{name}{turn}", addresses[name], more=SOURCES[name][1])
                   for name in sources}
        sources = [name for name, client in clients.items()
                   if not is_near(offset_of(client), SOURCES[name][2])]
        if not sources:
            break
    return sources


def test_a_source_is_wrong(wire):
    """chrony asks each some times, NTPsec some: what they find is what was asked for, and what cannot be
    rewritten is either not applied or dropped."""
    addresses = {name: f"10.77.0.{10 + at}" for at, name in enumerate(SOURCES)}
    wire.start(scenario({name: f"ip: {address}" for name, address in addresses.items()},
                        {name: keys for name, (keys, _, _) in SOURCES.items()}), "--start")
    slow = [name for name, (keys, _, found) in SOURCES.items() if found is None or "delay" in keys]
    with Server(wire, addresses.values()) as server:
        missed, found = beside_control(server, addresses,
                                       [name for name in SOURCES if name not in slow])
        assert not missed, (missed, found)
        assert not in_some_round(server, addresses, slow)
        dug = {name: ntpdig(wire, addresses[name]) for name in ("plus", "minus", "years")}
    # NTPsec asks just once, and takes what lies behind 2036 for the era before.
    for name, expected in (("plus", 0.25), ("minus", -3600), ("years", YEARS - 2**32)):
        assert dug[name] == pytest.approx(expected, abs=50 * MS), dug
    stats = wire.settle()
    rules = stats["rules"]
    for name in ("keyed", "nts"):
        assert rules[name]["unrewritable"] > 0 and rules[name]["edited"] == 0
    for name in ("refused", "nts_refused"):
        assert rules[name]["dropped"] > 0 and rules[name]["unrewritable"] == 0
    assert stats["ledger"]["dropped"]["reject"] == sum(rules[name]["dropped"] for name in
                                                       ("refused", "nts_refused"))
    for name in ("late", "nts_late"):
        assert rules[name]["delay"]["max_ns"] == 20_000_000
        assert rules[name]["edited"] == rules[name]["unrewritable"] == 0
    told = {pair["source"]: pair for pair in client_of(stats, "10.77.0.1")["pairs"]}
    for name in ("nts", "nts_late"):
        assert told[addresses[name]]["mode"] == "authenticated"
    assert told[addresses["nts"]]["unrewritable"] == told[addresses["nts"]]["told"] > 0
    assert not told[addresses["nts"]]["shifted"] and told[addresses["nts_late"]]["shifted"]
    assert law_holds(stats)


def test_a_victim_is_told_so(both):
    """By everybody, IPv4 and IPv6; who believes a majority believes them."""
    wire = both
    wire.start(scenario({"me": "ip: [10.77.0.1, \"fd77::1\"]", "one": "ip: 10.77.0.21",
                         "two": "ip: 10.77.0.22"},
                        {"me": "as: victim, offset: 250ms", "one": "offset: 2s", "two": "offset: 2s"}))
    three = ("10.77.0.21", "10.77.0.2", "10.77.0.22")
    with Server(wire, ["10.77.0.21", "10.77.0.22"]) as server:

        def finds(name, expected, *addresses):
            """By the median of five clients, or up to 20."""
            found = []
            for turn in range(MOST):
                one = offset_of(server.ask(f"{name}{turn}", *addresses))
                found += [] if one is None else [one]
                if is_median(found, expected):
                    return True
            return False

        wire.enable("me")
        assert finds("v4", 0.25, "10.77.0.2")
        assert finds("v6", 0.25, "fd77::2")
        assert wire.cli("heal").returncode == 0
        wire.enable("one")
        assert finds("one", 0, *three)
        wire.enable("two")
        assert finds("two", 2, *three)
        stats = wire.settle()
    assert law_holds(stats)
    # Of the three that it asked last two lie; the third one is not even known to a rule.
    client = client_of(stats, "10.77.0.1")
    assert (client["sources"], client["shifted"]) == (3, 2)
    assert "2 of 3 shifted" in wire.cli("stats").stdout
    pairs = {pair["source"]: pair for pair in client["pairs"]}
    for address, rule in (("10.77.0.21", "one"), ("10.77.0.22", "two")):
        pair = pairs[address]
        assert (pair["rule"], pair["as"], pair["mode"]) == (rule, "source", "basic")
        assert pair["first_ns"] == pair["last_ns"] == 2 * 10**9 and pair["rewritten"] > 0
    assert not pairs["10.77.0.2"]["shifted"] and pairs["10.77.0.2"]["first_ns"] == 250 * 10**6
    victim = client_of(stats, "fd77::1")["pairs"][0]
    assert (victim["source"], victim["as"]) == ("fd77::2", "victim")


def test_a_victim_follows(wire):
    """A node with a clock of its own, told the same wrong time by all its sources: it goes along with it,
    by a step on its way too, and comes back. That is measured from the other end of the wire, where its
    own answers pass as they are."""
    wire.start(scenario({"me": f"ip: {ADDRESS}"}, {"me": "as: victim, offset: 250ms"})
               + "  - {name: behind, impair: [clock: {node: me, as: victim, offset: -3600s, "
               "steps: [{at: 12s, by: -90ms}]}]}\n")
    numbers = itertools.count()
    with Server(wire, ["10.77.0.21"]) as server, SecondClock(wire, ["10.77.0.2", "10.77.0.21"]) as node:

        def comes_to(expected, seconds=30):
            """Whether the node's clock is that far off, by the median of five looks in a row."""
            looks = []
            give_up = time.monotonic() + seconds
            while time.monotonic() < give_up:
                one = offset_of(server.look_at(f"look{next(numbers)}", ADDRESS))
                looks = [*looks, one][-LEAST:] if one is not None and is_near(one, expected) else []
                if is_median(looks, expected):
                    return True
            return False

        assert comes_to(0), node.log.read_text()
        wire.enable("me")
        assert comes_to(0.25), node.log.read_text()
        assert wire.cli("heal").returncode == 0
        assert comes_to(0), node.log.read_text()
        wire.enable("behind")
        assert comes_to(-3600) and comes_to(-3600.09), node.log.read_text()
    stats = wire.settle()
    assert law_holds(stats)
    told = client_of(stats, ADDRESS)["pairs"]
    assert {pair["source"] for pair in told} == {"10.77.0.2", "10.77.0.21"}
    assert all(pair["as"] == "victim" and pair["rewritten"] > 0 for pair in told)
    (own,) = client_of(stats, "10.77.0.2")["pairs"]
    assert own["source"] == ADDRESS and own["rewritten"] == 0


def slope(samples):
    """In seconds a second: the median of the slopes between samples (Theil and Sen)."""
    return statistics.median((later[1] - sooner[1]) / (later[0] - sooner[0])
                             for sooner, later in itertools.combinations(samples, 2)
                             if later[0] > sooner[0])


def test_drift_steps_and_interleaved_mode(wire):
    """Asked 16 times a second: 50 ppm is 50 ppm, a step comes at its time, and a client that goes into
    interleaved mode stays there."""
    wire.start(scenario({"drifts": "ip: 10.77.0.31", "steps": "ip: 10.77.0.32", "leaves": "ip: 10.77.0.33"},
                        {"drifts": "drift: 50ppm", "steps": "steps: [{at: 5s, by: -90ms}]",
                         "leaves": "offset: 250ms, drift: 50ppm"}), "--start")
    addresses = ["10.77.0.31", "10.77.0.32", "10.77.0.33"]
    with Server(wire, addresses) as server:
        client = server.follow("f", "10.77.0.2", *addresses[:2], f"{addresses[2]} xleave")
        time.sleep(14)
        client.end()
    right = client.samples("10.77.0.2")
    assert len(right) > 50
    assert slope(client.samples(addresses[0])) - slope(right) == pytest.approx(50e-6, abs=10e-6)
    assert slope(right) == pytest.approx(0, abs=10e-6)  # both read the machine's clock
    stepped = client.samples(addresses[1])
    exact = statistics.median(off for _, off, _ in right)
    before = [off for _, off, _ in stepped if off > -45 * MS]
    assert len(before) >= 15
    assert statistics.median(before) - exact == pytest.approx(0, abs=WITHIN)
    behind = [off for _, off, _ in stepped[len(before):]]
    assert len(behind) >= 15 and max(behind) < -45 * MS
    assert statistics.median(behind) - exact == pytest.approx(-90 * MS, abs=WITHIN)
    # The first answer is a basic one, and from then on all are interleaved.
    leaving = client.samples(addresses[2])
    assert [interleaved for _, _, interleaved in leaving[2:]].count(False) <= 1
    assert statistics.median(off for _, off, _ in leaving) == pytest.approx(0.25, abs=2 * MS)


PTP = [("UDPv4", "E2E"), ("UDPv4", "P2P"), ("L2", "E2E"), ("L2", "P2P")]


def test_ptp_is_ten_milliseconds_off(wire):
    """UDP and Ethernet, both ways of measuring the path: the offset is 10 ms, the path's delay what it
    was, by stamps and by corrections. Beside it, before and behind, what the clocks say without."""
    keys = {"stamps": "offset: 10ms", "corrections": "offset: 10ms, correction: true"}
    wire.start(PORTS + "nodes: {master: {port: right}}\nrules:\n" + "".join(
        f"  - {{name: {name}, enabled: false, impair: [clock: {{node: master, protocols: ptp, {more}}}]}}\n"
        for name, more in keys.items()))
    pairs = [PtpPair(wire, number, *kind) for number, kind in enumerate(PTP)]
    found = {(name, kind): [] for name in keys for kind in PTP}
    try:
        for pair in pairs:
            pair.begin()
        with ThreadPool(len(pairs)) as pool:
            before = pool.map(PtpPair.ask, pairs)
            left = set(found)
            for _ in range(MOST):
                for name in keys:
                    moved, before = one_round(wire, pool, pairs, name, before)
                    for kind, each in zip(PTP, moved):
                        found[name, kind].append(each)
                left = {one for one in left if not is_asked(found[one])}
                if not left:
                    break
        assert not left, {one: found[one] for one in left}
    finally:
        for pair in pairs:
            pair.end()
    assert law_holds(wire.settle())


def test_a_rogue_master(wire):
    """A forged Announce with a lower priority1 than the master's: the slave leaves its master for a clock
    that nobody has, and comes back when it is silent."""
    wire.start(PORTS + "rules:\n  - {name: rogue, to: left, enabled: false, impair: [inject: {forge: "
               "{announce: {priority1: 1, interval: 250ms, from: 10.77.0.9}, "
               "src_mac: \"02:00:00:00:00:09\"}, every: 250ms}]}\n")
    pair = PtpPair(wire, 0, "UDPv4", "E2E")
    log = wire.folder / "ptp-a0.log"
    try:
        pair.begin()
        wire.enable("rogue")
        wait_for(lambda: "selected best master clock 020000.fffe.000009" in log.read_text())
        assert wire.cli("heal").returncode == 0
        wait_for(lambda: "020000.fffe.000009" not in log.read_text().rpartition("selected best")[2],
                 seconds=20)
    finally:
        pair.end()
    assert wire.stats()["rules"]["rogue"]["injected"] >= 3
    assert law_holds(wire.settle())


def is_asked(moved):
    """The offset as asked and the path as it was, each by the median; either half of what changes, alone,
    would move the path by 5 ms."""
    offsets, paths = zip(*moved)
    return is_median(offsets, -10e6, 0.3e6) and is_median(paths, 0, 0.3e6)


def one_round(wire, pool, pairs, name, before):
    """By how much the rule moves each pair's offset and path delay, in ns, and what they are behind it.
    The slave is behind a master that is ahead."""
    wire.enable(name)
    wrong = pool.map(PtpPair.ask, pairs)
    assert wire.cli("heal").returncode == 0
    behind = pool.map(PtpPair.ask, pairs)
    return [tuple(one - (left + right) / 2 for one, left, right in zip(*each))
            for each in zip(wrong, before, behind)], behind
