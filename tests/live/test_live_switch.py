"""A switch of real interfaces: hosts find each other, and partitions cut what they say."""

import json
import subprocess
import sys
import time

import pytest

from rack import Rack, rack_scenario
from traffic import wait_for
from wire import law_holds

pytestmark = pytest.mark.patient


@pytest.fixture
def rack():
    with Rack(3) as laid:
        laid.start(rack_scenario(3))
        yield laid


def test_hosts_find_each_other(rack):
    """ARP and neighbour discovery are flooded, the rest goes where it belongs: IPv4 and IPv6, between
    any two; ports say which switch they belong to."""
    for source in (1, 2, 3):
        for target in (1, 2, 3):
            if source != target:
                assert rack.reaches(source, target)
                assert rack.reaches(source, target, f"fd78::{target}")
    ports = rack.get("/v1/ports")[1]["ports"]
    assert {port["switch"] for port in ports} == {"rack"} and ports[0]["wire"] is None
    flows = rack.get("/v1/flows")[1]["flows"]
    assert all(flow["port"] != flow["to"] for flow in flows)
    stats = rack.settle()
    assert law_holds(stats) and stats["ledger"]["copies"] > 0
    # Known stations are not flooded: nothing of a long exchange between two reaches the third.
    before = rack.receiver_counter(3)
    rack.inside(1, "ping", "-c", 200, "-i", "0.002", rack.address_of(2))
    assert rack.receiver_counter(3) - before < 20


def test_shapes_cut_real_hosts(rack):
    """Who answers whom under a partition set and replaced over HTTP and by the command line; wrong
    ones are refused by name and change nothing."""
    pairs = [(one, two) for one in (1, 2, 3) for two in (1, 2, 3) if one < two]
    for one, two in pairs:
        assert rack.reaches(one, two)
    rack.partition(shape="one", node="n2", ttl="1m")
    assert [pair for pair in pairs if rack.reaches(*pair)] == [(1, 3)]
    rack.partition(grudge={"n1": ["n3"], "n3": ["n1"]})
    assert [pair for pair in pairs if rack.reaches(*pair)] == [(1, 2), (2, 3)]
    status, body = rack.http("PUT", "/v1/partition", {"shape": "one", "node": "n7"})
    assert status == 422 and "one of the nodes n1, n2, n3" in json.dumps(body)
    assert [pair for pair in pairs if rack.reaches(*pair)] == [(1, 2), (2, 3)]
    rack.cli("partition", "halves", "--groups", "[[n1, n2], [n3]]", "--ttl", "1m")
    assert [pair for pair in pairs if rack.reaches(*pair)] == [(1, 2)]
    rack.cli("partition", "primary", "--command", "echo n1")
    assert [pair for pair in pairs if rack.reaches(*pair)] == [(2, 3)]
    assert rack.cli("partition", "primary", "--command", "false", check=False).returncode == 2
    rules = rack.get("/v1/rules")[1]["rules"]
    assert [rule["name"] for rule in rules] == ["partition"] and rules[0]["dropped"] > 0
    rack.cli("partition", "--heal")
    assert all(rack.reaches(*pair) for pair in pairs)
    assert rack.http("DELETE", "/v1/partition")[0] == 404
    rack.partition(shape="one", node="n1", ttl="500ms")
    wait_for(lambda: rack.reaches(1, 2), seconds=5)
    assert law_holds(rack.settle())


SENDER = """
import socket, sys, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect((sys.argv[1], 9))
print('ready', flush=True)
sys.stdin.readline()
sent = []
end = time.monotonic() + float(sys.argv[2])
number = 0
while time.monotonic() < end:
    before = time.monotonic_ns()
    out.send(number.to_bytes(8, 'big'))
    sent.append((before, time.monotonic_ns()))
    number += 1
    time.sleep(0.0003)
import json; json.dump(sent, sys.stdout)
"""
RECEIVER = """
import json, socket, sys
inward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inward.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)
inward.bind(('', 9))
inward.settimeout(2)
print('ready', flush=True)
got = []
try:
    while True:
        got.append(int.from_bytes(inward.recv(100), 'big'))
except TimeoutError:
    pass
json.dump(got, sys.stdout)
"""


def test_a_cut_is_a_cut(rack):
    """100 cuts of 30 ms: what was sent while one stood does not arrive, what was sent while none
    stood does; only while one was being made or healed may either be."""
    assert rack.reaches(1, 2)
    receiver = rack.spawn(2, sys.executable, "-c", RECEIVER)
    assert receiver.stdout.readline() == "ready\n"
    sender = rack.spawn(1, sys.executable, "-c", SENDER, rack.address_of(2), 12,
                        stdin=subprocess.PIPE)
    assert sender.stdout.readline() == "ready\n"
    sender.stdin.write("go\n")
    sender.stdin.flush()
    time.sleep(0.3)
    cuts = []
    for _ in range(100):
        asked = time.monotonic_ns()
        rack.partition(grudge={"n2": ["n1"]}, ttl="1m")
        stands = time.monotonic_ns()
        time.sleep(0.03)
        heals = time.monotonic_ns()
        rack.heal_partition()
        cuts.append((asked, stands, heals, time.monotonic_ns()))
        time.sleep(0.02)
    sent = json.loads(sender.communicate(timeout=30)[0])
    arrived = set(json.loads(receiver.communicate(timeout=30)[0]))
    # What was sent just before a cut was asked for, or healed, may still stand in the interface.
    late_ns = 20_000_000
    inside = outside = 0
    turn = 0
    for number, (before, after) in enumerate(sent):
        while turn < len(cuts) and cuts[turn][3] < before:
            turn += 1
        near = cuts[max(turn - 1, 0):turn + 1]
        if any(stands <= before and after + late_ns <= heals for _, stands, heals, _ in near):
            inside += 1
            assert number not in arrived, "sent inside a cut"
        elif all(after + late_ns <= asked or healed <= before for asked, _, _, healed in near):
            outside += 1
            assert number in arrived, "sent outside a cut"
    assert inside > 500 and outside > 1000
    stats = rack.settle()
    assert law_holds(stats)
    lost = len(sent) - len(arrived)
    cut = stats["ledger"]["dropped"]["partition"]
    assert inside <= lost <= cut <= lost + 100, "the rest is ARP, which goes with the cut"
