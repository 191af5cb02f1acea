"""The model of edits against what is known from elsewhere: published sums, another parser, tcpdump.
Needs nothing of faultline."""

import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pytest

from model import captures, edits, matching, mixed


@pytest.fixture(scope="module")
def right():
    """Frames whose checksums are right, with their parts."""
    made = mixed.Maker(1, wrong=0).frames(20_000)
    return [(frame, edits.parts_of(frame)) for frame in made]


def test_sums_are_those_of_rfc_1071():
    """Its section 3: 0001 f203 f4f5 f6f7 make ddf2; an odd byte is the upper half of a word."""
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert edits.ones_sum(data) == 0xDDF2 and edits.checksum_of(data) == 0x220D
    assert edits.ones_sum(data[:7]) == edits.ones_sum(data[:7] + b"\0")
    ones = b"\xff\xff"
    assert edits.checksum_of(ones) == 0 and edits.checksum_of(ones, udp=True) == 0xFFFF


def test_parts_are_where_another_parser_finds_them(right):
    for frame, parts in right:
        fields = matching.fields_of(frame)
        assert (fields.get("ip", 0), fields.get("proto", 0), fields.get("fragment", "")) == (
            parts.version, parts.protocol, parts.fragment), frame.hex()
        if "ports" in fields:
            assert fields["ports"] == (edits.word(frame, parts.l4), edits.word(frame, parts.l4 + 2))
        elif "icmp" in fields:
            assert fields["icmp"] == frame[parts.l4]
        if "fragment" in fields:
            assert fields["id"] == parts.id


def test_sums_that_were_made_right_are_right(right):
    """Whole datagrams each for themselves, fragmented ones together."""
    kinds = set()
    for frame, parts in right:
        assert edits.header_error(frame, parts) == 0
        if not parts.fragment:
            assert edits.errors(frame, parts)[1] in (0, None)
            kinds.add((parts.version, parts.protocol, edits.errors(frame, parts)[1]))
    joined = [edits.datagram_error([right[at] for at in pieces])
              for pieces in edits.datagrams(*zip(*right))]
    assert len(joined) > 300 and set(joined) == {0}
    assert {(4, 6, 0), (6, 6, 0), (4, 17, 0), (6, 17, 0), (4, 1, 0), (6, 58, 0), (4, 17, None),
            (4, 132, None), (6, 47, None)} <= kinds


@pytest.mark.parametrize("wrong", [0, 1])
def test_tcpdump_agrees(tmp_path, wrong):
    """Which sums of IPv4 headers, TCP, UDP, echoes and ICMPv6 are right, where tcpdump tells."""
    made = [frame for frame in mixed.Maker(2, wrong=wrong).frames(6_000) if plain(frame)]
    captures.write_pcap(tmp_path / "made.pcap", captures.from_frames(made, np.arange(len(made))))
    told = subprocess.run(["tcpdump", "-nvvv", "-tt", "-r", tmp_path / "made.pcap"], timeout=60,
                          capture_output=True, text=True, check=True).stdout
    seen = set()
    for frame, about in zip(made, re.split(r"\n(?=\d)", told), strict=True):
        parts = edits.parts_of(frame)
        header, transport = edits.errors(frame, parts)
        if parts.version == 4:
            assert (", bad cksum" in about) == bool(header), about
        good = re.search(r"\(correct\)|udp sum ok|icmp6 sum ok", about)
        bad = re.search(r"bad udp cksum|bad icmp6 cksum|wrong icmp cksum|cksum 0x\w+ \(incorrect",
                        about)
        if good or bad:
            assert bool(bad) == bool(transport) != bool(good), about
            seen.add((parts.version, parts.protocol, bool(bad)))
    assert seen == {(version, protocol, bool(wrong)) for version, protocol in
                    ((4, 6), (4, 17), (6, 6), (6, 17), (6, 58), (4, 1))[:6 if wrong else 5]}


def plain(frame):
    """A whole packet with a sum that tcpdump finds: it follows no routes, and says much of what
    ICMP errors quote."""
    parts = edits.parts_of(frame)
    return (parts.version and not parts.fragment and edits.has_sum(frame, parts) and
            parts.destination - parts.l3 in (16, 24) and not (
                parts.protocol == 1 and frame[parts.l4] not in (0, 8)))


def test_a_settled_frame_is_as_wrong_as_before():
    for frame in mixed.Maker(3, wrong=0.5).frames(3_000):
        parts = edits.parts_of(frame)
        fields = {"src": "192.0.2.1", "dst": "192.0.2.9", "dport": 9, "ttl": 7, "ecn": 1}
        changed = edits.set_fields(frame, parts, fields)
        assert edits.header_error(changed, parts) == edits.header_error(frame, parts)
        assert edits.has_sum(changed, parts) == edits.has_sum(frame, parts)
        if edits.has_sum(frame, parts):
            assert edits.transport_error(changed, parts) == edits.transport_error(frame, parts)


def test_fragments_of_rfc_791():
    """Appendix A, example fragmentation: 452 bytes of data for a link of 280: 256 and 196, more
    fragments in the first, the second at 32 eights."""
    header = bytes.fromhex("450001d8006f00007b0600000a0000010a000002")
    header = header[:10] + edits.checksum_of(header).to_bytes(2, "big") + header[12:]
    frame = mixed.MAC + b"\x08\x00" + header + bytes(range(256)) + bytes(196)
    one, two = edits.fragments(frame, edits.parts_of(frame), 280)
    assert one[16:18] + one[20:22] + two[16:18] + two[20:22] == bytes.fromhex("0114200000d80020")
    assert one[34:] + two[34:] == frame[34:]
    assert [edits.header_error(each, edits.parts_of(each)) for each in (one, two)] == [0, 0]
