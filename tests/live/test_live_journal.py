"""The daemon's journal: packets through af_packet, what rules did to them as the journal has it, and a
journal that ends before its time."""

import json
import signal
import subprocess

import pytest

from peers import PORT, Datagrams
from traffic import wait_for
from wire import BUILD, PORTS, law_holds

pytestmark = pytest.mark.patient

UDP = f"to: right, match: {{proto: udp, dport: {PORT}}}"
RULES = (f"rules:\n  - {{name: thin, {UDP}, impair: [loss: 30%]}}\n"
         f"  - {{name: wan, {UDP}, impair: [delay: 20ms]}}\n"
         f"  - {{name: twice, {UDP}, impair: [duplicate: 10%]}}\n")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    return folder


def lines_of(path, *words):
    """Decoded, and what was said about it."""
    done = subprocess.run([BUILD / "faultline", "journal", path, "--json", *words], text=True,
                          capture_output=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def journal_of(wire):
    return wire.get("/v1/status")[1]["journal"]


def test_every_hit_is_in_it(wire, data):
    """As many of each kind as the statistics count, each with its packet's number."""
    wire.start(PORTS + RULES, "--start", "--data", str(data), "--journal")
    with Datagrams(wire) as pair:
        pair.send(2_000)
        pair.arrived()
        stats = wire.settle()
    assert wire.stop() == 0 and law_holds(stats)
    lines, said = lines_of(data)
    assert said == ""
    rules = stats["rules"]
    by = {}
    for line in lines:
        by.setdefault((line["rule"], line["action"]), []).append(line)
    assert len(by[("thin", "drop")]) == rules["thin"]["dropped"] > 400
    assert len([line for line in by[("wan", "delay")] if line["copy"] == 0]) == \
        rules["wan"]["delayed"]
    assert len([line for line in by[("twice", "copy")] if line["copy"] != 0]) == \
        rules["twice"]["duplicated"] > 50
    for line in by[("wan", "delay")]:
        assert line["release_ns"] - line["t_ns"] == line["delay_ns"] == 20_000_000
    flows = {line["flow"] for line in lines}
    assert len(flows) == 1
    numbers = {line["packet_in_flow"] for line in lines if line["copy"] == 0}
    assert numbers == set(range(1, 2_001))
    digests, _ = lines_of(data, "--digest")
    assert sum(digest["hits"] for digest in digests) == len(lines)


def test_two_runs_of_one_seed_are_alike(wire, data):
    """The same packets meet the same dice; another seed is found out."""
    kept = []
    for number, seed in enumerate((3, 3, 4)):
        wire.start(PORTS.replace("seed: 7", f"seed: {seed}") + RULES, "--start", "--data", str(data), "--journal")
        with Datagrams(wire) as pair:
            pair.send(500)
            pair.arrived()
            wire.settle()
        assert wire.stop() == 0
        kept.append(data / f"{number}.bin")
        (data / "journal.bin").rename(kept[-1])

    def against(other):
        done = subprocess.run([BUILD / "faultline", "journal", kept[0], "--against", other, "--json"],
                              text=True, capture_output=True, check=False, timeout=60)
        return done.returncode, json.loads(done.stdout)

    status, told = against(kept[1])
    assert (status, told["same"]) == (0, True), told
    status, told = against(kept[2])
    assert status == 1
    assert told["fates"] + told["packets"] + told["first_only"] + told["second_only"] > 50


def test_it_can_be_followed_and_survives_a_kill(wire, data):
    """While it is written it can be read; what a killed daemon leaves is whole up to its end."""
    wire.start(PORTS + RULES, "--start", "--data", str(data), "--journal")
    follower = subprocess.Popen([BUILD / "faultline", "journal", data, "--json", "--follow",
                                 "--rule", "wan"], stdout=subprocess.PIPE, text=True)
    try:
        with Datagrams(wire) as pair:
            pair.send(300)
            pair.arrived()
        first = json.loads(follower.stdout.readline())
        assert first["rule"] == "wan"
    finally:
        follower.send_signal(signal.SIGTERM)
        follower.wait(timeout=10)
    wait_for(lambda: journal_of(wire)["hits"] > 200)
    hits = journal_of(wire)["hits"]
    wire.stop(signal.SIGKILL)
    lines, said = lines_of(data)
    assert len(lines) >= hits and "was not closed: it ends with" in said


def test_a_full_disk_ends_the_journal_and_nothing_else(wire, data):
    """A file system of 64 kB: an event tells, packets go on, and what is there can be read."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", data], check=True)
    try:
        wire.start(PORTS + RULES, "--start", "--data", str(data), "--journal")
        with Datagrams(wire) as pair:
            for _ in range(12):
                pair.send(1_000)
                pair.arrived()
            wait_for(lambda: journal_of(wire)["failure"] is not None)
            assert "No space left" in journal_of(wire)["failure"]
            before = wire.settle()
            pair.send(100)
            assert len(pair.arrived()) > 50
        stats = wire.settle()
        assert law_holds(stats)
        assert stats["ledger"]["received"] >= before["ledger"]["received"] + 100
        events = wire.get("/v1/events")[1]["events"]
        assert any(event["kind"] == "journal" and event.get("state") == "given-up"
                   for event in events)
        assert wire.stop() == 0
        lines, said = lines_of(data)
        assert len(lines) > 1_000 and "was not closed: it ends with" in said, said
    finally:
        wire.stop()
        subprocess.run(["umount", data], check=True)


def test_a_folder_that_cannot_be_used(wire, data):
    """Refused by name, before anything is opened."""
    data.chmod(0o777)
    for folder, why in ((data / "none", "No such file"), (data, "writable by others"),
                        (BUILD / "faultline", "is no folder")):
        with pytest.raises(RuntimeError) as refused:
            wire.start(PORTS + RULES, "--data", str(folder), "--journal")
        assert "faultlined: error: --data" in str(refused.value) and why in str(refused.value)
        assert wire.daemon.wait(timeout=10) == 5
    with pytest.raises(RuntimeError):
        wire.start(PORTS + RULES, "--journal")
    assert wire.daemon.wait(timeout=10) == 2
