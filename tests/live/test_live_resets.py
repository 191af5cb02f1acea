"""Resets that Linux believes: the ends of a session in two namespaces, and what becomes of it."""

import sys

import pytest

from wire import PORTS, law_holds

pytestmark = pytest.mark.patient

SERVER = """
import socket
server = socket.create_server(("", 5000))
print("listening", flush=True)
end, _ = server.accept()
end.settimeout(3)
received = 0
try:
    while data := end.recv(65536):
        received += len(data)
    print("end", received)
except ConnectionResetError:
    print("reset", received)
except TimeoutError:
    print("nothing", received)
"""
# The first 1,000 bytes are acknowledged before the other 4,000 leave, each thousand a segment.
CLIENT = """
import socket, time
end = socket.create_connection(("10.77.0.2", 5000))
end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
end.settimeout(3)
end.sendall(bytes(1000))
time.sleep(0.5)
for _ in range(4):
    end.sendall(bytes(1000))
try:
    end.recv(1)
    print("end")
except ConnectionResetError:
    print("reset")
except TimeoutError:
    print("nothing")
"""
RULES = """rules:
  - {name: between, from: left, match: {tcp: {sequence: 1001-4000}}, impair: [%s]}
  - {name: cut, from: left, match: {tcp: {sequence: 4001-5000}}, impair: [tcp: {reset: %s}]}
"""


@pytest.mark.parametrize("between,received", [("delay: 1ns", 4_000), ("loss: all", 1_000),
                                              ("delay: 2s", 1_000)])
@pytest.mark.parametrize("to", ["receiver", "sender", "both"])
def test_linux_believes_a_reset(wire, between, received, to):
    """What came between the last ACK and the segment that is reset has passed, is lost or is held:
    the ends named hear of a reset. What the other end hears is up to them: a segment for a session
    that is gone is answered by a reset too."""
    wire.start(PORTS + RULES % (between, to))
    wire.enable("between")
    wire.enable("cut")
    server = wire.spawn("b", sys.executable, "-c", SERVER)
    assert "listening" in server.stdout.readline()
    client = wire.inside("a", sys.executable, "-c", CLIENT)
    heard = server.stdout.read().split()
    assert server.wait(timeout=10) == 0
    if to != "sender":
        assert heard == ["reset", str(received)]
    if to != "receiver":
        assert client.stdout == "reset\n"
    stats = wire.settle()
    assert stats["rules"]["cut"]["injected"] > 0
    assert law_holds(stats)
