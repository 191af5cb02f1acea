"""Faults end at their time, whoever is dead by then; what ends is told; stalled workers are seen."""

import bisect
import os
import subprocess
import sys
import time

import pytest

from threads import Stopped, is_worker, threads_of
from traffic import Traffic, wait_for
from wire import PORTS, law_holds

CUT = """rules:
  - {name: cut, from: left, enabled: false, impair: [loss: all]}
  - {name: leased, from: left, enabled: false, lease: lab, impair: [loss: all]}
"""
TTL_NS = 250_000_000
REPEATS = 20 if os.environ.get("FAULTLINE_LONG") else 3

CLIENT = """
import http.client, json, socket, sys, time
connection = http.client.HTTPConnection('localhost')
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
def ask(method, path, body):
    connection.request(method, path, json.dumps(body), {'Content-Type': 'application/json'})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status in (200, 201), text
began = time.monotonic_ns()
if sys.argv[2] == 'lease':
    ask('PUT', '/v1/leases/lab', {'ttl': '250ms'})
    ask('PATCH', '/v1/rules/leased', {'enabled': True})
else:
    ask('PATCH', '/v1/rules/cut', {'enabled': True, 'ttl': '250ms'})
if sys.argv[3] == 'connection cut':
    connection.sock.shutdown(socket.SHUT_RDWR)
print(began, time.monotonic_ns(), flush=True)
time.sleep(60)
"""


def begin(wire, kind, how):
    """A client that sets the fault and then stays; returns it and the instants around the change."""
    client = subprocess.Popen([sys.executable, "-c", CLIENT, str(wire.socket), kind, how],
                              text=True,
                              stdout=subprocess.PIPE)
    began, done = map(int, client.stdout.readline().split())
    return client, began, done


@pytest.mark.parametrize("how", ["client killed", "connection cut", "management stopped"])
@pytest.mark.parametrize("kind", ["ttl", "lease"])
def test_a_fault_ends_within_100_ms_of_its_time(wire, kind, how):
    """Twenty times: packets pass again between the fault's end and 100 ms after it, with whoever
    could have ended it gone."""
    wire.start(PORTS + CUT)
    traffic = Traffic(wire, packets=-1, gap_s=0.001)
    spans = []
    for _ in range(REPEATS):
        client, began, done = begin(wire, kind, how)
        if how == "management stopped":
            with Stopped(wire.daemon.pid, lambda name: not is_worker(name)) as stopped:
                assert stopped.threads
                time.sleep(0.4)
        elif how == "client killed":
            client.kill()
        time.sleep(0.1 if how == "management stopped" else 0.45)
        client.kill()
        client.wait(timeout=10)
        spans.append((began, done))
    sent, arrived = traffic.stop()
    late_ms = []
    for began, done in spans:
        # The fault begins within a millisecond or so of the change and holds for its time.
        middle = bisect.bisect_left(traffic.times_ns, done + 20_000_000)
        back_ns = traffic.times_ns[middle]
        assert back_ns >= began + TTL_NS, (back_ns - began) / 1e6
        late_ms.append((back_ns - done - TTL_NS) / 1e6)
    assert max(late_ms) < 100, late_ms
    assert sent - len(arrived) > REPEATS * 150
    stats = wire.settle()
    assert law_holds(stats)
    assert stats["ledger"]["dropped"]["loss"] == sent - len(arrived)
    ends = [event for event in wire.get("/v1/events")[1]["events"] if event["kind"] == "end"]
    assert [(event["rule"], event["by"]) for event in ends] == \
        [("leased", "lease") if kind == "lease" else ("cut", "ttl")] * REPEATS


def test_a_lease_is_held_by_renewing_it(wire):
    """Renewed every 100 ms it holds for a second and more; deleted, it ends at once; what it ended
    does not come back with a new one of the same name."""
    wire.start(PORTS + CUT)
    assert wire.http("PATCH", "/v1/rules/leased", {"enabled": True})[0] == 409
    status, body = wire.http("PUT", "/v1/leases/lab", {"ttl": "300ms"})
    assert status == 201, body
    wire.enable("leased")
    for _ in range(12):
        assert wire.http("PUT", "/v1/leases/lab", {"ttl": "300ms"})[0] == 200
        assert wire.get("/v1/rules/leased")[1]["active"]
        time.sleep(0.1)
    assert wire.http("DELETE", "/v1/leases/lab")[0] == 200
    assert not wire.get("/v1/rules/leased")[1]["active"]
    assert wire.http("DELETE", "/v1/leases/lab")[0] == 404
    assert wire.http("PUT", "/v1/leases/lab", {"ttl": "10s"})[0] == 201
    assert not wire.get("/v1/rules/leased")[1]["active"]
    wire.enable("leased")
    assert wire.get("/v1/rules/leased")[1]["active"]
    states = [event["state"] for event in wire.get("/v1/events")[1]["events"]
              if event["kind"] == "lease"]
    assert states == ["made", "removed", "made"]
    for ttl in ("1ms", "25h", "5"):
        assert wire.http("PUT", "/v1/leases/lab", {"ttl": ttl})[0] == 422
    assert wire.http("PUT", "/v1/leases/-x", {"ttl": "1s"})[0] == 422


def test_a_dead_management_plane_changes_nothing_for_packets(wire):
    """With every thread but the workers stopped, a delayed stream passes as before; afterwards the
    daemon answers as if nothing had been."""
    wire.start(PORTS + "rules: [{name: slow, from: left, impair: [delay: 20ms]}]\n", "--start")
    traffic = Traffic(wire, packets=3000, gap_s=0.0005)
    with Stopped(wire.daemon.pid, lambda name: not is_worker(name)):
        arrived = traffic.end()
    assert [number for _, number in arrived] == list(range(1, 3001))
    stats = wire.settle()
    assert law_holds(stats) and stats["lateness"]["early"] == 0
    assert wire.get("/v1/status")[1]["state"] == "injecting"


def test_a_stalled_worker_is_marked(wire):
    """A worker that stands still is `stalled`, the state `degraded`, changes are refused (503), and
    all is well when it goes on."""
    wire.start(PORTS + CUT)
    with Stopped(wire.daemon.pid, is_worker) as stopped:
        assert len(stopped.threads) == 1
        wait_for(lambda: wire.get("/v1/status")[1]["workers"][0]["stalled"])
        status = wire.get("/v1/status")[1]
        assert status["state"] == "degraded" and not status["ready"]
        code, body = wire.http("PATCH", "/v1/rules/cut", {"enabled": True})
        assert code == 503 and "has not taken it up" in body["detail"]
    wait_for(lambda: not wire.get("/v1/status")[1]["workers"][0]["stalled"])
    status = wire.get("/v1/status")[1]
    assert status["state"] == "injecting" and status["ready"]
    events = [event["stalled"] for event in wire.get("/v1/events")[1]["events"]
              if event["kind"] == "worker"]
    assert events == [True, False]
    assert wire.stop() == 0


def test_workers_have_their_names(wire):
    """The tests above know workers by their threads' names; one is there."""
    wire.start(PORTS)
    assert sum(is_worker(name) for name in threads_of(wire.daemon.pid).values()) == 1
