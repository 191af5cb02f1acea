"""The transcripts of docs/trouble.md that are of a rack: each run again says the same, word for word."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from wire import REPOSITORY

NAMES = ("etcd", "sentinel", "mute", "pause")


@pytest.fixture(scope="module")
def transcripts():
    """All of them, begun at once; each has a rack of its own."""

    def play(name):
        return subprocess.run([REPOSITORY / "scripts/trouble", name], text=True, check=False,
                              capture_output=True, timeout=180)

    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(play, name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_tells_what_happens(transcripts, name):
    """scripts/trouble does what docs/trouble.md shows."""
    done = transcripts[name].result()
    assert done.returncode == 0, done.stderr
    page = (REPOSITORY / "docs/trouble.md").read_text(encoding="utf-8")
    assert f"<!-- {name} -->\n```\n{done.stdout}```\n" in page, done.stdout
