"""A constant delay, on a million packets."""

import numpy as np
import pytest

from program import scenario_of

DELAY_NS = 40_000_000


def test_delay_is_exact_and_loses_nothing(program, million):
    """`delay: 40ms` releases every packet at its arrival + 40 ms to the nanosecond, with its bytes
    as they were, none missing, in the order (release, arrival)."""
    outcome = program.simulated(scenario_of(("wan", ["delay: 40ms"]), seed=1), [million.path])
    output, given = outcome.output, million.capture
    assert len(output) == len(given)
    assert (output.serial() == given.serial()).all()
    assert (output.time_ns == given.time_ns + np.uint64(DELAY_NS)).all()
    assert (output.length == given.length).all()
    assert (output.bytes_ == given.bytes_).all()
    assert (np.diff(output.time_ns.astype(np.int64)) == 0).any(), "the input has no equal times"
    assert [output.names[number] for number in np.unique(output.interface)] == ["right"]


def test_delays_of_a_rule_and_of_rules_add_up(program, few):
    """Impairments act in the order written, rules in file order: 1 ms + 2 us + 3 ns."""
    scenario = scenario_of(("a", ["delay: 1ms", "delay: 2us"]), ("b", ["delay: 3ns"]), seed=1)
    output = program.simulated(scenario, [few.path]).output
    assert (output.time_ns == few.capture.time_ns + np.uint64(1_002_003)).all()


@pytest.mark.parametrize("delay", [
    "time: 40ms",
    "time: 5ms, jitter: 1ms",
    "time: 5ms, jitter: 1ms, order: free",
    'time: {draw: "uniform(1ms, 9ms)", per: flow}',
    'trace: steps, contents: "0,9000\\n10000,1000\\n"',
])
def test_nothing_is_subtracted_in_virtual_time(program, few, delay):
    """The simulator takes no time, so `compensate: true` changes no byte of what it writes."""
    written = []
    for compensate in ("true", "false"):
        scenario = scenario_of(("wan", [f"delay: {{{delay}, compensate: {compensate}}}"]), seed=1)
        outcome = program.simulated(scenario, [few.path])
        assert outcome.stats["rules"]["wan"]["delayed"] == len(few.capture)
        written.append(outcome.out.read_bytes())
    assert written[0] == written[1]
