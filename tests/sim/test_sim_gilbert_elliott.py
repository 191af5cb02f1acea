"""Loss with memory, on a million packets of one scope: the chain's transitions, its rate, its runs,
and packet for packet the reference model."""

import math

import numpy as np
import pytest

from model import bounds, laws
from model.dice import probability
from program import scenario_of
from test_sim_loss import lost_of

ALPHA = 1e-6
SEED = 42
LEFT_TO_RIGHT = laws.scope_identity("left", "right")
BURSTY, FLIPPING = ("1%", "20%"), ("60%", "70%")


def run_chain(program, given, p, r, extra=""):
    scenario = scenario_of(
        ("wan", [f"loss: {{model: gilbert-elliott, p: {p}, r: {r}{extra}}}"]), seed=SEED)
    return lost_of(program.simulated(scenario, [given.path]).output, given)


@pytest.fixture(scope="module")
def chains(program, million):
    """The lost mask of each pair (p, r)."""
    return {pair: run_chain(program, million, *pair) for pair in (BURSTY, FLIPPING)}


@pytest.mark.parametrize("pair", (BURSTY, FLIPPING))
def test_transitions(chains, pair):
    """With the default losses a packet is lost iff the state is Bad, so the states can be seen.
    Each visit to Good ends in Bad with probability p, each to Bad in Good with r, independently:
    the first m visits (m fixed, 95 % of the expected ones) are an exact binomial; interval at alpha
    = 1e-6."""
    bad = chains[pair]
    p, r = (float(probability(text)) for text in pair)
    in_bad = p / (p + r)
    for state, chance, share in ((False, p, 1 - in_bad), (True, r, in_bad)):
        visits = np.flatnonzero(bad[:-1] == state)[:int(0.95 * share * len(bad))]
        assert len(visits) == int(0.95 * share * len(bad))
        moves = int((bad[visits + 1] != state).sum())
        low, high = bounds.binomial_interval(len(visits), chance, ALPHA)
        assert low <= moves <= high, (state, len(visits))


@pytest.mark.parametrize("pair", (BURSTY, FLIPPING))
def test_rate(chains, pair):
    """The share lost is p/(p+r), within 4.89 sd (alpha = 1e-6) of a chain's mean: a binomial's
    variance times (1+rho)/(1-rho), rho = 1-p-r."""
    p, r = (float(probability(text)) for text in pair)
    rate, rho = p / (p + r), 1 - p - r
    sd = math.sqrt(rate * (1 - rate) / len(chains[pair]) * (1 + rho) / (1 - rho))
    assert abs(chains[pair].mean() - rate) < bounds.NORMAL_QUANTILE[ALPHA] * sd


@pytest.mark.parametrize("pair", (BURSTY, FLIPPING))
def test_mean_run(chains, pair):
    """Runs of losses are geometric with mean 1/r (5, or 1.43). The summed length of the first k
    runs (k fixed: 90 % of those expected; about 8,571 and 290,769) is bounded by its exact negative
    binomial law at alpha = 1e-6: for p = 1 %, r = 20 % a mean run of 4.77 to 5.24."""
    p, r = (float(probability(text)) for text in pair)
    runs = laws.run_lengths(chains[pair])
    count = int(0.9 * len(chains[pair]) * p * r / (p + r))
    assert len(runs) > count
    low, high = bounds.geometric_sum_interval(count, r, ALPHA)
    assert low <= runs[:count].sum() <= high
    if pair == BURSTY:
        assert 4.76 < low / count and high / count < 5.25, "the bound that the docstring states"


@pytest.mark.parametrize("pair", (BURSTY, FLIPPING))
def test_the_lost_are_the_models(chains, pair):
    """Exactly the reference model's packets: one uniform a step, looking back over steps that
    decide nothing; the state before step n judges packet n; for p + r > 1 the middle band flips."""
    expected = laws.gilbert_elliott(SEED, "wan", 0, LEFT_TO_RIGHT, len(chains[pair]), *pair).lost
    assert np.flatnonzero(chains[pair] != expected).tolist() == []


def test_losses_in_both_states(program, million):
    """`loss_bad: 50%, loss_good: 1%`: exactly the model's packets, and a share lost of
    (0.01 r + 0.5 p)/(p+r) within 4.89 sd, the variance with its covariances summed."""
    lost = run_chain(program, million, *BURSTY, ", loss_bad: 50%, loss_good: 1%")
    expected = laws.gilbert_elliott(SEED, "wan", 0, LEFT_TO_RIGHT, len(million), *BURSTY,
                                    "50%", "1%").lost
    assert np.flatnonzero(lost != expected).tolist() == []
    bad, rho = 0.01 / 0.21, 0.79
    rate = 0.01 * (1 - bad) + 0.5 * bad
    variance = rate * (1 - rate) + 2 * 0.49**2 * bad * (1 - bad) * rho / (1 - rho)
    assert abs(lost.mean() - rate) < bounds.NORMAL_QUANTILE[ALPHA] * math.sqrt(variance / len(lost))


@pytest.mark.parametrize("seed", (1, 5, (1 << 64) - 1))
@pytest.mark.parametrize("p, r, extra, losses", [
    ("0.1%", "0.2%", "", (1, 0)),            # long look-backs, also below step 1
    ("30%", "70%", ", loss_bad: 80%", ("80%", 0)),
    ("5%", "5%", ", loss_bad: 0%, loss_good: 20%", (0, "20%")),
], ids=("slow", "iid", "good-only"))
def test_corners(program, some, p, r, extra, losses, seed):
    """The model's packets also where outcomes are rare, where p + r = 1, where only Good loses, and
    behind another impairment."""
    scenario = scenario_of(
        ("wan", ["delay: 1ns", f"loss: {{model: gilbert-elliott, p: {p}, r: {r}{extra}}}"]),
        seed=seed)
    lost = lost_of(program.simulated(scenario, [some.path]).output, some)
    expected = laws.gilbert_elliott(seed, "wan", 1, LEFT_TO_RIGHT, len(some), p, r, *losses).lost
    assert np.flatnonzero(lost != expected).tolist() == []


def test_certain_transitions_alternate(program, some):
    """p = r = 100 %: the chain changes with every packet, so every second one is lost, wherever it
    starts."""
    lost = run_chain(program, some, "100%", "100%")
    assert (lost[1:] != lost[:-1]).all()
