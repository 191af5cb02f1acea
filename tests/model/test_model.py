"""The model against what is known from elsewhere: published vectors, hand-made frames, closed
forms. Needs nothing of faultline."""

import sys
from fractions import Fraction
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pytest

from model import bounds, captures, laws
from model.dice import FATE, Dice, hash_name, threshold
from model.flows import IPV4, IPV6, LINK, FlowKey, flow_of, numbers_in_flow
from model.philox import KNOWN_ANSWERS, philox, philox_block


@pytest.mark.parametrize("counter, key, block", KNOWN_ANSWERS)
def test_philox_gives_the_published_blocks(counter, key, block):
    """Philox4x32-10 is Random123's: its known-answer vectors."""
    assert philox_block(key, counter) == block


def test_philox_of_arrays_is_philox_of_each():
    """Vectorised blocks are the single blocks."""
    counters = np.arange(40, dtype=np.uint64).reshape(4, 10) * np.uint64(123456789) % 2**32
    columns = philox((7, 9), counters)
    for at in range(10):
        assert tuple(int(word[at]) for word in columns) == philox_block((7, 9), counters[:, at])


def test_names_hash_as_fnv1a():
    """FNV-1a-64: the draft's test values for "", "a" and "foobar"."""
    assert hash_name("") == 0xCBF29CE484222325
    assert hash_name("a") == 0xAF63DC4C8601EC8C
    assert hash_name("foobar") == 0x85944171F73967E8


def test_thresholds_are_exact():
    """A threshold is floor(p * 2^64): exact where floating point is not."""
    assert threshold("1%") == 184467440737095516
    assert threshold("0.5") == 1 << 63
    assert threshold("100%") == 1 << 64
    assert threshold(0) == 0
    assert threshold("1e-7") == (1 << 64) // 10**7
    assert threshold("99.999999999999999999%") == (1 << 64) - 1
    assert threshold(Fraction(1, 3)) == (1 << 64) // 3


def test_dice_follow_their_layout():
    """Word by word: key from (seed; name, impairment, purpose), block from (index/4, word;
    identity), lane index mod 4."""
    seed, identity, index = 0x0123456789ABCDEF, 0xFEDCBA9876543210, 0x3FFFFFFFF7
    name = hash_name("wan")
    key = philox_block((0x89ABCDEF, 0x01234567), (name & 0xFFFFFFFF, name >> 32, 2, 1))[:2]
    upper = philox_block(key, (0xFFFFFFFD, 0xF, 0x76543210, 0xFEDCBA98))[3]
    lower = philox_block(key, (0xFFFFFFFD, 0xF | 1 << 30, 0x76543210, 0xFEDCBA98))[3]
    assert int(Dice(seed, "wan", 2, 1).uniforms(identity, index)[0]) == upper << 32 | lower


def test_runs_of_the_dice_are_the_single_draws():
    """run() is uniforms(), from any first index and across the wrap at 2^64."""
    dice = Dice(5, "rule", 0, FATE)
    for first, count in ((0, 9), (1, 1), (3, 4), (6, 21), (-7, 20), (-1, 1)):
        indices = np.array([(first + at) % 2**64 for at in range(count)], dtype=np.uint64)
        assert (dice.run(77, first, count) == dice.uniforms(77, indices)).all()


def test_uniforms_are_uniform():
    """Chi-square of 2^18 draws over 256 cells, upper and lower bytes: below 360 (255 + 4.6 sd)."""
    drawn = Dice(1, "uniform", 0, FATE).run(3, 0, 1 << 18)
    for shift in (56, 24, 0):
        cells = np.bincount((drawn >> np.uint64(shift)).astype(np.int64) & 255, minlength=256)
        assert ((cells - 1024.0) ** 2 / 1024).sum() < 360


def udp(source, destination, sport, dport, body=b"payload!", **changes):
    segment = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
    segment += (8 + len(body)).to_bytes(2, "big") + b"\0\0" + body
    total = changes.get("total", 20 + len(segment))
    header = bytes((changes.get("version", 0x45), 0)) + total.to_bytes(2, "big") + b"\0\0"
    header += changes.get("fragment", 0).to_bytes(2, "big") + b"\x40\x11\0\0"
    return bytes(12) + b"\x08\0" + header + source + destination + segment


A, B = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def test_flows_of_frames():
    """The directed flow of UDP, of fragments (no ports), of what contradicts itself and of ARP."""
    assert flow_of(udp(A, B, 1, 2)) == FlowKey(IPV4, A, B, 0x0800, 17, 1, 2)
    assert flow_of(udp(A, B, 1, 2, fragment=0x2000)) == FlowKey(IPV4, A, B, 0x0800, 17)
    assert flow_of(udp(A, B, 1, 2, fragment=0x4000)) == flow_of(udp(A, B, 1, 2))
    assert flow_of(udp(A, B, 1, 2, total=900)).kind == LINK
    assert flow_of(udp(A, B, 1, 2, version=0x65)).kind == LINK
    assert flow_of(udp(A, B, 1, 2, total=24)) == FlowKey(IPV4, A, B, 0x0800, 17)
    arp = b"\xff" * 6 + b"\x02" * 6 + b"\x08\x06" + bytes(28)
    assert flow_of(arp) == FlowKey(LINK, b"\x02" * 6, b"\xff" * 6, 0x0806)
    six = bytes(12) + b"\x86\xdd\x60\0\0\0\0\x08\x11\x40" + b"a" * 16 + b"b" * 16
    assert flow_of(six + b"\0\x05\0\x06\0\x08\0\0") == FlowKey(
        IPV6, b"a" * 16, b"b" * 16, 0x86DD, 17, 5, 6)


def test_identities_differ_by_direction_and_port():
    """Both directions, and neighbouring ports, of 2,000 flows: no identity twice."""
    keys = [flow_of(udp(*ends, 1000 + at, 53)) for at in range(1000) for ends in ((A, B), (B, A))]
    assert len({key.identity() for key in keys}) == 2000


def test_numbers_in_flow_count_from_one():
    """Packet numbers start at 1 in each flow, in the order of the packets."""
    assert numbers_in_flow([5, 7, 5, 5, 7, 2]).tolist() == [1, 1, 2, 3, 2, 1]
    assert numbers_in_flow([]).tolist() == []


def stepwise(seed, rule, impairment, scope, count, p, r, start):
    """Gilbert-Elliott as a plain chain from step 1 - start on, one step after the other."""
    p, r = threshold(p), threshold(r)
    drawn = Dice(seed, rule, impairment, 1).run(scope, 1 - start, start + count - 1)
    bad, states = False, []
    for uniform in drawn.tolist():
        # From Good, Bad with u < p. From Bad, Good with u >= 1 - r. So u < min(p, 1-r) leads to Bad
        # and u >= max(p, 1-r) to Good from either state: two copies of the chain meet.
        bad = uniform < (1 << 64) - r if bad else uniform < p
        states.append(bad)
    return states[start - 1:]


@pytest.mark.parametrize("p, r", [("1%", "20%"), ("60%", "70%"), ("50%", "50%"), ("100%", "10%"),
                                  ("0", "20%"), ("30%", "0")])
def test_look_back_is_the_chain(p, r):
    """The look-back construction gives the states of the ordinary chain that began long ago."""
    chain = laws.gilbert_elliott(3, "ge", 1, 99, 5000, p, r)
    assert chain.bad.tolist() == stepwise(3, "ge", 1, 99, 5000, p, r, 4096)
    assert (chain.lost == chain.bad).all()


def test_losses_within_a_state():
    """loss_bad and loss_good are drawn with the fate dice of (scope, n)."""
    chain = laws.gilbert_elliott(3, "ge", 0, 99, 4000, "5%", "20%", "50%", "1%")
    drawn = Dice(3, "ge", 0, FATE).uniforms(99, np.arange(1, 4001))
    limits = [threshold("50%") if bad else threshold("1%") for bad in chain.bad]
    assert chain.lost.tolist() == [u < limit for u, limit in zip(drawn.tolist(), limits)]
    assert chain.bad[chain.lost].any() and not chain.bad[chain.lost].all()


def test_bernoulli_is_a_draw_a_packet():
    """Each packet's own draw against the threshold, whatever the order of the flows."""
    identities = np.array([8, 9, 8, 9, 9, 8] * 500)
    numbers = numbers_in_flow(identities)
    drawn = Dice(1, "b", 0, FATE).uniforms(identities, numbers)
    lost = laws.bernoulli(1, "b", 0, "10%", identities, numbers)
    assert lost.tolist() == [u < threshold("10%") for u in drawn.tolist()]
    assert 200 < lost.sum() < 400


def test_binomial_bounds():
    """Known acceptance intervals, and a tail against exact fractions."""
    assert bounds.binomial_interval(10**6, 0.01, 1e-6) == (9517, 10490)
    assert bounds.binomial_interval(10**6, 0.10, 1e-6) == (98536, 101471)
    assert bounds.binomial_below(3, 10, 0.5) == pytest.approx(56 / 1024, rel=1e-12)


def test_hypergeometric_tail():
    """Two of a hand of five are aces, or more: 48 choose 3 and so on."""
    assert bounds.hypergeometric_tail(2, 52, 4, 5) == pytest.approx(
        (6 * 17296 + 4 * 1128 + 1 * 48) / 2598960, rel=1e-12)
    assert bounds.hypergeometric_tail(0, 52, 4, 5) == pytest.approx(1, rel=1e-12)


def test_geometric_sums():
    """8,000 runs of mean 5: the bound's ends are 4.89 standard errors out, within a tenth of
    one."""
    low, high = bounds.geometric_sum_interval(8000, 0.2, 1e-6)
    error = (0.8 * 8000) ** 0.5 / 0.2
    assert (high - 40000) / error == pytest.approx(4.8916, abs=0.1)
    assert (40000 - low) / error == pytest.approx(4.8916, abs=0.1)


def test_captures_come_back(tmp_path):
    """What write_pcapng wrote read_pcapng reads: times, lengths, bytes, names, comments."""
    traffic = captures.udp_traffic(3000)
    traffic.capture.names = ["left", "right"]
    traffic.capture.interface = (np.arange(3000) % 2).astype(np.uint32)
    for comments in (None, [b"one" if at % 3 else None for at in range(3000)]):
        traffic.capture.comments = comments
        captures.write_pcapng(tmp_path / "a.pcapng", traffic.capture)
        back = captures.read_pcapng(tmp_path / "a.pcapng")
        for name in ("time_ns", "length", "bytes_", "interface"):
            assert (getattr(back, name) == getattr(traffic.capture, name)).all(), name
        assert back.names == ["left", "right"]
        assert (back.serial() == np.arange(3000)).all()
        assert back.frame(7) == traffic.capture.frame(7)
        assert back.comment(0) == []
        assert back.comment(1) == (["one"] if comments else [])


def test_pcap_by_hand(tmp_path):
    """A pcap of two frames, ns and us, byte for byte."""
    few = captures.from_frames([b"abcde", b"xy"], [1_500_000_002, 2_000_003_000])
    captures.write_pcap(tmp_path / "a.pcap", few)
    assert (tmp_path / "a.pcap").read_bytes().hex() == (
        "4d3cb2a1020004000000000000000000" "0000040001000000"
        "010000000265cd1d0500000005000000" "6162636465"
        "02000000b80b00000200000002000000" "7879")
    captures.write_pcap(tmp_path / "a.pcap", few, link_type=101, nanoseconds=False)
    data = (tmp_path / "a.pcap").read_bytes()
    assert data[:4].hex() == "d4c3b2a1" and data[20] == 101
    assert data[28:32] == (500_000).to_bytes(4, "little")


def test_traffic_is_what_it_says():
    """Times do not run backwards and some are equal, payloads are all distinct, checksums hold, and
    the frames are of the flows claimed, in both directions."""
    for backwards in (False, True):
        traffic = captures.udp_traffic(20_000, backwards=backwards)
        times = traffic.capture.time_ns
        assert (np.diff(times.astype(np.int64)) >= 0).all()
        assert 0 < (times[1:] == times[:-1]).sum() < 200
        frames = [traffic.capture.frame(at) for at in range(2000)]
        assert len({frame[42:] for frame in frames}) == 2000
        assert len({frame[50:58] for frame in frames}) > 1990
        for at, frame in enumerate(frames):
            words = [int.from_bytes(frame[i:i + 2], "big") for i in range(14, 34, 2)]
            assert sum(words) % 0xFFFF == 0
            low = bytes((10, 0, 0, traffic.flow[at])), 10000 + traffic.flow[at]
            high = bytes((10, 0, 1, traffic.flow[at])), 20000 + traffic.flow[at]
            (source, sport), (destination, dport) = (high, low) if backwards else (low, high)
            assert flow_of(frame) == FlowKey(IPV4, source, destination, 0x0800, 17, sport, dport)
        assert set(traffic.flow) == set(range(20))
        assert set(traffic.capture.length) == {60, 61, 66, 82}
        assert (traffic.capture.serial() == np.arange(20_000)).all()
    again = captures.udp_traffic(20_000, backwards=True)
    assert (again.capture.bytes_ == traffic.capture.bytes_).all()
