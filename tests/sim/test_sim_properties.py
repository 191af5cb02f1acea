"""What holds for every scenario, tried on random ones: the books balance, nothing leaves early, order
is kept where nothing breaks it, explain tells what simulate does, and neither bursts nor a second
run change a byte."""

import json
import random
from collections import Counter

import numpy as np
import pytest

from model import captures, frames
from model.compositions import Composition

PACKETS = 500
#: What a composition may be refused for: too many copies of one packet, and no more.
REFUSALS = ("33",)
#: Those in which something was wrong once.
FOUND = [1095, 1153, 1168, 1233, 1259]


@pytest.fixture(scope="module")
def mixture(program):
    """Frames of every shape in both directions, 80 us apart, some at one instant."""
    rng = np.random.default_rng(31)
    made = [frames.random_frame(rng) for _ in range(PACKETS)]
    times = 10**18 + np.cumsum(rng.choice([0, 1, 40_000, 80_000, 250_000], PACKETS))
    capture = captures.from_frames(made, times)
    capture.interface = rng.integers(0, 2, PACKETS).astype(np.uint32)
    capture.names = ["left", "right"]
    path = program.folder / "mixture.pcapng"
    captures.write_pcapng(path, capture)
    return path, capture


def simulated(program, text, path, burst, out):
    """What was written, and told; None where the scenario is refused for a reason that may be."""
    outcome = program.simulate(text, [path], "--burst", burst, "--drops", program.folder / "d.pcapng",
                               out=out)
    if outcome.status == 1 and any(reason in outcome.stderr for reason in REFUSALS):
        return None
    assert outcome.status == 0, outcome.text()
    told = json.loads(outcome.stdout)
    del told["hold"]["peak_bytes"]  # what a burst brings waits together
    for rule in told["rules"].values():  # runs are of fates in the order in which they were known
        rule.get("loss", {}).pop("mean_run", None)
    for port in told["ports"].values():  # at one instant the order of a poll counts
        for key in ("tx_reordered", "tx_extent_sum", "tx_extent_max"):
            del port[key]
    return outcome, (outcome.out.read_bytes(), dropped(program.folder / "d.pcapng"), told)


def dropped(path):
    """What was dropped, when and why. With head drop a packet is told of when the one on the link
    has left, which may be after others that were dropped later."""
    drops = captures.read_pcapng(path)
    return sorted((time, port, drops.frame(at), drops.comment(at)) for at, (time, port) in
                  enumerate(zip(drops.time_ns.tolist(), drops.interface.tolist())))


def check_books(stats):
    ledger = stats["ledger"]
    assert ledger["balanced"] is True and ledger["held"] == 0
    assert ledger["received"] == PACKETS
    assert ledger["received"] + ledger["copies"] + ledger["injected"] == ledger["sent"] + sum(
        ledger["dropped"].values())
    assert not any(ledger["dropped"][reason] for reason in ("no_mbuf", "tx_full", "tx_error"))
    rules = stats["rules"].values()
    assert ledger["copies"] == sum(rule["duplicated"] for rule in rules)
    assert ledger["injected"] == sum(rule["injected"] for rule in rules)


def check_explained(told, capture, outcome):
    """Each packet's fate is among those that simulate gave; without copies and answers, all are."""
    stats = outcome.stats
    sent = Counter(packet["fate"]["release_ns"] for packet in told
                   if packet["fate"]["action"] == "send")
    dropped = Counter(packet["fate"]["reason"] for packet in told
                      if packet["fate"]["action"] == "drop")
    left = Counter(outcome.output.time_ns.tolist())
    gone = Counter({reason: count for reason, count in stats["ledger"]["dropped"].items() if count})
    assert len(told) == PACKETS
    assert not sent - left and not dropped - gone
    if stats["ledger"]["copies"] + stats["ledger"]["injected"] == 0:
        assert sent == left and dropped == gone
        for name, rule in stats["rules"].items():
            assert rule["matched"] == sum(each["matched"] for packet in told
                                          for each in packet["rules"] if each["rule"] == name)
    for packet, arrival in zip(told, capture.time_ns.tolist()):
        if packet["fate"]["action"] == "send":
            assert packet["fate"]["release_ns"] >= arrival, packet


def check_order(told, capture):
    """Of each flow in each direction, in the order in which its packets came."""
    latest = {}
    for packet, port in zip(told, capture.interface.tolist()):
        if packet["fate"]["action"] == "send":
            release = packet["fate"]["release_ns"]
            assert release >= latest.get((packet["flow"], port), 0), packet
            latest[packet["flow"], port] = release


def judge(program, mixture, number):
    """Whether the composition of this number could be run, and was orderly."""
    path, capture = mixture
    composition = Composition(random.Random(number))
    first = simulated(program, composition.text, path, "32", "first.pcapng")
    if first is None:
        return None
    outcome, written = first
    check_books(outcome.stats)
    assert (np.diff(outcome.output.time_ns.astype(np.int64)) >= 0).all()
    for burst in ("1", "64", "32") if number % 4 == 0 else ("1", "64"):
        assert simulated(program, composition.text, path, burst, "again.pcapng")[1] == written, burst
    told = program.run("explain", program.folder / "scenario.yaml", "--pcap", path, "--json")
    assert told.status == 0, told.text()
    told = [json.loads(line) for line in told.stdout.splitlines()]
    check_explained(told, capture, outcome)
    if composition.orderly:
        check_order(told, capture)
    return composition.orderly


def run(program, mixture, numbers):
    """All of them; which failed, and how many of each kind there were."""
    wrong, kinds = [], Counter()
    for number in numbers:
        try:
            kinds[judge(program, mixture, number)] += 1
        except AssertionError as failure:
            wrong.append(f"composition {number}: {str(failure)[:400]}\n"
                         + Composition(random.Random(number)).text)
    assert not wrong, f"{len(wrong)} of {len(numbers)}:\n" + "\n".join(wrong[:5])
    return kinds


def test_random_compositions(program, mixture):
    kinds = run(program, mixture, FOUND + list(range(20)))
    assert kinds[True] >= 4 and kinds[False] >= 6, kinds


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_many_random_compositions(program, mixture, part):
    """300 a part."""
    first = 1000 + part * 300
    kinds = run(program, mixture, range(first, first + 300))
    assert kinds[True] >= 60 and kinds[False] >= 100, kinds
