"""What TCP and its applications make of resets, answers, lower MTUs and queues, through af_packet."""

import errno
import re
import socket
import statistics
import time

import pytest

from peers import (ADDRESSES, IPV4, IPV6, MARK_PORT, PORT, Counted, Datagrams, dial, listen,
                   receive_exactly, session, start)
from wire import SLOW_PORTS, law_holds

FAMILIES = (IPV4, IPV6)
TCP = f"to: right, match: {{proto: tcp, dport: {PORT}}}"
TCP_INFO_OPTIONS = {"timestamp": 1, "sack": 2, "window-scale": 4}


def change(wire, rule, impair):
    """Other impairments for a rule that goes on."""
    status, body = wire.http("PATCH", f"/v1/rules/{rule}", {"impair": impair})
    assert status == 200, body


def error_within(end, seconds):
    """The errno with which a connection ends within so long; None: it is alive and silent."""
    end.settimeout(seconds)
    try:
        assert end.recv(100) == b""
        return 0
    except TimeoutError:
        return None
    except OSError as error:
        return error.errno


def all_within(end, seconds):
    """What a connection that stays alive brings until it is silent for so long."""
    end.settimeout(seconds)
    came = b""
    with pytest.raises(TimeoutError):
        while piece := end.recv(65536):
            came += piece
    return came


def exchange(client, server):
    """A word there and one back."""
    client.sendall(b"ping")
    assert receive_exactly(server, 4) == b"ping"
    server.sendall(b"pong")
    assert receive_exactly(client, 4) == b"pong"


@pytest.mark.parametrize("reset", ["both", "sender", "receiver"])
def test_a_reset_kills_a_session_at_once(both, reset):
    """One segment is enough: the ends named get ECONNRESET within a second, an end not named gets
    nothing; the session beside it goes on."""
    start(both, f"name: cut, enabled: false, {TCP}, impair: [tcp: {{reset: {reset}, only: data}}]")
    for family in FAMILIES:
        client, server = session(both, family=family)
        control = session(both, port=MARK_PORT, family=family)
        with client, server, control[0], control[1]:
            exchange(client, server)
            both.enable("cut")
            client.sendall(b"the last word")
            if reset != "receiver":
                assert error_within(client, 1) == errno.ECONNRESET
            if reset != "sender":
                assert error_within(server, 1) == errno.ECONNRESET
            else:
                assert error_within(server, 0.3) is None
            exchange(*control)
            both.cli("heal")
            exchange(*control)
    stats = both.settle()
    rule = stats["rules"]["cut"]
    ends = 2 if reset == "both" else 1
    assert rule["dropped"] >= 2 and rule["injected"] == rule["dropped"] * ends
    if reset != "receiver":  # else the client, who knows of nothing, sends again
        assert rule["dropped"] == 2
    assert law_holds(stats)


def test_a_reset_ends_a_transfer_at_its_segment(both):
    """The 50th segment of a transfer under way is answered: the server has what came before it, not a
    byte more, and both ends are told."""
    start(both, f"name: cut, to: right, match: {{proto: tcp, dport: {PORT}, tcp: {{data: true}}, "
                "nth: 50}, per: flow, impair: [tcp: {reset: both}]")
    stream = bytes(range(251)) * 4000
    for family in FAMILIES:
        client, server = session(both, family=family)
        with client, server:
            segment = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            with pytest.raises(ConnectionResetError):
                client.sendall(stream)
                client.recv(1)
            came = b""
            with pytest.raises(ConnectionResetError):
                while piece := server.recv(65536):
                    came += piece
            assert 0 < len(came) <= 49 * segment and stream.startswith(came)
    stats = both.settle()
    assert stats["rules"]["cut"]["dropped"] == 2
    # Where acknowledgements are under way an end has two resets, one of which is right.
    assert 4 <= stats["rules"]["cut"]["injected"] <= 8
    assert law_holds(stats)


def connect_error(wire, family, port=PORT):
    """(errno of a connect() to a port, or 0; the seconds that it took)."""
    began = time.monotonic()
    try:
        dial(wire, port, family).close()
        return 0, time.monotonic() - began
    except OSError as error:
        return error.errno, time.monotonic() - began


# What Linux makes of each code: icmp_err_convert in net/ipv4/icmp.c, tab_unreach in net/ipv6/icmp.c;
# connect(2).
CONNECT_ERRORS = [
    ("reject: true", errno.ECONNREFUSED, errno.ECONNREFUSED),
    ("icmp_unreachable: {code: net}", errno.ENETUNREACH, errno.ENETUNREACH),
    ("icmp_unreachable: {code: host}", errno.EHOSTUNREACH, errno.EHOSTUNREACH),
    ("icmp_unreachable: {code: protocol}", errno.ENOPROTOOPT, errno.EPROTO),
    ("icmp_unreachable: {code: port}", errno.ECONNREFUSED, errno.ECONNREFUSED),
    ("icmp_unreachable: {code: admin}", errno.EHOSTUNREACH, errno.EACCES),
]


def test_connect_fails_at_once_as_the_answer_says(both):
    """Each answer has its errno, within a second, although somebody listens; without the rule
    connect() succeeds."""
    start(both, f"name: closed, {TCP}, impair: [reject: true]")
    with listen(both, family=IPV4), listen(both, family=IPV6):
        for impair, *expected in CONNECT_ERRORS:
            status, body = both.http("PATCH", "/v1/rules/closed", f"impair: [{impair}]",
                                     "application/yaml")
            assert status == 200, body
            for family, number in zip(FAMILIES, expected):
                got, seconds = connect_error(both, family)
                assert got == number, (impair, family)
                assert seconds < 1, (impair, family)
        both.cli("heal")
        for family in FAMILIES:
            assert connect_error(both, family)[0] == 0
    stats = both.settle()
    rule = stats["rules"]["closed"]
    assert rule["dropped"] == rule["injected"] == stats["ledger"]["injected"] == 12
    assert stats["ledger"]["dropped"]["reject"] == 12
    assert law_holds(stats)


def test_a_datagram_refused_is_told_to_its_sender(both):
    """A connected UDP socket: the next call after a port unreachable says ECONNREFUSED."""
    start(both, f"name: closed, to: right, match: {{proto: udp, dport: {PORT}}}, "
                "impair: [reject: true]")
    for family in FAMILIES:
        with Datagrams(both, family) as pair:
            pair.out.send(b"question")
            assert error_within(pair.out, 5) == errno.ECONNREFUSED
            assert pair.arrived() == []
    assert law_holds(both.settle())


def path_mtu(wire, family):
    """The MTU towards `b` that the kernel of `a` has learnt, or None."""
    words = ("ip", "-6" if family == IPV6 else "-4", "route", "get", ADDRESSES[family]["b"])
    found = re.search(r" mtu (\d+)", wire.inside("a", *words).stdout)
    return int(found[1]) if found else None


def test_a_small_mtu_is_a_black_hole_until_icmp_tells_of_it(both):
    """`drop`: a word passes, a large transfer hangs. With `icmp` the hanging transfer arrives whole,
    and the route cache has the MTU."""
    start(both, "name: tunnel, to: right, impair: [mtu: {size: 1400B}]")
    stream = bytes(range(256)) * 400
    ends = {family: session(both, family=family) for family in FAMILIES}
    for client, server in ends.values():
        exchange(client, server)
        client.sendall(stream)
    for family in FAMILIES:
        assert error_within(ends[family][1], 1.5) is None, "not a byte of the transfer"
        assert path_mtu(both, family) is None
    dropped = both.stats()["rules"]["tunnel"]["dropped"]
    assert dropped > 0
    change(both, "tunnel", [{"mtu": {"size": "1400B", "action": "icmp"}}])
    for family in FAMILIES:
        client, server = ends[family]
        server.settimeout(30)
        assert receive_exactly(server, len(stream)) == stream
        assert path_mtu(both, family) == 1400
        client.close()
        server.close()
    stats = both.settle()
    rule = stats["rules"]["tunnel"]
    assert 2 <= rule["injected"] <= rule["dropped"] - dropped
    assert law_holds(stats)


def test_icmp_lets_a_new_transfer_through(both):
    """A session that meets `icmp` from its start is not held up; its segments become as small as the
    MTU asks for."""
    start(both, "name: tunnel, to: right, impair: [mtu: {size: 1300B, action: icmp}]")
    stream = bytes(range(256)) * 4000
    for family, headers in ((IPV4, 20 + 32), (IPV6, 40 + 32)):  # TCP with timestamps
        client, server = session(both, family=family)
        with client, server:
            before = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            assert before == 1500 - headers
            client.settimeout(30)
            server.settimeout(30)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            client.sendall(stream[:1 << 17])
            assert receive_exactly(server, 1 << 17) == stream[:1 << 17]
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1300 - headers
            assert path_mtu(both, family) == 1300
    assert law_holds(both.settle())


def test_datagrams_in_fragments_are_put_together(wire):
    """`fragment`: 50 datagrams of 1,400 bytes without DF, each in three fragments, arrive whole."""
    start(wire, f"name: tunnel, to: right, match: {{proto: udp, dport: {PORT}}}, "
                "impair: [mtu: {size: 576B, action: fragment}]")
    with Datagrams(wire) as pair, Counted(wire) as counted:
        pair.out.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
        sent = pair.send(50, size=1400)
        assert pair.arrived() == sent
    assert counted.of("IpReasmReqds") == 150 and counted.of("IpReasmOKs") == 50
    stats = wire.settle()
    assert stats["rules"]["tunnel"]["duplicated"] == stats["ledger"]["copies"] == 100
    assert law_holds(stats)


def options_of(end):
    """The TCP options agreed on, of those in TCP_INFO_OPTIONS."""
    bits = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5]
    return {name for name, bit in TCP_INFO_OPTIONS.items() if bits & bit}


def test_handshakes_are_changed_for_both_kernels(both):
    """clamp_mss is the server's MSS, the client's stays; options stripped are agreed on by neither; a
    SYN without MSS means 536 bytes (RFC 9293), 1,220 with IPv6."""
    syn = f"to: right, match: {{proto: tcp, dport: {PORT}, tcp: {{flags: [syn]}}}}"
    start(both, f"name: middlebox, {syn}, impair: [tcp: {{clamp_mss: 1000}}]")

    def handshake(family):
        """(client's MSS and options, server's)."""
        client, server = session(both, family=family)
        with client, server:
            exchange(client, server)
            return [(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), options_of(end))
                    for end in (client, server)]

    everything = set(TCP_INFO_OPTIONS)
    for family, room, unknown in ((IPV4, 1460, 536), (IPV6, 1440, 1220)):
        change(both, "middlebox", [{"tcp": {"clamp_mss": 1000}}])
        # TCP counts the 12 bytes of its timestamps into the MSS.
        assert handshake(family) == [(room - 12, everything), (1000 - 12, everything)]
        change(both, "middlebox", [{"tcp": {"clamp_mss": 9000}}])
        assert handshake(family) == [(room - 12, everything), (room - 12, everything)]
        change(both, "middlebox", [{"tcp": {"strip_option": ["timestamp", "window-scale"],
                                            "clamp_mss": 1000}}])
        assert handshake(family) == [(room, {"sack"}), (1000, {"sack"})]
        change(both, "middlebox", [{"tcp": {"strip_option": ["mss", "sack", "timestamp"]}}])
        assert handshake(family) == [(room, {"window-scale"}), (unknown, {"window-scale"})]
    assert law_holds(both.settle())


def test_a_zero_window_stops_a_sender(wire):
    """ACKs that promise no room hold a transfer up; without the rule it goes on to its end."""
    start(wire, f"name: shut, from: right, match: {{proto: tcp, sport: {PORT}}}, "
                "impair: [tcp: {zero_window: true, only: acks}]")
    stream = bytes(range(256)) * 800
    client, server = session(wire)
    with client, server, Counted(wire, "a") as counted:
        client.sendall(stream)
        came = all_within(server, 1)
        assert 0 < len(came) < len(stream)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0] == 1  # ESTABLISHED
        wire.cli("heal")
        server.settimeout(30)
        assert came + receive_exactly(server, len(stream) - len(came)) == stream
    assert counted.of("TcpExtTCPWinProbe") > 0
    stats = wire.settle()
    assert stats["rules"]["shut"]["edited"] > 0
    assert law_holds(stats)


def test_a_transfer_breaks_off_after_so_many_packets(wire):
    """stop_after: the first 20 of 50 datagrams arrive, and no other; of a TCP session what they carry."""
    start(wire, f"name: ends, to: right, match: {{dport: {PORT}}}, per: flow, "
                "impair: [stop_after: 20]")
    with Datagrams(wire) as pair:
        sent = pair.send(50)
        assert pair.arrived() == sent[:20]
    stats = wire.settle()
    assert stats["rules"]["ends"]["dropped"] == stats["ledger"]["dropped"]["filtered"] == 30
    client, server = session(wire)  # a SYN and an ACK
    control = session(wire, port=MARK_PORT)
    with client, server, control[0], control[1]:
        client.sendall(bytes(200_000))
        assert 0 < len(all_within(server, 1)) <= 18 * 1448
        exchange(*control)
    assert law_holds(wire.settle())


def pings_ms(wire, count):
    """Round-trip times of answered pings, 40 ms apart."""
    output = wire.inside("a", "ping", "-i", "0.04", "-c", count, "-W", "2", "10.77.0.2",
                         check=False).stdout
    return [float(time_ms) for time_ms in re.findall(r"time=([\d.]+) ms", output)]


def under_load(wire):
    """Pings while iperf3 sends as much as it can for 6 s, its beginning left out: (median in ms,
    kbit/s received, segments sent again)."""
    server = wire.spawn("b", "iperf3", "-s", "-1", "--forceflush")
    for line in server.stdout:
        if "listening" in line:
            break
    with Counted(wire, "a") as counted:
        client = wire.spawn("a", "iperf3", "-c", "10.77.0.2", "-t", "6", "-f", "k", "-C",
                            "reno")
        time.sleep(2.5)
        times = pings_ms(wire, 70)
        output = client.communicate(timeout=30)[0]
    server.wait(timeout=20)
    kbits = float(re.search(r"([\d.]+) Kbits/sec.*receiver", output)[1])
    assert len(times) >= 60
    return statistics.median(times), kbits, counted.of("TcpRetransSegs")


def test_codel_holds_the_standing_delay_near_its_target(wire):
    """At 10 Mbit/s a TCP stream fills a queue of 100 packets (121 ms) where it drops its tail. CoDel
    keeps what stands near its target of 5 ms, by drops or by marks, which the receiver counts; with
    20 ms of path one stream does not fill the link then."""
    start(wire, "name: link, to: right, impair: [rate: 10Mbit, queue: {limit: 100p}]",
          "name: far, from: right, impair: [delay: 20ms]", ports=SLOW_PORTS)
    idle = statistics.median(pings_ms(wire, 20))
    tail, kbits, sent_again = under_load(wire)
    assert kbits > 8000 and sent_again > 0
    change(wire, "link", [{"rate": "10Mbit"},
                          {"queue": {"limit": "1000p", "discipline": "codel"}}])
    codel, kbits, sent_again = under_load(wire)
    assert kbits > 5000 and sent_again > 0
    change(wire, "link", [{"rate": "10Mbit"},
                          {"queue": {"limit": "1000p", "discipline": "codel", "ecn": True}}])
    for which in "ab":
        wire.inside(which, "sysctl", "-qw", "net.ipv4.tcp_ecn=1")
    before = wire.stats()["rules"]["link"]
    with Counted(wire) as counted:
        marking, kbits, sent_again = under_load(wire)
    stats = wire.settle()
    assert kbits > 5000
    marked = stats["rules"]["link"]["edited"] - before["edited"]
    assert counted.of("IpExtInCEPkts") == marked > 0
    assert tail - idle > 60, (idle, tail)
    assert codel - idle < 20 and marking - idle < 20, (idle, codel, marking)
    assert law_holds(stats)
