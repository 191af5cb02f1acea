"""scripts/demo, to its end and interrupted: it shows what it promises and leaves nothing behind."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from wire import BUILD, REPOSITORY, run


def traces(group):
    """What a demo could leave: namespaces, temporary files, processes of its session."""
    namespaces = {line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line}
    files = {str(path) for path in Path("/tmp").glob("faultline-demo*")}
    processes = run("pgrep", "-f", f"faultline-demo-{group}-|faultline-demo\\.", check=False).stdout
    return ({name for name in namespaces if name.startswith("faultline-demo-")} | files
            | set(processes.split()))


def start_demo(log):
    """The demo in a process group of its own, as a terminal would start it."""
    return subprocess.Popen([REPOSITORY / "scripts/demo", "--no-build"], start_new_session=True,
                            env={**os.environ, "FAULTLINE_BUILD": str(BUILD)},
                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def test_demo_shows_everything(tmp_path):
    """Exit status 0: each fault was seen in the numbers and the books balance."""
    with open(tmp_path / "log", "w+", encoding="utf-8") as log:
        demo = start_demo(log)
        status = demo.wait(timeout=240)
        log.seek(0)
        shown = log.read()
    assert status == 0, shown
    assert "balanced to the packet" in shown
    assert traces(demo.pid) == set()


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing(tmp_path, seconds, number):
    """Ctrl-C (to the whole group) and SIGTERM, early and late."""
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        demo = start_demo(log)
        time.sleep(seconds)
        os.killpg(demo.pid, number)
        status = demo.wait(timeout=60)
    assert status == 128 + number
    assert traces(demo.pid) == set()
