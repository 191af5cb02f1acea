"""Each system model's promise, kept and broken on purpose: the certificate names the first packet
that left it, and why."""

import pytest

from model import captures
from program import scenario_of
from test_sim_pause import MS, Both


def certificate(program, model, rules, traffic=None, options=()):
    text = (f"version: 1\nseed: 2\nmodel: {model}\n"
            "nodes: {a: {ip: 10.0.0.1}, b: {ip: 10.0.0.2}}\n" + rules)
    traffic = traffic or Both(program.folder).add_every(MS, 1000)
    outcome = program.simulated(text, traffic.inputs(), *options)
    assert outcome.stats["model"]["name"] == model.strip("{").split(",")[0].removeprefix("name: ")
    return outcome.stats["model"], outcome


def rule(impair, **keys):
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"rules:\n  - {{name: r, impair: [{impair}]{more}}}\n"


SYNCHRONOUS = "{name: synchronous, delay_max: 20ms}"


@pytest.mark.parametrize("model,rules", [
    (SYNCHRONOUS, rule("delay: 20ms")),
    ("asynchronous", rule("delay: {time: 500ms, jitter: 400ms, order: free}")),
    ("fair-loss", rule("loss: 30%, duplicate: 10%, delay: 10s")),
    ("{name: fair-loss, losses_max: 4}", rule("loss: {model: burst, length: 4, every: 50ms}")),
    ("crash-stop", "timeline:\n  - {at: 500ms, crash: {node: b}}\n"),
    ("crash-recovery", "timeline:\n  - {at: 200ms, for: 100ms, crash: {node: b}}\n"
                       "  - {at: 500ms, for: 100ms, pause: {node: b, buffer: 3p}}\n"),
    ("byzantine", rule("corrupt: {rate: 10%, bits: 3}, loss: 5%, duplicate: 5%")),
    ("{name: partially-synchronous, gst: 500ms, after: 5ms}",
     rule("delay: 300ms", ttl="500ms")),
    ("{name: partially-synchronous, gst: 500ms, after: 5ms, before: lossy}",
     rule("loss: 50%", ttl="500ms")),
    ("{name: partially-synchronous, gst: 500ms, after: 5ms, before: 300ms}",
     rule("delay: 300ms", ttl="500ms")),
])
def test_kept(program, model, rules):
    told, _ = certificate(program, model, rules)
    assert told["holds"] is True and told["breaches"] == 0 and told["broken_by"] is None


@pytest.mark.parametrize("model,rules,what,reason,t_ms,breaches", [
    (SYNCHRONOUS, rule("delay: 20000001ns"), "late", None, 0, 1000),
    (SYNCHRONOUS, rule("loss: {model: list, packets: [7]}", to="right"), "dropped", "loss", 12, 1),
    (SYNCHRONOUS, rule("duplicate: {rate: 100%, copies: 1}", match="{nth: 3}", to="right"),
     "duplicated", None, 4, 1),
    (SYNCHRONOUS, rule("set: {ttl: 3}", match="{nth: 3}", to="left"), "changed", None, 5, 1),
    (SYNCHRONOUS, rule("mark_ce: {rate: 100%}"), None, None, None, 0),
    ("asynchronous", rule("inject: {hex: \"ffffffffffff0200000000010806\", every: 1s, count: 1}",
                          to="right"), "created", None, 0, 1),
    ("asynchronous", rule("reject: true", match="{nth: 5}", to="right"), "created", None, 8, 2),
    ("{name: fair-loss, losses_max: 3}", rule("loss: {model: list, packets: [10-13]}", to="right"),
     "unfair", None, 24, 1),
    ("crash-stop", rule("loss: {model: list, packets: [1]}", to="left"), "dropped", "loss", 1, 1),
    ("crash-stop", "timeline:\n  - {at: 100ms, for: 20ms, pause: {node: b, buffer: 1p}}\n", "dropped",
     "pause", 102, 18),
    ("crash-recovery", "timeline:\n  - {at: 100ms, for: 20ms, partition: {shape: halves}}\n",
     "dropped", "partition", 100, 20),
    ("{name: partially-synchronous, gst: 500ms, after: 5ms}", rule("delay: 6ms"), "late", None, 500,
     500),
    ("{name: partially-synchronous, gst: 500ms, after: 5ms}", rule("loss: all", ttl="3ms"),
     "dropped", "loss", 0, 3),
    ("{name: partially-synchronous, gst: 500ms, after: 5ms, before: lossy}",
     rule("loss: all", ttl="501ms"), "dropped", "loss", 500, 1),
    ("{name: partially-synchronous, gst: 500ms, after: 5ms, before: 299ms}",
     rule("delay: 300ms", ttl="3ms"), "late", None, 0, 3),
])
def test_broken(program, model, rules, what, reason, t_ms, breaches):
    """Also what must not break it: a mark of ECN."""
    told, outcome = certificate(program, model, rules)
    assert told["breaches"] == breaches
    assert told["holds"] is (breaches == 0)
    if breaches == 0:
        return
    first = told["broken_by"]
    assert (first["what"], first["reason"], first["t_ns"]) == (what, reason, t_ms * MS)
    if what != "created":
        forth = t_ms % 2 == 0
        assert (first["port"], first["to"]) == (("left", "right") if forth else ("right", "left"))
        assert first["flow"].startswith("udp 10.0.0.1:" if forth else "udp 10.0.0.2:")
    assert first["took_ns"] == (outcome.stats["rules"]["r"]["delay"]["max_ns"]
                                if what == "late" else None)


def test_a_hold_too_small_for_asynchronous(program, make_input):
    """The tool's own drop breaks the promise, and says that it is one."""
    many = make_input("many", captures.udp_traffic(100_000, spacing_ns=100))
    text = scenario_of(("slow", ["delay: 10s"])) + "model: asynchronous\nhold: {memory: 1MiB}\n"
    told = program.simulated(text, [many.path]).stats["model"]
    assert told["holds"] is False
    assert (told["broken_by"]["what"], told["broken_by"]["reason"]) == ("dropped", "overflow")


def test_without_a_model_nothing_is_certified(program, some):
    assert program.simulated(scenario_of(("r", ["loss: 5%"])), [some.path]).stats["model"] is None


@pytest.mark.parametrize("model,found", [
    ("eventual", "found 'eventual'"),
    ("synchronous", "model: 'delay_max' is missing"),
    ("{name: synchronous, delay_max: 5}", "'5' has no unit"),
    ("{name: asynchronous, delay_max: 5s}", "unknown key 'delay_max'"),
    ("{name: partially-synchronous, gst: 1s}", "model: 'after' is missing"),
    ("{name: partially-synchronous, gst: 1s, after: 1s, before: never}", "found 'never'"),
    ("{name: fair-loss, losses_max: 0}", "'0' is out of range"),
    ("[]", "a list"),
])
def test_wrong_models(program, some, model, found):
    outcome = program.simulate(f"version: 1\nmodel: {model}\n", [some.path])
    assert outcome.status == 1 and found in outcome.stderr, outcome.text()
