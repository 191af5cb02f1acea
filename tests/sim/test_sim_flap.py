"""A link that goes down and up: who is lost is told by the time alone."""

import numpy as np

from test_sim_pause import MS, Both, departures
from test_sim_switch import Traffic, left_by, scenario, udp


def flapping(program, fault, traffic):
    text = f"version: 1\nseed: 3\ntimeline:\n  - {{at: 100ms, for: 10s, flap: {{{fault}}}}}\n"
    outcome = program.simulated(text, traffic.inputs())
    assert outcome.stats["ledger"]["balanced"]
    return outcome, departures(outcome)


def test_both_directions_by_turns(program):
    """Down 20 ms of each 100, five times from 100 ms on."""
    traffic = Both(program.folder).add_every(MS, 2000)
    outcome, left = flapping(program, "port: right, down: 20ms, up: 80ms, count: 5", traffic)
    lost = {serial for serial in range(100, 600) if serial % 100 < 20}
    assert set(left) == set(range(2000)) - lost
    assert outcome.stats["ledger"]["dropped"]["partition"] == len(lost)
    (rule,) = outcome.stats["rules"].values()
    assert rule["flap"] == {"link": "right", "carrier": False}, "no carrier in virtual time"


def test_jitter(program):
    """Outages begin later by up to the jitter, as long as they are, and the seed says by how much."""
    traffic = Both(program.folder).add_every(MS, 3000)
    _, left = flapping(program, "port: left, down: 20ms, up: 80ms, jitter: 50ms", traffic)
    lost = np.array(sorted(set(range(3000)) - set(left)))
    begins = []
    for turn in range(1, 30):
        inside = lost[(lost >= 100 * turn) & (lost < 100 * turn + 100)]
        assert len(inside) in (20, 19, 21) and inside[-1] - inside[0] == len(inside) - 1
        begins.append(int(inside[0]) - 100 * turn)
    assert min(begins) < 15 and max(begins) > 35 and max(begins) <= 50
    assert flapping(program, "port: left, down: 20ms, up: 80ms, jitter: 50ms", traffic)[1] == left


def test_a_node_of_a_switch(program):
    """The link of one of three: the others are not touched."""
    traffic = Traffic(program.folder)
    for number in (1, 2, 3):
        traffic.add(number, udp(number, 9, number), number - 1)
    pairs = [(1, 2), (1, 3), (3, 1), (2, 3)]
    for turn in range(100):
        for place, (one, two) in enumerate(pairs):
            traffic.add(one, udp(one, two, 1000 * (10 * one + two) + turn),
                        turn * MS + 10 + place)
    rest = ("nodes: {b: {port: n2}}\nrules:\n"
            "  - {name: f, impair: [flap: {node: b, down: 5ms, up: 5ms}]}\n")
    reached = left_by(program.simulated(scenario(3, rest), traffic.inputs()))
    for turn in range(100):
        for one, two in pairs:
            lost = 2 in (one, two) and turn % 10 < 5
            assert (1000 * (10 * one + two) + turn in reached) == (not lost)
