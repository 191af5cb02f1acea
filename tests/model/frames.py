"""Frames of every shape that the parser knows, and of some that it must not trust: random, with all
fields drawn from few values, so that matches meet them often."""

import struct

MACS = bytes.fromhex("020000000002020000000001")
IPV4 = [bytes((10, 0, 0, n)) for n in (1, 2, 200)] + [bytes((192, 168, n, 9)) for n in (1, 2)]
IPV6 = [bytes.fromhex("fd000000000000000000000000000000")[:15] + bytes((n,)) for n in (1, 2)] + [
    bytes.fromhex("20010db8000000010000000000000042")]
PORTS = [1, 53, 80, 443, 5000, 5005, 65535]
VLANS = [0, 7, 100, 4095]
PROTOCOLS = [6, 6, 17, 17, 132, 1, 58, 47, 50, 2, 59]


def random_frame(rng):
    """One frame; about one in ten contradicts itself or is cut."""
    kind = rng.integers(0, 20)
    if kind == 0:
        payload, ethertype = _arp(rng), 0x0806
    elif kind == 1:
        payload, ethertype = rng.bytes(rng.integers(0, 60)), int(
            rng.choice([0x88CC, 0x88F7, 0x8864, 46, 0x05FF, 0x0600, 0x22F3]))
    elif kind < 4:
        payload, ethertype = _labelled(rng), int(rng.choice([0x8847, 0x8847, 0x8848]))
    elif kind < 12:
        payload, ethertype = ipv4(rng), 0x0800
    else:
        payload, ethertype = ipv6(rng), 0x86DD
    tags = b"".join(struct.pack(">HH", int(rng.choice([0x8100, 0x88A8])),
                                int(rng.integers(0, 16)) << 12 | int(rng.choice(VLANS)))
                    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 3, 4, 5])))
    frame = bytearray(MACS + tags + struct.pack(">H", ethertype) + payload)
    trick = rng.integers(0, 30)
    if trick == 0:
        del frame[rng.integers(1, len(frame)):]
    elif trick == 1:
        frame[rng.integers(12, len(frame))] ^= 1 << rng.integers(0, 8)
    elif trick < 10:
        frame += bytes(max(0, 60 - len(frame)))  # Ethernet's padding
    return bytes(frame)


def _arp(rng):
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, int(rng.integers(1, 3))) + MACS[6:] + IPV4[0] + (
        MACS[:6] + IPV4[1])


def _labelled(rng):
    depth = int(rng.choice([1, 1, 2, 3, 8, 9]))
    labels = b"".join(struct.pack(">I", int(rng.integers(16, 1 << 20)) << 12 | 64)
                      for _ in range(depth - 1))
    bottom = struct.pack(">I", int(rng.integers(16, 1 << 20)) << 12 | 1 << 8 | 64)
    below = [ipv4, ipv6, lambda some: some.bytes(some.integers(0, 30))][rng.integers(0, 3)](rng)
    return labels + bottom + below


def ipv4(rng):
    proto = int(rng.choice(PROTOCOLS))
    options = bytes(4 * int(rng.choice([0, 0, 0, 1, 3, 10])))
    place, payload = _part(rng, proto)
    total = 20 + len(options) + len(payload)
    header = struct.pack(">BBHHHBBH", 0x40 | 5 + len(options) // 4, _tos(rng), total,
                         int(rng.integers(0, 4)), place, int(rng.choice([0, 1, 5, 64, 255])), proto,
                         0)
    return header + _pick(rng, IPV4) + _pick(rng, IPV4) + options + payload


def ipv6(rng):
    proto = int(rng.choice(PROTOCOLS))
    place, payload = _part(rng, proto)
    extensions, chain = [], []
    for _ in range(rng.choice([0, 0, 1, 2, 7, 8, 9])):
        chain.append(int(rng.choice([0, 43, 51, 60, 135])))
    if place or rng.integers(0, 8) == 0:  # the latter is an atomic fragment
        chain.append(44)
    for at, kind in enumerate(chain):
        following = chain[at + 1] if at + 1 < len(chain) else proto
        if kind == 44:
            field = (place & 0x1FFF) << 3 | (1 if place & 0x2000 else 0)
            extensions.append(struct.pack(">BBHI", following, 0, field, int(rng.integers(0, 4))))
        elif kind == 51:
            size = int(rng.choice([2, 4]))
            extensions.append(struct.pack(">BB", following, size) + bytes((size + 2) * 4 - 2))
        else:
            size = int(rng.choice([0, 0, 0, 1, 1, 16]))
            extensions.append(struct.pack(">BB", following, size) + bytes(size * 8 + 6))
    below = b"".join(extensions) + payload
    first = struct.pack(">IHBB", 6 << 28 | _tos(rng) << 20 | int(rng.integers(0, 1 << 20)),
                        len(below), chain[0] if chain else proto,
                        int(rng.choice([0, 1, 5, 64, 255])))
    return first + _pick(rng, IPV6) + _pick(rng, IPV6) + below


def _part(rng, proto):
    """The fragment field of a datagram (flags and offset in 8 bytes), and its payload."""
    payload = _transport(rng, proto)
    kind = rng.integers(0, 8)
    if kind == 0:
        return 0x2000, payload[:rng.integers(0, len(payload) + 1)]
    if kind == 1:
        return int(rng.choice([0x0001, 0x2001, 0x1FFF])), payload
    return 0, payload


def _transport(rng, proto):
    data = bytes(int(rng.choice([0, 1, 30, 900])))
    ports = struct.pack(">HH", int(rng.choice(PORTS)), int(rng.choice(PORTS)))
    if proto == 6:
        options = 4 * int(rng.choice([0, 0, 3, 10]))
        return ports + bytes(8) + bytes(((5 + options // 4) << 4, int(rng.integers(0, 256)))) + (
            bytes(6 + options)) + data
    if proto == 17:
        length = 8 + len(data) if rng.integers(0, 20) else int(rng.integers(0, 2000))
        return ports + struct.pack(">HH", length, 0) + data
    if proto == 132:
        return ports + bytes(8) + data
    if proto in (1, 58):
        return bytes((int(rng.choice([0, 1, 2, 3, 8, 11, 128, 129, 135])), 0)) + bytes(6) + data
    return data


def _tos(rng):
    return int(rng.choice([0, 0, 46, 10, 34, 48, 63])) << 2 | int(rng.integers(0, 4))


def _pick(rng, values):
    return values[int(rng.integers(0, len(values)))]
