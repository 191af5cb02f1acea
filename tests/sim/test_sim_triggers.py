"""Entries of the timeline that wait: for packets of a rule or of a match. They act from the next packet
on, wherever it stands in a burst and whichever worker has it."""

import numpy as np
import pytest

from program import scenario_of

OPTIONS = [(), ("--burst", "1"), ("--burst", "64"), ("--workers", "3")]
RULES = scenario_of(("seen", ["delay: 1ns"]), ("hit", ["loss: all"]), seed=1).replace(
    "  - name: hit\n", "  - name: hit\n    enabled: false\n")


def with_timeline(text, *entries):
    return text + "timeline:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)


def lost(outcome, capture):
    return ~np.isin(capture.serial(), outcome.output.serial())


def offsets(capture):
    return (capture.time_ns - capture.time_ns[0]).astype(np.int64)


@pytest.mark.parametrize("options", OPTIONS)
def test_from_the_next_packet_on(program, some, options):
    """The 1,000th packet of a rule fires; from the 1,001st on, for as long as was said, all are lost."""
    text = with_timeline(RULES, "when: {rule: seen, match: 1000}, for: 100ms, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path], *options)
    offset = offsets(some.capture)
    fired = int(offset[999])
    number = np.arange(len(offset))
    expected = (number > 999) & (offset < fired + 100_000_000)
    assert lost(outcome, some.capture).tolist() == expected.tolist()
    trigger = outcome.stats["triggers"][0]
    assert trigger["fired_ns"] == fired and trigger["when"] == "rule seen: packet 1000"
    assert trigger["packet"]["port"] == "left" and trigger["packet"]["packet_in_flow"] >= 1


@pytest.mark.parametrize("options", OPTIONS)
def test_a_match_of_its_own_and_a_delay(program, some, options):
    """`packet` counts what matches; `at` counts from the firing."""
    text = with_timeline(RULES, "when: {packet: {proto: udp}, count: 500}, at: 50ms, for: 20ms, "
                                "rule: hit, enable: true")
    outcome = program.simulated(text, [some.path], *options)
    offset = offsets(some.capture)
    fired = outcome.stats["triggers"][0]["fired_ns"]
    assert fired in offset.tolist() and outcome.stats["rules"]["when1"]["matched"] > 500
    expected = (offset >= fired + 50_000_000) & (offset < fired + 70_000_000)
    assert expected.sum() > 1000
    assert lost(outcome, some.capture).tolist() == expected.tolist()


def test_one_fires_the_next(program, some):
    """A rule that a trigger switched on fires another one, which switches it off."""
    text = with_timeline(RULES, "when: {rule: seen, match: 10}, rule: hit, enable: true",
                         "when: {rule: hit, match: 7}, rule: hit, disable: true")
    outcome = program.simulated(text, [some.path])
    assert np.flatnonzero(lost(outcome, some.capture)).tolist() == list(range(10, 17))


def test_what_switched_last_counts(program, some):
    """Triggers and instants switch the same rule: of those whose time it is, the one that began
    last."""
    offset = offsets(some.capture)
    at = int(offset[2_000])
    text = with_timeline(RULES, "when: {rule: seen, match: 100}, rule: hit, enable: true",
                         f"at: {at}ns, rule: hit, disable: true",
                         "when: {rule: seen, match: 3000}, for: 1ms, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path])
    gone = lost(outcome, some.capture)
    number = np.arange(len(offset))
    late = (number > 2_999) & (offset < offset[2_999] + 1_000_000)
    assert gone.tolist() == (((number > 99) & (number < 2_000)) | late).tolist()


def test_a_ttl_begins_with_the_firing(program, some):
    text = with_timeline(RULES.replace("enabled: false", "enabled: false\n    ttl: 5ms"),
                         "when: {rule: seen, match: 400}, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path])
    offset = offsets(some.capture)
    number = np.arange(len(offset))
    assert lost(outcome, some.capture).tolist() == (
        (number > 399) & (offset < offset[399] + 5_000_000)).tolist()


def test_what_never_comes_never_fires(program, some):
    text = with_timeline(RULES, "when: {rule: seen, match: 1000000}, rule: hit, enable: true",
                         "when: {call: go}, rule: hit, enable: true",
                         "when: {link: left, state: down}, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path])
    assert not lost(outcome, some.capture).any()
    assert [trigger["fired_ns"] for trigger in outcome.stats["triggers"]] == [None] * 3


@pytest.mark.parametrize("entry,told", [
    ("when: {}, rule: hit, enable: true", "a trigger that waits for nothing"),
    ("when: {rule: nobody, match: 1}, rule: hit, enable: true", "nobody"),
    ("when: {rule: seen, match: 0}, rule: hit, enable: true", "'0' is out of range"),
    ("when: {rule: seen, mach: 2}, rule: hit, enable: true", "did you mean 'match'?"),
    ("when: {packet: {proto: 17x}}, rule: hit, enable: true", "17x"),
    ("when: {link: middle, state: up}, rule: hit, enable: true", "middle"),
    ("when: {link: left, state: away}, rule: hit, enable: true", "down"),
    ("when: {rule: seen}, rule: hit, set: {loss: 1%}", "a trigger cannot set values"),
])
def test_what_is_wrong_is_told(program, entry, told):
    path = program.folder / "wrong.yaml"
    path.write_text(with_timeline(RULES, entry))
    done = program.run("check", path)
    assert done.status == 1 and told in done.stderr, done.stderr
