"""Wires through each driver that a machine without a network card can run: the same two peers, and
faultlined between them."""

import os
import subprocess
import time

from wire import Wire, run

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
    """Both ports are shared memory with testpmd, which carries packets between that and taps in the
    peers' namespaces. `daemon_port` and `device` are format strings with {socket}."""

    __test__ = False
    daemon_port = ""
    device = ""
    huge = False

    def lay_cables(self):
        """The taps are testpmd's."""
        self.peer = None

    def launch(self, rest=RULES, *options, keys=""):
        """Starts the daemon with these rules, then testpmd, then gives the peers addresses."""
        sockets = [self.folder / f"{side}.sock" for side in ("left", "right")]
        left, right = (self.daemon_port.format(socket=path) + keys for path in sockets)
        self.start(scenario_of(left, right, self.mtu, rest), *options)
        words = ["dpdk-testpmd", "--lcores", f"(0-1)@{min(os.sched_getaffinity(0))}", "--no-pci",
                 "--no-telemetry", "-m", "256",
                 *(["--in-memory", "--single-file-segments"] if self.huge
                   else ["--no-huge", "--no-shconf"])]
        for number, path in enumerate(sockets):
            words += ["--vdev", self.device.format(number=number, socket=path),
                      "--vdev", f"net_tap{number},iface=fl-tap{number}"]
        words += ["--", "--forward-mode=io", "--nb-cores=1", "--total-num-mbufs=16383",
                  "--no-mlockall", "--auto-start", "--no-lsc-interrupt", "--interactive"]
        self.peer_log = open(self.folder / "testpmd.log", "w", encoding="utf-8")
        self.peer = subprocess.Popen(["ip", "netns", "exec", self.namespace("m"), *words],
                                     stdin=subprocess.PIPE, stdout=self.peer_log,
                                     stderr=self.peer_log, text=True)
        self.move_taps()
        self.address_peers()

    def move_taps(self):
        """As soon as testpmd forwards."""
        log = self.folder / "testpmd.log"
        give_up = time.monotonic() + 20
        while "packet forwarding" not in log.read_text(encoding="utf-8", errors="replace"):
            assert self.peer.poll() is None and time.monotonic() < give_up, log.read_text()
            time.sleep(0.05)
        for number, which in enumerate("ab"):
            run("ip", "-n", self.namespace("m"), "link", "set", f"fl-tap{number}", "netns",
                self.namespace(which), "name", "eth0")
            self.inside(which, "sysctl", "-qw",
                        f"net.ipv6.conf.eth0.disable_ipv6={0 if self.ipv6 else 1}")
            run("ip", "-n", self.namespace(which), "link", "set", "eth0", "mtu", self.mtu, "up")

    def close(self):
        if getattr(self, "peer", None) is not None and self.peer.poll() is None:
            self.peer.kill()
            self.peer.wait(timeout=10)
        super().close()


class MemifWire(TestpmdWire):
    """net_memif, the daemon as the server."""

    daemon_port = "driver: memif, role: server, socket: {socket}"
    device = "net_memif{number},role=client,socket={socket},socket-abstract=no"


class VhostWire(TestpmdWire):
    """net_vhost, testpmd with virtio-user."""

    daemon_port = "driver: vhost, path: {socket}"
    device = "net_virtio_user{number},path={socket}"
    huge = True
