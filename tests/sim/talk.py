"""Conversations on one wire, packet by packet: connections of TCP and datagrams, for scenarios that ask
who opened what."""

import random
import struct

from model import captures
from model.connections import ACK, SYN, Connections
from model.flows import IPV4, TCP, UDP, FlowKey


def host(number):
    return bytes((10, 0, number >> 8, number & 255))


def ip_frame(key, transport, *, identification=0, fragment=0):
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(transport), identification, fragment, 64,
                         key.protocol, 0) + key.source + key.destination
    return b"\x02\0\0\0\0\2\x02\0\0\0\0\1\x08\0" + header + transport


class Talk:
    """Packets of one wire in order, each with a serial number in its last bytes, and each with an
    identification of its own, from `identification` on."""

    def __init__(self, identification=0):
        self.packets = []  # (port, key, (flags, sequence, acknowledgement), frame)
        self.identification = identification

    def tcp(self, port, key, flags, sequence=0, acknowledgement=0):
        body = struct.pack(">HHIIBBHHH", key.source_port, key.destination_port, sequence,
                           acknowledgement, 0x50, flags, 8192, 0, 0)
        self.add(port, key, self.frame(key, body), flags, sequence, acknowledgement)

    def udp(self, port, key):
        body = struct.pack(">HHHH", key.source_port, key.destination_port, 16, 0)
        self.add(port, key, self.frame(key, body))

    def add(self, port, key, frame, *tcp):
        self.packets.append((port, key, tcp, frame))

    def frame(self, key, transport):
        serial = len(self.packets)
        return ip_frame(key, transport + struct.pack(">Q", serial),
                        identification=self.identification + serial & 0xFFFF)

    def write(self, folder):
        """Inputs for --in; packets are 1 µs apart."""
        inputs = []
        for port in ("left", "right"):
            mine = [(frame, captures.FIRST_NS + 1_000 * at)
                    for at, (side, _, _, frame) in enumerate(self.packets) if side == port]
            path = folder / f"{port}.pcap"
            captures.write_pcap(path, captures.from_frames(*zip(*mine)))
            inputs.append(f"{port}={path}")
        return inputs

    def notes(self):
        """What the model says of each packet, and the model."""
        connections = Connections()
        return [connections.note(key, *tcp) for _, key, tcp, _ in self.packets], connections


def conversations(ephemeral, salt=0):
    """200 connections between some hosts on both sides, mixed: most opened by SYN, some of whose
    SYN is repeated, some met in the middle, some on ports used before, some with datagrams. Always
    the same, but for the clients' ports, which begin at `ephemeral`, and, by `salt`, for the initial
    sequence numbers and the identifications of IP."""
    chance = random.Random(5)
    talk = Talk(identification=salt)
    scripts = []
    for number in range(200):
        port, other = (("left", "right"), ("right", "left"))[number % 2]
        kind = ("whole", "whole", "middle", "again", "udp")[number // 2 % 5]
        ends = number - 6 if kind == "again" else number
        key = FlowKey(IPV4, host(1 + ends % 7 + 300 * (ends % 2)), host(200 + ends % 3), 0x0800,
                      UDP if kind == "udp" else TCP, ephemeral + ends, 80 + ends % 2)
        back = FlowKey(IPV4, key.destination, key.source, 0x0800, key.protocol, key.destination_port,
                       key.source_port)
        steps = []
        if kind == "udp":
            steps += [(talk.udp, port, key), (talk.udp, other, back)] * 4
        else:
            start = chance.randrange(1 << 32) + 77_777 * salt & 0xFFFFFFFF
            if kind != "middle":
                steps += [(talk.tcp, port, key, SYN, start)] * chance.randint(1, 2)
                steps += [(talk.tcp, other, back, SYN | ACK, 9 + salt, (start + 1) & 0xFFFFFFFF)]
            for _ in range(chance.randint(2, 9)):
                steps += [(talk.tcp, *chance.choice([(port, key), (other, back)]), ACK, 77, 78)]
        scripts.append(steps)
    while scripts:
        steps = chance.choice(scripts)
        call, *arguments = steps.pop(0)
        call(*arguments)
        scripts = [script for script in scripts if script]
    return talk
