"""The models of managed queues and of traces against cases done by hand. Needs nothing of
faultline."""

import random
import sys
from fractions import Fraction
from math import ceil, sqrt
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model import pie as pie_model
from model.codel import codel, service_ticks
from model.mahimahi import Trace, link_trace
from model.pie import pie

MS = 10**6
RATE = 12 * 10**6  # 1500 bytes take 1 ms
ECT, CE = 2, 3


def stream(start_ms, count, gap_ns=MS // 2, ecn=0, length=1500):
    return [(start_ms * MS + index * gap_ns, length, ecn) for index in range(count)]


def codel_12(arrivals, **options):
    """5 ms and 100 ms, on a link that nothing overflows."""
    return codel(arrivals, RATE, 5 * MS, 100 * MS, 10**6, **options)


def where(fates, kind):
    return [index for index, fate in enumerate(fates) if fate[0] == kind]


def unasked(number):
    raise AssertionError(f"no draw is due at arrival {number}")


def pie_12(arrivals, limit=10**6, draws=unasked, **options):
    """RFC 8033's default parameters."""
    return pie(arrivals, RATE, limit, 15 * MS, 15 * MS, 150 * MS, 0.125, 1.25, draws, **options)


# The link that both share.

@pytest.mark.parametrize("model", [codel_12, pie_12])
def test_a_link_serves_in_turn(model):
    """Below the rate each packet takes its own time; above it they queue, to the exact end."""
    assert model(stream(0, 3, 2 * MS)) == [("sent", at * MS) for at in (1, 3, 5)]
    assert model(stream(0, 3)) == [("sent", at * MS) for at in (1, 2, 3)]


def test_service_times_are_cut_and_departures_rounded_up():
    """7 Gbit/s: 100 bytes take 114.2857... ns; the error stays below 2^-32 ns a packet."""
    exact = Fraction(800 * 10**9, 7 * 10**9)
    assert service_ticks(100, 7 * 10**9) == int(exact * 2**32)
    fates = codel([(5, 100, 0)] * 50, 7 * 10**9, 5 * MS, 100 * MS, 100)
    for index, fate in enumerate(fates, 1):
        assert fate == ("sent", 5 + ceil(index * Fraction(int(exact * 2**32), 2**32)))
    assert fates[6] == ("sent", 5 + 800)  # cut just below the whole number, and rounded up to it


def test_framing_takes_time_on_the_link():
    """24 bytes more on the wire than in the queue."""
    def wire(length):
        return max(length, 60) + 24
    arrivals = [(0, 1476, 0), (0, 10, 0)]
    assert codel_12(arrivals, framing=wire) == [("sent", MS), ("sent", MS + 56_000)]
    assert pie_12(arrivals, framing=wire) == [("sent", MS), ("sent", MS + 56_000)]


@pytest.mark.parametrize("model", [
    lambda arrivals, limit: codel(arrivals, RATE, 5 * MS, 100 * MS, limit),
    lambda arrivals, limit: pie_12(arrivals, limit)])
def test_the_limit_counts_the_packet_in_transmission(model):
    """At the instant at which one leaves there is room for the next, and not 1 ns earlier."""
    arrivals = [(0, 1500, 0)] * 3 + [(MS - 1, 1500, 0), (MS, 1500, 0), (MS, 1500, 0)]
    sent = [("sent", at * MS) for at in (1, 2, 3)]
    assert model(arrivals, 2) == sent[:2] + [("tail",)] * 2 + [sent[2], ("tail",)]
    assert model(arrivals[:1], 0) == [("tail",)]


# CoDel.

def overload_drops(count=1):
    """When CoDel drops from 2 packets a ms that begin on an idle link, in ms since then: at the
    first start of a transmission, one of which is at every ms, from each exact time on.

    count: with which the first drop begins."""
    at = 110
    while True:
        yield ceil(at)
        at += 100 / sqrt(count)
        count += 1


def test_codel_drops_after_an_interval_above_target():
    """The sojourn reaches 5 ms at 10 ms; from 110 ms on one packet is dropped at 110, 210, 280.7
    and 338.4 ms. At t ms packet t is next, and one more for each that was dropped before."""
    fates = codel_12(stream(0, 700))
    times = overload_drops()
    assert where(fates, "codel")[:4] == [next(times) + dropped for dropped in range(4)]
    assert where(fates, "codel")[:4] == [110, 211, 283, 342]
    assert fates[109] == ("sent", 110 * MS)
    assert fates[111] == ("sent", 111 * MS)
    assert not where(fates, "tail") and not where(fates, "marked")


def test_codel_leaves_a_short_queue_alone():
    """One packet waits behind each: 1514 bytes are no backlog, 1515 are."""
    for length, some in ((1514, False), (1515, True)):
        arrivals = [(0, length, 0)] * 3
        arrivals += [(at * 8 * length * 1000, length, 0) for at in range(1, 20)]
        fates = codel(arrivals, 10**6, MS, 20 * MS, 10**6)
        assert bool(where(fates, "codel")) == some


def test_codel_keeps_a_queue_below_its_target():
    """A standing queue of 4 ms is never dropped from."""
    assert not where(codel_12([(0, 1500, 0)] * 4 + stream(0, 2000, MS)), "codel")


@pytest.mark.parametrize("pause_ms, again", [(500, True), (3000, False)])
def test_codel_resumes_its_rate_unless_long_ago(pause_ms, again):
    """The count of the first phase less its first, if within 16 intervals; otherwise 1."""
    first = stream(0, 700)
    drops = len(where(codel_12(first), "codel"))
    assert drops > 3
    start_ms = 350 + pause_ms
    fates = codel_12(first + stream(start_ms, 700))
    second = [index - 700 for index in where(fates, "codel")][drops:]
    assert where(fates[:700], "codel") == where(codel_12(first), "codel")
    count = drops - 1 if again else 1
    times = overload_drops(count)
    assert second[:3] == [next(times) + dropped for dropped in range(3)]


def test_codel_marks_what_can_be_marked():
    """The same instants as for drops; a mark takes no packet away."""
    fates = codel_12(stream(0, 700, ecn=ECT), ecn=True)
    assert where(fates, "marked")[:4] == [110, 210, 281, 339]
    assert fates[110] == ("marked", 111 * MS)
    assert not where(fates, "codel")
    for ecn in (0,):
        assert codel_12(stream(0, 700, ecn=ecn), ecn=True) == codel_12(stream(0, 700))
    assert codel_12(stream(0, 700, ecn=ECT)) == codel_12(stream(0, 700))


def test_codel_drops_several_at_once():
    """1 ms and 10 ms: drops at 11 and 21 ms, after which packet 24 takes from 22 to 42 ms. Those of
    28.1, 33.8 and 38.8 ms follow each other then; the next is due at 43.3 ms."""
    arrivals = [(0, 30_000 if index == 24 else 1500, 0) for index in range(300)]
    fates = codel(arrivals, RATE, MS, 10 * MS, 10**6)
    assert where(fates, "codel")[:6] == [11, 22, 25, 26, 27, 30]
    assert fates[28] == ("sent", 43 * MS)
    marking = codel([(time, length, ECT) for time, length, _ in arrivals], RATE, MS, 10 * MS, 10**6,
                    ecn=True)
    # Nothing lost, packet 24 takes from 24 to 44 ms, and each packet takes one mark at most.
    assert where(marking, "marked")[:8] == [11, 21, 25, 26, 27, 28, 29, 33]
    assert where(codel(arrivals, RATE, MS, 10 * MS, 28), "tail") == list(range(28, 300))


# PIE.

def control(**state):
    made = pie_model.Control(15 * MS, 15 * MS, 150 * MS, 0.125, 1.25)
    for name, value in state.items():
        setattr(made, name, value)
    return made


def test_pie_updates_its_probability():
    """Section 4.2 by hand: 30 ms after 0, the same again, then 0 twice."""
    made = control()
    made.update(30 * MS)
    first = (0.125 * 0.015 + 1.25 * 0.030) / 2048
    assert made.probability == pytest.approx(first, rel=1e-12)
    assert 1e-5 < first < 1e-4
    made.update(30 * MS)
    assert made.probability == pytest.approx(first + 0.125 * 0.015 / 128, rel=1e-12)
    assert made.allowance == 120 * MS
    made.update(0)
    assert made.probability == 0


@pytest.mark.parametrize("probability, divisor", [
    (0, 2048), (1e-6, 512), (1e-5, 128), (1e-4, 32), (1e-3, 8), (1e-2, 2), (0.1, 1), (0.5, 1)])
def test_pie_tunes_its_steps(probability, divisor):
    """Each bound of the table belongs to the step above it."""
    made = control(probability=probability, delay=25 * MS)
    made.update(25 * MS)
    assert made.probability - probability == pytest.approx(0.125 * 0.010 / divisor, rel=1e-6)


def test_pie_decays_and_stays_within_bounds():
    """0.98 once both delays are 0; appendix B's condition and section 5.5's cap on demand."""
    made = control(probability=0.5)
    made.update(0)
    assert made.probability == pytest.approx((0.5 - 0.125 * 0.015) * 0.98, rel=1e-12)
    for early, factor in ((False, 1), (True, 0.98)):
        made = control(probability=0.5, delay=7 * MS, early_decay=early)
        made.update(7 * MS)
        assert made.probability == pytest.approx((0.5 - 0.125 * 0.008) * factor, rel=1e-12)
    for capped, after in ((False, 1.0), (True, 0.52)):
        made = control(probability=0.5, capped=capped)
        made.update(1000 * MS)
        assert made.probability == pytest.approx(after, rel=1e-12)


def test_pie_spreads_its_drops():
    """At 0.3: no draw before the third packet; a hit starts over; 8.5 needs no draw."""
    made = control(probability=0.3, delay=20 * MS, allowance=0)
    assert not made.strikes(10**4, unasked) and not made.strikes(10**4, unasked)
    assert not made.strikes(10**4, lambda: 0.3)
    assert made.strikes(10**4, lambda: 0.2999)
    assert made.accumulated == 0
    assert not made.strikes(10**4, unasked)
    made.accumulated = 8.25
    assert made.strikes(10**4, unasked)


@pytest.mark.parametrize("state, backlog, strikes", [
    ({}, 3029, True), ({}, 3028, False), ({"allowance": 1}, 9999, False),
    ({"delay": 7_499_999, "probability": 0.19}, 9999, False),
    ({"delay": 7_500_000, "probability": 0.19}, 9999, True),
    ({"delay": 7_499_999, "probability": 0.2}, 9999, True)])
def test_pie_has_its_safeguards(state, backlog, strikes):
    """Half the target, a probability of 0.2, two packets, and the burst."""
    ready = {"probability": 0.5, "delay": 20 * MS, "allowance": 0, "accumulated": 8.4, **state}
    assert control(**ready).strikes(backlog, lambda: 0.0) == strikes


def test_pie_lets_a_burst_pass():
    """A queue of 100 ms that comes and goes within the allowance of 150 ms."""
    assert not where(pie_12([(0, 1500, 0)] * 100), "pie")
    fates = pie_12(stream(0, 600), draws=lambda number: 0.0)
    # Ten updates, from 15 to 150 ms, use the allowance up, and leave a probability of 0.0477, of
    # which 18 reach 0.85: the 18th packet from number 300 on, which arrives at 150 ms.
    assert where(fates, "pie")[0] == 317


def test_pie_holds_near_its_target():
    """An overload by half: a third is lost, and the delay is the target's on average."""
    source = random.Random(1)
    uniforms = [source.random() for _ in range(150_001)]
    arrivals = stream(0, 150_000, 2 * MS // 3)
    fates = pie_12(arrivals, draws=lambda number: uniforms[number])
    late = list(zip(arrivals, fates))[75_000:]
    delays = [fate[1] - arrival[0] for arrival, fate in late if fate[0] == "sent"]
    lost = sum(fate == ("pie",) for _, fate in late) / len(late)
    assert 0.32 < lost < 0.35
    assert 12 * MS < sum(delays) / len(delays) < 20 * MS


def test_pie_marks_below_its_threshold():
    """Marks are departures; past a probability of 0.1, and for what cannot be marked, drops."""
    source = random.Random(2)
    uniforms = [source.random() for _ in range(40_001)]
    arrivals = stream(0, 40_000, 2 * MS // 3, ECT)
    marking = pie_12(arrivals, draws=uniforms.__getitem__, ecn=True)
    assert where(marking, "marked") and where(marking, "pie")
    assert where(marking, "marked")[0] < where(marking, "pie")[0]
    marked = where(marking, "marked")[0]
    assert marking[marked][1] == marking[marked - 1][1] + MS
    never = pie_12(arrivals, draws=uniforms.__getitem__, ecn=True, ecn_threshold=0)
    assert where(never, "pie")[0] == marked
    for ecn in (0,):
        assert pie_12(stream(0, 40_000, 2 * MS // 3, ecn), draws=uniforms.__getitem__,
                      ecn=True) == never


def test_pie_sleeps_through_idle_years():
    """A long pause costs no time, and all is as at the first start afterwards."""
    late = 15 * MS * 10**11
    arrivals = stream(0, 1000)
    moved = [(time + late, length, ecn) for time, length, ecn in arrivals]
    fates = pie_12(arrivals + moved, draws=lambda number: 0.1)
    once = pie_12(arrivals, draws=lambda number: 0.1)
    assert fates[:1000] == once
    assert where(once, "pie")
    assert fates[1000:] == [(fate, *(time + late for time in at)) for fate, *at in once]


# Mahimahi.

def test_a_trace_of_one_a_millisecond_is_12_mbit():
    """1500 bytes every ms."""
    arrivals = [(0, 1500)] * 100
    assert link_trace(arrivals, [1], True) == [("sent", at * MS) for at in range(1, 101)]
    assert link_trace(arrivals, list(range(1, 101)), False) == link_trace(arrivals, [1], True)


def test_an_opportunity_serves_bytes():
    """Two small ones in one; a large one in two, the rest of which serves the next; what finds
    nobody is lost."""
    assert link_trace([(0, 750)] * 3, [1], True) == [("sent", MS)] * 2 + [("sent", 2 * MS)]
    assert link_trace([(0, 2000), (0, 1000), (0, 1)], [1], True) == [
        ("sent", 2 * MS), ("sent", 2 * MS), ("sent", 3 * MS)]
    assert link_trace([(0, 100), (MS + 1, 1500)], [1], True) == [("sent", MS), ("sent", 2 * MS)]


def test_an_opportunity_serves_what_has_arrived():
    """At its own instant still, 1 ns later no more."""
    arrivals = [(0, 100), (MS, 100), (MS + 1, 100)]
    assert link_trace(arrivals, [1], True) == [("sent", MS)] * 2 + [("sent", 2 * MS)]


@pytest.mark.parametrize("trace, times", [
    ([2, 2, 5], [2, 2, 5, 7, 7, 10, 12]), ([0, 5], [0, 5, 5, 10, 10, 15]), ([3], [3, 6, 9])])
def test_a_trace_repeats_after_its_last_entry(trace, times):
    """From a full queue every opportunity is used; later ones are found from anywhere."""
    arrivals = [(0, 1500)] * len(times)
    assert link_trace(arrivals, trace, True) == [("sent", at * MS) for at in times]
    looped = Trace(trace, True)
    for time_ns in range(0, 40 * MS, MS // 2):
        number = looped.first(time_ns)
        assert looped.time_ns(number) >= time_ns
        assert number == 0 or looped.time_ns(number - 1) < time_ns


def test_a_trace_ends():
    """Its last entry is used; what is left then, even in part, is never sent."""
    fates = link_trace([(0, 1500), (0, 2000), (9 * MS, 1)], [1, 4], False, 2)
    assert fates == [("sent", MS), ("never",), ("never",)]
    assert link_trace([(0, 1500), (0, 2000), (0, 1)], [1, 4], False, 2)[2] == ("tail",)
    with pytest.raises(ValueError):
        link_trace([], [0], True)
    with pytest.raises(ValueError):
        link_trace([], [3, 2], True)


def test_the_limit_counts_the_packet_in_transit():
    """Partly sent is still there; at one instant an arrival comes before the opportunity."""
    arrivals = [(0, 2000), (0, 1000), (0, 1), (MS, 1), (2 * MS, 1), (2 * MS + 1, 1)]
    assert link_trace(arrivals, [1], True, 2) == [
        ("sent", 2 * MS), ("sent", 2 * MS), ("tail",), ("tail",), ("tail",), ("sent", 3 * MS)]
