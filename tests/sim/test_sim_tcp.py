"""TCP followed through its connections: every packet's match is the model's, and a reset is believed
by the ends it is meant for."""

import json
import random
import struct

import numpy as np
import pytest

from model import captures, matching, tcp
from model.flows import IPV4, IPV6, TCP, FlowKey
from model.tcp import ACK, FIN, RST, SYN, Segment, Segments

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


def frame_of(key, segment):
    """A segment, or with whole = False the first fragment of one."""
    header = struct.pack(">HHIIBBHHH", key.source_port, key.destination_port, segment.sequence,
                         segment.acknowledgement, 0x50, segment.flags, 8192, 0, 0)
    body = header + bytes(segment.size)
    ethernet = b"\x02\0\0\0\0\2\x02\0\0\0\0\1" + key.ethertype.to_bytes(2, "big")
    if key.kind == IPV4:
        return ethernet + struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 7,
                                      0 if segment.whole else 0x2000, 64, TCP, 0) + (
                                          key.source + key.destination + body)
    if not segment.whole:
        body = struct.pack(">BBHI", TCP, 0, 1, 7) + body
    return ethernet + struct.pack(">IHBB", 6 << 28, len(body), TCP if segment.whole else 44,
                                  64) + key.source + key.destination + body


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
    both = captures.from_frames([frame_of(key, segment) for _, key, segment in packets],
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
