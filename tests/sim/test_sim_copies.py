"""duplicate, replay, stop_after: times, order, numbers and books, against a model of the copies."""

import math

import numpy as np
import pytest

from model import captures, copies, links
from model.dice import FATE, Dice, below, threshold
from program import scenario_of

MS = 10**6
COUNT = 10_000


@pytest.fixture(scope="module")
def part(make_input):
    """10,000 packets of 20 flows, 10 us apart, with a few equal times."""
    return make_input("copied", captures.udp_traffic(COUNT, spacing_ns=10_000, salt=21))


def hits(part, seed, rule, impairment, rate):
    """Which packets a memoryless impairment hits."""
    dice = Dice(seed, rule, impairment, FATE)
    return below(dice.uniforms(part.identity, part.number), threshold(rate))


def found(outcome):
    """(time, serial) of what left, in the order of the file."""
    return list(zip(outcome.output.time_ns.tolist(), outcome.output.serial().tolist()))


def books(outcome, received, made):
    """The ledger, which must balance."""
    ledger = outcome.stats["ledger"]
    assert ledger["balanced"] is True and ledger["held"] == 0
    assert (ledger["received"], ledger["copies"], ledger["injected"]) == (received, made, 0)
    assert ledger["sent"] == len(outcome.output)
    assert received + made == ledger["sent"] + sum(ledger["dropped"].values())
    return ledger["dropped"]


@pytest.mark.parametrize("burst", ["1", "64"])
@pytest.mark.parametrize("count, delay_ns", [(1, 0), (3, 0), (2, 700_001), (32, 5_000)])
def test_duplicates_are_the_models(program, part, count, delay_ns, burst):
    """Which, how many, when, in which order, with which bytes."""
    text = scenario_of(("twice", [f"duplicate: {{rate: 3%, copies: {count}, delay: {delay_ns}ns}}"]),
                       seed=5)
    outcome = program.simulated(text, [part.path], "--burst", burst)
    hit = hits(part, 5, "twice", 0, "3%")
    items = copies.duplicated(part.capture.time_ns, hit, count, delay_ns)
    assert found(outcome) == copies.left(items, [item.time for item in items])
    rows = part.capture.bytes_[outcome.output.serial()]
    assert (outcome.output.bytes_ == rows[:, :outcome.output.bytes_.shape[1]]).all()
    books(outcome, COUNT, count * int(hit.sum()))
    assert outcome.stats["rules"]["twice"]["duplicated"] == count * hit.sum() > 0
    assert outcome.stats["rules"]["twice"]["matched"] == COUNT


@pytest.mark.parametrize("burst", ["1", "32"])
def test_replayed_packets_are_the_models(program, part, burst):
    """The packet at its own time, its copy `age` later."""
    text = scenario_of(("stale", ["delay: 1ms", "replay: {rate: 5%, age: 40ms}"]), seed=6)
    outcome = program.simulated(text, [part.path], "--burst", burst)
    hit = hits(part, 6, "stale", 1, "5%")
    items = copies.replayed(part.capture.time_ns + np.uint64(MS), hit, 40 * MS)
    assert found(outcome) == copies.left(items, [item.time for item in items])
    books(outcome, COUNT, int(hit.sum()))
    assert outcome.stats["rules"]["stale"]["duplicated"] == hit.sum() > 300


@pytest.mark.parametrize("maker", ["duplicate: {rate: 20%, copies: 2}",
                                   "duplicate: {rate: 20%, copies: 2, delay: 300us}",
                                   "replay: {rate: 20%, age: 7ms}"])
@pytest.mark.parametrize("per, of", [("rule", 0), ("flow", 1)])
def test_copies_take_up_room_behind(program, part, maker, per, of):
    """A link and its queue in a later rule, and one in the same: copies wait, and are dropped, like
    packets. In scopes of flows, in those of their packet."""
    capture = part.capture
    scope = part.flow * of
    rate = 60_000_000 if per == "rule" else 3_000_000
    text = scenario_of(("made", [maker, f"rate: {rate}bit", "queue: {limit: 30p}"]),
                       ("behind", [f"rate: {rate}bit", "queue: {limit: 9p}"]), seed=8)
    text = text.replace("    impair:", f"    per: {per}\n    impair:")
    hit = hits(part, 8, "made", 0, "20%")
    if maker.startswith("replay"):
        items = copies.replayed(capture.time_ns, hit, 7 * MS)
    else:
        items = copies.duplicated(capture.time_ns, hit, 2, 300_000 if "delay" in maker else 0)
    first, second = ({key: links.Link(rate, ("p", limit)) for key in set(scope.tolist())}
                     for limit in (30, 9))
    times = copies.through(items, capture.length, [
        lambda packet, time: first[int(scope[packet])].offer(time, int(capture.length[packet])),
        lambda packet, time: second[int(scope[packet])].offer(time, int(capture.length[packet]))])
    for burst in ("1", "64"):
        outcome = program.simulated(text, [part.path], "--burst", burst)
        assert found(outcome) == copies.left(items, times)
        dropped = books(outcome, COUNT, len(items) - COUNT)
        assert dropped["queue"] == len(items) - len(outcome.output) > 100


@pytest.mark.parametrize("per, of", [("rule", 0), ("flow", 1)])
@pytest.mark.parametrize("maker, delay_ns", [("duplicate: {rate: 10%, copies: 2}", 0),
                                             ("duplicate: {rate: 10%, copies: 2, delay: 90us}",
                                              90_000)])
def test_copies_are_numbered_behind(program, part, maker, delay_ns, per, of):
    """Rules behind the one that made them count copies, right after their packet; stop_after and
    every go by that, and flows share them."""
    text = scenario_of(("made", [maker]), ("every", ["loss: {model: every, n: 7}"]),
                       ("stop", [f"stop_after: {300 if of else 9_000}"]), seed=9)
    text = text.replace("    impair:", f"    per: {per}\n    impair:")
    hit = hits(part, 9, "made", 0, "10%")
    items = copies.duplicated(part.capture.time_ns, hit, 2, delay_ns)
    numbers = copies.numbered(items, part.flow * of)
    times = [item.time if number % 7 != 0 and number <= (300 if of else 9_000) else None
             for item, number in zip(items, numbers)]
    outcome = program.simulated(text, [part.path])
    assert found(outcome) == copies.left(items, times)
    dropped = books(outcome, COUNT, len(items) - COUNT)
    assert dropped["loss"] == sum(number % 7 == 0 for number in numbers)
    rules = outcome.stats["rules"]
    assert rules["every"]["matched"] == rules["stop"]["matched"] == len(items)


def test_in_their_own_rule_copies_have_their_packets_number(program, part):
    """stop_after and every right behind the duplication: all of them pass, or none."""
    text = scenario_of(("made", ["duplicate: {rate: 30%, copies: 2}", "loss: {model: every, n: 5}",
                                 "stop_after: 7000"]), seed=10)
    hit = hits(part, 10, "made", 0, "30%")
    items = copies.duplicated(part.capture.time_ns, hit, 2, 0)
    times = [item.time if (item.packet + 1) % 5 != 0 and item.packet < 7000 else None
             for item in items]
    outcome = program.simulated(text, [part.path])
    assert found(outcome) == copies.left(items, times)
    books(outcome, COUNT, len(items) - COUNT)
    assert outcome.stats["rules"]["made"]["matched"] == COUNT


def test_copies_have_dice_of_their_own(program, some):
    """A loss of 30 % behind, in the rule and in a later one: packet and copies are hit independently
    of each other, each as often; what stands before befalls all of them."""
    count = len(some)
    text = scenario_of(("made", ["loss: 10%", "duplicate: {copies: 2}", "loss: 30%"]),
                       ("later", ["loss: 30%"]), seed=11)
    outcome = program.simulated(text, [some.path])
    lost = hits(some, 11, "made", 0, "10%")
    times = np.bincount(outcome.output.serial(), minlength=count)
    assert not times[lost].any()
    alive = int((~lost).sum())
    pass_ = 0.7 * 0.7
    for number in range(4):
        share = math.comb(3, number) * pass_**number * (1 - pass_) ** (3 - number)
        seen = int((times[~lost] == number).sum())
        assert abs(seen - alive * share) < 5 * math.sqrt(alive * share * (1 - share)), number
    books(outcome, count, 2 * alive)
    # The packet itself is hit as if it had no copies.
    alone = program.simulated(text.replace("duplicate: {copies: 2}", "delay: 0ms"), [some.path],
                              out="alone.pcapng")
    kept = set(alone.output.serial().tolist())
    assert kept <= set(outcome.output.serial().tolist())


def test_copies_of_copies_and_their_end(program, part):
    """Four times eight is what one packet may become, less one; each step's copies are copied by
    the next. One more is refused."""
    text = scenario_of(("a", ["duplicate: {copies: 3, delay: 1us}"]),
                       ("b", ["duplicate: {copies: 7, delay: 100us}"]), seed=12)
    outcome = program.simulated(text, [part.path])
    expected = sorted((int(time) + 1000 * first + 100_000 * second, packet)
                      for packet, time in enumerate(part.capture.time_ns)
                      for first in range(4) for second in range(8))
    assert sorted(found(outcome)) == expected
    books(outcome, COUNT, 31 * COUNT)
    refused = program.simulate(text.replace("copies: 7", "copies: 8"), [part.path])
    assert refused.status == 1 and "33" in refused.stderr


def test_only_what_matches_is_copied(program, part):
    """A rule of one port; and in the other direction none."""
    text = scenario_of(("one", ["duplicate: {copies: 1}"], "{sport: 10003}"), seed=13)
    outcome = program.simulated(text, [part.path])
    times = np.bincount(outcome.output.serial(), minlength=COUNT)
    assert (times == 1 + (part.flow == 3)).all()
    books(outcome, COUNT, int((part.flow == 3).sum()))


@pytest.mark.parametrize("keys, scope", [
    ({}, "direction"), ({"shared": "true"}, "all"), ({"per": "flow"}, "flow"),
    ({"match": "{proto: udp, len: 61-66}"}, "length")])
def test_stop_after(program, some, answer, keys, scope):
    """N packets of each scope pass: of a direction, of both, of a flow, of what matches; numbered at
    arrival, whether or not an earlier rule drops them."""
    limit = {"direction": 1234, "all": 3000, "flow": 77, "length": 500}[scope]
    text = scenario_of(("thin", ["loss: 20%"]), ("stop", [f"stop_after: {limit}"]), seed=14)
    added = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    text = text.replace("  - name: stop\n", "  - name: stop\n" + added)
    inputs = [f"left={some.path}", f"right={answer.path}"]
    merged = sorted((int(time), side, at) for side, given in enumerate((some, answer))
                    for at, time in enumerate(given.capture.time_ns))
    thinned = [hits(given, 14, "thin", 0, "20%") for given in (some, answer)]
    counts, expected = {}, []
    for time, side, at in merged:
        given = (some, answer)[side]
        key = {"direction": side, "all": 0, "flow": (side, int(given.flow[at])),
               "length": side}[scope]
        if scope != "length" or 61 <= given.capture.length[at] <= 66:
            counts[key] = counts.get(key, 0) + 1
            if counts[key] > limit:
                continue
        if not thinned[side][at]:
            expected.append((time, (side, at)))
    for burst in ("1", "32"):
        outcome = program.simulated(text, inputs, "--burst", burst)
        output = outcome.output
        sides = output.interface ^ 1
        seen = [(time, (int(side), int(serial) - (1 << 40) * int(side))) for time, side, serial
                in zip(output.time_ns.tolist(), sides, output.serial())]
        assert seen == expected
        ledger = outcome.stats["ledger"]
        assert ledger["balanced"] and ledger["dropped"]["filtered"] > 1000


def test_stop_after_nothing(program, few):
    outcome = program.simulated(scenario_of(("stop", ["stop_after: 0"])), [few.path], "--seed", "1")
    assert len(outcome.output) == 0
    assert outcome.stats["ledger"]["dropped"]["filtered"] == len(few)
