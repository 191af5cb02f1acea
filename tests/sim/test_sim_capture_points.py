"""`capture:` holds what the capture of what was sent, that of what was dropped and the input hold, at
its points. Those are written from the trails of packets, which know nothing of rings and records."""

import random
import re

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
    file = read_pcapng(path)
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
    pytest.param(name, marks=pytest.mark.long if number % 3 else ())
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
