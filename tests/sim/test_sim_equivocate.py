"""One packet, as many wordings as nodes have patches: what each receiver of a switch is told, by the
addresses and tags that packets have, and that checksums are right, made anew here."""

import struct

import pytest

from model import captures, edits
from test_sim_switch import BROADCAST, Traffic, mac, scenario

PATCHES = ("patches: [{to: b, offset: 8, hex: \"01\"}, {to: c, offset: 8, hex: \"02fe\"}, "
           "{to: c, find: \"COMMIT\", with: \"ABORT!\"}]")
NODES = "nodes: {a: {port: n1}, b: {port: n2}, c: {port: n3}}\n"
PAYLOAD = b"proposal\0\0 COMMIT, or COMMIT"


def expected(node, payload):
    """What a node is told of a payload."""
    told = bytearray(payload)
    if node == "n2" and len(told) >= 9:
        told[8] = 1
    if node == "n3" and len(told) >= 10:
        told[8:10] = b"\x02\xfe"
    return bytes(told).replace(b"COMMIT", b"ABORT!") if node == "n3" else bytes(told)


def frame(source, destination, serial, payload, version=4, protocol=17, vlan=None, to=None,
          summed=True):
    """From station to station, with right checksums; the source port is the serial number."""
    if protocol == edits.UDP:
        body = struct.pack(">HHHH", serial, 9, 8 + len(payload), 0) + payload
    else:
        body = struct.pack(">HHIIBBHHH", serial, 9, 7, 8, 8 << 4, 0x18, 100, 0, 0) + bytes(
            (1, 1, 8, 10)) + bytes(8) + payload
    if version == 4:
        head = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), serial, 0, 64, protocol, 0)
                         + bytes((10, 0, 0, source, 10, 0, 0, destination)))
        head[10:12] = edits.checksum_of(bytes(head)).to_bytes(2, "big")
        ends = bytes(head[12:16]), bytes(head[16:20])
    else:
        ends = [bytes.fromhex("fd00") + bytes(13) + bytes((n,)) for n in (source, destination)]
        head = struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + ends[0] + ends[1]
    if summed:
        at = edits.CHECKSUM_AT[protocol]
        total = edits.checksum_of(
            edits.pseudo_header(version, *ends, protocol, len(body)) + body, protocol == edits.UDP)
        body = body[:at] + total.to_bytes(2, "big") + body[at + 2:]
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    kind = b"\x08\0" if version == 4 else b"\x86\xdd"
    return (to or mac(destination)) + mac(source) + tag + kind + bytes(head) + body


def settled(program, frames, rule, nodes=NODES, options=()):
    """What left: {serial: {port: frame}} of frames from station 1, each told before it spoke."""
    traffic = Traffic(program.folder)
    for number in (1, 2, 3):
        traffic.add(number, frame(number, 9, 60_000 + number, b""), number)
    for serial, each in frames.items():
        traffic.add(1, each, 1_000 + serial)
    outcome = program.simulated(scenario(3, nodes + rule), traffic.inputs(), *options)
    assert outcome.stats["ledger"]["balanced"]
    left, output = {}, outcome.output
    for at in range(len(output)):
        sent = output.frame(at)
        parts = edits.parts_of(sent)
        serial = edits.word(sent, parts.l4) if parts.l4 else None
        left.setdefault(serial, {})[output.names[output.interface[at]]] = sent
    return {serial: ports for serial, ports in left.items() if serial and serial < 60_000}, outcome


def rule(keys=PATCHES):
    return f"rules:\n  - {{name: lie, impair: [equivocate: {{{keys}}}]}}\n"


@pytest.mark.parametrize("burst", [1, 32])
def test_each_node_is_told_its_own(program, burst):
    """TCP with options and UDP, both versions, with and without tags: to b, to c, to all of them at
    once. Only the payload and its checksum differ, which is right; UDP without one stays without."""
    frames, serial = {}, 1
    for version in (4, 6):
        for protocol in (edits.TCP, edits.UDP):
            for vlan in (None, 7):
                for length in (0, 3, 9, 10, len(PAYLOAD)):
                    for to, group in ((2, None), (3, None), (4, BROADCAST)):
                        frames[serial] = frame(1, to, serial, PAYLOAD[:length], version, protocol,
                                               vlan, group)
                        serial += 1
    frames[serial] = frame(1, 3, serial, PAYLOAD, summed=False)
    left, outcome = settled(program, frames, rule(), options=("--burst", burst))
    changed = 0
    for number, sent in frames.items():
        parts = edits.parts_of(sent)
        assert set(left[number]) >= {"n2"} or set(left[number]) == {"n3"}
        for node, got in left[number].items():
            told = expected(node, sent[parts.l4_end:parts.end])
            assert got[parts.l4_end:] == told
            assert edits.errors(got, parts) == edits.errors(sent, parts)
            places = [at for at in range(parts.l4_end) if got[at] != sent[at]]
            assert set(places) <= set(parts.sums())
            changed += got != sent
    assert changed > 60 and outcome.stats["rules"]["lie"]["edited"] == changed


def test_a_group_hears_different_things(program):
    """One multicast datagram, three receivers: b and c each their own, a sent it."""
    group = frame(1, 4, 77, PAYLOAD, to=bytes.fromhex("01005e000004"))
    left, outcome = settled(program, {77: group}, rule())
    assert set(left[77]) == {"n2", "n3"}
    assert left[77]["n2"].endswith(b"proposal\x01\0 COMMIT, or COMMIT")
    assert left[77]["n3"].endswith(b"proposal\x02\xfe ABORT!, or ABORT!")
    assert outcome.stats["ledger"]["copies"] >= 1


def test_by_address_on_a_wire(program):
    """Nodes that are told by their addresses need no switch; replies and others pass as they are."""
    text = ("version: 1\nnodes: {b: {ip: [10.0.0.2, \"fd00::2\"]}, c: {ip: 10.0.0.3}}\n" + rule())
    frames = [frame(1, 2, 1, PAYLOAD), frame(1, 3, 2, PAYLOAD), frame(1, 2, 3, PAYLOAD, 6),
              frame(1, 3, 4, PAYLOAD, 6), frame(2, 1, 5, PAYLOAD)]
    path = program.folder / "wire.pcap"
    captures.write_pcap(path, captures.from_frames(
        frames, [captures.FIRST_NS + at for at in range(len(frames))]))
    outcome = program.simulated(text, [f"left={path}"])
    got = [outcome.output.frame(at)[-len(PAYLOAD):] for at in range(len(frames))]
    two, three = expected("n2", PAYLOAD), expected("n3", PAYLOAD)
    assert got == [two, three, two, PAYLOAD, PAYLOAD]
    assert outcome.stats["rules"]["lie"]["matched"] == outcome.stats["rules"]["lie"]["edited"] == 3


@pytest.mark.parametrize("care, off", [("fix", False), ("keep", True), ("break", True)])
def test_checksums(program, care, off):
    keys = f"patches: [{{to: b, offset: 0, hex: \"5151\"}}], checksum: {care}"
    left, _ = settled(program, {5: frame(1, 2, 5, PAYLOAD)}, rule(keys))
    got = left[5]["n2"]
    assert got[-len(PAYLOAD):] == b"QQ" + PAYLOAD[2:]
    assert (edits.transport_error(got, edits.parts_of(got)) != 0) == off


def test_on_a_timeline(program):
    """For as long as the entry says."""
    text = "timeline:\n  - {at: 1999ns, for: 1us, equivocate: {" + PATCHES + "}}\n"
    frames = {serial: frame(1, 2, serial, PAYLOAD) for serial in (500, 999, 1000, 1999, 2000)}
    left, _ = settled(program, frames, text)
    told = {serial: ports["n2"][-len(PAYLOAD):] for serial, ports in left.items()}
    assert [serial for serial, one in told.items() if one == expected("n2", PAYLOAD)] == [1000, 1999]


@pytest.mark.parametrize("model, holds", [("byzantine", True), ("asynchronous", False)])
def test_it_is_byzantine(program, model, holds):
    """No weaker model allows that packets change on their way."""
    _, outcome = settled(program, {1: frame(1, 2, 1, PAYLOAD)}, f"model: {model}\n" + rule())
    certificate = outcome.stats["model"]
    assert certificate["holds"] == holds
    assert holds or certificate["broken_by"]["what"] == "changed" and certificate["breaches"] == 1


@pytest.mark.parametrize("keys, words", [
    ("patches: [{to: d, hex: 00}]", "unknown node 'd'; one of the nodes a, b, c"),
    ("patches: [{to: b, hex: 00, offset: 1, find: x}]", "offset and hex, or find and with"),
    ("patches: [{to: b, find: abc, with: ab}]", "2 bytes in place of 3"),
])
def test_wrong_ones_are_named(program, keys, words):
    path = program.folder / "wrong.yaml"
    path.write_text(scenario(3, NODES + rule(keys)))
    done = program.run("check", path)
    assert done.status == 1 and words in done.stderr
