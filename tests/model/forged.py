"""Forged frames, written from RFC 826, 5227, 5798, 9293 and 792 and IEEE 1588-2008, over plain bytes."""

import ipaddress
import struct

from .edits import TCP, checksum_of, pseudo_header

ICMP, UDP, VRRP = 1, 17, 112
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16}


def ip(text):
    return ipaddress.ip_address(text).packed


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def _frame(target, source, kind, rest, vlan):
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    return (target + source + tag + struct.pack(">H", kind) + rest).ljust(60, b"\0")


def _header(source, target, protocol, hops, length):
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28, length, protocol, hops) + source + target
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, hops, protocol, 0) + source + target
    return head[:10] + checksum_of(head).to_bytes(2, "big") + head[12:]


def _packet(cards, source, target, protocol, hops, body, vlan):
    return _frame(*cards, 0x0800 if len(source) == 4 else 0x86DD,
                  _header(source, target, protocol, hops, len(body)) + body, vlan)


def _summed(body, at, before=b""):
    return body[:at] + checksum_of(before + body).to_bytes(2, "big") + body[at + 2:]


def arp(address, card, to=None, to_card=None, vlan=None):
    """An announcement, or with `to` a reply."""
    operation, target = (1, b"\xff" * 6) if to is None else (2, mac(to_card))
    rest = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + mac(card) + ip(address)
    rest += bytes(6) + ip(address) if to is None else mac(to_card) + ip(to)
    return _frame(target, mac(card), 0x0806, rest, vlan)


def vrrp(router, priority, source, addresses, centiseconds, vlan=None):
    """RFC 5798, section 5.2: the checksum is over the pseudo-header too."""
    source, four = ip(source), len(ip(source)) == 4
    target = ip("224.0.0.18" if four else "ff02::12")
    body = struct.pack(">BBBBHH", 0x31, router, priority, len(addresses), centiseconds, 0)
    body += b"".join(ip(address) for address in addresses)
    body = _summed(body, 6, pseudo_header(4 if four else 6, source, target, VRRP, len(body)))
    cards = mac("01005e000012" if four else "333300000012"), bytes((0, 0, 0x5E, 0, 1 if four else 2, router))
    return _packet(cards, source, target, VRRP, 255, body, vlan)


def tcp(cards, source, target, ports, flags, sequence=0, acknowledgement=0, window=0, vlan=None):
    """cards: the receiver's and the sender's."""
    source, target = ip(source), ip(target)
    body = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledgement, 5 << 4,
                       sum(FLAGS[flag] for flag in flags), window, 0, 0)
    version = 4 if len(source) == 4 else 6
    body = _summed(body, 16, pseudo_header(version, source, target, TCP, len(body)))
    return _packet(tuple(map(mac, cards)), source, target, TCP, 64, body, vlan)


def icmp(cards, source, target, kind, code, about, ports=(0, 0), protocol=UDP, gateway="0.0.0.0",
         vlan=None):
    """About a datagram of eight bytes that `target` sent to `about`."""
    quoted = _header(ip(target), ip(about), protocol, 64, 8) + struct.pack(">HHHH", *ports, 8, 0)
    body = _summed(struct.pack(">BBH", kind, code, 0) + ip(gateway) + quoted, 2)
    return _packet(tuple(map(mac, cards)), ip(source), ip(target), ICMP, 64, body, vlan)


def announce(card, domain=0, priority1=128, clock_class=248, priority2=128, steps=0, interval=0, source=None,
             vlan=None):
    """IEEE 1588-2008, tables 18, 20 and 25; of a clock whose identity is its card's EUI-64. With a
    source over UDP, annexes D and E."""
    card = mac(card)
    identity = card[:3] + b"\xff\xfe" + card[3:]
    body = struct.pack(">BBHBBHq4s8sHHBb", 0x0B, 2, 64, domain, 0, 0x000C, 0, b"", identity, 1, 0, 5, interval)
    body += struct.pack(">10shBBBBHB8sHB", b"", 37, 0, priority1, clock_class, 0xFE, 0xFFFF, priority2,
                        identity, steps, 0xA0)
    if source is None:
        return _frame(mac("011b19000000"), card, 0x88F7, body, vlan)
    source, four = ip(source), len(ip(source)) == 4
    target = ip("224.0.1.129" if four else "ff0e::181")
    datagram = struct.pack(">HHHH", 320, 320, 8 + len(body), 0) + body
    datagram = _summed(datagram, 6, pseudo_header(4 if four else 6, source, target, UDP, len(datagram)))
    return _packet((mac("01005e000181" if four else "333300000181"), card), source, target, UDP, 1, datagram,
                   vlan)
