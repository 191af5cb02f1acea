"""A switch: who gets which frame, on which path it is judged, and what a node is."""

import collections
import random
import struct

import pytest

from model import captures
from model.bridge import Bridge

S = 10**9
FIRST_NS = 1_700_000_000 * S
BROADCAST = b"\xff" * 6


def mac(number):
    return b"\x02\0\0\0\0" + bytes([number])


def checksum(header):
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(source, destination, serial, to=None, vlan=None):
    """From station to station by number; the payload is the serial number."""
    payload = struct.pack(">Q", serial)
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), serial & 0xFFFF, 0, 64, 17, 0,
                       bytes([10, 0, 0, source]), bytes([10, 0, 0, destination]))
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    return ((to or mac(destination)) + mac(source) + tag + b"\x08\0" + head
            + struct.pack(">HHHH", 1000 + source, 2000 + destination, 8 + len(payload), 0) + payload)


def arp(source, destination, serial):
    """Who has the destination's address?"""
    return (BROADCAST + mac(source) + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x800, 6, 4, 1)
            + mac(source) + bytes([10, 0, 0, source]) + b"\0" * 6
            + bytes([10, 0, 0, destination]) + struct.pack(">Q", serial))


def scenario(ports, rest="", switch=""):
    names = [f"n{number}" for number in range(1, ports + 1)]
    return ("version: 1\nseed: 5\nports:\n"
            + "".join(f"  {name}: {{driver: sim}}\n" for name in names)
            + f"switches: {{rack: {{ports: [{', '.join(names)}]{switch}}}}}\n" + rest)


def serial_of(frame):
    return struct.unpack(">Q", frame[-8:])[0]


class Traffic:
    """Frames by the port where they come in, and in the order of time."""

    def __init__(self, folder):
        self.folder, self.came = folder, []

    def add(self, port, frame, time_ns):
        self.came.append((time_ns, f"n{port}", frame))

    def inputs(self):
        self.came.sort(key=lambda one: one[0])
        by_port = collections.defaultdict(list)
        for time_ns, port, frame in self.came:
            by_port[port].append((time_ns, frame))
        given = []
        for port, packets in by_port.items():
            path = self.folder / f"{port}.pcap"
            captures.write_pcap(path, captures.from_frames([frame for _, frame in packets],
                                                           [FIRST_NS + when for when, _ in packets]))
            given.append(f"{port}={path}")
        return given


def left_by(outcome):
    """The ports by which each serial number left."""
    ports = collections.defaultdict(list)
    out = outcome.output
    for index in range(len(out)):
        ports[serial_of(out.frame(index))].append(out.names[out.interface[index]])
    return {serial: sorted(names) for serial, names in ports.items()}


def random_traffic(folder, ports, stations, packets, seed):
    """Stations behind random ports, some of which move; unicast, broadcast, unknown, tagged."""
    dice = random.Random(seed)
    where = {station: dice.randint(1, ports) for station in range(1, stations + 1)}
    traffic = Traffic(folder)
    for serial in range(packets):
        source = dice.randint(1, stations)
        destination = dice.randint(1, stations + 2)
        if dice.random() < 0.02:
            where[source] = dice.randint(1, ports)
        vlan = dice.choice([None, None, None, 0, 7, 9])
        to = BROADCAST if dice.random() < 0.1 else None
        frame = udp(source, destination, serial, to, vlan)
        traffic.add(where[source], frame, serial * 1_000 + dice.randint(0, 999))
    return traffic


@pytest.mark.parametrize("ports,packets", [(2, 2000), (5, 4000), (64, 3000)])
def test_frames_go_where_a_bridge_sends_them(program, ports, packets):
    """Against an independent learning bridge, with stations that move: the same frames leave by the
    same ports, flooded ones are counted as copies and those for where they came from as filtered."""
    traffic = random_traffic(program.folder, ports, 40, packets, seed=ports)
    inputs = traffic.inputs()
    bridge = Bridge([f"n{number}" for number in range(1, ports + 1)])
    expected, copies, filtered = {}, 0, 0
    for time_ns, port, frame in traffic.came:
        leaves = bridge.receive(port, frame, time_ns)
        copies += max(0, len(leaves) - 1)
        filtered += not leaves
        if leaves:
            expected[serial_of(frame)] = sorted(leaves)
    outcome = program.simulated(scenario(ports), inputs)
    assert left_by(outcome) == expected
    assert outcome.stats["stations"]["learned"] == len(bridge.heard)
    assert outcome.stats["stations"]["evicted"] == 0 < outcome.stats["stations"]["moved"]
    ledger = outcome.stats["ledger"]
    assert ledger["received"] == packets and ledger["balanced"]
    assert ledger["copies"] == copies and (copies > 0) == (ports > 2)
    assert ledger["dropped"]["filtered"] == filtered > 0


def test_bursts_change_nothing(program):
    """Every impairment's dice on every path, whatever the burst: the same bytes leave."""
    rules = ("rules:\n  - {name: a, from: n1, impair: [loss: 20%, delay: {time: 1ms, jitter: 300us, "
             "order: keep}]}\n  - {name: b, per: flow, to: [n2, n3], impair: [duplicate: 10%, loss: "
             "{model: gilbert-elliott, p: 5%, r: 30%}]}\n  - {name: c, impair: [rate: 20Mbit]}\n")
    traffic = random_traffic(program.folder, 4, 9, 3000, seed=1)
    inputs = traffic.inputs()
    one = program.simulated(scenario(4, rules), inputs, "--burst", 1, out="one.pcapng")
    for burst in (7, 32, 64):
        other = program.simulated(scenario(4, rules), inputs, "--burst", burst, out="other.pcapng")
        assert other.out.read_bytes() == one.out.read_bytes()
        assert other.stats["ledger"] == one.stats["ledger"]
    assert one.stats["ledger"]["balanced"]
    assert min(one.stats["rules"][name]["matched"] for name in "abc") > 100


def test_stations_are_forgotten(program):
    """After mac_age of silence a station's frames are flooded again; one heard in between is not."""
    traffic = Traffic(program.folder)
    traffic.add(2, udp(2, 9, 0), 0)
    traffic.add(3, udp(3, 9, 1), 0)
    traffic.add(1, udp(1, 2, 2), S)  # a second is not too long
    traffic.add(3, udp(3, 1, 3), S)
    traffic.add(1, udp(1, 2, 4), S + 1)
    traffic.add(1, udp(1, 3, 5), 2 * S)
    outcome = program.simulated(scenario(3, switch=", mac_age: 1s"), traffic.inputs())
    assert left_by(outcome) == {0: ["n1", "n3"], 1: ["n1", "n2"], 2: ["n2"], 3: ["n1"],
                                4: ["n2", "n3"], 5: ["n3"]}


def test_a_full_table_forgets_and_floods(program):
    """1,000 stations for a table of 16: every frame arrives where its station is, most by flooding."""
    traffic = Traffic(program.folder)
    for serial in range(1000):
        source = serial % 200 + 1
        traffic.add(1 + source % 3, udp(source, (source + 100) % 200 + 1, serial), serial * 1000)
    outcome = program.simulated(scenario(3, switch=", macs: 16"), traffic.inputs())
    assert outcome.stats["ledger"]["copies"] > 500
    assert outcome.stats["stations"]["evicted"] > 500
    leaves = left_by(outcome)
    for serial in range(200, 1000):
        source = serial % 200 + 1
        station_at, came = 1 + ((source + 100) % 200 + 1) % 3, 1 + source % 3
        if station_at != came:
            assert f"n{station_at}" in leaves[serial]


def test_rules_apply_to_ordered_pairs(program):
    """A rule from n1 to n2 meets what goes that way, flooded frames on each of their paths."""
    rules = "rules:\n  - {name: cut, from: n1, to: n2, impair: [loss: all]}\n"
    traffic = Traffic(program.folder)
    for number in (1, 2, 3):
        traffic.add(number, udp(number, 9, number), number)
    for serial, (source, destination) in enumerate(
            ((1, 2), (2, 1), (1, 3), (3, 2)), start=10):
        traffic.add(source, udp(source, destination, serial), serial)
    traffic.add(1, udp(1, 2, 20, BROADCAST), 20)
    outcome = program.simulated(scenario(3, rules), traffic.inputs())
    assert left_by(outcome) == {1: ["n3"], 2: ["n1", "n3"], 3: ["n1", "n2"], 11: ["n1"],
                                12: ["n3"], 13: ["n2"], 20: ["n3"]}
    assert outcome.stats["rules"]["cut"]["dropped"] == 3
    assert outcome.stats["ledger"]["dropped"]["loss"] == 3


NODES = """nodes:
  by-port: {port: n1}
  by-ip: {ip: [10.0.0.2, "fd00::2"]}
  by-mac: {mac: "02:00:00:00:00:03"}
  by-vlan: {vlan: 7}
  both: {port: n1, ip: 10.0.0.4}
"""


@pytest.mark.parametrize("ends,lost", [
    ("from: by-port", {12, 13, 14, 17, 20, 24, 41}),
    ("from: by-ip", {21, 23, 22, 27}),
    ("from: by-mac", {31, 32}),
    ("from: by-vlan", {17, 27}),
    ("from: both", {41}),
    ("to: by-ip", {12, 32, 20}),
    ("to: by-mac", {13, 23}),
    ("to: by-port", {21, 31, 22, 27, 23}),  # 23 is flooded: nobody knows its station yet
    ("to: both", {22}),  # for a group only the port counts
    ("from: [by-mac, n1], to: [by-ip, by-mac]", {12, 13, 32, 20}),
    ("from: by-ip, to: n3", {23, 22}),
])
def test_what_a_node_is(program, ends, lost):
    """A node's packets by port, MAC, IP and VLAN, ARP included, are those that a rule loses."""
    rules = f"{NODES}rules:\n  - {{name: lose, {ends}, impair: [loss: all]}}\n"
    traffic = Traffic(program.folder)
    for serial, number in enumerate((1, 2, 3), start=1):  # known before the rule's packets come
        traffic.add(number, udp(number + 100, 200, serial), serial)
    frames = {12: (1, udp(1, 2, 12)), 13: (1, udp(1, 3, 13)), 14: (1, udp(1, 5, 14)),
              17: (1, udp(1, 6, 17, vlan=7)), 21: (2, udp(2, 1, 21)), 23: (2, udp(2, 3, 23)),
              27: (2, udp(2, 1, 27, vlan=7)), 31: (3, udp(3, 1, 31)), 32: (3, udp(3, 2, 32)),
              20: (1, arp(1, 2, 20)), 22: (2, arp(2, 5, 22)), 24: (1, udp(1, 4, 24)),
              41: (1, udp(4, 5, 41))}
    for serial, (port, frame) in frames.items():
        traffic.add(port, frame, serial * 1000)
    outcome = program.simulated(scenario(3, rules), traffic.inputs(), "--drops", "drops.pcapng")
    dropped = captures.read_pcapng(program.folder / "drops.pcapng")
    reached = left_by(outcome)
    whole = {serial_of(dropped.frame(index)) for index in range(len(dropped))} - {1, 2, 3}
    assert whole == lost, (ends, reached)
