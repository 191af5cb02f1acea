"""Edits and damage on 100,000 packets of every shape: what must not change is the same byte for
byte, what changes does so as the pages say, and every checksum is made anew and compared."""

import math
from collections import Counter

import numpy as np
import pytest

from mixed_input import Mix
from model import answers, captures, edits, mixed
from program import scenario_of

COUNT = 100_000
SEED = 11


@pytest.fixture(scope="module")
def mix(program):
    path = program.folder / "mix.pcap"
    yield Mix(path, mixed.Maker(SEED).frames(COUNT), SEED)
    path.unlink()


def run(program, mix, *rules):
    """The frames that came out and the statistics of the rules; everything else is as it was."""
    outcome = program.simulated(scenario_of(*rules, seed=SEED), [mix.path], "--annotate", "none")
    ledger, output = outcome.stats["ledger"], outcome.output
    assert ledger["balanced"] and outcome.stats["unparsed"] == 0 and ledger["received"] == COUNT
    if len(output) == COUNT:
        assert (output.time_ns == mix.times.astype(np.uint64)).all()
    return [output.frame(at) for at in range(len(output))], outcome.stats["rules"]


def same(found, expected):
    """Lists of frames; the first difference is told."""
    for at, (one, other) in enumerate(zip(found, expected)):
        assert one == other, f"packet {at}: {one.hex()} and not {other.hex()}"
    assert len(found) == len(expected)


def check_sums(mix, found, damaged=False):
    """Every checksum is as right, or as wrong, as it came; those over fragments too. Of damage, which
    may hit lengths, by what the packets were."""
    parts = mix.parts if damaged else [edits.parts_of(frame) for frame in found]
    assert [edits.errors(*each) for each in zip(found, parts)] == mix.errors
    for pieces in [] if damaged else mix.wholes:
        assert edits.datagram_error([(found[at], parts[at]) for at in pieces]) == (
            edits.datagram_error([(mix.frames[at], mix.parts[at]) for at in pieces]))


# -- edits whose outcome is known -----------------------------------------------------------------

NETWORK = {"ttl": 3, "dscp": 8, "ecn": 1}
ENDS = {"src": "192.0.2.77", "dst": "2001:db8:ff::1", "sport": 7, "dport": 65535, "window": 9,
        "src_mac": "02:00:00:00:00:77", "dst_mac": "06:aa:bb:cc:dd:ee"}


def setting(fields):
    words = {"ecn": "ect1", "vlan": ""}
    return "set: {" + ", ".join(f'{key}: "{words.get(key, value)}"' if isinstance(value, str) else
                                f"{key}: {words.get(key, value)}"
                                for key, value in fields.items()) + "}"


def change(text, **fields):
    return f"set: {text}", lambda frame, parts: edits.set_fields(frame, parts, fields)


EXACT = {
    "set-network": (setting(NETWORK), lambda f, p: edits.set_fields(f, p, NETWORK)),
    "set-ends": (setting(ENDS), lambda f, p: edits.set_fields(f, p, ENDS)),
    "set-push": change("{vlan: {push: 7, pcp: 5}, dst: 10.9.9.9}", vlan=("push", 7, 5),
                       dst="10.9.9.9"),
    "set-vlan": change("{vlan: 100}", vlan=("set", 100)),
    "set-rewrite": change("{vlan: {rewrite: 4095, pcp: 3}}", vlan=("rewrite", 4095, 3)),
    "set-pop": change("{vlan: none, src: fd00::9, ttl: 0}", vlan=("pop",), src="fd00::9", ttl=0),
    "mark-ce": ("mark_ce: {}", edits.mark_ce),
    "zero-window": ("tcp: {zero_window: true}", lambda f, p: edits.tcp(f, p, zero_window=True)),
    "strip": ("tcp: {strip_option: [sack, timestamp, mptcp], clamp_mss: 1000}",
              lambda f, p: edits.tcp(f, p, strip=("sack", "timestamp", "mptcp"), clamp=1000)),
    "strip-all": ("tcp: {strip_option: [mss, window-scale, fast-open], clamp_mss: 1}",
                  lambda f, p: edits.tcp(f, p, strip=("mss", "window-scale", "fast-open"),
                                         clamp=1)),
    "bytes-fix": ('corrupt: {bytes: "0badcafe0b", where: 47, checksum: fix}',
                  lambda f, p: edits.write_bytes(f, p, 47, bytes.fromhex("0badcafe0b"), "fix")),
}


@pytest.mark.parametrize("name", EXACT)
def test_edits_are_the_models(program, mix, name):
    """Every byte of every packet, checksums included; `edited` counts those that differ."""
    impairment, model = EXACT[name]
    expected = [model(*each) for each in zip(mix.frames, mix.parts)]
    found, rules = run(program, mix, ("r", [impairment]))
    same(found, expected)
    check_sums(mix, found, damaged="corrupt" in impairment)
    counter = "corrupted" if "corrupt" in impairment else "edited"
    touched = sum(one != other for one, other in zip(found, mix.frames))
    assert rules["r"][counter] == touched > COUNT / 100


@pytest.mark.parametrize("impairment, model", [
    ("truncate: {rate: 70%, to: 100B}", lambda f, p: edits.truncate(f, p, 100, False)),
    ("truncate: {rate: 70%, to: 81B, checksum: fix}", lambda f, p: edits.truncate(f, p, 81, True)),
    ('corrupt: {rate: 70%, bytes: "00ff00", where: 61}',
     lambda f, p: edits.write_bytes(f, p, 61, bytes.fromhex("00ff00"), "keep")),
    ("mark_ce: 70%", edits.mark_ce),
    ("set: {rate: 70%, ecn: ect1}", lambda f, p: edits.set_fields(f, p, {"ecn": 1})),
    ("tcp: {rate: 70%, only: data, zero_window: true}",
     lambda f, p: edits.tcp(f, p, zero_window=True) if p.l4_end < p.end else f),
    ("tcp: {rate: 70%, only: acks, zero_window: true}",
     lambda f, p: edits.tcp(f, p, zero_window=True)
     if p.protocol == 6 and p.l4_end == p.end and f[p.l4 + 13] & 0x17 == 0x10 else f),
], ids=lambda each: each.split(":")[0] if isinstance(each, str) else "")
def test_a_rate_and_a_match_choose(program, mix, impairment, model):
    """Just those of the match that the dice hit; no other packet differs by a byte."""
    chosen = [bool(parts.version == 4 or parts.tags) and bool(hit)
              for parts, hit in zip(mix.parts, mix.hit("70%"))]
    expected = [model(*each) if hit else each[0]
                for each, hit in zip(zip(mix.frames, mix.parts), chosen)]
    match = "{any: [{ethertype: ipv4}, {vlan: 0-4095}]}"
    found, rules = run(program, mix, ("r", [impairment], match))
    same(found, expected)
    if "fix" in impairment:
        check_sums(mix, found)
    assert 0.5 < sum(chosen) / COUNT < 0.52 or sum(chosen) > 0
    counter = "corrupted" if "corrupt" in impairment else "edited"
    assert rules["r"][counter] == sum(a != b for a, b in zip(found, mix.frames)) > COUNT / 500


def test_edits_follow_one_another(program, mix):
    """In the order written, each meeting what the one before made of the packet, while matches go
    by what it was on arrival."""
    found, rules = run(
        program, mix, ("r", ["set: {dst: 10.0.6.6, vlan: {push: 9}}", "loss: 30%",
                             "truncate: {to: 90B, checksum: fix}", "set: {dst: 10.7.7.7}"]),
        ("away", ["set: {ttl: 9}"], "{dst: 10.0.6.6}"), ("tagged", ["set: {vlan: none}"],
                                                         "{vlan: 0-4095}"))
    expected, counts = [], Counter()
    for frame, parts, lost in zip(mix.frames, mix.parts, mix.hit("30%", 1)):
        if lost:
            continue
        steps = [("r", lambda f, p: edits.set_fields(f, p, {"dst": "10.0.6.6",
                                                            "vlan": ("push", 9)})),
                 ("r", lambda f, p: edits.truncate(f, p, 90, True)),
                 ("r", lambda f, p: edits.set_fields(f, p, {"dst": "10.7.7.7"}))]
        if parts.version == 4 and frame[parts.l3 + 16:parts.l3 + 20] == bytes((10, 0, 6, 6)):
            steps.append(("away", lambda f, p: edits.set_fields(f, p, {"ttl": 9})))
        if parts.tags:
            steps.append(("tagged", lambda f, p: edits.with_vlan(f, p, "pop")))
        for rule, step in steps:
            before, frame = frame, step(frame, edits.parts_of(frame))
            counts[rule] += frame != before
        expected.append(frame)
    same(found, expected)
    assert {rule: rules[rule]["edited"] for rule in rules} == counts
    assert rules["r"]["dropped"] == COUNT - len(found)


# -- fragments ------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [68, 300])
def test_mtu_cuts_as_rfc_791_says(program, mix, size):
    """Every fragment in order. What may not be cut is dropped and answered, what would make more
    than ten without a word."""
    expected, told, dropped, copies, edited = [], [], 0, 0, 0
    for frame, parts in zip(mix.frames, mix.parts):
        pieces = [frame]
        if edits.packet_bytes(frame, parts) > size:
            pieces = []
            if parts.version == 4 and not frame[parts.l3 + 6] & 0x40:
                pieces = edits.fragments(frame, parts, size)
                pieces = pieces if len(pieces) <= 10 else []
            else:
                told.append(answers.too_big(frame, parts, size))
            edited += len(pieces)
        dropped += not pieces
        copies += len(pieces[1:])
        expected += pieces
    outcome = program.simulated(scenario_of(
        ("r", [f"mtu: {{size: {size}B, action: fragment}}"]), seed=SEED), [mix.path])
    output, stats = outcome.output, outcome.stats
    for port, frames in (("right", expected), ("left", [each for each in told if each])):
        there = np.flatnonzero(output.interface == output.names.index(port))
        same([output.frame(at) for at in there], frames)
    assert stats["ledger"]["balanced"] and stats["ledger"]["dropped"]["mtu"] == dropped > 0
    assert (dropped > len(told)) == (size == 68), "some would make more than ten"
    assert stats["ledger"]["copies"] == stats["rules"]["r"]["duplicated"] == copies > COUNT / 20
    assert stats["rules"]["r"]["edited"] == edited > copies


# -- damage ---------------------------------------------------------------------------------------

class Damage:
    """What a run of `corrupt` did: `at`, the packets that differ, and of the bits that do `row`,
    the packet, and `place`, counted from the part's first, each byte's highest first. Checksums are
    left out unless they were kept."""

    def __init__(self, program, mix, text, where, checksum):
        frames, rules = run(program, mix, ("r", [f"corrupt: {{{text}, where: {where}, "
                                                 f"checksum: {checksum}}}"]))
        self.mix, self.frames, self.checksum = mix, frames, checksum
        self.first, self.end = np.array([parts.of(where, len(frame)) for frame, parts in
                                         zip(mix.frames, mix.parts)]).T
        self.size = 8 * (self.end - self.first)
        found = captures.from_frames(frames, mix.times).bytes_
        assert [len(frame) for frame in frames] == [len(frame) for frame in mix.frames]
        differ = found ^ mix.bytes_
        self.at = np.flatnonzero(differ.any(axis=1))
        assert rules["r"]["corrupted"] == len(self.at)
        if checksum != "keep":
            differ[mix.sums] = 0
        row, byte = np.nonzero(differ)
        assert ((self.first[row] <= byte) & (byte < self.end[row])).all(), f"outside of {where}"
        turned, bit = np.nonzero(np.unpackbits(differ[row, byte, None], axis=1))
        self.row, self.place = row[turned], 8 * (byte[turned] - self.first[row[turned]]) + bit
        self.count = np.bincount(self.row, minlength=COUNT)
        self.check_sums()

    def check_sums(self):
        begin = dict(zip(*np.unique(self.row, return_index=True)))
        for at in self.at:
            parts, before, after = self.mix.parts[at], self.mix.frames[at], self.frames[at]
            header, body = edits.header_error(after, parts), edits.transport_error(after, parts)
            was_header, was_body = self.mix.raw_errors[at]
            if self.checksum == "keep":
                if self.count[at] == 1:  # more may cancel out
                    byte = self.first[at] + self.place[begin[at]] // 8
                    assert (header != was_header) == (
                        parts.version == 4 and parts.l3 <= byte < parts.l3_end)
                    if any(byte in covered for covered in edits.summed(parts)):
                        assert body != was_body
            elif self.checksum == "fix":
                assert parts.fragment != "later" and header == was_header
                made = edits.has_sum(before, parts)
                assert edits.has_sum(after, parts) == made and (body == was_body or not made)
            elif parts.checksum:
                hit = self.first[at] <= parts.l3 + 11  # the header's checksum may be damaged itself
                assert (hit or header == was_header) and edits.has_sum(after, parts)
                assert body != 0 or (parts.fragment and was_body != 0)
            elif parts.version == 4:
                assert header != 0

    def expected(self, hit):
        """Of the packets that the dice hit, those with a part, and a checksum within reach."""
        reach = hit & (self.size > 0)
        return np.flatnonzero(reach & ~self.mix.later if self.checksum == "fix" else reach)

    def edges(self):
        """Of each packet with damage, the first and the last bit of it."""
        rows, first = np.unique(self.row, return_index=True)
        last = np.append(first[1:], len(self.row)) - 1
        return rows, self.place[first], self.place[last]


def within(count, mean, variance):
    """5 standard deviations."""
    assert abs(count - mean) <= 5 * math.sqrt(variance) + 1e-9, (count, mean, math.sqrt(variance))


def uniform(place, of):
    """Each place below `of` is as likely as any other, counted in sixteenths of the way."""
    counts = np.bincount(16 * place // of, minlength=16)
    mean, variance = np.zeros(16), np.zeros(16)
    for size, times in zip(*np.unique(of, return_counts=True)):
        share = np.bincount(16 * np.arange(size) // size, minlength=16) / size
        mean += times * share
        variance += times * share * (1 - share)
    for each in zip(counts, mean, variance):
        within(*each)


@pytest.mark.parametrize("where", ["anywhere", "l2", "l3", "l4", "payload", 57])
def test_one_bit_where_it_was_asked_for(program, mix, where):
    """`keep`: one bit of the part, every one as likely, and the sum that covers it is wrong."""
    damage, hit = Damage(program, mix, "rate: 40%", where, "keep"), mix.hit("40%")
    assert (damage.at == damage.expected(hit)).all() and (damage.count[damage.at] == 1).all()
    within(hit[mix.own_dice].sum(), 0.4 * mix.own_dice.sum(), 0.24 * mix.own_dice.sum())
    own = mix.own_dice[damage.row]
    uniform(damage.place[own], damage.size[damage.row[own]])


@pytest.mark.parametrize("bits, where, checksum", [
    (5, "anywhere", "fix"), (64, "l3", "fix"), (1, "l4", "fix"), (2, "payload", "fix"),
    (3, "anywhere", "break"), (1, "payload", "break"), (64, "l4", "break")])
def test_bits_with_sums_mended_or_broken(program, mix, bits, where, checksum):
    """So many different bits, none of them in a checksum with `fix`, and the sums are as asked."""
    damage = Damage(program, mix, f"rate: 40%, bits: {bits}", where, checksum)
    assert (damage.at == damage.expected(mix.hit("40%"))).all()
    byte = np.arange(mix.bytes_.shape[1])
    inside = (damage.first[:, None] <= byte) & (byte < damage.end[:, None])
    in_sums = 8 * (inside & mix.sums).sum(axis=1)[damage.at]
    count, size = damage.count[damage.at], damage.size[damage.at]
    if checksum == "fix":
        assert (count == np.minimum(bits, size - in_sums)).all()
    else:  # those in a checksum cannot be told from what breaks it
        assert (np.minimum(bits, size) - in_sums <= count).all()
        assert (count <= np.minimum(bits, size)).all() and (count[in_sums == 0] > 0).all()


@pytest.mark.parametrize("burst, where, checksum", [
    (2, "payload", "keep"), (13, "anywhere", "keep"), (1000, "l4", "keep"), (40, "l3", "fix"),
    (13, "payload", "break")])
def test_bursts(program, mix, burst, where, checksum):
    """The first and the last bit of the length, one half of those between; anywhere in the part."""
    damage = Damage(program, mix, f"rate: 40%, burst: {burst}", where, checksum)
    rows, first, last = damage.edges()
    if checksum == "fix":
        assert (last - first).max() == burst - 1
        return
    assert (rows == damage.expected(mix.hit("40%"))).all()
    size = damage.size[rows]
    length = np.minimum(burst, size)
    assert (last - first + 1 == length).all()
    own = mix.own_dice[rows]
    between, turned = np.maximum(length - 2, 0), np.maximum(damage.count[rows] - 2, 0)
    within(turned[own].sum(), between[own].sum() / 2, between[own].sum() / 4)
    uniform(first[own], (size - length + 1)[own])


@pytest.mark.parametrize("where, checksum", [("payload", "keep"), ("payload", "break"),
                                             ("anywhere", "fix")])
def test_words_that_change_places(program, mix, where, checksum):
    """Two neighbours that differ: sums cannot see it, with `break` they say so all the same."""
    damage = Damage(program, mix, "rate: 40%, swap_words: true", where, checksum)
    rows, first, last = damage.edges()
    assert (rows == damage.at).all() and len(rows) > COUNT / 5
    for at, left, right in zip(rows, damage.first[rows] + first // 16 * 2, last):
        before, after = mix.frames[at], damage.frames[at]
        assert after[left:left + 4] == before[left + 2:left + 4] + before[left:left + 2]
        assert damage.first[at] + right // 8 < left + 4
        if checksum == "keep" and left + 4 <= mix.parts[at].summed_end:
            assert edits.transport_error(after, mix.parts[at]) == mix.raw_errors[at][1]
    for at in np.setdiff1d(damage.expected(mix.hit("40%")), rows):
        part = mix.frames[at][damage.first[at]:damage.end[at]]
        assert len({part[word:word + 2] for word in range(0, len(part) - 1, 2)}) < 2


@pytest.mark.parametrize("pattern, where, checksum", [("ff", "l4", "keep"),
                                                      ("0123456789", "payload", "fix")])
def test_bytes_at_a_place_drawn(program, mix, pattern, where, checksum):
    """Where no offset is given they stand anywhere in the part, if that is long enough for them."""
    wanted = bytes.fromhex(pattern)
    damage = Damage(program, mix, f'rate: 40%, bytes: "{pattern}"', where, checksum)
    fits = damage.end - damage.first >= len(wanted)
    expected = damage.expected(mix.hit("40%") & fits)
    assert np.isin(damage.at, expected).all() and len(damage.at) > 0.9 * len(expected)
    rows, first, last = damage.edges()
    places = []
    for at, begin, end in zip(rows, first // 8, last // 8):
        part = damage.frames[at][damage.first[at]:damage.end[at]]
        found = [place for place in range(max(0, end - len(wanted) + 1), begin + 1)
                 if part[place:place + len(wanted)] == wanted]
        assert found
        places.append(found[0])
    if checksum == "fix":  # random payload is hardly ever what is written
        own = mix.own_dice[rows]
        room = (damage.end - damage.first - len(wanted) + 1)[rows]
        uniform(np.array(places)[own], room[own])


@pytest.mark.parametrize("ber, where, checksum", [
    ("1e-3", "anywhere", "keep"), ("2e-4", "payload", "break"), ("2%", "l2", "keep"),
    ("1", "l4", "keep")])
def test_bit_error_rates(program, mix, ber, where, checksum):
    """Each bit of the part by itself: how many in all, how many packets have none, one, two."""
    damage = Damage(program, mix, f"ber: {ber}", where, checksum)
    if ber == "1":
        assert (damage.count == damage.size).all()
        return
    rate, own = {"2%": 0.02}.get(ber) or float(ber), mix.own_dice
    size, count = damage.size[own], damage.count[own]
    within(count.sum(), rate * size.sum(), rate * (1 - rate) * size.sum())
    for number in (0, 1, 2):
        chances = np.array([math.comb(each, number) for each in range(size.max() + 1)], dtype=float)
        chances = (chances * rate**number)[size] * (1 - rate)**np.maximum(size - number, 0.0)
        within((count == number).sum(), chances.sum(), (chances * (1 - chances)).sum())
    bits = own[damage.row]
    uniform(damage.place[bits], damage.size[damage.row[bits]])
