"""What check says beside errors: capacity, power, warnings; and what simulate warns of."""

import json
import re
import time

import pytest

from program import scenario_of

GILBERT = "loss: {model: gilbert-elliott, p: 1%, r: 20%}"


def check(program, text, *options):
    (program.folder / "checked.yaml").write_text(text)
    return program.run("check", "checked.yaml", *options)


def checked(program, text):
    outcome = check(program, text, "--json")
    assert outcome.status == 0, outcome.text()
    return json.loads(outcome.stdout)


def test_both_forms_say_the_same(program):
    text = scenario_of(("wan", [GILBERT, "rate: 1Mbit"]), ("l", ["loss: 1%"])) + (
        "expect: [{rule: l, loss: 1% ± 0.2%}]\n")
    answer = checked(program, text)
    told = check(program, text)
    assert told.status == 0 and told.stdout == ""
    for warning in answer["warnings"]:
        assert f"warning: rule {warning['rule']}: {warning['message']}" in told.stderr
    for power in answer["power"]:
        assert f"{power['expect']}: detects {power['detects']}" in told.stderr
    assert len(answer["warnings"]) == 2 and len(answer["power"]) == 1
    assert [rule["name"] for rule in answer["rules"]] == ["wan", "l"]


def test_power_of_an_expectation(program):
    """Runs in bursts tell less than independent losses: f = 1.79/0.21 = 8.5."""
    found = {}
    for name, impair, rate in (("bursts", GILBERT, "4.7619%"), ("alone", "loss: 4.7619%", "4.7619%")):
        answer = checked(program, scenario_of((name, [impair])) +
                         f"expect: [{{rule: {name}, loss: {rate}}}]\n")
        power, = answer["power"]
        assert power["expect"] == f"{name}: loss: {rate}"
        found[name] = re.fullmatch(r"10% at 10\^(\d+) packets with (0\.\d\d|1\.00)",
                                   power["detects"]).groups()
    assert found == {"bursts": ("6", "0.99"), "alone": ("5", "0.99")}


def test_expectations_that_cannot_be_met(program):
    answer = checked(program, scenario_of(("a", ["loss: 2%"]), ("b", ["loss: {model: bit-error, "
                                                                      "ber: 1e-6}"])) +
                     "expect:\n  - {rule: a, loss: 1% ± 0.5%}\n  - {rule: a, loss: '>= 3%'}\n"
                     "  - {rule: a, loss: 2.3% ± 0.5%}\n  - {rule: b, loss: 1%}\n")
    assert [(warning["rule"], warning["message"]) for warning in answer["warnings"]] == [
        ("a", "loss: 1% ± 0.5%: the rule loses 2 %, so a long run fails"),
        ("a", "loss: >= 3%: the rule loses 2 %, so a long run fails"),
        ("b", "loss: 1%: the rule's loss depends on the traffic")]


@pytest.mark.parametrize("spacing,waits", [(None, False), ("2ms", True)])
def test_share_of_time_that_waits(program, spacing, waits):
    """At the default spacing the field's R is t + d but for less than 10^-4 of time."""
    word = "" if spacing is None else f", correlation_time: {spacing}"
    answer = checked(program, scenario_of(
        ("wan", [f"delay: {{time: 40ms, jitter: 5ms, distribution: normal{word}}}"])))
    waiting = answer["rules"][0]["waiting"]
    assert (waiting > 0.5) if waits else (waiting < 1e-4)
    assert [warning["rule"] for warning in answer["warnings"]] == (["wan"] if waits else [])


@pytest.mark.parametrize("order", ["keep", "free"])
def test_share_of_delays_below_zero(program, order):
    """Phi(-2) of a normal law whose jitter is half its time."""
    answer = checked(program, scenario_of(
        ("wan", [f"delay: {{time: 4ms, jitter: 2ms, distribution: normal, order: {order}}}"])))
    assert abs(answer["rules"][0]["cut"] - 0.022750) < 1e-5
    assert "2.3 % of the delays come out negative" in answer["warnings"][0]["message"]


def test_capacity(program):
    """Numbers in an answer; refused where the ports' speed is known, else a warning."""
    ports = ("ports: {left: {driver: sim, speed: 10Gbit}, right: {driver: sim, speed: 10Gbit}}\n"
             "wires: {lab: [left, right]}\n")
    text = scenario_of(("wan", ["delay: 40ms"])) + "hold: {memory: 50MB}\n"
    answer = checked(program, text)
    capacity = answer["capacity"]
    assert capacity["hold_bytes"] == 50_000_000 and capacity["fits"] is False
    assert capacity["hold_bytes_needed"] == 2 * (10**10 // 8 * 40 // 1000 // 84) * 88
    assert capacity["stay_ns"] == 40_000_000 and capacity["flows"] == 65_536
    warning, = answer["warnings"]
    assert "50000000" in warning["message"] and "104761888" in warning["message"]
    refused = check(program, text + ports)
    assert refused.status == 1 and refused.stdout == ""
    assert refused.stderr == (
        "checked.yaml:7:1: error: the hold has 50000000 bytes, but 10 Gbit/s in 64-byte frames for "
        "40ms need 104761888; more hold.memory, shorter delays, or a port's own speed:\n")
    errors = json.loads(check(program, text + ports, "--json").stdout)["errors"]
    assert errors[0]["line"] == 7 and "104761888" in errors[0]["message"]
    assert checked(program, text + ports.replace("10Gbit", "1Gbit"))["capacity"]["fits"] is True


def test_capacity_of_the_worst_instant(program):
    """A timeline's longest delay counts."""
    text = scenario_of(("wan", ["delay: 1ms"])) + (
        "timeline: [{at: 1s, for: 1s, rule: wan, set: {delay: 40ms}}]\n")
    assert checked(program, text)["capacity"]["stay_ns"] == 40_000_000


def test_flows_count_too(program):
    """What the table of flows takes is told; it is not made to find that out."""
    capacity = checked(program, scenario_of(("wan", ["delay: 1ms"])) + "flows: {max: 1M}\n")["capacity"]
    assert capacity["flows"] == 1_000_000
    assert 100 * 10**6 < capacity["flows_bytes"] < 600 * 10**6


def test_simulate_warns_of_rules_that_match_nothing(program, few):
    rules = scenario_of(("used", ["delay: 1ms"]), ("unused", ["delay: 1ms"], "{proto: tcp}"))
    outcome = program.simulated(rules, [few.path])
    assert "rule unused matched nothing" in outcome.stderr
    assert "rule used" not in outcome.stderr
    allowed = program.simulated(rules.replace("name: unused", "name: unused\n    optional: true"),
                                [few.path])
    assert "matched nothing" not in allowed.stderr


def test_expectations_that_a_usual_run_cannot_tell(program):
    """1 % ± 0.2 % and a tenth beyond: 3.18 σ at 10^5 packets, less z = 3.66, for four tests share the
    run's 0.1 %."""
    answer = checked(program, scenario_of(("l", ["loss: 1%"]), ("m", ["loss: 5%"]), ("d", ["loss: 1%"])) +
                     "expect: [{rule: l, loss: 1% ± 0.2%}, {rule: m, loss: 5%}, {rule: d, delay_p50: 1ms}]\n")
    assert [(warning["rule"], warning["message"]) for warning in answer["warnings"]] == [
        ("l", "loss: 1% ± 0.2%: 10^5 packets tell a loss 30% off with 0.31 only"),
        ("d", "delay_p50: 1ms: the rule delays nothing")]
    assert [power["expect"] for power in answer["power"]] == ["l: loss: 1% ± 0.2%", "m: loss: 5%"]


@pytest.mark.parametrize("impairment", [
    "loss: {model: markov4, p13: 1e-9, p31: 1e-8}",
    "delay: {time: 40ms, jitter: 5ms, distribution: normal}"])
def test_a_thousand_rules_are_weighed_soon(program, impairment):
    """About a second for chains that hardly move, and for fields; 20 s are allowed here."""
    began = time.monotonic()
    answer = checked(program, scenario_of(*((f"r{at}", [impairment]) for at in range(1000))))
    assert len(answer["rules"]) == 1000 and time.monotonic() - began < 20
