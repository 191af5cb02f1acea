"""Time in captures: stamps that run backwards, captures without packets, both formats; and the time
that the program itself takes."""

import re
import time

import numpy as np

from model import captures
from program import scenario_of

DELAYED = scenario_of(("wan", ["delay: 40ms"]), seed=1)
DELAY = np.uint64(40_000_000)
START_LIMIT_S = 3.0  # promised are 0.6 s; machines that run tests are slow


def shuffled(few):
    """20 packets of which three are stamped earlier than one before them."""
    capture = few.capture.take(slice(None))
    for at, back_ns in ((5, 3_000_000), (6, 10), (15, 20_000_000_000)):
        capture.time_ns[at] = capture.time_ns[at - 1] - np.uint64(back_ns)
    assert (np.maximum.accumulate(capture.time_ns) != capture.time_ns).sum() == 3
    return capture


def test_stamps_running_backwards(program, few, tmp_path):
    """A time stamp below the latest seen counts as the latest seen: released after the delay in the
    order of the file; how many there were is said."""
    capture = shuffled(few)
    captures.write_pcap(tmp_path / "back.pcap", capture)
    outcome = program.simulated(DELAYED, [tmp_path / "back.pcap"])
    assert outcome.output.serial().tolist() == list(range(20))
    assert (outcome.output.time_ns == np.maximum.accumulate(capture.time_ns) + DELAY).all()
    assert re.search(r"\b3\b.*\bbackwards?\b|\bbackwards?\b.*\b3\b", outcome.stderr), outcome.text()


def test_backwards_in_one_of_two_inputs(program, few, tmp_path):
    """Each input's latest time counts for itself: the other direction is not touched."""
    capture = shuffled(few)
    answers = captures.udp_traffic(20, 2, spacing_ns=1_000_000, salt=8, first_serial=1 << 40,
                                   backwards=True).capture
    captures.write_pcap(tmp_path / "back.pcap", capture)
    captures.write_pcap(tmp_path / "answers.pcap", answers)
    output = program.simulated(DELAYED, [f"left={tmp_path / 'back.pcap'}",
                                         f"right={tmp_path / 'answers.pcap'}"]).output
    forth = output.serial() < 1 << 40
    assert output.serial()[forth].tolist() == list(range(20))
    assert (output.time_ns[forth] == np.maximum.accumulate(capture.time_ns) + DELAY).all()
    assert (output.time_ns[~forth] == answers.time_ns + DELAY).all()


def test_an_empty_capture(program, few, tmp_path):
    """A capture without packets is an output without packets, with the ports as interfaces, and a
    ledger of zeros; exit 0."""
    nothing = few.capture.take(slice(0))
    for name, write in (("none.pcap", captures.write_pcap), ("none.pcapng", captures.write_pcapng)):
        write(tmp_path / name, nothing)
        outcome = program.simulated(DELAYED, [tmp_path / name])
        assert len(outcome.output) == 0 and outcome.output.names == ["left", "right"]
        ledger = outcome.stats["ledger"]
        assert (ledger["received"], ledger["sent"], ledger["held"]) == (0, 0, 0)
        assert ledger["balanced"] is True and not any(ledger["dropped"].values())


def test_an_empty_capture_beside_a_full_one(program, few, tmp_path):
    """An input without packets changes nothing for the other."""
    captures.write_pcap(tmp_path / "none.pcap", few.capture.take(slice(0)))
    alone = program.simulated(DELAYED, [few.path]).out.read_bytes()
    both = program.simulated(DELAYED, [f"left={few.path}", f"right={tmp_path / 'none.pcap'}"])
    assert both.out.read_bytes() == alone


def test_formats_and_resolutions(program, few, tmp_path):
    """pcap and pcapng in ns give the same bytes; a pcap in us is released on its own stamps."""
    alone = program.simulated(DELAYED, [few.path]).out.read_bytes()
    captures.write_pcapng(tmp_path / "same.pcapng", few.capture)
    assert program.simulated(DELAYED, [tmp_path / "same.pcapng"]).out.read_bytes() == alone
    captures.write_pcap(tmp_path / "coarse.pcap", few.capture, nanoseconds=False)
    output = program.simulated(DELAYED, [tmp_path / "coarse.pcap"]).output
    whole_us = few.capture.time_ns // np.uint64(1000) * np.uint64(1000)
    assert (output.time_ns == whole_us + DELAY).all()


def test_its_own_output_is_an_input(program, some):
    """What simulate wrote it reads: twice 40 ms are 80 ms, the times past 2^32 us intact."""
    first = program.simulated(DELAYED, [some.path], out="first.pcapng")
    second = program.simulated(DELAYED, [f"left={first.out}"]).output
    assert (second.time_ns == some.capture.time_ns + np.uint64(80_000_000)).all()
    assert (second.serial() == some.capture.serial()).all()


def test_it_starts_quickly(program, few, capsys):
    """A tiny capture is done in a moment (0.6 s are promised; 3 s are allowed here)."""
    began = time.monotonic()
    program.simulated(DELAYED, [few.path])
    taken = time.monotonic() - began
    with capsys.disabled():
        print(f"\nsimulate of {len(few)} packets: {taken * 1000:.0f} ms")
    assert taken < START_LIMIT_S
