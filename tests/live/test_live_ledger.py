"""The law of the ledger on a live wire: every packet is somewhere."""

import sys
import time

from wire import Wire, law_holds

SENDER = """
import socket, sys, time
count, size, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
for number in range(count):
    out.sendto(number.to_bytes(8, 'big').ljust(size, b'x'), ('10.77.0.2', 9))
    if pause: time.sleep(pause)
"""


def send_udp(wire, count, size=64, pause=0.0):
    """Starts a sender of `count` datagrams in namespace a."""
    return wire.spawn("a", sys.executable, "-c", SENDER, count, size, pause)


def test_law_holds_under_load(wire):
    """In each of 100 answers under load, and after it; sent = what the receiver's interface got."""
    wire.start()
    wire.enable("slow")
    wire.enable("lossy")
    before = wire.receiver_counter("b")
    sent_before = wire.stats()["ports"]["right"]["tx_packets"]
    sender = send_udp(wire, 300_000)
    held = 0
    for _ in range(100):
        stats = wire.stats()
        assert law_holds(stats), stats["ledger"]
        held = max(held, stats["ledger"]["held"])
        time.sleep(0.01)
    assert sender.wait(timeout=60) == 0
    stats = wire.settle(20)
    assert law_holds(stats)
    assert held > 0
    assert stats["ledger"]["held"] == 0
    assert stats["ledger"]["dropped"]["loss"] > 0
    sent = stats["ports"]["right"]["tx_packets"] - sent_before
    assert wire.receiver_counter("b") - before == sent


def records_in(path):
    """How many packets a pcap file holds so far."""
    data = path.read_bytes()
    count, place = 0, 24
    while place + 16 <= len(data):
        place += 16 + int.from_bytes(data[place + 8:place + 12], "little")
        count += 1
    return count


def test_receiver_captures_exactly_what_was_sent(wire):
    """A packet capture at the receiver counts exactly the packets that `sent` counts."""
    capture = wire.folder / "received.pcap"
    tcpdump = wire.spawn("b", "tcpdump", "--immediate-mode", "-i", "eth0", "-B", "65536", "-s",
                         "64", "-n", "-U", "-w", capture, "inbound")
    for line in tcpdump.stdout:
        if "listening" in line:
            break
    wire.start()
    # libpcap may swallow the first packet after it has set its filter: warm it up.
    assert send_udp(wire, 10).wait(timeout=60) == 0
    before = wire.settle(5)["ports"]["right"]["tx_packets"]
    time.sleep(0.5)
    records_before = records_in(capture)
    wire.enable("lossy")
    assert send_udp(wire, 20_000, pause=0.00002).wait(timeout=60) == 0
    stats = wire.settle(10)
    sent = stats["ports"]["right"]["tx_packets"] - before
    give_up = time.monotonic() + 20
    while records_in(capture) - records_before < sent and time.monotonic() < give_up:
        time.sleep(0.2)
    time.sleep(0.5)
    tcpdump.terminate()
    assert "0 packets dropped by kernel" in tcpdump.stdout.read()
    tcpdump.wait(timeout=10)
    assert records_in(capture) - records_before == sent
    assert stats["ledger"]["dropped"]["loss"] == 20_000 - sent > 0


def test_frames_over_the_egress_mtu_are_errors():
    """What cannot leave is tx_error, not sent; what fits still leaves."""
    with Wire(mtu=9000, right_mtu=1500) as wire:
        wire.start()
        wire.inside("a", "ping", "-c", "1", "10.77.0.2")
        before = wire.settle()
        received = wire.receiver_counter("b")
        assert send_udp(wire, 500, size=4000, pause=0.0005).wait(timeout=30) == 0
        assert send_udp(wire, 500, size=1000, pause=0.0005).wait(timeout=30) == 0
        after = wire.settle()
        errors = (after["ledger"]["dropped"]["tx_error"] - before["ledger"]["dropped"]["tx_error"])
        assert errors == 500
        assert law_holds(after)
        sent = after["ports"]["right"]["tx_packets"] - before["ports"]["right"]["tx_packets"]
        assert wire.receiver_counter("b") - received == sent >= 500
        assert wire.get("/v1/status")[1]["own_drops"] >= 500


def test_downed_peer_is_an_error_and_recovers(wire):
    """With the receiver's link down frames are tx_error at once; none leaves late when it is up."""
    wire.start()
    wire.inside("b", "ip", "link", "set", "eth0", "down")
    time.sleep(0.2)
    before = wire.stats()
    assert send_udp(wire, 2000, pause=0.0002).wait(timeout=30) == 0
    after = wire.settle()
    received = after["ports"]["left"]["rx_packets"] - before["ports"]["left"]["rx_packets"]
    assert received >= 2000
    assert after["ports"]["right"]["tx_packets"] == before["ports"]["right"]["tx_packets"]
    assert after["ledger"]["dropped"]["tx_error"] - before["ledger"]["dropped"]["tx_error"] == \
        received
    assert law_holds(after)
    count = wire.receiver_counter("b")
    wire.inside("b", "ip", "link", "set", "eth0", "up")
    time.sleep(0.3)
    up = wire.settle()
    assert wire.receiver_counter("b") - count == \
        up["ports"]["right"]["tx_packets"] - after["ports"]["right"]["tx_packets"]
    # Linux forgets permanent neighbours of a link that was down.
    assert "3 received" in wire.inside("a", "ping", "-c", "3", "-i", "0.1", "10.77.0.2").stdout


def test_flood_is_counted_to_the_packet(wire):
    """A flood faster than the wire: what the sender's interface sent = received + missed."""
    wire.start()
    start = wire.settle()["ports"]["left"]
    sent_before = wire.receiver_counter("a", "tx_packets")
    senders = [send_udp(wire, 200_000) for _ in range(2)]
    for sender in senders:
        assert sender.wait(timeout=60) == 0
    left = wire.settle(20)["ports"]["left"]
    arrived = left["rx_packets"] - start["rx_packets"] + left["rx_missed"] - start["rx_missed"]
    assert arrived == wire.receiver_counter("a", "tx_packets") - sent_before
    assert arrived >= 400_000
