"""Made-up traffic of every shape that edits tell apart: tags, labels, options, extension headers,
fragments, UDP without a checksum, checksums that are wrong already. Writes down nothing: where the
parts of a frame are is read from it by others."""

import random

from .edits import ICMP, ICMPV6, SCTP, TCP, UDP, checksum_of, pseudo_header

HOSTS = {4: [bytes((10, 0, n, n)) for n in range(1, 7)],
         6: [bytes.fromhex("20010db8") + bytes(11) + bytes((n,)) for n in range(1, 7)]}
# No one host: groups, broadcast, this network, loopback, nobody.
STRANGE = {4: [bytes((224, 0, 0, 5)), b"\xff" * 4, bytes((0, 0, 0, 1)), bytes((127, 0, 0, 1))],
           6: [bytes.fromhex("ff02") + bytes(13) + b"\x01", bytes(16)]}
MAC, GROUP = bytes.fromhex("020000000002020000000001"), bytes.fromhex("01005e000005020000000001")
TAGS = [0, 7, 0x2007, 0xF064, 0x5FFF]
GRE = 47
PROTOCOLS = [TCP] * 8 + [UDP] * 8 + [ICMP] * 3 + [SCTP, GRE]
FLAGS = [0x10, 0x10, 0x18, 0x18, 0x02, 0x12, 0x11, 0x04, 0x14, 0x01, 0x08, 0xC2]
IPV4_OPTIONS = [bytes((148, 4, 0, 0)), bytes((7, 11, 4)) + bytes(8) + b"\0",
                bytes((1, 68, 8, 5, 0, 0, 0, 0, 0, 1, 1, 0)),
                bytes((0x86, 6, 1, 2, 3, 4, 7, 7, 4, 9, 9, 9)) + bytes((1, 1, 1, 0))]
TCP_OPTIONS = [bytes((2, 4, 5, 180)), bytes((4, 2, 1, 1)), bytes((1, 3, 3, 7)),
               bytes((1, 1, 8, 10)) + bytes(range(8)), bytes((1, 1, 5, 10)) + bytes(range(8)),
               bytes((30, 12)) + bytes(10), bytes((34, 10)) + bytes(8), bytes((2, 4, 0, 88)),
               bytes((0, 0, 0, 0)), bytes((8, 0, 1, 1)), bytes((253, 1, 2, 4))]
ERRORS = {ICMP: [3, 4, 5, 11, 12], ICMPV6: [1, 2, 3, 4, 137]}  # and what is like them: redirects
QUESTIONS = {ICMP: [0, 8, 13], ICMPV6: [128, 129, 135]}


class Maker:
    """Frames from a seed. wrong: the share of checksums that are not right; strange: of addresses
    that are no one host's; data: payloads' lengths, one is drawn."""

    def __init__(self, seed, wrong=0.1, strange=0.0, data=(0, 1, 8, 30, 77, 200, 200, 640)):
        self.random = random.Random(seed)
        self.wrong, self.strange, self.data = wrong, strange, data

    def frames(self, count):
        made = []
        while len(made) < count:
            made += self.datagram()
        return made[:count]

    def chance(self, share):
        return self.random.random() < share

    def datagram(self):
        """One frame, or the fragments of one datagram in order."""
        choice, bytes_ = self.random.choice, self.random.randbytes
        if self.chance(0.03):
            kind = choice([b"\x08\x06", b"\x88\xcc", b"\x00\x2e"])
            return [MAC + self._tags() + kind + bytes_(46)]
        version = choice((4, 6))
        protocol = choice(PROTOCOLS)
        if version == 6 and protocol == ICMP:
            protocol = ICMPV6
        ends = [choice(HOSTS[version]), choice(HOSTS[version])]
        if self.chance(self.strange):
            ends[choice((0, 1))] = choice(STRANGE[version])
        mac = GROUP if self.chance(self.strange / 4) else MAC
        link = mac + self._tags() + self._kind(version)
        source, destination = ends
        chain, last = (None, destination) if version == 4 else self._extensions(destination)
        body = self._transport(version, source, last, protocol)
        whole = self._pieces(body) if self.chance(0.12) else [(0, 0, body)]
        identity = self.random.getrandbits(16 if version == 4 else 32)
        head = self._head4 if version == 4 else self._head6
        build = head(source, destination, protocol, chain, identity)
        return [self._padded(link + build(*piece)) for piece in whole]

    # -- link --

    def _tags(self):
        if not self.chance(0.3):
            return b""
        return b"".join(self.random.choice((b"\x81\x00", b"\x88\xa8")) +
                        self.random.choice(TAGS).to_bytes(2, "big")
                        for _ in range(self.random.choice((1, 1, 2, 3))))

    def _kind(self, version):
        if self.chance(0.05):
            labels = self.random.choice((1, 2))
            return b"\x88\x47" + b"\x12\x34\x50\x40" * (labels - 1) + b"\x12\x34\x51\x40"
        return b"\x08\x00" if version == 4 else b"\x86\xdd"

    def _padded(self, frame):
        frame = frame.ljust(60, b"\0")
        return frame + self.random.randbytes(4) if self.chance(0.05) else frame  # a captured FCS

    # -- network --

    def _head4(self, source, destination, protocol, _, identity):
        options = self.random.choice(IPV4_OPTIONS) if self.chance(0.2) else b""
        tos, ttl = self.random.getrandbits(8), self.random.randint(1, 255)
        df = 0x4000 if self.chance(0.4) else 0
        off = self._off()

        def build(place, more, data):
            flags = place // 8 | more << 13 | (0 if place or more else df)
            head = bytearray(bytes((0x45 + len(options) // 4, tos)) +
                             (20 + len(options) + len(data)).to_bytes(2, "big") +
                             identity.to_bytes(2, "big") + flags.to_bytes(2, "big") +
                             bytes((ttl, protocol, 0, 0)) + source + destination + options)
            head[10:12] = ((checksum_of(head) + off) % 0xFFFF).to_bytes(2, "big")
            return bytes(head) + data

        return build

    def _head6(self, source, destination, protocol, chain, identity):
        first = (6 << 28 | self.random.getrandbits(28)).to_bytes(4, "big")
        hops = self.random.randint(1, 255)
        headers, kinds = chain

        def build(place, more, data):
            parts, names = list(headers), list(kinds)
            if place or more or self.atomic:
                names.append(44)
                parts.append(b"\0" + (place | more).to_bytes(2, "big") +
                             identity.to_bytes(4, "big"))
            names.append(protocol)
            below = b"".join(bytes((names[at + 1],)) + part for at, part in enumerate(parts)) + data
            return first + len(below).to_bytes(2, "big") + bytes((names[0], hops)) + (
                source + destination + below)

        self.atomic = self.chance(0.03)
        return build

    def _extensions(self, destination):
        """((headers without their first byte, their kinds), the packet's last destination)."""
        headers, kinds, last = [], [], destination
        for _ in range(self.random.choice((1, 1, 2)) if self.chance(0.3) else 0):
            kind = self.random.choice((0, 60, 135, 43, 43, 51))
            if kind == 43 and self.chance(0.6):  # on its way elsewhere
                route, count = self.random.choice(((0, 2), (2, 1), (4, 2)))
                ways = [self.random.choice(HOSTS[6]) for _ in range(count)]
                last = ways[-1] if route == 0 else ways[0]
                header = bytes((2 * count, route, count)) + bytes(4) + b"".join(ways)
            elif kind == 51:
                header = bytes((4,)) + bytes(2) + self.random.randbytes(20)
            else:
                size = self.random.choice((0, 1))
                header = bytes((size, 0, 0)) + self.random.randbytes(4 + 8 * size)
            headers.append(header)
            kinds.append(kind)
        return (headers, kinds), last

    def _pieces(self, body):
        """(offset, more, data) of fragments."""
        size = 8 * self.random.choice((1, 3, 8, 20))
        size = max(size, (len(body) // 6 + 8) // 8 * 8)
        cuts = range(0, len(body), size)
        return [(at, int(at + size < len(body)), body[at:at + size]) for at in cuts]

    # -- transport --

    def _off(self):
        return self.random.randint(1, 0xFFFE) if self.chance(self.wrong) else 0

    def _transport(self, version, source, destination, protocol):
        bytes_, choice = self.random.randbytes, self.random.choice
        data = bytes_(choice(self.data))
        ports = choice((b"\x00\x35", b"\x01\xbb", b"\x13\x89")) + choice((b"\xc0\x00", b"\x00\x50"))
        tail = b""
        if protocol == TCP:
            options = b"".join(choice(TCP_OPTIONS) for _ in range(choice((0, 0, 1, 3))))
            words = 5 + len(options) // 4
            at, header = 16, ports + bytes_(8) + bytes((words << 4, choice(FLAGS)))
            header += bytes_(2) + bytes(2) + bytes_(2) + options
        elif protocol == UDP:
            at, header = 6, ports + (8 + len(data)).to_bytes(2, "big") + bytes(2)
            tail = bytes_(5) if self.chance(0.03) else b""  # the datagram goes on behind UDP
        elif protocol in (ICMP, ICMPV6):
            kinds = ERRORS if self.chance(0.3) else QUESTIONS
            at, header = 2, bytes((choice(kinds[protocol]), 0, 0, 0)) + bytes_(4)
        else:
            return ports + bytes_(8) + data
        segment = bytearray(header + data)
        pseudo = b"" if protocol == ICMP else pseudo_header(version, source, destination, protocol,
                                                            len(segment))
        right = checksum_of(pseudo + segment, protocol == UDP)
        value = (right + self._off()) % 0xFFFF
        if protocol == UDP:
            value = 0 if self.chance(0.2) else value or 0xFFFF
        segment[at:at + 2] = value.to_bytes(2, "big")
        return bytes(segment) + tail
