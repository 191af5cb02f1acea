"""Order on the wire: what a change of delay may and may not do."""

import sys
import time

from wire import PORTS, law_holds

RECEIVER = """
import socket, sys
inward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inward.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
inward.bind(('10.77.0.2', 9))
inward.settimeout(3)
print('ready', flush=True)
numbers = []
try:
    while True:
        numbers.append(int.from_bytes(inward.recv(2048)[:8], 'big'))
except TimeoutError:
    pass
overtaken = sum(1 for before, after in zip(numbers, numbers[1:]) if after < before)
print(len(numbers), len(set(numbers)), overtaken)
"""

SENDER = """
import socket, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(6000):
    out.sendto(number.to_bytes(8, 'big'), ('10.77.0.2', 9))
    time.sleep(0.0002)
"""


def test_a_shorter_delay_does_not_reorder(wire):
    """20 ms → 5 ms → 40 ms → 1 ms under traffic: nothing lost, doubled or overtaken."""
    wire.start(PORTS + "rules: [{name: line, from: left, impair: [{delay: 20ms}]}]\n", "--start")
    receiver = wire.spawn("b", sys.executable, "-c", RECEIVER)
    assert receiver.stdout.readline() == "ready\n"
    sender = wire.spawn("a", sys.executable, "-c", SENDER)
    for delay in ("5ms", "40ms", "1ms"):
        time.sleep(0.4)
        status, body = wire.http("PATCH", "/v1/rules/line", {"impair": [{"delay": delay}]})
        assert status == 200, body
    assert sender.wait(timeout=60) == 0
    report = receiver.communicate(timeout=60)[0].split()
    stats = wire.settle()
    assert report == ["6000", "6000", "0"]
    assert stats["rules"]["line"]["clamped"] > 0
    assert law_holds(stats)
