"""The timeline: rules enabled, disabled and set to other values at times counted from time zero."""

import json

import numpy as np
import pytest

from model import captures
from program import scenario_of

WAN = scenario_of(("wan", ["delay: 2ms"]), seed=1)
TRAFFIC_NS = 10_000  # between two packets of `some`


def with_timeline(text, *entries):
    return text + "timeline:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)


def delays(outcome, capture):
    """Of each packet of the capture; -1 for those that did not leave."""
    released = dict(zip(outcome.output.serial().tolist(), outcome.output.time_ns.tolist()))
    return np.array([released.get(serial, arrival - 1) - arrival for serial, arrival
                     in zip(capture.serial().tolist(), capture.time_ns.tolist())])


def offsets(capture):
    return (capture.time_ns - capture.time_ns[0]).astype(np.int64)


@pytest.mark.parametrize("options", [(), ("--burst", "1"), ("--burst", "64"), ("--workers", "3")])
def test_a_change_is_at_a_time(program, some, options):
    """The packet at the very instant has the new value and the one before it the old, wherever
    they stand in a burst; a nanosecond later it would have had the old."""
    offset = offsets(some.capture)
    at_ns, then_ns = int(offset[17_007]), int(offset[34_001]) + 1
    text = with_timeline(WAN, f"at: {at_ns}ns, rule: wan, set: {{delay: 5ms}}",
                         f"at: {then_ns}ns, rule: wan, set: {{delay: {{time: 9ms}}}}")
    found = delays(program.simulated(text, [some.path], *options), some.capture)
    assert found.tolist() == [2_000_000] * 17_007 + [5_000_000] * (34_002 - 17_007) + (
        [9_000_000] * (100_000 - 34_002))


@pytest.mark.parametrize("burst", [1, 32, 64])
def test_many_instants_in_a_burst(program, some, burst):
    """500 instants, a packet or none between two of them: each packet has the value of its time."""
    rng = np.random.default_rng(5)
    instants = np.cumsum(rng.integers(1, 2 * TRAFFIC_NS, 500))
    text = with_timeline(WAN, *(f"at: {at}ns, rule: wan, set: {{delay: {2_000_001 + index}ns}}"
                                for index, at in enumerate(instants)))
    found = delays(program.simulated(text, [some.path], "--burst", burst), some.capture)
    begun = np.searchsorted(instants, offsets(some.capture), side="right")
    assert found.tolist() == (2_000_000 + begun).tolist()


def test_entries_end(program, some):
    """`for` takes an entry back; what was laid over it or under it stays. At any instant the
    entries whose time it is count in the order in which they begin."""
    text = with_timeline(
        WAN,
        "at: 600ms, rule: wan, set: {delay: 8ms}",
        "at: 100ms, for: 400ms, rule: wan, set: {delay: {time: 4ms}}",
        "at: 200ms, for: 100ms, rule: wan, set: {delay: {time: 6ms}}",
        "at: 700ms, for: 100ms, rule: wan, disable: true",
        "at: 750ms, for: 10ms, rule: wan, enable: true")
    found = delays(program.simulated(text, [some.path]), some.capture) / 10**6
    ms = offsets(some.capture) / 10**6
    expected = np.select([ms < 100, ms < 200, ms < 300, ms < 500, ms < 600, ms < 700, ms < 750,
                          ms < 760, ms < 800], [2, 4, 6, 4, 2, 8, 0, 8, 0], 8)
    # A shorter delay does not reorder: what comes after a longer one waits for those before it.
    arrival_and_own = ms + expected
    expected = np.where(expected > 0, np.maximum.accumulate(arrival_and_own) - ms, 0)
    assert np.allclose(found, expected, atol=1e-9)


def test_enabling_and_ttl(program, some):
    """A disabled rule that is enabled at a time; its ttl runs from there, and again from the next
    time it is enabled."""
    text = with_timeline(
        WAN.replace("    impair:", "    enabled: false\n    ttl: 150ms\n    impair:"),
        "at: 100ms, rule: wan, enable: true", "at: 200ms, rule: wan, enable: true",
        "at: 600ms, rule: wan, enable: true")
    outcome = program.simulated(text, [some.path])
    ms = offsets(some.capture) / 10**6
    late = ((ms >= 100) & (ms < 350)) | ((ms >= 600) & (ms < 750))
    assert delays(outcome, some.capture).tolist() == np.where(late, 2_000_000, 0).tolist()
    assert outcome.stats["rules"]["wan"]["matched"] == late.sum()


def test_the_held_finish_under_their_policy(program, some):
    """What waits when a rule changes leaves when it would have left, also what waits between two
    stages: it meets the link as it was when the packet came."""
    rules = scenario_of(("far", ["delay: {time: 50ms, jitter: 10ms, distribution: uniform, "
                                 "order: free}"]),
                        ("link", ["rate: 100Mbit"]), seed=4)
    plain = delays(program.simulated(rules, [some.path]), some.capture)
    changed = delays(program.simulated(
        with_timeline(rules, "at: 500ms, rule: link, set: {rate: 200Mbit}",
                      "at: 500ms, rule: far, disable: true"), [some.path]), some.capture)
    before = offsets(some.capture) < 500_000_000
    assert (plain[before] >= 40_000_000).all()
    # New packets go to the link ahead of old ones that still wait, so old ones may find it busy;
    # those that reach it before the change may not differ at all.
    early = before & (offsets(some.capture) + plain < 500_000_000)
    assert early.sum() > 40_000
    assert changed[early].tolist() == plain[early].tolist()
    waiting = before & ~early
    assert waiting.sum() > 4_000
    assert (changed[waiting] >= 40_000_000).all(), "still delayed by the rule that was disabled"
    assert (changed[~before] < 40_000_000).all()
    only_far = delays(program.simulated(
        with_timeline(scenario_of(("far", ["delay: {time: 50ms, jitter: 10ms, distribution: "
                                           "uniform, order: free}"]), seed=4),
                      "at: 500ms, rule: far, set: {delay: {time: 70ms}}"), [some.path]),
                     some.capture)
    without_change = delays(program.simulated(
        scenario_of(("far", ["delay: {time: 50ms, jitter: 10ms, distribution: uniform, "
                             "order: free}"]), seed=4), [some.path]), some.capture)
    assert (only_far - without_change).tolist() == np.where(before, 0, 20_000_000).tolist()


def test_the_field_goes_on_through_changes(program, some):
    """R(t) is a function of the time since time zero: no change of the rule or of another restarts
    it."""
    text = scenario_of(("wan", ["delay: {time: 40ms, jitter: 2ms, distribution: normal}"]),
                       ("other", ["delay: 1ms"]), seed=9)
    plain = delays(program.simulated(text, [some.path]), some.capture)
    ms = offsets(some.capture) / 10**6
    assert len(np.unique(plain)) > 10_000
    others = delays(program.simulated(
        with_timeline(text, "at: 300ms, rule: other, set: {delay: 3ms}"), [some.path]),
                    some.capture)
    assert (others - plain).tolist() == np.where(ms < 300, 0, 2_000_000).tolist()
    switched = delays(program.simulated(
        with_timeline(text, "at: 300ms, for: 100ms, rule: wan, disable: true"), [some.path]),
                      some.capture)
    away = (ms >= 300) & (ms < 400)
    assert switched[~away].tolist() == plain[~away].tolist()
    assert set(switched[away].tolist()) == {1_000_000}
    longer = delays(program.simulated(
        with_timeline(text, "at: 300ms, rule: wan, set: {delay: {time: 60ms}}"), [some.path]),
                    some.capture)
    assert longer[ms < 300].tolist() == plain[ms < 300].tolist()
    assert np.abs(longer[ms >= 300] - plain[ms >= 300] - 20_000_000).max() <= 1


def test_chains_go_on_through_changes(program, some):
    """A change of another rule leaves a chain alone; other values of its own model begin it anew."""
    text = scenario_of(("chain", ["loss: {model: gilbert, p: 5%, r: 20%}"]),
                       ("other", ["delay: 1ms"]), seed=9)
    plain = delays(program.simulated(text, [some.path]), some.capture) < 0
    others = delays(program.simulated(
        with_timeline(text, "at: 300ms, rule: other, set: {delay: 3ms}"), [some.path]),
                    some.capture) < 0
    assert others.tolist() == plain.tolist()
    worse = delays(program.simulated(
        with_timeline(text, "at: 500ms, rule: chain, set: {loss: {p: 40%}}"), [some.path]),
                   some.capture) < 0
    before = offsets(some.capture) < 500_000_000
    assert worse[before].tolist() == plain[before].tolist()
    assert abs(plain[~before].mean() - 0.2) < 0.02
    assert abs(worse[~before].mean() - 2 / 3) < 0.02


def test_parts_by_number(program, some):
    """delay[2] is the second of a rule's delays."""
    text = with_timeline(scenario_of(("wan", ["delay: 1ms", "loss: 0%", "delay: 2ms"]), seed=1),
                         "at: 300ms, rule: wan, set: {'delay[2]': 5ms, loss: {rate: 50%}}",
                         "at: 600ms, rule: wan, set: {'delay[1]': {time: 20ms}, loss: 0%}")
    found = delays(program.simulated(text, [some.path]), some.capture)
    ms = offsets(some.capture) / 10**6
    kept = found >= 0
    assert kept[(ms < 300) | (ms >= 600)].all()
    assert abs(kept[(ms >= 300) & (ms < 600)].mean() - 0.5) < 0.02
    expected = np.select([ms < 300, ms < 600], [3, 6], 25)
    assert (found[kept] == expected[kept] * 1_000_000).all()


def test_both_directions_and_inputs(program, few):
    """Time zero is the first packet of all inputs."""
    back = captures.udp_traffic(20, 2, spacing_ns=1_000_000, salt=4, backwards=True,
                                first_serial=1000).capture
    back.time_ns[:] = few.capture.time_ns + np.uint64(500_000)
    captures.write_pcap(program.folder / "back.pcap", back)
    text = with_timeline(WAN, "at: 10500us, rule: wan, disable: true")
    outcome = program.simulated(text, [f"left={few.path}",
                                       f"right={program.folder / 'back.pcap'}"])
    assert delays(outcome, few.capture).tolist() == [2_000_000] * 11 + [0] * 9
    assert delays(outcome, back).tolist() == [2_000_000] * 10 + [0] * 10


def test_explain_follows_the_timeline(program, some):
    """What the rules were at the packet's time."""
    text = with_timeline(WAN, "at: 5ms, rule: wan, set: {delay: 5ms}",
                         "at: 8ms, for: 1ms, rule: wan, disable: true")
    part = some.capture.take(np.arange(1000))
    captures.write_pcap(program.folder / "part.pcap", part)
    found = delays(program.simulated(text, [program.folder / "part.pcap"]), part)
    outcome = program.run("explain", "scenario.yaml", "--pcap", "part.pcap", "--json")
    assert outcome.status == 0, outcome.text()
    told = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [packet["fate"]["delay_ns"] for packet in told] == found.tolist()
    for packet, offset in zip(told, offsets(part).tolist()):
        disabled = packet["rules"][0]["why"] == "disabled"
        assert disabled == (8_000_000 <= offset < 9_000_000)


def test_records_follow_the_timeline(program, some):
    """The journal has the delay of the packet's time; statistics count a rule over all of it."""
    text = with_timeline(WAN, "at: 500ms, rule: wan, set: {delay: 5ms}")
    outcome = program.simulated(text, [some.path], "--journal", program.folder / "journal.jsonl")
    lines = (program.folder / "journal.jsonl").read_text().splitlines()
    expected = np.where(offsets(some.capture) < 500_000_000, 2_000_000, 5_000_000)
    assert [json.loads(line)["delay_ns"] for line in lines] == expected.tolist()
    assert outcome.stats["rules"]["wan"]["matched"] == 100_000
    assert outcome.stats["reproducible"] is True


def test_at_the_end_of_time(program, few):
    """Instants that no clock reaches do not come early."""
    late = few.capture.take(slice(None))
    late.time_ns += np.uint64(2**64 - 2 * 10**9) - late.time_ns[0]
    captures.write_pcapng(program.folder / "late.pcapng", late)
    text = with_timeline(WAN.replace("    impair:", "    ttl: 300d\n    impair:"),
                         "at: 5s, rule: wan, disable: true", "at: 300d, rule: wan, enable: true")
    outcome = program.simulated(text, [program.folder / "late.pcapng"])
    assert (outcome.output.time_ns - late.time_ns == 2_000_000).all()


def test_a_ramp(program, some):
    """From 2 ms to 12 ms over 500 ms, in a hundred steps, each at its middle; then it stays."""
    text = with_timeline(WAN, "at: 200ms, rule: wan, set: {delay: 12ms}, over: 500ms")
    found = delays(program.simulated(text, [some.path]), some.capture)
    ms = offsets(some.capture) / 10**6
    step = np.floor((ms - 200) / 5)
    expected = np.select([ms < 200, ms < 700], [2.0, 2 + 10 * (step + 0.5) / 100], 12.0)
    assert np.allclose(found / 10**6, expected, atol=1e-6)


def test_a_ramp_that_ends_and_one_over_another(program, some):
    """`for` takes a ramp back, from wherever it is; a later one begins at what is beneath it."""
    text = with_timeline(
        WAN, "at: 100ms, for: 200ms, rule: wan, set: {delay: {time: 12ms}}, over: 100ms",
        "at: 400ms, rule: wan, set: {delay: 1ms}", "at: 500ms, rule: wan, set: {delay: 3ms}, over: 100ms")
    found = delays(program.simulated(text, [some.path]), some.capture) / 10**6
    ms = offsets(some.capture) / 10**6
    assert set(found[(ms >= 200) & (ms < 300)].tolist()) == {12.0}
    assert set(found[(ms >= 310) & (ms < 400)].tolist()) == {2.0}
    rising = found[(ms >= 500) & (ms < 600)]
    assert rising[0] == pytest.approx(1.01) and rising[-1] == pytest.approx(2.99)
    assert set(found[ms >= 600].tolist()) == {3.0}


@pytest.mark.parametrize("ends", ["count: 4", "until: 750ms", "until: 701ms"])
def test_again_and_again(program, some, ends):
    """Every 200 ms for 50 ms, four times: as four entries do."""
    text = scenario_of(("wan", ["loss: all"]), seed=1).replace("    impair", "    enabled: false\n    impair")
    found = delays(program.simulated(
        with_timeline(text, f"at: 100ms, for: 50ms, every: 200ms, {ends}, rule: wan, enable: true"),
        [some.path]), some.capture) < 0
    ms = offsets(some.capture) / 10**6
    assert found.tolist() == ((ms >= 100) & ((ms - 100) % 200 < 50) & (ms < 900)).tolist()


def test_a_crash_again_and_again(program, some):
    """Each is one of its own: down from its own begin."""
    text = ("version: 1\nseed: 1\nnodes: {b: {port: right}}\nrules: []\n")
    found = delays(program.simulated(with_timeline(
        text, "at: 100ms, for: 50ms, every: 300ms, count: 3, crash: {node: b}"), [some.path]),
                   some.capture) < 0
    ms = offsets(some.capture) / 10**6
    down = (ms >= 100) & ((ms - 100) % 300 < 50) & (ms < 800)
    assert found[down].all() and down.sum() > 1000


@pytest.mark.parametrize("entry,told", [
    ("at: 1s, every: 1s, rule: wan, disable: true", "it repeats without end"),
    ("at: 1s, every: 1s, count: 2, until: 5s, rule: wan, disable: true", "it ends twice"),
    ("at: 1s, count: 2, rule: wan, disable: true", "what does not repeat"),
    ("at: 5s, every: 1s, until: 4s, rule: wan, disable: true", "out of range"),
    ("at: 1s, every: 1ns, until: 4s, rule: wan, disable: true", "it repeats 3000000000 times"),
    ("at: 1s, over: 1s, rule: wan, disable: true", "a ramp of nothing"),
    ("at: 1s, over: 1s, rule: wan, set: {delay: {jitter: 1ms}}", "values that have none between"),
    ("at: 1s, over: 1s, rule: wan, set: {delay: {time: 1ms, distribution: normal}}",
     "values that have none between"),
])
def test_repeats_and_ramps_that_are_none(program, entry, told):
    path = program.folder / "wrong.yaml"
    path.write_text(with_timeline(WAN, entry))
    done = program.run("check", path)
    assert done.status == 1 and told in done.stderr, done.stderr


RANDOM = """version: 1
nodes: {a: {port: left}, b: {port: right}}
rules: []
timeline:
  - {random: {seed: same, kinds: [partition, pause], every: "exponential(100ms)", for: "uniform(10ms, 30ms)"}, at: 100ms, until: 900ms}
"""


def test_faults_at_random(program, some):
    """The same for a seed, others for another; none outside its time; as many as were asked for, and
    as long."""
    ms = offsets(some.capture) / 10**6

    def hit(*options):
        outcome = program.simulated(RANDOM, [some.path], *options)
        assert outcome.stats["ledger"]["balanced"]
        found = delays(outcome, some.capture)
        return found != 0, {name for name in outcome.stats["rules"]}

    one, rules = hit("--seed", 5)
    again, same = hit("--seed", 5, "--burst", 1)
    other, _ = hit("--seed", 6)
    assert one.tolist() == again.tolist() and rules == same
    assert one.tolist() != other.tolist()
    for found in (one, other):
        assert found.any() and not found[ms < 100].any() and not found[ms >= 931].any()
    assert 3 <= len(rules) <= 16 and {name.split(".")[0] for name in rules} <= {"partition", "pause"}
    # Each lasts 10 to 30 ms, some of them at once.
    assert 0.01 * 0.5 < one.mean() < 0.03 * 16


@pytest.mark.parametrize("change,told", [
    (("kinds: [partition, pause]", "kinds: [clock]"), "clock"),
    (("exponential(100ms)", "sometimes"), "sometimes"),
    (("exponential(100ms)", "1ms"), "more than 500"),
    ((", until: 900ms", ""), "until"),
    (("until: 900ms", "until: 50ms"), "out of range"),
    (("nodes: {a: {port: left}, b: {port: right}}\n", ""), "there are none"),
])
def test_faults_at_random_that_are_none(program, change, told):
    path = program.folder / "wrong.yaml"
    path.write_text(RANDOM.replace(*change))
    done = program.run("check", path)
    assert done.status == 1 and told in done.stderr, done.stderr
