"""A node whose clock is wrong: conversations of NTP and PTP on every carrier, each message as the
model makes it, byte for byte."""

import random
import struct
from fractions import Fraction

import pytest

from model import captures, clocks
from model.clocks import Law

NODE = {4: bytes((10, 0, 0, 7)), 16: bytes.fromhex("fd00") + bytes(13) + b"\x07"}
PEERS = {4: [bytes((10, 0, 1, n)) for n in range(1, 6)],
         16: [bytes.fromhex("fd01") + bytes(13) + bytes((n,)) for n in range(1, 4)]}
BEGIN = 0xE9000000 << 32
MS = 1_000_000
LAWS = {
    "offset: 250ms": Law(offset=Fraction(1, 4)),
    "offset: -3600s, drift: 50ppm": Law(offset=Fraction(-3600), drift=50 * clocks.RATE),
    "offset: 10957d": Law(offset=Fraction(10_957 * 86_400)),
    "drift: -20.5ppm, steps: [{at: 1s, by: -1s}, {at: 2s, by: 300ms}]":
        Law(drift=Fraction(-41, 2) * clocks.RATE, steps=[(1, -1), (2, Fraction(3, 10))]),
    "offset: 1ns, smear: {by: 100ms, over: 2s}":
        Law(offset=Fraction(1, 10**9), smear=(Fraction(1, 10), 2)),
}
TRAILERS = [b"", b"", b"", b"", bytes(20), bytes(4), struct.pack(">HH", 0x0104, 36) + bytes(32),
            struct.pack(">HH", 2, 28) + bytes(24)]


def scenario(keys, more=""):
    return f"""version: 1
name: clocks
seed: 1
ports: {{left: {{driver: sim}}, right: {{driver: sim}}}}
wires: {{lab: [left, right]}}
nodes:
  other: {{ip: 10.0.9.9}}
  x: {{port: right}}
rules:
  - name: lie
    impair:
      - clock: {{node: x, {keys}}}
{more}"""


class Talk:
    """Frames of both sides in their order, and what they are to become; None: dropped."""

    def __init__(self):
        self.items = []

    def add(self, side, frame, expected):
        self.items.append((side, frame, expected))

    def through(self, program, text, *options):
        """The frames that came out, in their order, and the rule's counters."""
        folder = program.folder
        for side in ("left", "right"):
            mine = [(at, frame) for at, (where, frame, _) in enumerate(self.items) if where == side]
            captures.write_pcap(folder / f"{side}.pcap", captures.from_frames(
                [frame for _, frame in mine], [MS * (1 + at) for at, _ in mine]))
        outcome = program.simulated(text, ["left=left.pcap", "right=right.pcap"], "--annotate",
                                    "none", *options)
        assert outcome.stats["ledger"]["balanced"]
        output = outcome.output
        return [output.frame(at) for at in range(len(output))], outcome.stats

    def check(self, program, text, *options):
        found, stats = self.through(program, text, *options)
        expected = [frame for _, _, frame in self.items if frame is not None]
        assert len(found) == len(expected)
        for at, (one, other) in enumerate(zip(found, expected)):
            assert one == other, f"packet {at}: {one.hex()} and not {other.hex()}"
        changed = sum(frame != after for _, frame, after in self.items if after is not None)
        assert stats["rules"]["lie"]["edited"] == changed
        return stats


def ntp_talk(law, count, seed=5):
    """Answers, questions that are interleaved and others, of every mode; what cannot be rewritten
    passes. Returns the talk and how many of those there were."""
    rng = random.Random(seed)
    talk, node, unrewritable = Talk(), clocks.Source(law), 0
    for number in range(count):
        size = rng.choice((4, 4, 16))
        peer = rng.choice(PEERS[size])
        vlan = rng.choice((None, None, 7))
        now = BEGIN + (number << 32) * 3 // count
        speaks = rng.random() < 0.5
        mode = rng.choice((4, 4, 4, 1, 2, 5, 6, 3) if speaks else (3, 3, 3, 3, 1, 2, 4))
        told = [one for pair in node.told.get(peer, ()) for one in pair]
        message = struct.pack(
            ">BBBbIIIQQQQ", rng.randrange(4) << 6 | rng.choice((3, 4)) << 3 | mode, 2, 6, -20, 1, 2, 3,
            rng.choice((0, now - (17 << 32))), rng.choice([0, now - 77, *told[-20:]]),
            rng.choice((0, now - rng.randrange(1 << 20))), now + rng.randrange(1 << 16))
        message += rng.choice(TRAILERS) if speaks else b""
        after = node.speaks(peer, message) if speaks else node.hears(peer, message)
        if after is None:
            unrewritable += 1
            after = message
        ends = (NODE[size], peer) if speaks else (peer, NODE[size])
        ports = (123, rng.choice((123, 40_000)))
        summed = size == 16 or rng.random() < 0.9

        def frame(payload):
            return clocks.udp_frame(*ends, ports if speaks else ports[::-1], payload, vlan, summed)

        talk.add("right" if speaks else "left", frame(message), frame(after))
    return talk, unrewritable


@pytest.mark.parametrize("keys", LAWS)
def test_ntp_is_the_models(program, keys):
    """3 s of 3,000 packets of eight peers: each stamp at its own value, interleaved origins back."""
    talk, unrewritable = ntp_talk(LAWS[keys], 3_000)
    stats = talk.check(program, scenario(f"as: source, protocols: [ntp], by: rewrite, {keys}"))
    assert stats["rules"]["lie"]["unrewritable"] == unrewritable > 100


def ptp_message(rng, kind, now):
    size = {2: 54, 3: 54, 9: 54, 10: 54, 11: 64}.get(kind, 44)
    two_step = kind == 0 and rng.random() < 0.5
    stamp = (0, 0) if two_step or rng.random() < 0.1 else divmod(now, 10**9)
    body = struct.pack(">BBHBBHqI", kind, 2, size, 0, 0, two_step << 9, rng.randrange(1 << 30), 0)
    body += bytes(10) + struct.pack(">HBb", rng.randrange(1 << 16), 0, -4)
    body += stamp[0].to_bytes(6, "big") + stamp[1].to_bytes(4, "big")
    return body + bytes(rng.randrange(256) for _ in range(size - len(body)))


def ptp_talk(law, count, correction=False, victim=False, seed=6):
    rng = random.Random(seed)
    talk, node = Talk(), clocks.Source(law)
    for number in range(count):
        kind = rng.choice((0, 0, 8, 8, 9, 9, 1, 2, 3, 10, 11, 12))
        message = ptp_message(rng, kind, 1_700_000_000 * 10**9 + number * 3 * 10**9 // count)
        speaks = rng.random() < 0.7
        after = node.ptp(message, correction) if speaks != victim else message
        carrier, vlan = rng.choice((4, 16, 0)), rng.choice((None, 4095))
        port = 319 if kind < 4 else 320
        group = bytes((224, 0, 1, 129)) if carrier == 4 else bytes.fromhex("ff0e") + bytes(12) + b"\x01\x81"

        def frame(payload):
            if carrier == 0:
                return clocks.ethernet_frame(payload, vlan)
            source = NODE[carrier] if speaks else PEERS[carrier][0]
            return clocks.udp_frame(source, group, (port, port), payload, vlan)

        talk.add("right" if speaks else "left", frame(message), frame(after))
    return talk


@pytest.mark.parametrize("keys", LAWS)
def test_ptp_is_the_models(program, keys):
    """UDP over both and Ethernet, tagged or not: T1 and T4, and nothing else."""
    ptp_talk(LAWS[keys], 2_000).check(program, scenario(f"as: source, protocols: [ptp], {keys}"))


def test_ptp_by_its_correction(program):
    keys = "offset: -3600s, drift: 50ppm"
    ptp_talk(LAWS[keys], 2_000, correction=True).check(
        program, scenario(f"as: source, {keys}, correction: true, allow_mutable: true"))


def test_ptp_of_a_victim(program):
    """What a group is told goes to the node behind the port."""
    keys = "offset: 250ms"
    ptp_talk(LAWS[keys], 2_000, victim=True).check(program, scenario(f"{keys}, as: victim"))


def both_talk(law, seed, count=120):
    """NTP and PTP, from the node and to it, in any order; and what the node turned out to be."""
    rng = random.Random(seed)
    talk, node = Talk(), clocks.Node(law)
    for number in range(count):
        speaks, is_ntp = rng.random() < 0.5, rng.random() < 0.5
        if is_ntp:
            mode = rng.choice((3, 3, 4, 1, 2, 5, 6))
            told = [one for pair in node.law.told.get(PEERS[4][0], ()) for one in pair]
            now = BEGIN + (number << 32) // 20
            message = struct.pack(">BBBbIIIQQQQ", 4 << 3 | mode, 2, 6, -20, 1, 2, 3, now - (9 << 32),
                                  rng.choice([0, *told[-20:]]), now - 99, now)
            message += rng.choice(TRAILERS) if speaks or mode in (4, 5) else b""
        else:
            kind = rng.choice((0, 8, 9, 1, 1, 2, 3, 10, 11, 12))
            message = ptp_message(rng, kind, 1_700_000_000 * 10**9 + number * 10**9 // 20)
        after = node.passes(speaks, PEERS[4][0], message, is_ntp)
        ends = (NODE[4], PEERS[4][0]) if speaks else (PEERS[4][0], NODE[4])
        port = 123 if is_ntp else 319 if message[0] & 0xF < 4 else 320

        def frame(payload):
            return clocks.udp_frame(*ends, (port, port), payload)

        talk.add("right" if speaks else "left", frame(message),
                 frame(message if after is None else after))
    return talk, node.role


def test_what_a_node_is_comes_first(program):
    """Thirty conversations, and who tells the time first says who is wrong in all of it; the same
    with `as` said."""
    keys, roles = "offset: 250ms, drift: 50ppm", []
    for seed in range(30):
        talk, role = both_talk(Law(offset=Fraction(1, 4), drift=50 * clocks.RATE), seed)
        talk.check(program, scenario(keys), "--burst", seed % 5 * 15 + 1)
        roles.append(role)
    talk.check(program, scenario(f"{keys}, as: {role}"))
    assert roles.count("source") > 5 and roles.count("victim") > 5


def address(text):
    return bytes(map(int, text.split(".")))


def pairs_of(stats):
    """By (client, source), the report's rows."""
    clients = stats["clocks"]["clients"]
    assert all(one["sources"] == len(one["pairs"]) for one in clients)
    assert all(one["shifted"] == sum(pair["shifted"] for pair in one["pairs"]) for one in clients)
    return {(one["client"], pair["source"]): pair for one in clients for pair in one["pairs"]}


def test_each_client_and_its_sources(program):
    """Three servers of which two lie, and four clients that ask in every mode: the report has what a
    witness has, whatever the bursts."""
    rng, law = random.Random(9), Law(offset=Fraction(1, 4), drift=50 * clocks.RATE)
    servers = {"10.0.0.7": clocks.Source(law), "10.0.0.8": clocks.Source(law), "10.0.0.9": None}
    talk, witness = Talk(), clocks.Witness()
    for number in range(1_500):
        source, client = rng.choice(list(servers)), f"10.0.1.{rng.randrange(4) + 1}"
        node, now = servers[source], BEGIN + (number << 32) // 500
        receive, transmit = rng.choice((0, now - 5)), now + 3
        question = struct.pack(">BBBbIIIQQQQ", 4 << 3 | 3, 0, 6, -20, 0, 0, 0, 0, 0, receive, transmit)
        frame = clocks.udp_frame(address(client), address(source), (40_000, 123), question)
        talk.add("left", frame, frame)
        witness.asks(client, source, question)
        if rng.random() < 0.1:
            continue  # not answered
        mode = rng.choice((4, 4, 4, 4, 2, 5))
        said = struct.pack(">BBBbIIIQQQQ", 4 << 3 | mode, 2, 6, -20, 1, 2, 3, now,
                           rng.choice((receive, transmit, transmit)), now + 4, now + 6)
        said += rng.choice(TRAILERS)
        after = node.speaks(client, said) if node else said
        off_ns = None
        if node:
            if node.ntp_start is None:
                assert after is None  # nothing has begun
            off = node.law.off((now + 6) - (node.ntp_start or 0), clocks.NTP_TICKS)
            off_ns = (off * 10**9 + (1 << 31)) >> 32
        witness.tells(source, client, said, after, off_ns)
        ends = address(source), address(client)
        talk.add("right", clocks.udp_frame(*ends, (123, 40_000), said),
                 clocks.udp_frame(*ends, (123, 40_000), said if after is None else after))
    text = scenario("as: source, offset: 250ms, drift: 50ppm", "").replace("x: {port: right}",
                                                                          "x: {ip: 10.0.0.7}")
    text = text.replace("nodes:\n", "nodes:\n  y: {ip: 10.0.0.8}\n")
    text += text[text.index("  - name: lie"):].replace("lie", "too").replace("node: x", "node: y")
    for burst in (1, 64):
        found, stats = talk.through(program, text, "--burst", burst)
        assert found == [frame for _, _, frame in talk.items]
        pairs = pairs_of(stats)
        assert pairs.keys() == witness.told.keys()
        for (client, source), row in witness.told.items():
            pair = pairs[client, source]
            assert {key: pair[key] for key in row} == row, (client, source)
            lies = {"10.0.0.7": "lie", "10.0.0.8": "too", "10.0.0.9": None}[source]
            assert (pair["rule"], pair["as"]) == (lies, lies and "source")
            assert (pair["protocol"], pair["late"], pair["dropped"]) == ("ntp", 0, 0)
        assert stats["clocks"]["uncounted"] == 0
    assert len(pairs) == 12


def test_a_victim_and_its_sources(program):
    """It is the client of all it asks, and finds out nothing of others."""
    talk = Talk()
    for number in range(10):
        frame = clocks.udp_frame(PEERS[4][number % 2], NODE[4], (123, 123), answer())
        talk.add("left", frame, frame)
    _, stats = talk.through(program, scenario("offset: -1s"))
    pairs = pairs_of(stats)
    assert pairs.keys() == {("10.0.0.7", "10.0.1.1"), ("10.0.0.7", "10.0.1.2")}
    for pair in pairs.values():
        assert (pair["as"], pair["rule"], pair["told"], pair["rewritten"]) == ("victim", "lie", 5, 5)
        assert pair["first_ns"] == pair["last_ns"] == -10**9 and pair["shifted"]


def test_the_report_of_ptp_and_of_what_is_late(program):
    rng = random.Random(4)
    talk = Talk()
    for kind in (0, 8, 9, 8):
        message = ptp_message(rng, kind, 10**18)
        message = message[:6] + b"\0" + message[7:34] + (10**9).to_bytes(6, "big") + message[40:]
        frame = clocks.ethernet_frame(message)
        talk.add("right", frame, frame)
    _, stats = talk.through(program, scenario("as: source, offset: 10ms"))
    (pair,) = pairs_of(stats).values()
    assert (pair["protocol"], pair["mode"], pair["told"], pair["rewritten"]) == ("ptp", "ptp", 4, 4)
    assert pair["first_ns"] == 10 * MS and pair["shifted"]
    talk = Talk()
    for number in range(6):
        ends = (NODE[4], PEERS[4][0]) if number % 2 else (PEERS[4][0], NODE[4])
        frame = clocks.udp_frame(*ends, (123, 123), answer(mode=4 if number % 2 else 3))
        talk.add("right" if number % 2 else "left", frame, frame)
    _, stats = talk.through(program, scenario("by: delay-asymmetry, as: source, offset: 100us"))
    (pair,) = pairs_of(stats).values()
    assert (pair["late"], pair["rewritten"], pair["told"], pair["shifted"]) == (3, 0, 3, True)
    _, stats = talk.through(program, scenario("offset: 1s").replace("clock: {node: x, offset: 1s}", "loss: 0%"))
    assert stats["clocks"] is None


def test_the_table_of_pairs_is_bounded(program):
    """256 pairs of all rules together; what finds no room is counted."""
    talk = Talk()
    for number in range(300):
        client = bytes((10, 0, 2 + number // 200, number % 200))
        frame = clocks.udp_frame(NODE[4], client, (123, 123), answer())
        talk.add("right", frame, frame)
    _, stats = talk.through(program, scenario("offset: 1s"))
    assert len(pairs_of(stats)) == 256 and stats["clocks"]["uncounted"] == 44
    assert stats["rules"]["lie"]["edited"] == 300


def test_bursts_do_not_matter(program):
    keys = "as: source, offset: -3600s, drift: 50ppm"
    talk, _ = ntp_talk(LAWS[keys.removeprefix("as: source, ")], 1_000)
    for options in (("--burst", 1), ("--burst", 64), ("--workers", 4)):
        talk.check(program, scenario(keys), *options)


def answer(trailer=b"", mode=4):
    return struct.pack(">BBBbIIIQQQQ", 4 << 3 | mode, 2, 6, -20, 1, 2, 3, BEGIN, BEGIN, BEGIN,
                       BEGIN) + trailer


def test_what_is_authenticated_is_dropped_on_demand(program):
    talk = Talk()
    for mode, trailer in ((4, bytes(20)), (4, b""), (3, bytes(20))):
        frame = clocks.udp_frame(NODE[4], PEERS[4][0], (123, 123), answer(trailer, mode))
        talk.add("right", frame, None if mode == 4 and trailer else frame)
    found, stats = talk.through(program, scenario("leap: none, on_auth: drop"))
    assert found == [frame for _, _, frame in talk.items if frame is not None]
    assert stats["ledger"]["dropped"]["reject"] == 1
    assert stats["rules"]["lie"]["unrewritable"] == 0


def test_what_the_header_says(program):
    talk = Talk()
    message = answer()
    after = b"\xe4\0" + message[2:4] + struct.pack(">II", 1 << 15, 3 << 16) + b"RATE" + message[16:]
    talk.add("right", clocks.udp_frame(NODE[4], PEERS[4][0], (123, 123), message),
             clocks.udp_frame(NODE[4], PEERS[4][0], (123, 123), after))
    talk.check(program, scenario("stratum: 3, kod: RATE, root_delay: 500ms, root_dispersion: 3s"))


def test_announce(program):
    rng = random.Random(3)
    message = ptp_message(rng, 11, 10**18)
    after = bytearray(message)
    after[7] |= 4
    struct.pack_into(">h", after, 44, 36)
    after[47], after[48], after[52] = 9, 52, 8
    struct.pack_into(">H", after, 61, 7)
    talk = Talk()
    talk.add("right", clocks.ethernet_frame(message), clocks.ethernet_frame(bytes(after)))
    talk.check(program, scenario("announce: {clock_class: 52, priority1: 9, priority2: 8, "
                                 "steps_removed: 7, utc_offset: 36}"))
    found, stats = talk.through(program, scenario("drop_announce: true"))
    assert found == [] and stats["ledger"]["dropped"]["reject"] == 1


@pytest.mark.parametrize("role,late", [("source", "left"), ("victim", "right")])
def test_one_direction_is_late(program, role, late):
    """Twice the offset, growing by twice the ramp, whatever vouches for the packets."""
    talk = Talk()
    for number in range(30):
        side = ("left", "right")[number % 2]
        ends = (NODE[4], PEERS[4][0]) if side == "right" else (PEERS[4][0], NODE[4])
        frame = clocks.udp_frame(*ends, (123, 123),
                                 answer(bytes(16) + number.to_bytes(4, "big"), 4))
        talk.add(side, frame, frame)
    text = scenario(f"by: delay-asymmetry, as: {role}, offset: 10ms, ramp: 1s/s")
    found, stats = talk.through(program, text)
    output = captures.read_pcapng(program.folder / "out.pcapng")
    first = None
    for number, (side, frame, _) in enumerate(talk.items):
        time = MS * (1 + number)
        if side == late:
            first = time if first is None else first
            time += min(20 * MS, 2 * (time - first))
        assert int(output.time_ns[found.index(frame)]) == time
    assert stats["rules"]["lie"]["edited"] == 0
    assert stats["rules"]["lie"]["unrewritable"] == 0
