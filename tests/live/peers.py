"""Sockets of the test's own process in the namespaces of a wire, and what the kernels there count."""

import ctypes
import os
import socket
import threading

from wire import PORTS

IPV4, IPV6 = socket.AF_INET, socket.AF_INET6
ADDRESSES = {IPV4: {"a": "10.77.0.1", "b": "10.77.0.2"}, IPV6: {"a": "fd77::1", "b": "fd77::2"}}
PORT = 7000  # what the rules of these tests are about
MARK_PORT = 7001  # and what they leave alone
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def socket_in(wire, which, family=IPV4, kind=socket.SOCK_DGRAM, protocol=0):
    """A socket of a namespace: a thread enters it, makes the socket there and ends."""
    made = []

    def make():
        with open(f"/run/netns/{wire.namespace(which)}", encoding="ascii") as namespace:
            if LIBC.setns(namespace.fileno(), CLONE_NEWNET) == 0:
                made.append(socket.socket(family, kind, protocol))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert made, os.strerror(ctypes.get_errno())
    made[0].settimeout(10)
    return made[0]


def start(wire, *rules, ports=PORTS):
    """Starts the daemon with these rules at work."""
    wire.start(ports + "rules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules), "--start")


class Datagrams:
    """UDP from `a` to `b`: a socket at each end, and two more for a mark that no rule touches. Within it
    this thread stays on the peers' core: the backlog of veth is per core, so one that moves overtakes
    itself."""

    def __init__(self, wire, family=IPV4, source=5000):
        addresses = ADDRESSES[family]
        self.cores = os.sched_getaffinity(0)
        self.pairs = []
        for port in (PORT, MARK_PORT):
            inward = socket_in(wire, "b", family)
            inward.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            inward.bind((addresses["b"], port))
            out = socket_in(wire, "a", family)
            out.bind((addresses["a"], source + port))
            out.connect((addresses["b"], port))
            self.pairs.append((out, inward))
        self.out, self.inward = self.pairs[0]

    def send(self, count, size=64):
        """Sends so many, each different; returns their payloads."""
        payloads = [bytes((number * 7 + place * 13) % 256 for place in range(size - 2))
                    + number.to_bytes(2, "big") for number in range(count)]
        for payload in payloads:
            self.out.send(payload)
        return payloads

    def arrived(self, receive=lambda inward: inward.recv(65536)):
        """All that has come before a mark that is sent now: nothing overtakes on an undelayed wire."""
        out, inward = self.pairs[1]
        out.send(b"mark")
        assert inward.recv(100) == b"mark"
        self.inward.setblocking(False)
        came = []
        try:
            while True:
                came.append(receive(self.inward))
        except BlockingIOError:
            return came
        finally:
            self.inward.settimeout(10)

    def __enter__(self):
        os.sched_setaffinity(0, {min(self.cores)})
        return self

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.cores)
        for pair in self.pairs:
            for end in pair:
                end.close()


def listen(wire, port=PORT, family=IPV4, which="b"):
    """A TCP server's socket."""
    listener = socket_in(wire, which, family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((ADDRESSES[family][which], port))
    listener.listen()
    return listener


def dial(wire, port=PORT, family=IPV4, source=0, to=None):
    """A TCP connection from `a`; raises what connect() says."""
    client = socket_in(wire, "a", family, socket.SOCK_STREAM)
    try:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)  # sendall() need not wait
        client.bind((ADDRESSES[family]["a"], source))
        client.connect((to or ADDRESSES[family]["b"], port))
    except BaseException:
        client.close()
        raise
    return client


def session(wire, port=PORT, family=IPV4, source=0):
    """A TCP connection: (the client's end in `a`, the server's in `b`)."""
    with listen(wire, port, family) as listener:
        client = dial(wire, port, family, source)
        server, _ = listener.accept()
    server.settimeout(10)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


def receive_exactly(end, count):
    """So many bytes of a stream, or fewer when it ends."""
    data = b""
    while len(data) < count:
        piece = end.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data


def counters(wire, which="b"):
    """What a namespace's kernel has counted, under nstat's names."""
    text = wire.inside(which, "cat", "/proc/net/snmp", "/proc/net/netstat").stdout.splitlines()
    found = {}
    for names, values in zip(text[::2], text[1::2], strict=True):
        group, *names = names.replace(":", "").split()
        found |= {group + name: int(value) for name, value in zip(names, values.split()[1:])}
    for line in wire.inside(which, "cat", "/proc/net/snmp6").stdout.splitlines():
        name, value = line.split()
        found[name] = int(value)
    return found


class Counted:
    """Within it a namespace's kernel counts; `of(name)` is by how much afterwards."""

    def __init__(self, wire, which="b"):
        self.wire, self.which = wire, which
        self.before, self.after = {}, {}

    def of(self, name):
        return self.after[name] - self.before[name]

    def __enter__(self):
        self.before = counters(self.wire, self.which)
        return self

    def __exit__(self, *_):
        self.after = counters(self.wire, self.which)
