"""`in_flight: drop`: a cut takes what came in before it began and would leave while it holds."""

import numpy as np
import pytest

from program import scenario_of

CUT_MS, FOR_MS = 300, 200


def scenario(delay, cut, more=""):
    """A delay, and a cut that the timeline switches."""
    text = scenario_of(("far", [delay]), ("cut", [cut]), seed=3)
    return text.replace("  - name: cut\n", f"  - name: cut\n    enabled: false\n{more}") + (
        f"timeline: [{{at: {CUT_MS}ms, for: {FOR_MS}ms, rule: cut, enable: true}}]\n")


def times(outcome, capture):
    """(arrival, own release or -1) in ms since the first packet."""
    released = dict(zip(outcome.output.serial().tolist(), outcome.output.time_ns.tolist()))
    zero = int(capture.time_ns[0])
    arrival = (capture.time_ns - zero).astype(np.int64)
    out = np.array([released.get(serial, zero - 1) - zero for serial in capture.serial().tolist()])
    return arrival, out


@pytest.mark.parametrize("delay", [
    "delay: 40ms", "delay: {time: 40ms, jitter: 10ms, distribution: uniform, order: free}"])
@pytest.mark.parametrize("options", [(), ("--burst", "1"), ("--workers", "3")])
def test_what_would_leave_while_it_holds_is_lost(program, some, delay, options):
    plain = program.simulated(scenario_of(("far", [delay]), seed=3), [some.path], *options)
    arrival, due = times(plain, some.capture)
    delivered = times(program.simulated(scenario(delay, "loss: all"), [some.path], *options),
                      some.capture)[1]
    outcome = program.simulated(scenario(delay, "loss: all", "    in_flight: drop\n"), [some.path],
                                *options)
    begin, end = CUT_MS * 10**6, (CUT_MS + FOR_MS) * 10**6
    inside = (arrival >= begin) & (arrival < end)
    caught = (arrival < begin) & (due >= begin) & (due < end)
    assert caught.sum() > 2_000
    assert (delivered < 0).tolist() == inside.tolist()
    found = times(outcome, some.capture)[1]
    assert (found < 0).tolist() == (inside | caught).tolist()
    alive = ~(inside | caught)
    assert found[alive].tolist() == due[alive].tolist()
    dropped = outcome.stats["ledger"]["dropped"]
    assert dropped["in_flight"] == caught.sum() and dropped["loss"] == inside.sum()
    assert outcome.stats["rules"]["cut"]["dropped"] == caught.sum() + inside.sum()
    assert outcome.stats["ledger"]["balanced"]


def test_only_what_its_match_is_about(program, some):
    """The other way, another protocol, packets of links that are not cut go on."""
    text = scenario("delay: 40ms", "loss: all", "    in_flight: drop\n    match: {proto: tcp}\n")
    outcome = program.simulated(text, [some.path])
    assert outcome.stats["ledger"]["dropped"]["in_flight"] == 0
    text = scenario("delay: 40ms", "loss: all", "    in_flight: drop\n    from: right\n")
    assert program.simulated(text, [some.path]).stats["ledger"]["dropped"]["in_flight"] == 0


def test_a_fault_on_the_timeline(program, some):
    """`in_flight` stands beside a partition; a queue of a slow link loses what waits in it, too."""
    text = ("version: 1\nseed: 1\nnodes: {a: {port: left}, b: {port: right}}\nrules:\n"
            "  - {name: slow, from: left, impair: [rate: 20Mbit, queue: {limit: 1000p, "
            "discipline: codel, target: 500ms, interval: 1s}, delay: 20ms]}\n"
            f"timeline: [{{at: {CUT_MS}ms, for: {FOR_MS}ms, in_flight: drop, "
            "partition: {shape: one, node: b}}]\n")
    outcome = program.simulated(text, [some.path])
    dropped = outcome.stats["ledger"]["dropped"]
    assert dropped["in_flight"] > 0 and dropped["partition"] > 0
    zero = int(some.capture.time_ns[0])
    left = (outcome.output.time_ns.astype(np.int64) - zero) / 10**6
    assert ((left < CUT_MS) | (left >= CUT_MS + FOR_MS)).all(), "nothing leaves while it holds"
    assert (left < CUT_MS).sum() > 100 and (left >= CUT_MS + FOR_MS).sum() > 100


@pytest.mark.parametrize("rule,told", [
    ("impair: [delay: 1ms]", "no cut"),
    ("impair: [loss: 1%]", "no cut"),
    ("match: {proto: tcp, nth: 3}, impair: [loss: all]", "their bytes alone"),
    ("match: {tcp: {retransmission: true}}, impair: [loss: all]", "their bytes alone"),
    ("match: {payload: {literal: x}}, impair: [loss: all]", "their bytes alone"),
])
def test_what_cannot_be_is_told(program, rule, told):
    path = program.folder / "wrong.yaml"
    path.write_text(f"version: 1\nrules: [{{name: r, in_flight: drop, {rule}}}]\n")
    done = program.run("check", path)
    assert done.status == 1 and told in done.stderr, done.stderr
