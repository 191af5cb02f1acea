"""Presets about nodes that stand still, whose links flap and whose clocks are wrong, and what should be
impossible: each headline, measured in simulation. Other presets are in test_sim_presets.py."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from model import captures, clocks, edits, forged
from test_sim_presets import (LINKS_CUT, MS, NODES, OF_NODES, SECOND, Trials, datagram)

PAUSES = ("gc_typical", "gc_long", "vm_migrate", "impossible_burial")
OFFSETS = {"clock_bump": ["n1"], "ntp_falseticker_1": ["n1"], "ntp_falseticker_majority": ["n1", "n2"],
           "impossible_clock_before_epoch": ["n1"], "impossible_rollover_2036": ["n1"],
           "impossible_rollover_2038": ["n1"]}
OTHER_CLOCKS = ("clock_strobe", "leap_insert", "leap_missed", "leap_smear_24h")
NTP_TO_UNIX = 2_208_988_800  # seconds from 1900 to 1970
NOW = 1_795_000_000  # November 2026, of Unix


@pytest.fixture(scope="module")
def trials(program):
    return Trials(program)


def test_each_of_nodes_is_measured():
    """Here or by the links that it cuts."""
    assert sorted([*LINKS_CUT, *PAUSES, *OFFSETS, *OTHER_CLOCKS, "github_2012"]) == OF_NODES


def through(trials, name, frames, times, **given):
    """What left, frame by frame, and when: {number: (ns since time zero, frame)} by IPv4's id."""
    path = trials.program.folder / "nodes.pcap"
    at = np.array([captures.FIRST_NS + when for when in times], dtype=np.uint64)
    captures.write_pcap(path, captures.from_frames(frames, at))
    outcome = trials.program.simulated(trials.text(name, **given) + NODES, [path])
    assert outcome.stats["ledger"]["balanced"]
    output = outcome.output
    return {output.frame(i)[18] << 8 | output.frame(i)[19]:
            (int(output.time_ns[i]) - captures.FIRST_NS, output.frame(i)) for i in range(len(output))}


def conversation(times):
    """At each time a packet of each pair of three nodes: frames, times and pairs."""
    sent = [(at, pair) for at in times for pair in ((1, 2), (2, 1), (3, 1), (2, 3))]
    frames = [datagram(*pair, number) for number, (_, pair) in enumerate(sent)]
    return frames, [at for at, _ in sent], [pair for _, pair in sent]


@pytest.mark.parametrize("name", PAUSES)
def test_pauses(trials, name):
    """All that the node says and is told from the beginning on leaves at the end, in its order;
    the others' packets are as they were, and so are all of them later."""
    pause = int(trials.headline(name)["pause"])
    frames, times, pairs = conversation([0, pause // 3, pause // 2, pause - 1, pause, pause + SECOND])
    left = through(trials, name, frames, times)
    assert len(left) == len(frames)
    for number, (at, pair) in enumerate(zip(times, pairs)):
        assert left[number][0] == (max(at, pause) if 1 in pair else at)
    # In the order in which they came, each way.
    order = list(left)
    for way in ({(1, 2)}, {(2, 1), (3, 1)}):
        mine = [number for number in order if pairs[number] in way]
        assert mine == sorted(mine)


def test_github_in_2012(trials):
    """90 s of n1 cut off, then outages of 2 s, one in every 5 s, for a minute; n2 and n3 never
    notice."""
    headline = trials.headline("github_2012")
    cut, end = int(headline["cut"]), int(headline["cut"] + headline["flapping"])
    frames, times, pairs = conversation(np.arange(0, end + 20 * SECOND, 100 * MS).tolist())
    left = through(trials, "github_2012", frames, times)
    lost = [(at, pair) for number, (at, pair) in enumerate(zip(times, pairs)) if number not in left]
    assert all(1 in pair for _, pair in lost)
    out = sorted({at for at, _ in lost})
    for pair in ((1, 2), (2, 1), (3, 1)):
        assert [at for at, one in lost if one == pair] == out
    assert [at for at in out if at < cut] == list(range(0, cut, 100 * MS))
    flapping = [at for at in out if at >= cut]
    assert flapping and max(flapping) < end
    rounds = {}
    for at in flapping:
        rounds.setdefault((at - cut) // (5 * SECOND), []).append(at - cut)
    assert sorted(rounds) == list(range(12))
    for number, ats in rounds.items():
        begins = ats[0] - number * 5 * SECOND
        assert 0 <= begins <= 2 * SECOND and len(ats) == 20
        assert ats[-1] - ats[0] == 19 * 100 * MS
    assert len({ats[0] - number * 5 * SECOND for number, ats in rounds.items()}) > 3, "jitter"


# -- clocks ---------------------------------------------------------------------------------------

def ntp_from(server, number, stamp, leap=0):
    """The answer of a server whose clock shows `stamp`, to a client that is no node."""
    message = struct.pack(">BBBbIIIQQQQ", leap << 6 | 4 << 3 | 4, 2, 6, -20, 1, 2, 3, stamp - (9 << 32),
                          77, stamp - 5, stamp)
    frame = bytearray(clocks.udp_frame(bytes((10, 0, 0, server)), bytes((10, 0, 0, 99)), (123, 40_000),
                                       message))
    frame[18:20] = number.to_bytes(2, "big")
    frame[24:26] = bytes(2)
    frame[24:26] = edits.checksum_of(bytes(frame[14:34])).to_bytes(2, "big")
    return bytes(frame)


def told(trials, name, seconds, server=1, first=NOW, leap=0, **given):
    """What a node says of its time at these seconds: by how much it is off, in ns, what it shows (as
    it stands in the packet, in seconds) and the leap indicator."""
    stamps = [int((Fraction(first + NTP_TO_UNIX) + Fraction(at)) * (1 << 32)) for at in seconds]
    frames = [ntp_from(server, number, stamp % (1 << 64), leap) for number, stamp in enumerate(stamps)]
    left = through(trials, name, frames, [int(Fraction(at) * SECOND) for at in seconds], **given)
    told = []
    for number, stamp in enumerate(stamps):
        frame = left[number][1]
        assert edits.errors(frame, edits.parts_of(frame)) == (0, 0)
        shows = clocks.stamp_of(frame[42:], clocks.TRANSMIT)
        off = clocks.signed(shows - stamp)
        told.append((float(Fraction(off * SECOND, 1 << 32)), shows >> 32, frame[42] >> 6))
    return told


@pytest.mark.parametrize("name", OFFSETS)
def test_offsets(trials, name):
    """The nodes that lie are off by the headline, the others are right."""
    asked = trials.headline(name)["offset"]
    for server in (1, 2, 3):
        expected = asked if f"n{server}" in OFFSETS[name] else 0
        assert all(abs(off - expected) < 1 for off, *_ in told(trials, name, range(5), server))
    if "sources" in trials.headline(name):
        assert len(OFFSETS[name]) == trials.headline(name)["sources"]


def test_before_the_epoch(trials):
    for _, shows, _ in told(trials, "impossible_clock_before_epoch", range(3)):
        assert -10 * 365 * 86_400 < shows - NTP_TO_UNIX < 0


def test_the_next_era(trials):
    """7 February 2036, 06:28:16: seconds of NTP begin anew."""
    name = "impossible_rollover_2036"
    roll = (1 << 32) - NTP_TO_UNIX - int(trials.headline(name)["offset"]) // SECOND
    assert [shows for _, shows, _ in told(trials, name, range(6), first=roll - 3)] == [
        (1 << 32) - 3, (1 << 32) - 2, (1 << 32) - 1, 0, 1, 2]
    assert told(trials, name, [0])[0][1] < 1 << 31, "already this year"


def test_beyond_31_bits(trials):
    """19 January 2038, 03:14:08: of Unix."""
    name = "impossible_rollover_2038"
    roll = (1 << 31) - int(trials.headline(name)["offset"]) // SECOND
    shown = [(shows - NTP_TO_UNIX) % (1 << 32) for _, shows, _ in told(trials, name, range(6),
                                                                       first=roll - 3)]
    assert shown == [(1 << 31) + at for at in range(-3, 3)]
    assert (told(trials, name, [0])[0][1] - NTP_TO_UNIX) % (1 << 32) > 1 << 31, "already this year"


def test_a_strobe(trials):
    """To and fro every second for 32 s, looked at twenty times a second."""
    headline = trials.headline("clock_strobe")
    offset, every, strobe = (int(headline[key]) for key in ("offset", "every", "strobe"))
    seconds = [Fraction(at, 20) for at in range(45 * 20)]
    for at, (off, *_) in zip(seconds, told(trials, "clock_strobe", seconds)):
        away = at * SECOND < strobe and int(at * SECOND // every) % 2 == 0
        assert abs(off - away * offset) < 1


@pytest.mark.parametrize("name", ["leap_insert", "leap_missed"])
def test_leap_seconds(trials, name):
    """A second less from the minute on; announced until then, or not though the server does."""
    step = trials.headline(name)["step"]
    before = 1 if name == "leap_insert" else 0
    leap = 0 if name == "leap_insert" else 1
    seconds = [*range(0, 60, 7), Fraction(5_999, 100), 60, 61, 100]
    for at, (off, _, indicator) in zip(seconds, told(trials, name, seconds, leap=leap)):
        assert abs(off - (step if at >= 60 else 0)) < 1
        assert indicator == (before if at < 60 else 0)


def test_a_smear(trials):
    """11.574 ppm over a day, then a second for good; no word of a leap."""
    headline = trials.headline("leap_smear_24h")
    seconds = [0, 1, 60, 3_600, 43_200, 86_399, 86_400, 90_000]
    for at, (off, _, indicator) in zip(seconds, told(trials, "leap_smear_24h", seconds, leap=1)):
        smeared = min(at, headline["smear"] / SECOND)
        assert abs(off - headline["drift"] * smeared * SECOND) < 40_000 and indicator == 0
    assert abs(told(trials, "leap_smear_24h", seconds)[-1][0] + SECOND) < 1


# -- frames that nobody sent ----------------------------------------------------------------------

def injected(trials, name, **given):
    """(port, ns, frame) of what a preset sends while a packet a second comes from either side."""
    times = np.arange(10) * SECOND
    there, back = trials.capture(0, times), trials.capture(1, times)
    outcome = trials.program.simulated(trials.text(name, **given), [f"left={there[1]}", f"right={back[1]}"])
    own = {capture.frame(i) for capture, _ in (there, back) for i in range(len(capture))}
    output = outcome.output
    return [(output.names[output.interface[i]], int(output.time_ns[i]) - captures.FIRST_NS,
             output.frame(i)) for i in range(len(output)) if output.frame(i) not in own]


def test_two_hosts_with_one_address(trials):
    """Once a second each side hears who has the address now."""
    name = "impossible_two_hosts_one_address"
    every = int(trials.headline(name)["every"])
    frame = forged.arp("10.0.0.9", "02:00:00:00:00:ff")
    assert sorted(injected(trials, name)) == sorted(
        (port, turn * every, frame) for port in ("left", "right") for turn in range(10))
    other = injected(trials, name, ip="10.0.0.7", mac='"02:00:00:00:00:07"', every="5s", on="left")
    frame = forged.arp("10.0.0.7", "02:00:00:00:00:07")
    assert other == [("right", 0, frame), ("right", 5 * SECOND, frame)]


def test_a_reply_without_a_request(trials):
    """Once a second the client, and only it, gets a SYN and ACK that it did not ask for."""
    name = "impossible_reply_without_request"
    every = int(trials.headline(name)["every"])
    frame = forged.tcp(("02:00:00:00:00:01", "02:00:00:00:00:02"), "10.0.0.2", "10.0.0.1", (80, 40_000),
                       ["syn", "ack"], 1, 1, 65_535)
    assert injected(trials, name) == [("left", turn * every, frame) for turn in range(10)]
