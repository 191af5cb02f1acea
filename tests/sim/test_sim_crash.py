"""A crashed host is silent, and what remembers it afterwards is reset; a crashed process is spoken
for by its kernel."""

import struct

import pytest

from model import captures
from model.tcp import ACK, RST, SYN
from test_sim_switch import FIRST_NS, arp, checksum, mac

MS = 1_000_000
CLIENT, NODE = 1, 2


def segment(source, destination, sport, dport, flags, sequence, acknowledgement, payload=b""):
    head = struct.pack(">HHIIBBHHH", sport, dport, sequence, acknowledgement, 0x50, flags, 8192, 0, 0)
    total = 20 + len(head) + len(payload)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 6, 0, bytes([10, 0, 0, source]),
                     bytes([10, 0, 0, destination]))
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return mac(destination) + mac(source) + b"\x08\0" + ip + head + payload


def told(frame):
    """(from whom, flags, sequence, acknowledgement, payload bytes) of a segment."""
    sport, dport, sequence, acknowledgement, _, flags = struct.unpack(">HHIIBB", frame[34:48])
    size = struct.unpack(">H", frame[16:18])[0] - 40
    return frame[29], flags, sequence, acknowledgement, size


class Talk:
    """Segments of connections between a client's port and the node's port 80, at instants."""

    def __init__(self):
        self.packets = {"left": [], "right": []}

    def forth(self, at_ms, sport, flags, sequence, acknowledgement=0, payload=b""):
        self.packets["left"].append((at_ms, segment(CLIENT, NODE, sport, 80, flags, sequence,
                                                    acknowledgement, payload)))

    def back(self, at_ms, sport, flags, sequence, acknowledgement, payload=b""):
        self.packets["right"].append((at_ms, segment(NODE, CLIENT, 80, sport, flags, sequence,
                                                     acknowledgement, payload)))

    def connect(self, at_ms, sport, first=1000):
        self.forth(at_ms, sport, SYN, first)
        self.back(at_ms, sport, SYN | ACK, first + 4000, first + 1)
        self.forth(at_ms, sport, ACK, first + 1, first + 4001)

    def inputs(self, folder):
        given = []
        for port, packets in self.packets.items():
            path = folder / f"{port}.pcap"
            packets.sort(key=lambda one: one[0])
            captures.write_pcap(path, captures.from_frames(
                [frame for _, frame in packets], [FIRST_NS + at * MS for at, _ in packets]))
            given.append(f"{port}={path}")
        return given


def run(program, talk, fault, *options):
    text = ("version: 1\nnodes: {node: {ip: 10.0.0.2}}\ntimeline:\n  - {at: 100ms, for: 100ms, "
            f"crash: {{node: node{fault}}}}}\n")
    outcome = program.simulated(text, talk.inputs(program.folder), *options)
    out = outcome.output
    assert outcome.stats["ledger"]["balanced"]
    left = [((int(out.time_ns[index]) - FIRST_NS) // MS, out.names[out.interface[index]],
             out.frame(index)) for index in range(len(out))]
    return outcome, left


def test_a_host_is_silent_and_then_knows_nothing(program):
    """During the crash nothing passes, ARP neither. Afterwards segments of connections from before are
    answered to both ends, with the numbers that they expect; a new connection works."""
    talk = Talk()
    talk.connect(10, 5001)
    talk.forth(110, 5001, ACK, 1001, 5001, b"abc")  # lost with the host
    talk.packets["left"].append((150, arp(CLIENT, NODE, 7)))
    talk.back(160, 5001, ACK, 5001, 1001, b"xy")
    talk.forth(210, 5001, ACK, 1001, 5001, b"abc")  # sent again: who is that?
    talk.back(220, 5001, ACK, 5001, 1001, b"xy")  # the real host still remembers
    talk.connect(230, 5002, 70_000)
    talk.forth(240, 5002, ACK, 70_001, 74_001, b"new")
    outcome, left = run(program, talk, ", kind: host")
    assert [when for when, _, _ in left if 100 <= when < 200] == []
    assert outcome.stats["ledger"]["dropped"]["crash"] == 5
    resets = [(when, to, *told(frame)) for when, to, frame in left if told(frame)[1] & RST]
    at_210 = [reset[1:] for reset in resets if reset[0] == 210]
    assert ("left", NODE, RST, 5001, 0, 0) in at_210
    assert ("right", CLIENT, RST | ACK, 1001, 5001, 0) in at_210
    at_220 = [reset[1:] for reset in resets if reset[0] == 220]
    assert any(reset[0] == "right" and reset[3] == 1001 for reset in at_220)
    assert any(reset[0] == "left" and reset[3] == 5001 for reset in at_220)
    assert not [reset for reset in resets if reset[0] >= 230]
    assert sorted((when, to) for when, to, _ in left if when >= 230) == [
        (230, "left"), (230, "right"), (230, "right"), (240, "right")]


def test_a_process_is_spoken_for(program):
    """During the crash a SYN is refused, a living connection is reset at once; UDP and ARP pass."""
    talk = Talk()
    talk.connect(10, 5001)
    talk.forth(110, 5001, ACK, 1001, 5001, b"abc")
    talk.forth(120, 5003, SYN, 9000)
    talk.packets["left"].append((150, arp(CLIENT, NODE, 7)))
    talk.connect(210, 5004, 20_000)
    outcome, left = run(program, talk, ", kind: process")
    during = [(when, to, *told(frame)) for when, to, frame in left if 100 <= when < 200]
    assert (110, "left", NODE, RST, 5001, 0, 0) in during
    assert (110, "right", CLIENT, RST | ACK, 1001, 5001, 0) in during
    assert (120, "left", NODE, RST | ACK, 0, 9001, 0) in during
    assert [when for when, _, _ in left if when == 150] == [150]
    assert len([when for when, _, _ in left if when == 210]) == 3
    assert outcome.stats["ledger"]["dropped"]["crash"] == 2


def test_a_syn_that_is_sent_again_opens_anew(program):
    """The SYN of a client that tried during the crash comes again after it: that connection lives."""
    talk = Talk()
    talk.forth(0, 4999, SYN, 1)
    talk.forth(150, 5005, SYN, 9000)
    talk.forth(250, 5005, SYN, 9000)
    talk.back(251, 5005, SYN | ACK, 500, 9001)
    talk.forth(252, 5005, ACK, 9001, 501, b"hello")
    _, left = run(program, talk, "")
    assert [(when, to) for when, to, _ in left if when > 0] == [
        (250, "right"), (251, "left"), (252, "right")]


@pytest.mark.parametrize("burst", [1, 7, 64])
def test_bursts_change_nothing(program, burst):
    talk = Talk()
    for number in range(40):
        talk.connect(2 * number, 6000 + number)
        talk.forth(2 * number + 205, 6000 + number, ACK, 1001, 5001, b"x")
        talk.back(2 * number + 206, 6000 + number, ACK, 5001, 1001, b"y")
    _, left = run(program, talk, "", "--burst", burst)
    _, one = run(program, talk, "", "--burst", 1)
    assert left == one and sum(told(frame)[1] & RST > 0 for _, _, frame in left) > 20
