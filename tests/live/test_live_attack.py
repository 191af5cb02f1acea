"""The socket under attack: each request has its status, memory stays, and packets do not notice."""

import json
import socket
import threading
import time

import pytest

from traffic import Traffic
from wire import PORTS, RULES, is_sanitized, law_holds

HOSTILE = [
    ("no HTTP", b"\x00\xff\xfe hello\r\n\r\n", {400, None}),
    ("a lying length", b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
     b"Content-Length: 5\r\n\r\n{\"version\": 1, \"rules\": []}", {400, 422}),
    ("two lengths", b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
     b"Content-Length: 7\r\n\r\n1234567", {400, 415}),
    ("no number as length", b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
     {400, 413}),
    ("10 MB", b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
     b"Content-Length: 10000000\r\n\r\n" + b"x" * 10_000_000, {413}),
    ("deep JSON", None, {400}),
    ("many keys", None, {422}),
    ("headers without end", b"GET /v1/status HTTP/1.1\r\n" + b"X-Y: " + b"z" * 200_000, {400, 431,
                                                                                        413, None}),
    ("a path without end", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
     {400, 404, 414, 431, 413, None}),
]


def body_request(body, kind="application/json"):
    """A PUT of a policy."""
    return (f"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


DEEP = body_request(b'{"a":' * 30_000 + b"1" + b"}" * 30_000)
KEYS = body_request(json.dumps({f"k{i}": i for i in range(50_000)}).encode())


def status_of(wire, request):
    """The answer's status; None when the connection is closed without one."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(15)
        connection.connect(str(wire.socket))
        try:
            connection.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:
            return None
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else None


def memory_kb(wire):
    """The daemon's resident memory."""
    with open(f"/proc/{wire.daemon.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


@pytest.mark.patient
@pytest.mark.parametrize("name,request_bytes,allowed", HOSTILE, ids=[row[0] for row in HOSTILE])
def test_hostile_requests_have_their_status(wire, name, request_bytes, allowed):
    """Whatever is said, the answer is one of the right ones, nothing changes, and the next client is
    served."""
    wire.start()
    generation = wire.get("/v1/status")[1]["generation"]
    request_bytes = {"deep JSON": DEEP, "many keys": KEYS}.get(name, request_bytes)
    assert status_of(wire, request_bytes) in allowed
    assert wire.get("/v1/status")[1]["generation"] == generation


class Flood:
    """Threads that ask as fast as they can, each on a connection of its own."""

    def __init__(self, wire, threads=4):
        self.wire, self.counts, self.wrong, self.ended = wire, [0] * threads, [], False
        self.threads = [threading.Thread(target=self._run, args=(place,))
                        for place in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, place):
        request = b"GET /v1/rules/nobody HTTP/1.1\r\nHost: x\r\n\r\n" * 16
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.wire.socket))
            pending = b""
            while not self.ended:
                connection.sendall(request)
                answered = 0
                while answered < 16:
                    pending += connection.recv(65536)
                    answered = pending.count(b"HTTP/1.1 ")
                    if pending.count(b"HTTP/1.1 404") != answered:
                        self.wrong.append(pending)
                        return
                    if not pending.endswith(b"}\n") and not pending.endswith(b"}"):
                        answered = min(answered, 15)
                pending = b""
                self.counts[place] += 16

    def end(self):
        """Requests answered."""
        self.ended = True
        for thread in self.threads:
            thread.join(timeout=20)
        return sum(self.counts)


def test_packets_do_not_notice_an_attack(wire):
    """For five seconds: requests as fast as they go, 500 idle connections, writers of a byte a
    second, bodies of 10 MB, deep JSON. A stream loses nothing, memory stays within 50 MB, and
    afterwards the daemon answers at once."""
    wire.start(PORTS + RULES)
    wire.enable("slow")
    wire.get("/v1/stats")
    idle = []
    for _ in range(500):
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(str(wire.socket))
        except BlockingIOError:
            pass
        idle.append(connection)
    slow = idle[:8]
    before_kb = memory_kb(wire)
    traffic = Traffic(wire, packets=5_000, gap_s=0.001, quiet_s=4)
    flood = Flood(wire)
    began = time.monotonic()
    turn = 0
    while time.monotonic() - began < 5:
        for connection in slow:
            try:
                connection.send(b"GET /v1/status HTTP/1.1\r\n"[turn % 25:turn % 25 + 1])
            except OSError:
                pass
        turn += 1
        assert status_of(wire, HOSTILE[4][1]) == 413
        assert status_of(wire, DEEP) == 400
        time.sleep(0.2)
    asked = flood.end()
    arrived = traffic.end()
    assert not flood.wrong
    assert asked > 2_000, "an attack that asks for nothing proves nothing"
    assert [number for _, number in arrived] == list(range(1, 5_001))
    assert is_sanitized() or memory_kb(wire) - before_kb < 50_000
    for connection in idle:
        connection.close()
    began = time.monotonic()
    stats = wire.settle()
    assert law_holds(stats) and stats["lateness"]["early"] == 0
    assert stats["ports"]["left"]["rx_missed"] == 0
    assert wire.get("/v1/status")[1]["ready"]
    print(f"{asked / 5:.0f} requests a second")
    assert wire.stop() == 0


def test_followers_are_few_and_told_everything(wire):
    """Sixteen clients may follow events, the next is told 429; all hear of a change; one that does
    not read harms nobody; a reader who comes late asks from where it was."""
    wire.start(PORTS + RULES)
    request = b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    followers = []
    for _ in range(16):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(wire.socket))
        connection.sendall(request)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200") and b"text/event-stream" in answer
        followers.append(connection)
    assert status_of(wire, request) == 429
    for _ in range(50):
        wire.enable("slow")
    for connection in followers[:15]:
        text = b""
        while text.count(b"event: policy") < 50:
            text += connection.recv(65536)
        assert b'"what":"rule slow"' in text
    followers[0].close()
    followers[1].close()
    give_up = time.monotonic() + 15
    while status_of(wire, request) == 429:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    late = b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 48\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(wire.socket))
        connection.sendall(late)
        text = b""
        while b"id: 50" not in text:
            text += connection.recv(65536)
        assert b"id: 49\n" in text and b"id: 48\n" not in text
    assert wire.stop() == 0
    for connection in followers[2:]:
        connection.close()
