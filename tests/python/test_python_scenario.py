"""Scenarios made in Python are ones that `faultline check` accepts, and its reader of YAML reads
what libyaml reads."""

import json
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from faultline import FaultlineError, Rule, Scenario, at, duration, impair, rule, yaml
from faultline.impair import KINDS

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAULTLINE_BUILD", REPOSITORY / "build"))
CONFIGS = sorted(REPOSITORY.glob("configs/*.yaml"))
PAGES = sorted(REPOSITORY.glob("docs/**/*.md"))
BLOCKS = [(f"{page.stem}-{number}", block) for page in PAGES for number, block in enumerate(
    re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))]
NODES = {"a": {"ip": "10.0.0.1"}, "b": {"ip": "10.0.0.2"}}

# Each kind by keywords; delays and losses by short values too.
MADE = {
    "clock": [impair.clock(node="a", offset="250ms", drift="50ppm")],
    "corrupt": [impair.corrupt("0.1%", bits=2, where="payload", checksum="fix")],
    "crash": [impair.crash(node="a", kind="host", down=timedelta(seconds=5))],
    "delay": [impair.delay("40ms"), impair.delay(timedelta(milliseconds=40), jitter="5ms",
                                                 distribution="normal")],
    "duplicate": [impair.duplicate(0.02, copies=2)],
    "equivocate": [impair.equivocate(patches=[{"to": "b", "find": "COMMIT", "with_": "ABORT "}])],
    "flap": [impair.flap(port="right", down="200ms", up="1s")],
    "icmp_unreachable": [impair.icmp_unreachable("20%", code="host")],
    "inject": [impair.inject(forge={"arp": {"ip": "192.0.2.9", "mac": "02:00:00:00:00:0a"}},
                             every="1s")],
    "link_trace": [impair.link_trace(file="lte.trace", contents="0\n3\n3\n7\n"),
                   impair.queue("200p")],
    "loss": [impair.loss("5%"), impair.loss("all"),
             impair.loss(model="gilbert-elliott", p="1%", r="20%"),
             impair.loss(model="every", n=10), impair.loss(model="outage", up="10s", down="500ms")],
    "mark_ce": [impair.mark_ce("5%")],
    "mtu": [impair.mtu("1400B", action="icmp")],
    "partition": [impair.partition(shape="one", node="a", tcp_acks="pass")],
    "pause": [impair.pause(node="b", kind="machine", buffer="1000p")],
    "police": [impair.police("1Mbit", burst="10KB")],
    "queue": [impair.rate("10Mbit"), impair.queue("100p", discipline="codel", ecn=True)],
    "rate": [impair.rate("10Mbit", overhead="24B"), impair.queue(limit="100p")],
    "reject": [impair.reject("30%")],
    "reorder": [impair.delay("20ms"), impair.reorder(mode="early", rate="25%", gap=5)],
    "replay": [impair.replay("0.1%", age="2s")],
    "set": [impair.set_(rate="50%", dscp=8, ttl=3)],
    "slot": [impair.slot(min="5ms", max="10ms", packets=16), impair.queue("200p")],
    "stop_after": [impair.stop_after(20)],
    "tcp": [impair.tcp(strip_option=["sack", "timestamp"], clamp_mss=1200)],
    "truncate": [impair.truncate("1%", to="100B", checksum="fix")],
}


def check(path):
    """`faultline check`: its exit status and messages."""
    ended = subprocess.run([BUILD / "faultline", "check", path], capture_output=True, text=True,
                           check=False)
    return ended.returncode, ended.stderr


def accepted(scenario, folder):
    """As YAML and as JSON."""
    for name in ("scenario.yaml", "scenario.json"):
        scenario.save(folder / name)
        assert check(folder / name)[0] == 0, (check(folder / name)[1], (folder / name).read_text())


def test_every_kind_is_one_of_the_builds():
    """Where all losses are one word."""
    build = (REPOSITORY / "src/impair/meson.build").read_text()
    listed = re.search(r"^impairments = \[(.*?)\]", build, re.MULTILINE | re.DOTALL)[1]
    words = {re.sub("^loss_.*", "loss", word) for word in re.findall(r"'(\w+)'", listed)}
    assert words >= set(KINDS) == set(MADE)  # one that is new needs no line in Python
    assert impair.new_one(key="x") == impair.Impairment("new_one", {"key": "x"})


@pytest.mark.parametrize("kind", MADE)
def test_each_kind_is_accepted(kind, tmp_path):
    """Whatever Python made of it, `check` takes it."""
    scenario = Scenario("made", seed=42, nodes=NODES)
    scenario.add("fault", *MADE[kind], enabled=False, ttl=timedelta(minutes=1),
                 **({"from_": "a"} if kind == "equivocate" else {}))
    accepted(scenario, tmp_path)


def test_a_whole_scenario(tmp_path):
    """Ports, wires, nodes, matches, workers, a timeline, expectations."""
    scenario = Scenario("whole", description="all: \"of it\" # here", seed=1, nodes=NODES,
                        ports={"left": {"driver": "sim"}, "right": {"driver": "sim"}},
                        wires={"lab": ["left", "right"]}, workers={"power": "sleep"})
    scenario.add("wan", impair.loss("5%"), from_="left",
                 match={"proto": "tcp", "not_": {"dscp": "ef"}, "dport": [80, "5000-5010"]})
    scenario.add("late", delay="10ms", enabled=False, draw="connection")
    scenario.timeline += [at("10s", rule="wan", set_={"loss": "10%"}),
                          at(timedelta(seconds=20), lasts="6s",
                             partition={"shape": "one", "node": "a"}),
                          at("30s", lasts=timedelta(milliseconds=1500), rule="late", enable=True)]
    scenario.expect.append({"rule": "wan", "loss": "5% ± 0.5%"})
    accepted(scenario, tmp_path)
    assert Scenario.load(tmp_path / "scenario.yaml").to_dict() == scenario.to_dict()
    assert scenario["wan"].from_ == "left"
    with pytest.raises(KeyError, match="wan, late"):
        scenario["other"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_configs_come_through(path, tmp_path):
    """Loaded and written again they are accepted."""
    accepted(Scenario.load(path), tmp_path)


@pytest.mark.parametrize("block", [block for _, block in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_examples_of_the_docs_come_through(block, tmp_path):
    (tmp_path / "example.yaml").write_text(block, encoding="utf-8")
    accepted(Scenario.load(tmp_path / "example.yaml"), tmp_path)


def text_of(value):
    """With scalars as text, for how they are written differs between readers."""
    if isinstance(value, dict):
        return {str(key): text_of(one) for key, one in value.items()}
    if isinstance(value, list):
        return [text_of(one) for one in value]
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value in (None, "~", "null") else str(value)


def test_the_reader_reads_what_libyaml_reads():
    """All scenarios, presets and examples there are."""
    reference = pytest.importorskip("yaml")
    texts = [block for _, block in BLOCKS]
    texts += [path.read_text(encoding="utf-8") for path in REPOSITORY.glob("configs/**/*.yaml")]
    assert len(texts) > 100
    for text in texts:
        assert text_of(yaml.read(text)) == text_of(reference.load(text, reference.BaseLoader)), text


@pytest.mark.parametrize("text,value", [
    ("a: 1\nb: [x, y z, {k: v}, p: q]\n", {"a": 1, "b": ["x", "y z", {"k": "v"}, {"p": "q"}]}),
    ("- a: 1\n  b:\n  - 2\n  - - 3\n- 'it''s'  # so\n", [{"a": 1, "b": [2, [3]]}, "it's"]),
    ("---\nt: |\n  one\n   two\n\nu: |-\n  x\n", {"t": "one\n two\n", "u": "x"}),
    ("{a: \"x\\n\\x41\", b: , c}", {"a": "x\nA", "b": None, "c": None}),
    ("a: http://x#y\nb: 5%\nc: 0x10\nd: 1e-7\ne: ~\nf: -3\ng: 007", {
        "a": "http://x#y", "b": "5%", "c": "0x10", "d": "1e-7", "e": None, "f": -3, "g": "007"}),
    ("[\n  1, # one\n  2,\n]\n", [1, 2]),
    (json.dumps({"a": [1, True, None, "ä\"\\"], "b": {}}),
     {"a": [1, True, None, "ä\"\\"], "b": {}}),
    ("", None),
])
def test_forms_of_yaml(text, value):
    assert yaml.read(text) == value


@pytest.mark.parametrize("text,place", [
    ("a: 1\na: 2\n", "2:1: 'a' a second time"),
    ("{a: 1, a: 2}", "1:9: 'a' a second time"),
    ("a: &x 1\n", "1:4: '&'"), ("a: !t 1\n", "1:4: '!'"), ("a: *x\n", "1:4: '\\*'"),
    ("a: >\n  x\n", "1:4: '>'"), ("a: 1\n  b: 2\n", "2:3: a key"),
    ("a: [1, 2\n", "2:1: ',' or ']'"),
    ("a: 'x' y\n", "1:7: the end of the line"), ("x\ny\n", "2:1: there is more"),
    ("a: {b: }}\n", "1:9: the end"), ("[" * 100, "too deep"), ("a: @x", "1:4"),
])
def test_what_it_does_not_know_is_an_error(text, place):
    """With its place, and never a guess."""
    with pytest.raises(FaultlineError, match=place):
        yaml.read(text, "text")


def test_rules_are_made_of_keywords():
    """In the order written; what no rule has is an error."""
    made = rule(impair.mtu("1400B"), delay="20ms", from_="left", loss="1%", ttl="5s")
    assert made.to_dict() == {"from": "left", "ttl": "5s",
                              "impair": [{"mtu": "1400B"}, {"delay": "20ms"}, {"loss": "1%"}]}
    assert rule(dealy="20ms").to_dict() == {"impair": [{"dealy": "20ms"}]}  # check's to say
    with pytest.raises(FaultlineError, match="unknown key 'dealy' of a rule"):
        Rule.of({"dealy": "20ms"})
    assert Rule.parse("impair: [delay: 20ms]").impair == [{"delay": "20ms"}]
    assert duration(timedelta(seconds=1, microseconds=5)) == "1000005us"


def test_files_are_put_beside_their_names(tmp_path):
    """The daemon opens none; Python does as `faultline apply`."""
    (tmp_path / "lte.trace").write_text("0\n3\n")
    (tmp_path / "words").write_text("one\n")
    (tmp_path / "s.yaml").write_text(
        "version: 1\nrules:\n  - name: x\n    match: {any: [{payload: {patterns: words}}]}\n"
        "    impair: [link_trace: {file: lte.trace}]\n")
    read = Scenario.load(tmp_path / "s.yaml")
    assert read["x"].impair[0]["link_trace"]["contents"] == "0\n3\n"
    assert read["x"].match["any"][0]["payload"]["contents"] == "one\n"
