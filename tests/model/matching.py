"""What a frame says of itself, and whether a `match:` holds for it: written from the RFCs and from
docs/match.md, one frame at a time. Fields that a frame does not have are absent from the mapping."""

import ipaddress

VLAN_DEPTH, MPLS_DEPTH, EXTENSION_DEPTH = 4, 8, 8
BYTES_SEEN = 256
SECONDS_2 = 2 * 10**9
PORTED = {"tcp": 6, "udp": 17, "sctp": 132}
PROTOCOLS = {**PORTED, "icmp": 1, "icmpv6": 58, "igmp": 2, "gre": 47, "esp": 50}
ETHERTYPES = {"ipv4": 0x0800, "ipv6": 0x86DD, "arp": 0x0806, "mpls": 0x8847, "lldp": 0x88CC,
              "ptp": 0x88F7, "pppoe": 0x8864}
DSCPS = {"ef": 46, "le": 1, **{f"cs{n}": 8 * n for n in range(8)},
         **{f"af{c}{d}": 8 * c + 2 * d for c in range(1, 5) for d in range(1, 4)}}
ECNS = {"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3}
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128}
ICMP_TYPES = {"echo-request": (8, 128), "echo-reply": (0, 129), "destination-unreachable": (3, 1),
              "time-exceeded": (11, 3), "packet-too-big": (None, 2),
              "neighbour-solicitation": (None, 135)}


class Unparsed(ValueError):
    """Cut short, contradicting itself, or beyond what is looked at."""


def need(condition):
    if not condition:
        raise Unparsed


class View:
    """A part of a frame, of which only the frame's first BYTES_SEEN may be read."""

    def __init__(self, frame, start=0, end=None):
        self.frame, self.start = frame, start
        self.end = len(frame) if end is None else end

    def __len__(self):
        return self.end - self.start

    def behind(self, size, end=None):
        """What stands behind the first `size` bytes, up to byte `end`."""
        return View(self.frame, self.start + size, self.end if end is None else self.start + end)

    def seen(self, size):
        return self.start + size <= min(self.end, BYTES_SEEN)

    def raw(self, start, end):
        need(self.seen(end))
        return self.frame[self.start + start:self.start + end]

    def number(self, start, end):
        return int.from_bytes(self.raw(start, end), "big")


def fields_of(frame):
    """The fields of a frame, or None when it cannot be parsed."""
    try:
        return _ethernet(View(frame))
    except Unparsed:
        return None


def _ethernet(frame):
    need(len(frame) >= 14)
    fields = {"len": len(frame), "vlan": None}
    rest, tags = frame.behind(12), []
    while len(tags) < VLAN_DEPTH and rest.number(0, 2) in (0x8100, 0x88A8):
        need(len(rest) >= 6)
        tags.append(rest.number(2, 4) & 0xFFF)
        rest = rest.behind(4)
    if tags:
        fields["vlan"] = tags[0]
    ethertype = rest.number(0, 2)
    fields["ethertype"] = ethertype if ethertype >= 0x600 else 0
    below = rest.behind(2)
    if ethertype == 0x0800:
        fields.update(_ipv4(below))
    elif ethertype == 0x86DD:
        fields.update(_ipv6(below))
    elif ethertype in (0x8847, 0x8848):
        fields.update(_mpls(below))
    fields["tags"] = tuple(tags[:2])
    return fields


def _mpls(rest):
    for _ in range(MPLS_DEPTH):
        bottom, rest = rest.number(2, 4) >> 8 & 1, rest.behind(4)
        if bottom:
            version = rest.number(0, 1) >> 4 if rest.seen(1) else 0
            try:
                if version == 4:
                    return {"ethertype": 0x0800, **_ipv4(rest)}
                if version == 6:
                    return {"ethertype": 0x86DD, **_ipv6(rest)}
            except Unparsed:
                pass
            return {}
    return {}


def _ipv4(packet):
    need(packet.number(0, 1) >> 4 == 4)
    size = (packet.number(0, 1) & 15) * 4
    total, place = packet.number(2, 4), packet.number(6, 8)
    need(20 <= size <= total <= len(packet) and packet.seen(size))
    fields = {"ip": 4, "proto": packet.number(9, 10), "src": packet.raw(12, 16),
              "dst": packet.raw(16, 20), "dscp": packet.number(1, 2) >> 2,
              "ecn": packet.number(1, 2) & 3, "ttl": packet.number(8, 9)}
    return _datagram(fields, packet.behind(size, total), packet.number(4, 6), place & 0x1FFF,
                     bool(place & 0x2000))


def _ipv6(packet):
    need(packet.number(0, 40) >> 316 == 6)
    length, proto = packet.number(4, 6), packet.number(6, 7)
    need(40 + length <= len(packet))
    traffic_class = packet.number(0, 2) >> 4 & 0xFF
    fields = {"ip": 6, "src": packet.raw(8, 24), "dst": packet.raw(24, 40),
              "dscp": traffic_class >> 2, "ecn": traffic_class & 3, "ttl": packet.number(7, 8)}
    rest = packet.behind(40, 40 + length)
    identification = place = more = 0
    for _ in range(EXTENSION_DEPTH):
        if proto not in (0, 43, 44, 51, 60, 135):
            break
        need(rest.seen(8))
        units = rest.number(1, 2)
        size = (units + 2) * 4 if proto == 51 else 8 if proto == 44 else (units + 1) * 8
        need(size <= len(rest))
        if proto == 44:
            identification = rest.number(4, 8)
            place, more = rest.number(2, 4) >> 3, rest.number(2, 4) & 1
        proto, rest = rest.number(0, 1), rest.behind(size)
        if place:
            break
    else:
        return {**fields, "proto": proto, **_fragment_words(identification, place, more)}
    return _datagram({**fields, "proto": proto}, rest, identification, place, bool(more))


def _fragment_words(identification, place, more):
    if not place and not more:
        return {}
    return {"fragment": "later" if place else "first", "id": identification}


def _datagram(fields, payload, identification, place, more):
    fields.update(_fragment_words(identification, place, more))
    if fields.get("fragment") == "later":
        return fields
    first = fields.get("fragment") == "first"
    header = {6: 20, 17: 8, 132: 12, 1: 4, 58: 4}.get(fields["proto"], 0)
    if not payload.seen(header) and header:
        need(first)
        return fields
    if fields["proto"] in PORTED.values():
        fields["ports"] = payload.number(0, 2), payload.number(2, 4)
    if fields["proto"] == 6:
        size = (payload.number(12, 13) >> 4) * 4
        need(size >= 20 and (first or size <= len(payload)))
        fields["flags"], fields["data"] = payload.number(13, 14), len(payload) > size
    elif fields["proto"] == 17:
        size = payload.number(4, 6)
        need(size >= 8 and (first or size <= len(payload)))
    elif fields["proto"] in (1, 58):
        fields["icmp"] = payload.number(0, 1)
    return fields


def learn_ports(packets):
    """packets: (time_ns, fields or None) in order. Later fragments get the ports that their first
    showed within the 2 s before; in place."""
    known = {}
    for time_ns, fields in packets:
        if not fields or "fragment" not in fields:
            continue
        datagram = (fields["ip"], fields["src"], fields["dst"], fields["proto"], fields["id"],
                    fields["tags"])
        if fields["fragment"] == "first":
            if "ports" in fields:
                known[datagram] = (time_ns, fields["ports"])
        elif datagram in known and time_ns - known[datagram][0] <= SECONDS_2:
            fields["ports"] = known[datagram][1]


# -- matches --------------------------------------------------------------------------------------

def each(value):
    return value if isinstance(value, list) else [value]


def _number_in(number, values, words=None):
    for value in each(values):
        if words and value in words:
            low = high = words[value]
        elif isinstance(value, str) and "-" in value:
            low, high = (int(part) for part in value.split("-"))
        else:
            low = high = int(str(value), 0)
        if low <= number <= high:
            return True
    return False


def _address_in(address, values):
    found = ipaddress.ip_address(address)
    networks = [ipaddress.ip_network(value) for value in each(values)]
    return any(found.version == net.version and found in net for net in networks)


def _flags(value, flags):
    for word in each(value):
        wanted = not word.startswith("!")
        if bool(flags & FLAGS[word.lstrip("!")]) != wanted:
            return False
    return True


def _icmp(value, fields):
    for word in each(value):
        pair = ICMP_TYPES[word] if word in ICMP_TYPES else (int(word), int(word))
        if fields["icmp"] == pair[0 if fields["proto"] == 1 else 1]:
            return True
    return False


def _fragment(value, fields):
    word = fields.get("fragment")
    if value in (True, False):
        return (word is not None) == value
    return word == value


KEYS = {
    "proto": lambda v, f: "ip" in f and _number_in(f["proto"], v, PROTOCOLS),
    "src": lambda v, f: "ip" in f and _address_in(f["src"], v),
    "dst": lambda v, f: "ip" in f and _address_in(f["dst"], v),
    "sport": lambda v, f: "ports" in f and _number_in(f["ports"][0], v),
    "dport": lambda v, f: "ports" in f and _number_in(f["ports"][1], v),
    "vlan": lambda v, f: any(f["vlan"] is None if one == "none" else
                             f["vlan"] is not None and _number_in(f["vlan"], one)
                             for one in each(v)),
    "ethertype": lambda v, f: _number_in(f["ethertype"], v, ETHERTYPES),
    "dscp": lambda v, f: "ip" in f and _number_in(f["dscp"], v, DSCPS),
    "ecn": lambda v, f: "ip" in f and _number_in(f["ecn"], v, ECNS),
    "len": lambda v, f: _number_in(f["len"], v),
    "ttl": lambda v, f: "ip" in f and _number_in(f["ttl"], v),
    "tcp": lambda v, f: (("flags" not in v or "flags" in f and _flags(v["flags"], f["flags"])) and
                         ("data" not in v or f.get("data") == v["data"])),
    "icmp_type": lambda v, f: "icmp" in f and _icmp(v, f),
    "fragment": _fragment,
    "not": lambda v, f: not holds(v, f),
    "any": lambda v, f: any(holds(one, f) for one in v),
    "all": lambda v, f: all(holds(one, f) for one in v),
}


def holds(match, fields):
    """Whether a match holds for a frame's fields; role, nth, first and bpf are not known here."""
    return all(KEYS[key](value, fields) for key, value in match.items())
