"""Entries of the timeline that wait: for packets of a rule or of a match. They act from the next packet
on, wherever it stands in a burst and whichever worker has it."""

import hashlib
import struct

import numpy as np
import pytest

from model import captures
from program import scenario_of

OPTIONS = [(), ("--burst", "1"), ("--burst", "64"), ("--workers", "3")]
RULES = scenario_of(("seen", ["delay: 1ns"]), ("hit", ["loss: all"]), seed=1).replace(
    "  - name: hit\n", "  - name: hit\n    enabled: false\n")


def with_timeline(text, *entries):
    return text + "timeline:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)


def lost(outcome, capture):
    return ~np.isin(capture.serial(), outcome.output.serial())


def offsets(capture):
    return (capture.time_ns - capture.time_ns[0]).astype(np.int64)


@pytest.mark.parametrize("options", OPTIONS)
def test_from_the_next_packet_on(program, some, options):
    """The 1,000th packet of a rule fires; from the 1,001st on, for as long as was said, all are lost."""
    text = with_timeline(RULES, "when: {rule: seen, match: 1000}, for: 100ms, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path], *options)
    offset = offsets(some.capture)
    fired = int(offset[999])
    number = np.arange(len(offset))
    expected = (number > 999) & (offset < fired + 100_000_000)
    assert lost(outcome, some.capture).tolist() == expected.tolist()
    trigger = outcome.stats["triggers"][0]
    assert trigger["fired_ns"] == fired and trigger["when"] == "rule seen: packet 1000"
    assert trigger["packet"]["port"] == "left" and trigger["packet"]["packet_in_flow"] >= 1


@pytest.mark.parametrize("options", OPTIONS)
def test_a_match_of_its_own_and_a_delay(program, some, options):
    """`packet` counts what matches; `at` counts from the firing."""
    text = with_timeline(RULES, "when: {packet: {proto: udp}, count: 500}, at: 50ms, for: 20ms, "
                                "rule: hit, enable: true")
    outcome = program.simulated(text, [some.path], *options)
    offset = offsets(some.capture)
    fired = outcome.stats["triggers"][0]["fired_ns"]
    assert fired in offset.tolist() and outcome.stats["rules"]["when1"]["matched"] > 500
    expected = (offset >= fired + 50_000_000) & (offset < fired + 70_000_000)
    assert expected.sum() > 1000
    assert lost(outcome, some.capture).tolist() == expected.tolist()


def test_one_fires_the_next(program, some):
    """A rule that a trigger switched on fires another one, which switches it off."""
    text = with_timeline(RULES, "when: {rule: seen, match: 10}, rule: hit, enable: true",
                         "when: {rule: hit, match: 7}, rule: hit, disable: true")
    outcome = program.simulated(text, [some.path])
    assert np.flatnonzero(lost(outcome, some.capture)).tolist() == list(range(10, 17))


def test_what_switched_last_counts(program, some):
    """Triggers and instants switch the same rule: of those whose time it is, the one that began
    last."""
    offset = offsets(some.capture)
    at = int(offset[2_000])
    text = with_timeline(RULES, "when: {rule: seen, match: 100}, rule: hit, enable: true",
                         f"at: {at}ns, rule: hit, disable: true",
                         "when: {rule: seen, match: 3000}, for: 1ms, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path])
    gone = lost(outcome, some.capture)
    number = np.arange(len(offset))
    late = (number > 2_999) & (offset < offset[2_999] + 1_000_000)
    assert gone.tolist() == (((number > 99) & (number < 2_000)) | late).tolist()


def test_a_ttl_begins_with_the_firing(program, some):
    text = with_timeline(RULES.replace("enabled: false", "enabled: false\n    ttl: 5ms"),
                         "when: {rule: seen, match: 400}, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path])
    offset = offsets(some.capture)
    number = np.arange(len(offset))
    assert lost(outcome, some.capture).tolist() == (
        (number > 399) & (offset < offset[399] + 5_000_000)).tolist()


def test_what_never_comes_never_fires(program, some):
    text = with_timeline(RULES, "when: {rule: seen, match: 1000000}, rule: hit, enable: true",
                         "when: {call: go}, rule: hit, enable: true",
                         "when: {link: left, state: down}, rule: hit, enable: true")
    outcome = program.simulated(text, [some.path])
    assert not lost(outcome, some.capture).any()
    assert [trigger["fired_ns"] for trigger in outcome.stats["triggers"]] == [None] * 3


@pytest.mark.parametrize("entry,told", [
    ("when: {}, rule: hit, enable: true", "a trigger that waits for nothing"),
    ("when: {rule: nobody, match: 1}, rule: hit, enable: true", "nobody"),
    ("when: {rule: seen, match: 0}, rule: hit, enable: true", "'0' is out of range"),
    ("when: {rule: seen, mach: 2}, rule: hit, enable: true", "did you mean 'match'?"),
    ("when: {packet: {proto: 17x}}, rule: hit, enable: true", "17x"),
    ("when: {link: middle, state: up}, rule: hit, enable: true", "middle"),
    ("when: {link: left, state: away}, rule: hit, enable: true", "down"),
    ("when: {rule: seen}, rule: hit, set: {loss: {burst: 2}}", "burst"),
])
def test_what_is_wrong_is_told(program, entry, told):
    path = program.folder / "wrong.yaml"
    path.write_text(with_timeline(RULES, entry))
    done = program.run("check", path)
    assert done.status == 1 and told in done.stderr, done.stderr


MS = 1_000_000
REQUEST = 100
TENTH = "sequence: 901-1000, data: true"
SECOND_RETRANSMISSION = """version: 1
name: second-retransmission
seed: 1
nodes: {one: {port: left}, two: {port: right}}
rules:
  - {name: late, from: left, match: {tcp: {SEGMENT, retransmission: 2}}, impair: [delay: 3s]}
timeline:
  - {when: {rule: late, match: 1}, pause: {node: two}}
""".replace("SEGMENT", TENTH)
# Of the output, whatever the burst and the number of workers asked for.
DIGEST = "accce385491b91e4c13ff9e544824509"


def segment(ports, flags, sequence, ack, data=b"", back=False):
    """A frame of one connection between 10.0.0.1 and 10.0.0.2."""
    tcp = struct.pack("!HHIIBBHHH", *(ports[::-1] if back else ports), sequence % 2**32, ack % 2**32, 0x50,
                      flags, 1024, 0, 0)
    ends = [bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0x4000, 64, 6, 0,
                     *(ends[::-1] if back else ends))
    return bytes(12) + b"\x08\x00" + ip + tcp + data


def conversation():
    """(time in ms, port, frame) of ten requests, the tenth of them sent again three times, and an eleventh;
    another connection, and what the receiver says, go on beside."""
    ports, other = (40_000, 5_000), (40_001, 5_000)
    said = [(0, "left", segment(ports, 2, 7_000, 0)), (1, "right", segment(ports, 18, 90, 7_001, back=True)),
            (0, "left", segment(other, 2, 1_000, 0)), (1, "right", segment(other, 18, 50, 1_001, back=True))]
    for number in range(10):
        said.append((10 + 10 * number, "left",
                     segment(ports, 24, 7_001 + REQUEST * number, 91, bytes([number]) * REQUEST)))
        said.append((12 + 10 * number, "right",
                     segment(ports, 16, 91, 7_001 + REQUEST * min(number + 1, 9), back=True)))
    for again in (300, 900, 2_100):
        said.append((again, "left", segment(ports, 24, 7_901, 91, bytes([9]) * REQUEST)))
    for at in range(5, 6_000, 50):
        said.append((at, "left", segment(other, 24, 1_001 + at, 51, b"x")))
    said.append((2_500, "left", segment(ports, 24, 8_001, 91, bytes([10]) * REQUEST)))
    return sorted(said, key=lambda one: one[0])


@pytest.mark.parametrize("options", OPTIONS)
def test_the_second_retransmission_of_the_tenth_request(program, tmp_path, options):
    """It is 3 s late, and from then on node two is paused: it gets nothing more, whoever sends it, and
    says nothing. All before is as it was. The output's digest is frozen."""
    said = conversation()
    inputs = []
    for port in ("left", "right"):
        frames = [(frame, at * MS) for at, where, frame in said if where == port]
        path = tmp_path / f"{port}.pcap"
        captures.write_pcap(path, captures.from_frames(*zip(*frames)))
        inputs.append(f"{port}={path}")
    outcome = program.simulated(SECOND_RETRANSMISSION, inputs, "--annotate", "none", *options)
    output = outcome.output
    left = {}
    for index in range(len(output)):
        left.setdefault(output.frame(index), []).append(int(output.time_ns[index]) // MS)
    tenth = segment((40_000, 5_000), 24, 7_901, 91, bytes([9]) * REQUEST)
    assert left.pop(tenth) == [100, 300, 3_900]
    came = {}
    for at, _, frame in said:
        if frame != tenth and at <= 900:
            came.setdefault(frame, []).append(at)
    assert left == came, "all before the pause, nothing behind it"
    trigger = outcome.stats["triggers"][0]
    assert (trigger["fired_ns"], trigger["packet"]["packet_in_flow"]) == (900 * MS, 13)
    assert outcome.stats["rules"]["pause.when1"]["matched"] > 50
    digest = hashlib.sha256(b"".join(
        int(at).to_bytes(8, "little") + output.frame(index)
        for index, at in enumerate(output.time_ns))).hexdigest()[:32]
    assert digest == DIGEST
