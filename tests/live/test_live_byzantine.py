"""Real hosts that are told different things: one datagram in several wordings, and a neighbour table
that believes a forged announcement."""

import json
import re
import sys

import pytest

from rack import Rack, rack_scenario
from traffic import wait_for
from wire import law_holds

pytestmark = pytest.mark.patient

RULES = """rules:
  - name: two-faced
    from: n1
    enabled: false
    impair:
      - equivocate:
          patches:
            - {to: n2, offset: 8, hex: "3232"}
            - {to: n3, offset: 8, hex: "3333"}
            - {to: n3, find: COMMIT, with: ABORT!}
  - name: damaged
    from: n1
    enabled: false
    impair: [equivocate: {patches: [{to: n2, offset: 0, hex: "00"}], checksum: break}]
  - name: forger
    to: p1
    enabled: false
    impair:
      - inject: {forge: {arp: {ip: 10.78.0.3, mac: "02:00:00:00:00:66"}}, every: 200ms}
"""
PAYLOAD = "proposal?? COMMIT"
WORDING = {2: "proposal22 COMMIT", 3: "proposal33 ABORT!"}
GROUP = "239.7.8.9"

# Prints what comes in by UDP (to itself or the group) and over one TCP connection each.
RECEIVER = """
import json, select, socket, struct, sys

own, group, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('', 7000))
datagrams.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                     socket.inet_aton(group) + socket.inet_aton(own))
listener = socket.create_server(('', 7001))
print('ready', flush=True)
got = []
while len(got) < count:
    ready, _, _ = select.select([datagrams, listener], [], [], 20)
    if not ready:
        break
    if datagrams in ready:
        got.append(datagrams.recv(2000).decode('latin-1'))
    if listener in ready:
        connection = listener.accept()[0]
        connection.settimeout(20)
        got.append(b''.join(iter(lambda: connection.recv(2000), b'')).decode('latin-1'))
print(json.dumps(got))
"""
SENDER = """
import socket, sys
own, kind, payload = sys.argv[1:4]
for target in sys.argv[4:]:
    if kind == 'tcp':
        with socket.create_connection((target, 7001), timeout=5) as connection:
            connection.sendall(payload.encode())
        continue
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    datagrams.sendto(payload.encode(), (target, 7000))
"""


@pytest.fixture(scope="module")
def rack():
    with Rack(3) as laid:
        laid.start(rack_scenario(3, RULES))
        for one in (1, 2, 3):
            for other in (1, 2, 3):
                if one != other:
                    wait_for(lambda: laid.reaches(one, other))
        yield laid


@pytest.fixture
def healed(rack):
    """Ends what a test began."""
    yield rack
    rack.cli("heal")


def send(rack, kind, *targets, payload=PAYLOAD):
    rack.inside(1, sys.executable, "-c", SENDER, rack.address_of(1), kind, payload, *targets)


def heard(rack, counts, sendings):
    """What nodes 2 and 3, which expect so many, receive while node 1 sends."""
    receivers = {}
    try:
        for which in (2, 3):
            receivers[which] = rack.spawn(which, sys.executable, "-c", RECEIVER, rack.address_of(which),
                                          GROUP, counts[which])
            assert receivers[which].stdout.readline() == "ready\n"
        sendings()
        return {which: json.loads(process.communicate(timeout=30)[0])
                for which, process in receivers.items()}
    finally:
        for process in receivers.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def test_one_datagram_in_two_wordings(healed):
    """A multicast datagram, one datagram to each, a TCP connection to each: node 2 and node 3 are told
    different things, and their kernels find the checksums right. Without the rule they hear the same."""
    rack = healed
    both = [rack.address_of(2), rack.address_of(3)]

    def sendings():
        send(rack, "udp", GROUP)
        send(rack, "udp", *both)
        send(rack, "tcp", *both)

    counts = {2: 3, 3: 3}
    assert heard(rack, counts, sendings) == {which: [PAYLOAD] * 3 for which in (2, 3)}
    rack.enable("two-faced")
    assert heard(rack, counts, sendings) == {which: [WORDING[which]] * 3 for which in (2, 3)}
    stats = rack.settle()
    assert stats["rules"]["two-faced"]["edited"] >= 6 and law_holds(stats)


def test_broken_ones_are_dropped(healed):
    """The control: a kernel that is given a wrong checksum tells its program nothing."""
    rack = healed
    rack.enable("damaged")

    def sendings():
        send(rack, "udp", GROUP)
        wait_for(lambda: rack.stats()["rules"]["damaged"]["edited"] == 1)
        rack.cli("heal")
        send(rack, "udp", GROUP, payload="end")

    assert heard(rack, {2: 1, 3: 2}, sendings) == {2: ["end"], 3: [PAYLOAD, "end"]}


def card_of(rack, which, address):
    """Where a node believes the address to be."""
    words = rack.inside(which, "ip", "neigh", "show", address, "dev", "eth0").stdout.split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else None


def test_a_forged_announcement_moves_an_address(healed):
    """Node 1 is told that node 3's address is elsewhere, and believes it; node 2 is told nothing."""
    rack = healed
    own = rack.inside(3, "cat", "/sys/class/net/eth0/address").stdout.strip()
    for which in (1, 2):
        wait_for(lambda: rack.reaches(which, 3))
        assert card_of(rack, which, "10.78.0.3") == own
    rack.enable("forger")
    wait_for(lambda: card_of(rack, 1, "10.78.0.3") == "02:00:00:00:00:66")
    assert not rack.reaches(1, 3)
    wait_for(lambda: rack.reaches(2, 3))
    assert card_of(rack, 2, "10.78.0.3") == own
    rack.cli("heal")
    rack.inside(1, "ip", "neigh", "flush", "dev", "eth0")
    wait_for(lambda: rack.reaches(1, 3))
    assert card_of(rack, 1, "10.78.0.3") == own
    stats = rack.settle()
    assert stats["rules"]["forger"]["injected"] > 0 and law_holds(stats)


def test_a_dead_node_speaks_after_its_burial(rack):
    """The preset, for a second instead of five minutes: no ping is lost, and those from its beginning on
    are answered when it is over."""
    path = rack.folder / "burial.yaml"
    path.write_text("version: 1\nuse: [{preset: impossible_burial, node: n2, for: 1s}]\n")
    wait_for(lambda: rack.reaches(1, 2))
    rack.cli("apply", path)
    said = rack.inside(1, "ping", "-i", "0.1", "-c", 20, "-W", 5, rack.address_of(2)).stdout
    times = [float(each) for each in re.findall(r"time=([\d.]+)", said)]
    stats = rack.settle()
    assert law_holds(stats) and sum(stats["ledger"]["dropped"].values()) == 0
    assert len(times) == 20 and max(times) > 500 and min(times) < 100, said
    held = [each for each in times if each > 150]
    assert held == sorted(held, reverse=True) and len(held) > 3
