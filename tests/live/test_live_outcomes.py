"""A reply that is lost and a request that is lost: the client sees the same, the server does not."""

import signal
import subprocess
import sys
import time

import pytest

from traffic import wait_for
from wire import PORTS, REPOSITORY, law_holds

RULES = """rules:
  - {name: request-lost, from: left, match: {proto: tcp, dport: 6379}, tcp_acks: pass, impair: [loss: all]}
  - {name: reply-lost, from: right, match: {proto: tcp, sport: 6379}, tcp_acks: pass, impair: [loss: all]}
"""
REDIS = ("redis-server", "--bind", "10.77.0.2", "--protected-mode", "no", "--save", "", "--appendonly",
         "no", "--dir")
TRIES = 10


@pytest.fixture
def redis(wire):
    """A redis server in `b`, and the daemon with both rules off."""
    wire.start(PORTS + RULES)
    server = wire.spawn("b", *REDIS, wire.folder, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: at_the_server(wire, "PING") == "PONG")
        yield wire
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=10)


def at_the_server(wire, *words):
    """What redis answers who asks it without the wire between."""
    return wire.inside("b", "redis-cli", "-h", "10.77.0.2", *words, check=False).stdout.strip()


def of_the_client(wire, *words):
    """What a client beyond the wire gets within a second: its answer, or "no answer"."""
    done = wire.inside("a", "timeout", "1", "redis-cli", "-h", "10.77.0.2", *words, check=False)
    return "no answer" if done.returncode == 124 else done.stdout.strip()


@pytest.mark.patient
def test_a_lost_reply_and_a_lost_request_look_the_same(redis):
    """INCR with a time-out of a second, ten of ten times each: no answer; the counter is 1 when the
    reply was lost and 0 when the request was."""
    wire = redis
    assert of_the_client(wire, "INCR", "control") == "1"
    for fault, counted in (("reply-lost", "1"), ("request-lost", "")):
        for number in range(TRIES):
            key = f"{fault}-{number}"
            wire.enable(fault)
            assert of_the_client(wire, "INCR", key) == "no answer"
            assert at_the_server(wire, "GET", key) == counted
            assert wire.cli("heal").returncode == 0
    # What was lost is sent again for as long as the client's kernel tries: a reply nobody waits for,
    # and requests that come after all, to a server that cannot know that nobody does.
    stats = wire.stats()
    for fault in ("reply-lost", "request-lost"):
        assert stats["rules"][fault]["dropped"] >= TRIES
    assert law_holds(stats)


@pytest.mark.patient
def test_the_page_tells_what_happens():
    """scripts/trouble does what docs/trouble.md shows, the request that comes after all included."""
    said = subprocess.run([REPOSITORY / "scripts/trouble", "outcomes"], text=True, check=True,
                          capture_output=True, timeout=60).stdout
    page = (REPOSITORY / "docs/trouble.md").read_text(encoding="utf-8")
    assert f"<!-- outcomes -->\n```\n{said}```\n" in page


# Both ends say something every 5 ms and note when they heard the other.
TALKER = """
import socket, sys, threading, time
if sys.argv[1] == "b":
    server = socket.create_server(("", 5000))
    print("ready", flush=True)
    end, _ = server.accept()
else:
    end = socket.create_connection(("10.77.0.2", 5000))
end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
end.setblocking(True)
heard = []
def listen():
    try:
        while data := end.recv(65536):
            heard.extend([time.monotonic()] * (len(data) // 32))
    except OSError:
        pass  # the other end was done first
threading.Thread(target=listen, daemon=True).start()
begin = time.monotonic()
for number in range(int(float(sys.argv[2]) * 200)):
    try:
        end.send(bytes(32))
    except OSError:
        break
    time.sleep(max(0, begin + number / 200 - time.monotonic()))
print(*(f"{at:.3f}" for at in heard), flush=True)
import os
os._exit(0)
"""
SECONDS = 7.0
CUT_AFTER, CUT_FOR = 1.5, 4.0


@pytest.mark.parametrize("acks,other_way", [("pass", "keeps"), ("drop", "stalls")])
def test_a_one_way_cut_and_the_other_way(wire, acks, other_way):
    """TCP both ways, 200 messages a second, what `a` sends is cut: with `tcp_acks: pass` the way back
    keeps at least 95 % of its messages, with `drop` both stall within a second."""
    wire.start(PORTS + f"rules:\n  - {{name: cut, from: left, tcp_acks: {acks}, impair: [loss: all]}}\n")
    ends = {}
    ends["b"] = wire.spawn("b", sys.executable, "-c", TALKER, "b", SECONDS)
    assert "ready" in ends["b"].stdout.readline()
    ends["a"] = wire.spawn("a", sys.executable, "-c", TALKER, "a", SECONDS)
    time.sleep(CUT_AFTER)
    wire.enable("cut")
    cut = time.monotonic()
    time.sleep(CUT_FOR)
    assert wire.cli("heal").returncode == 0
    heard = {}
    for which, end in ends.items():
        said = end.communicate(timeout=20)[0]
        assert "Traceback" not in said, said
        heard[which] = [float(at) for at in said.split()]

    def rate(which, first, last):
        """Messages a second that this end heard in a part of the cut."""
        return sum(cut + first <= at < cut + last for at in heard[which]) / (last - first)

    assert len(heard["b"]) > 100 and rate("b", 0.1, CUT_FOR - 0.1) == 0, "nothing gets through the cut"
    if other_way == "keeps":
        assert rate("a", 0.1, CUT_FOR - 0.1) >= 0.95 * 200
    else:
        assert rate("a", 1.0, CUT_FOR - 0.1) == 0
    assert rate("a", -1.0, 0) >= 0.9 * 200, "before the cut it went as it should"
