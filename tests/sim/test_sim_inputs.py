"""How captures get in: split by source, mapped by interface, from a pipe, with progress on a
terminal; what is said of both directions at one port, and what becomes of an output whose input
breaks."""

import json
import os
import pty
import re
import subprocess

import numpy as np
import pytest

from model import captures
from program import find_program, is_sanitized, scenario_of

DELAYED = scenario_of(("wan", ["delay: 1ms"]), seed=1)
ONE_WAY = scenario_of(("wan", ["loss: 100%"]), seed=1).replace("    impair", "    from: left\n    impair")
ANSWERS_FROM = 1 << 40
LEFT_MAC, RIGHT_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"


@pytest.fixture(scope="module")
def both(few):
    """20 packets one way and 20 answers, in one capture in order of time."""
    answers = captures.udp_traffic(20, 2, spacing_ns=1_000_000, salt=8, first_serial=ANSWERS_FROM,
                                   backwards=True).capture
    return captures.merge([few.capture, answers])


@pytest.fixture(scope="module")
def mixed(both, tmp_path_factory):
    path = tmp_path_factory.mktemp("mixed") / "mixed.pcap"
    captures.write_pcap(path, both)
    yield path
    path.unlink()


def received(outcome):
    return [outcome.stats["ports"][port]["rx_packets"] for port in ("left", "right")]


# -- which port -----------------------------------------------------------------------------------

@pytest.mark.parametrize("left", ("10.0.0.0/24", "10.0.0.0/25", LEFT_MAC, LEFT_MAC.upper()))
def test_left_splits_by_source(program, mixed, left):
    """Packets whose source is on the left enter the first port and leave by the second; the others
    the other way round."""
    outcome = program.simulated(DELAYED, [mixed], "--left", left)
    assert received(outcome) == [20, 20]
    output = outcome.output
    answers = output.serial() >= ANSWERS_FROM
    assert (output.interface[~answers] == output.names.index("right")).all()
    assert (output.interface[answers] == output.names.index("left")).all()
    assert "both directions" not in outcome.stderr, outcome.text()


def test_left_is_as_good_as_two_captures(program, both, mixed, tmp_path):
    """The split capture gives the very bytes that one capture a direction gives."""
    scenario = scenario_of(("wan", ["loss: {model: gilbert-elliott, p: 20%, r: 30%}"]), seed=3)
    answers = both.serial() >= ANSWERS_FROM
    captures.write_pcap(tmp_path / "there.pcap", both.take(~answers))
    captures.write_pcap(tmp_path / "back.pcap", both.take(answers))
    apart = program.simulated(scenario, [f"left={tmp_path / 'there.pcap'}",
                                         f"right={tmp_path / 'back.pcap'}"]).out.read_bytes()
    for burst in (1, 7, 64):
        split = program.simulated(scenario, [mixed], "--left", "10.0.0.0/24", "--burst", burst)
        assert split.out.read_bytes() == apart


def test_left_may_be_repeated(program, mixed):
    """A source in any of them is on the left."""
    outcome = program.simulated(DELAYED, [mixed], "--left", "192.0.2.0/24", "--left", RIGHT_MAC)
    assert received(outcome) == [20, 20]
    outcome = program.simulated(DELAYED, [mixed], "--left", LEFT_MAC, "--left", RIGHT_MAC)
    assert received(outcome) == [40, 0]


def test_a_named_port_is_not_split(program, mixed):
    """PORT=FILE says where its packets enter, --left or not."""
    outcome = program.simulated(DELAYED, [f"right={mixed}"], "--left", "10.0.0.0/24")
    assert received(outcome) == [0, 40]


@pytest.mark.parametrize("left", ("10.0.0.0/33", "lan", "", "10.0.0", "02:00:00:00:00"))
def test_left_that_is_no_address(program, mixed, left):
    """Exit 2, naming it."""
    outcome = program.simulate(DELAYED, [mixed], f"--left={left}")
    assert outcome.status == 2 and "--left" in outcome.stderr, outcome.text()


def test_interfaces_map_to_ports_by_name(program, both, tmp_path):
    """A pcapng whose interfaces bear the ports' names needs no PORT=; others enter the first."""
    both = both.take(slice(None))
    both.interface = (both.serial() >= ANSWERS_FROM).astype(np.uint32)
    for names, expected in ((["left", "right"], [20, 20]), (["right", "left"], [20, 20]),
                            (["eth0", "right"], [20, 20]), (["eth0", "eth1"], [40, 0]),
                            (["right", "right"], [0, 40])):
        both.names = names
        captures.write_pcapng(tmp_path / "named.pcapng", both)
        outcome = program.simulated(ONE_WAY, [tmp_path / "named.pcapng"])
        assert received(outcome) == expected, names
        answers = outcome.output.serial() >= ANSWERS_FROM  # what enters at the left is lost
        if names == ["left", "right"]:
            assert answers.all() and len(answers) == 20
        if names == ["right", "left"]:
            assert not answers.any() and len(answers) == 20


def test_both_directions_at_one_port_are_warned_of(program, mixed, few):
    """Once, with the port and the number of flows; not where one direction comes in."""
    outcome = program.simulated(DELAYED, [mixed])
    assert len(re.findall(r"both directions", outcome.stderr)) == 1, outcome.text()
    assert re.search(r"warning: port 'left' received both directions of 2 flows", outcome.stderr)
    assert "both directions" not in program.simulated(DELAYED, [few.path]).stderr


def test_explain_puts_packets_where_simulate_does(program, mixed):
    """--left splits there too: a rule from the left meets half of the packets."""
    scenario = program.folder / "one-way.yaml"
    scenario.write_text(ONE_WAY)
    for options, dropped in (([], 40), (["--left", "10.0.0.0/24"], 20)):
        outcome = program.run("explain", scenario, "--pcap", mixed, *options, "--json")
        fates = [json.loads(line)["fate"]["action"] for line in outcome.stdout.splitlines()]
        assert (len(fates), fates.count("drop")) == (40, dropped), outcome.text()


# -- memory, progress -----------------------------------------------------------------------------

def peak_rss_kb(program, capture):
    """Peak memory of a simulation of `capture` given on standard input."""
    scenario = program.folder / "memory.yaml"
    scenario.write_text(scenario_of(("wan", ["loss: 1%", "delay: 5ms"]), seed=1))
    # Forked from a small process: a process begins with the peak of the one it came from.
    launcher = ("import resource, subprocess, sys\n"
                "with open(sys.argv[1], 'rb') as given:\n"
                "    subprocess.run(sys.argv[2:], stdin=given, check=True, stdout=2)\n"
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n")
    ran = subprocess.run(["/usr/bin/python3", "-S", "-c", launcher, capture, find_program(),
                          "simulate", scenario, "--in", "-", "--out", "/dev/null"],
                         capture_output=True, text=True, check=True, timeout=120)
    assert "balanced" in ran.stderr
    return int(ran.stdout)


@pytest.mark.skipif(is_sanitized(), reason="the sanitizer's memory grows by itself")
@pytest.mark.parametrize("cut", (False, True), ids=("whole", "cut"))
def test_memory_does_not_grow_with_the_capture(program, million, tmp_path, cut):
    """10^6 packets from a pipe take no more memory than their first 10^5, at the same rate; cut by
    a snap length or not."""
    sizes = []
    for count in (100_000, 1_000_000):
        path = tmp_path / "part.pcap"
        part = million.capture.take(slice(0, count))
        captures.write_pcap(path, part)
        if cut:
            cut_to(path, part, 52)
        sizes.append(peak_rss_kb(program, path))
        path.unlink()
    assert sizes[1] < sizes[0] + 4 * 1024, sizes


def cut_to(path, capture, snap):
    """Writes the capture with frames of at most `snap` bytes, which say how long they were."""
    header = np.empty((len(capture), 4), dtype="<u4")
    header[:, 0] = capture.time_ns // np.uint64(10**9)
    header[:, 1] = capture.time_ns % np.uint64(10**9)
    header[:, 2] = snap
    header[:, 3] = capture.length
    records = np.concatenate((header.view(np.uint8), capture.bytes_[:, :snap]), axis=1)
    start = path.read_bytes()[:24]
    path.write_bytes(start + records.tobytes())


def on_terminal(arguments):
    """What a run writes to a terminal, and its exit status."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(list(map(str, arguments)), stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    return process.wait(), said.decode()


def test_progress_on_a_terminal_only(program, some):
    """Packets, seconds of the capture and percent on a line that is wiped at the end; nothing of it
    where standard error is no terminal."""
    scenario = program.folder / "progress.yaml"
    scenario.write_text(DELAYED)
    arguments = [find_program(), "simulate", scenario, "--in", some.path, "--out", "/dev/null"]
    status, said = on_terminal(arguments)
    assert status == 0
    assert re.search(r"\r\d+ packets, \d+\.\d s of the capture, \d+ %\x1b\[K", said), said
    assert re.search(r"\r\x1b\[Kreceived 100000 ", said), said
    plain = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=True)
    assert "\r" not in plain.stderr and plain.stderr.startswith("received 100000 ")


# -- an input that breaks -------------------------------------------------------------------------

def test_output_of_a_broken_input_is_removed(program, some, tmp_path):
    """Exit 5, and no file that could be taken for a whole one is left behind; said so."""
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(some.path.read_bytes()[:-5])
    outcome = program.simulate(DELAYED, [broken], out="half.pcapng")
    assert outcome.status == 5 and "broken.pcap" in outcome.stderr, outcome.text()
    assert not outcome.out.exists()
    assert re.search(r"half\.pcapng was incomplete and has been removed", outcome.stderr)


def test_output_that_is_no_file_is_told_of(program, some, tmp_path):
    """What cannot be taken back, a device or a link's target, is said to be incomplete."""
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(some.path.read_bytes()[:-5])
    target = tmp_path / "target.pcapng"
    (program.folder / "link.pcapng").symlink_to(target)
    for out in ("/dev/null", "link.pcapng"):
        outcome = program.simulate(DELAYED, [broken], out=out)
        assert outcome.status == 5 and re.search(r"is incomplete", outcome.stderr), outcome.text()
    (program.folder / "link.pcapng").unlink()
