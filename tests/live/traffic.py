"""Numbered traffic between the peers: flows told apart by their source port, packets by a number in
their payload. What was sent and what arrived is known one by one."""

import json
import signal
import struct
import subprocess
import sys
import time

SENDER = """
import signal, socket, sys, time
flows, packets, gap_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
outs = []
for flow in range(flows):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind(('10.77.0.1', 10000 + flow))
    out.connect(('10.77.0.2', 9))
    outs.append(out)
print('ready', flush=True)
sys.stdin.readline()
turn = time.monotonic()
number = 0
stopped = False
signal.signal(signal.SIGINT, lambda *_: globals().update(stopped=True))
while number != packets and not stopped:
    number += 1
    for out in outs:
        out.send(number.to_bytes(8, 'big'))
        turn += gap_s
        wait = turn - time.monotonic()
        if wait > 0:
            time.sleep(wait)
print(number, flush=True)
"""

RECEIVER = """
import json, socket, sys, time
inward = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
inward.setsockopt(socket.SOL_SOCKET, 33, 1 << 27)
inward.bind(('eth0', 0x0800))
inward.settimeout(float(sys.argv[1]))
closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # nobody is told that nobody listens
closed.bind(('10.77.0.2', 9))
print('ready', flush=True)
arrived = []
try:
    while True:
        frame, address = inward.recvfrom(2048)
        if address[2] != socket.PACKET_OUTGOING and frame[23] == 17 and frame[36:38] == b'\\0\\x09':
            arrived.append((int.from_bytes(frame[34:36], 'big') - 10000,
                            int.from_bytes(frame[42:50], 'big'), time.monotonic_ns()))
except TimeoutError:
    pass
json.dump(arrived, sys.stdout)
"""

class Traffic:
    """Started at once; `end()` gives what arrived, in its order, as (flow, number), and leaves when
    each came (CLOCK_MONOTONIC) in `times_ns`."""

    def __init__(self, wire, flows=1, packets=1000, gap_s=0.0002, quiet_s=2.0):
        self.times_ns = []
        self.receiver = wire.spawn("b", sys.executable, "-c", RECEIVER, quiet_s)
        assert self.receiver.stdout.readline() == "ready\n"

        self.sender = wire.spawn("a", sys.executable, "-c", SENDER, flows, packets, gap_s,
                                 stdin=subprocess.PIPE)
        assert self.sender.stdout.readline() == "ready\n"
        self.sender.stdin.write("go\n")
        self.sender.stdin.flush()

    def end(self, timeout=120):
        """Waits until all is sent and nothing arrives any more."""
        assert self.sender.wait(timeout=timeout) == 0, self.sender.stdout.read()
        arrived = json.loads(self.receiver.communicate(timeout=timeout)[0])
        self.times_ns = [time_ns for _, _, time_ns in arrived]
        return [(flow, number) for flow, number, _ in arrived]

    def stop(self):
        """Ends the sender; returns (packets sent a flow, what arrived). For `packets=-1`."""
        self.sender.send_signal(signal.SIGINT)
        arrived = self.end()
        return int(self.sender.stdout.read()), arrived

def capture_of(path, flows, packets):
    """The same traffic as a capture file for `simulate`, one packet a microsecond."""
    records = []
    for number in range(1, packets + 1):
        for flow in range(flows):
            udp = struct.pack("!HHHH", 10000 + flow, 9, 16, 0) + number.to_bytes(8, "big")
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0,
                             bytes([10, 77, 0, 1]), bytes([10, 77, 0, 2]))
            frame = bytes(12) + b"\x08\x00" + ip + udp
            records.append(struct.pack("<IIII", 0, len(records), len(frame), len(frame)) + frame)
    path.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000") +
                     b"".join(records))

def numbers_in(path):
    """(flow, number) of the UDP packets to port 9 in a pcapng that `simulate` wrote."""
    data = path.read_bytes()
    found = []
    offset = 0
    while offset < len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        if kind == 6:
            captured = struct.unpack_from("<I", data, offset + 20)[0]
            frame = data[offset + 28:offset + 28 + captured]
            found.append((int.from_bytes(frame[34:36], "big") - 10000,
                          int.from_bytes(frame[42:50], "big")))
        offset += length
    return found

def wait_for(condition, seconds=10):
    """Waits until it holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
