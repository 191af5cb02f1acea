"""faultline pause: real processes are stopped and go on again, whatever happens to who stopped them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from traffic import wait_for
from wire import BUILD, PORTS

pytestmark = pytest.mark.patient

NODES = PORTS + "nodes: {b: {ip: 10.77.0.2}}\n"
TICKER = """
import sys, time
while True:
    print(time.monotonic(), flush=True)
    time.sleep(0.01)
"""


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


@pytest.fixture
def victim(wire):
    process = subprocess.Popen([sys.executable, "-c", TICKER], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def pause_words(wire, victim, *options):
    return [str(BUILD / "faultline"), "--socket", str(wire.socket), "pause", *options, "--command",
            f"kill -STOP {victim.pid}", "--resume", f"kill -CONT {victim.pid}"]


def test_a_process_is_stopped_and_goes_on(wire, victim):
    """For the time asked; the kernel of a stopped process still acknowledges, which one on the wire
    would not."""
    server = subprocess.Popen(
        wire.inside_words("b", sys.executable, "-c",
                          "import socket, time\ns = socket.create_server(('', 5000))\n"
                          "print('ready', flush=True)\nc, _ = s.accept()\ntime.sleep(60)"),
        text=True, stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == "ready\n"
        wire.start(NODES)
        began = time.monotonic()
        pausing = subprocess.Popen(
            [str(BUILD / "faultline"), "--socket", str(wire.socket), "pause", "--for", "2s",
             "--command", f"kill -STOP {server.pid}", "--resume", f"kill -CONT {server.pid}",
             "--json"], stdout=subprocess.PIPE, text=True)
        wait_for(lambda: is_stopped(server.pid), seconds=2)
        acknowledged = wire.inside(
            "a", sys.executable, "-c",
            "import socket, struct\nc = socket.create_connection(('10.77.0.2', 5000), 1)\n"
            "c.send(b'x')\nimport time; time.sleep(0.3)\n"
            "print(struct.unpack('I', __import__('fcntl').ioctl(c, 0x5411, bytes(4)))[0])").stdout
        assert acknowledged.strip() == "0", "nothing is waiting to be acknowledged"
        told = json.loads(pausing.communicate(timeout=10)[0])
        assert pausing.returncode == 0 and not is_stopped(server.pid)
        assert 1.9 < time.monotonic() - began < 6
        assert told["resumed_because"] == "time" and 1.9e9 < told["paused_ns"] < 4e9
        assert told["command_status"] == told["resume_status"] == 0
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_client_dies(wire, victim, number):
    """Killed or ended, the client leaves nothing stopped behind."""
    wire.start(NODES)
    client = subprocess.Popen(pause_words(wire, victim, "--for", "60s"))
    wait_for(lambda: is_stopped(victim.pid), seconds=5)
    client.send_signal(number)
    wait_for(lambda: not is_stopped(victim.pid), seconds=5)
    assert client.wait(timeout=10) != 0


def test_the_daemon_dies(wire, victim):
    """So does a daemon that is killed: the client says 3."""
    wire.start(NODES)
    client = subprocess.Popen(pause_words(wire, victim, "--for", "60s"))
    wait_for(lambda: is_stopped(victim.pid), seconds=5)
    wire.daemon.kill()
    wire.daemon.wait()
    wait_for(lambda: not is_stopped(victim.pid), seconds=10)
    assert client.wait(timeout=10) == 3
    wire.daemon = None


def test_commands_that_fail_or_hang(wire, victim, tmp_path):
    """A command that fails is undone at once; one that hangs is ended after its time; what is asked
    wrongly runs nothing."""
    wire.start(NODES)
    mark = tmp_path / "resumed"

    def pause(*options):
        return wire.cli("pause", *options, "--resume", f"touch {mark}", check=False)

    began = time.monotonic()
    assert pause("--for", "60s", "--command", "exit 7").returncode == 1
    assert mark.exists() and time.monotonic() - began < 5
    mark.unlink()
    assert pause("--for", "60s", "--timeout", "500ms", "--command", "sleep 60").returncode == 1
    assert mark.exists() and time.monotonic() - began < 10
    mark.unlink()
    assert pause("--for", "1s").returncode == 2
    assert wire.cli("pause", "--for", "1s", check=False).returncode == 2
    assert wire.cli("pause", "b", check=False).returncode == 2
    # A node that there is not: the command is undone.
    assert pause("zz", "--for", "60s", "--command", "true").returncode == 1
    assert mark.exists() and time.monotonic() - began < 20


def test_a_node_on_the_wire(wire):
    """Without commands the wire stands still, by a rule that ends by itself."""
    wire.start(NODES)
    wire.cli("pause", "b", "--for", "1500ms", "--buffer", "100p", "--kind", "link")
    assert wire.get("/v1/rules/pause.b")[1]["active"]
    began = time.monotonic()
    done = wire.inside("a", "ping", "-c", 1, "-W", 5, "10.77.0.2")
    assert " 0% packet loss" in done.stdout and time.monotonic() - began > 0.8
    assert wire.cli("pause", "nobody", "--for", "1s", check=False).returncode == 1
