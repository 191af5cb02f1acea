"""A daemon's socket at the near end of `ssh -L`: the Python package on it, and beside another, and what is
left when the connection goes."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from traffic import wait_for
from wire import PORTS, REPOSITORY, Wire

sys.path.insert(0, str(REPOSITORY / "scripts/python"))
from faultline import Daemon, FaultlineError, Fleet, fault  # noqa: E402

pytestmark = pytest.mark.patient

RULES = "rules: [{name: mine, from: left, enabled: false, impair: [loss: 1%]}]\n"
SERVER = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """sshd on loopback that lets in who has the key of its folder: (folder, port)."""
    folder = tmp_path_factory.mktemp("ssh")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(SERVER.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"],
                               stderr=subprocess.DEVNULL)
    yield folder, port
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture
def tunnel(server, tmp_path):
    """Forwards a socket of the machine that one logs in to: gives ssh's process and the near end."""
    folder, port = server
    opened = []

    def forward(far):
        near = tmp_path / f"{len(opened)}.sock"
        opened.append(subprocess.Popen(
            ["ssh", "-N", "-L", f"{near}:{far}", "-p", str(port), "-i", folder / "user", "-F", "none",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
             "-o", "LogLevel=ERROR", f"{os.environ.get('USER', 'root')}@127.0.0.1"]))
        wait_for(near.exists)
        return opened[-1], near

    yield forward
    for process in opened:
        process.kill()
        process.wait()


def active(daemon):
    return [rule["name"] for rule in daemon.rules() if rule["active"]]


def test_faults_through_a_tunnel(tunnel):
    """As on the machine itself, on two daemons at once; who changes is who has logged in."""
    with Wire() as here, Wire() as there:
        here.start(PORTS + RULES)
        there.start(PORTS + RULES)
        _, near = tunnel(there.socket)
        fleet = Fleet({"here": str(here.socket), "there": str(near)})
        pids = {name: status["pid"] for name, status in fleet.each(Daemon.status).items()}
        assert pids == {"here": here.daemon.pid, "there": there.daemon.pid}
        with fleet.fault(delay="5ms", name="both"):
            assert fleet.each(active) == {"here": ["both"], "there": ["both"]}
        assert fleet.each(active) == {"here": [], "there": []}


def test_a_tunnel_that_breaks(tunnel):
    """The block's renewals do not come through any more: the fault ends, and the block says so."""
    with Wire() as wire:
        wire.start(PORTS + RULES)
        process, near = tunnel(wire.socket)
        with pytest.raises(FaultlineError):
            with fault(delay="5ms", name="cut", daemon=Daemon(near)) as one:
                assert active(Daemon(wire.socket)) == ["cut"]
                process.kill()
                broken = time.monotonic()
                while active(Daemon(wire.socket)):
                    assert time.monotonic() < broken + 1.5
                    time.sleep(0.02)
                one.check()
        assert active(Daemon(wire.socket)) == []
