"""A clock that is wrong, by fractions and floors, and what becomes of messages of NTP and PTP that
tell its time: written from RFC 5905, RFC 9769 and IEEE 1588, over plain bytes."""

import struct
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from .edits import UDP, checksum_of, pseudo_header

NTP_TICKS = 1 << 32
PTP_TICKS = 10**9
ERA = 1 << 64
RATE = Fraction(1, 10**6)


@dataclass
class Law:
    """f(t) - t, in seconds but for the drift, which is a share."""
    offset: Fraction = Fraction(0)
    drift: Fraction = Fraction(0)
    steps: list = field(default_factory=list)
    smear: tuple = None  # by, over

    def off(self, elapsed, ticks):
        """In ticks, after so many of them."""
        def whole(seconds):
            scaled = Fraction(seconds) * ticks
            return floor(abs(scaled) + Fraction(1, 2)) * (1 if scaled >= 0 else -1)

        off = whole(self.offset) + floor(elapsed * self.drift)
        off += sum(whole(by) for at, by in self.steps if elapsed >= whole(at))
        if self.smear:
            by, over = map(whole, self.smear)
            off += floor(Fraction(by * min(max(elapsed, 0), over), over))
        return off


def signed(value):
    return (value + ERA // 2) % ERA - ERA // 2


# -- frames ---------------------------------------------------------------------------------------

MACS = bytes.fromhex("020000000002020000000001")


def udp_frame(source, destination, ports, payload, vlan=None, summed=True):
    """Addresses of 4 or 16 bytes."""
    version = 4 if len(source) == 4 else 6
    length = 8 + len(payload)
    header = struct.pack(">HHHH", *ports, length, 0)
    total = checksum_of(pseudo_header(version, source, destination, UDP, length) + header + payload,
                        udp=True) if summed else 0
    datagram = header[:6] + total.to_bytes(2, "big") + payload
    if version == 4:
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, UDP, 0) + source + destination
        ip = ip[:10] + checksum_of(ip).to_bytes(2, "big") + ip[12:]
        ethertype = b"\x08\0"
    else:
        ip = struct.pack(">IHBB", 6 << 28, length, UDP, 64) + source + destination
        ethertype = b"\x86\xdd"
    return MACS + tag(vlan) + ethertype + ip + datagram


def ethernet_frame(payload, vlan=None):
    return MACS + tag(vlan) + b"\x88\xf7" + payload


def tag(vlan):
    return b"" if vlan is None else b"\x81\0" + vlan.to_bytes(2, "big")


# -- NTP ------------------------------------------------------------------------------------------

REFERENCE, ORIGIN, RECEIVE, TRANSMIT = 16, 24, 32, 40
NTS = (0x0104, 0x0204, 0x0304, 0x0404)


def stamp_of(message, at):
    return int.from_bytes(message[at:at + 8], "big")


def with_stamp(message, at, stamp):
    return message[:at] + (stamp % ERA).to_bytes(8, "big") + message[at + 8:]


def vouched(message):
    """Whether a MAC or NTS stands behind the header."""
    rest = message[48:]
    if message[0] >> 3 & 7 == 3:
        return len(rest) >= 4
    while len(rest) >= 4:
        kind, length = struct.unpack(">HH", rest[:4])
        if len(rest) in (4, 20, 24) or length < 16 or length % 4 or length > len(rest):
            return True
        if kind in NTS:
            return True
        rest = rest[length:]
    return False


class Source:
    """A node that lies about its time to those who ask it."""

    def __init__(self, law):
        self.law = law
        self.ntp_start = self.ptp_start = None
        self.told = {}  # by peer: (told, what it was), the youngest last

    def f(self, stamp):
        if stamp == 0:
            return 0
        return (stamp + self.law.off(signed(stamp - self.ntp_start), NTP_TICKS)) % ERA or 1

    def speaks(self, peer, message):
        """NTP from the node; None: it cannot be rewritten."""
        mode = message[0] & 7
        if mode not in (1, 2, 4, 5):
            return message
        if vouched(message):
            return None
        if self.ntp_start is None:
            self.ntp_start = stamp_of(message, TRANSMIT)
        told = self.told.setdefault(peer, deque(maxlen=8))
        for at in (REFERENCE, RECEIVE, TRANSMIT):
            stamp = stamp_of(message, at)
            if at == RECEIVE and mode == 5:
                continue
            if stamp and (at == RECEIVE or at == TRANSMIT and mode in (1, 2)):
                told.append((self.f(stamp), stamp))
            message = with_stamp(message, at, self.f(stamp))
        return message

    def hears(self, peer, message):
        """NTP to the node."""
        if message[0] & 7 not in (1, 2, 3):
            return message
        for told, stamp in reversed(self.told.get(peer, ())):
            if told == stamp_of(message, ORIGIN):
                return with_stamp(message, ORIGIN, stamp)
        return message

    def ptp(self, message, correction=False):
        """PTP from the node."""
        kind, two_step = message[0] & 0xF, message[6] & 2
        seconds, nanoseconds = int.from_bytes(message[34:40], "big"), int.from_bytes(message[40:44], "big")
        stamp = seconds * PTP_TICKS + nanoseconds
        if kind not in (0, 8, 9) or kind == 0 and two_step or stamp == 0:
            return message
        if self.ptp_start is None and kind != 9:
            self.ptp_start = stamp
        off = self.law.off(0 if self.ptp_start is None else stamp - self.ptp_start, PTP_TICKS)
        if correction:
            now = int.from_bytes(message[8:16], "big", signed=True)
            now += (-off if kind == 9 else off) << 16
            return message[:8] + now.to_bytes(8, "big", signed=True) + message[16:]
        seconds, nanoseconds = divmod(stamp + off, PTP_TICKS)
        return message[:34] + seconds.to_bytes(6, "big") + nanoseconds.to_bytes(4, "big") + message[44:]


def tells_the_time(message, is_ntp):
    """Whether it comes from one who does."""
    return message[0] & 7 in (1, 2, 4, 5) if is_ntp else message[0] & 0xF in (0, 8, 9, 11)


class Node:
    """One of which nobody said whether it lies or is lied to: the first who tells the time says it."""

    def __init__(self, law):
        self.law, self.role = Source(law), None

    def passes(self, speaks, peer, message, is_ntp):
        """What becomes of a message that it sends, or that is sent to it; None: it cannot be rewritten."""
        if self.role is None and tells_the_time(message, is_ntp):
            self.role = "source" if speaks else "victim"
        if self.role is not None and speaks == (self.role == "source"):
            return self.law.speaks(peer, message) if is_ntp else self.law.ptp(message)
        if self.role == "source" and is_ntp:
            return self.law.hears(peer, message)
        return message


# -- who told whom ----------------------------------------------------------------------------------

class Witness:
    """What passed between clients and their sources, as the report is to have it."""

    def __init__(self):
        self.told, self.asked = {}, {}

    def asks(self, client, source, message):
        self.asked[client, source] = stamp_of(message, RECEIVE), stamp_of(message, TRANSMIT)

    def tells(self, source, client, message, after, off_ns):
        """`after` is what became of it; None: it could not be rewritten."""
        pair = self.told.setdefault((client, source), {
            "mode": None, "shifted": False, "told": 0, "rewritten": 0, "unrewritable": 0,
            "first_ns": None, "last_ns": None})
        mode, origin = message[0] & 7, stamp_of(message, ORIGIN)
        received, sent = self.asked.get((client, source), (0, 0))
        if vouched(message):
            pair["mode"] = "authenticated"
        elif mode != 4:
            pair["mode"] = "broadcast" if mode == 5 else "symmetric"
        elif origin and origin == sent:
            pair["mode"] = "basic"
        elif origin and origin == received:
            pair["mode"] = "interleaved"
        pair["told"] += 1
        pair["shifted"] = off_ns is not None and after is not None
        if off_ns is None:
            return
        pair["unrewritable"] += after is None
        if after is not None:
            pair["rewritten"] += 1
            pair["last_ns"] = off_ns
            pair["first_ns"] = off_ns if pair["first_ns"] is None else pair["first_ns"]
