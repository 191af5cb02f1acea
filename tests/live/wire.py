"""A wire between two network namespaces with faultlined in the middle, for live tests.

Everything lives in namespaces of its own; close() removes it. Processes of the peers run on the
first core, the daemon's worker takes the last one.
"""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAULTLINE_BUILD", REPOSITORY / "build"))
_numbers = itertools.count(1)

PORTS = """version: 1
name: live
seed: 7
ports:
  left: {driver: af_packet, interface: fl-left}
  right: {driver: af_packet, interface: fl-right}
wires:
  lab: [left, right]
"""
SLOW_PORTS = PORTS.replace("}\n", ", speed: 100Mbit}\n")  # for delays of a minute

RULES = """rules:
  - {name: slow, from: left, to: right, enabled: false, impair: [delay: 20ms]}
  - name: lossy
    from: left
    to: right
    enabled: false
    impair:
      - loss: {model: gilbert-elliott, p: 1%, r: 20%}
"""


def is_sanitized():
    """Whether the daemon was built with the address sanitizer, whose memory is not the program's."""
    return b"__asan_init" in (BUILD / "faultlined").read_bytes()


def run(*words, check=True, timeout=60, **options):
    """Runs a command to its end; its output is kept as text."""
    return subprocess.run([str(word) for word in words], check=check, timeout=timeout, text=True,
                          capture_output=True, **options)


class Wire:
    """Namespaces a and b, joined through m, where the daemon runs."""

    spaces = "abm"

    def __init__(self, mtu=1500, right_mtu=None, ipv6=False):
        self.prefix = f"flt{os.getpid()}x{next(_numbers)}"
        self.mtu = mtu
        self.right_mtu = right_mtu or mtu
        self.ipv6 = ipv6  # off, the peers send nothing of their own accord
        self.folder = Path(tempfile.mkdtemp(prefix="faultline-test-"))
        self.socket = self.folder / "s.sock"
        self.daemon = None
        self.log = self.folder / "daemon.log"
        try:
            self._lay()
        except BaseException:
            self.close()
            raise

    def namespace(self, which):
        return f"{self.prefix}{which}"

    def _lay(self):
        for which in self.spaces:
            run("ip", "netns", "add", self.namespace(which))
        self.lay_cables()

    def lay_cables(self):
        """The interfaces before the daemon starts: a veth pair a side."""
        for side, which, mtu in (("left", "a", self.mtu), ("right", "b", self.right_mtu)):
            run("ip", "-n", self.namespace("m"), "link", "add", f"fl-{side}", "type", "veth",
                "peer", "name", "eth0", "netns", self.namespace(which))
            self.inside("m", "sysctl", "-qw", f"net.ipv6.conf.fl-{side}.disable_ipv6=1")
            off = 0 if self.ipv6 else 1
            self.inside(which, "sysctl", "-qw", f"net.ipv6.conf.eth0.disable_ipv6={off}")
            run("ip", "-n", self.namespace("m"), "link", "set", f"fl-{side}", "mtu", mtu, "up")
            self.inside(which, "ethtool", "-K", "eth0", "tx", "off")
            run("ip", "-n", self.namespace(which), "link", "set", "eth0", "mtu", mtu, "up")
        self.address_peers()

    def address_peers(self):
        """Addresses for the peers' eth0, and each knows the other's."""
        for which, number in (("a", 1), ("b", 2)):
            run("ip", "-n", self.namespace(which), "link", "set", "lo", "up")
            run("ip", "-n", self.namespace(which), "addr", "add", f"10.77.0.{number}/24", "dev",
                "eth0")
            if self.ipv6:
                run("ip", "-n", self.namespace(which), "addr", "add", f"fd77::{number}/64", "dev",
                    "eth0", "nodad")
        # Neighbours are known, so that the first packet of a test is the test's own.
        for which, other, number in (("a", "b", 2), ("b", "a", 1)):
            address = self.inside(other, "cat", "/sys/class/net/eth0/address").stdout.strip()
            for network in ("10.77.0.", "fd77::") if self.ipv6 else ("10.77.0.",):
                run("ip", "-n", self.namespace(which), "neigh", "replace", f"{network}{number}",
                    "lladdr", address, "dev", "eth0", "nud", "permanent")

    def inside_words(self, which, *words):
        """The words of a command for a namespace, on the peers' core."""
        core = min(os.sched_getaffinity(0))
        return ["ip", "netns", "exec", self.namespace(which), "taskset", "-c", str(core),
                *map(str, words)]

    def inside(self, which, *words, **options):
        return run(*self.inside_words(which, *words), **options)

    def spawn(self, which, *words, **options):
        """Starts a command in a namespace; the caller ends it."""
        return subprocess.Popen(self.inside_words(which, *words), text=True,
                                stdout=options.pop("stdout", subprocess.PIPE),
                                stderr=subprocess.STDOUT, **options)

    def start(self, scenario=PORTS + RULES, *options):
        """Starts the daemon and waits until it answers."""
        path = self.folder / "scenario.yaml"
        path.write_text(scenario)
        with open(self.log, "w", encoding="utf-8") as log:
            # `ip netns exec` replaces itself by the command, so the process is the daemon.
            self.daemon = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace("m"), str(BUILD / "faultlined"),
                 "--scenario", str(path), "--socket", str(self.socket), *options],
                stdout=log, stderr=subprocess.STDOUT)
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            if self.daemon.poll() is not None:
                raise RuntimeError(f"faultlined ended: {self.log.read_text()}")
            if self.socket.exists():
                try:
                    if self.get("/v1/status")[1]["ready"]:
                        return
                except OSError:
                    pass
            time.sleep(0.02)
        raise RuntimeError(f"faultlined does not answer: {self.log.read_text()}")

    def spawn_testpmd(self, devices, core, huge=False, log="testpmd.log"):
        """testpmd between these devices, in pairs; the caller ends it."""
        memory = ["--in-memory", "--single-file-segments"] if huge else ["--no-huge",
                                                                         "--no-shconf"]
        words = ["ip", "netns", "exec", self.namespace("m"), "dpdk-testpmd", "--lcores",
                 f"(0-1)@{core}", "--no-pci", "--no-telemetry", "-m", "256", *memory]
        for device in devices:
            words += ["--vdev", device]
        words += ["--", "--forward-mode=io", "--nb-cores=1", "--total-num-mbufs=8191",
                  f"--mbuf-size={12288 if self.mtu > 1500 else 2176}", "--no-mlockall",
                  "--auto-start", "--no-lsc-interrupt", "--interactive"]
        with open(self.folder / log, "w", encoding="utf-8") as file:
            return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=file, stderr=file,
                                    text=True)

    def wait_for_forwarding(self, process):
        """Until ten pings are all answered: testpmd throws away what came before it was ready."""
        give_up = time.monotonic() + 20
        while "10 received" not in self.inside("a", "ping", "-i", "0.01", "-c", 10, "-W", 1,
                                               "10.77.0.2", check=False).stdout:
            assert process.poll() is None and time.monotonic() < give_up
            time.sleep(0.05)

    def stop(self, signal_number=signal.SIGTERM):
        """Ends the daemon; returns its exit status."""
        if self.daemon is None:
            return None
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal_number)
        status = self.daemon.wait(timeout=20)
        self.daemon = None
        return status

    def cli(self, *words, check=True):
        """The command line on this daemon's socket."""
        return run(BUILD / "faultline", "--socket", self.socket, *words, check=check)

    def http(self, method, path, body=None, content_type="application/json", headers=()):
        """One request; returns (status, body as JSON or text)."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket))
            data = (body if isinstance(body, str) else json.dumps(body)).encode() \
                if body is not None else b""
            head = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close",
                    f"Content-Length: {len(data)}", *headers]
            if data:
                head.append(f"Content-Type: {content_type}")
            connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + data)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        top, _, rest = answer.partition(b"\r\n\r\n")
        status = int(top.split()[1])
        try:
            return status, json.loads(rest)
        except ValueError:
            return status, rest.decode(errors="replace")

    def get(self, path):
        return self.http("GET", path)

    def stats(self):
        status, body = self.get("/v1/stats")
        assert status == 200, body
        return body

    def enable(self, rule, **keys):
        status, body = self.http("PATCH", f"/v1/rules/{rule}", {"enabled": True, **keys})
        assert status == 200, body

    def settle(self, seconds=5):
        """Waits until nothing is held and nothing arrives any more; returns the statistics."""
        before = self.stats()
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            time.sleep(0.1)
            after = self.stats()
            quiet = after["ledger"]["received"] == before["ledger"]["received"]
            if quiet and after["ledger"]["held"] == 0:
                return after
            before = after
        return before

    def receiver_counter(self, which, name="rx_packets"):
        return int(self.inside(which, "cat", f"/sys/class/net/eth0/statistics/{name}").stdout)

    def close(self):
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait(timeout=10)
        for which in self.spaces:
            run("ip", "netns", "del", self.namespace(which), check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # The daemon checks at its end that every packet's memory has come back, and says 0.
        try:
            if kind is None and self.daemon is not None and self.daemon.poll() is None:
                status = self.stop()
                assert status == 0, self.log.read_text()
        finally:
            self.close()


def law_holds(stats):
    """received + copies + injected = sent + held + Σ dropped."""
    ledger = stats["ledger"]
    income = ledger["received"] + ledger["copies"] + ledger["injected"]
    outcome = ledger["sent"] + ledger["held"] + sum(ledger["dropped"].values())
    return income == outcome and ledger["balanced"]
