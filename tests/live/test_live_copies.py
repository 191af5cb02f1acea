"""Packets that receivers see twice, later again, or that nobody sent: copies and injected frames,
through af_packet."""

import socket
import struct
import time

import pytest

from peers import (ADDRESSES, IPV4, IPV6, PORT, Counted, Datagrams, receive_exactly, session,
                   socket_in, start)
from traffic import wait_for
from wire import PORTS, law_holds

pytestmark = pytest.mark.patient

UDP = f"to: right, match: {{proto: udp, dport: {PORT}}}"


def arrivals(inward, count):
    """So many datagrams: (payload, CLOCK_MONOTONIC when it was read)."""
    found = []
    for _ in range(count):
        payload = inward.recv(2048)
        found.append((payload, time.monotonic_ns()))
    return found


def test_a_receiver_sees_duplicates_twice(both):
    """Each datagram is followed by its copy, IPv4 and IPv6; TCP takes no notice but by what its kernel
    counts as old."""
    start(both, f"name: twice, {UDP}, impair: [duplicate: 100%]",
          f"name: segments, to: right, match: {{proto: tcp, dport: {PORT}, tcp: {{data: true}}}}, "
          "impair: [duplicate: {copies: 2}]")
    for family in (IPV4, IPV6):
        with Datagrams(both, family) as pair:
            sent = pair.send(100)
            assert pair.arrived() == [payload for payload in sent for _ in range(2)]
    client, server = session(both)
    stream = bytes(range(256)) * 200
    with client, server, Counted(both) as counted:
        client.sendall(stream)
        client.shutdown(socket.SHUT_WR)
        assert receive_exactly(server, len(stream) + 1) == stream
        stats = both.settle()
    copies = stats["rules"]["segments"]["duplicated"]
    assert copies == 2 * stats["rules"]["segments"]["matched"]
    assert counted.of("TcpExtTCPDSACKOldSent") > 0
    assert stats["rules"]["twice"]["duplicated"] == 200
    assert stats["ledger"]["copies"] == 200 + copies
    assert law_holds(stats)


def test_copies_come_one_delay_after_another(wire):
    """Three copies, 100 ms apart: none is early, and all come within a second of their time."""
    start(wire, f"name: echoes, {UDP}, impair: [duplicate: {{copies: 3, delay: 100ms}}]")
    with Datagrams(wire) as pair:
        began_ns = time.monotonic_ns()
        sent = pair.send(1)[0]
        ended_ns = time.monotonic_ns()
        found = arrivals(pair.inward, 4)
        assert [payload for payload, _ in found] == [sent] * 4
        for number, (_, at_ns) in enumerate(found):
            assert began_ns + number * 10**8 <= at_ns < ended_ns + number * 10**8 + 10**9
        assert pair.arrived() == []
    stats = wire.settle()
    assert stats["ledger"]["copies"] == 3 and law_holds(stats)


def test_a_replay_is_an_old_datagram(wire):
    """20 datagrams pass at once and in order; each comes again 1.5 s later, behind newer ones."""
    start(wire, f"name: stale, {UDP}, impair: [replay: {{age: 1500ms}}]")
    with Datagrams(wire) as pair:
        began_ns = time.monotonic_ns()
        sent = pair.send(20)
        ended_ns = time.monotonic_ns()
        assert pair.arrived() == sent
        found = arrivals(pair.inward, 20)
        assert [payload for payload, _ in found] == sent
        for _, at_ns in found:
            assert began_ns + 15 * 10**8 <= at_ns < ended_ns + 15 * 10**8 + 10**9
    stats = wire.settle()
    assert stats["rules"]["stale"]["duplicated"] == stats["ledger"]["copies"] == 20
    assert law_holds(stats)


def internet_checksum(data):
    """RFC 1071, by the book."""
    words = struct.unpack(f"!{len(data) // 2}H", data)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def crafted(wire, payload):
    """A UDP datagram from a host that is not there, 10.77.0.9, to `b`."""
    mac = wire.inside("b", "cat", "/sys/class/net/eth0/address").stdout.strip().replace(":", "")
    source, destination = (socket.inet_aton(address) for address in ("10.77.0.9", "10.77.0.2"))
    udp = struct.pack("!HHHH", 99, PORT, 8 + len(payload), 0) + payload
    pseudo = source + destination + struct.pack("!HH", socket.IPPROTO_UDP, len(udp))
    udp = udp[:6] + internet_checksum(pseudo + udp).to_bytes(2, "big") + udp[8:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0) \
        + source + destination
    ip = ip[:10] + internet_checksum(ip).to_bytes(2, "big") + ip[12:]
    return bytes.fromhex(mac + "020000000009" + "0800") + ip + udp


def receiver(wire):
    """A bound UDP socket in `b`."""
    inward = socket_in(wire, "b")
    inward.bind((ADDRESSES[IPV4]["b"], PORT))
    return inward


def assert_times(found, begun_ns, due_ns):
    """None is before its time, none more than a second behind: `due_ns` since the rule was enabled,
    which was between the two instants of `begun_ns`."""
    for (_, at_ns), due in zip(found, due_ns, strict=True):
        assert begun_ns[0] + due <= at_ns < begun_ns[1] + due + 10**9, (at_ns - begun_ns[0], due)


def enable(wire, rule):
    """Enables a rule; returns instants before and after that."""
    before = time.monotonic_ns()
    wire.enable(rule)
    return before, time.monotonic_ns()


def test_injected_frames_arrive_at_their_times(wire):
    """Five rounds of a datagram from a host that is not there, the first 200 ms after the rule was
    enabled, then each 150 ms: no more, no less, and as crafted. Enabled again, it begins anew. The rule
    beside it, which drops all else, sees none of them."""
    frame = crafted(wire, b"I am not there..").hex()
    start(wire, "name: ghost, enabled: false, to: right, impair: [inject: "
                f"{{hex: \"{frame}\", at: 200ms, every: 150ms, count: 5}}]",
          "name: cut, impair: [loss: all]")
    with receiver(wire) as inward:
        for turn in (1, 2):
            begun_ns = enable(wire, "ghost")
            found = arrivals(inward, 5)
            assert [payload for payload, _ in found] == [b"I am not there.."] * 5
            assert_times(found, begun_ns, [(200 + 150 * number) * 10**6 for number in range(5)])
            inward.settimeout(0.5)
            with pytest.raises(TimeoutError):
                inward.recv(100)
            inward.settimeout(10)
            stats = wire.stats()
            assert stats["rules"]["ghost"]["injected"] == stats["ledger"]["injected"] == 5 * turn
            assert law_holds(stats)
            wire.http("PATCH", "/v1/rules/ghost", {"enabled": False})


def test_injected_frames_end_with_their_rule(wire):
    """Rounds without end, one each 50 ms, come until the rule's ttl is over."""
    frame = crafted(wire, b"alive!").hex()
    start(wire, "name: alive, enabled: false, to: right, impair: [inject: "
                f"{{hex: \"{frame}\", every: 50ms}}]")
    with receiver(wire) as inward:
        begun_ns = time.monotonic_ns()
        wire.enable("alive", ttl="1s")
        inward.settimeout(1.5)
        found = []
        with pytest.raises(TimeoutError):
            while True:
                found += arrivals(inward, 1)
    # A round at 0 ms and each 50 ms, as long as it is before the end.
    assert [payload for payload, _ in found] == [b"alive!"] * 20
    assert found[-1][1] >= begun_ns + 950 * 10**6
    stats = wire.settle()
    assert stats["ledger"]["injected"] == 20 and law_holds(stats)


def test_a_capture_is_injected_as_it_was_recorded(wire):
    """A capture beside the scenario, two rounds of three frames, 120 and 80 ms apart."""
    frames = [crafted(wire, f"number {number}".encode()) for number in range(3)]
    gaps_us = (0, 120_000, 200_000)
    records = b"".join(struct.pack("<IIII", 1000, gap_us, len(frame), len(frame)) + frame
                       for gap_us, frame in zip(gaps_us, frames))
    (wire.folder / "recorded.pcap").write_bytes(
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)
    wire.start()
    scenario = wire.folder / "applied.yaml"
    scenario.write_text(PORTS + "rules: [{name: again, to: right, impair: [inject: "
                                "{pcap: recorded.pcap, every: 500ms, count: 2}]}]\n")
    with receiver(wire) as inward:
        before = time.monotonic_ns()
        applied = wire.cli("apply", scenario)
        begun_ns = before, time.monotonic_ns()
        assert applied.returncode == 0
        found = arrivals(inward, 6)
        assert [payload for payload, _ in found] == [b"number 0", b"number 1", b"number 2"] * 2
        assert_times(found, begun_ns, [begin + gap_us * 1000 for begin in (0, 500 * 10**6)
                                       for gap_us in gaps_us])
    stats = wire.settle()
    assert stats["rules"]["again"]["injected"] == stats["ledger"]["injected"] == 6
    assert law_holds(stats)


def test_a_forged_announcement_is_believed(wire):
    """Without `to` an injected announcement leaves at both ends: both kernels take the new address for a
    neighbour that they knew by another."""
    forged = "02000000000a"
    arp = "ffffffffffff" + forged + "0806" + "0001080006040001" + forged + "0a4d0009" \
        + "000000000000" + "0a4d0009"
    start(wire, f"name: forged, enabled: false, impair: [inject: {{hex: \"{arp}\"}}]")
    for which in "ab":
        wire.inside(which, "ip", "neigh", "replace", "10.77.0.9", "lladdr", "02:00:00:00:00:09",
                    "dev", "eth0", "nud", "stale")
    wire.enable("forged")
    for which in "ab":
        wait_for(lambda which=which: "02:00:00:00:00:0a" in wire.inside(
            which, "ip", "neigh", "show", "10.77.0.9").stdout)
    stats = wire.settle()
    assert stats["rules"]["forged"]["injected"] == stats["ledger"]["injected"] == 2
    assert law_holds(stats)


def test_a_running_schedule_keeps_its_instants(wire):
    """Rounds each 200 ms, without end. A change of another rule, and an impairment more behind them,
    shift none and repeat none: the rounds of 2 s are 10."""
    frame = crafted(wire, b"beat").hex()
    beat = {"inject": {"hex": frame, "every": "200ms"}}
    start(wire, "name: beats, enabled: false, to: right, impair: [inject: "
                f"{{hex: \"{frame}\", every: 200ms}}]", "name: other, impair: [delay: 1ms]")
    with receiver(wire) as inward:
        begun_ns = enable(wire, "beats")
        found = arrivals(inward, 3)
        wire.http("PATCH", "/v1/rules/other", {"impair": [{"delay": "2ms"}]})
        found += arrivals(inward, 3)
        status, body = wire.http("PATCH", "/v1/rules/beats", {"impair": [beat, {"delay": "1ms"}]})
        assert status == 200, body
        found += arrivals(inward, 4)
        assert_times(found, begun_ns, [200 * 10**6 * number for number in range(10)])
    assert law_holds(wire.settle())


def test_injected_frames_that_no_link_carries_are_counted(wire):
    """A frame longer than the port's MTU is a tx_error each time; shorter ones beside it arrive."""
    frame = crafted(wire, b"short!")
    start(wire, "name: short, enabled: false, to: right, impair: [inject: "
                f"{{hex: \"{frame.hex()}\", at: 50ms, every: 20ms, count: 20}}]",
          "name: long, to: right, impair: [inject: "
          f"{{hex: \"{(frame + bytes(2000)).hex()}\", every: 10ms, count: 30}}]")
    with receiver(wire) as inward:
        wire.enable("short")
        assert [payload for payload, _ in arrivals(inward, 20)] == [b"short!"] * 20
    wait_for(lambda: wire.stats()["ledger"]["injected"] == 50)
    stats = wire.settle()
    assert stats["ledger"]["dropped"]["tx_error"] == stats["rules"]["long"]["injected"] == 30
    assert law_holds(stats)
