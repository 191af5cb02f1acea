"""Every preset does what its own headline says: used in a scenario, run through `simulate` and
measured. Fixed seeds; intervals at alpha = 1e-6. How `use:` is read is tests/unit's."""

import json
import math
import re
import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from model import bounds, captures
from program import REPOSITORY

ALPHA = 1e-6
Z = bounds.NORMAL_QUANTILE[ALPHA]
MS, SECOND = 10**6, 10**9
N = 10_000
FOLDER = REPOSITORY / "configs" / "presets"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OF_NODES = [name for name in NAMES if "`nodes:`" in (FOLDER / f"{name}.yaml").read_text()]
NODES = "nodes: {n1: {ip: 10.0.0.1}, n2: {ip: 10.0.0.2}, n3: {ip: 10.0.0.3}}\n"
UNITS = {"ns": 1, "us": 1e3, "ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND,
         "d": 86_400 * SECOND, "%": 0.01, "ppm": 1e-6, "kbit": 1e3, "Mbit": 1e6, "": 1}


def amount(text):
    """A headline's value: ns, bits a second, a share or a count."""
    number, unit = re.fullmatch(r"(-?[\d.]+(?:e-?\d+)?)(\D*)", str(text)).groups()
    return float(number) * UNITS[unit]


@dataclass
class Way:
    """One direction: when packets came, and when each left first and last (-1: never)."""
    came: np.ndarray
    left: np.ndarray
    left_last: np.ndarray
    length: np.ndarray

    @property
    def lost(self):
        return self.left < 0

    def delays(self, among=slice(None)):
        kept = ~self.lost[among]
        return (self.left[among] - self.came[among])[kept]


@dataclass
class Trial:
    rule: dict  # its statistics; of several, together
    up: Way     # from the near end: left to right
    down: Way


class Trials:
    """Uses presets and sends packets through them, both ways at the same times (in ns)."""

    def __init__(self, program):
        self.program = program
        listed = json.loads(program.run("preset", "list", "--json").stdout)["presets"]
        self.presets = {preset["name"]: preset for preset in listed}
        self.frames = {}
        self.batches = {}

    @cache
    def shown(self, name):
        return json.loads(self.program.run("preset", "show", name, "--json").stdout)

    def headline(self, name):
        return {key: amount(value) for key, value in self.presets[name]["headline"].items()}

    @staticmethod
    def use(name, **given):
        return f"{{preset: {name}" + "".join(f", {k}: {v}" for k, v in given.items()) + "}"

    def text(self, name, **given):
        return f"version: 1\nseed: 42\nflows: {{idle: 24h}}\nuse: [{self.use(name, **given)}]\n"

    def capture(self, backwards, times):
        key = (backwards, len(times))
        if key not in self.frames:
            self.frames[key] = captures.udp_traffic(len(times), 4, salt=9 + backwards,
                                                    backwards=backwards).capture
        capture = self.frames[key]
        capture.time_ns[:] = captures.FIRST_NS + np.asarray(times, dtype=np.uint64)
        path = self.program.folder / f"{'back' if backwards else 'there'}.pcap"
        captures.write_pcap(path, capture)
        return capture, path

    def run(self, name, times, **given):
        return self.run_all({name: given}, times)[name]

    def wires(self, given):
        """A scenario with a wire for each use; the uses in lines of their own from line 7."""
        ports = [f"{name}-{end}: {{driver: sim}}" for name in given for end in "ab"]
        uses = [self.use(name, **{"on": f"w-{name}", **more}) for name, more in given.items()]
        assert len(ports) <= 64
        return "\n".join([
            "version: 1", "seed: 42", "flows: {idle: 24h}", "ports: {" + ", ".join(ports) + "}",
            "wires: {" + ", ".join(f"w-{name}: [{name}-a, {name}-b]" for name in given) + "}",
            "use:", *(f"  - {use}" for use in uses)]) + "\n"

    def run_all(self, given, times):
        """Each preset on a wire of its own."""
        ports = [f"{name}-{end}" for name in given for end in "ab"]
        text = self.wires(given)
        there, back = self.capture(0, times), self.capture(1, times)
        files = [f"{port}={(back if port.endswith('b') else there)[1]}" for port in ports]
        outcome = self.program.simulated(text, files, "--annotate", "none")
        assert outcome.stats["ledger"]["balanced"]
        output, trials = outcome.output, {}
        number = output.bytes_[:, 18].astype(np.int64) << 8 | output.bytes_[:, 19]  # IPv4's id
        left = output.time_ns.astype(np.int64) - captures.FIRST_NS
        for name in given:
            ways = []
            for end, (capture, _) in (("b", there), ("a", back)):
                mine = output.interface == output.names.index(f"{name}-{end}")
                ways.append(self._way(capture, number[mine], left[mine]))
            trials[name] = Trial(self._rule(outcome.stats["rules"], name), *ways)
        return trials

    @staticmethod
    def _rule(rules, name):
        mine = [rule for key, rule in rules.items() if key.split(".")[0] == name]
        return {key: sum(rule[key] for rule in mine)
                for key in ("matched", "dropped", "duplicated", "corrupted", "reordered")}

    @staticmethod
    def _way(capture, number, left):
        assert len(capture) <= 1 << 16
        first = np.full(len(capture), np.iinfo(np.int64).max)
        last = np.full(len(capture), -1)
        np.minimum.at(first, number, left)
        np.maximum.at(last, number, left)
        return Way(capture.time_ns.astype(np.int64) - captures.FIRST_NS,
                   np.where(last < 0, -1, first), last, capture.length.astype(np.int64))

    def batch(self, names, times, given_for):
        """What a preset did among others that met the same traffic: run once for all."""
        for first in range(0, len(names), 32):
            part = names[first:first + 32]
            if part[0] not in self.batches:
                runs = self.run_all({name: given_for(self, name) for name in part}, times)
                self.batches.update({name: (part, trial) for name, trial in runs.items()})
        return {name: trial for name, (_, trial) in self.batches.items()}

    def thresholds(self, name, kind):
        """Of each impairment of this kind, as `explain` tells them of a packet either way."""
        _, path = self.capture(0, np.zeros(1))
        scenario = self.program.folder / "scenario.yaml"
        scenario.write_text(self.text(name))
        found = []
        for port in ("left", "right"):
            done = self.program.run("explain", scenario, "--pcap", f"{port}={path}", "--json")
            for rule in json.loads(done.stdout)["rules"]:
                found += [part["threshold"] for part in rule.get("impairments", [])
                          if part["kind"] == kind]
        return found


@pytest.fixture(scope="module")
def trials(program):
    return Trials(program)


def having(*keys, without=()):
    """Names of presets whose headline has one of the keys, by their files."""
    chosen = []
    for name in NAMES:
        line = re.search(r"^headline: \{(.*)\}$", (FOLDER / f"{name}.yaml").read_text(), re.M)[1]
        there = set(re.findall(r"(\w+):", line))
        if there & set(keys) and not there & set(without) and not name.startswith("g1050") \
                and name not in OF_NODES:
            chosen.append(name)
    return chosen


ONE_WAY = {"nic_deaf": "down", "mobile_spikes": "down",
           **{name: "up" for name in NAMES if name.startswith("optic_dirty")}}


def harmed(name, trial):
    """The ways that a preset is for; the other one is untouched."""
    only = ONE_WAY.get(name)
    for end in {"up": ["down"], "down": ["up"], None: []}[only]:
        way = getattr(trial, end)
        assert not way.lost.any() and (way.delays() == 0).all()
    return [trial.up, trial.down] if only is None else [getattr(trial, only)]


def is_share(hits, of, share, factor=1.0):
    """Whether a count agrees with a probability; `factor`: how much more it varies than if packets
    were independent."""
    if share in (0, 1):
        return hits == share * of
    if factor == 1.0:
        low, high = bounds.binomial_interval(of, share, ALPHA)
        return low <= hits <= high
    return abs(hits / of - share) <= Z * math.sqrt(share * (1 - share) * factor / of)


@pytest.fixture(scope="module")
def complaints(trials):
    """What `check` says of presets, each used with all its parameters as they are."""
    lines = []
    for first in range(0, len(NAMES), 32):
        path = trials.program.folder / "all.yaml"
        path.write_text(trials.wires({name: trials.presets[name]["parameters"]
                                      for name in NAMES[first:first + 32]}) + NODES)
        done = trials.program.run("check", path)
        for line in done.stderr.splitlines():
            if found := re.search(r"all\.yaml:(\d+):", line):
                lines.append((NAMES[first + int(found[1]) - 7], line))
        assert done.status == 0 or lines
    return lines


@pytest.mark.parametrize("name", NAMES)
def test_it_is_listed_and_good(trials, complaints, name):
    """The program carries the very text of the file, and `check` takes it."""
    shown = trials.shown(name)
    assert shown["text"] == (FOLDER / f"{name}.yaml").read_text()
    assert shown["headline"] == trials.presets[name]["headline"]
    assert name in shown["use"] and shown["source"]
    assert [line for preset, line in complaints if preset == name] == []


KINDS = ("loss", "duplicate", "corrupt", "replay", "reorder")
STEADY = [name for name in having("delay", *KINDS, without=("down", "cut", "every"))
          if name not in ("jepsen_reorder", "ptp_gm_asym")]
RARE = 0.05


def share_of(trials, name):
    """The kind of the headline's first share, and the share."""
    headline = trials.headline(name)
    return next(((kind, headline[kind]) for kind in KINDS if kind in headline), (None, 0))


def is_rare(trials, name):
    kind, share = share_of(trials, name)
    return kind is not None and share * N < 20


def given_for(trials, name):
    if not is_rare(trials, name):
        return {}
    return {"loss" if share_of(trials, name)[0] == "loss" else "rate": f"{RARE:.0%}"}


def steady(trials, name):
    """A packet a second: what happens in time is independent from packet to packet."""
    return trials.batch(STEADY, np.arange(N) * SECOND, given_for)[name]


@pytest.mark.parametrize("name", STEADY)
def test_shares(trials, name):
    """Lost, doubled, damaged: as often as the headline says, each way that is treated. What is too
    rare for 10,000 packets is 5 % here, and `explain` tells the threshold as it is."""
    headline, trial = trials.headline(name), steady(trials, name)
    ways = harmed(name, trial)
    assert trial.rule["matched"] == N * len(ways)
    if is_rare(trials, name):
        kind, share = share_of(trials, name)
        thresholds = trials.thresholds(name, kind)
        assert thresholds and all(abs(found / share - 1) < 1e-9 for found in thresholds)
        headline[kind] = RARE
    # (1 + rho)/(1 - rho) of the chain with bursts of 4; storms have a second for most of a clog.
    factor = {"jepsen_loss": (1 + 0.6875) / (1 - 0.6875), "vopr_storm": 1.5}.get(name, 1.0)
    lost = headline.get("loss", 0)
    assert all(is_share(int(way.lost.sum()), N, lost, factor) for way in ways)
    sent = trial.rule["matched"] - trial.rule["dropped"]
    for key, counter in (("duplicate", "duplicated"), ("replay", "duplicated"),
                         ("corrupt", "corrupted")):
        if key in headline:
            assert is_share(trial.rule[counter], sent, headline[key])
    if not {"duplicate", "replay"} & set(headline):
        assert trial.rule["duplicated"] == 0


@pytest.mark.parametrize("name", STEADY)
def test_delays(trials, name):
    """Mean and standard deviation of one-way delays, and the round trip as the sum of both; without
    any in the headline, nothing is late."""
    headline, trial = trials.headline(name), steady(trials, name)
    jitter, asked = headline.get("jitter", 0), headline.get("delay", 0)
    near = Z * jitter / math.sqrt(0.8 * N) + 1e-4 * asked + 1
    ways = harmed(name, trial)
    for way in ways:
        delays = way.delays()
        assert abs(delays.mean() - asked) <= near
        # The variance of a variance: kurtosis 3 for a normal law, 9 for an exponential one.
        kurtosis = 9 if name in ("dc_healthy", "vopr_storm") else 3
        relative = Z * math.sqrt((kurtosis - 1) / len(delays)) / 2
        assert abs(delays.std() - jitter) <= 1.1 * relative * jitter + 1
    if "rtt" in headline:
        assert headline["rtt"] == 2 * asked
        assert abs(sum(way.delays().mean() for way in ways) - headline["rtt"]) <= 2 * near


LINKS = having("down", "rate")
ALONE = 4_000
AT_ONCE = 1_150  # more than any queue takes


@pytest.mark.parametrize("name", LINKS)
def test_links(trials, name):
    """A packet alone takes the one-way delay and its own time on the link; many at once leave at
    the rate, as many as the queue has room for."""
    headline = trials.headline(name)
    spaced = np.arange(ALONE) * SECOND
    times = np.concatenate([spaced, np.full(AT_ONCE, spaced[-1] + 10 * SECOND)])
    trial = trials.batch(LINKS, times, lambda *_: {})[name]
    asked = {}
    for way, key in ((trial.up, "up"), (trial.down, "down")):
        bps = headline.get("rate", headline.get(key))
        asked[key] = headline.get(f"{key}_delay", headline.get("delay", 0))
        first = slice(ALONE)
        alone = way.delays(first) - way.length[first][~way.lost[first]] * 8 * SECOND / bps
        assert (np.abs(alone - asked[key]) <= 1).all()
        assert is_share(int(way.lost[first].sum()), ALONE, headline.get("loss", 0))
        kept = ~way.lost[ALONE:]
        left, length = np.sort(way.left[ALONE:][kept]), way.length[ALONE:][kept]
        assert abs(length[1:].sum() * 8 * SECOND / (left[-1] - left[0]) / bps - 1) < 1e-4
        assert kept.sum() == int(trials.presets[name]["parameters"]["queue"].rstrip("p"))
    if "rtt" in headline:
        assert asked["up"] + asked["down"] == headline["rtt"]


@pytest.mark.parametrize("name", having("cut", without=("every",)))
def test_cuts_that_end(trials, name):
    """From when the rule is enabled, time zero, for as long as the headline says."""
    headline = trials.headline(name)
    times = np.linspace(0, 1.25 * headline["cut"], N).astype(np.int64)
    trial = trials.run(name, times)
    for way in harmed(name, trial):
        inside = way.came < headline["cut"]
        assert not way.lost[~inside].any()
        if headline["loss"] == 1:
            assert way.lost[inside].all()
        elif name != "chubby_maint":
            assert is_share(int(way.lost[inside].sum()), int(inside.sum()), headline["loss"])


def test_chubbys_cuts(trials):
    """A fifth of the time, 15 s each on average: over 1,000 h, a packet a second at first."""
    times = np.concatenate([np.arange(N) * SECOND, 10**13 + np.arange(N) * 300 * SECOND])
    trial = trials.run("chubby_maint", times, **{"for": "1000h"})
    for way in (trial.up, trial.down):
        assert is_share(int(way.lost[N:].sum()), N, trials.headline("chubby_maint")["loss"])
        lost = way.lost[:N].astype(int)
        cuts = int((np.diff(lost) == 1).sum())
        # Geometric lengths of mean 15 s and a bit, for being looked at once a second.
        assert abs(lost.sum() / cuts / 15.5 - 1) < Z / math.sqrt(cuts)


def test_cuts_again_and_again(trials):
    """3 s in every 60."""
    headline = trials.headline("aws_short_cuts")
    trial = trials.run("aws_short_cuts", np.arange(N) * 100 * MS)
    for way in (trial.up, trial.down):
        phase = way.came % int(headline["every"])
        assert (way.lost == (phase >= headline["every"] - headline["cut"])).all()


def test_bursts(trials):
    """20 % in runs of 4."""
    lost = steady(trials, "jepsen_loss").up.lost.astype(int)
    runs = int((np.diff(lost) == 1).sum()) + lost[0]
    count = int(0.9 * runs)
    ends = np.flatnonzero(np.diff(np.append(lost, 0)) == -1)
    starts = np.flatnonzero(np.diff(np.insert(lost, 0, 0)) == 1)
    low, high = bounds.geometric_sum_interval(count, 1 / 4, ALPHA)
    assert low <= (ends - starts + 1)[:count].sum() <= high


def test_packets_sent_early(trials):
    """A fifth passes the others: at once instead of after 50 ms."""
    headline = trials.headline("jepsen_reorder")
    trial = trials.run("jepsen_reorder", np.arange(N) * MS)
    for way in (trial.up, trial.down):
        early = way.delays() == 0
        assert ((way.delays() == 50 * MS) | early).all()
        assert is_share(int(early.sum()), N, headline["reorder"])
        assert abs(way.delays().mean() - headline["delay"]) < Z * 20 * MS / math.sqrt(N)
    assert is_share(trial.rule["reordered"], 2 * N, headline["reorder"])


def test_stale_packets(trials):
    """A tenth is seen again, 10 s later."""
    trial, age = steady(trials, "arpanet_1980"), trials.headline("arpanet_1980")["age"]
    for way in (trial.up, trial.down):
        again = way.left_last - way.left
        assert set(again.tolist()) == {0, age} and (way.left == way.came).all()
        assert is_share(int((again > 0).sum()), N, 0.1)


def test_a_round_of_starlink(trials):
    """Levels change every 15 s; half of the packets of the last 125 ms before that are lost, and
    0.5 % of the others."""
    headline = trials.headline("starlink")
    times = np.sort(np.concatenate([np.arange(30_000) * 30 * MS + 1,
                                    *(np.arange(2_000) * MS // 16 + k * 15 * SECOND - 125 * MS
                                      for k in range(1, 7))]))
    trial = trials.run("starlink", times)
    period = int(headline["every"])
    for way in (trial.up, trial.down):
        window = (way.came % period >= period - 125 * MS)
        evenly = (way.came - 1) % (30 * MS) == 0  # at all times alike
        assert is_share(int(way.lost[~window].sum()), int((~window).sum()), 0.005)
        assert is_share(int(way.lost[window].sum()), int(window.sum()), 1 - 0.995 * 0.5)
        assert is_share(int(way.lost[evenly].sum()), int(evenly.sum()), headline["loss"])
        slots = way.came // period % 6
        settled = evenly & ~way.lost & (way.came % period > SECOND)
        levels = [(way.left - way.came)[settled & (slots == slot)].mean() for slot in range(6)]
        for found, level in zip(levels, (15, 25, 20, 15, 20, 25)):
            # Jitter uniform over 10 ms; ten times 14 s hold 140 s / 80 ms independent levels.
            assert abs(found / MS - level) < Z * 10 / math.sqrt(12) / math.sqrt(140_000 / 80)
        mean = way.delays(evenly).mean()
        assert abs(mean - headline["delay"]) < 0.5 * MS
    assert headline["rtt"] == 2 * headline["delay"]


def test_spikes_on_the_way_to_a_mobile_client(trials):
    """Once in 20 minutes, 3 s more for one second; what comes next waits for it."""
    headline = trials.headline("mobile_spikes")
    period, spike = int(headline["every"]), int(headline["spike"])
    trial = trials.run("mobile_spikes", np.arange(4 * N) * 100 * MS)
    up, down = trial.up, trial.down
    assert (up.delays() == 0).all()
    phase = down.came % period
    begins, ends = period - 2 * SECOND, period - SECOND
    inside = (phase >= begins) & (phase < ends)
    assert inside.sum() == 30 and (down.delays(inside) == spike).all()
    # Behind it the last of the spike is waited for; then all is as before.
    quiet = (phase < begins) & ((phase > 2 * SECOND) | (down.came < period))
    assert (down.delays(quiet) == 0).all()
    assert (np.diff(down.left) >= 0).all()


def test_sync_alone_is_late(trials):
    """Sync of PTP over UDP and over Ethernet; Follow_Up and the rest are as they were."""
    def over_udp(first, port=319):
        udp = struct.pack(">HHHH", 319, port, 8 + 44, 0) + bytes([first]) + bytes(43)
        ip = bytearray.fromhex("45000048000000004011") + bytes(2)
        ip += bytes([10, 0, 0, 1, 10, 0, 0, 2])
        total = sum(struct.unpack(">10H", bytes(ip)))
        total = (total & 0xFFFF) + (total >> 16)
        ip[10:12] = struct.pack(">H", 0xFFFF - ((total & 0xFFFF) + (total >> 16)))
        return bytes(6) + bytes.fromhex("020000000001") + b"\x08\x00" + bytes(ip) + udp

    def over_ethernet(first):
        return bytes.fromhex("011b19000000020000000001") + b"\x88\xf7" + bytes([first]) + bytes(45)

    frames = [over_udp(0x00), over_udp(0x08), over_udp(0x10), over_udp(0x00, 320),
              over_ethernet(0x00), over_ethernet(0x08)]
    times = captures.FIRST_NS + np.arange(len(frames), dtype=np.uint64) * np.uint64(SECOND)
    path = trials.program.folder / "ptp.pcap"
    captures.write_pcap(path, captures.from_frames(frames, times))
    output = trials.program.simulated(trials.text("ptp_gm_asym"), [path]).output
    late = output.time_ns.astype(np.int64) - times.astype(np.int64)
    delay = trials.headline("ptp_gm_asym")["delay"]
    assert late.tolist() == [delay, 0, delay, 0, delay, 0]


# Occupancy of LANs and of access links in %, core delay and jitter in ms, core loss in %.
G1050 = {"a": (1, 0, 4, 5, 0), "b": (2, 1, 8, 10, 0.01), "c": (3, 2, 16, 16, 0.02),
         "d": (5, 4, 32, 40, 0.04), "e": (8, 8, 64, 70, 0.1), "f": (12, 15, 128, 100, 0.2),
         "g": (16, 30, 256, 150, 0.5), "h": (20, 50, 512, 500, 1)}


def losses_of(rules):
    """The chains of a G.1050-style preset as (p, r, loss when bad)."""
    models = [part["loss"] for part in rules[0]["impair"] if isinstance(part.get("loss"), dict)]
    return [tuple(amount(loss[key]) for key in ("p", "r", "loss_bad"))
            for loss in models if loss["model"] == "gilbert-elliott"]


def test_g1050_is_what_its_formulas_say(trials):
    """Chains of LANs and access links by their occupancy o, in both halves of the path."""
    for letter, (lan, access, delay, jitter, core) in G1050.items():
        shown = trials.shown(f"g1050_{letter}")
        expected = [(0.0001 * lan, 0.1, 0.000025 * lan)] + (
            [(0.0002 * access, 0.2 / (1 + access), 0.0005 * access)] if access else [])
        chains = losses_of(shown["rules"])
        assert chains == [pytest.approx(chain, rel=1e-6) for chain in expected + expected[::-1]]
        given = {key: amount(value) for key, value in shown["parameters"].items()}
        assert given == pytest.approx({"delay": delay * MS, "jitter": jitter * MS,
                                       **({"loss": core / 100} if core else {})})


@pytest.mark.parametrize("letter", "abcdefgh")
def test_g1050(trials, letter):
    """Loss and delay while the link is up and the route is the first, then the cut itself."""
    name = f"g1050_{letter}"
    headline, shown = trials.headline(name), trials.shown(name)
    chains = losses_of(shown["rules"])
    kept = 1 - amount(shown["parameters"].get("loss", "0%"))
    for p, r, bad in chains:
        kept *= 1 - p / (p + r) * bad
    every, cut = headline.get("every", 1000 * SECOND), headline.get("cut", 0)
    share, expected = 1 - kept, 1 - kept * (1 - cut / every)
    assert abs(headline["loss"] / expected - 1) < 0.006, "three digits of what the models say"
    span = min(every - cut, 1000 * SECOND)
    times = np.linspace(0, span - 1, 2 * N).astype(np.int64)
    trial = trials.run(name, times)
    jitter = amount(shown["parameters"]["jitter"])
    for way in (trial.up, trial.down):
        # Chains leave their bad state after r = 0.2/(1 + o) a ms: a second at most.
        assert is_share(int(way.lost.sum()), 2 * N, share, 1.0 + 1e-9 if share < 0.01 else 4.0)
        spread = math.hypot(jitter / math.sqrt(12), MS)
        levels = min(span / (2 * jitter), 2 * N) if letter != "h" else 2 * N
        assert abs(way.delays().mean() - headline["delay"]) < Z * spread * math.sqrt(2 / levels)
    if cut:
        count = N // 5
        times = np.arange(count) * int(cut / count * 2) + int(every - 1.5 * cut)
        trial = trials.run(name, np.insert(times[:-1], 0, 0))
        for way in (trial.up, trial.down):
            inside = (way.came >= every - cut) & (way.came < every)
            assert way.lost[inside].all() and 0.49 * count < inside.sum() < 0.51 * count
            assert way.lost[~inside].mean() < 0.25


@pytest.mark.parametrize("ends, rtt", [("from: Brazil South, to: Southeast Asia", 337),
                                       ("from: France Central, to: Qatar Central", 121),
                                       ("from: Qatar Central, to: France Central", 87),
                                       ("from: East US, to: East US 2", 11)])
def test_regions(trials, ends, rtt):
    """Round trips of the table, split evenly."""
    given = dict(part.split(": ") for part in ends.split(", "))
    trial = trials.run("wan", np.arange(N) * SECOND, **given)
    for way in (trial.up, trial.down):
        assert abs(way.delays().mean() / MS - rtt / 2) < Z * rtt / 200 / math.sqrt(N) * 1.01


def test_reverse_and_a_path(trials):
    """`reverse: true` turns a link round; on a path there is one direction."""
    times = np.arange(100) * SECOND
    turned = trials.run("atc_edge", times, reverse="true")
    assert (abs(turned.up.delays() / MS - 405) < 5).all()
    assert (abs(turned.down.delays() / MS - 445) < 5).all()
    one_way = trials.run("geo", times, on="geo-b>geo-a", loss="0%")
    assert (one_way.up.delays() == 0).all() and (one_way.down.delays() == 300 * MS).all()


def datagram(source, destination, number):
    """UDP from 10.0.0.SOURCE to 10.0.0.DESTINATION; the IPv4 id says which."""
    ip = bytearray.fromhex("4500002e") + struct.pack(">H", number) + bytes.fromhex("00004011")
    ip += bytes([0, 0, 10, 0, 0, source, 10, 0, 0, destination])
    total = sum(struct.unpack(">10H", bytes(ip)))
    total = (total & 0xFFFF) + (total >> 16)
    ip[10:12] = struct.pack(">H", 0xFFFF - ((total & 0xFFFF) + (total >> 16)))
    udp = struct.pack(">HHHH", 1000, 2000, 26, 0) + bytes(18)
    return bytes(6) + bytes.fromhex("020000000001") + b"\x08\x00" + bytes(ip) + udp


# Of the ordered pairs of three nodes, those that are cut.
LINKS_CUT = {"partition_halves": 4, "partition_one": 4, "partition_bridge": 2,
             "partition_majorities_ring": 3, "partition_one_way_in": 2, "partition_one_way_out": 2,
             "swizzle_clog": 6, "cloudflare_2020": 2}  # others of nodes: test_sim_presets_nodes.py


@pytest.mark.parametrize("name", LINKS_CUT)
def test_nodes(trials, name):
    """Three nodes that send to each other, each pair ten times a second: which links are cut in the
    middle, and that all carry again when the headline's time is over."""
    cut = trials.headline(name)["cut"]
    pairs = [(a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b]
    middle = int(cut / 2)
    times = [0] + [middle + k * 100 * MS for k in range(10)] + [int(cut) - 1, int(cut)]
    sent = [(at, pair) for at in times for pair in pairs]
    path = trials.program.folder / "nodes.pcap"
    captures.write_pcap(path, captures.from_frames(
        [datagram(*pair, number) for number, (_, pair) in enumerate(sent)],
        np.array([captures.FIRST_NS + at for at, _ in sent], dtype=np.uint64)))
    output = trials.program.simulated(trials.text(name) + NODES, [path]).output
    there = set((output.bytes_[:, 18].astype(int) << 8 | output.bytes_[:, 19]).tolist())
    lost = {}
    for number, (at, pair) in enumerate(sent):
        if number not in there:
            lost.setdefault(at, set()).add(pair)
    assert len(lost[middle]) == LINKS_CUT[name] and cut not in lost
    assert all(lost[middle + k * 100 * MS] == lost[middle] for k in range(10))
    if name != "swizzle_clog":
        assert lost[0] == lost[int(cut) - 1] == lost[middle]
    if name == "cloudflare_2020":
        assert lost[middle] == {(1, 3), (3, 1)}
    if name in ("partition_one_way_in", "partition_one_way_out"):
        side = 1 if name.endswith("in") else 0
        assert len({pair[side] for pair in lost[middle]}) == 1


def test_on_a_node(trials):
    """What a node sends and what it is sent; its neighbours' packets are as they were."""
    times = np.arange(1_000) * SECOND
    there, back = trials.capture(0, times), trials.capture(1, times)
    text = trials.text("geo", on="second", loss="0%") + "nodes: {second: {ip: 10.0.1.2}}\n"
    outcome = trials.program.simulated(text, [f"left={there[1]}", f"right={back[1]}"])
    rules = outcome.stats["rules"]
    for (capture, _), host_at, rule, end in ((there, 33, "geo.down", "right"),
                                             (back, 29, "geo.up", "left")):
        mine = outcome.output.interface == outcome.output.names.index(end)
        of_node = capture.bytes_[:, host_at] == 2
        left = np.sort(outcome.output.time_ns[mine]).astype(np.int64)
        asked = capture.time_ns.astype(np.int64) + of_node * 300 * MS
        assert (left == np.sort(asked)).all()
        assert rules[rule]["matched"] == of_node.sum() > 100


def test_what_commands_say(program):
    """Lists, texts, JSON and the exit status of a name that is none."""
    listed = program.run("preset", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == NAMES
    shown = program.run("preset", "show", "geo").stdout
    assert shown.startswith((FOLDER / "geo.yaml").read_text())
    assert shown.endswith("# use: [{preset: geo, delay: 300ms, loss: 0.5%}]\n")
    wrong = program.run("preset", "show", "geoo")
    assert wrong.status == 2 and wrong.stdout == ""
    assert "unknown preset 'geoo'" in wrong.stderr and "did you mean 'geo'?" in wrong.stderr
    told = json.loads(program.run("preset", "show", "geoo", "--json").stdout)
    assert told["ok"] is False and told["errors"][0]["suggestion"] == "geo"
    assert program.run("preset").status == 2
    completion = program.run("completion", "bash").stdout
    assert re.search(r"'preset'\) words='list show", completion)
    assert re.search(r"'preset show'\) words='[^']*\bwan_transatlantic\b", completion)
