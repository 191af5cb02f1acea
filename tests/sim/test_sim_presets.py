"""Every preset does what its own headline says: used in a scenario, run through `simulate` and
measured. Fixed seeds; intervals at alpha = 1e-6. How `use:` is read is tests/unit's."""

import json
import math
import re
import struct
from dataclasses import dataclass

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
UNITS = {"ns": 1, "us": 1e3, "ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND,
         "%": 0.01, "kbit": 1e3, "Mbit": 1e6, "": 1}


def amount(text):
    """A headline's value: ns, bits a second, or a share."""
    number, unit = re.fullmatch(r"([\d.]+(?:e-?\d+)?)(\D*)", str(text)).groups()
    return float(number) * UNITS[unit]


@dataclass
class Way:
    """One direction: when packets came, and when each first left (-1: never)."""
    came: np.ndarray
    left: np.ndarray
    length: np.ndarray
    copies: np.ndarray

    @property
    def lost(self):
        return self.left < 0

    def delays(self, among=slice(None)):
        kept = ~self.lost[among]
        return (self.left[among] - self.came[among])[kept]


class Trials:
    """Uses a preset and sends packets through it, both ways at the same times (in ns)."""

    def __init__(self, program):
        self.program = program
        listed = json.loads(program.run("preset", "list", "--json").stdout)["presets"]
        self.presets = {preset["name"]: preset for preset in listed}
        self.frames = {}

    def shown(self, name):
        return json.loads(self.program.run("preset", "show", name, "--json").stdout)

    def headline(self, name):
        return {key: amount(value) for key, value in self.presets[name]["headline"].items()}

    def text(self, name, rest="", **given):
        keys = "".join(f", {key}: {value}" for key, value in given.items())
        return f"version: 1\nseed: 42\nflows: {{idle: 24h}}\nuse: [{{preset: {name}{keys}}}]\n{rest}"

    def capture(self, backwards, times):
        key = (backwards, len(times))
        if key not in self.frames:
            self.frames[key] = captures.udp_traffic(
                len(times), 4, salt=9 + backwards, backwards=backwards,
                first_serial=backwards << 40).capture
        capture = self.frames[key]
        capture.time_ns[:] = captures.FIRST_NS + np.asarray(times, dtype=np.uint64)
        path = self.program.folder / f"{'back' if backwards else 'there'}.pcap"
        captures.write_pcap(path, capture)
        return capture, path

    def run(self, name, times, **given):
        """(statistics, up: left to right, down: right to left)."""
        there, back = self.capture(0, times), self.capture(1, times)
        outcome = self.program.simulated(
            self.text(name, **given), [f"left={there[1]}", f"right={back[1]}"], "--annotate",
            "none")
        assert outcome.stats["ledger"]["balanced"]
        serial, left = outcome.output.serial(), outcome.output.time_ns.astype(np.int64)
        return outcome.stats, *(self._way(one, serial, left, backwards)
                                for backwards, (one, _) in enumerate((there, back)))

    @staticmethod
    def _way(capture, serial, left, backwards):
        mine = (serial >> 40) == backwards
        index, times = serial[mine] - (backwards << 40), left[mine] - captures.FIRST_NS
        first = np.full(len(capture), np.iinfo(np.int64).max)
        np.minimum.at(first, index, times)
        copies = np.bincount(index, minlength=len(capture))
        return Way(capture.time_ns.astype(np.int64) - captures.FIRST_NS,
                   np.where(copies > 0, first, -1), capture.length.astype(np.int64), copies)

    def thresholds(self, name, kind):
        """Of each impairment of this kind, as `explain` tells them of a packet either way."""
        capture, path = self.capture(0, np.zeros(1))
        found = []
        for port in ("left", "right"):
            scenario = self.program.folder / "scenario.yaml"
            scenario.write_text(self.text(name))
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
        if there & set(keys) and not there & set(without) and not name.startswith("g1050"):
            chosen.append(name)
    return chosen


def harmed(trials, name, up, down):
    """The ways that the preset's rules treat, by what they say; the others are untouched."""
    ends = {rule.get("from", "both") for rule in trials.shown(name)["rules"]}
    for way, end in ((up, "$near"), (down, "$far")):
        if not ends & {"both", end}:
            assert not way.lost.any() and (way.delays() == 0).all()
    return [way for way, end in ((up, "$near"), (down, "$far")) if ends & {"both", end}]


def is_share(hits, of, share, factor=1.0):
    """Whether a count agrees with a probability; `factor`: how much more it varies than if packets
    were independent."""
    if factor == 1.0:
        low, high = bounds.binomial_interval(of, share, ALPHA)
        return low <= hits <= high
    return abs(hits / of - share) <= Z * math.sqrt(share * (1 - share) * factor / of)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_listed_and_good(trials, name):
    """`check` takes it by itself, and the program carries the very text of the file."""
    shown = trials.shown(name)
    assert shown["text"] == (FOLDER / f"{name}.yaml").read_text()
    assert shown["headline"] == trials.presets[name]["headline"]
    path = trials.program.folder / "one.yaml"
    path.write_text(trials.text(name))
    assert trials.program.run("check", path).status == 0
    path.write_text("version: 1\n" + shown["use"] + "\n")  # with all its parameters as they are
    assert trials.program.run("check", path).status == 0


SHARED = having("loss", "duplicate", "corrupt", "replay", "reorder",
                without=("down", "cut", "every"))


@pytest.mark.parametrize("name", SHARED)
def test_shares(trials, name):
    """Lost, doubled, damaged: as often as the headline says, each way that is treated. What is too
    rare for 10,000 packets is 5 % here, and `explain` tells the threshold as it is."""
    headline = trials.headline(name)
    given = {}
    kind = next(key for key in ("loss", "duplicate", "corrupt", "replay", "reorder")
                if key in headline)
    share = headline[kind]
    if share * N < 20:
        assert trials.thresholds(name, kind)
        assert all(abs(found / share - 1) < 1e-9 for found in trials.thresholds(name, kind))
        share = 0.05
        given = {"loss" if kind == "loss" else "rate": "5%"}
    # A second apart: what happens in time is independent from packet to packet.
    stats, up, down = trials.run(name, np.arange(N) * SECOND, **given)
    ways = harmed(trials, name, up, down)
    rule = stats["rules"][name]
    assert rule["matched"] == N * len(ways)
    if kind == "loss":
        factor = {"jepsen_loss": (1 + 0.6875) / (1 - 0.6875), "vopr_storm": 1.5}.get(name, 1.0)
        assert all(is_share(int(way.lost.sum()), N, share, factor) for way in ways)
    for key, counter in (("duplicate", "duplicated"), ("replay", "duplicated"),
                         ("corrupt", "corrupted")):
        if key in headline:
            of = rule["matched"] - rule["dropped"]
            assert is_share(rule[counter], of, headline[key] if share != 0.05 else share)


@pytest.mark.parametrize("name", having("delay", without=("down", "loss", "reorder")))
def test_delays_alone(trials, name):
    delays_agree(trials, name)


@pytest.mark.parametrize("name", [name for name in having("delay", without=("down", "every"))
                                  if name in SHARED and name != "jepsen_reorder"])
def test_delays_with_losses(trials, name):
    delays_agree(trials, name)


def delays_agree(trials, name):
    """Mean and standard deviation of one-way delays, and the round trip as the sum of both."""
    headline = trials.headline(name)
    if name == "ptp_gm_asym":
        return  # of Sync alone: below
    _, up, down = trials.run(name, np.arange(N) * SECOND)
    jitter = headline.get("jitter", 0)
    for way in harmed(trials, name, up, down):
        delays = way.delays()
        near = Z * jitter / math.sqrt(len(delays)) + 1
        assert abs(delays.mean() - headline["delay"]) <= near + 1e-4 * headline["delay"]
        # The variance of a variance: kurtosis 3 for a normal law, 9 for an exponential one.
        kurtosis = 9 if name in ("dc_healthy", "vopr_storm") else 3
        relative = Z * math.sqrt((kurtosis - 1) / len(delays)) / 2
        assert abs(delays.std() - jitter) <= 1.1 * relative * jitter + 1
    if "rtt" in headline:
        assert abs(up.delays().mean() + down.delays().mean() - headline["rtt"]) <= 2 * near
        assert headline["rtt"] == 2 * headline["delay"]


@pytest.mark.parametrize("name", having("down", "rate"))
def test_links(trials, name):
    """A packet alone takes the one-way delay and its own time on the link; 150 at once leave at the
    rate, and those that the queue has no room for do not."""
    headline = trials.headline(name)
    delay, rate = headline.get("delay", 0), headline.get("rate")
    spaced = np.arange(N) * 2 * SECOND
    count = 1_150 if "queue" in trials.presets[name]["parameters"] and rate == 1e3 else 150
    times = np.concatenate([spaced, np.full(count, spaced[-1] + 10 * SECOND)])
    stats, up, down = trials.run(name, times)
    mean = {}
    for way, key in ((up, "up"), (down, "down")):
        bps = rate or headline[key]
        alone = way.delays(slice(N)) - way.length[:N][~way.lost[:N]] * 8 * SECOND / bps
        asked = headline.get(f"{key}_delay", delay)
        assert (np.abs(alone - asked) <= 1).all()
        mean[key] = asked
        kept = ~way.lost[N:]
        left, length = np.sort(way.left[N:][kept]), way.length[N:][kept]
        found = (length[1:].sum() * 8 * SECOND) / (left[-1] - left[0])
        assert abs(found / bps - 1) < 1e-4
        assert kept.sum() == (1_000 if count > 1_000 else 100)
        if "loss" in headline:
            assert is_share(int(way.lost[:N].sum()), N, headline["loss"])
        else:
            assert not way.lost[:N].any()
    assert stats["ledger"]["dropped"]["queue"] > 0
    if "rtt" in headline:
        assert mean["up"] + mean["down"] == headline["rtt"]


@pytest.mark.parametrize("name", having("cut", without=("every",)))
def test_cuts_that_end(trials, name):
    """From when the rule is enabled, time zero, for as long as the headline says."""
    headline = trials.headline(name)
    times = np.linspace(0, 1.25 * headline["cut"], N).astype(np.int64)
    _, up, down = trials.run(name, times)
    for way in harmed(trials, name, up, down):
        inside = way.came < headline["cut"]
        assert not way.lost[~inside].any()
        if headline["loss"] == 1:
            assert way.lost[inside].all()
        elif name != "chubby_maint":
            assert is_share(int(way.lost[inside].sum()), int(inside.sum()), headline["loss"])


def test_chubbys_cuts(trials):
    """A fifth of the time, 15 s each on average: over 1,000 h, a packet a second at first."""
    times = np.concatenate([np.arange(N) * SECOND, 10**13 + np.arange(N) * 300 * SECOND])
    _, up, down = trials.run("chubby_maint", times, **{"for": "1000h"})
    for way in (up, down):
        assert is_share(int(way.lost[N:].sum()), N, trials.headline("chubby_maint")["loss"])
        lost = way.lost[:N].astype(int)
        cuts = int((np.diff(lost) == 1).sum())
        # Geometric lengths of mean 15 s and a bit, for being looked at once a second.
        assert abs(lost.sum() / cuts / 15.5 - 1) < Z / math.sqrt(cuts)


def test_cuts_again_and_again(trials):
    """3 s in every 60."""
    headline = trials.headline("aws_short_cuts")
    _, up, down = trials.run("aws_short_cuts", np.arange(N) * 100 * MS)
    for way in (up, down):
        phase = way.came % int(headline["every"])
        assert (way.lost == (phase >= headline["every"] - headline["cut"])).all()


def test_bursts(trials):
    """20 % in runs of 4."""
    _, up, _ = trials.run("jepsen_loss", np.arange(N) * SECOND)
    lost = up.lost.astype(int)
    runs = int((np.diff(lost) == 1).sum()) + lost[0]
    count = int(0.9 * runs)
    ends = np.flatnonzero(np.diff(np.append(lost, 0)) == -1)
    starts = np.flatnonzero(np.diff(np.insert(lost, 0, 0)) == 1)
    low, high = bounds.geometric_sum_interval(count, 1 / 4, ALPHA)
    assert low <= (ends - starts + 1)[:count].sum() <= high


def test_packets_sent_early(trials):
    """A fifth passes the others: at once instead of after 50 ms."""
    headline = trials.headline("jepsen_reorder")
    stats, up, down = trials.run("jepsen_reorder", np.arange(N) * MS)
    for way in (up, down):
        early = way.delays() == 0
        assert ((way.delays() == 50 * MS) | early).all()
        assert is_share(int(early.sum()), N, headline["reorder"])
        assert abs(way.delays().mean() - headline["delay"]) < Z * 20 * MS / math.sqrt(N)
    assert is_share(stats["rules"]["jepsen_reorder"]["reordered"], 2 * N, headline["reorder"])


def test_stale_packets(trials):
    """Seen again 10 s later; a tenth is damaged, under checksums that are right."""
    headline = trials.headline("arpanet_1980")
    capture, path = trials.capture(0, np.arange(N) * SECOND)
    output = trials.program.simulated(trials.text("arpanet_1980"), [path]).output
    serial = output.serial()
    first = {}
    again = []
    for number, left in zip(serial.tolist(), output.time_ns.astype(np.int64).tolist()):
        if number in first:
            again.append(left - first[number])
        first.setdefault(number, left)
    assert set(again) == {headline["age"]}


def test_a_round_of_starlink(trials):
    """Levels change every 15 s; half of the packets of the last 125 ms before that are lost, and
    0.5 % of the others."""
    headline = trials.headline("starlink")
    times = np.sort(np.concatenate([np.arange(60_000) * 15 * MS + 1,
                                    *(np.arange(2_000) * MS // 16 + k * 15 * SECOND - 125 * MS
                                      for k in range(1, 7))]))
    stats, up, down = trials.run("starlink", times)
    period = int(headline["every"])
    for way in (up, down):
        window = (way.came % period >= period - 125 * MS)
        steady = (way.came - 1) % (15 * MS) == 0  # at all times alike
        assert is_share(int(way.lost[~window].sum()), int((~window).sum()), 0.005)
        assert is_share(int(way.lost[window].sum()), int(window.sum()), 1 - 0.995 * 0.5)
        assert is_share(int(way.lost[steady].sum()), int(steady.sum()), headline["loss"])
        slots = way.came // period % 6
        settled = ~way.lost & (way.came % period > SECOND)
        levels = [(way.left - way.came)[settled & (slots == slot)].mean() for slot in range(6)]
        for found, level in zip(levels, (15, 25, 20, 15, 20, 25)):
            # Jitter uniform over 10 ms, of which 13 s hold 13 s / 20 ms independent levels.
            assert abs(found / MS - level) < Z * 10 / math.sqrt(12) / math.sqrt(13_000 / 20 * 10)
        mean = way.delays(steady).mean()
        assert abs(mean - headline["delay"]) < 0.5 * MS
    assert abs(up.delays().mean() + down.delays().mean() - headline["rtt"]) < MS


def test_spikes_on_the_way_to_a_mobile_client(trials):
    """Once in 20 minutes, 3 s more for one second; what comes next waits for it."""
    headline = trials.headline("mobile_spikes")
    period, spike = int(headline["every"]), int(headline["spike"])
    _, up, down = trials.run("mobile_spikes", np.arange(4 * N) * 100 * MS)
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
        ip = bytearray.fromhex("45000048000000004011") + bytes(2) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
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


def stationary_loss(rules):
    """What the loss models of a G.1050-style preset lose together, from their own numbers."""
    kept = 1.0
    parameters = {"$loss": None}
    for part in rules[0]["impair"]:
        loss = part.get("loss")
        if isinstance(loss, dict) and loss["model"] == "gilbert-elliott":
            p, r, bad = (amount(loss[key]) for key in ("p", "r", "loss_bad"))
            kept *= 1 - p / (p + r) * bad
        elif isinstance(loss, dict):
            up, down = amount(loss["up"]), amount(loss["down"])
            kept *= up / (up + down)
        elif loss is not None:
            kept *= 1 - parameters[loss] if parameters[loss] is not None else 1
    return 1 - kept


@pytest.mark.parametrize("letter", "abcdefgh")
def test_g1050(trials, letter):
    """Loss and delay while the link is up and the route is the first, then the cut itself."""
    name = f"g1050_{letter}"
    headline, shown = trials.headline(name), trials.shown(name)
    core = amount(shown["parameters"].get("loss", "0%"))
    all_but_core = stationary_loss(shown["rules"])
    expected = 1 - (1 - all_but_core) * (1 - core)
    assert abs(headline["loss"] / expected - 1) < 0.006, "three digits of what the models say"
    every, cut = headline.get("every", 1000 * SECOND), headline.get("cut", 0)
    span = min(every - cut, 1000 * SECOND)
    times = np.linspace(0, span - 1, 4 * N).astype(np.int64)
    _, up, down = trials.run(name, times)
    share = 1 - (1 - expected) / (1 - cut / every)
    jitter = amount(shown["parameters"]["jitter"])
    for way in (up, down):
        # Chains leave their bad state after r = 0.2/(1 + o) a ms: a second at most.
        assert is_share(int(way.lost.sum()), 4 * N, share, 1.0 + 1e-9 if share < 0.01 else 4.0)
        spread = math.hypot(jitter / math.sqrt(12), MS)
        levels = min(span / (2 * jitter), 4 * N) if letter != "h" else 4 * N
        assert abs(way.delays().mean() - headline["delay"]) < Z * spread * math.sqrt(2 / levels)
    if cut:
        times = np.arange(N) * int(cut / N * 2) + int(every - 1.5 * cut)
        _, up, down = trials.run(name, np.insert(times[:-1], 0, 0))
        for way in (up, down):
            inside = (way.came >= every - cut) & (way.came < every)
            assert way.lost[inside].all() and 0.49 * N < inside.sum() < 0.51 * N
            assert way.lost[~inside].mean() < 0.25


@pytest.mark.parametrize("ends, rtt", [("from: Brazil South, to: Southeast Asia", 337),
                                       ("from: France Central, to: Qatar Central", 121),
                                       ("from: Qatar Central, to: France Central", 87),
                                       ("from: East US, to: East US 2", 11)])
def test_regions(trials, ends, rtt):
    """Round trips of the table, split evenly."""
    _, up, down = trials.run("wan", np.arange(N) * SECOND, **{
        key: value for key, value in (part.split(": ") for part in ends.split(", "))})
    for way in (up, down):
        assert abs(way.delays().mean() / MS - rtt / 2) < Z * rtt / 200 / math.sqrt(N) * 1.01


def test_reverse_and_a_path(trials):
    """`reverse: true` turns a link round; on a path there is one direction."""
    times = np.arange(100) * SECOND
    _, up, down = trials.run("atc_edge", times, reverse="true")
    assert (up.delays() > 400 * MS).all() and (up.delays() < 410 * MS).all()
    assert (down.delays() > 440 * MS).all()
    _, up, down = trials.run("geo", times, on="right>left")
    assert (up.delays() == 0).all() and (down.delays() == 300 * MS).all()


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
    assert re.search(r"'preset') words='list show", completion)
    assert re.search(r"'preset show') words='[^']*\bwan_transatlantic\b", completion)
