"""What simulate tells about packets: comments, the capture of drops, the journal. Equal for every
burst size, and in agreement with each other and with the statistics."""

import json

import numpy as np
import pytest

from model import captures
from program import scenario_of

RULES = scenario_of(("thin", ["loss: 10%"], "{sport: 10000-10009}"),
                    ("wan", ["delay: 40123us"], "{sport: 10005-10019}"),
                    ("gone", ["loss: {model: gilbert, p: 2%, r: 30%}"]), seed=5)


def comments(capture):
    """Comment (or None) by serial number."""
    texts = {int(serial): capture.comment(at) for at, serial in enumerate(capture.serial())}
    assert all(len(text) <= 1 for text in texts.values())
    return {serial: text[0] if text else None for serial, text in texts.items()}


@pytest.fixture(scope="module")
def told(program, some):
    outcome = program.simulated(RULES, [some.path], "--drops", program.folder / "drops.pcapng",
                                "--journal", program.folder / "journal.jsonl")
    journal = [json.loads(line) for line in
               (program.folder / "journal.jsonl").read_text().splitlines()]
    return outcome, captures.read_pcapng(program.folder / "drops.pcapng"), journal


def test_comments_say_which_rule_did_what(told, some):
    outcome, _, _ = told
    port = some.capture.bytes_[:, 34].astype(int) * 256 + some.capture.bytes_[:, 35]
    port_of = dict(zip(some.capture.serial().tolist(), port.tolist()))
    arrival = dict(zip(some.capture.serial().tolist(), some.capture.time_ns.tolist()))
    released = dict(zip(outcome.output.serial().tolist(), outcome.output.time_ns.tolist()))
    wanted = {}
    for serial in released:
        late = 10005 <= port_of[serial] <= 10019
        assert released[serial] - arrival[serial] == (40_123_000 if late else 0)
        wanted[serial] = "rule=wan impairment=delay delay=40.123ms" if late else None
    assert comments(outcome.output) == wanted


def test_drops_are_those_that_are_missing(told, some):
    outcome, drops, _ = told
    missing = set(some.capture.serial().tolist()) - set(outcome.output.serial().tolist())
    assert set(drops.serial().tolist()) == missing and len(drops) == len(missing)
    said = comments(drops).values()
    thin = sum(text == "rule=thin impairment=loss drop=loss" for text in said)
    assert thin == outcome.stats["rules"]["thin"]["dropped"] > 1000
    gone = sum(text.endswith("rule=gone impairment=loss drop=loss") for text in said)
    assert gone == outcome.stats["rules"]["gone"]["dropped"] > 1000
    assert thin + gone == len(missing)


def test_the_journal_has_a_line_for_each_change(told, some):
    outcome, drops, journal = told
    rules = outcome.stats["rules"]
    assert len(journal) == sum(rules[name]["dropped"] + rules[name]["delayed"] for name in rules)
    lost = [line for line in journal if line["action"] == "drop"]
    assert len(lost) == len(drops)
    assert all(line["reason"] == "loss" and line["release_ns"] is None for line in lost)
    first = journal[0]
    assert set(first) >= {"t_ns", "port", "to", "flow", "packet_in_flow", "rule", "impairment",
                          "action", "reason", "release_ns", "edit", "length", "hash"}
    assert (first["port"], first["to"]) == ("left", "right")
    number = {(int(time), f"udp 10.0.0.{flow}:{10000 + flow} > 10.0.1.{flow}:{20000 + flow}",
               int(length)): int(number)
              for time, flow, length, number in
              zip(some.capture.time_ns, some.capture.bytes_[:, 29], some.capture.length,
                  some.number)}
    for line in journal[::97]:
        assert number[(line["t_ns"], line["flow"], line["length"])] == line["packet_in_flow"]


@pytest.mark.parametrize("options", [("--burst", "1"), ("--burst", "64")])
def test_records_do_not_depend_on_bursts(program, told, some, options):
    again = program.simulated(RULES, [some.path], *options, "--drops",
                              program.folder / "drops2.pcapng", "--journal",
                              program.folder / "journal2.jsonl", out="out2.pcapng")
    for one, two in (("out.pcapng", "out2.pcapng"), ("drops.pcapng", "drops2.pcapng"),
                     ("journal.jsonl", "journal2.jsonl")):
        assert (program.folder / one).read_bytes() == (program.folder / two).read_bytes(), one
    assert again.stats["rules"] == told[0].stats["rules"]


def test_annotate(program, few):
    """none, touched (the default) and all."""
    text = scenario_of(("wan", ["delay: 1ms"], "{sport: 10000}"), seed=1)
    for word, untouched in (("none", None), ("touched", None), ("all", "untouched")):
        outcome = program.simulated(text, [few.path], "--annotate", word)
        flow = outcome.output.bytes_[:, 29]
        assert 0 < np.count_nonzero(flow == 0) < len(flow)
        touched = None if word == "none" else "rule=wan impairment=delay delay=1ms"
        assert list(comments(outcome.output).values()) == \
            [touched if number == 0 else untouched for number in flow]
    assert program.simulate(text, [few.path], "--annotate", "some").status == 2


def test_files_that_cannot_be_written(program, few):
    text = scenario_of(("wan", ["delay: 1ms"]), seed=1)
    for option in ("--drops", "--journal"):
        outcome = program.simulate(text, [few.path], option, "/nowhere/file")
        assert outcome.status == 5
        assert "/nowhere/file: error: cannot be opened for writing: No such" in outcome.stderr
        outcome = program.simulate(text, [few.path], option, few.path)
        assert outcome.status == 5 and "is an input as well" in outcome.stderr
