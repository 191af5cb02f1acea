"""Wires through each driver that a machine without a network card can run: the same two peers, and
faultlined between them."""

import contextlib
import os
import re
import time
from pathlib import Path

from wire import Wire, run

HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")
RULES = """rules:
  - {name: slow, from: left, to: right, enabled: false, impair: [delay: 20ms]}
"""


def scenario_of(left, right, mtu=1500, rest=RULES):
    """A scenario of one wire between two ports, given as the keys of each."""
    return (f"version: 1\nname: live\nseed: 7\nports:\n  left: {{{left}, mtu: {mtu}}}\n"
            f"  right: {{{right}, mtu: {mtu}}}\nwires:\n  lab: [left, right]\n{rest}")


class VethWire(Wire):
    """af_packet or af_xdp on veth."""

    def __init__(self, driver, **options):
        self.driver = driver
        super().__init__(**options)

    def launch(self, rest=RULES, *options, keys=""):
        """Starts the daemon with these rules."""
        self.start(scenario_of(f"driver: {self.driver}, interface: fl-left{keys}",
                               f"driver: {self.driver}, interface: fl-right{keys}", self.mtu, rest),
                   *options)


class TapWire(Wire):
    """Interfaces that the daemon makes, in the peers' own namespaces."""

    def lay_cables(self):
        """There are none before it starts."""

    def launch(self, rest=RULES, *options, keys=""):
        """Starts the daemon with these rules, then gives the peers their addresses."""
        left, right = (f"driver: tap, interface: eth0, netns: {self.namespace(which)}{keys}"
                       for which in "ab")
        self.start(scenario_of(left, right, self.mtu, rest), *options)
        for which in "ab":
            self.inside(which, "sysctl", "-qw",
                        f"net.ipv6.conf.eth0.disable_ipv6={0 if self.ipv6 else 1}")
        self.address_peers()


class TestpmdWire(Wire):
    """Both ports are shared memory with testpmd, which carries packets between that and the peers'
    veth pairs. `daemon_port` and `device` are format strings with {socket}."""

    __test__ = False
    daemon_port = ""
    device = ""
    huge = False

    def __init__(self, **options):
        self.peer = None
        super().__init__(**options)

    def launch(self, rest=RULES, *options, keys=""):
        """Starts the daemon with these rules, and testpmd."""
        sockets = [self.folder / f"{side}.sock" for side in ("left", "right")]
        left, right = (self.daemon_port.format(socket=path) + keys for path in sockets)
        self.start(scenario_of(left, right, self.mtu, rest), *options)
        self.sockets = sockets
        self.restart_peer()

    def restart_peer(self):
        """Starts testpmd and waits until both links are up."""
        self.start_peer(self.sockets)
        give_up = time.monotonic() + 20
        while not all(port["link"] for port in self.get("/v1/ports")[1]["ports"]):
            assert self.peer.poll() is None and time.monotonic() < give_up, self.peer_says()
            time.sleep(0.05)
        self.wait_for_forwarding(self.peer)

    def start_peer(self, sockets):
        """testpmd, on the peers' core."""
        frames = ("framesz=10240,blocksz=40960,framecnt=2048" if self.mtu > 1500 else
                  "framesz=2048,blocksz=65536,framecnt=8192")
        devices = []
        for number, (path, side) in enumerate(zip(sockets, ("left", "right"))):
            devices += [self.device.format(number=number, socket=path),
                        f"net_af_packet{number},iface=fl-{side},{frames}"]
        self.peer = self.spawn_testpmd(devices, min(os.sched_getaffinity(0)), self.huge)

    def peer_says(self):
        """testpmd's log."""
        return (self.folder / "testpmd.log").read_text(encoding="utf-8", errors="replace")

    def stop_peer(self):
        """Ends testpmd, as if it had crashed."""
        if self.peer is not None and self.peer.poll() is None:
            self.peer.kill()
            self.peer.wait(timeout=10)

    def close(self):
        self.stop_peer()
        super().close()


class MemifWire(TestpmdWire):
    """net_memif, the daemon as the server."""

    daemon_port = "driver: memif, role: server, socket: {socket}"
    device = "net_memif{number},role=client,socket={socket},socket-abstract=no,bsize=10240"


class VhostWire(TestpmdWire):
    """net_vhost, testpmd with virtio-user."""

    daemon_port = "driver: vhost, path: {socket}"
    device = "net_virtio_user{number},path={socket}"
    huge = True

    def __init__(self, **options):
        # virtio-user shares its memory by handing over huge pages.
        self.pages_before = int(HUGE_PAGES.read_text())
        HUGE_PAGES.write_text(str(max(self.pages_before, 300)))
        super().__init__(**options)

    def close(self):
        super().close()
        HUGE_PAGES.write_text(str(self.pages_before))


WIRES = {
    "af_packet": lambda **options: VethWire("af_packet", **options),
    "af_xdp": lambda **options: VethWire("af_xdp", **options),
    "tap": TapWire,
    "memif": MemifWire,
    "vhost": VhostWire,
}
# The devices of testpmd in faultlined's place.
DEVICES = {
    "af_packet": "net_af_packet{number},iface=fl-{side},framesz=2048,blocksz=65536,framecnt=8192",
    "af_xdp": "net_af_xdp{number},iface=fl-{side}",
    "tap": "net_tap{number},iface=fl-{side}",
    "memif": "net_memif{number},role=server,socket={folder}/{side}.sock,socket-abstract=no,"
             "bsize=2048",
    "vhost": "net_vhost{number},iface={folder}/{side}.sock,tso=0",
}


def iperf_bps(wire, *options, destination="10.77.0.2", seconds=1):
    """Bits a second of one iperf3 stream, as its receiver counts them."""
    server = wire.spawn("b", "iperf3", "-s", "-1", "--forceflush")
    for line in server.stdout:
        if "listening" in line:
            break
    output = wire.inside("a", "iperf3", "-c", destination, "-t", seconds, "-f", "k", *options,
                         timeout=60).stdout
    server.wait(timeout=20)
    return 1000 * float(re.search(r"([\d.]+) Kbits/sec.*receiver", output)[1])


@contextlib.contextmanager
def through_faultline(name):
    """A wire with faultlined in the middle, and no rules."""
    with WIRES[name]() as wire:
        wire.launch(rest="")
        wire.wait_for_forwarding(wire.daemon)
        yield wire


@contextlib.contextmanager
def through_testpmd(name):
    """The same wire with testpmd in faultlined's place and on its core."""
    with WIRES[name]() as wire:
        devices = [DEVICES[name].format(number=number, side=side, folder=wire.folder)
                   for number, side in enumerate(("left", "right"))]
        process = wire.spawn_testpmd(devices, max(os.sched_getaffinity(0)), huge=name == "vhost",
                                     log="middle.log")
        try:
            time.sleep(2)
            if name == "tap":
                for side, which in (("left", "a"), ("right", "b")):
                    run("ip", "-n", wire.namespace("m"), "link", "set", f"fl-{side}", "netns",
                        wire.namespace(which), "name", "eth0")
                    run("ip", "-n", wire.namespace(which), "link", "set", "eth0", "up")
                wire.address_peers()
            if name in ("memif", "vhost"):
                wire.start_peer([wire.folder / f"{side}.sock" for side in ("left", "right")])
            wire.wait_for_forwarding(process)
            yield wire
        finally:
            process.kill()
            process.wait(timeout=10)
