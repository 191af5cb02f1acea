"""Captures as people have them: cut by a snap length, backwards in time, runts, headers that lie,
other link types, broken files. Those in tests/captures always; with --long all that tcpdump's
source package brings."""

import os
import struct
from collections import Counter
from pathlib import Path

import pytest

from model import odd_captures
from program import REPOSITORY, scenario_of

KEPT = REPOSITORY / "tests" / "captures"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "faultline"
CORPUS = CACHE / "tcpdump" / "tests"
CORPUS_AT_LEAST = 600
DELAY_NS = 40_000_000
NOTHING = scenario_of(("none", ["delay: 40ms"], "{src: 203.0.113.77, dport: 1}"), seed=1)
ALL = scenario_of(("all", ["delay: 40ms"]), seed=1)


def captures_in(folder):
    return sorted(path for path in folder.glob("*") if path.suffix in (".pcap", ".pcapng"))


def arrivals(packets):
    """When each enters: a stamp that runs backwards counts as the latest seen."""
    latest, times = 0, []
    for packet in packets:
        latest = max(latest, packet.time_ns)
        times.append(latest)
    return times


def judge(program, path):
    """One capture under both rules."""
    try:
        packets = odd_captures.read(path)
    except odd_captures.OtherLinkType as other:
        outcome = program.simulate(ALL, [path])
        assert outcome.status == 5, outcome.text()
        assert "link type" in outcome.stderr and f"({other})" in outcome.stderr, outcome.text()
        assert "is not Ethernet" in outcome.stderr and path.name in outcome.stderr
        return
    except odd_captures.Unreadable as why:
        outcome = program.simulate(ALL, [path])
        assert outcome.status == 5 and path.name in outcome.stderr, (why, outcome.text())
        return
    untouched(program, path, packets)
    delayed(program, path, packets)


def untouched(program, path, packets):
    """A rule that matches nothing: the same bytes and lengths on the wire, in order of time."""
    outcome = program.simulated(NOTHING, [path])
    given = [(at, packet.original, packet.data) for at, packet in zip(arrivals(packets), packets)]
    left = [(packet.time_ns, packet.original, packet.data)
            for packet in odd_captures.read(outcome.out)]
    assert left == given
    balanced(outcome, len(packets))


def delayed(program, path, packets):
    """A rule that matches all: nothing is lost, each packet is 40 ms late, except those that
    could not be parsed, which are counted."""
    outcome = program.simulated(ALL, [path])
    balanced(outcome, len(packets))
    left = odd_captures.read(outcome.out)
    assert [packet.time_ns for packet in left] == sorted(packet.time_ns for packet in left)
    waiting = Counter((at, packet.original, packet.data)
                      for at, packet in zip(arrivals(packets), packets))
    late = 0
    for packet in left:
        for wait_ns in (DELAY_NS, 0):
            key = packet.time_ns - wait_ns, packet.original, packet.data
            if waiting[key]:
                waiting[key] -= 1
                late += wait_ns > 0
                break
        else:
            pytest.fail(f"a packet that never came in, at {packet.time_ns}")
    assert not +waiting
    rule = outcome.stats["rules"]["all"]
    assert rule["matched"] == rule["delayed"] == late
    assert outcome.stats["unparsed"] == len(packets) - late


def balanced(outcome, count):
    ledger = outcome.stats["ledger"]
    assert ledger["balanced"] is True and not any(ledger["dropped"].values())
    assert ledger["received"] == ledger["sent"] == count and ledger["held"] == 0


def test_cut_packets_through_everything(program, tmp_path, few):
    """Cut by a snap length, then late, lost, queued behind a rate and dropped there: what leaves and
    what is dropped has the captured bytes and the length on the wire, and nothing is missing."""
    count, snap, original = 400, 60, 1000
    record = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snap, 1)
    given = []
    for number in range(count):
        frame = bytearray(few.capture.frame(number % len(few.capture))[:50])
        frame[16:18] = (original - 14).to_bytes(2, "big")  # IPv4 total length
        frame[38:40] = (original - 34).to_bytes(2, "big")  # UDP length
        frame[42:50] = number.to_bytes(8, "big")
        data = bytes(frame) + b"\xEE" * (snap - 50)
        given.append(data)
        record += struct.pack("<4I", 1, number * 100_000, snap, original) + data
    path = tmp_path / "cut.pcap"
    path.write_bytes(record)
    # Some flows are late, so the link behind waits for each packet's time before it judges.
    scenario = scenario_of(("some", ["delay: 3ms"], "{sport: 10000}"),
                           ("wan", ["loss: 10%", "rate: 40Mbit", "queue: {limit: 20p}"]), seed=5)
    for workers in (1, 3):
        outcome = program.simulated(scenario, [path], "--drops", tmp_path / "drops.pcapng",
                                    "--workers", workers)
        left, lost = odd_captures.read(outcome.out), odd_captures.read(tmp_path / "drops.pcapng")
        dropped = outcome.stats["ledger"]["dropped"]
        assert dropped["loss"] > 10 and dropped["queue"] > 10 and len(left) > 50, dropped
        assert all((len(packet.data), packet.original) == (snap, original)
                   for packet in left + lost)
        assert sorted(packet.data for packet in left + lost) == sorted(given)
        assert outcome.stats["ports"]["left"]["rx_bytes"] == count * original


@pytest.mark.parametrize("path", [pytest.param(path, marks=pytest.mark.long if number % 3 else ())
                                  for number, path in enumerate(captures_in(KEPT))],
                         ids=lambda path: path.name)
def test_kept_capture(program, path):
    """Each capture of tests/captures: unharmed by a rule that does not match, late by one that
    does, or refused by name."""
    judge(program, path)


def test_there_are_kept_captures():
    """A hundred, of all formats and troubles, and small."""
    kept = captures_in(KEPT)
    assert len(kept) >= 100
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 1_000_000
    found = Counter()
    for path in kept:
        try:
            packets = odd_captures.read(path)
        except odd_captures.OtherLinkType:
            found["other link type"] += 1
            continue
        except odd_captures.Unreadable:
            found["unreadable"] += 1
            continue
        found["pcapng"] += path.suffix == ".pcapng"
        found["cut"] += any(len(packet.data) < packet.original for packet in packets)
        found["runt"] += any(len(packet.data) < 14 for packet in packets)
        found["long"] += any(len(packet.data) > 65_000 for packet in packets)
        found["backwards"] += arrivals(packets) != [packet.time_ns for packet in packets]
    for kind in ("other link type", "unreadable", "pcapng", "cut", "runt", "long", "backwards"):
        assert found[kind] >= 1, found


@pytest.mark.long
def test_the_corpus(program):
    """Every capture of tcpdump's own tests (scripts/install-deps --long fetches them)."""
    paths = captures_in(CORPUS)
    assert len(paths) >= CORPUS_AT_LEAST, f"{len(paths)} captures in {CORPUS}"
    wrong = []
    for path in paths:
        try:
            judge(program, path)
        except (AssertionError, pytest.fail.Exception) as failure:
            wrong.append(f"{path.name}: {str(failure)[:500]}")
    assert not wrong, f"{len(wrong)} of {len(paths)}:\n" + "\n".join(wrong)
