"""Queues and the laws by which they drop, against models written from their papers: CoDel, PIE, RED,
head drop, and links whose capacity was recorded."""

import random

import numpy as np
import pytest

from model import captures
from model.codel import codel
from model.dice import Dice
from model.flows import flow_of
from model.laws import scope_identity
from model.mahimahi import link_trace
from model.pie import pie
from model.slots import slots
from program import scenario_of

MS = 10**6
ECN_AT = 15


def offered(make_input, name, count, rate_bps, *, load=1.4, flows=1, ecn=False, grid=1, salt=11,
            phase=3000):
    """Packets that overload a link for two thirds of the time and leave it alone for one, and the
    models' view of them."""
    traffic = captures.udp_traffic(count, flows, salt=salt)
    capture = traffic.capture
    source = random.Random(salt)
    mean_ns = 8 * float(capture.length.mean()) * 1e9 / rate_bps
    passed = 0.0
    for at in range(count):
        passed += source.expovariate(1) * mean_ns / (load if at // phase % 3 != 2 else 0.3)
        capture.time_ns[at] = (captures.FIRST_NS + int(passed)) // grid * grid
    if ecn:
        capture.bytes_[:, ECN_AT] = [source.randrange(4) for _ in range(count)]
    arrivals = list(zip((int(each) for each in capture.time_ns),
                        (int(each) for each in capture.length),
                        (int(each) for each in capture.bytes_[:, ECN_AT])))
    return make_input(name, traffic), arrivals


def departures(output):
    """By serial number: when, and with which ECN field."""
    return {int(serial): (int(time), int(row[ECN_AT]) & 3)
            for serial, time, row in zip(output.serial(), output.time_ns, output.bytes_)}


def check(outcome, arrivals, fates, zero=0):
    """Every packet's fate is the model's."""
    left = departures(outcome.output)
    expected = {}
    for serial, (arrival, fate) in enumerate(zip(arrivals, fates)):
        if fate[0] in ("sent", "marked"):
            expected[serial] = (fate[1] + zero, 3 if fate[0] == "marked" else arrival[2])
    assert left == expected
    assert outcome.stats["ledger"]["balanced"]
    assert outcome.stats["ledger"]["dropped"]["queue"] == len(arrivals) - len(expected)


def kinds(fates):
    return {kind: sum(fate[0] == kind for fate in fates) for kind in {fate[0] for fate in fates}}


@pytest.mark.parametrize("rate, load, ecn, grid, target, interval", [
    (10**7, 1.5, False, 1, 5, 100), (10**7, 1.5, True, 1, 5, 100),
    (3 * 10**6 + 1, 2.0, True, 1000, 5, 100), (10**7, 1.2, False, 10**5, 12, 30)])
def test_codel_drops_what_its_model_drops(program, make_input, rate, load, ecn, grid, target, interval):
    """The same packets are dropped, marked and tail-dropped as by RFC 8289, at the same times."""
    given, arrivals = offered(make_input, f"codel{rate}{ecn}{grid}", 30_000, rate, load=load, ecn=ecn,
                              grid=grid)
    fates = codel(arrivals, rate, target * MS, interval * MS, 1000, ecn)
    found = kinds(fates)
    assert found["codel"] > 0 and (found.get("marked", 0) > 0) == ecn
    impair = [f"rate: {rate}bit",
              f"queue: {{limit: 1000p, discipline: codel, target: {target}ms, interval: {interval}ms, "
              f"ecn: {str(ecn).lower()}}}"]
    for burst in ("1", "32"):
        outcome = program.simulated(scenario_of(("r", impair), seed=1), [given.path], "--burst",
                                    burst)
        check(outcome, arrivals, fates)


def test_codel_for_each_of_64k_flows(program, make_input):
    """65,536 flows, each with a rate and a CoDel of its own: exact on a sample of flows, all of
    them balanced."""
    rate = 200_000
    given, arrivals = offered(make_input, "manyqueues", 400_000, rate * 65_536, load=3,
                              flows=65_536, salt=5)
    scenario = scenario_of(("r", [f"rate: {rate}bit", "queue: {limit: 20p, discipline: codel}"]),
                           seed=1).replace("    impair:", "    per: flow\n    impair:")
    scenario += "hold: {memory: 2GB}\nflows: {max: 100k}\n"
    outcome = program.simulated(scenario, [given.path])
    stats = outcome.stats
    assert stats["ledger"]["balanced"] and stats["scopes"]["lost"] == 0
    assert stats["scopes"]["active"] > 60_000
    left = departures(outcome.output)
    for flow in random.Random(1).sample(range(65_536), 200):
        mine = np.flatnonzero(given.flow == flow)
        fates = codel([arrivals[at] for at in mine], rate, 5 * MS, 100 * MS, 20)
        for at, fate in zip(mine, fates):
            assert left.get(int(at)) == ((fate[1], 0) if fate[0] == "sent" else None), flow


@pytest.mark.parametrize("ecn, alpha, beta", [(False, 0.125, 1.25), (True, 0.125, 1.25),
                                              (False, 0.5, 5)])
def test_pie_drops_what_its_model_drops(program, make_input, ecn, alpha, beta):
    """RFC 8033 with the rule's own dice: the same packets."""
    rate = 10**7
    given, arrivals = offered(make_input, f"pie{ecn}", 60_000, rate, load=1.3, ecn=ecn, salt=3,
                              phase=15_000)
    zero = arrivals[0][0]
    identity = flow_of(given.capture.frame(0)).identity()
    dice = Dice(7, "r", 0, 0)
    draws = dice.run(identity, 1, len(arrivals))
    relative = [(time - zero, length, field) for time, length, field in arrivals]
    fates = pie(relative, rate, 2000, 15 * MS, 15 * MS, 150 * MS, alpha, beta,
                lambda number: float(int(draws[number - 1]) >> 11) * 2.0**-53, ecn)
    assert kinds(fates)["pie"] > 100
    could_be_marked = sum(fate[0] == "pie" and arrival[2] != 0
                          for fate, arrival in zip(fates, arrivals))
    assert not ecn or could_be_marked > 10, "above 10 % marks are no more"
    impair = [f"rate: {rate}bit",
              f"queue: {{limit: 2000p, discipline: pie, alpha: {alpha}, beta: {beta}, "
              f"ecn: {str(ecn).lower()}}}"]
    for burst in ("1", "32"):
        outcome = program.simulated(scenario_of(("r", impair), seed=7), [given.path], "--burst",
                                    burst)
        check(outcome, arrivals, fates, zero)


def test_red_holds_its_average(program, make_input):
    """Under a steady overload RED drops what is too much and keeps the queue between min and max;
    drops come singly and not in runs, as with a full queue."""
    rate = 10**7
    count = 60_000
    traffic = captures.udp_traffic(count, 1, salt=9)
    mean_bytes = float(traffic.capture.length.mean())
    spacing = 8 * mean_bytes * 1e9 / rate / 1.05
    traffic.capture.time_ns[:] = (np.arange(count) * spacing).astype(np.uint64) + captures.FIRST_NS
    given = make_input("red", traffic)
    impair = [f"rate: {rate}bit",
              "queue: {limit: 1000p, discipline: red, min: 50p, max: 200p, probability: 10%}"]
    outcome = program.simulated(scenario_of(("r", impair), seed=5), [given.path])
    output = outcome.output
    lost = 1 - len(output) / count
    assert 0.03 < lost < 0.06, "about 1 - 1/1.05"
    waits = (output.time_ns - traffic.capture.time_ns[output.serial()]).astype(float)
    packets = waits[len(waits) // 2:] / (8 * mean_bytes * 1e9 / rate)
    assert 50 < packets.mean() < 200
    gaps = np.diff(np.flatnonzero(~np.isin(np.arange(count), output.serial())))
    assert (gaps == 1).mean() < 0.2


def red_by_length(arrivals, rate, least, most, probability, draw):
    """Figure 2 of Floyd & Jacobson 1993 where the average is the length that a packet finds."""
    free, there, count, fates = 0, [], -1, []
    unit = 1 << 32
    for at, (time, length, _) in enumerate(arrivals):
        there = [each for each in there if each > time]
        hit = len(there) >= most
        if least <= len(there) < most:
            count += 1
            rising = probability * (len(there) - least) / (most - least)
            hit = count * rising >= 1 or draw(at) * (1 - count * rising) < rising
        if hit or len(there) < least:
            count = 0 if hit else -1
        if hit:
            fates.append(("red",))
            continue
        free = max(time * unit, free) + 8 * length * 10**9 * unit // rate
        there.append(-(-free // unit))
        fates.append(("sent", there[-1]))
    return fates


@pytest.mark.parametrize("burst", ["1", "32"])
def test_red_drops_what_its_figure_says(program, make_input, burst):
    """With weight 1 the average is the length: the same packets."""
    rate = 10**7
    given, arrivals = offered(make_input, "redlength", 20_000, rate, load=1.3, salt=8)
    identity = flow_of(given.capture.frame(0)).identity()
    draws = Dice(7, "r", 0, 0).run(identity, 1, len(arrivals))
    fates = red_by_length(arrivals, rate, 10, 60, 0.05,
                          lambda at: float(int(draws[at]) >> 11) * 2.0**-53)
    assert kinds(fates)["red"] > 500
    impair = [f"rate: {rate}bit", "queue: {limit: 500p, discipline: red, min: 10p, max: 60p, "
                                  "probability: 5%, weight: 1}"]
    outcome = program.simulated(scenario_of(("r", impair), seed=7), [given.path], "--burst", burst)
    check(outcome, arrivals, fates)


def test_head_drop_keeps_the_youngest(program, make_input):
    """A full queue loses its oldest packet: what leaves has waited less than with tail drop, and as
    much is lost."""
    rate = 10**6
    given, arrivals = offered(make_input, "head", 20_000, rate, load=2)
    lines = {}
    for discipline in ("tail", "head"):
        impair = [f"rate: {rate}bit", f"queue: {{limit: 50p, discipline: {discipline}}}"]
        lines[discipline] = program.simulated(scenario_of(("r", impair), seed=1), [given.path])
    expected = head_drop(arrivals, rate, 50)
    assert departures(lines["head"].output) == expected
    sent = {each: len(lines[each].output) for each in lines}
    assert abs(sent["tail"] - sent["head"]) < 0.02 * sent["tail"]


def head_drop(arrivals, rate, limit):
    """One packet in service, the others wait; a full queue loses the one that waits longest."""
    free, waiting, left = 0, [], {}
    unit = 1 << 32

    def serve(start):
        serial, length = waiting.pop(0)
        end = start + 8 * length * 10**9 * unit // rate
        left[serial] = (-(-end // unit), 0)
        return end

    for serial, (time, length, _) in enumerate(arrivals):
        now = time * unit
        while waiting and free <= now:
            free = serve(free)
        while len(waiting) + (free > now) >= limit:
            waiting.pop(0)
        waiting.append((serial, length))
        if free <= now:
            free = serve(now)
    while waiting:
        free = serve(free)
    return left


@pytest.mark.parametrize("loop, limit", [(True, None), (False, None), (True, 20)])
def test_a_recorded_link_serves_as_mahimahi_would(program, make_input, tmp_path, loop, limit):
    """Opportunities of 1,500 bytes, at their ms, byte by byte; the file loops or ends."""
    source = random.Random(2)
    trace = sorted(source.choices(range(0, 900), k=700)) + [1000]
    (tmp_path / "link.trace").write_text("".join(f"{line}\n" for line in trace))
    given, arrivals = offered(make_input, f"trace{loop}{limit}", 8_000, 8 * 1500 * 700, load=1.2)
    zero = arrivals[0][0]
    relative = [(time - zero, length) for time, length, _ in arrivals]
    fates = link_trace(relative, trace, loop, limit)
    impair = [f"link_trace: {{file: {tmp_path}/link.trace, loop: {str(loop).lower()}}}"]
    if limit:
        impair.append(f"queue: {{limit: {limit}p}}")
    outcome = program.simulated(scenario_of(("r", impair), seed=1), [given.path])
    check(outcome, arrivals, fates, zero)


def test_codel_behind_a_recorded_link(program, make_input, tmp_path):
    """A law that judges at service works on every server: the standing delay comes down."""
    (tmp_path / "steady.trace").write_text("".join(f"{ms}\n" for ms in range(10, 1001, 10)))
    given, _ = offered(make_input, "steady", 60_000, 12 * 10**5, load=1.04, phase=60_000)
    means = {}
    for discipline in ("tail", "codel"):
        impair = [f"link_trace: {{file: {tmp_path}/steady.trace}}",
                  f"queue: {{limit: 1000p, discipline: {discipline}}}"]
        output = program.simulated(scenario_of(("r", impair), seed=1), [given.path]).output
        waits = output.time_ns - given.capture.time_ns[output.serial()]
        means[discipline] = float(waits.mean())
    assert means["codel"] < means["tail"] / 2


def test_police_is_a_token_bucket(program, make_input):
    """Tokens in exact fractions: a packet passes iff its bytes are there."""
    rate, burst = 10**6, 10_000
    given, arrivals = offered(make_input, "police", 20_000, rate, load=1.5, grid=7)
    outcome = program.simulated(
        scenario_of(("r", [f"police: {{rate: {rate}bit, burst: {burst}B}}"]), seed=1),
        [given.path])
    tokens, before, passed = burst * 8 * 10**9, arrivals[0][0], []
    for serial, (time, length, _) in enumerate(arrivals):
        tokens = min(burst * 8 * 10**9, tokens + (time - before) * rate)
        before = time
        if tokens >= length * 8 * 10**9:
            tokens -= length * 8 * 10**9
            passed.append(serial)
    assert outcome.output.serial().tolist() == passed
    assert (outcome.output.time_ns == given.capture.time_ns[passed]).all()
    assert outcome.stats["ledger"]["dropped"]["police"] == len(arrivals) - len(passed)


@pytest.mark.parametrize("rate, wire, gap", [(10**10, 84, 672 / 10), (10**11, 84, 672 / 100)])
def test_fast_links_keep_their_mean_rate(program, rate, wire, gap):
    """84 bytes of wire at 10 and 100 Gbit/s: whole nanoseconds would be off by 0.3 % and more; the
    mean rate of 100,000 packets is right to 10^-6."""
    traffic = captures.udp_traffic(100_000, 1, salt=4).capture
    traffic.time_ns[:] = captures.FIRST_NS
    traffic.length[:] = 60
    traffic.bytes_[:, 16:18], traffic.bytes_[:, 38:40] = (0, 46), (0, 26)  # IP and UDP lengths
    path = program.folder / "fast.pcap"
    captures.write_pcap(path, traffic)
    impair = [f"rate: {{rate: {rate}bit, overhead: 24B, minimum: {wire}B}}"]
    output = program.simulated(scenario_of(("r", impair), seed=1), [path]).output
    took = int(output.time_ns[-1]) - captures.FIRST_NS
    assert abs(took / (len(output) * gap) - 1) < 1e-6


@pytest.mark.parametrize("burst", ["1", "32"])
@pytest.mark.parametrize("keys, model", [
    ("min: 3ms", {}), ("min: 1ms, max: 8ms", {}), ("min: 2ms, max: 4ms, packets: 7", {"packets": 7}),
    ("min: 2ms, max: 9ms, packets: 20, bytes: 6KB", {"packets": 20, "bytes_": 6000})])
@pytest.mark.parametrize("limit", [None, 30])
def test_slots_open_as_the_model_says(program, make_input, keys, model, limit, burst):
    """What has come leaves together; the next slot is drawn from the last one or from the packet."""
    given, arrivals = offered(make_input, "slots", 8_000, 10**7, load=1.1, phase=700)
    zero = arrivals[0][0]
    identity = scope_identity("left", "right")
    dice = Dice(7, "r", 0, 0)
    draws = dice.run(identity, 0, len(arrivals))
    times = [int(word.removesuffix("ms")) * MS for key, word in
             (pair.split(": ") for pair in keys.split(", ")) if key in ("min", "max")]
    left = slots([(time - zero, length) for time, length, _ in arrivals], times[0], times[-1],
                 lambda slot: int(draws[slot]), limit=limit, **model)
    impair = [f"slot: {{{keys}}}"] + ([f"queue: {{limit: {limit}p}}"] if limit else [])
    outcome = program.simulated(scenario_of(("r", impair), seed=7), [given.path], "--burst", burst)
    check(outcome, arrivals, [("dropped",) if time is None else ("sent", time) for time in left], zero)
    assert limit is None or 100 < left.count(None)
