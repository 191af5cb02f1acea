"""The transcripts of docs/trouble.md that are of a rack: each run again says the same, word for word."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from wire import REPOSITORY

pytestmark = pytest.mark.patient

# They wait for what happens; pause shows how long it took. What they show is tested, with bounds, where
# these programs are: here only the page is.
TOGETHER = ("etcd", "sentinel", "mute")


def play(name):
    """Runs one."""
    return subprocess.run([REPOSITORY / "scripts/trouble", name], text=True, check=False,
                          capture_output=True, timeout=180)


@pytest.fixture(scope="module")
def transcripts():
    """Those that may, begun at once; each has a rack of its own."""
    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(play, name) for name in TOGETHER}


def is_told(done):
    """Whether the page has what this run said."""
    assert done.returncode == 0, done.stderr
    page = (REPOSITORY / "docs/trouble.md").read_text(encoding="utf-8")
    return f"-->\n```\n{done.stdout}```\n" in page


@pytest.mark.long
@pytest.mark.parametrize("name", TOGETHER)
def test_the_page_tells_what_happens(transcripts, name):
    """scripts/trouble does what docs/trouble.md shows."""
    done = transcripts[name].result()
    assert is_told(done), done.stdout


@pytest.mark.parametrize("name", ["pause", pytest.param("clocks", marks=pytest.mark.long)])
def test_the_page_tells_times(name):
    """The same, alone: they tell times, if only in whole seconds or milliseconds."""
    done = play(name)
    assert is_told(done), done.stdout


def test_the_page_tells_how_far_a_satellite_is():
    """The same, in tenths of a second."""
    done = play("far")
    assert is_told(done), done.stdout
