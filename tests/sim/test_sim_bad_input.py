"""What cannot be worked with is refused with the right exit status, in words that name it."""

import json
import re

import pytest

from model import captures
from program import scenario_of

GOOD = scenario_of(("wan", ["loss: 1%"]), seed=1)
USAGE, UNUSABLE, WRONG = 2, 5, 1


def refused(outcome, status, *words):
    """Whether by stdout or stderr, the words must appear, and at least one line for people."""
    assert outcome.status == status, outcome.text()
    said = outcome.stdout + outcome.stderr
    for word in words:
        assert re.search(word, said, re.IGNORECASE), (word, outcome.text())
    assert outcome.stderr.strip(), outcome.text()


# -- captures -------------------------------------------------------------------------------------

def test_missing_input(program):
    """A capture that is not there is exit 5 and named."""
    refused(program.simulate(GOOD, ["nowhere.pcap"]), UNUSABLE, r"nowhere\.pcap")


@pytest.mark.parametrize("content", (b"", b"hello, this is a text and no capture\n" * 3,
                                     bytes(4096)), ids=("empty-file", "text", "zeros"))
def test_not_a_capture(program, tmp_path, content):
    """A file that is no capture is exit 5 and named."""
    (tmp_path / "odd.pcap").write_bytes(content)
    refused(program.simulate(GOOD, [tmp_path / "odd.pcap"]), UNUSABLE, r"odd\.pcap")


@pytest.mark.parametrize("write, suffix", ((captures.write_pcap, "pcap"),
                                           (captures.write_pcapng, "pcapng")),
                         ids=("pcap", "pcapng"))
@pytest.mark.parametrize("link_type, name", ((105, r"802[._]?11"), (127, "radiotap"), (0, "null")))
def test_other_link_types(program, few, tmp_path, write, suffix, link_type, name):
    """A link type other than Ethernet is exit 5 by name: IEEE 802.11, radiotap, BSD loopback."""
    path = tmp_path / f"radio.{suffix}"
    write(path, few.capture, link_type=link_type)
    refused(program.simulate(GOOD, [path]), UNUSABLE, rf"radio\.{suffix}", name)


@pytest.mark.parametrize("write, suffix", ((captures.write_pcap, "pcap"),
                                           (captures.write_pcapng, "pcapng")),
                         ids=("pcap", "pcapng"))
@pytest.mark.parametrize("missing", (1, 60, 70), ids=("in-data", "in-data-early", "in-header"))
def test_truncated_capture(program, few, tmp_path, write, suffix, missing):
    """A capture that ends within a packet is exit 5, saying where."""
    path = tmp_path / f"cut.{suffix}"
    write(path, few.capture.take(few.capture.length == 60))
    path.write_bytes(path.read_bytes()[:-missing])
    refused(program.simulate(GOOD, [path]), UNUSABLE, rf"cut\.{suffix}", r"\d+")


# -- scenarios ------------------------------------------------------------------------------------

def test_missing_scenario(program, few):
    """A scenario that is not there is exit 5 and named."""
    refused(program.simulate(program.folder / "nowhere.yaml", [few.path]), UNUSABLE,
            r"nowhere\.yaml")


def wrong(rule_lines, line, column, *words):
    text = "version: 1\nrules:\n  - name: wan\n" + rule_lines
    return text, line, column, words


# text, line and column of what is wrong (from 1), words that must be said
WRONG_SCENARIOS = {
    "unknown-key": wrong("    impiar:\n      - loss: 1%\n", 4, 5, "impiar",
                         "did you mean 'impair'"),
    "unknown-impairment": wrong("    impair:\n      - lost: 1%\n", 5, 9, "lost",
                                "did you mean 'loss'"),
    "unknown-model": wrong("    impair:\n      - loss: {model: bernouli, rate: 1%}\n", 5, 23,
                           "bernouli", "did you mean 'bernoulli'"),
    "missing-unit": wrong("    impair:\n      - delay: 40\n", 5, 16, "40", "ms"),
    "over-one": wrong("    impair:\n      - loss: 101%\n", 5, 15, "101%", "100%"),
    "negative": wrong("    impair:\n      - loss: -1%\n", 5, 15, "-1%"),
    "no-probability": wrong("    impair:\n      - loss: {model: gilbert-elliott, p: 2.5, r: 20%}\n",
                            5, 43, r"2\.5"),
    "duplicate-key": wrong("    impair:\n      - loss: 1%\n    impair:\n      - loss: 2%\n", 6, 5,
                           "impair"),
}


@pytest.mark.parametrize("form", ("people", "json"))
@pytest.mark.parametrize("case", WRONG_SCENARIOS)
def test_wrong_scenario(program, few, case, form):
    """A scenario that can be read but is wrong is exit 1: FILE:LINE:COL: error: on stderr, what was
    found, what is allowed, the nearest word; with --json also an array `errors` with the same."""
    text, line, column, words = WRONG_SCENARIOS[case]
    outcome = program.simulate(text, [few.path], json_form=form == "json")
    assert outcome.status == WRONG, outcome.text()
    file = str(program.folder / "scenario.yaml")
    if form == "json":
        errors = json.loads(outcome.stdout)["errors"]
        assert errors and all(set(error) >= {"file", "line", "column", "message", "allowed",
                                             "suggestion"} for error in errors)
        here = [error for error in errors
                if (error["file"], error["line"], error["column"]) == (file, line, column)]
        assert here, outcome.text()
        said = f"{here[0]['message']}; {here[0]['allowed']}; "
        said += f"did you mean '{here[0]['suggestion']}'?"
    else:
        said = outcome.stderr
        assert f"{file}:{line}:{column}: error: " in said, outcome.text()
    for word in words:
        assert re.search(word, said), (word, outcome.text())


def test_all_errors_at_once(program, few):
    """All errors of a file, not the first only, each on a line of its own."""
    text = ("version: 1\nrules:\n  - name: a\n    impair:\n      - loss: 101%\n      - delay: 40\n"
            "  - name: b\n    impiar: []\n")
    outcome = program.simulate(text, [few.path], json_form=False)
    assert outcome.status == WRONG
    lines = set(map(int, re.findall(r"scenario\.yaml:(\d+):\d+: error: ", outcome.stderr)))
    assert {5, 6, 8} <= lines, outcome.text()
    errors = json.loads(program.simulate(text, [few.path]).stdout)["errors"]
    assert {error["line"] for error in errors} == lines


# -- output and options ---------------------------------------------------------------------------

@pytest.mark.parametrize("out", ("no/such/folder/out.pcapng", ".", "/dev/full"),
                         ids=("no-folder", "a-folder", "disk-full"))
def test_output_that_cannot_be_written(program, some, out):
    """An output path that cannot be created, or not be written to the end, is exit 5 and named."""
    outcome = program.simulate(GOOD, [some.path], out=out)
    refused(outcome, UNUSABLE, re.escape(str(program.folder / out)))


@pytest.mark.parametrize("option, value", [
    *(("--burst", value) for value in ("0", "65", "-1", "many", "1.5", "")),
    *(("--workers", value) for value in ("0", "-1", "many", "4294967297", "")),
    *(("--seed", value) for value in ("-1", "dice", "18446744073709551616")),
    ("--no-such-option", "1"),
])
def test_bad_options(program, few, option, value):
    """An option's value that makes no sense is exit 2, naming the option."""
    refused(program.simulate(GOOD, [few.path], f"{option}={value}"), USAGE, option.lstrip("-"))


def test_what_must_be_given(program, few, tmp_path):
    """Without a scenario, without --in or without --out it is exit 2."""
    scenario = tmp_path / "good.yaml"
    scenario.write_text(GOOD)
    out = tmp_path / "out.pcapng"
    for arguments in ((), (scenario,), (scenario, "--in", few.path), (scenario, "--out", out),
                      ("--in", few.path, "--out", out)):
        outcome = program.run("simulate", *arguments)
        assert outcome.status == USAGE and outcome.stderr.strip(), (arguments, outcome.text())
    assert program.run("simulate", scenario, "--in", few.path, "--out", out).status == 0
