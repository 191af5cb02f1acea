"""Which packets a match holds for: against a second parser and matcher, and against tcpdump."""

import json
import subprocess

import numpy as np
import pytest

from model import captures, frames, matching

FRAMES = 6_000
SPACING_NS = 10_000_000  # 60 s in all: datagrams' ids come again within and beyond 2 s

MATCHES = [
    {"proto": "tcp"}, {"proto": ["udp", "sctp", 47]}, {"proto": "icmpv6"}, {"proto": 0},
    {"src": "10.0.0.0/24"}, {"dst": ["10.0.0.200", "fd00::1", "192.168.0.0/16"]},
    {"src": "2001:db8:0:1::/64"}, {"src": "0.0.0.0/0"}, {"dst": "::/0"}, {"src": "10.0.0.2/31"},
    {"dport": 53}, {"sport": ["80", "5000-5010"]}, {"sport": "1-65535"},
    {"proto": "udp", "sport": 443, "dst": "10.0.0.0/8"}, {"not": {"dport": 53}},
    {"vlan": 7}, {"vlan": "none"}, {"vlan": ["none", "100-4095"]}, {"vlan": 0},
    {"ethertype": "ipv4"}, {"ethertype": ["arp", "lldp", "0x22f3"]}, {"ethertype": "mpls"},
    {"ethertype": 0}, {"ethertype": "0x8848"}, {"ethertype": "0x8100"},
    {"dscp": "ef"}, {"dscp": ["af11", "40-63"]}, {"not": {"dscp": 0}},
    {"ecn": "ce"}, {"ecn": ["ect0", "ect1"]}, {"ecn": 0},
    {"len": "0-59"}, {"len": 60}, {"len": ["64", "900-1500"]},
    {"ttl": 255}, {"ttl": "0-5"},
    {"tcp": {"flags": ["syn"]}}, {"tcp": {"flags": ["syn", "!ack"]}}, {"tcp": {"data": True}},
    {"tcp": {"data": False, "flags": ["!fin", "!rst", "ece"]}}, {"not": {"tcp": {"data": True}}},
    {"icmp_type": "echo-request"}, {"icmp_type": [3, "packet-too-big"]}, {"icmp_type": 135},
    {"icmp_type": "neighbour-solicitation"},
    {"fragment": True}, {"fragment": False}, {"fragment": "first"}, {"fragment": "later"},
    {"fragment": "later", "dport": "1-65535"}, {"fragment": "later", "not": {"sport": "1-65535"}},
    {"any": [{"proto": "tcp", "dport": 80}, {"vlan": 100, "not": {"len": 60}}, {"ttl": 1}]},
    {"all": [{"any": [{"src": "10.0.0.1"}, {"src": "fd00::2"}]}, {"not": {"fragment": True}}]},
    {"not": {"any": [{"ethertype": "ipv4"}, {"all": [{"ethertype": "ipv6"}, {"ttl": "0-63"}]}]}},
    {"not": {"not": {"not": {"proto": "tcp"}}}},
]
FILTERS = [
    "tcp", "udp port 53", "ip6", "arp", "vlan 7", "vlan and ip", "mpls", "icmp or icmp6",
    "tcp[tcpflags] & tcp-syn != 0", "ip[8] < 5", "ether proto 0x88cc", "len <= 60", "greater 900",
    "ip host 10.0.0.1 and not udp", "ip6 and ip6[40] == 128", "ip[6:2] & 0x3fff != 0",
    "src net 192.168.0.0/16", "sctp port 443", "ether[1000] = 0", "less 40",
]


@pytest.fixture(scope="module")
def sample(program):
    rng = np.random.default_rng(4)
    made = [frames.random_frame(rng) for _ in range(FRAMES)]
    capture = captures.from_frames(made, 10**18 + SPACING_NS * np.arange(FRAMES))
    captures.write_pcap(program.folder / "sample.pcap", capture)
    fields = [matching.fields_of(frame) for frame in made]
    matching.learn_ports(list(zip(capture.time_ns.tolist(), fields)))
    assert 100 < sum(each is None for each in fields) < FRAMES / 3
    return program.folder / "sample.pcap", capture, fields


def matched(program, path, capture, matches, extra=""):
    """For each packet the set of matches that hold: rule k delays by 2^k ns."""
    text = "version: 1\nseed: 1\nflows: {max: 20k}\nrules:\n" + "".join(
        f"  - {{name: r{at}, {extra}match: {json.dumps(match)}, impair: [delay: {1 << at}ns]}}\n"
        for at, match in enumerate(matches))
    outcome = program.simulated(text, [path], "--annotate", "all")
    arrived, left = capture.time_ns.astype(np.int64), outcome.output.time_ns.astype(np.int64)
    # Delays stay below the spacing, so that packets leave in the order in which they came.
    assert len(left) == len(capture) and (left >= arrived).all()
    assert outcome.output.frame(17) == capture.frame(17)
    return left - arrived, outcome


def test_matches_hold_as_in_the_model(program, sample):
    path, capture, fields = sample
    held = np.zeros(len(MATCHES), dtype=int)
    for first in range(0, len(MATCHES), 20):
        matches = MATCHES[first:first + 20]
        found, outcome = matched(program, path, capture, matches)
        for at, each in enumerate(fields):
            expected = [False] * len(matches) if each is None else [
                matching.holds(match, each) for match in matches]
            got = [bool(found[at] >> bit & 1) for bit in range(len(matches))]
            assert got == expected, (at, capture.frame(at).hex(), each,
                                     [match for match, a, b in zip(matches, got, expected)
                                      if a != b])
            held[first:first + len(matches)] += expected
        assert outcome.stats["unparsed"] == sum(each is None for each in fields)
    never = [match for match, count in zip(MATCHES, held) if count == 0]
    assert never == [{"ethertype": "0x8100"}] or never == [], never
    assert (held < FRAMES).all()


def test_acks_pass_where_the_rule_says_so(program, sample):
    """With `tcp_acks: pass` all that a rule without it matches, but for TCP that brings no data."""
    path, capture, fields = sample
    for match in ({"any": [{"proto": "tcp"}, {"proto": "udp"}]}, {"not": {"dport": 80}}, None):
        rule = f"match: {json.dumps(match)}, " if match else ""
        text = (f"version: 1\nseed: 1\nrules:\n  - {{name: cut, {rule}tcp_acks: pass, "
                f"impair: [loss: all]}}\n")
        outcome = program.simulated(text, [path])
        hit = [each is not None and (match is None or matching.holds(match, each))
               and not matching.holds({"tcp": {"data": False}}, each) for each in fields]
        kept = [capture.frame(at) for at in range(FRAMES) if not hit[at]]
        assert [outcome.output.frame(at) for at in range(len(outcome.output))] == kept
        spared = sum(each is not None and matching.holds({"tcp": {"data": False}}, each)
                     for each in fields)
        assert spared > 100 and 100 < sum(hit) < FRAMES


def test_portless_fragments_match_no_port(program, sample):
    path, capture, fields = sample
    matches = [{"sport": "1-65535"}, {"fragment": "later"}]
    found, _ = matched(program, path, capture, matches, extra="fragments: portless, ")
    for at, each in enumerate(fields):
        later = each is not None and each.get("fragment") == "later"
        ported = each is not None and "ports" in each and not later
        assert found[at] == ported + 2 * later


def test_filters_are_tcpdumps(program, sample):
    """The frames that tcpdump passes, of those that can be parsed."""
    path, capture, fields = sample
    found, _ = matched(program, path, capture, [{"bpf": words} for words in FILTERS])
    parsed = np.array([each is not None for each in fields])
    for bit, words in enumerate(FILTERS):
        out = program.folder / "passed.pcap"
        subprocess.run(["tcpdump", "-r", path, "-w", out, "--nano", words], check=True,
                       capture_output=True, timeout=60)
        passed = set(stamps_of(out))
        expected = np.array([stamp in passed for stamp in capture.time_ns.tolist()]) & parsed
        assert ((found >> bit & 1) == expected).all(), words
        assert expected.any() or words in ("less 40",), words


def stamps_of(path):
    """The time-stamps of a pcap file in nanoseconds."""
    raw = np.fromfile(path, dtype=np.uint8).tobytes()
    assert int.from_bytes(raw[:4], "little") == 0xA1B23C4D
    at, stamps = 24, []
    while at < len(raw):
        seconds, nanoseconds, size, _ = np.frombuffer(raw, dtype="<u4", count=4, offset=at).tolist()
        stamps.append(seconds * 10**9 + nanoseconds)
        at += 16 + size
    return stamps


def test_truncated_at_every_byte(program):
    """Frames of every shape, cut everywhere: parsed or unparsed as the model says, all pass."""
    rng = np.random.default_rng(9)
    made = []
    while len(made) < 6_000:
        frame = frames.random_frame(rng)
        made += [frame[:size] for size in range(1, min(len(frame), 180))]
    capture = captures.from_frames(made, 10**18 + 1000 * np.arange(len(made)))
    captures.write_pcap(program.folder / "cut.pcap", capture)
    outcome = program.simulated("version: 1\nrules: [{name: all, impair: [delay: 1ms]}]\n",
                                [program.folder / "cut.pcap"])
    parsed = sum(matching.fields_of(frame) is not None for frame in made)
    assert outcome.stats["rules"]["all"]["matched"] == parsed
    assert outcome.stats["unparsed"] == len(made) - parsed
    assert 1000 < parsed < len(made) - 1000
    assert outcome.stats["ledger"]["sent"] == len(made)
