"""The benchmark's rows and command line hold together; what they measure is nobody's verdict here."""

import subprocess
from pathlib import Path

from rows import GROUPS, QUICK

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench"
ROWS = [row for group in GROUPS.values() for row in group]


def bench(*words):
    """Its status and what it said."""
    done = subprocess.run([BENCH, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_names_are_unique_and_bases_come_before_what_is_measured_by_them():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for row in ROWS:
        assert row.base is None or names.index(row.base) < names.index(row.name), row.name
        assert row.goal is None or row.base is not None, row.name
    assert set(QUICK) <= set(names)


def test_bad_words_are_refused_with_a_reason():
    for words, said in ((("--rounds", "0"), "--rounds is at least 1"),
                        (("--group", "none"), "invalid choice: 'none'"),
                        (("--write",), "--write goes with --callgrind"),
                        (("--quick", "--payload"), "not allowed with")):
        status, text = bench(*words)
        assert status == 2 and said in text, text
    status, text = bench("--only", "no such row")
    assert status == 1 and "no row's name contains 'no such row'" in text
