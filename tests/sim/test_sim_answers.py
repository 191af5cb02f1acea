"""Frames that the wire answers with: each byte of each, when and where they leave, what gets none,
and that every one of them is counted."""

import numpy as np
import pytest

from mixed_input import Mix
from model import answers, captures, edits, mixed
from program import scenario_of

COUNT = 20_000
SEED = 12
MS = 10**6


@pytest.fixture(scope="module")
def mix(program):
    """Much of it from or to what is no one host, and packets too long to be quoted whole."""
    maker = mixed.Maker(SEED, strange=0.3, data=(0, 1, 30, 200, 520, 560, 1150, 1300))
    path = program.folder / "asked.pcap"
    yield Mix(path, maker.frames(COUNT), SEED)
    path.unlink()


def run(program, mix, *rules, tail=""):
    text = scenario_of(*rules, seed=SEED) + tail
    outcome = program.simulated(text, [f"left={mix.path}"], "--annotate", "none")
    assert outcome.stats["ledger"]["balanced"] and outcome.stats["unparsed"] == 0
    return outcome


def frames_at(outcome, port):
    """(time, frame) of what left by a port, in order."""
    output = outcome.output
    there = np.flatnonzero(output.interface == output.names.index(port))
    return [(int(output.time_ns[at]), output.frame(at)) for at in there]


def check(outcome, mix, hit, reason, back, onward=None, delay_ns=0):
    """Those hit are dropped, and the answers to them leave at their times: by the port they came in
    by, `back`, or by the other, `onward`; all else passes untouched."""
    sent, returned = [], []
    for at, (frame, parts) in enumerate(zip(mix.frames, mix.parts)):
        time = int(mix.times[at]) + delay_ns
        if not hit[at]:
            sent.append((time, frame))
            continue
        returned.append((time, back(frame, parts)))
        sent.append((time, onward(frame, parts) if onward else None))
    sent, returned = ([each for each in some if each[1] is not None] for some in (sent, returned))
    same(frames_at(outcome, "right"), sent)
    same(frames_at(outcome, "left"), returned)
    for _, frame in returned:
        assert set(edits.errors(frame, edits.parts_of(frame))) == {0}
    stats, dropped = outcome.stats["rules"]["r"], int(np.sum(hit))
    injected = len(sent) + len(returned) - (COUNT - dropped)
    assert (stats["dropped"], stats["injected"]) == (dropped, injected)
    ledger = outcome.stats["ledger"]
    assert ledger["dropped"][reason] == dropped and ledger["injected"] == injected
    assert ledger["received"] + injected == ledger["sent"] + dropped
    return injected


def same(found, expected):
    for one, other in zip(found, expected):
        assert one[0] == other[0], (one[0] - other[0], one[1].hex(), other[1].hex())
        assert one[1] == other[1], f"{one[1].hex()} and not {other[1].hex()}"
    assert len(found) == len(expected)


def nothing(frame, parts):
    return None


@pytest.mark.parametrize("code", ["net", "host", "protocol", "port", "admin"])
def test_unreachable(program, mix, code):
    """ICMP or ICMPv6 with the code's numbers, quoting the packet."""
    outcome = run(program, mix, ("r", [f"icmp_unreachable: {{rate: 60%, code: {code}}}"]))
    injected = check(outcome, mix, mix.hit("60%"), "reject",
                     lambda frame, parts: answers.unreachable(frame, parts, code))
    assert injected > COUNT / 5
    lengths = {len(frame) - edits.parts_of(frame).l3 for _, frame in frames_at(outcome, "left")}
    assert {576, 1280} <= lengths and max(lengths) == 1280


def test_what_must_not_be_answered(program, mix):
    """Each kind of it was there, and was dropped without an answer."""
    outcome = run(program, mix, ("r", ["icmp_unreachable: {code: port}"]))
    told = {time for time, _ in frames_at(outcome, "left")}
    silent = {"not IP": 0, "later": 0, "error": 0, "group of cards": 0}
    strange = {4: set(), 6: set()}
    for time, frame, parts in zip(mix.times.tolist(), mix.frames, mix.parts):
        kind = ("not IP" if not parts.version else "later" if parts.fragment == "later" else
                "error" if answers.is_icmp_error(frame, parts) else
                "group of cards" if frame[0] & 1 else None)
        if kind:
            silent[kind] += 1
        elif not answers.is_between_hosts(frame, parts):
            strange[parts.version].update(end for end in answers.ends(frame, parts)
                                          if not answers.is_one_host(end))
        assert (time in told) == (not kind and answers.is_between_hosts(frame, parts))
    assert min(silent.values()) > 100
    assert strange == {version: set(mixed.STRANGE[version]) for version in (4, 6)}


@pytest.mark.parametrize("impairment, rate", [("reject: true", "1"),
                                              ("reject: {rate: 25%}", "25%")])
def test_reject(program, mix, impairment, rate):
    """TCP by a reset with the number that is expected, the rest of IP by port unreachable."""
    outcome = run(program, mix, ("r", [impairment]))
    check(outcome, mix, mix.hit(rate), "reject", answers.rejection)
    kinds = {(parts.version, parts.protocol, frame[parts.l4 + 13] if parts.protocol == 6 else None)
             for _, frame in frames_at(outcome, "left") for parts in [edits.parts_of(frame)]}
    assert kinds == {(4, 6, 4), (4, 6, 20), (6, 6, 4), (6, 6, 20), (4, 1, None), (6, 58, None)}


@pytest.mark.parametrize("who", ["sender", "receiver", "both"])
@pytest.mark.parametrize("only", ["", "data", "acks"])
def test_tcp_reset(program, mix, who, only):
    """The ends named get it; the segment is dropped, and all that is no such segment passes."""
    more = f", only: {only}" if only else ""
    outcome = run(program, mix, ("r", [f"tcp: {{reset: {who}, rate: 70%{more}}}"]))
    meant = {"": lambda f, p: True, "data": lambda f, p: p.l4_end < p.end,
             "acks": lambda f, p: p.l4_end == p.end and f[p.l4 + 13] & 0x17 == 0x10}[only]
    hit = [bool(hit and parts.protocol == 6 and parts.l4 and meant(frame, parts))
           for hit, frame, parts in zip(mix.hit("70%"), mix.frames, mix.parts)]
    injected = check(
        outcome, mix, hit, "reject",
        lambda f, p: answers.reset(f, p, True) if who != "receiver" else None,
        (lambda f, p: answers.reset(f, p, False)) if who != "sender" else None)
    assert injected > COUNT / 250


@pytest.mark.parametrize("size, action", [(200, "icmp"), (1280, "icmp"), (600, "drop")])
def test_mtu(program, mix, size, action):
    """What is larger is dropped, and its sender told the size."""
    outcome = run(program, mix, ("r", [f"mtu: {{size: {size}B, action: {action}}}"]))
    hit = [edits.packet_bytes(*each) > size for each in zip(mix.frames, mix.parts)]
    check(outcome, mix, hit, "mtu", nothing if action == "drop" else
          lambda frame, parts: answers.too_big(frame, parts, size))


def test_answers_leave_at_the_packets_own_time_and_meet_no_rule(program, mix):
    """Behind a delay that much later; no rule of the other direction touches them; and they quote
    the packet as it came, whatever was set before."""
    outcome = run(program, mix, ("r", ["delay: 3ms", "set: {ttl: 1, dst: 10.9.9.9, sport: 1}",
                                       "reject: true"]),
                  ("back", ["loss: all"]), ("late", ["delay: 1s", "set: {ttl: 7}"]))
    check(outcome, mix, np.ones(COUNT, dtype=bool), "reject", answers.rejection, delay_ns=3 * MS)
    for rule in ("back", "late"):
        counted = outcome.stats["rules"][rule]
        assert counted["matched"] <= COUNT and counted["dropped"] == counted["delayed"] == 0


def test_each_direction_is_answered_where_it_came_from(program, mix):
    """The same packets at both ports, half a microsecond apart."""
    capture = captures.from_frames(mix.frames, mix.times + 500)
    path = program.folder / "other.pcap"
    captures.write_pcap(path, capture)
    outcome = program.simulated(scenario_of(("r", ["reject: true"]), seed=SEED),
                                [f"left={mix.path}", f"right={path}"], "--annotate", "none")
    expected = [answers.rejection(*each) for each in zip(mix.frames, mix.parts)]
    for port, shift in (("left", 0), ("right", 500)):
        same(frames_at(outcome, port), [(int(time) + shift, frame) for time, frame in
                                        zip(mix.times, expected) if frame is not None])
    ledger = outcome.stats["ledger"]
    assert ledger["injected"] == ledger["sent"] == 2 * sum(each is not None for each in expected)
    assert ledger["dropped"]["reject"] == ledger["received"] == 2 * COUNT
