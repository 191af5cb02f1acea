"""The same traffic through every driver that a machine without a network card can run."""

import re
import sys
import time

import pytest

from drivers import WIRES, iperf_bps, scenario_of, through_faultline, through_testpmd
from wire import BUILD, Wire, law_holds, run

JUMBO = [name for name in WIRES if name != "af_xdp"]


def pings(wire, *options, count=10):
    """How many of so many pings are answered."""
    output = wire.inside("a", "ping", "-i", "0.02", "-c", count, "-W", "2", *options,
                         check=False).stdout
    return int(re.search(r"(\d+) received", output)[1])


@pytest.mark.parametrize("name", WIRES)
def test_real_programs_through(name):
    """ping, TCP and UDP over IPv4 and IPv6, and a delay; the ledger balances and nothing is lost
    by faultline itself; it ends cleanly."""
    with WIRES[name](ipv6=True) as wire:
        wire.launch()
        before = wire.settle()["ledger"]["dropped"]
        assert pings(wire, "10.77.0.2") == 10
        assert pings(wire, "fd77::2") == 10
        assert pings(wire, "-M", "do", "-s", 1472, "10.77.0.2") == 10
        assert iperf_bps(wire) > 1e8
        assert iperf_bps(wire, destination="fd77::2") > 1e8
        assert iperf_bps(wire, "-u", "-b", "20M", "-l", 1000) > 1.8e7
        wire.enable("slow")
        output = wire.inside("a", "ping", "-i", "0.02", "-c", 20, "10.77.0.2").stdout
        times = [float(word) for word in re.findall(r"time=([\d.]+) ms", output)]
        assert len(times) == 20 and min(times) >= 20.0
        stats = wire.settle()
        assert law_holds(stats)
        assert stats["lateness"]["early"] == 0
        dropped = {reason: count - before[reason]
                   for reason, count in stats["ledger"]["dropped"].items()}
        assert sum(dropped.values()) == dropped["tx_full"], "a full ring is its reader's doing"
        assert wire.stop() == 0
        assert "balanced" in wire.log.read_text() and "NOT" not in wire.log.read_text()


@pytest.mark.parametrize("name", JUMBO)
def test_jumbo_frames_through(name):
    """9000-byte packets pass whole, delayed and undelayed."""
    with WIRES[name](mtu=9000) as wire:
        wire.launch()
        assert pings(wire, "-M", "do", "-s", 8972, "10.77.0.2") == 10
        wire.enable("slow")
        assert pings(wire, "-M", "do", "-s", 8972, "10.77.0.2") == 10
        assert law_holds(wire.settle())


def test_xdp_takes_what_fits_into_its_buffers():
    """3000 bytes pass whole; an MTU of 9000 is refused, with what to do."""
    with WIRES["af_xdp"](mtu=3000) as wire:
        wire.launch()
        assert pings(wire, "-M", "do", "-s", 2972, "10.77.0.2") == 10
        assert law_holds(wire.settle())
    with WIRES["af_xdp"](mtu=9000) as wire:
        with pytest.raises(RuntimeError, match="3200 at most with af_xdp; af_packet takes jumbo"):
            wire.launch()


RAW_SENDER = """
import socket, sys
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(('eth0', 0))
for word in sys.argv[1:]:
    out.send(bytes.fromhex(word))
"""


@pytest.mark.parametrize("name", WIRES)
def test_tagged_frames_through(name):
    """802.1Q and stacked tags arrive as they were sent. testpmd's own af_packet, which stands
    between the peers and memif or vhost, rewrites an outer 88a8 to 8100, so that one is left out
    there."""
    with WIRES[name]() as wire:
        wire.launch()
        addresses = "020000000002" "020000000001"
        frames = [addresses + "81000007" + "88b5" + "11" * 60,
                  addresses + "8100e00a" + "81000007" + "88b5" + "33" * 1400]
        if name in ("af_packet", "tap"):
            frames.append(addresses + "88a80009" + "81000007" + "88b5" + "22" * 60)
        capture = wire.folder / "tags.pcap"
        tcpdump = wire.spawn("b", "tcpdump", "--immediate-mode", "-i", "eth0", "-n", "-w", capture,
                             "-U", "inbound")
        for line in tcpdump.stdout:
            if "listening" in line:
                break
        time.sleep(0.3)
        ahead = addresses + "88b5" + "00" * 60
        wire.inside("a", sys.executable, "-c", RAW_SENDER, ahead, *frames)
        wire.settle()
        time.sleep(0.5)
        tcpdump.terminate()
        tcpdump.wait(timeout=10)
        received = capture.read_bytes().hex()
        for frame in frames:
            assert frame in received, frame[:40]


@pytest.mark.parametrize("name", ["memif", "vhost"])
def test_a_peer_that_dies_and_comes_back(name):
    """Without its peer a port has no link and packets to it are counted; a new peer is served."""
    with WIRES[name]() as wire:
        wire.launch()
        assert pings(wire, "10.77.0.2") == 10
        wire.stop_peer()
        give_up = time.monotonic() + 10
        while any(port["link"] for port in wire.get("/v1/ports")[1]["ports"]):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        kinds = [(event["port"], event["up"]) for event in wire.get("/v1/events")[1]["events"]
                 if event["kind"] == "link"]
        assert ("left", True) in kinds and ("left", False) in kinds
        wire.restart_peer()
        assert pings(wire, "10.77.0.2") == 10
        assert law_holds(wire.settle())
        assert wire.stop() == 0


def test_capture_files_pass_whole():
    """pcap → pcap: what one port reads, the other writes, byte by byte."""
    with Wire() as wire:
        source, sink = wire.folder / "in.pcap", wire.folder / "out.pcap"
        frames = [bytes([0x02, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xB5]) +
                  number.to_bytes(4, "big") * 20 for number in range(500)]
        head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
        source.write_bytes(head + b"".join(
            bytes(8) + len(frame).to_bytes(4, "little") * 2 + frame for frame in frames))
        wire.start(scenario_of(f"driver: pcap, rx: {source}", f"driver: pcap, tx: {sink}"))
        give_up = time.monotonic() + 10
        while wire.stats()["ledger"]["sent"] < 500 and time.monotonic() < give_up:
            time.sleep(0.05)
        stats = wire.stats()
        assert stats["ports"]["left"]["rx_packets"] == stats["ports"]["right"]["tx_packets"] == 500
        assert wire.stop() == 0
        written = sink.read_bytes()[24:]
        got = []
        while written:
            length = int.from_bytes(written[8:12], "little")
            got.append(written[16:16 + length])
            written = written[16 + length:]
        assert got == frames


CHAIN = """version: 1
name: chain
seed: 7
ports:
  left: {driver: af_packet, interface: fl-left}
  near: {driver: ring, name: r0}
  far: {driver: ring, name: r0}
  right: {driver: af_packet, interface: fl-right}
wires: {first: [left, near], second: [far, right]}
rules:
  - {name: one, from: left, to: near, impair: [delay: 10ms]}
  - {name: two, from: far, to: right, impair: [delay: 5ms]}
"""


def test_a_ring_joins_two_wires():
    """Two ring ports of one name are the ends of a cable: both wires' delays add up."""
    with Wire() as wire:
        wire.start(CHAIN, "--start")
        output = wire.inside("a", "ping", "-i", "0.02", "-c", 20, "10.77.0.2").stdout
        times = [float(word) for word in re.findall(r"time=([\d.]+) ms", output)]
        assert len(times) == 20 and min(times) >= 15.0
        stats = wire.settle()
        assert stats["rules"]["one"]["matched"] == stats["rules"]["two"]["matched"] >= 20
        assert law_holds(stats)
        assert wire.stop() == 0


def test_a_ring_alone_gives_back():
    """What is sent into a ring of which no other port is the end comes back."""
    with Wire() as wire:
        wire.start(scenario_of("driver: af_packet, interface: fl-left", "driver: ring, name: r0"))
        wire.inside("a", "ping", "-i", "0.02", "-c", 5, "-W", 1, "10.77.0.2", check=False)
        stats = wire.settle()
        assert stats["ports"]["right"]["rx_packets"] == stats["ports"]["right"]["tx_packets"] >= 5
        assert stats["ports"]["left"]["tx_packets"] == stats["ports"]["left"]["rx_packets"]


def unusable(wire, left, right="driver: \"null\""):
    """Exit status and stderr of a daemon that must not start."""
    path = wire.folder / "unusable.yaml"
    path.write_text(scenario_of(left, right), encoding="utf-8")
    done = run("ip", "netns", "exec", wire.namespace("m"), BUILD / "faultlined", "--scenario", path,
               "--socket", wire.folder / "other.sock", check=False, timeout=20)
    return done.returncode, done.stderr


@pytest.mark.parametrize("port,said", [
    ("driver: af_xdp, interface: nowhere", "interface 'nowhere' does not exist"),
    ("driver: tap, interface: t0, netns: nowhere",
     "entering its network namespace: No such file or directory; a namespace that `ip netns` lists"),
    ("driver: tap, interface: fl-left", "a name that is no other kind of interface"),
    ("driver: pci, address: \"0000:7f:00.0\"",
     "card 0000:7f:00.0 is not there; an address that lspci -D lists"),
    ("driver: memif, socket: /nowhere/at/all, role: server", "net_memif0 cannot be used"),
    ("driver: pcap, rx: /nowhere.pcap", "net_pcap0 cannot be used"),
    ("driver: sim", "driver 'sim' is for simulate only"),
])
def test_what_cannot_be_used_is_told(wire, port, said):
    """Exit 4, with the port, what is wrong and what to do."""
    status, stderr = unusable(wire, port)
    assert status == 4, stderr
    assert said in stderr
    assert "port 'left'" in stderr


@pytest.mark.long
@pytest.mark.parametrize("name", WIRES)
def test_throughput_is_at_least_half_of_testpmd(name):
    """TCP through faultline against TCP through testpmd on the same kind of wire, in turns."""
    rates = {through_faultline: [], through_testpmd: []}
    for _ in range(2):
        for through, of in rates.items():
            with through(name) as wire:
                of.append(iperf_bps(wire, seconds=1))
    ours, theirs = rates.values()
    assert max(ours) >= 0.5 * max(theirs), (ours, theirs)
