"""The programs that are measured: testpmd, faultlined, and the benchmarks' own."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from quiet import Window, cores, worker_times

WARM_UP_S = 0.7         # the worker's own time before the window opens
WINDOW_S = 2.0
GIVE_UP_S = 20.0        # for a program to start, or to end
MEMORY_MB = 256         # for testpmd's 16,383 packets
OWN_DROPS = ("overflow", "no_mbuf", "tx_full", "tx_error")


def fail(message):
    """Ends the program with status 1."""
    sys.exit(f"bench: error: {message}")


class Bench:
    """Where programs are, where their files go, and the kind of pages they take."""

    def __init__(self, build, folder, huge=False):
        self.build, self.folder, self.huge = Path(build), Path(folder), huge

    # --- processes

    @contextlib.contextmanager
    def program(self, command, name, **options):
        """A process of ours and its log; it ends with the block."""
        log = self.folder / f"{name}.log"
        with open(log, "w", encoding="utf-8") as file:
            process = subprocess.Popen([str(word) for word in command], stdout=file, stderr=file,
                                       text=True, **options)
        process.log = log
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=GIVE_UP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def says(self, process):
        """The end of its log."""
        return process.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def wait_until(self, process, condition):
        """Waits for a condition; tells what the program said when it ends or nothing comes."""
        give_up = time.monotonic() + GIVE_UP_S
        while not condition():
            if process.poll() is not None or time.monotonic() > give_up:
                fail(f"{process.args[0]}: {self.says(process)}")
            time.sleep(0.02)

    def warm_up(self, process):
        """Waits until the worker has worked for a while, and checks the kind of pages."""
        self.wait_until(process, lambda: worker_times(process.pid)[0] > WARM_UP_S * 1e9)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        if self.huge != (re.search(r"HugetlbPages:\s+[1-9]", status) is not None):
            fail(f"{process.args[0]} {'has no' if self.huge else 'has'} huge pages")

    # --- testpmd

    def testpmd(self, devices):
        """testpmd's io forwarding between two devices."""
        management, worker = cores()
        memory = ["--in-memory"] if self.huge else ["--no-huge", "--no-shconf"]
        vdevs = [word for device in devices for word in ("--vdev", device)]
        return self.program(
            ["dpdk-testpmd", "--lcores", f"0@{management},1@{worker}", *memory, "--no-pci",
             "--no-telemetry", "-m", MEMORY_MB, *vdevs, "--", "--forward-mode=io", "--nb-cores=1",
             "--burst=32", "--total-num-mbufs=16383", "--auto-start", "--no-mlockall",
             "--interactive"], "testpmd", stdin=subprocess.PIPE)

    def testpmd_null(self):
        """It measures its rates itself, between two `show port stats`."""
        with self.testpmd(["net_null0,size=64", "net_null1,size=64"]) as process:
            try:
                self.warm_up(process)
                window = Window(process.pid)
                print("show port stats all", file=process.stdin, flush=True)
                time.sleep(WINDOW_S)
                print("show port stats all", file=process.stdin, flush=True)
                quiet = window.close()
                print("quit", file=process.stdin, flush=True)
                process.wait(timeout=GIVE_UP_S)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                pass  # what it said is told below
        rates = [int(word) for word in re.findall(
            r"Rx-pps: +(\d+)", process.log.read_text(encoding="utf-8", errors="replace"))]
        if len(rates) != 4 or min(rates[2:]) == 0:
            fail(f"testpmd gave no figures:\n{self.says(process)}")
        return {"pps": sum(rates[2:]), **quiet}

    # --- faultlined

    def ask(self):
        """One statistics object, or none."""
        answer = subprocess.run([self.build / "faultline", "--socket", self.folder / "socket",
                                 "stats", "--json"], capture_output=True, text=True, check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    @contextlib.contextmanager
    def faultlined(self, scenario):
        """The daemon with this scenario, running."""
        path = self.folder / "bench.yaml"
        path.write_text(scenario, encoding="utf-8")
        command = [self.build / "faultlined", "--scenario", path, "--start", "--on-exit", "drop",
                   "--socket", self.folder / "socket"] + ([] if self.huge else ["--no-huge"])
        with self.program(command, "faultlined", stdin=subprocess.DEVNULL) as process:
            self.wait_until(process, lambda: self.ask() is not None)
            yield process
        if process.returncode != 0:
            fail(f"faultlined ended with {process.returncode}:\n{self.says(process)}")

    def faultlined_null(self, scenario):
        """Packets received per second of its own clock, on null devices."""
        with self.faultlined(scenario) as process:
            self.warm_up(process)
            window = Window(process.pid)
            first = self.ask()
            time.sleep(WINDOW_S)
            last = self.ask()
            quiet = window.close()
        return {**between(first, last), **quiet}

    # --- memif

    def clear_sockets(self):
        """Those that a program left behind: testpmd dies now and then when its peers go."""
        for side in ("left", "right"):
            (self.folder / f"{side}.sock").unlink(missing_ok=True)

    def peer(self, *words):
        """What the memif peer measured."""
        return self.own_program("memif_peer", "--left", self.folder / "left.sock", "--right",
                                self.folder / "right.sock", *words)

    def testpmd_memif(self, *words):
        """testpmd between the peer's two ends."""
        devices = [f"net_memif{number},role=server,socket={self.folder}/{side}.sock,"
                   f"socket-abstract=no,bsize=2048"
                   for number, side in enumerate(("left", "right"))]
        self.clear_sockets()
        with self.testpmd(devices) as process:
            self.wait_until(process, (self.folder / "right.sock").exists)
            return self.peer(*words)

    def faultlined_memif(self, rules, *words):
        """faultlined between them."""
        ports = "".join(f"  {side}: {{driver: memif, role: server, socket: {self.folder}/{side}.sock}}\n"
                        for side in ("left", "right"))
        scenario = (f"version: 1\nname: bench\nseed: 1\nports:\n{ports}wires:\n"
                    f"  lab: [left, right]\n{rules}")
        self.clear_sockets()
        with self.faultlined(scenario):
            answer = self.peer(*words)
            stats = self.ask()
        check_books(stats)
        return {**answer, "daemon_early": stats["lateness"]["early"],
                "own_drops": sum(stats["ledger"]["dropped"][reason] for reason in OWN_DROPS)}

    # --- programs of this folder

    def own_program(self, name, *words):
        """The JSON that it prints."""
        window = Window()
        answer = subprocess.run([self.build / "tests" / "bench" / name, *map(str, words)],
                                capture_output=True, text=True, check=False, timeout=300)
        if answer.returncode != 0:
            fail(f"{name}: {answer.stderr[-2000:]}")
        return {**window.close(), **json.loads(answer.stdout)}

    def generator(self, rules=None, *words):
        """A worker behind a generator, or the generator alone."""
        ours = [] if rules is None else ["--rules", rules]
        return self.own_program("generator_bench", *ours, *words)


def check_books(stats):
    """The law of the ledger, by faultlined's own word and added up here."""
    ledger = stats["ledger"]
    came = ledger["received"] + ledger["copies"] + ledger["injected"]
    went = ledger["sent"] + ledger["held"] + sum(ledger["dropped"].values())
    if came != went or not ledger["balanced"]:
        fail(f"the ledger does not balance: {came} came, {went} are accounted for: {ledger}")


def between(first, last):
    """What was done between two statistics objects."""
    check_books(first)
    check_books(last)
    ledger, before = last["ledger"], first["ledger"]
    packets = ledger["received"] - before["received"]
    own = sum(ledger["dropped"][reason] - before["dropped"][reason] for reason in OWN_DROPS)
    return {"pps": packets * 1e9 / (last["uptime_ns"] - first["uptime_ns"]), "own_drops": own,
            "held": ledger["held"]}
