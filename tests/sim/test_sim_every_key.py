"""The scenario that has every key of the language is read and compiled, and the key that is changed to
one that is none is refused by name."""

import re
import subprocess

from program import REPOSITORY, find_program

FOLDER = REPOSITORY / "tests" / "sim" / "every_key"
TEXT = (FOLDER / "every-key.yaml").read_text(encoding="utf-8")


def check(name, folder):
    return subprocess.run([find_program(), "check", name], cwd=folder, capture_output=True, text=True,
                          timeout=60)


def test_every_key_is_supported():
    done = check("every-key.yaml", FOLDER)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr and "not yet" not in done.stderr


def test_a_key_that_is_none_is_refused(tmp_path):
    """Each top-level key in turn, with a letter more."""
    for path in FOLDER.iterdir():
        if path.name != "every-key.yaml":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    keys = re.findall(r"^([a-z_]+):", TEXT, re.MULTILINE)
    assert len(keys) >= 15
    for key in keys:
        wrong = re.sub(rf"^{key}:", f"{key}x:", TEXT, count=1, flags=re.MULTILINE)
        (tmp_path / "wrong.yaml").write_text(wrong, encoding="utf-8")
        done = check("wrong.yaml", tmp_path)
        line = 1 + TEXT[:re.search(rf"^{key}:", TEXT, re.MULTILINE).start()].count("\n")
        assert done.returncode == 1
        assert f"wrong.yaml:{line}:1: error: scenario: unknown key '{key}x'" in done.stderr, done.stderr
