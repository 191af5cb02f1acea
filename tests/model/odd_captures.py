"""A second reader of capture files, a packet at a time and written from the formats' descriptions:
every variant of pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), packets cut by
a snap length included. Slow, and independent of the program and of captures.py."""

import struct
from dataclasses import dataclass
from fractions import Fraction

ETHERNET = 1
PACKET_BYTES_MAX = 262_144
YEAR_2554_NS = 1 << 64


class Unreadable(ValueError):
    """No capture, or one that contradicts itself."""


class OtherLinkType(ValueError):
    """A capture of something else than Ethernet; the number is its argument."""


@dataclass
class Packet:
    time_ns: int
    original: int  # length on the wire, never less than what was captured
    data: bytes
    interface: str = ""


def read(path):
    """The packets of a capture in the order of the file."""
    raw = path.read_bytes()
    if raw[:4] == b"\x0a\x0d\x0d\x0a":
        return list(_pcapng(raw))
    for order in "<>":
        if len(raw) >= 4:
            magic, = struct.unpack(order + "I", raw[:4])
            if magic in PCAP:
                return list(_pcap(raw, order, *PCAP[magic]))
    raise Unreadable("no magic")


PCAP = {0xA1B2C3D4: (1000, 16), 0xA1B23C4D: (1, 16), 0xA1B2CD34: (1000, 24)}


def _pcap(raw, order, unit_ns, header):
    if len(raw) < 24:
        raise Unreadable("header cut")
    link_type = struct.unpack(order + "I", raw[20:24])[0] & 0xFFFF
    if link_type != ETHERNET:
        raise OtherLinkType(link_type)
    at = 24
    while at < len(raw):
        if at + header > len(raw):
            raise Unreadable("record cut")
        seconds, parts, captured, original = struct.unpack(order + "4I", raw[at:at + 16])
        at += header
        if captured > PACKET_BYTES_MAX or at + captured > len(raw):
            raise Unreadable("record too long")
        yield Packet(seconds * 10**9 + parts * unit_ns, max(original, captured),
                     raw[at:at + captured])
        at += captured


def _pcapng(raw):
    at, order, interfaces, last_ns = 0, "<", [], 0
    while at < len(raw):
        if at + 12 > len(raw):
            raise Unreadable("block cut")
        if raw[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(raw[at + 8:at + 12])
            if order is None:
                raise Unreadable("byte order")
            interfaces = []
        kind, size = struct.unpack(order + "2I", raw[at:at + 8])
        if size < 12 or size % 4 or size > 1 << 24 or at + size > len(raw):
            raise Unreadable("block length")
        if struct.unpack(order + "I", raw[at + size - 4:at + size])[0] != size:
            raise Unreadable("block lengths differ")
        body = raw[at + 8:at + size - 4]
        at += size
        if kind == 1:
            interfaces.append(_interface(body, order))
        elif kind in (2, 3, 6):
            packet = _packet(kind, body, order, interfaces, last_ns)
            last_ns = packet.time_ns
            yield packet


def _interface(body, order):
    link_type, _, snap = struct.unpack(order + "HHI", body[:8])
    name, resolution, offset = "", Fraction(10**9, 10**6), 0
    at = 8
    while at + 4 <= len(body):
        code, length = struct.unpack(order + "HH", body[at:at + 4])
        value = body[at + 4:at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
        if code == 0:
            break
        if code == 2:
            name = value.split(b"\0")[0].decode("utf-8", "replace")
        if code == 9:
            base, power = (2, value[0] & 0x7F) if value[0] & 0x80 else (10, value[0])
            resolution = Fraction(10**9, base**power)
        if code == 14:
            offset, = struct.unpack(order + "q", value)
    return link_type, snap, name, resolution, offset


def _packet(kind, body, order, interfaces, last_ns):
    if kind == 3:
        number, (original,) = 0, struct.unpack(order + "I", body[:4])
        captured, data, ticks = original, body[4:], None
    else:
        number, high, low, captured, original = struct.unpack(order + "5I", body[:20])
        if kind == 2:
            number, = struct.unpack(order + "H", body[:2])
        data, ticks = body[20:], high << 32 | low
    if number >= len(interfaces):
        raise Unreadable("no such interface")
    link_type, snap, name, resolution, offset = interfaces[number]
    if link_type != ETHERNET:
        raise OtherLinkType(link_type)
    if kind == 3 and snap:
        captured = min(original, snap)
    if captured > min(len(data), PACKET_BYTES_MAX):
        raise Unreadable("captured length")
    time_ns = last_ns if ticks is None else ticks * resolution // 1 + offset * 10**9
    if not 0 <= time_ns < YEAR_2554_NS:
        raise Unreadable("time")
    return Packet(int(time_ns), max(original, captured), data[:captured], name)
