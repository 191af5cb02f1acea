"""kill -9 under load, again and again: a new daemon forwards at once, and nothing grows."""

import json
import os
import signal
import socket
import statistics
import time
from pathlib import Path

import pytest

from drivers import HUGE_PAGES, TapWire, VethWire
from traffic import Traffic
from wire import PORTS, RULES, law_holds

KILLS = 200 if os.environ.get("FAULTLINE_LONG") else 20


def free_pages():
    """Huge pages that nobody holds."""
    return int(next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines()
                    if line.startswith("HugePages_Free")))


def traces(wire):
    """What a daemon could leave behind: files, interfaces, huge pages, sockets."""
    links = wire.inside("m", "ls", "/sys/class/net").stdout.split()
    unix = wire.inside("m", "cat", "/proc/net/unix").stdout.count(str(wire.folder))
    return {
        "run": sorted(os.listdir("/run")),
        "dpdk": sorted(os.listdir("/run/dpdk")) if os.path.isdir("/run/dpdk") else [],
        "shared memory": sorted(os.listdir("/dev/shm")),
        "huge page files": sorted(os.listdir("/dev/hugepages")) if os.path.isdir("/dev/hugepages")
        else [],
        "folder": sorted(path.name for path in wire.folder.iterdir()),
        "links": sorted(links),
        "sockets": unix,
        "free pages": free_pages(),
    }


@pytest.fixture(params=["without huge pages", "huge pages"])
def pages(request):
    """Both kinds of memory."""
    before = int(HUGE_PAGES.read_text())
    HUGE_PAGES.write_text(str(0 if request.param == "without huge pages" else 300))
    yield request.param
    HUGE_PAGES.write_text(str(before))


def test_killed_again_and_again(wire, pages):
    """Each new daemon forwards within a second and DPDK's own start of the last one's death, and
    after the first kill there is never more left behind than after it."""
    gaps_s = []
    after_first = None
    scenario = PORTS + RULES.replace("enabled: false", "enabled: true")
    wire.start(scenario, "--start")
    traffic = Traffic(wire, packets=-1, gap_s=0.001, quiet_s=3.0)
    for kill in range(KILLS // 2):
        time.sleep(0.05)
        killed_s = time.monotonic()
        assert wire.stop(signal.SIGKILL) == -signal.SIGKILL
        left = traces(wire)
        after_first = after_first or left
        assert left == after_first, f"after kill {kill + 1}"
        before = wire.receiver_counter("b")
        wire.start(scenario, "--start")
        while wire.receiver_counter("b") == before:
            assert time.monotonic() < killed_s + 10
            time.sleep(0.005)
        gaps_s.append(time.monotonic() - killed_s)
        assert law_holds(wire.stats())
    traffic.stop()
    # DPDK's start takes up to half a second, the look at what is left some 50 ms.
    assert statistics.median(gaps_s) < 1.5, sorted(gaps_s)
    assert wire.stop() == 0
    assert "NOT BALANCED" not in wire.log.read_text()


@pytest.mark.parametrize("kind", ["af_packet", "af_xdp", "tap"])
def test_after_the_end_nothing_is_left(kind, pages):
    """SIGTERM: files, interfaces, sockets and huge pages are as before the start."""
    with (TapWire() if kind == "tap" else VethWire(kind)) as wire:
        before = traces(wire)
        wire.launch()
        wire.inside("a", "ping", "-c", 5, "-i", "0.02", "10.77.0.2")
        assert wire.stop() == 0
        before["folder"] = ["daemon.log", "scenario.yaml"]
        # The kernel gives back an XDP socket's memory a little later.
        give_up = time.monotonic() + 10
        while traces(wire) != before and time.monotonic() < give_up:
            time.sleep(0.1)
        assert traces(wire) == before


def test_telemetry_is_a_mirror_and_goes_too(wire):
    """With --telemetry DPDK's own tools read status, ledger and rules; afterwards it is gone."""
    before = traces(wire)
    known = set(before["dpdk"])
    wire.start(PORTS + RULES, "--telemetry")
    wire.inside("a", "ping", "-c", 3, "-i", "0.02", "10.77.0.2")
    folders = [path for path in Path("/run/dpdk").iterdir() if path.name not in known]
    assert len(folders) == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as telemetry:
        telemetry.connect(str(folders[0] / "dpdk_telemetry.v2"))
        telemetry.recv(16384)

        def ask(what):
            telemetry.send(what.encode())
            return json.loads(telemetry.recv(16384))[what]
        assert ask("/faultline/status")["state"] == "pass-through"
        ledger = ask("/faultline/ledger")
        assert ledger["balanced"] == 1 and ledger["received"] == ledger["sent"] >= 6
        assert ask("/faultline/rules")["slow/matched"] == 0
    assert wire.stop() == 0
    after = traces(wire)
    after["folder"] = before["folder"]
    assert after == before
