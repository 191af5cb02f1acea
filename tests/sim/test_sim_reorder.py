"""reorder: which packets leave before or behind their turn, when, and past how many others."""

import numpy as np
import pytest

from model import captures
from model.dice import Dice, below, threshold
from model.flows import flow_of
from model.reordering import early, extents, late_by_packets, overtaken
from program import scenario_of

MS = 10**6
SEED = 5


def hits(traffic, rate, place, count):
    """Which packets of a capture of one flow the dice of the rule's item `place` hit."""
    identity = flow_of(traffic.capture.frame(0)).identity()
    return list(below(Dice(SEED, "r", place, 0).run(identity, 1, count), threshold(rate)))


def simulated(program, given, impair, burst, **rule):
    text = scenario_of(("r", impair), seed=SEED)
    if rule:
        text += "".join(f"    {key}: {value}\n" for key, value in rule.items())
    return program.simulated(text, [given.path], "--burst", burst)


def times(outcome):
    return dict(zip((int(each) for each in outcome.output.serial()),
                    (int(each) for each in outcome.output.time_ns)))


def dense(make_input, name, count, flows=1, grid=1):
    """Packets a µs apart, with `grid` many at each of their instants."""
    traffic = captures.udp_traffic(count, flows, salt=4)
    traffic.capture.time_ns[:] = captures.FIRST_NS + np.arange(count) // grid * (1000 * grid)
    return make_input(name, traffic)


def check_extents(outcome):
    """What the port tells of reordering is what the output shows, as RFC 4737 defines it."""
    found = extents([int(each) for each in outcome.output.serial()])
    port = outcome.stats["ports"][outcome.output.names[int(outcome.output.interface[0])]]
    assert (port["tx_reordered"], port["tx_extent_sum"], port["tx_extent_max"]) == (
        len(found), sum(found.values()), max(found.values(), default=0))
    assert found


@pytest.mark.parametrize("burst", [1, 32])
@pytest.mark.parametrize("grid", [1, 25])
@pytest.mark.parametrize("packets, rate", [(1, "10%"), (3, "5%"), (200, "1%"), (3, "60%")])
def test_late_by_packets(program, make_input, burst, grid, packets, rate):
    """Exactly so many packets pass each late one, also when they come at one instant; the bursts in
    which they are polled do not show."""
    count = 5_000
    given = dense(make_input, f"late{grid}", count, grid=grid)
    late = hits(given, rate, 0, count)
    arrivals = [int(each) for each in given.capture.time_ns]
    outcome = simulated(program, given, [f"reorder: {{mode: late, rate: {rate}, by: {packets}p}}"],
                        burst)
    left = times(outcome)
    assert left == dict(enumerate(late_by_packets(arrivals, late, packets, 1000 * MS)))
    passing = [int(each) for each in outcome.output.serial() if not late[int(each)]]
    assert passing == sorted(passing)
    past = overtaken([int(each) for each in outcome.output.serial()])
    expired = {at for at in range(count) if late[at] and left[at] == arrivals[at] + 1000 * MS}
    assert len(expired) < packets
    for number in range(count):
        if number not in expired:
            assert past[number] == (packets if late[number] else 0), number
    assert outcome.stats["rules"]["r"]["reordered"] == sum(late)
    assert outcome.stats["ledger"]["balanced"]
    check_extents(outcome)


@pytest.mark.parametrize("burst", [1, 32])
def test_late_by_packets_at_most(program, make_input, burst):
    """Where too few packets pass, a late one leaves after `max`."""
    count = 2_000
    traffic = captures.udp_traffic(count, 1, salt=6)
    steps = np.where(np.arange(count) % 10 == 9, 20_000_000, 1000)
    traffic.capture.time_ns[:] = captures.FIRST_NS + np.cumsum(steps)
    given = make_input("pauses", traffic)
    arrivals = [int(each) for each in given.capture.time_ns]
    late = hits(given, "20%", 0, count)
    outcome = simulated(program, given,
                        ["reorder: {mode: late, rate: 20%, by: 4p, max: 3ms}"], burst)
    expected = late_by_packets(arrivals, late, 4, 3 * MS)
    assert times(outcome) == dict(enumerate(expected))
    waited = [leave - came for came, leave, is_late in zip(arrivals, expected, late) if is_late]
    assert 50 < sum(each == 3 * MS for each in waited) < len(waited) - 50


@pytest.mark.parametrize("burst", [1, 32])
def test_late_by_packets_of_the_scope(program, make_input, burst):
    """With `per: flow` packets of other flows do not count; what a delay before it reordered comes to
    it in the order of its own time."""
    count = 20_000
    given = dense(make_input, "flows", count, flows=40)
    shuffle = "delay: {time: 1ms, jitter: 1ms, order: free}"
    before = times(simulated(program, given, [shuffle], burst, per="flow"))
    outcome = simulated(program, given,
                        [shuffle, "reorder: {mode: late, rate: 3%, by: 5p, max: 50ms}"], burst,
                        per="flow")
    expected = {}
    for flow in range(40):
        mine = [int(each) for each in np.flatnonzero(given.flow == flow)]
        identity = flow_of(given.capture.frame(mine[0])).identity()
        luck = below(Dice(SEED, "r", 1, 0).run(identity, 1, len(mine)), threshold("3%"))
        ordered = sorted(zip(mine, luck), key=lambda each: (before[each[0]], each[0]))
        left = late_by_packets([before[at] for at, _ in ordered], [hit for _, hit in ordered], 5,
                               50 * MS)
        expected.update((at, time) for (at, _), time in zip(ordered, left))
    assert times(outcome) == expected
    check_extents(outcome)


@pytest.mark.parametrize("burst", [1, 32])
def test_late_by_time(program, make_input, burst):
    count = 5_000
    given = dense(make_input, "time", count)
    late = hits(given, "2%", 0, count)
    outcome = simulated(program, given, ["reorder: {mode: late, rate: 2%, by: 250us}"], burst)
    assert times(outcome) == {at: int(time) + (250_000 if late[at] else 0)
                              for at, time in enumerate(given.capture.time_ns)}
    assert outcome.stats["rules"]["r"]["reordered"] == sum(late)


@pytest.mark.parametrize("burst", [1, 32])
@pytest.mark.parametrize("rate, gap", [("100%", 5), ("25%", 5), ("50%", 1)])
def test_early(program, make_input, burst, rate, gap):
    """tc-netem's law; the share of early packets is 1/(gap − 1 + 1/rate)."""
    count = 20_000
    given = dense(make_input, "early", count)
    arrivals = [int(each) for each in given.capture.time_ns]
    outcome = simulated(program, given,
                        ["delay: 2ms", f"reorder: {{mode: early, rate: {rate}, gap: {gap}}}"], burst)
    expected = early(arrivals, [each + 2 * MS for each in arrivals], hits(given, rate, 1, count), gap)
    assert times(outcome) == dict(enumerate(expected))
    found = sum(left == came for left, came in zip(expected, arrivals))
    assert outcome.stats["rules"]["r"]["reordered"] == found
    check_extents(outcome)
    share = 1 / (gap - 1 + 1 / (float(rate[:-1]) / 100))
    assert abs(found / count - share) < 5 * (share / count)**0.5


def test_late_packets_go_with_their_policy(program, make_input):
    """A rule whose time is over lets those that wait go as it said: by packets that pass no more they
    leave after `max`; nothing is lost."""
    count = 3_000
    given = dense(make_input, "end", count)
    outcome = simulated(program, given, ["reorder: {mode: late, rate: 10%, by: 50p, max: 4ms}"], 32,
                        ttl="1ms")
    late = hits(given, "10%", 0, count)
    arrivals = [int(each) for each in given.capture.time_ns]
    before_end = 1000
    expected = late_by_packets(arrivals[:before_end], late[:before_end], 50, 4 * MS)
    expected += arrivals[before_end:]
    assert times(outcome) == dict(enumerate(expected))
    assert outcome.stats["ledger"]["balanced"]
