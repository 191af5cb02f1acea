"""What applications and kernels make of frames that were changed on the way, through af_packet."""

import socket
import struct

import pytest

from peers import (ADDRESSES, IPV4, IPV6, PORT, Counted, Datagrams, dial, listen,
                   receive_exactly, session, socket_in, start)
from wire import law_holds

pytestmark = pytest.mark.patient

FAMILIES = (IPV4, IPV6)
UDP = f"to: right, match: {{proto: udp, dport: {PORT}}}"
DATA = f"to: right, match: {{proto: tcp, dport: {PORT}, tcp: {{data: true}}}}"


def bits_between(sent, came):
    """In how many bits two payloads of one length differ."""
    return sum((one ^ other).bit_count() for one, other in zip(sent, came, strict=True))


def csum_errors(family):
    """nstat's name for UDP datagrams with a wrong checksum."""
    return "UdpInCsumErrors" if family == IPV4 else "Udp6InCsumErrors"


def test_fixed_damage_reaches_a_udp_application(both):
    """200 of 200 arrive, three bits of each turned; no kernel finds a wrong checksum."""
    start(both, f"name: damage, {UDP}, impair: [corrupt: "
                "{bits: 3, where: payload, checksum: fix}]")
    for family in FAMILIES:
        with Datagrams(both, family) as pair, Counted(both) as counted:
            sent = pair.send(200)
            came = pair.arrived()
        assert len(came) == 200
        assert [bits_between(*payloads) for payloads in zip(sent, came)] == [3] * 200
        assert counted.of(csum_errors(family)) == 0
    stats = both.settle()
    assert stats["rules"]["damage"]["corrupted"] == 400
    assert law_holds(stats)


@pytest.mark.parametrize("checksum", ["keep", "break"])
def test_stale_checksums_are_dropped_by_the_receivers_kernel(both, checksum):
    """Of 200 damaged datagrams none reaches the application; the kernel counts each."""
    start(both, f"name: damage, {UDP}, impair: [corrupt: "
                f"{{bits: 1, where: payload, checksum: {checksum}}}]")
    for family in FAMILIES:
        with Datagrams(both, family) as pair, Counted(both) as counted:
            pair.send(200)
            assert pair.arrived() == []
        assert counted.of(csum_errors(family)) == 200
    stats = both.settle()
    assert stats["rules"]["damage"]["corrupted"] == 400
    assert stats["ledger"]["dropped"]["loss"] == 0 and law_holds(stats)


def test_fixed_damage_reaches_a_tcp_application(both):
    """100 messages, each in a segment of its own and answered: every one arrives with one bit turned,
    and the answers whole."""
    start(both, f"name: damage, {DATA}, impair: [corrupt: "
                "{bits: 1, where: payload, checksum: fix}]")
    for family in FAMILIES:
        client, server = session(both, family=family, source=6000)
        with client, server, Counted(both) as counted:
            for number in range(100):
                message = number.to_bytes(2, "big") * 100
                client.sendall(message)
                came = receive_exactly(server, 200)
                assert bits_between(message, came) == 1, number
                server.sendall(came)
                assert receive_exactly(client, 200) == came
        assert counted.of("TcpInCsumErrors") == 0
    stats = both.settle()
    assert stats["rules"]["damage"]["corrupted"] >= 200  # a late ACK makes a segment come again
    assert law_holds(stats)


def test_stale_checksums_never_reach_a_tcp_application(wire):
    """A third of the segments is damaged: the kernel drops each, TCP sends again, and the stream
    arrives as it was sent."""
    start(wire, f"name: damage, {DATA}, impair: [corrupt: "
                "{rate: 30%, burst: 16, where: payload, checksum: keep}]")
    stream = bytes(range(256)) * 400
    client, server = session(wire, source=6000)
    with client, server, Counted(wire) as counted:
        client.settimeout(30)
        server.settimeout(30)
        client.sendall(stream)
        assert receive_exactly(server, len(stream)) == stream
        stats = wire.settle()
    damaged = stats["rules"]["damage"]["corrupted"]
    assert damaged >= 5
    assert counted.of("TcpInCsumErrors") == damaged
    assert law_holds(stats)


def test_truncated_datagrams_arrive_shorter(both):
    """`fix`: the application gets the beginning. `keep`: the headers promise more than there is, and
    the kernel drops each."""
    start(both, f"name: cut, {UDP}, impair: [truncate: {{to: 72B, checksum: fix}}]")
    for family, left in ((IPV4, 72 - 42), (IPV6, 72 - 62)):
        with Datagrams(both, family) as pair:
            sent = pair.send(100)
            assert pair.arrived() == [payload[:left] for payload in sent]
    status, body = both.http("PATCH", "/v1/rules/cut", {"impair": [{"truncate": {"to": "72B"}}]})
    assert status == 200, body
    for family, name in ((IPV4, "IpExtInTruncatedPkts"), (IPV6, "Ip6InTruncatedPkts")):
        with Datagrams(both, family) as pair, Counted(both) as counted:
            pair.send(100)
            assert pair.arrived() == []
        assert counted.of(name) == 100
    stats = both.settle()
    assert stats["rules"]["cut"]["edited"] == 400
    assert law_holds(stats)


def with_header_fields(family, inward):
    """A datagram and the fields of its IP header: (payload, TOS or traffic class, TTL or hop limit)."""
    payload, ancillary, _, _ = inward.recvmsg(2048, 256)
    fields = {kind: int.from_bytes(data[:4], "little") for _, kind, data in ancillary}
    if family == IPV4:
        return payload, fields[socket.IP_TOS], fields[socket.IP_TTL]
    return payload, fields[socket.IPV6_TCLASS], fields[socket.IPV6_HOPLIMIT]


def ask_for_header_fields(family, inward):
    """Makes the kernel hand over what with_header_fields reads."""
    if family == IPV4:
        for option in (socket.IP_RECVTOS, 12):  # 12: IP_RECVTTL
            inward.setsockopt(socket.IPPROTO_IP, option, 1)
    else:
        for option in (socket.IPV6_RECVTCLASS, socket.IPV6_RECVHOPLIMIT):
            inward.setsockopt(socket.IPPROTO_IPV6, option, 1)


def send_with_ecn(family, pair, ecn):
    """From now on the sender writes this into the ECN field."""
    if family == IPV4:
        pair.out.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, ecn)
    else:
        pair.out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, ecn)


def test_set_fields_are_what_the_receiver_reads(both):
    """DSCP and TTL as IP_RECVTOS and IP_RECVTTL tell them; the sender's ECN field stays; without the
    rule they are the sender's."""
    start(both, f"name: marked, {UDP}, impair: [set: {{dscp: 46, ttl: 7}}]")
    for expected in ((46 << 2 | 2, 7), (2, 64)):
        for family in FAMILIES:
            with Datagrams(both, family) as pair:
                ask_for_header_fields(family, pair.inward)
                send_with_ecn(family, pair, 2)
                sent = pair.send(50)
                came = pair.arrived(lambda inward, family=family: with_header_fields(family, inward))
            assert came == [(payload, *expected) for payload in sent]
        both.cli("heal")
    stats = both.settle()
    assert stats["rules"]["marked"]["edited"] == 100
    assert law_holds(stats)


def test_marks_are_counted_by_the_receivers_kernel(both):
    """ECT(0) and ECT(1) become CE, and InCEPkts counts each; datagrams that are not ECN-capable stay
    what they are."""
    start(both, f"name: marks, {UDP}, impair: [mark_ce: 100%]")
    for family, name in ((IPV4, "IpExtInCEPkts"), (IPV6, "Ip6InCEPkts")):
        with Datagrams(both, family) as pair, Counted(both) as counted:
            ask_for_header_fields(family, pair.inward)
            for ecn, expected in ((0, 0), (2, 3), (1, 3)):
                send_with_ecn(family, pair, ecn)
                sent = pair.send(40)
                came = pair.arrived(lambda inward, family=family: with_header_fields(family, inward))
                assert came == [(payload, expected, 64) for payload in sent]
        assert counted.of(name) == 80
    stats = both.settle()
    assert stats["rules"]["marks"]["edited"] == 160
    assert law_holds(stats)


PACKET_AUXDATA, SOL_PACKET = 8, 263


def tags_of(tap):
    """The frames that have come to a packet socket: (VLAN id or None, priority, UDP payload)."""
    tap.setblocking(False)
    found = []
    try:
        while True:
            frame, ancillary, _, _ = tap.recvmsg(2048, 256)
            if frame[23] == socket.IPPROTO_UDP and frame[36:38] == PORT.to_bytes(2, "big"):
                status, *_, tci, _ = struct.unpack("IIIHHHH", ancillary[0][2])
                found.append((tci & 0xFFF if status & 0x10 else None, tci >> 13, frame[42:]))
    except BlockingIOError:
        return found


def test_tags_are_what_the_receivers_kernel_reads(wire):
    """A tag pushed has the id and priority asked for, before full frames too; another rule takes it
    away again."""
    start(wire, f"name: tagged, {UDP}, impair: [set: {{vlan: {{push: 7, pcp: 5}}}}]",
          f"name: plain, enabled: false, {UDP}, impair: [set: {{vlan: none}}]")
    with Datagrams(wire) as pair, socket_in(wire, "b", socket.AF_PACKET, socket.SOCK_RAW,
                                            socket.htons(3)) as tap:
        tap.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        tap.bind(("eth0", 3))
        sent = pair.send(50) + pair.send(50, size=1472)
        assert pair.arrived() == []  # nobody has an address in VLAN 7
        assert tags_of(tap) == [(7, 5, payload) for payload in sent]
        wire.enable("plain")
        sent = pair.send(50)
        assert pair.arrived() == sent
        assert tags_of(tap) == [(None, 0, payload) for payload in sent]
    stats = wire.settle()
    assert stats["rules"]["plain"]["edited"] == 50
    assert law_holds(stats)


def test_addresses_and_ports_are_translated_for_a_session(wire):
    """A client talks to an address and a port that nobody has, and the server answers: two `set`
    rules make a translator of the wire, checksums right for TCP and UDP."""
    start(wire, "name: there, to: right, match: {dst: 10.77.0.9}, "
                f"impair: [set: {{dst: 10.77.0.2, dport: {PORT}}}]",
          f"name: back, to: left, match: {{sport: {PORT}}}, "
          "impair: [set: {src: 10.77.0.9, sport: 80}]")
    mac = wire.inside("b", "cat", "/sys/class/net/eth0/address").stdout.strip()
    wire.inside("a", "ip", "neigh", "replace", "10.77.0.9", "lladdr", mac, "dev", "eth0", "nud",
                "permanent")
    stream = bytes(range(256)) * 1000
    with listen(wire) as listener, dial(wire, port=80, to="10.77.0.9") as client:
        server, peer = listener.accept()
        with server:
            server.settimeout(10)
            assert peer[0] == "10.77.0.1"
            client.sendall(stream)
            assert receive_exactly(server, len(stream)) == stream
            server.sendall(stream)
            assert receive_exactly(client, len(stream)) == stream
    with socket_in(wire, "a") as client, socket_in(wire, "b") as server:
        server.bind((ADDRESSES[IPV4]["b"], PORT))
        client.connect(("10.77.0.9", 80))
        client.send(b"question")
        question, peer = server.recvfrom(100)
        server.sendto(b"answer to " + question, peer)
        assert client.recv(100) == b"answer to question"
    assert law_holds(wire.settle())
