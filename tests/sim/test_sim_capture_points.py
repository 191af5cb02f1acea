"""`capture:` holds what the capture of what was sent, that of what was dropped and the input hold, at
its points. Those are written from the trails of packets, which know nothing of rings and records."""

import random
import re
import subprocess

import pytest

from golden.models import CATALOGUE, MODELS, scenario
from model import captures
from model.captures import read_pcapng
from model.compositions import Composition
from model.mixed import Maker
from program import scenario_of

COMPOSITIONS = 12
EVERYTHING = "capture: [{name: all, points: [before, after, drops]}]\n"


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """10,000 packets of 20 flows, 10 us apart, of fixed ECN."""
    capture = captures.udp_traffic(10_000, spacing_ns=10_000, salt=31).capture
    capture.bytes_[:, 15] = capture.bytes_[:, 29] % 3
    path = tmp_path_factory.mktemp("points") / "fixed.pcap"
    captures.write_pcap(path, capture)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """3,000 frames of every shape, 20 us apart."""
    frames = Maker(77, strange=0.02).frames(3_000)
    path = tmp_path_factory.mktemp("points") / "mixed.pcap"
    captures.write_pcap(path, captures.from_frames(
        frames, [captures.FIRST_NS + 20_000 * at for at in range(len(frames))]))
    return path


def said_of(comment):
    """A comment without the packet's number and the draws, which `simulate --out` does not give."""
    return re.sub(r" draw=[0-9.]+", "", re.sub(r"^packet=\d+(; )?", "", comment))


def packets_of(path):
    """(ns, port, bytes, comment) of each packet, in the order of the file."""
    file = read_pcapng(path, may_be_cut=True)
    return [(int(file.time_ns[at]), file.names[file.interface[at]], file.frame(at),
             said_of("".join(file.comment(at)))) for at in range(len(file.time_ns))]


def all_points(program, text, inputs, *options):
    """What was captured, by point, and what it should have been; None where it is refused."""
    outcome = program.simulate(text + EVERYTHING, inputs, "--drops", "drops.pcapng", "--captures",
                               "points", *options)
    if outcome.status == 1:
        return None
    assert outcome.status == 0, outcome.text()
    told = {each["point"]: each for each in outcome.stats["captures"]}
    assert all(each["lost"] == 0 and each["failure"] is None for each in told.values())
    found = {}
    for point in ("before", "after", "drops"):
        path = program.folder / "points" / f"all-{point}-000001.pcapng"
        found[point] = packets_of(path) if path.exists() else []
        assert told[point]["packets"] == len(found[point])
        if path.exists():
            assert told[point]["bytes"] == path.stat().st_size
            path.unlink()
    wanted = {"after": packets_of(outcome.out), "drops": packets_of(program.folder / "drops.pcapng")}
    return found, wanted


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.long if number % 6 else ())
    for number, name in enumerate([*MODELS, *CATALOGUE])])
def test_what_leaves_and_what_is_dropped(program, fixed, mixed, name):
    capture = fixed if name in MODELS else mixed
    found, wanted = all_points(program, scenario(name, "rule"), [capture])
    assert found["after"] == wanted["after"]
    assert found["drops"] == wanted["drops"]
    program.simulated("version: 1\n", [capture], "--annotate", "none", out="plain.pcapng")
    came = [(at, "left", frame, said) for at, _, frame, said in
            packets_of(program.folder / "plain.pcapng")]
    assert found["before"] == came


@pytest.mark.parametrize("options", [("--burst", "1"), ("--burst", "64"), ("--workers", "4")])
@pytest.mark.parametrize("name", ["free-normal", "rate-queue", "duplicate", "replay", "reject"])
def test_of_every_burst_and_worker(program, fixed, mixed, name, options):
    found, wanted = all_points(program, scenario(name, "flow"), [fixed if name in MODELS else mixed],
                               *options)
    assert found["after"] == wanted["after"] and found["drops"] == wanted["drops"]


@pytest.mark.parametrize("number", [pytest.param(number, marks=pytest.mark.long if number % 3 else ())
                                    for number in range(COMPOSITIONS)])
def test_everything_together(program, mixed, number):
    """Both ways, rules behind rules, packets that wait in between and are copied there."""
    text = Composition(random.Random(number)).text
    said = all_points(program, text, [f"left={mixed}", f"right={mixed}"])
    if said is not None:
        found, wanted = said
        assert found["after"] == wanted["after"] and found["drops"] == wanted["drops"]


TWO = scenario_of(("thin", ["loss: 20%"], "{sport: 10000-10004}"),
                  ("wan", ["delay: 40ms"], "{sport: 10000-10009}"), seed=5)


def rows(program, name):
    """The packets of all files of a capture and point, in the order of their numbers."""
    return [row for path in sorted((program.folder / "points").glob(f"{name}-*.pcapng"))
            for row in packets_of(path)]


def test_of_one_rule_and_so_many_bytes(program, fixed):
    """Each capture has its own packets, points and length; both lengths are told."""
    program.simulated(TWO + """capture:
  - {rule: thin, points: [drops]}
  - {rule: wan, name: heads, points: [after], snaplen: 34B}
""", [fixed], "--captures", "points")
    came = packets_of(fixed_as_pcapng(program, fixed))
    of = {frame: int.from_bytes(frame[34:36], "big") for _, _, frame, _ in came}
    drops = rows(program, "thin-drops")
    assert len(drops) > 300 and {of[frame] for _, _, frame, _ in drops} == set(range(10000, 10005))
    assert not list((program.folder / "points").glob("thin-before*"))
    heads = rows(program, "heads-after")
    matched = sum(10000 <= port <= 10009 for port in of.values())
    assert len(heads) == matched - len(drops)
    assert {len(frame) for _, _, frame, _ in heads} == {34}
    file = read_pcapng(program.folder / "points" / "heads-after-000001.pcapng", may_be_cut=True)
    assert set(file.original_length) == {60, 61, 66, 82}


def fixed_as_pcapng(program, path):
    return program.simulated("version: 1\n", [path], "--annotate", "none", out="came.pcapng").out


def test_a_ring_of_files(program, some):
    """No file is larger than its share; the newest are kept; those that are gone are told of."""
    outcome = program.simulated(TWO + "capture: [{name: ring, points: [before], limit: 1.2MB, files: 4}]\n",
                                [some.path], "--captures", "points")
    told = outcome.stats["captures"][0]
    files = sorted((program.folder / "points").glob("ring-before-*.pcapng"))
    sizes = [path.stat().st_size for path in files]
    assert len(files) == told["files"] == 4 and max(sizes) <= 300_000 and min(sizes[:-1]) > 299_000
    assert told["packets"] == 100_000 and told["removed"] == int(files[-1].stem[-6:]) - 4 > 20
    assert told["bytes"] == sum(sizes)
    kept = [(at, frame) for at, _, frame, _ in rows(program, "ring-before")]
    came = [(at, frame) for at, _, frame, _ in packets_of(fixed_as_pcapng(program, some.path))]
    assert kept == came[-len(kept):] and len(kept) > 5_000


def test_tshark_opens_them(program, fixed):
    """Nanoseconds, interfaces by name, comments and both lengths, as Wireshark's reader has them."""
    program.simulated(TWO + "capture: [{rule: thin, snaplen: 40B}]\n", [fixed], "--captures", "points")
    for point in ("before", "after", "drops"):
        path = program.folder / "points" / f"thin-{point}-000001.pcapng"
        done = subprocess.run(
            ["tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=|", "-e", "frame.time_epoch",
             "-e", "frame.interface_name", "-e", "frame.cap_len", "-e", "frame.len",
             "-e", "frame.comment"], capture_output=True, text=True, check=True)
        assert "damaged" not in done.stderr and "cut short" not in done.stderr, done.stderr
        file = read_pcapng(path, may_be_cut=True)
        lines = [line.split("|") for line in done.stdout.splitlines()]
        assert len(lines) == len(file.time_ns) > 300
        for at, (time, port, captured, length, comment) in enumerate(lines):
            assert int(time.replace(".", "")) == file.time_ns[at]
            assert port == ("right" if point == "after" else "left")
            assert (int(captured), int(length)) == (40, file.original_length[at])
            assert [comment] == file.comment(at) and comment.startswith("packet=")


def test_a_disk_that_is_full(program, some):
    """The run goes on, what no file took is counted, and the exit status says that not all is there."""
    folder = program.folder / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    try:
        outcome = program.simulate(TWO + "capture: [{points: [before], limit: 50MB, files: 1}]\n",
                                   [some.path], "--captures", folder)
        assert outcome.status == 5 and "No space left" in outcome.stderr
        kept = sum(len(packets_of(path)) for path in folder.glob("*.pcapng"))
        assert 0 < kept < 20_000
    finally:
        subprocess.run(["umount", folder], check=True)


def test_without_a_folder_nothing_is_written(program, few):
    outcome = program.simulated(TWO + EVERYTHING, [few.path])
    assert "no captures are written: --captures FOLDER" in outcome.stderr
    assert "captures" not in outcome.stats
    refused = program.simulate(TWO + EVERYTHING, [few.path], "--captures", "/proc/none")
    assert refused.status == 5 and "/proc/none: error: cannot be made" in refused.stderr
