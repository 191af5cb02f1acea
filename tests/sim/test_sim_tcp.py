"""TCP followed through its connections: every packet's match is the model's, and a reset is believed
by the ends it is meant for."""

import json
import random
import struct

import numpy as np
import pytest

from model import captures, tcp
from model.dice import Dice, below, threshold
from model.flows import IPV4, IPV6, TCP, FlowKey
from model.tcp import ACK, FIN, RST, SYN, Segment, Segments
from program import scenario_of

FATE = 0
MS = 1_000_000
MOD = 1 << 32

MATCHES = [
    {"ack": "pure"},
    {"retransmission": True}, {"retransmission": False}, {"retransmission": 1},
    {"retransmission": [2, "4-255"]}, {"retransmission": [False, 3]},
    {"retransmission": True, "data": False}, {"retransmission": 1, "data": True},
    {"sequence": 1}, {"sequence": "1-1000"}, {"sequence": [5_000, "20000-30000"]},
    {"sequence": "4294967297-99999999999"}, {"sequence": "1-999", "retransmission": True},
    {"connection": 1}, {"connection": [2, "5-9"]}, {"connection": "3-4294967295", "ack": "pure"},
    {"ack": "pure", "retransmission": False},
]


def address(family, number):
    return bytes((10, 0, 0, number)) if family == IPV4 else bytes.fromhex("fd00") + bytes(
        13) + bytes((number,))


def flow(family, client, server, sport, dport):
    ethertype = 0x0800 if family == IPV4 else 0x86DD
    return FlowKey(family, address(family, client), address(family, server), ethertype, TCP, sport,
                   dport)


def back(key):
    return FlowKey(key.kind, key.destination, key.source, key.ethertype, TCP, key.destination_port,
                   key.source_port)


def frame_of(key, segment, serial):
    """A segment, or with whole = False the first fragment of one. The serial number, from 1, is
    the identification of IPv4, the flow label of IPv6."""
    header = struct.pack(">HHIIBBHHH", key.source_port, key.destination_port, segment.sequence,
                         segment.acknowledgement, 0x50, segment.flags, 8192, 0, 0)
    body = header + bytes(segment.size)
    ethernet = b"\x02\0\0\0\0\2\x02\0\0\0\0\1" + key.ethertype.to_bytes(2, "big")
    if key.kind == IPV4:
        return ethernet + struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), serial,
                                      0 if segment.whole else 0x2000, 64, TCP, 0) + (
                                          key.source + key.destination + body)
    if not segment.whole:
        body = struct.pack(">BBHI", TCP, 0, 1, 7) + body
    return ethernet + struct.pack(">IHBB", 6 << 28 | serial, len(body),
                                  TCP if segment.whole else 44, 64) + key.source + key.destination + body


def read(frame):
    """(serial number, key, flags, sequence, ACK, window) of one of these frames."""
    family = IPV4 if frame[12:14] == b"\x08\0" else IPV6
    serial = int.from_bytes(frame[18:20] if family == IPV4 else frame[14:18], "big") & 0xFFFFF
    at = 34 if family == IPV4 else 54 if frame[20] == TCP else 62
    sport, dport, sequence, acknowledgement, _, flags, window = struct.unpack(
        ">HHIIBBH", frame[at:at + 16])
    source, destination = (frame[26:30], frame[30:34]) if family == IPV4 else (
        frame[22:38], frame[38:54])
    key = FlowKey(family, source, destination, int.from_bytes(frame[12:14], "big"), TCP, sport, dport)
    return serial, key, flags, sequence, acknowledgement, window


class Sender:
    """One end of a conversation that may lose, repeat and reorder, and whose numbers may wrap."""

    def __init__(self, chance, start):
        self.chance = chance
        self.start = self.next = start
        self.sent = []  # (sequence, size, flags)

    def fresh(self, size, flags=0):
        self.sent.append((self.next % MOD, size, flags))
        self.next += size + bool(flags & SYN) + bool(flags & FIN)
        return self.sent[-1]

    def repeated(self):
        """Something sent before: mostly late segments, sometimes cut, joined or much older."""
        sequence, size, flags = self.chance.choice(self.sent[-self.chance.choice([1, 2, 4, 40]):])
        if size > 1 and self.chance.random() < 0.2:
            size = self.chance.randint(1, size)
            flags &= ~FIN
        return sequence, size, flags


def conversation(chance, number):
    """Packets (side, key, segment) of a client's connections, one behind another on the same ports:
    whole or met in the middle, with wraps, gaps that were lost on the way here, probes, resets."""
    family = chance.choice([IPV4, IPV6])
    key = flow(family, 1 + number % 5, 200 + number % 2, 40_000 + number, 80)
    packets = []
    for _ in range(chance.choice([1, 1, 2, 3])):
        starts = [chance.choice([chance.randrange(MOD), MOD - chance.randrange(1, 9_000), 0])
                  for _ in "cs"]
        one, two = ends = [Sender(chance, start) for start in starts]
        keys = [key, back(key)]

        def add(side, what, ack=True, whole=True):
            sequence, size, flags = what
            acked = ends[1 - side].next if chance.random() < 0.7 else (
                chance.choice(ends[1 - side].sent or [(starts[1 - side], 0, 0)])[0])
            packets.append((side, keys[side], Segment(
                flags | (ACK if ack else 0), sequence % MOD, acked % MOD if ack else 0, size,
                whole)))

        if chance.random() < 0.8:
            for _ in range(chance.choice([1, 1, 3])):
                add(0, one.sent[0] if one.sent else one.fresh(0, SYN), ack=False)
            for _ in range(chance.choice([1, 1, 2])):
                add(1, two.sent[0] if two.sent else two.fresh(0, SYN))
        for _ in range(chance.randint(5, 120)):
            side = chance.randrange(2)
            end = ends[side]
            kind = chance.random()
            if kind < 0.35:
                add(side, end.fresh(chance.choice([1, 10, 536, 1_400])))
            elif kind < 0.45:
                end.fresh(chance.choice([1, 700]))  # lost before it comes here
            elif kind < 0.70 and end.sent:
                for _ in range(chance.choice([1, 1, 2, 5])):
                    add(side, end.repeated())
            elif kind < 0.75:
                add(side, (end.next - 1, chance.choice([0, 1]), 0))  # a keep-alive
            elif kind < 0.77:
                add(side, (end.next, chance.choice([0, 3]), RST), ack=chance.random() < 0.5)
            elif kind < 0.80:
                add(side, (end.next, 64, 0), whole=False)
            elif kind < 0.82:
                end.next += chance.choice([1 << 20, (1 << 31) - 2_000])  # long unseen
            else:
                add(side, (end.next, 0, 0))
        for side in (0, 1):
            if chance.random() < 0.7:
                add(side, ends[side].fresh(chance.choice([0, 100]), FIN))
                if chance.random() < 0.5:
                    add(side, ends[side].sent[-1])
    return packets


def mixed(seed, conversations=90):
    """Conversations shuffled into one row, each in its own order."""
    chance = random.Random(seed)
    scripts = [conversation(chance, number) for number in range(conversations)]
    packets = []
    while scripts:
        script = chance.choice(scripts)
        for _ in range(min(len(script), chance.randint(1, 6))):
            packets.append(script.pop(0))
        scripts = [script for script in scripts if script]
    return packets


def write_both(folder, packets, spacing_ns=MS, name="talk.pcapng"):
    """A capture of the wire: clients on the left."""
    both = captures.from_frames([frame_of(key, segment, serial) for serial, (_, key, segment)
                                 in enumerate(packets, 1)],
                                captures.FIRST_NS + np.arange(len(packets)) * spacing_ns)
    both.names = ["left", "right"]
    both.interface = np.array([side for side, _, _ in packets], dtype=np.uint32)
    captures.write_pcapng(folder / name, both)
    return folder / name, both


def delayed(program, path, matches, *options):
    """Rule k delays by 2^k ns: what each packet met, in the order of arrival."""
    text = "version: 1\nseed: 1\nrules:\n" + "".join(
        f"  - {{name: r{at}, match: {json.dumps(match)}, impair: [delay: {1 << at}ns]}}\n"
        for at, match in enumerate(matches))
    return program.simulated(text, [path], *options)


@pytest.mark.parametrize("seed,burst", [(1, 32), (2, 1), (3, 64)])
def test_every_segment_is_as_in_the_model(program, seed, burst):
    packets = mixed(seed)
    path, both = write_both(program.folder, packets)
    outcome = delayed(program, path, [{"tcp": match} for match in MATCHES], "--burst", burst)
    found = outcome.output.time_ns.astype(np.int64) - both.time_ns.astype(np.int64)
    model, held = Segments(), np.zeros(len(MATCHES), dtype=int)
    for at, (_, key, segment) in enumerate(packets):
        place = model.note(key, segment)
        expected = [tcp.holds(match, segment, place) for match in MATCHES]
        got = [bool(found[at] >> bit & 1) for bit in range(len(MATCHES))]
        assert got == expected, (at, segment, place, [
            match for match, a, b in zip(MATCHES, got, expected) if a != b])
        held += expected
    assert len(packets) > 4_000 and (held < len(packets)).all()
    assert (held > 0).all(), [match for match, count in zip(MATCHES, held) if count == 0]
    assert outcome.stats["connections"] == {
        "opened": model.connections.opened, "guessed": model.connections.guessed, "lost": 0,
        "forgotten": model.forgotten}
    assert outcome.stats["reproducible"] is True


def resets_of(key, segment, place, to):
    """What is sent for a segment that is reset: (flow, flags, sequence, ACK) in order."""
    if segment.flags & RST:
        return []
    has_ack = bool(segment.flags & ACK)
    resets = []
    if to != "receiver":
        taken = segment.size + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        resets += [(back(key), RST, segment.acknowledgement, 0) if has_ack else
                   (back(key), RST | ACK, 0, (segment.sequence + taken) % MOD)]
        ahead = has_ack and place.sender_owed is not None and (
            0 < (place.sender_owed - segment.acknowledgement) % MOD < MOD // 2)
        resets += [(back(key), RST, place.sender_owed, 0)] if ahead else []
    if to != "sender":
        numbers = [segment.sequence]
        if place.receiver_asked not in (None, segment.sequence):
            numbers = [place.receiver_asked, segment.sequence]
        resets += [(key, RST | ACK if has_ack else RST, number, segment.acknowledgement)
                   for number in numbers]
    return resets


def hits_of(packets, dice, rate):
    """Which of the packets the dice of their flows hit; a fragment's flow has no ports."""
    identities, numbers, count = [], [], {}
    for _, key, segment in packets:
        if not segment.whole:
            key = FlowKey(key.kind, key.source, key.destination, key.ethertype, TCP)
        identities.append(key.identity())
        count[key] = count.get(key, 0) + 1
        numbers.append(count[key])
    return below(dice.uniforms(identities, numbers), threshold(rate))


@pytest.mark.parametrize("to,burst", [("both", 32), ("sender", 1), ("receiver", 64)])
def test_resets_are_those_of_the_page(program, to, burst):
    """Each of the segments that the dice hit is dropped, and answered by these frames at once."""
    packets = mixed(4)
    path, both = write_both(program.folder, packets)
    scenario = scenario_of(("cut", [f"tcp: {{reset: {to}, rate: 40%}}"]), seed=6)
    outcome = program.simulated(scenario, [path], "--burst", burst)
    got = {}
    for at, time_ns in enumerate(outcome.output.time_ns.tolist()):
        side = outcome.output.names[outcome.output.interface[at]]
        got.setdefault(time_ns, []).append((side, *read(outcome.output.frame(at))[:5]))
    model, names, made = Segments(), ["left", "right"], 0
    hit = hits_of(packets, Dice(6, "cut", 0, FATE), "40%")
    for at, (side, key, segment) in enumerate(packets):
        place = model.note(key, segment)
        if hit[at]:
            expected = [(names[side if one == back(key) else 1 - side], 0, one, *rest)
                        for one, *rest in resets_of(key, segment, place, to)]
            made += len(expected)
        else:
            expected = [(names[1 - side], at + 1, key, segment.flags, segment.sequence,
                         segment.acknowledgement)]
        assert got.pop(int(both.time_ns[at]), []) == expected, (at, segment, place)
    assert got == {}
    rule = outcome.stats["rules"]["cut"]
    assert rule["injected"] == outcome.stats["ledger"]["injected"] == made > 1_000
    assert rule["dropped"] == outcome.stats["ledger"]["dropped"]["reject"] > 1_000
    assert outcome.stats["ledger"]["balanced"] is True


def delivered_next(output, key, first, until_ns):
    """RCV.NXT of the receiver of `key` from what came to it, in any order, before `until_ns`."""
    have = set()
    for at in range(len(output)):
        _, of, flags, sequence, _, _ = read(output.frame(at))
        size = len(output.frame(at)) - (54 if key.kind == IPV4 else 74)
        if of == key and not flags & RST and output.time_ns[at] < until_ns:
            have.update(range(sequence, sequence + size))
    while first in have:
        first += 1
    return first


@pytest.mark.parametrize("family,start", [(IPV4, 1_000), (IPV6, MOD - 2_000), (IPV6, 1_000)])
@pytest.mark.parametrize("fate", ["pass", "loss: all", "delay: 1s"])
@pytest.mark.parametrize("acknowledged", [0, 2, 5])
def test_a_reset_is_believed(program, family, start, fate, acknowledged):
    """Of 6 segments the first are acknowledged, what is between them and the last passes, is lost or
    held. The last is reset: among the numbers sent is the receiver's RCV.NXT (RFC 5961, 3.2)."""
    key, size = flow(family, 1, 2, 40_000, 80), 500
    packets = [(0, key, Segment(SYN, start)),
               (1, back(key), Segment(SYN | ACK, 70, (start + 1) % MOD))]
    packets += [(0, key, Segment(ACK, (start + 1 + size * at) % MOD, 71, size))
                for at in range(acknowledged)]
    packets += [(1, back(key), Segment(ACK, 71, (start + 1 + size * acknowledged) % MOD))]
    packets += [(0, key, Segment(ACK, (start + 1 + size * at) % MOD, 71, size))
                for at in range(acknowledged, 6)]
    path, both = write_both(program.folder, packets)
    rules = [("cut", ["tcp: {reset: receiver}"], f"{{tcp: {{sequence: {1 + 5 * size}}}}}")]
    if fate != "pass" and acknowledged < 5:
        between = f"{{tcp: {{sequence: {1 + acknowledged * size}-{5 * size}}}}}"
        rules = [("befall", [fate], between)] + rules
    outcome = program.simulated(scenario_of(*rules, seed=1), [path])
    cut_ns = int(both.time_ns[-1])
    numbers = [read(outcome.output.frame(at))[3] for at in range(len(outcome.output))
               if read(outcome.output.frame(at))[2] & RST]
    # RCV.NXT without the wrap: bytes are looked for from the beginning of the stream on.
    expected = start + 1 + size * (5 if fate == "pass" else acknowledged)
    if start + 1 + 6 * size < MOD:
        assert delivered_next(outcome.output, key, start + 1, cut_ns) == expected
    assert expected % MOD in numbers and len(numbers) == (1 if acknowledged == 5 else 2)


def test_places_go_along_to_a_stage(program):
    """Behind a link that segments reach out of order: what was a retransmission on arrival is one."""
    packets = mixed(5, 40)
    path, _ = write_both(program.folder, packets)
    change = "tcp: {zero_window: true, only: retransmissions}"
    free = "delay: {time: 50ms, jitter: 40ms, distribution: uniform, order: free}"
    outcome = program.simulated(scenario_of(("r", [free, "rate: 100Gbit", change]), seed=2), [path])
    model = Segments()
    again = {serial for serial, (_, key, segment) in enumerate(packets, 1)
             if model.note(key, segment).retransmission}
    closed = {read(outcome.output.frame(at))[0] for at in range(len(outcome.output))
              if read(outcome.output.frame(at))[5] == 0}
    assert closed == again and 100 < len(again) < len(packets) / 2
    assert outcome.stats["rules"]["r"]["edited"] == len(again)


def test_workers_follow_both_directions(program):
    """Both directions of a flow are with one worker, so only ordinals need one for all."""
    packets = mixed(6, 60)
    path, _ = write_both(program.folder, packets)
    rules = [("again", ["delay: 3ns"], "{tcp: {retransmission: 1-2}}"),
             ("some", ["delay: 5ns"], "{tcp: {sequence: 1000-9000}}"),
             ("cut", ["tcp: {reset: both, rate: 5%}"])]
    one = program.simulated(scenario_of(*rules, seed=3), [path])
    many = program.simulated(scenario_of(*rules, seed=3), [path], "--workers", 3, out="many.pcapng")
    assert many.stderr == "" and many.out.read_bytes() == one.out.read_bytes()
    rules.append(("first", ["delay: 9ns"], "{tcp: {connection: 1}}"))
    told = program.simulated(scenario_of(*rules, seed=3), [path], "--workers", 3)
    assert "'first'" in told.stderr and "one worker" in told.stderr


def test_explained(program):
    packets = mixed(7, 6)
    path, _ = write_both(program.folder, packets)
    (program.folder / "again.yaml").write_text(
        scenario_of(("again", ["loss: all"], "{tcp: {retransmission: 1}}"), seed=1))
    outcome = program.run("explain", "again.yaml", "--pcap", path, "--json")
    assert outcome.status == 0, outcome.text()
    whys = [line.split('"why":"')[1].split('"')[0] for line in outcome.stdout.splitlines()]
    model = Segments()
    times = [model.note(key, segment).retransmission for _, key, segment in packets]
    assert whys == [("" if one == 1 else "not ") + "tcp retransmission 1" for one in times]
    assert 1 in times and 2 in times


def test_a_rule_enabled_later_knows_what_came_before(program):
    """Rules that are switched off have their connections followed."""
    key = flow(IPV4, 1, 2, 40_000, 80)
    packets = [(0, key, Segment(SYN, 99))]
    packets += [(0, key, Segment(ACK, 100 + 10 * at, 1, 10)) for at in range(10)]
    packets += [(0, key, Segment(ACK, 100 + 10 * at, 1, 10)) for at in (0, 8, 8)]
    path, both = write_both(program.folder, packets, spacing_ns=100 * MS)
    text = scenario_of(("again", ["delay: 1ns"], "{tcp: {retransmission: true}}"),
                       ("some", ["delay: 2ns"], "{tcp: {sequence: 1-60}}"), seed=1)
    text = text.replace("    impair:", "    enabled: false\n    impair:") + (
        "timeline: [{at: 450ms, rule: again, enable: true}, "
        "{at: 450ms, rule: some, enable: true}]\n")
    outcome = program.simulated(text, [path])
    found = outcome.output.time_ns.astype(np.int64) - both.time_ns.astype(np.int64)
    assert found.tolist() == [0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 1, 1]
