"""Every statement of docs/semantics.md is held by tests that exist, or says why it is for later."""

import re
from pathlib import Path

import pytest

from statements import STATEMENTS

REPOSITORY = Path(__file__).resolve().parents[2]
NUMBERS = re.findall(r"^\| ([A-Z]\d+) \|", (REPOSITORY / "docs/semantics.md").read_text("utf-8"),
                     re.MULTILINE)


def names_of_tests():
    """Of all runners: functions of pytest, Suite.Name of GoogleTest."""
    names = set()
    for path in REPOSITORY.glob("tests/**/*.py"):
        names.update(re.findall(r"^ *def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))
    for path in REPOSITORY.glob("tests/unit/*.cpp"):
        names.update(map(".".join, re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)",
                                              path.read_text("utf-8"), re.MULTILINE)))
    return names


NAMES = names_of_tests()


def faults(statements, numbers, names):
    """What is wrong with the table."""
    told = [f"{number} is in no row" for number in numbers if number not in statements]
    told += [f"{number} is no statement" for number in statements if number not in numbers]
    for number, held_by in statements.items():
        if not held_by.startswith("later: "):
            told += [f"{number}: no test is called {name}" for name in held_by.split() or ["''"]
                     if name not in names]
    return told


def test_the_numbers_are_in_order():
    """No number twice, none left out."""
    assert len(NUMBERS) == len(set(NUMBERS)) > 80
    for letter in sorted({number[0] for number in NUMBERS}):
        mine = [int(number[1:]) for number in NUMBERS if number[0] == letter]
        assert mine == list(range(1, len(mine) + 1)), letter


def test_every_statement_is_held():
    assert faults(STATEMENTS, NUMBERS, NAMES) == []


@pytest.mark.parametrize("statements,told", [
    ({}, "A1 is in no row"),
    ({"A1": "test_x", "A2": "test_x"}, "A2 is no statement"),
    ({"A1": "test_x test_y"}, "A1: no test is called test_y"),
    ({"A1": ""}, "A1: no test is called ''"),
])
def test_faults_are_found(statements, told):
    """A check that cannot fail proves nothing."""
    assert faults(statements, ["A1"], {"test_x"}) == [told]
    assert faults({"A1": "later: it is"}, ["A1"], {"test_x"}) == []
