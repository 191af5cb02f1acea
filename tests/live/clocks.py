"""Programs that keep time, for live tests: chrony and NTPsec, which cannot be installed beside each
other or beside the machine's own, so their packages are unpacked into the build folder, once; and
linuxptp. None of them touches the machine's clock."""

import json
import re
import shutil
import statistics
import subprocess
import time

from wire import BUILD, run

FOLDER = BUILD / "clocks"


def program(package, path):
    """A program of a package that is fetched and unpacked, not installed."""
    root = FOLDER / package
    if not root.is_dir():
        parts = FOLDER / f"{package}.part"
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        run("apt-get", "download", package, cwd=parts, timeout=600)
        archive = next(parts.glob("*.deb"))
        run("dpkg-deb", "-x", archive, parts, timeout=600)
        archive.unlink()
        parts.rename(root)
    return root / path


def chronyd():
    return program("chrony", "usr/sbin/chronyd")


def ntpdig(wire, address):
    """The offset that NTPsec's client in `a` finds, in seconds."""
    package = program("python3-ntp", "usr/lib/python3/dist-packages/ntp")
    library = program("python3-ntp", "usr/lib").glob("*/ntp/libntpc.so.1.*")
    if not (package / "libntpc.so").exists():
        shutil.copy(next(library), package / "libntpc.so")
    said = wire.inside("a", "env", "PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={package.parent}",
                       "/usr/bin/python3", program("ntpsec-ntpdig", "usr/bin/ntpdig"), "-j", "-t", 2,
                       address)
    return json.loads(said.stdout)["offset"]


class Server:
    """chronyd in `b`, on all its addresses, with key 1 and with NTS."""

    KEYS = "1 SHA1 HEX:0123456789ABCDEF0123456789ABCDEF01234567\n"

    def __init__(self, wire, addresses=()):
        self.wire = wire
        for address in addresses:
            run("ip", "-n", wire.namespace("b"), "addr", "add", f"{address}/24", "dev", "eth0")
            link = wire.inside("b", "cat", "/sys/class/net/eth0/address").stdout.strip()
            run("ip", "-n", wire.namespace("a"), "neigh", "replace", address, "lladdr", link, "dev",
                "eth0", "nud", "permanent")
        self.keys = wire.folder / "chrony.keys"
        self.keys.write_text(self.KEYS)
        self.keys.chmod(0o600)
        self.certificate = wire.folder / "server.crt"
        secret = self.certify(["10.77.0.2", *addresses])
        config = wire.folder / "server.conf"
        config.write_text(f"local stratum 8\nallow\ncmdport 0\nkeyfile {self.keys}\n"
                          f"ntsservercert {self.certificate}\nntsserverkey {secret}\n"
                          f"pidfile {wire.folder}/server.pid\n")
        self.process = wire.spawn("b", chronyd(), "-x", "-d", "-u", "root", "-f", config,
                                  stdout=subprocess.DEVNULL)

    def certify(self, addresses):
        """Signs the server's certificate for these; returns where its key is."""
        secret = self.wire.folder / "server.key"
        names = ",".join(f"IP:{address}" for address in addresses)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", secret, "-out", self.certificate, "-days", 2, "-subj", "/CN=server",
            "-addext", f"subjectAltName={names}")
        secret.chmod(0o600)
        return secret

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)

    def ask(self, name, *addresses, more="", seconds=8):
        """A client in `a` that asks four times and ends, within half a second where answers come within
        10 ms; offset_of() reads what it found."""
        return self.wire.spawn(
            "a", chronyd(), "-Q", "-u", "root", "-t", seconds,
            *(f"server {address} iburst minpoll -3 maxpoll -3 maxsamples 4 {more}"
              for address in addresses), "cmdport 0",
            f"minsources {len(addresses) // 2 + 1}",  # or the first one that answers is followed
            f"keyfile {self.keys}", "nosystemcert", f"ntstrustedcerts {self.certificate}",
            f"pidfile {self.wire.folder}/{name}.pid")

    def follow(self, name, *sources):
        """A client in `a` that asks on, 16 times a second, and follows nobody, or it would measure by a
        clock that it moves; Follower.samples() reads its log."""
        return Follower(self, name, sources)

    def look_at(self, name, address):
        """A client beside the server, in `b`: it finds by how much `address` differs from the machine's
        clock, if that is not told something else on the way."""
        return self.wire.spawn(
            "b", chronyd(), "-Q", "-u", "root", "-t", 5, f"server {address} iburst minpoll -3 maxpoll -3 "
            "maxsamples 4", "cmdport 0", f"pidfile {self.wire.folder}/{name}.pid")


def offset_of(client):
    """By how much the client thinks its clock wrong, in seconds; None: it believed nobody."""
    said = client.communicate(timeout=60)[0]
    found = re.search(r"System clock wrong by (\S+) seconds", said)
    assert found or "No suitable source" in said or "Timeout reached" in said, said
    return float(found[1]) if found else None


class Follower:
    def __init__(self, server, name, sources):
        self.folder = server.wire.folder / name
        self.folder.mkdir()
        config = self.folder / "client.conf"
        lines = [f"server {source} minpoll -4 maxpoll -4 noselect" for source in sources]
        config.write_text("\n".join(lines) + f"\ncmdport 0\nkeyfile {server.keys}\n"
                          f"pidfile {self.folder}/pid\nlogdir {self.folder}\nlog rawmeasurements\n")
        self.process = server.wire.spawn("a", chronyd(), "-x", "-d", "-u", "root", "-f", config,
                                         stdout=subprocess.DEVNULL)

    def end(self):
        end(self.process)

    def samples(self, address):
        """(seconds since midnight, offset in seconds, interleaved) of the answers of this source, in
        their order: of the third of them that was quickest on its way. The others say little: an answer
        is wrong by up to half its round trip, and those differ twentyfold even where no fault
        injector is between."""
        found = []
        for line in (self.folder / "measurements.log").read_text().splitlines():
            words = line.split()
            if len(words) > 11 and words[2] == address:
                hours, minutes, seconds = words[1].split(":")
                clock = 3600 * int(hours) + 60 * int(minutes) + int(seconds)
                found.append((float(words[12]), (clock, float(words[11]), words[-3].endswith("I"))))
        slowest = sorted(delay for delay, _ in found)[(len(found) - 1) // 3]
        return [one for delay, one in found if delay <= slowest]


def end(process):
    """Ends one process and waits for it."""
    process.terminate()
    process.communicate(timeout=20)


# -- PTP ------------------------------------------------------------------------------------------

PTP4L = """[global]
time_stamping software
free_running 1
logSyncInterval -5
logAnnounceInterval -2
logMinDelayReqInterval -5
logMinPdelayReqInterval -5
tx_timestamp_timeout 100
fault_reset_interval ASAP
domainNumber {number}
network_transport {transport}
delay_mechanism {mechanism}
uds_address {folder}/{which}{number}.uds
{role} 1
[eth0]
"""


class PtpPair:
    """A master in `b` and a slave in `a`, in a domain of their own: many do not hear each other."""

    def __init__(self, wire, number, transport, mechanism):
        self.wire, self.number, self.processes = wire, number, {}
        self.path = "peerMeanPathDelay" if mechanism == "P2P" else "meanPathDelay"
        for which, role in (("b", "masterOnly"), ("a", "slaveOnly")):
            config = wire.folder / f"ptp-{which}{number}.conf"
            config.write_text(PTP4L.format(number=number, transport=transport, which=which, role=role,
                                           mechanism=mechanism, folder=wire.folder))
            self.start(which)

    def start(self, which):
        """One of the two programs, with a new log."""
        name = self.wire.folder / f"ptp-{which}{self.number}"
        with open(f"{name}.log", "w", encoding="utf-8") as log:
            self.processes[which] = self.wire.spawn(which, "ptp4l", "-f", f"{name}.conf", "-m", stdout=log)

    def begin(self, seconds=20):
        """Waits until the slave has a master and measures. One that has met a peer delay response in the
        instant in which it took its master ("rogue peer delay response") never measures the path again,
        now and then, also where no rule does anything: it is started again."""
        log = self.wire.folder / f"ptp-a{self.number}.log"
        give_up = time.monotonic() + seconds
        while True:
            while "on RS_SLAVE" not in log.read_text():
                assert time.monotonic() < give_up, log.read_text()
                time.sleep(0.1)
            if self.ask()[1] != 0:
                return
            if "rogue peer delay response" in log.read_text():
                end(self.processes["a"])
                self.start("a")
                give_up = time.monotonic() + seconds
            assert time.monotonic() < give_up, log.read_text()

    def ask(self, times=16):
        """The slave's (offset, path delay) in ns, as it has them over half a second: medians. By then its
        filters, of ten messages, have forgotten what was before."""
        time.sleep(0.5)
        folder = self.wire.folder
        manager = self.wire.spawn("a", "pmc", "-u", "-b", 0, "-d", self.number, "-s",
                                  f"{folder}/a{self.number}.uds", "-i", f"{folder}/pmc{self.number}",
                                  stdin=subprocess.PIPE)
        for _ in range(times):
            manager.stdin.write("GET CURRENT_DATA_SET\nGET PORT_DATA_SET\n")
            manager.stdin.flush()
            time.sleep(0.035)
        time.sleep(0.1)
        said = manager.communicate(timeout=20)[0]

        def median(word):
            return statistics.median(float(one) for one in re.findall(rf"\b{word}\s+(\S+)", said))

        return median("offsetFromMaster"), median(self.path)

    def end(self):
        for process in self.processes.values():
            end(process)
