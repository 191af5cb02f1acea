"""No fault and no match without a test: each page of docs/faults has a row of tests that exist, and
each key that a page has, or the list of matches, is written in a test of it."""

import re
from pathlib import Path

import pytest

from faults import FAULTS
from test_statements import NAMES, faults

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = {path.stem: path.read_text("utf-8") for path in REPOSITORY.glob("docs/faults/*.md")}
SIMULATED = [path.read_text("utf-8") for path in sorted(REPOSITORY.glob("tests/sim/*.py"))]


def keys_of(page):
    """The words in backticks at the beginning of rows, of tables whose head says `key`."""
    keys, listing = [], False
    for line in page.splitlines():
        first = line.split("|")[1].strip() if line.startswith("|") else ""
        listing = bool(first) and (listing or first == "key")
        keys += re.findall(r"`(\w+)(?=[`:])", first) if listing else []
    return keys


def word_of(stem):
    """What is written in a rule: loss is one word with many pages."""
    return "loss" if stem.startswith("loss_") else stem


def untested(stem, keys, texts):
    """The keys that no test writes beside the fault's word."""
    near = [text for text in texts if re.search(rf"\b{word_of(stem)}: ", text)]
    return [key for key in keys if not any(re.search(rf"\b{key}\"?:", text) for text in near)]


def texts_of(stem):
    unit = REPOSITORY / f"tests/unit/impair_{stem}_test.cpp"
    return SIMULATED + [unit.read_text("utf-8")] * unit.exists()


def test_every_page_has_its_tests():
    """Rows and pages are the same, and of each row one test at least is simulated."""
    assert faults(FAULTS, sorted(PAGES), NAMES) == []
    simulated = set(re.findall(r"^def (test_\w+)", "\n".join(SIMULATED), re.MULTILINE))
    assert [stem for stem, names in FAULTS.items() if not simulated & set(names.split())] == []


@pytest.mark.parametrize("stem", sorted(PAGES))
def test_every_key_of_a_fault_is_tested(stem):
    assert untested(stem, keys_of(PAGES[stem]), texts_of(stem)) == []


def test_every_match_is_tested():
    """The keys of docs/match.md, each in a match of a simulated test."""
    keys = keys_of((REPOSITORY / "docs/match.md").read_text("utf-8"))
    assert len(keys) > 20
    text = "\n".join(text for text in SIMULATED if "match" in text)
    assert [key for key in keys if not re.search(rf"\b{key}\"?:", text)] == []


def test_a_key_without_a_test_is_found():
    """A check that cannot fail proves nothing."""
    page = "| key | value |\n|---|---|\n| `one`, `two` | x |\n\n| other | x |\n|---|---|\n| `no` |"
    assert keys_of(page) == ["one", "two"]
    assert untested("set", ["one", "two"], ["set: {one: 1}", "rate: {two: 2}"]) == ["two"]
    assert untested("loss_all", ["model"], ["loss: {model: all}"]) == []
