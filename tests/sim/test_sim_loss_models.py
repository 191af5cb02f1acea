"""Every other loss model, on a million packets of one scope: packet for packet the reference model,
and its law once: rate, runs, transitions, autocorrelation, at alpha = 1e-6 for a fixed seed."""

import math

import numpy as np
import pytest

from model import bounds, laws
from program import scenario_of
from test_sim_loss import lost_of

ALPHA = 1e-6
Z = bounds.NORMAL_QUANTILE[ALPHA]
SEED = 42
SCOPE = laws.scope_identity("left", "right")
N = 10**6


def run(program, given, *impairments, match=None):
    rule = ("wan", list(impairments)) + ((match,) if match else ())
    return lost_of(program.simulated(scenario_of(rule, seed=SEED), [given.path]).output, given)


def agree(lost, expected):
    assert np.flatnonzero(lost != expected).tolist() == []


def autocorrelation(lost, distance):
    centred = lost - lost.mean()
    return float((centred[distance:] * centred[:-distance]).mean() / centred.var())


def rate_bound(rate, rho):
    """Half the width for the share lost by a two-state chain: binomial variance times
    (1+rho)/(1-rho)."""
    return Z * math.sqrt(rate * (1 - rate) / N * (1 + rho) / (1 - rho))


@pytest.mark.parametrize("rate,correlation", [("5%", "25%"), ("20%", "75%"), ("1%", "0%")])
def test_correlated(program, million, rate, correlation):
    lost = run(program, million,
               f"loss: {{model: correlated, rate: {rate}, correlation: {correlation}}}")
    agree(lost, laws.correlated(SEED, "wan", 0, SCOPE, N, rate, correlation))
    share, rho = (float(text.rstrip("%")) / 100 for text in (rate, correlation))
    assert abs(lost.mean() - share) < rate_bound(share, rho)
    for distance in (1, 2, 3, 5):
        # Bartlett's variance for a chain with autocorrelation rho^n, at most (1+rho^2)/(1-rho^2)/n.
        spread = math.sqrt((1 + rho**2) / (1 - rho**2) / N) / (share * (1 - share)) ** 0.5
        assert abs(autocorrelation(lost, distance) - rho**distance) < Z * spread
    runs = laws.run_lengths(lost)
    ends = (1 - share) * (1 - rho)
    count = int(0.9 * N * share * ends)
    low, high = bounds.geometric_sum_interval(count, ends, ALPHA)
    assert low <= runs[:count].sum() <= high


def test_gilbert_elliott_by_rate_and_burst(program, million):
    """r = 1/B, p = L r/(1-L): 2 % in runs of 10."""
    lost = run(program, million, "loss: {model: gilbert-elliott, rate: 2%, burst: 10}")
    r = 1 / 10
    p = 0.02 * r / (1 - 0.02)
    agree(lost, laws.gilbert_elliott(SEED, "wan", 0, SCOPE, N, p, r).lost)
    assert abs(lost.mean() - 0.02) < rate_bound(0.02, 1 - p - r)
    count = int(0.9 * N * 0.02 * r)
    low, high = bounds.geometric_sum_interval(count, r, ALPHA)
    assert low <= laws.run_lengths(lost)[:count].sum() <= high


def test_gilbert_starts_good(program, few):
    """`start: good`: packet 1 always meets Good; otherwise it meets Bad in a third of all seeds."""
    first = {True: [], False: []}
    for seed in range(20):
        for good in (True, False):
            start = ", start: good" if good else ""
            scenario = scenario_of(("wan", [f"loss: {{model: gilbert, p: 0.1%, r: 0.2%{start}}}"]),
                                   seed=seed)
            first[good].append(lost_of(program.simulated(scenario, [few.path]).output, few)[0])
    assert not any(first[True])
    assert 1 <= sum(first[False]) <= 16


@pytest.mark.parametrize("slot_ns,slot", [(1_000_000, "1ms"), (250_000, "250us")])
def test_gilbert_in_time(program, million, slot_ns, slot):
    """`clock: time`: packets of a slot share the chain's state in it."""
    lost = run(program, million, f"loss: {{model: gilbert, p: 10%, r: 30%, clock: time, slot: {slot}}}")
    time = million.capture.time_ns - million.capture.time_ns[0]
    slots = (time // slot_ns).astype(np.int64)
    chain = laws.gilbert_elliott(SEED, "wan", 0, SCOPE, int(slots.max()) + 1, 0.1, 0.3)
    later = slots >= 1  # the model begins with the state before step 1
    assert (lost[later] == chain.bad[slots[later] - 1]).all()
    assert len(set(lost[~later].tolist())) == 1
    assert 0.05 < lost.mean() < 0.5


def test_gilbert_in_time_by_burst(program, some):
    """A mean run of 5 ms in slots of 1 ms is a mean run of 5 slots."""
    by_time = run(program, some, "loss: {model: gilbert, rate: 10%, burst: 5ms, clock: time}")
    by_p = run(program, some, "loss: {model: gilbert, p: 2.2222222222222222%, r: 20%, clock: time}")
    assert (by_time != by_p).mean() < 1e-3


TRANSITIONS = dict(p13="1%", p31="20%", p32="10%", p23="30%", p14="0.1%")


def test_markov4(program, million):
    keys = ", ".join(f"{key}: {value}" for key, value in TRANSITIONS.items())
    lost = run(program, million, f"loss: {{model: markov4, {keys}}}")
    states = laws.markov4(SEED, "wan", 0, SCOPE, N, **TRANSITIONS)
    agree(lost, states >= 3)
    p13, p31, p32, p23, p14 = (float(value.rstrip("%")) / 100 for value in TRANSITIONS.values())
    d = p31 * p23 * (1 + p14) + p13 * (p23 + p32)
    rate = (p13 * p23 + p14 * p31 * p23) / d
    # Slowest mode: below 1 - min(p13 + p31, p23) in size; a bound with rho = 0.9.
    assert abs(lost.mean() - rate) < rate_bound(rate, 0.9)
    rows = {1: {3: p13, 4: p14}, 2: {3: p23}, 3: {1: p31, 2: p32}}
    for state, row in rows.items():
        visits = np.flatnonzero(states[:-1] == state)
        visits = visits[:int(0.9 * len(visits))]
        for new, chance in row.items():
            moves = int((states[visits + 1] == new).sum())
            low, high = bounds.binomial_interval(len(visits), chance, ALPHA)
            assert low <= moves <= high, (state, new)
    assert (states[1:][states[:-1] == 4] == 1).all()


def test_markov4_by_rate_and_burst(program, million):
    """5 % in bursts of 8 with a density of 60 %, 0.1 % of gap packets alone."""
    lost = run(program, million, "loss: {model: markov4, rate: 5%, burst: 8, density: 60%, "
                                 "isolated: 0.1%, burst_gap: 3}")
    rates = laws.markov4_rates("0.05", 8, "0.6", "0.001", 3)
    states = laws.markov4(SEED, "wan", 0, SCOPE, N, *rates)
    agree(lost, states >= 3)
    assert abs(lost.mean() - 0.05) < rate_bound(0.05, 0.95)
    in_burst = (states == 2) | (states == 3)
    bursts = laws.run_lengths(in_burst)
    losses = (states == 3).sum() / len(bursts)
    assert abs(losses / bursts.mean() - 0.6) < 0.03, "the density of a burst"


def test_every(program, million):
    lost = run(program, million, "loss: {model: every, n: 7, offset: 3}")
    agree(lost, np.arange(1, N + 1) % 7 == 3)
    agree(run(program, million, "loss: {model: every, n: 5}"), np.arange(1, N + 1) % 5 == 0)


def test_every_counts_matches(program, some):
    """Only the packets that the rule matches are counted, dropped before or not."""
    lost = run(program, some, "loss: {model: every, n: 10}", match="{sport: 10003}")
    mine = np.flatnonzero(some.capture.bytes_[:, 29] == 3)
    agree(np.flatnonzero(lost), mine[9::10])
    both = run(program, some, "loss: {model: every, n: 2}", "loss: {model: every, n: 3}")
    number = np.arange(1, len(some) + 1)
    agree(both, (number % 2 == 0) | (number % 3 == 0))


def test_list(program, some):
    lost = run(program, some, "loss: {model: list, packets: [1, 5, 10-20, 15-22, 99999]}")
    agree(np.flatnonzero(lost) + 1, [1, 5, *range(10, 23), 99999])
    text = 'loss: {model: list, contents: "# a pattern\\n3, 4\\n 7-9 # three\\n"}'
    agree(np.flatnonzero(run(program, some, text)) + 1, [3, 4, 7, 8, 9])


@pytest.mark.parametrize("length,chance", [(5, "0.1%"), (3, "30%"), (1, "10%")])
def test_burst(program, million, length, chance):
    lost = run(program, million, f"loss: {{model: burst, length: {length}, probability: {chance}}}")
    agree(lost, laws.burst(SEED, "wan", 0, SCOPE, N, length, chance))
    q = float(chance.rstrip("%")) / 100
    cycle = length + (1 - q) / q
    # A renewal process: cycles of mean `cycle` and variance (1-q)/q^2, each with `length` losses.
    spread = length * math.sqrt(N * (1 - q) / q**2 / cycle**3) / N
    assert abs(lost.mean() - length * q / (length * q + 1 - q)) < Z * spread + 1e-5


def test_burst_in_time(program, some):
    lost = run(program, some, "loss: {model: burst, length: 4, every: 50ms}")
    instants = (some.capture.time_ns - some.capture.time_ns[0]) // np.uint64(50_000_000)
    expected = np.zeros(len(some), dtype=bool)
    for at in np.flatnonzero(np.diff(instants.astype(np.int64)) > 0) + 1:
        expected[at:at + 4] = True
    agree(lost, expected)


def test_outage_constant(program, some):
    lost = run(program, some, "loss: {model: outage, up: 70ms, down: 30ms}")
    phase = (some.capture.time_ns - some.capture.time_ns[0]) % np.uint64(100_000_000)
    agree(lost, phase >= 70_000_000)


def test_outage_exponential(program, million):
    """Up 2 ms, down 1 ms on average: 333 cycles in the capture; the model's packets exactly."""
    lost = run(program, million, "loss: {model: outage, up: 2ms, down: 1ms, "
                                 "distribution: exponential}")
    times = (million.capture.time_ns - million.capture.time_ns[0]).astype(np.int64)
    agree(lost, laws.exponential_outage(SEED, "wan", 0, SCOPE, times, 2_000_000, 1_000_000))
    # The share down over T: variance 2 pi (1-pi) tau / T, tau = 1/(1/up + 1/down).
    share, tau, whole = 1 / 3, 2e6 / 3, float(times[-1])
    assert abs(lost.mean() - share) < Z * math.sqrt(2 * share * (1 - share) * tau / whole)
    runs = laws.run_lengths(lost)
    mean = runs.sum() / len(runs)  # about 1,000 packets a down time
    assert abs(mean / 1000 - 1) < Z / math.sqrt(len(runs)) + 0.01


def test_bit_error(program, million):
    lost = run(program, million, "loss: {model: bit-error, ber: 1e-4}")
    lengths = million.capture.length
    agree(lost, laws.bit_error(SEED, "wan", 0, "1e-4", million.identity, million.number, lengths))
    for length in np.unique(lengths):
        chance = 1 - (1 - 1e-4) ** (8 * max(int(length) + 4, 64))
        where = lengths == length
        low, high = bounds.binomial_interval(int(where.sum()), chance, ALPHA)
        assert low <= lost[where].sum() <= high


def test_all(program, some):
    assert run(program, some, "loss: all").all()
    assert run(program, some, "loss: {model: all}").all()
