"""Links that have more to send than they can: every departure, every window of time, and a queue's
clock that has stood still for years."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest

from model import captures
from model.dice import Dice
from model.flows import flow_of
from model.pie import pie
from program import scenario_of

MS = 10**6
FRAME_MAX = int(captures.LENGTHS.max())


@pytest.fixture(scope="module")
def backlog(make_input):
    """30,000 frames of four lengths, all there within 30 ms."""
    return make_input("backlog", captures.udp_traffic(30_000, 7, spacing_ns=1000, salt=41))


def wire_bytes(lengths, overhead=0, minimum=0, cell=0, cell_overhead=0):
    wire = np.maximum(lengths + overhead, minimum)
    return -(-wire // cell) * (cell + cell_overhead) if cell else wire


@pytest.mark.parametrize("burst", ["1", "64"])
@pytest.mark.parametrize("rate, framing", [
    (10**7, {}), (10**7, {"overhead": 24, "minimum": 84}), (6_999_983, {"overhead": 7}),
    (10**7, {"overhead": 8, "cell": 48, "cell_overhead": 5})])
def test_a_backlogged_link(program, backlog, rate, framing, burst):
    """Departures are those of exact fractions to the nanosecond, and any window of time carries what
    the rate says, but for one frame."""
    keys = "".join(f", {key}: {value}B" for key, value in framing.items())
    text = scenario_of(("link", [f"rate: {{rate: {rate}bit{keys}}}"]), seed=1)
    output = program.simulated(text, [backlog.path], "--burst", burst).output
    assert (output.serial() == np.arange(len(backlog))).all(), "first come, first served"
    wires = wire_bytes(backlog.capture.length, **framing)
    free = Fraction(0)
    for arrival, wire, left in zip(backlog.capture.time_ns.tolist(), wires.tolist(),
                                   output.time_ns.tolist()):
        free = max(free, Fraction(arrival)) + Fraction(8 * wire * 10**9, rate)
        # Service times are cut to 2^-32 ns: after 30,000 of them still less than 0.00001 ns.
        assert left in (ceil(free - Fraction(1, 100_000)), ceil(free))
    times, sent = output.time_ns.astype(np.int64), np.cumsum(wires)
    largest = int(wires.max())
    for window in (MS, 7 * MS + 3, 100 * MS, 999 * MS):
        starts = np.arange(int(times[0]), int(times[-1]) - window, max(window // 7, 333_333))
        assert len(starts) > 3
        carried = np.concatenate(([0], sent))
        inside = (carried[np.searchsorted(times, starts + window, "right")]
                  - carried[np.searchsorted(times, starts, "right")])
        assert (abs(inside - rate * window / (8 * 10**9)) <= largest).all(), window


@pytest.mark.parametrize("rate", [10**10, 10**11])
@pytest.mark.parametrize("wire", [84, 85, 1538])
def test_the_mean_rate_of_fast_links(program, rate, wire):
    """What whole nanoseconds would get wrong by 0.3 % and more: right to 10^-6 after 50,000 frames,
    and after the first 5,000 by no more than the one ns to which departures are rounded."""
    count = 50_000
    traffic = captures.udp_traffic(count, 1, salt=42).capture
    traffic.time_ns[:] = captures.FIRST_NS
    path = program.folder / "fast.pcap"
    captures.write_pcap(path, traffic)
    text = scenario_of(("link", [f"rate: {{rate: {rate}bit, minimum: {wire}B}}"]), seed=1)
    output = program.simulated(text, [path]).output
    took = output.time_ns.astype(np.int64) - captures.FIRST_NS
    for packets in (5_000, count):
        exact = Fraction(8 * wire * 10**9 * packets, rate)
        assert 0 <= int(took[packets - 1]) - exact + Fraction(1, 100_000) < 1 + Fraction(1, 100_000)
    assert abs(took[-1] / (count * 8 * wire * 1e9 / rate) - 1) < 1e-6


@pytest.mark.parametrize("update_ns, idle_ns", [(15 * MS, 77 * 365 * 86400 * 10**9),
                                                (10_000, 86400 * 10**9)])
def test_pie_after_years_of_idleness(program, make_input, update_ns, idle_ns):
    """More updates than 32 bits can count, none of which changes anything: then it goes on as if it
    had just begun."""
    count, rate = 10_000, 5 * 10**6
    traffic = captures.udp_traffic(count, 1, salt=43)
    traffic.capture.time_ns[:] = captures.FIRST_NS - 50 * 365 * 86400 * 10**9 + np.arange(
        count, dtype=np.uint64) * np.uint64(40_000)
    traffic.capture.time_ns[count // 2:] += np.uint64(idle_ns)
    given = make_input(f"idle{update_ns}", traffic)
    zero = int(given.capture.time_ns[0])
    draws = Dice(9, "r", 0, 0).run(flow_of(given.capture.frame(0)).identity(), 1, count)
    arrivals = [(int(time) - zero, int(length), 0) for time, length in
                zip(given.capture.time_ns, given.capture.length)]
    fates = pie(arrivals, rate, 4500, 2 * MS, update_ns, 10 * MS, 0.125, 1.25,
                lambda number: float(int(draws[number - 1]) >> 11) * 2.0**-53)
    text = scenario_of(("r", [f"rate: {rate}bit",
                              "queue: {limit: 4500p, discipline: pie, target: 2ms, burst: 10ms, "
                              f"update: {update_ns}ns}}"]), seed=9)
    output = program.simulated(text, [given.path]).output
    expected = {at: fate[1] + zero for at, fate in enumerate(fates) if fate[0] == "sent"}
    assert dict(zip(output.serial().tolist(), output.time_ns.tolist())) == expected
    assert min(sum(fate[0] == "pie" for fate in part)
               for part in (fates[:count // 2], fates[count // 2:])) > 20
