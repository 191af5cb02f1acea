"""Entries of the timeline that wait again when they are over: which packets fire them, held against a
model of a few lines, whatever the burst and the number of workers."""

import json

import numpy as np
import pytest

from model import captures
from program import scenario_of
from test_sim_triggers import MS, RULES, lost, offsets, segment, with_timeline

OPTIONS = [("--burst", "1"), ("--burst", "7"), ("--burst", "64"), ("--burst", "7", "--workers", "4"),
           ("--workers", "1"), ("--workers", "4")]
FLOW = "10.0.0.3"


def firings(offset, hits, *, wanted=1, rests_ns, most=None):
    """The packets that fire: each is the `wanted`th hit since it waits, and it waits again when what the
    one before it began is over."""
    fired, counted, waits_from = [], 0, 0
    for packet in np.flatnonzero(hits):
        if offset[packet] < waits_from or len(fired) == most:
            continue
        counted += 1
        if counted == wanted:
            fired.append(int(packet))
            counted, waits_from = 0, int(offset[packet]) + rests_ns
    return fired


def lost_by(offset, fired, at_ns, for_ns):
    gone = np.zeros(len(offset), dtype=bool)
    for packet in fired:
        since = offset - offset[packet]
        gone |= (np.arange(len(offset)) > packet) & (since >= at_ns) & (since < at_ns + for_ns)
    return gone


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("keys,most", [("again: true", None), ("count: 3", 3), ("again: true, count: 7", 7)])
def test_each_packet_of_a_flow(program, some, options, keys, most):
    """Each packet of a flow has everything lost for 2 ms; one that comes meanwhile does not prolong it."""
    text = with_timeline(RULES, f"when: {{packet: {{src: {FLOW}}}}}, {keys}, for: 2ms, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path], *options)
    offset = offsets(some.capture)
    fired = firings(offset, some.flow == 3, rests_ns=2 * MS, most=most)
    assert len(fired) == (most or len(fired)) and (most or len(fired) > 300)
    assert lost(outcome, some.capture).tolist() == lost_by(offset, fired, 0, 2 * MS).tolist()
    trigger = outcome.stats["triggers"][0]
    assert (trigger["firings"], trigger["first_ns"], trigger["fired_ns"]) == (
        len(fired), offset[fired[0]], offset[fired[-1]])
    assert trigger["packet"]["packet_in_flow"] == np.count_nonzero(some.flow[:fired[-1] + 1] == 3)


@pytest.mark.parametrize("options", OPTIONS)
def test_it_counts_anew_and_an_at_is_part_of_it(program, some, options):
    """Every 40th packet of a rule, 3 ms later and for 1 ms: what comes until then is not counted."""
    rules = RULES.replace("  - name: seen\n", f"  - name: seen\n    match: {{src: {FLOW}}}\n")
    text = with_timeline(rules, "when: {rule: seen, match: 40}, again: true, at: 3ms, for: 1ms, rule: hit, "
                                "enable: true")
    outcome = program.simulated(text, [some.path], *options)
    offset = offsets(some.capture)
    fired = firings(offset, some.flow == 3, wanted=40, rests_ns=4 * MS)
    assert len(fired) > 50
    gone = lost_by(offset, fired, 3 * MS, MS)
    assert gone.any() and lost(outcome, some.capture).tolist() == gone.tolist()
    assert outcome.stats["triggers"][0]["firings"] == len(fired)


def test_the_packet_at_the_end_counts_again(program, some):
    """For a nanosecond: every packet with a time of its own fires, and only those of the same time are
    lost."""
    text = with_timeline(RULES, "when: {rule: seen}, again: true, for: 1ns, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path])
    offset = offsets(some.capture)
    again = np.diff(offset, prepend=-1) == 0
    assert again.any() and lost(outcome, some.capture).tolist() == again.tolist()
    assert outcome.stats["triggers"][0]["firings"] == np.count_nonzero(~again)


def test_each_entry_waits_for_itself(program, some):
    """Two entries that wait for the same: each for as long as its own is over."""
    text = with_timeline(
        RULES + scenario_of(("late", ["delay: 1ms"]), seed=1).split("rules:\n")[1].replace(
            "  - name: late\n", "  - name: late\n    enabled: false\n"),
        "when: {rule: seen, match: 100}, again: true, for: 1ms, rule: hit, enable: true",
        "when: {rule: seen, match: 100}, again: true, for: 5ms, rule: late, enable: true",
        "when: {rule: seen, match: 100}, for: 5ms, rule: late, enable: true")
    outcome = program.simulated(text, [some.path])
    offset = offsets(some.capture)
    every = np.ones(len(offset), dtype=bool)
    counts = [len(firings(offset, every, wanted=100, rests_ns=rests)) for rests in (1 * MS, 5 * MS)]
    assert [one["firings"] for one in outcome.stats["triggers"]] == [*counts, 1]
    assert lost(outcome, some.capture).tolist() == lost_by(
        offset, firings(offset, every, wanted=100, rests_ns=MS), 0, MS).tolist()


EACH_SYN = """version: 1
name: each-syn
seed: 1
nodes: {two: {port: right}}
timeline:
  - {when: {packet: {src: 10.0.0.1, tcp: {flags: [syn]}}}, again: true, for: 200ms, pause: {node: two}}
"""


@pytest.mark.parametrize("options", OPTIONS)
def test_each_time_a_syn_comes(program, tmp_path, options):
    """Each SYN has the node stand still for 200 ms from the next packet on; a SYN that waits itself does
    not have it stand still for longer."""
    syns = [100, 250, 1_000, 1_199, 1_200, 3_000]
    said = [(at * MS, segment((40_000 + number, 5_000), 2, 7_000, 0)) for number, at in enumerate(syns)]
    said += [(at * MS + 500_000, segment((50_000, 5_000), 24, 1 + at, 1, b"x")) for at in range(0, 3_500, 10)]
    said.sort(key=lambda one: one[0])
    path = tmp_path / "left.pcap"
    captures.write_pcap(path, captures.from_frames([frame for _, frame in said], [at for at, _ in said]))
    outcome = program.simulated(EACH_SYN, [f"left={path}"], "--annotate", "none", *options)
    stands = [(at * MS, (at + 200) * MS) for at in (100, 1_000, 1_200, 3_000)]
    expected = []
    for at, frame in said:
        held = [until for since, until in stands if since < at < until]
        expected.append((held[0] if held else at, frame))
    left = [(int(at), outcome.output.frame(index)) for index, at in enumerate(outcome.output.time_ns)]
    assert sorted(left) == sorted(expected)
    trigger = outcome.stats["triggers"][0]
    assert (trigger["firings"], trigger["first_ns"], trigger["fired_ns"]) == (
        4, 100 * MS - 500_000, 3_000 * MS - 500_000)


def test_a_crash_again(program, some):
    """A node that crashes by each 10,000th packet, for 5 ms: silent that long, every time."""
    text = with_timeline("version: 1\nseed: 1\nnodes: {two: {port: right}}\n",
                         "when: {packet: {proto: udp}, count: 10000}, again: true, for: 5ms, "
                         "crash: {node: two}")
    outcome = program.simulated(text, [some.path])
    offset = offsets(some.capture)
    fired = firings(offset, np.ones(len(offset), dtype=bool), wanted=10_000, rests_ns=5 * MS)
    assert len(fired) == 9
    assert lost(outcome, some.capture).tolist() == lost_by(offset, fired, 0, 5 * MS).tolist()


def test_explain_knows_what_matched(program, few):
    """Of a packet that leaves when the trigger has fired again, the rule is told by which it was late."""
    text = with_timeline("version: 1\nseed: 1\nrules:\n  - {name: late, enabled: false, impair: [delay: 9ms]}\n",
                         "when: {packet: {proto: udp}, count: 2}, again: true, for: 2ms, rule: late, "
                         "enable: true")
    (program.folder / "again.yaml").write_text(text)
    done = program.run("explain", "again.yaml", "--pcap", few.path, "--json")
    told = [[rule for rule in one["rules"] if rule["rule"] == "late"][0]
            for one in map(json.loads, done.stdout.splitlines())]
    matched = [rule["matched"] for rule in told]
    offset = offsets(few.capture)
    fired = firings(offset, np.ones(len(offset), dtype=bool), wanted=2, rests_ns=2 * MS)
    assert sum(matched) > 5 and matched == lost_by(offset, fired, 0, 2 * MS).tolist()
    assert {rule["why"] for rule in told if rule["matched"]} == {"matches every packet"}
