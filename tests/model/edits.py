"""What a change does to a frame: where its parts are, what its checksums should be, and each edit
whose outcome the documentation fixes. From the RFCs and docs/faults, one frame at a time; sums are
always made anew, never brought up to date. Of damage only the allowed places are known here."""

import ipaddress

TAGS, LABELS = (0x8100, 0x88A8), (0x8847, 0x8848)
TAGS_MAX, LABELS_MAX, EXTENSIONS_MAX = 4, 8, 8
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}
HEADER_LEAST = {TCP: 20, UDP: 8, SCTP: 12, ICMP: 4, ICMPV6: 4}
SYN, ACK = 2, 16


class Parts:
    """Offsets into a frame. version 0: not IP, and only `end` means anything. A part that is not
    there is 0."""

    __slots__ = ("tags", "version", "l3", "l3_end", "body", "protocol", "next_header",
                 "destination", "fragment", "place", "more", "id", "l4", "l4_end", "checksum",
                 "summed_end", "end")

    def __init__(self):
        for name in self.__slots__:
            setattr(self, name, "" if name == "fragment" else 0)

    def of(self, where, length):
        """[first, end) of what `where:` of corrupt names."""
        if where == "anywhere":
            return 0, length
        if where == "l2":
            return 0, self.l3 if self.version else length
        if isinstance(where, int):
            return min(where, length), length
        if not self.version:
            return 0, 0
        if where == "l3":
            return self.l3, self.body
        if where == "l4":
            return self.l4, self.l4_end
        return self.l4_end or self.body, self.end

    def sums(self):
        """The bytes of checksums."""
        header = (self.l3 + 10, self.l3 + 11) if self.version == 4 else ()
        return header + ((self.checksum, self.checksum + 1) if self.checksum else ())


def word(frame, at):
    return frame[at] << 8 | frame[at + 1]


def parts_of(frame):
    """None for a frame that cannot be parsed."""
    parts, at = Parts(), 12
    while parts.tags < TAGS_MAX and word(frame, at) in TAGS:
        parts.tags, at = parts.tags + 1, at + 4
        if at + 2 > len(frame):
            return None
    kind, at = word(frame, at), at + 2
    parts.end = len(frame)
    if kind == 0x0800:
        return _ipv4(frame, parts, at)
    if kind == 0x86DD:
        return _ipv6(frame, parts, at)
    if kind in LABELS:
        for label in range(at, at + 4 * LABELS_MAX, 4):
            if frame[label + 2] & 1:
                version = frame[label + 4] >> 4
                return (_ipv4 if version == 4 else _ipv6)(frame, parts, label + 4)
    return parts


def _ipv4(frame, parts, l3):
    """RFC 791."""
    parts.version, parts.l3, parts.protocol = 4, l3, frame[l3 + 9]
    parts.l3_end = parts.body = l3 + (frame[l3] & 15) * 4
    parts.end = l3 + word(frame, l3 + 2)
    parts.next_header, parts.destination = l3 + 9, l3 + 16
    place = word(frame, l3 + 6)
    parts.place, parts.more, parts.id = (place & 0x1FFF) * 8, place >> 13 & 1, word(frame, l3 + 4)
    return _transport(frame, parts)


def _ipv6(frame, parts, l3):
    """RFC 8200. Behind a routing header with addresses left the packet's destination is in there:
    type 0 (RFC 2460) has it last, types 2 and 4 (RFC 6275, RFC 8754) first."""
    parts.version, parts.l3, parts.l3_end, parts.protocol = 6, l3, l3 + 40, frame[l3 + 6]
    parts.end = l3 + 40 + word(frame, l3 + 4)
    parts.next_header, parts.destination = l3 + 6, l3 + 24
    at = l3 + 40
    for _ in range(EXTENSIONS_MAX):
        kind = parts.protocol
        if kind not in (0, 43, 44, 51, 60, 135):
            break
        size = 8 if kind == 44 else (frame[at + 1] + 2) * 4 if kind == 51 else frame[at + 1] * 8 + 8
        if kind == 43 and frame[at + 3]:
            parts.destination = at + size - 16 if frame[at + 2] == 0 else at + 8
        parts.next_header, parts.protocol = at, frame[at]
        if kind == 44:
            place = word(frame, at + 2)
            parts.place, parts.more = place & 0xFFF8, place & 1
            parts.id = word(frame, at + 4) << 16 | word(frame, at + 6)
        at += size
        if parts.place:
            break
    parts.body = at
    return _transport(frame, parts)


def _transport(frame, parts):
    parts.fragment = "later" if parts.place else "first" if parts.more else ""
    least = HEADER_LEAST.get(parts.protocol)
    if parts.place or least is None or parts.body + least > parts.end:
        return parts
    parts.l4 = parts.body
    size = (frame[parts.l4 + 12] >> 4) * 4 if parts.protocol == TCP else max(8, least)
    parts.l4_end = min(parts.l4 + size, parts.end)
    if parts.protocol in CHECKSUM_AT:
        parts.checksum = parts.l4 + CHECKSUM_AT[parts.protocol]
        parts.summed_end = parts.end
        if parts.protocol == UDP:
            parts.summed_end = min(parts.end, parts.l4 + word(frame, parts.l4 + 4))
    return parts


# -- checksums ------------------------------------------------------------------------------------

def ones_sum(data):
    """The ones' complement sum of 16-bit words (RFC 1071) modulo 65,535, so that 0 and 0xFFFF,
    which are both zero, are one number."""
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big") % 0xFFFF


def checksum_of(data, udp=False):
    """What to write into the checksum field, which is zero in data."""
    made = 0xFFFF - (ones_sum(data) or 0xFFFF)
    return made or 0xFFFF if udp else made


def pseudo_header(version, source, destination, protocol, length):
    """RFC 9293, section 3.1, and RFC 8200, section 8.1."""
    return source + destination + (bytes((0, protocol)) + length.to_bytes(2, "big")
                                   if version == 4 else
                                   length.to_bytes(4, "big") + bytes((0, 0, 0, protocol)))


def header_error(frame, parts):
    """How far the IPv4 header's checksum is off; 0: it is right, or there is none."""
    return ones_sum(frame[parts.l3:parts.l3_end]) if parts.version == 4 else 0


def transport_error(frame, parts):
    """Likewise the transport's, as far as the frame has what it covers, by the places that `parts`
    names: a frame that was damaged is looked at as what it was."""
    if not parts.checksum:
        return 0
    total = ones_sum(frame[parts.l4:parts.summed_end])
    if (parts.version, parts.protocol) != (4, ICMP):
        bytes_ = 4 if parts.version == 4 else 16
        source = parts.l3 + (12 if parts.version == 4 else 8)
        total += ones_sum(pseudo_header(
            parts.version, frame[source:source + bytes_],
            frame[parts.destination:parts.destination + bytes_], frame[parts.next_header],
            parts.summed_end - parts.l4))
    return total % 0xFFFF


def summed(parts):
    """The places of the bytes that the transport's checksum covers, and its own."""
    if not parts.checksum:
        return []
    places = [range(parts.l4, parts.summed_end)]
    if (parts.version, parts.protocol) != (4, ICMP):
        source, size = (parts.l3 + 12, 4) if parts.version == 4 else (parts.l3 + 8, 16)
        places += [range(at, at + size) for at in (source, parts.destination)]
        places.append(range(parts.next_header, parts.next_header + 1))
    return places


def has_sum(frame, parts):
    """Whether the sender made a transport checksum: of UDP, zero says no (RFC 768)."""
    return bool(parts.checksum) and (parts.protocol != UDP or word(frame, parts.checksum) != 0)


def errors(frame, parts):
    """Both, as the receiver sees them."""
    return header_error(frame, parts), (
        transport_error(frame, parts) if has_sum(frame, parts) else None)


def datagrams(frames, parts):
    """The indices of the fragments of each datagram that is whole and whose first has the
    transport's checksum; its fragments follow one another."""
    made = []
    for at, each in enumerate(parts):
        if each.fragment == "first":
            made.append([])
        if each.fragment:
            made[-1].append(at)
    return [pieces for pieces in made
            if has_sum(frames[pieces[0]], parts[pieces[0]]) and not parts[pieces[-1]].more]


def datagram_error(pieces):
    """Of the fragments of one datagram, [(frame, parts)] in order, the first with its transport
    header: how far the transport's checksum is off over all of it."""
    frame, parts = pieces[0]
    whole = bytearray(frame[:parts.body] + b"".join(f[p.body:p.end] for f, p in pieces))
    joined = parts_of(frame)
    joined.end = joined.summed_end = len(whole)
    if parts.protocol == UDP:
        joined.summed_end = min(joined.end, parts.l4 + word(frame, parts.l4 + 4))
    return transport_error(bytes(whole), joined)


def settled(frame, edited, parts, after=None):
    """`edited` with checksums as right, or as wrong, as they were in `frame`. after: the places in
    `edited`, where a datagram has become shorter."""
    after = after or parts
    _settle(edited, after.l3 + 10 if parts.version == 4 else 0,
            header_error(edited, after) - header_error(frame, parts))
    if has_sum(frame, parts):
        change = transport_error(edited, after) - transport_error(frame, parts)
        _settle(edited, after.checksum, change, parts.protocol == UDP)
    return bytes(edited)


def _settle(edited, at, change, udp=False):
    if at and change % 0xFFFF:
        value = (word(edited, at) - change) % 0xFFFF
        edited[at:at + 2] = (value or 0xFFFF if udp else value).to_bytes(2, "big")


# -- edits ----------------------------------------------------------------------------------------

def mark_ce(frame, parts):
    return set_fields(frame, parts, {"ecn": 3}) if ecn_of(frame, parts) in (1, 2) else frame


def ecn_of(frame, parts):
    return None if not parts.version else _traffic_class(frame, parts) & 3


def _traffic_class(frame, parts):
    return frame[parts.l3 + 1] if parts.version == 4 else word(frame, parts.l3) >> 4 & 0xFF


def set_fields(frame, parts, fields):
    """fields: as in `set:`; vlan: ("push", "set", "rewrite" or "pop", id, pcp)."""
    edited = bytearray(frame)
    for name, at in (("dst_mac", 0), ("src_mac", 6)):
        if name in fields:
            edited[at:at + 6] = bytes.fromhex(fields[name].replace(":", ""))
    if parts.version:
        _set_network(edited, parts, fields)
    if parts.l4 and parts.protocol in (TCP, UDP):
        for name, at in (("sport", 0), ("dport", 2)):
            if name in fields:
                edited[parts.l4 + at:parts.l4 + at + 2] = fields[name].to_bytes(2, "big")
    if parts.l4 and parts.protocol == TCP and "window" in fields:
        edited[parts.l4 + 14:parts.l4 + 16] = fields["window"].to_bytes(2, "big")
    return with_vlan(settled(frame, edited, parts), parts, *fields.get("vlan", ("",)))


def _set_network(edited, parts, fields):
    l3, v4 = parts.l3, parts.version == 4
    if "ttl" in fields:
        edited[l3 + (8 if v4 else 7)] = fields["ttl"]
    old = _traffic_class(edited, parts)
    new = fields.get("dscp", old >> 2) << 2 | fields.get("ecn", old & 3)
    if v4:
        edited[l3 + 1] = new
    else:
        edited[l3:l3 + 2] = (word(edited, l3) & 0xF00F | new << 4).to_bytes(2, "big")
    for name, at in (("src", 12 if v4 else 8), ("dst", 16 if v4 else 24)):
        address = ipaddress.ip_address(fields[name]) if name in fields else None
        if address is not None and address.version == parts.version:
            edited[l3 + at:l3 + at + len(address.packed)] = address.packed


def with_vlan(frame, parts, action="", vid=0, pcp=None):
    if action == "push" or action == "set" and not parts.tags:
        return frame[:12] + b"\x81\x00" + ((pcp or 0) << 13 | vid).to_bytes(2, "big") + frame[12:]
    if not action or not parts.tags:
        return frame
    if action == "pop":
        return frame[:12] + frame[16:]
    old = word(frame, 14)
    priority = old & 0xE000 if pcp is None else pcp << 13
    return frame[:14] + (priority | old & 0x1000 | vid).to_bytes(2, "big") + frame[16:]


def truncate(frame, parts, to, fix):
    if len(frame) <= to:
        return frame
    if not fix:
        return frame[:to]
    if not parts.version or parts.fragment or not parts.l4 or to < parts.l4_end:
        return frame
    edited = bytearray(frame[:to])
    if to >= parts.end:
        return bytes(edited)
    length_at, head = (2, 0) if parts.version == 4 else (4, 40)
    length_at += parts.l3
    edited[length_at:length_at + 2] = (to - parts.l3 - head).to_bytes(2, "big")
    if parts.protocol == UDP and parts.summed_end > to:
        edited[parts.l4 + 4:parts.l4 + 6] = (to - parts.l4).to_bytes(2, "big")
    return settled(frame, edited, parts, parts_of(edited))


OPTION_KINDS = {"mss": (2,), "window-scale": (3,), "sack": (4, 5), "timestamp": (8,),
                "mptcp": (30,), "fast-open": (34,)}


def tcp_options(frame, parts):
    """(kind, offset, size) of those with a length, up to where they make no sense (RFC 9293,
    section 3.1)."""
    at = parts.l4 + 20
    while at < parts.l4_end and frame[at] != 0:
        if frame[at] == 1:
            at += 1
            continue
        size = frame[at + 1] if at + 1 < parts.l4_end else 0
        if size < 2 or at + size > parts.l4_end:
            return
        yield frame[at], at, size
        at += size


def tcp(frame, parts, zero_window=False, strip=(), clamp=None):
    """The changes of `tcp`: what is taken out becomes no-operations."""
    if parts.protocol != TCP or not parts.l4:
        return frame
    edited = bytearray(frame)
    if zero_window:
        edited[parts.l4 + 14:parts.l4 + 16] = bytes(2)
    kinds = {kind for name in strip for kind in OPTION_KINDS[name]}
    for kind, at, size in tcp_options(frame, parts):
        if kind in kinds:
            edited[at:at + size] = b"\x01" * size
        elif kind == 2 and size == 4 and clamp and frame[parts.l4 + 13] & SYN:
            edited[at + 2:at + 4] = min(word(frame, at + 2), clamp).to_bytes(2, "big")
    return settled(frame, edited, parts)


def write_bytes(frame, parts, offset, pattern, checksum):
    """`corrupt: {bytes, where: OFFSET}` with `keep` or `fix`."""
    if len(frame) < offset + len(pattern) or checksum == "fix" and parts.fragment == "later":
        return frame
    edited = bytearray(frame)
    for at, byte in enumerate(pattern, offset):
        if checksum == "keep" or at not in parts.sums():
            edited[at] = byte
    return settled(frame, edited, parts) if checksum == "fix" else bytes(edited)


def packet_bytes(frame, parts):
    """What `mtu` measures."""
    return min(parts.end, len(frame)) - (parts.l3 if parts.version else 14)


def fragments(frame, parts, size):
    """An IPv4 packet for a link of `size` bytes (RFC 791, section 3.2)."""
    header, payload = frame[parts.l3:parts.l3_end], frame[parts.l3_end:parts.end]
    piece, later, made = (size - len(header)) // 8 * 8, bytearray(header), []
    for at, end in copied_not(header):
        later[at:end] = b"\x01" * (end - at)
    for first in range(0, len(payload), piece):
        data, head = payload[first:first + piece], bytearray(later if first else header)
        more = parts.more or first + piece < len(payload)
        head[2:4] = (len(head) + len(data)).to_bytes(2, "big")
        head[6:8] = ((parts.place + first) // 8 | more << 13).to_bytes(2, "big")
        head[10:12] = bytes(2)
        head[10:12] = ((checksum_of(head) + ones_sum(header)) % 0xFFFF).to_bytes(2, "big")
        made.append(frame[:parts.l3] + bytes(head) + data)
    return made


def copied_not(header):
    """[first, end) of the options that only the first fragment keeps (RFC 791: the copied flag)."""
    at = 20
    while at < len(header) and header[at] != 0:
        size = 1 if header[at] == 1 else header[at + 1]
        if not header[at] & 0x80 and header[at] != 1:
            yield at, at + size
        at += size
