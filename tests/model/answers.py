"""Frames that answer a packet: ICMP errors (RFC 792, RFC 1191, RFC 4443) and TCP resets (RFC 9293),
byte by byte as docs/faults says, and what must not be answered (RFC 1122, section 3.2.2), which is
None."""

from .edits import ACK, ICMP, ICMPV6, SYN, TCP, checksum_of, pseudo_header

FIN, RST = 1, 4
UNREACHABLE = {  # (type, code) of IPv4 and of IPv6
    "net": ((3, 0), (1, 0)), "host": ((3, 1), (1, 3)), "protocol": ((3, 2), (4, 1)),
    "port": ((3, 3), (1, 4)), "admin": ((3, 13), (1, 1))}
ICMP_ERRORS = (3, 4, 5, 11, 12)
REDIRECT6 = 137


def ends(frame, parts):
    """Source and destination address."""
    at, size = (parts.l3 + 12, 4) if parts.version == 4 else (parts.l3 + 8, 16)
    return frame[at:at + size], frame[at + size:at + 2 * size]


def is_one_host(address):
    if len(address) == 4:
        return address[0] not in (0, 127) and address[0] < 224
    return any(address) and address[0] != 0xFF


def is_between_hosts(frame, parts):
    return not frame[0] & 1 and all(map(is_one_host, ends(frame, parts)))


def is_icmp_error(frame, parts):
    """And redirects, which are not answered either (RFC 4443, section 2.4)."""
    if parts.protocol == ICMPV6:
        return frame[parts.l4] < 128 or frame[parts.l4] == REDIRECT6
    return parts.protocol == ICMP and frame[parts.l4] in ICMP_ERRORS


def unreachable(frame, parts, code):
    four, six = UNREACHABLE[code]
    pointer = parts.next_header - parts.l3 if code == "protocol" else 0
    return _error(frame, parts, (*four, 0), (*six, pointer))


def too_big(frame, parts, size):
    return _error(frame, parts, (3, 4, size), (2, 0, size))


def _error(frame, parts, four, six):
    if not parts.version or parts.fragment == "later" or not is_between_hosts(frame, parts) or (
            is_icmp_error(frame, parts)):
        return None
    kind, code, rest = four if parts.version == 4 else six
    most = 576 - 20 - 8 if parts.version == 4 else 1280 - 40 - 8
    body = bytes((kind, code, 0, 0)) + rest.to_bytes(4, "big")
    body += frame[parts.l3:min(parts.end, parts.l3 + most)]
    return _packet(frame, parts, True, ICMP if parts.version == 4 else ICMPV6, body, 2)


def reset(frame, parts, back):
    """Back, as the other end would send it, or on to the receiver in the segment's place."""
    if parts.protocol != TCP or not parts.l4 or not is_between_hosts(frame, parts):
        return None
    flags, l4 = frame[parts.l4 + 13], parts.l4
    if flags & RST:
        return None
    ports, sequence, wanted = frame[l4:l4 + 4], frame[l4 + 4:l4 + 8], frame[l4 + 8:l4 + 12]
    if not back:
        numbers = sequence + (wanted + b"\x50\x14" if flags & ACK else bytes(4) + b"\x50\x04")
    elif flags & ACK:
        numbers = wanted + bytes(4) + b"\x50\x04"
    else:
        length = parts.end - parts.l4_end + bool(flags & SYN) + bool(flags & FIN)
        behind = (int.from_bytes(sequence, "big") + length) % 2**32
        numbers = bytes(4) + behind.to_bytes(4, "big") + b"\x50\x14"
    ports = ports[2:] + ports[:2] if back else ports
    return _packet(frame, parts, back, TCP, ports + numbers + bytes(6), 16)


def rejection(frame, parts):
    if parts.protocol == TCP:
        return reset(frame, parts, True) if parts.fragment != "later" else None
    return unreachable(frame, parts, "port")


def _packet(frame, parts, back, protocol, body, checksum_at):
    """With the packet's tags and labels, padded as Ethernet wants it."""
    source, destination = ends(frame, parts)
    link = frame[:parts.l3]
    if back:
        source, destination = destination, source
        link = frame[6:12] + frame[:6] + frame[12:parts.l3]
    pseudo = b""
    if protocol != ICMP:
        pseudo = pseudo_header(parts.version, source, destination, protocol, len(body))
    made = checksum_of(pseudo + body).to_bytes(2, "big")
    body = body[:checksum_at] + made + body[checksum_at + 2:]
    if parts.version == 4:
        header = bytes((0x45, 0)) + (20 + len(body)).to_bytes(2, "big") + b"\0\0\x40\0" + (
            bytes((64, protocol, 0, 0)) + source + destination)
        header = header[:10] + checksum_of(header).to_bytes(2, "big") + header[12:]
    else:
        header = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes((protocol, 64)) + (
            source + destination)
    return (link + header + body).ljust(60, b"\0")
