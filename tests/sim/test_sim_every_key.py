"""The scenario that has every key of the language: what is refused of it, by name."""

import re
import subprocess

from program import REPOSITORY, find_program

FOLDER = REPOSITORY / "tests" / "sim" / "every_key"


def refusals():
    """LINE:COLUMN and message."""
    done = subprocess.run([find_program(), "check", "every-key.yaml"], cwd=FOLDER,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    return [re.fullmatch(r"every-key\.yaml:(\d+:\d+): error: ([^;]*)(;.*)?", line).expand(r"\1 \2")
            for line in done.stderr.splitlines()]


def test_only_what_is_not_yet_supported_is_refused():
    """Each by its own name and place; what the list does not name is supported."""
    listed = [line for line in (FOLDER / "not-yet.txt").read_text(encoding="utf-8").splitlines()
              if not line.startswith("#")]
    assert refusals() == listed
    for line in listed:
        assert "is not yet supported" in line or line.endswith("unknown port 'db1'"), line


def test_refused_keys_stand_where_the_message_says():
    """The key or value in quotes is found at its line and column."""
    lines = (FOLDER / "every-key.yaml").read_text(encoding="utf-8").splitlines()
    for refusal in refusals():
        line, column, word = re.match(r"(\d+):(\d+) .*?'([^']*)'", refusal).groups()
        text = lines[int(line) - 1][int(column) - 1:]
        assert text.lstrip('"').startswith(word), refusal
