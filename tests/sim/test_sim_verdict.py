"""The verdict of `faultline simulate`: what is expected, found and said, and that a correct injector
passes while one with a planted error fails, as often as the confidence says."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from model import captures
from program import scenario_of

GILBERT = "loss: {{model: gilbert-elliott, rate: {rate}, burst: 10}}"


@pytest.fixture(scope="module")
def four_flows(make_input):
    """400,000 UDP packets in 4 flows, some 100,000 each, 1 us apart."""
    return make_input("four_flows", captures.udp_traffic(400_000, 4, salt=11))


def judged(program, scenario, inputs, *options, status=0):
    outcome = program.simulate(scenario, inputs, "--annotate", "none", *options, out="/dev/null")
    assert outcome.status == status, outcome.text()
    return outcome


def findings(outcome, rule=None):
    """By what was expected."""
    return {finding["expected"]: finding for finding in outcome.stats["verdict"]["expectations"]
            if rule is None or finding["rule"] == rule}


# -- acceptance -----------------------------------------------------------------------------------

# Each of a run's four rules has a flow to itself: two give what is expected, two have an error
# planted into the injector, 10 % of independent losses and 30 % of losses in runs of ten.
RULES = (("good", "loss: 5%", "5%"), ("planted", "loss: 5.5%", "5%"),
         ("runs", GILBERT.format(rate="20%"), "20%"),
         ("planted-runs", GILBERT.format(rate="26%"), "20%"))


def failures_of(program, capture, seeds):
    """By rule, in how many runs its expectation failed, and whether its own law ever did."""
    scenario = scenario_of(*((name, [impair], f"{{dport: {20000 + flow}}}")
                             for flow, (name, impair, _) in enumerate(RULES)))
    scenario += "confidence: 99.9%\nexpect:\n" + "".join(
        f"  - {{rule: {name}, loss: {expected}}}\n" for name, _, expected in RULES)
    failed = dict.fromkeys((name for name, _, _ in RULES), 0)
    laws = 0
    for seed in seeds:
        outcome = judged(program, scenario, [capture.path], "--seed", seed, status=1)
        for finding in outcome.stats["verdict"]["expectations"]:
            if finding["expected"].startswith("law: "):
                laws += not finding["pass"]
            else:
                failed[finding["rule"]] += not finding["pass"]
    return failed, laws


def test_a_planted_error_fails(program, four_flows):
    """Ten seeds of the runs below."""
    failed, laws = failures_of(program, four_flows, range(1, 11))
    assert (failed, laws) == ({"good": 0, "planted": 10, "runs": 0, "planted-runs": 10}, 0)


@pytest.mark.long
def test_two_hundred_runs(program, four_flows):
    """At 99.9 % at most 2 of 200 correct ones fail; of the planted ones 195 and more do."""
    failed, laws = failures_of(program, four_flows, range(1, 201))
    assert failed["good"] <= 2 and failed["runs"] <= 2, failed
    assert failed["planted"] >= 195 and failed["planted-runs"] >= 195, failed
    assert laws <= 4  # of 800: each rule keeps to its own law, whatever is expected of it


def test_many_rules_are_one_run(program, some):
    """200 rules at 99 %: each by itself two would fail in every run; together none does in these."""
    scenario = scenario_of(*((f"r{number}", ["loss: 0.5%"]) for number in range(200)))
    scenario += "confidence: 99%\nexpect: [{ledger: balanced}]\n"
    least = 1.0
    for seed in range(1, 6):
        outcome = judged(program, scenario, [some.path], "--seed", seed)
        laws = [one for one in outcome.stats["verdict"]["expectations"] if one["p_value"]]
        assert len(laws) == 200
        least = min(least, *(one["p_value"] for one in laws))
    assert 0.01 / 200 < least < 0.01, "by itself the least likely of them would have failed"


# -- each thing that can be expected --------------------------------------------------------------

def test_delays(program, some):
    """Quantiles within ranks and buckets; what a constant delay adds is known to the nanosecond."""
    scenario = scenario_of(
        ("free", ["delay: {time: 40ms, jitter: 5ms, distribution: normal, order: free}"],
         "{dport: 20000-20009}"),
        ("same", ["delay: 20ms"], "{dport: 20010-20019}"), seed=5) + """
expect:
  - {rule: free, delay_p50: 40ms, delay_p90: 46.4ms, delay_p99: 51.6ms, delay_mean: 40ms}
  - {rule: free, delay_min: ">= 10ms", delay_max: "<= 80ms", pdv_p99: "<= 45ms"}
  - {rule: same, delay_p50: 20ms, delay_p99: 20ms, delay_min: 20ms, delay_max: 20ms}
  - {rule: same, delay_mean: 20ms, pdv_p99: 0ms}
  - {rule: free, delay_p50: 42ms}
  - {rule: free, delay_mean: 40.5ms}
  - {rule: same, delay_max: 20000001ns}
"""
    outcome = judged(program, scenario, [some.path], status=1)
    failed = [(finding["rule"], finding["expected"])
              for finding in outcome.stats["verdict"]["expectations"] if not finding["pass"]]
    assert failed == [("free", "delay_p50: 42ms"), ("free", "delay_mean: 40.5ms"),
                      ("same", "delay_max: 20000001ns")]
    median = findings(outcome, "free")["delay_p50: 40ms"]
    low, high = median["interval"]
    assert low <= median["observed"] <= high and 38e6 < low < 40e6 < high < 42e6
    assert median["unit"] == "ns"
    law = findings(outcome, "free")["law: delay"]
    assert law["pass"] and law["p_value"] > 0.001 and law["unit"] == "distance"
    assert findings(outcome, "same")["law: delay"]["observed"] == 0


def test_a_field_tells_less_than_its_packets(program, some):
    """1 s of a field with knots 30 ms apart: some 16 independent delays, not 100,000."""
    jitter = "delay: {{time: 40ms, jitter: 5ms, distribution: normal, order: {}}}"
    width = {}
    for order in ("free", "keep"):
        scenario = scenario_of(("wan", [jitter.format(order)]), seed=1) + (
            "expect: [{rule: wan, delay_mean: 40ms ± 1ms}]\n")
        outcome = judged(program, scenario, [some.path])
        low, high = findings(outcome, "wan")["delay_mean: 40ms ± 1ms"]["interval"]
        width[order] = high - low
    assert width["keep"] > 20 * width["free"]


def test_counts(program, some):
    scenario = scenario_of(("copies", ["duplicate: {rate: 100%}"]), ("cut", ["loss: {model: every, n: 4}"]),
                           ("dirt", ["corrupt: {rate: 100%, bits: 1}"]), seed=1) + """
expect:
  - {rule: copies, duplicates: 100k, matched: 100k, dropped: 0}
  - {rule: cut, dropped: 45k ± 10k, loss: 25% ± 1%}
  - {rule: dirt, corrupted: ">= 140k", injected: 0, reordered: 0}
  - {port: right, overtaken: 0}
  - {ledger: balanced}
"""
    outcome = judged(program, scenario, [some.path])
    found = findings(outcome)
    assert found["duplicates: 100k"]["observed"] == 100_000
    assert found["duplicates: 100k"]["interval"] == [100_000, 100_000]
    assert found["ledger: balanced"]["observed"] is True and found["ledger: balanced"]["rule"] is None
    assert found["overtaken: 0"]["port"] == "right"


def test_overtaken_packets_are_those_of_the_ports(program, some):
    scenario = scenario_of(("late", ["reorder: {rate: 1%, mode: late, by: 3p}"]), seed=1) + (
        "expect: [{rule: late, overtaken: '>= 1', reordered: '>= 1'}, {port: left, overtaken: 0}]\n")
    outcome = judged(program, scenario, [some.path])
    assert findings(outcome, "late")["overtaken: >= 1"]["observed"] == (
        outcome.stats["ports"]["right"]["tx_reordered"]) > 500


def test_rate(program, some):
    """100,000 packets of 67 bytes in 1 s are 54 Mbit/s; behind a link of 10 Mbit/s they take longer."""
    limited = scenario_of(("link", ["rate: 10Mbit"])) + (
        "expect: [{rule: link, rate: <= 10Mbit}, {port: right, rate: 10Mbit ± 0.1Mbit}]\n")
    outcome = judged(program, limited, [some.path])
    found = findings(outcome)["rate: <= 10Mbit"]
    assert 9_990_000 < found["observed"] <= 10_000_000 and found["unit"] == "bit/s"
    free = limited.replace("rate: 10Mbit]", "rate: 1Gbit]").replace("- rate: 10Mbit", "- rate: 1Gbit")
    outcome = judged(program, free, [some.path], status=1)
    assert not findings(outcome)["rate: <= 10Mbit"]["pass"]


def test_model(program, some):
    scenario = scenario_of(("wan", ["loss: 1%"]), seed=1)
    expect = "expect: [{model: holds}]\n"
    assert findings(judged(program, scenario + "model: fair-loss\n" + expect, [some.path]))[
        "model: holds"]["pass"]
    outcome = judged(program, scenario + "model: asynchronous\n" + expect, [some.path], status=1)
    assert outcome.stats["verdict"]["reasons"] == ["model: holds"]


# -- rules' own laws ------------------------------------------------------------------------------

@pytest.mark.parametrize("impair", [
    "loss: 3%", "loss: {model: correlated, rate: 5%, correlation: 25%}",
    "loss: {model: gilbert-elliott, p: 1%, r: 20%}",
    "loss: {model: gilbert-elliott, p: 1%, r: 20%, start: good}",
    "loss: {model: gilbert-elliott, p: 60%, r: 60%}",
    "loss: {model: markov4, p13: 1%, p31: 20%, p32: 10%, p23: 30%, p14: 0.1%}",
    "loss: {model: every, n: 7}", "loss: all", "loss: 0%"])
@pytest.mark.parametrize("before", [None, "loss: 30%"])
@pytest.mark.parametrize("per", ["rule", "flow"])
def test_every_law_is_kept(program, some, impair, before, per):
    """Also of what an earlier rule left over, and with a state for each flow."""
    rules = ([("before", [before])] if before else []) + [("judged", [impair])]
    scenario = scenario_of(*rules, seed=7).replace("name: judged", f"name: judged\n    per: {per}")
    outcome = judged(program, scenario, [some.path])
    laws = [finding for finding in findings(outcome, "judged").values()
            if finding["expected"].startswith("law: loss")]
    assert outcome.stats["verdict"]["verdict"] == "pass" and all(law["pass"] for law in laws)
    by_count = "every" in impair and (before or per == "flow")
    by_its_start = "start" in impair and per == "flow"
    assert len(laws) == (0 if by_count or by_its_start else 1)


@pytest.mark.parametrize("law", ["uniform", "exponential", "lognormal, shape: 1", "pareto, shape: 3",
                                 "gamma, shape: 2"])
def test_every_law_of_delays_is_kept(program, some, law):
    scenario = scenario_of(("wan", [f"delay: {{time: 10ms, jitter: 4ms, distribution: {law}, order: free}}"]),
                           seed=3)
    found = findings(judged(program, scenario, [some.path]), "wan")["law: delay"]
    assert found["pass"] and 0 < found["observed"] < 0.01


# -- the outcome ----------------------------------------------------------------------------------

def test_without_expectations_nothing_fails(program, few):
    """The verdict is there, the exit status is not its."""
    outcome = judged(program, scenario_of(("wan", ["loss: 1%"], "{proto: tcp}"), seed=1), [few.path])
    assert outcome.stats["verdict"]["verdict"] == "fail"
    assert outcome.stats["verdict"]["reasons"] == ["wan: matched: >= 1"]
    assert "matched nothing" in outcome.stderr and "FAIL" not in outcome.stderr


def test_a_rule_that_met_nothing_fails(program, few):
    scenario = scenario_of(("wan", ["loss: 1%"]), ("unused", ["loss: 1%"], "{proto: tcp}"), seed=1)
    scenario += "expect: [{ledger: balanced}]\n"
    outcome = judged(program, scenario, [few.path], status=1)
    assert "FAIL rule unused: expected matched: >= 1, observed 0" in outcome.stderr
    allowed = scenario.replace("name: unused", "name: unused\n    optional: true")
    assert judged(program, allowed, [few.path]).stats["verdict"]["verdict"] == "pass"
    later = scenario.replace("name: unused", "name: unused\n    enabled: false") + (
        "timeline: [{at: 1h, rule: unused, enable: true}]\n")
    assert judged(program, later, [few.path]).stats["verdict"]["verdict"] == "pass"


def test_what_the_tool_lost_makes_a_run_invalid(program, some):
    scenario = scenario_of(("wan", ["delay: 1s"]), seed=1) + (
        "hold: {memory: 1MiB}\nexpect: [{ledger: balanced}]\n")
    outcome = judged(program, scenario, [some.path], status=1)
    lost = outcome.stats["ledger"]["dropped"]["overflow"]
    assert outcome.stats["verdict"]["verdict"] == "invalid"
    assert outcome.stats["verdict"]["reasons"] == [f"faultline itself lost {lost} packets"]
    assert f"invalid: faultline itself lost {lost} packets" in outcome.stderr


def test_both_forms_and_junit_say_the_same(program, some):
    scenario = scenario_of(("wan", ["loss: 5%"]), seed=1, name="wan") + """
lateness: {p99: 100us, on_exceed: invalid}
expect:
  - {rule: wan, loss: 5%}
  - {rule: wan, loss: "<= 1%"}
"""
    outcome = judged(program, scenario, [some.path], "--junit", "junit.xml", status=1)
    verdict = outcome.stats["verdict"]
    assert verdict["verdict"] == "fail" and verdict["reasons"] == ["wan: loss: <= 1%"]
    assert list(verdict["expectations"][0])[:5] == ["rule", "expected", "observed", "interval", "pass"]
    root = ElementTree.parse(program.folder / "junit.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "1", "0")
    cases = root.findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == [
        "rule wan: loss: 5%", "rule wan: loss: <= 1%", "rule wan: law: loss 5 %",
        "the run itself is valid"]
    assert [len(case.findall("failure")) for case in cases] == [0, 1, 0, 0]
    assert {case.get("classname") for case in cases} == {"wan"}
    for finding in verdict["expectations"]:
        word = "pass" if finding["pass"] else "FAIL"
        assert f"{word} rule wan: expected {finding['expected']}, observed " in outcome.stderr
    assert outcome.stderr.count("verdict: fail") == 1
    human = program.simulate(scenario, [some.path], out="/dev/null", json_form=False)
    assert human.status == 1 and human.stdout == "" and "FAIL rule wan: expected loss: <= 1%" in human.stderr


def test_junit_that_cannot_be_written(program, few):
    outcome = program.simulate(scenario_of(("wan", ["loss: 1%"]), seed=1), [few.path], "--junit",
                               "nowhere/junit.xml")
    assert outcome.status == 5 and "nowhere/junit.xml" in outcome.stderr
    assert json.loads(outcome.stdout)["ok"] is False


def test_variation_from_packet_to_packet(program, some):
    """The steps between the delays of packets that went on, one after another, as the journal has them;
    of a constant delay there are none; each path for itself."""
    scenario = scenario_of(
        ("free", ["loss: 10%", "delay: {time: 40ms, jitter: 5ms, distribution: normal, order: free}"],
         "{dport: 20000-20009}"),
        ("same", ["delay: 20ms"], "{dport: 20010-20019}"), seed=5) + """
expect:
  - {rule: free, ipdv_p50: 4.77ms ± 0.2ms, ipdv_p99: "<= 20ms"}
  - {rule: same, ipdv_p99: 0ms}
  - {rule: free, ipdv_p90: 10ms ± 1ms}
"""
    outcome = judged(program, scenario, [some.path], "--journal", "steps.jsonl", status=1)
    failed = [finding["expected"] for finding in outcome.stats["verdict"]["expectations"]
              if not finding["pass"]]
    assert failed == ["ipdv_p90: 10ms ± 1ms"]
    lines = [line for line in map(json.loads, (program.folder / "steps.jsonl").open())
             if line["rule"] == "free" and line["action"] == "delay"]
    delays = [line["delay_ns"] for line in sorted(lines, key=lambda line: line["t_ns"])]
    steps = sorted(abs(later - earlier) for earlier, later in zip(delays, delays[1:]))
    found = outcome.stats["rules"]["free"]["ipdv"]
    assert found["steps"] == len(steps) > 40_000
    for share, key in ((0.5, "p50_ns"), (0.9, "p90_ns"), (0.99, "p99_ns")):
        assert abs(found[key] / steps[int(share * len(steps))] - 1) < 0.03
    assert outcome.stats["rules"]["same"]["ipdv"]["p99_ns"] == 0
    assert "ipdv" not in judged(program, scenario_of(("wan", ["delay: 1ms"])), [some.path]).stats["rules"]["wan"]


def test_variation_of_too_many_rules(program, few):
    scenario = scenario_of(*((f"r{number}", ["delay: 1ms"]) for number in range(17))) + "expect:\n" + "".join(
        f"  - {{rule: r{number}, ipdv_p99: 1ms}}\n" for number in range(17))
    refused = program.simulate(scenario, [few.path])
    assert refused.status == 1 and "ipdv of more than 16 rules; at most 16" in refused.stderr


def test_variation_of_a_rule_whose_values_a_trigger_sets(program, some):
    """One count for the rule, before and behind: from 20 to 80 ms is one step; the rule behind it in the
    list has its own."""
    scenario = scenario_of(("wan", ["delay: 20ms"], "{sport: 10003}"),
                           ("lan", ["delay: 1ms"], "{sport: 10004}"), seed=5) + """
timeline:
  - {when: {rule: wan, match: 100}, rule: wan, set: {delay: {time: 80ms}}, for: 10s}
expect:
  - {rule: wan, ipdv_p50: 0ms}
  - {rule: lan, ipdv_p99: 0ms}
"""
    outcome = judged(program, scenario, [some.path])
    for rule in ("wan", "lan"):
        found = outcome.stats["rules"][rule]
        assert found["ipdv"]["steps"] == found["matched"] - 1 > 1_000
        assert found["ipdv"]["p99_ns"] == 0
