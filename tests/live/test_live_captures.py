"""`capture:` on a daemon: packets through af_packet as they came, left and were dropped; small disks and
full ones; and who cannot have it."""

import json
import re
import signal
import subprocess
import sys

import pytest

from peers import PORT, Datagrams
from traffic import wait_for
from wire import BUILD, PORTS, REPOSITORY, law_holds

sys.path.insert(0, str(REPOSITORY / "tests"))
from model.captures import read_pcapng  # noqa: E402

pytestmark = pytest.mark.patient

UDP = f"to: right, match: {{proto: udp, dport: {PORT}}}"
RULES = (f"rules:\n  - {{name: thin, {UDP}, impair: [loss: 30%]}}\n"
         f"  - {{name: wan, {UDP}, impair: [delay: 20ms]}}\n")
CAPTURE = "capture: [{rule: thin, name: those}]\n"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def small_disk(data):
    """A file system of 4 MB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", data], check=True)
    yield data
    subprocess.run(["umount", data], check=True)


def told(wire):
    """What the daemon says of each point."""
    answer = wire.get("/v1/captures")[1]
    return {each["point"]: each for each in answer["captures"]}


def files_of(folder, point):
    return sorted(folder.glob(f"**/those-{point}-*.pcapng"))


def packets_of(folder, point):
    """By payload, (ns, comment) of each packet at the point."""
    found = {}
    for path in files_of(folder, point):
        file = read_pcapng(path)
        for at in range(len(file.time_ns)):
            found.setdefault(file.frame(at)[42:], []).append(
                (int(file.time_ns[at]), "".join(file.comment(at))))
    return found


def close_captures(wire):
    """A policy without `capture:` closes the files."""
    wire.cli("apply", write(wire, PORTS + RULES))


def write(wire, text):
    path = wire.folder / "policy.yaml"
    path.write_text(text)
    return path


def test_points_of_the_way(wire, data):
    """Each packet as it came; of those that left the delay, of those that did not the draw."""
    wire.start(PORTS + RULES + CAPTURE, "--start", "--data", str(data))
    with Datagrams(wire) as pair:
        sent = pair.send(2_000)
        pair.arrived()
        stats = wire.settle()
        arrived = pair.arrived()
    assert "those after:" in wire.cli("capture").stdout
    close_captures(wire)
    assert wire.get("/v1/captures")[1]["captures"] == []
    before, after, drops = (packets_of(data, point) for point in ("before", "after", "drops"))
    assert set(before) == set(sent) and set(after) == set(arrived)
    assert set(drops) == set(sent) - set(arrived)
    assert len(drops) == stats["rules"]["thin"]["dropped"]
    for payload, [(left_ns, comment)] in after.items():
        assert left_ns - before[payload][0][0] >= 20_000_000
        assert re.fullmatch(r"packet=\d+; rule=wan impairment=delay( draw=0\.\d+)? delay=20ms", comment)
    for [(_, comment)] in drops.values():
        draw = re.fullmatch(r"packet=\d+; rule=thin impairment=loss draw=(0\.\d+) drop=loss", comment)
        assert draw and float(draw[1]) < 0.3
    states = [event["state"] for event in wire.get("/v1/events")[1]["events"]
              if event["kind"] == "capture"]
    assert states == ["begun", "ended"]
    assert wire.stop() == 0 and law_holds(stats)


def test_rings_stay_within_their_limit(wire, small_disk):
    """The newest packets are there, the oldest are gone, and nothing is lost."""
    wire.start(PORTS + RULES + "capture: [{rule: thin, name: those, points: [before], limit: 1MB, "
               "files: 4}]\n", "--start", "--data", str(small_disk))
    with Datagrams(wire) as pair:
        for _ in range(12):
            sent = pair.send(1_000, size=256)
            pair.arrived()
            total = sum(path.stat().st_size for path in files_of(small_disk, "before"))
            assert total <= 1_000_000
        wire.settle()
    wait_for(lambda: told(wire)["before"]["packets"] == 12_000)
    status = told(wire)["before"]
    assert status["removed"] > 4 and status["lost"] == 0 and status["files"] == 4
    close_captures(wire)
    found = packets_of(small_disk, "before")
    assert set(sent) <= set(found) and len(files_of(small_disk, "before")) == 4
    assert wire.stop() == 0


def test_a_full_disk_costs_packets_that_are_counted(wire, small_disk):
    """Others fill the disk: packets pass, an event tells, what is lost is counted; with room it goes on."""
    wire.start(PORTS + RULES + "capture: [{rule: thin, name: those, points: [before], limit: 8MB, "
               "files: 2}]\n", "--start", "--data", str(small_disk))

    def burst(pair):
        for _ in range(10):
            pair.send(1_000, size=256)
            pair.arrived()

    def states():
        return [event["state"] for event in wire.get("/v1/events")[1]["events"]
                if event["kind"] == "capture"]

    hog = small_disk / "hog"
    with Datagrams(wire) as pair:
        hog.write_bytes(bytes(3_500_000))
        burst(pair)
        wait_for(lambda: told(wire)["before"]["lost"] > 0)
        wait_for(lambda: "failing" in states())
        assert "No space left" in told(wire)["before"]["failure"]
        hog.unlink()
        wait_for(lambda: not pair.send(200) or told(wire)["before"]["failure"] is None, 15)
        wait_for(lambda: "goes-on" in states())
        pair.arrived()
        stats = wire.settle()
    wait_for(lambda: told(wire)["before"]["packets"] + told(wire)["before"]["lost"] ==
             stats["rules"]["thin"]["matched"])
    close_captures(wire)
    kept = sum(len(each) for each in packets_of(small_disk, "before").values())
    assert kept > 0 and law_holds(stats)
    assert wire.stop() == 0


def test_a_killed_daemon_leaves_whole_files(wire, data):
    wire.start(PORTS + RULES + CAPTURE, "--start", "--data", str(data))
    with Datagrams(wire) as pair:
        pair.send(1_000)
        pair.arrived()
        wire.settle()
        wait_for(lambda: told(wire)["before"]["packets"] == 1_000)
        wait_for(lambda: len(packets_of(data, "before")) == 1_000)
    wire.stop(signal.SIGKILL)
    assert len(packets_of(data, "before")) == 1_000 > len(packets_of(data, "after")) > 500


def test_who_cannot_have_it(wire, data):
    """Without a folder, or with one that cannot be written to: refused, and nothing has changed."""
    wire.start(PORTS + RULES)
    refused = wire.cli("apply", write(wire, PORTS + RULES + CAPTURE), check=False)
    assert refused.returncode == 4 and "faultlined --data" in refused.stderr
    assert wire.get("/v1/captures")[1] == {"folder": None, "unknown": 0, "captures": []}
    assert "nothing is captured" in wire.cli("capture").stdout
    wire.stop()
    wire.start(PORTS + RULES, "--data", str(data))
    (data / "captures").write_text("a file")
    generation = wire.get("/v1/status")[1]["generation"]
    refused = wire.cli("apply", write(wire, PORTS + RULES + CAPTURE), check=False)
    assert refused.returncode == 4 and "cannot be" in refused.stderr, refused.stderr
    assert wire.get("/v1/status")[1]["generation"] == generation
    assert wire.stop() == 0


def test_a_run_takes_them_along(wire, data):
    """They begin at time zero, end with the run, and lie in its folder; its statistics count them."""
    wire.start(PORTS + RULES, "--data", str(data))
    folder = wire.folder / "run"
    with Datagrams(wire) as pair:
        pair.send(100)
        pair.arrived()
        run = subprocess.Popen([BUILD / "faultline", "--socket", wire.socket, "run",
                                write(wire, PORTS + RULES + CAPTURE), "--out", folder, "--command",
                                f"while [ ! -e {wire.folder}/done ]; do sleep 0.05; done"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: (wire.get("/v1/status")[1]["run"] or {}).get("state") == "running")
        sent = pair.send(500)
        pair.arrived()
        (wire.folder / "done").touch()
        _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert set(packets_of(folder, "before")) == set(sent)
    counts = {each["point"]: each for each in json.loads((folder / "stats.json").read_text())["captures"]}
    rules = json.loads((folder / "stats.json").read_text())["rules"]
    assert counts["before"]["packets"] == rules["thin"]["matched"] == 500
    assert counts["drops"]["packets"] == rules["thin"]["dropped"]
    assert wire.get("/v1/captures")[1]["captures"] == []
    assert "capture" not in wire.get("/v1/policy")[1]
