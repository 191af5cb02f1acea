"""Values that a trigger sets: from the next packet on, and with the same dice and memories as when the
timeline sets them at that instant."""

import json

import numpy as np
import pytest

from program import scenario_of
from test_sim_timeline import delays
from test_sim_triggers import MS, offsets, with_timeline
from test_sim_triggers_again import firings

OPTIONS = [("--burst", "1"), ("--burst", "7"), ("--burst", "64"), ("--burst", "7", "--workers", "4"),
           ("--workers", "1"), ("--workers", "4")]
WHEN = "when: {packet: {src: 10.0.0.3}, count: 700}"
WAN = scenario_of(("wan", ["delay: 20ms"]), seed=1)


@pytest.mark.parametrize("options", OPTIONS)
def test_from_the_next_packet_on(program, some, options):
    """20 ms, and 80 ms from the packet behind the one that fired; then, 300 ms later, 90 ms."""
    text = with_timeline(WAN, f"{WHEN}, rule: wan, set: {{delay: {{time: 80ms}}}}",
                         f"{WHEN}, at: 300ms, rule: wan, set: {{delay: 90ms}}")
    found = delays(program.simulated(text, [some.path], *options), some.capture)
    offset = offsets(some.capture)
    fired = int(np.flatnonzero(some.flow == 3)[699])
    expected = np.where(np.arange(len(offset)) > fired, 80, 20)
    expected[offset >= offset[fired] + 300 * MS] = 90
    assert found.tolist() == (expected * MS).tolist()


SAME = {
    "delay": (["delay: 20ms"], "{delay: {time: 80ms}}", ""),
    "delay of each flow": (['delay: {time: {draw: "uniform(1ms, 5ms)", per: flow}}'],
                           "{delay: {jitter: 1ms, distribution: normal}}", "per: flow"),
    "jitter in order": (["delay: {time: 5ms, jitter: 1ms, distribution: normal}"],
                        "{delay: {jitter: 2ms, time: 9ms}}", ""),
    "jitter that overtakes": (["delay: {time: 5ms, jitter: 1ms, distribution: normal, order: free}"],
                              "{delay: {jitter: 3ms}}", ""),
    "loss": (["loss: 1%"], "{loss: 30%}", ""),
    "all is lost": (["loss: 1%"], "{loss: all}", ""),
    "a chain": (["loss: {model: gilbert-elliott, p: 1%, r: 20%}"], "{loss: {r: 5%}}", ""),
    "a chain of each flow": (["loss: {model: gilbert-elliott, p: 1%, r: 20%}"], "{loss: {p: 9%}}", "per: flow"),
    "markov4": (["loss: {model: markov4, rate: 5%, burst: 8, density: 60%}"], "{loss: {rate: 9%}}", ""),
    "every": (["loss: {model: every, n: 10, offset: 3}"], "{loss: {n: 7}}", "per: source"),
    "bursts": (["loss: {model: burst, length: 5, probability: 1%}"], "{loss: {length: 9}}", ""),
    "an outage": (["loss: {model: outage, up: 20ms, down: 5ms}"], "{loss: {down: 15ms}}", ""),
    "a link": (["rate: 300Mbit", "queue: {limit: 50p}"], "{rate: 60Mbit}", ""),
    "a link of each flow": (["rate: 20Mbit", "queue: {limit: 50p}"], "{rate: 9Mbit}", "per: flow"),
    "codel": (["rate: 100Mbit", "queue: {limit: 900p, discipline: codel, target: 5ms, interval: 100ms}"],
              "{queue: {target: 1ms}, rate: 60Mbit}", ""),
    "pie": (["rate: 100Mbit", "queue: {limit: 900p, discipline: pie}"], "{rate: 60Mbit}", ""),
    "police": (["police: {rate: 100Mbit, burst: 100KB}"], "{police: {rate: 30Mbit}}", ""),
    "slot": (["slot: {min: 5ms, max: 10ms, packets: 16}"], "{slot: {max: 15ms}}", ""),
    "duplicate": (["duplicate: {rate: 5%, copies: 1, delay: 2ms}"], "{duplicate: {rate: 50%}}", ""),
    "reorder": (["delay: 5ms", "reorder: {rate: 25%, gap: 5, mode: early}"], "{reorder: {rate: 5%}}", ""),
    "reorder late": (["reorder: {rate: 1%, mode: late, by: 3p}"], "{reorder: {rate: 9%, by: 5p}}", ""),
    "corrupt": (["corrupt: {rate: 1%, bits: 1, where: payload, checksum: fix}"], "{corrupt: {rate: 20%}}", ""),
    "bytes": (["set: {dscp: 12}"], "{set: {dscp: 46}}", ""),
    "stop_after": (["stop_after: 9000"], "{stop_after: 30000}", ""),
    "the second delay": (["delay: 5ms", "loss: 3%", "delay: {time: 3ms, jitter: 1ms, distribution: uniform}"],
                         '{"delay[2]": {time: 7ms}, loss: 9%}', ""),
}


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.long if number % 3 else ())
                                  for number, case in enumerate(SAME)],
                         ids=[case.replace(" ", "-") for case in SAME])
def test_as_the_timeline_would(program, some, case):
    """Set for 200 ms by a trigger, twice, and by entries of the timeline at those very instants: the
    same packets leave at the same times with the same bytes, and the rules counted the same."""
    impair, values, scope = SAME[case]
    rules = scenario_of(("before", ["delay: 1ms", "loss: 2%"]), ("seen", ["delay: 1ns"], "{src: 10.0.0.3}"),
                        ("wan", impair),
                        ("behind", ["loss: {model: gilbert-elliott, p: 2%, r: 20%}", "delay: 1ms"]), seed=3)
    if scope:
        rules = rules.replace("  - name: wan\n", f"  - name: wan\n    {scope}\n")
    offset = offsets(some.capture)
    fired = firings(offset, some.flow == 3, wanted=700, rests_ns=200 * MS)
    assert len(fired) == 4 or len(fired) == 3
    assert all(offset[at + 1] > offset[at] for at in fired), "no packet of the same instant behind it"
    when = with_timeline(rules, "when: {rule: seen, match: 700}, again: true, rule: wan, "
                                f"set: {values}, for: 200ms")
    at = with_timeline(rules, *(f"at: {offset[one] + 1}ns, rule: wan, set: {values}, for: {200 * MS - 1}ns"
                                for one in fired))
    told = []
    for text in (when, at):
        # How long runs of losses are is known packet by packet only.
        outcome = program.simulated(text, [some.path], "--annotate", "none", "--burst", "1")
        told.append((outcome.out.read_bytes(), {name: outcome.stats["rules"][name]
                                                for name in ("before", "wan", "behind")}))
    assert told[0][1] == told[1][1]
    assert told[0][0] == told[1][0]
    without = program.simulated(rules, [some.path], "--annotate", "none")
    assert without.out.read_bytes() != told[0][0], "the values make a difference"


@pytest.mark.parametrize("case", ["a chain of each flow", "codel", "duplicate", "corrupt"])
def test_bursts_and_workers_change_nothing(program, some, case):
    impair, values, scope = SAME[case]
    text = scenario_of(("wan", impair), seed=3)
    if scope:
        text = text.replace("  - name: wan\n", f"  - name: wan\n    {scope}\n")
    text = with_timeline(text, f"{WHEN}, again: true, rule: wan, set: {values}, for: 200ms")
    outputs = {program.simulated(text, [some.path], *options).out.read_bytes() for options in OPTIONS}
    assert len(outputs) == 1


def test_what_holds_when_several_do(program, some):
    """Of triggers' values those that were set last hold, with what the timeline sets beneath them; an
    end uncovers the ones before; enabling and disabling is another matter."""
    rules = scenario_of(("wan", ["delay: 1ns", "delay: 1ns"]), seed=1)
    offset = offsets(some.capture)
    at = int(offset[50_000])
    text = with_timeline(
        rules,
        "when: {rule: wan, match: 10000}, rule: wan, set: {'delay[1]': 3us}",
        "when: {rule: wan, match: 20000}, for: 100ms, rule: wan, set: {'delay[2]': 5us}",
        f"at: {at}ns, rule: wan, set: {{'delay[1]': 11us, 'delay[2]': 13us}}",
        "when: {rule: wan, match: 70000}, for: 50ms, rule: wan, disable: true")
    found = delays(program.simulated(text, [some.path]), some.capture)
    number = np.arange(1, len(offset) + 1)
    second = (number > 20_000) & (offset < offset[19_999] + 100 * MS)
    expected = np.select([number <= 10_000, second, offset < at], [2, 5_001, 3_001], 16_000)
    off = (number > 70_000) & (offset < offset[69_999] + 50 * MS)
    own = offset + np.where(off, 0, expected)
    # What a rule that is off does not delay does not wait either.
    left = np.where(off, offset, np.maximum.accumulate(np.where(off, 0, own)))
    assert found.tolist() == (left - offset).tolist()


def test_explain_and_check_tell_one_rule(program, few):
    """The rule is told once for each packet, by the values that it met."""
    text = with_timeline(scenario_of(("wan", ["delay: 20ms"]), seed=1),
                         "when: {rule: wan, match: 5}, rule: wan, set: {delay: 80ms}")
    (program.folder / "set.yaml").write_text(text)
    done = program.run("explain", "set.yaml", "--pcap", few.path, "--json")
    told = [json.loads(line)["rules"] for line in done.stdout.splitlines()]
    assert [[rule["rule"] for rule in rules] for rules in told] == [["wan"]] * 20
    assert [rules[0]["impairments"][0]["delay_ns"] for rules in told] == [20 * MS] * 5 + [80 * MS] * 15
    checked = json.loads(program.run("check", "set.yaml", "--json").stdout)
    assert [rule["name"] for rule in checked["rules"]] == ["wan"]
    assert checked["capacity"]["stay_ns"] == 80 * MS, "of the two, the longer"
