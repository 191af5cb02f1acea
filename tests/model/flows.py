"""The directed flow of a frame, and the 64-bit identity its dice are thrown with. Reads one frame
at a time, for correctness and not for speed."""

from dataclasses import dataclass

import numpy as np

from .dice import MASK64

LINK, IPV4, IPV6 = 0, 1, 2
TCP, UDP = 6, 17

# The fractional parts of the square roots of 2, 3, 5 and 7.
MIX = (0x6A09E667F3BCC909, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1)


@dataclass(frozen=True)
class FlowKey:
    kind: int
    source: bytes
    destination: bytes
    ethertype: int
    protocol: int = 0
    source_port: int = 0
    destination_port: int = 0

    def packed(self):
        """40 bytes, unused ones zero: addresses, ports, ethertype (little-endian), protocol,
        kind."""
        return (self.source.ljust(16, b"\0") + self.destination.ljust(16, b"\0") +
                self.source_port.to_bytes(2, "little") +
                self.destination_port.to_bytes(2, "little") +
                self.ethertype.to_bytes(2, "little") + bytes((self.protocol, self.kind)))

    def identity(self):
        words = [int.from_bytes(self.packed()[at:at + 8], "little") for at in range(0, 40, 8)]
        addresses = (fold(words[0] ^ MIX[0], words[1] ^ MIX[1]) ^
                     fold(words[2] ^ MIX[1], words[3] ^ MIX[2]))
        return fold(addresses ^ MIX[3], words[4] ^ MIX[0]) ^ fold(addresses ^ MIX[2], MIX[1])


def fold(left, right):
    """The upper and the lower half of the 128-bit product, xored."""
    product = left * right
    return (product & MASK64) ^ (product >> 64)


def flow_of(frame):
    """The directed flow of an Ethernet frame. What is cut short or contradicts itself, and what is
    not IP, is a flow of MAC addresses and ethertype; a fragment has no ports."""
    destination, source = frame[0:6], frame[6:12]
    ethertype = int.from_bytes(frame[12:14], "big")
    link = FlowKey(LINK, source, destination, ethertype)
    if ethertype == 0x0800:
        return _ipv4(frame[14:]) or link
    if ethertype == 0x86DD:
        return _ipv6(frame[14:]) or link
    return link


def _ipv4(packet):
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    header = (packet[0] & 15) * 4
    total = int.from_bytes(packet[2:4], "big")
    if header < 20 or total < header or total > len(packet):
        return None
    fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
    ports = None if fragment else _ports(packet[9], packet[header:total])
    return FlowKey(IPV4, packet[12:16], packet[16:20], 0x0800, packet[9], *(ports or (0, 0)))


def _ipv6(packet):
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    length = int.from_bytes(packet[4:6], "big")
    if length > len(packet) - 40:
        return None
    ports = _ports(packet[6], packet[40:40 + length])
    return FlowKey(IPV6, packet[8:24], packet[24:40], 0x86DD, packet[6], *(ports or (0, 0)))


def _ports(protocol, segment):
    """None where there are no ports to be read."""
    if protocol == TCP:
        whole = len(segment) >= 20 and 20 <= (segment[12] >> 4) * 4 <= len(segment)
    else:
        whole = (protocol == UDP and len(segment) >= 8
                 and 8 <= int.from_bytes(segment[4:6], "big") <= len(segment))
    if not whole:
        return None
    return int.from_bytes(segment[0:2], "big"), int.from_bytes(segment[2:4], "big")


def numbers_in_flow(flow_ids):
    """The number of each packet within its flow, from 1, in the order given."""
    flow_ids = np.asarray(flow_ids)
    order = np.argsort(flow_ids, kind="stable")
    ordered = flow_ids[order]
    starts = np.concatenate(([True], ordered[1:] != ordered[:-1])) if len(ordered) else ordered
    position = np.arange(len(ordered))
    first = np.maximum.accumulate(np.where(starts, position, 0)) if len(ordered) else position
    numbers = np.empty(len(flow_ids), dtype=np.uint64)
    numbers[order] = position - first + 1
    return numbers
