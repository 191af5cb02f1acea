"""A paused link holds both directions and lets them go at one instant; a paused machine says
nothing; nothing is lost that the buffer had room for."""

import collections

import pytest

from model import captures
from test_sim_switch import FIRST_NS, Traffic, scenario, serial_of, udp

MS = 1_000_000


def wire(fault, rules=""):
    return ("version: 1\nnodes: {a: {ip: 10.0.0.1}, b: {ip: 10.0.0.2}}\n" + rules
            + f"timeline:\n  - {{{fault}}}\n")


class Both(Traffic):
    """Numbered packets both ways over a wire: even ones from a, odd ones from b."""

    def add_every(self, gap_ns, packets):
        for serial in range(packets):
            forth = serial % 2 == 0
            self.came.append((serial * gap_ns, "left" if forth else "right",
                              udp(1, 2, serial) if forth else udp(2, 1, serial)))
        return self


def departures(outcome):
    """When each serial number left, since the beginning, in the order of the file."""
    out = outcome.output
    return {serial_of(out.frame(index)): int(out.time_ns[index]) - FIRST_NS
            for index in range(len(out))}


def drops(program):
    dropped = captures.read_pcapng(program.folder / "drops.pcapng")
    return {serial_of(dropped.frame(index)) for index in range(len(dropped))}


def run(program, text, traffic, *options):
    outcome = program.simulated(text, traffic.inputs(), "--drops", "drops.pcapng", *options)
    assert outcome.stats["ledger"]["balanced"] and outcome.stats["ledger"]["held"] == 0
    return outcome


@pytest.mark.parametrize("burst", [1, 32, 64])
def test_a_paused_link_loses_nothing(program, burst):
    """3 s from 1 s on: what came meanwhile leaves at 4 s, both ways, in its order; the rest at once."""
    outcome = run(program, wire("at: 1s, for: 3s, pause: {node: b, buffer: 10kp}"),
                  Both(program.folder).add_every(MS, 6000), "--burst", burst)
    left = departures(outcome)
    assert list(left) == sorted(left, key=lambda serial: (left[serial], serial))
    for serial in range(6000):
        expected = 4000 * MS if 1000 <= serial < 4000 else serial * MS
        assert left[serial] == expected
    assert outcome.stats["rules"]["pause.1s"]["delayed"] == 3000
    assert not drops(program)


def test_a_buffer_bounds_each_direction(program):
    """20 packets a direction: the first 20 of each wait, all others are dropped as pause."""
    outcome = run(program, wire("at: 1s, for: 3s, pause: {node: b, buffer: 20p}"),
                  Both(program.folder).add_every(MS, 6000))
    left = departures(outcome)
    kept = set(range(1000, 1040))
    assert drops(program) == set(range(1000, 4000)) - kept
    assert {serial for serial, when in left.items() if when == 4000 * MS} == kept | {4000}
    assert outcome.stats["ledger"]["dropped"]["pause"] == 3000 - 40
    bytes_each = 14 + 36
    outcome = run(program, wire(f"at: 1s, for: 3s, pause: {{node: b, buffer: {20 * bytes_each + 9}B}}"),
                  Both(program.folder).add_every(MS, 6000))
    assert departures(outcome) == left


def test_a_machine_says_nothing(program):
    """What goes to it waits, what it sends is dropped."""
    outcome = run(program, wire("at: 1s, for: 3s, pause: {node: b, kind: machine, buffer: 2000p}"),
                  Both(program.folder).add_every(MS, 6000))
    left = departures(outcome)
    assert drops(program) == set(range(1001, 4000, 2))
    assert all(left[serial] == 4000 * MS for serial in range(1000, 4000, 2))


def test_releases(program):
    """Paced: one behind the other at the rate, and what comes meanwhile passes; drop: nothing of it
    ever leaves."""
    outcome = run(program, wire("at: 1s, for: 100ms, pause: {node: b, release: paced 1Mbit}"),
                  Both(program.folder).add_every(MS, 2000))
    left = departures(outcome)
    frame_ns = 50 * 8 * 1000
    for turn, serial in enumerate(range(1000, 1100, 2), start=1):
        assert left[serial] == 1100 * MS + turn * frame_ns
        assert left[serial + 1] == 1100 * MS + turn * frame_ns
    assert left[1100] == 1100 * MS
    outcome = run(program, wire("at: 1s, for: 100ms, pause: {node: b, release: drop}"),
                  Both(program.folder).add_every(MS, 2000))
    assert drops(program) == set(range(1000, 1100))
    assert outcome.stats["ledger"]["dropped"]["pause"] == 100


def test_pause_after_pause(program):
    """Again and again, by one rule: each time everything leaves at the end of its own pause."""
    rules = "rules:\n  - {name: p, enabled: false, impair: [pause: {node: b}]}\n"
    timeline = "".join(f"  - {{at: {at}ms, for: 30ms, rule: p, enable: true}}\n"
                       for at in range(100, 2000, 100))
    text = wire("", rules).split("timeline:")[0] + "timeline:\n" + timeline
    outcome = run(program, text, Both(program.folder).add_every(MS, 2000))
    left = departures(outcome)
    for serial in range(2000):
        held = serial >= 100 and serial % 100 < 30
        assert left[serial] == (serial - serial % 100 + 30 if held else serial) * MS


def test_ends_that_no_packet_brings(program):
    """The last packet came before the end: it leaves at the end. A pause that never ends keeps what it
    has, and that is counted."""
    traffic = Both(program.folder).add_every(MS, 50)
    left = departures(run(program, wire("at: 10ms, for: 5s, pause: {node: a}"), traffic))
    assert {serial for serial, when in left.items() if when == 5010 * MS} == set(range(10, 50))
    outcome = run(program, wire("at: 10ms, pause: {node: a}"), traffic)
    assert set(departures(outcome)) == set(range(10))
    assert outcome.stats["ledger"]["dropped"]["pause"] == 40
    ttl = ("rules:\n  - {name: p, ttl: 20ms, impair: [pause: {node: a}]}\n")
    left = departures(run(program, wire("at: 0s, rule: p, enable: true", ttl), traffic))
    assert all(left[serial] == max(20, serial) * MS for serial in range(50))


def test_a_node_on_a_switch(program):
    """One of three stands still: all that goes to it and comes from it waits, the others talk."""
    traffic = Traffic(program.folder)
    for number in (1, 2, 3):
        traffic.add(number, udp(number, 9, number), number - 1)
    pairs = [(one, two) for one in (1, 2, 3) for two in (1, 2, 3) if one != two]
    for turn in range(40):
        for place, (one, two) in enumerate(pairs):
            traffic.add(one, udp(one, two, 1000 * (10 * one + two) + turn),
                        (turn + 1) * MS + place)
    rest = ("nodes: {a: {port: n1}, b: {port: n2}, c: {port: n3}}\n"
            "timeline:\n  - {at: 10ms, for: 20ms, pause: {node: b}}\n")
    outcome = run(program, scenario(3, rest), traffic)
    order = collections.defaultdict(list)
    for serial, when in departures(outcome).items():
        link, turn = divmod(serial, 1000)
        if link == 0:
            continue
        order[link].append(turn)
        with_b = 2 in (link // 10, link % 10)
        assert when >= 30 * MS if with_b and 10 <= turn + 1 < 30 else when < (turn + 2) * MS
    assert all(turns == list(range(40)) for turns in order.values())
    assert outcome.stats["ledger"]["dropped"]["pause"] == 0


def test_a_flood_waits_too(program):
    """A broadcast is held on the path to the paused node only."""
    traffic = Traffic(program.folder)
    traffic.add(3, udp(3, 9, 1), 0)
    traffic.add(1, udp(1, 2, 50, b"\xff" * 6), 15 * MS)
    rest = ("nodes: {b: {port: n2}}\n"
            "timeline:\n  - {at: 10ms, for: 20ms, pause: {node: b}}\n")
    out = run(program, scenario(3, rest), traffic).output
    left = {(out.names[out.interface[index]], int(out.time_ns[index]) - FIRST_NS)
            for index in range(len(out)) if serial_of(out.frame(index)) == 50}
    assert left == {("n2", 30 * MS), ("n3", 15 * MS)}
