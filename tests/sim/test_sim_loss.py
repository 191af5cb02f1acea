"""Loss without memory, on a million packets of 20 flows: how many, which, and that nothing but the
seed, the rule and the flow chooses them."""

from itertools import combinations

import numpy as np
import pytest

from model import bounds, laws
from program import scenario_of

SEEDS = range(1, 21)
FLOWS = 20
ALPHA = 1e-6
SCENARIO = scenario_of(("wan", ["loss: 1%"]))


def lost_of(output, given):
    """Which packets of the input are missing, as a mask; the rest must be there, in order."""
    kept = output.serial() - int(given.capture.serial()[0])
    lost = np.ones(len(given), dtype=bool)
    lost[kept] = False
    assert (np.flatnonzero(~lost) == kept).all(), "packets doubled or out of order"
    return lost


@pytest.fixture(scope="module")
def lost(program, million):
    """For each seed the mask of lost packets."""
    def run(seed):
        return program.simulated(SCENARIO, [million.path], "--seed", seed).output

    return {seed: lost_of(run(seed), million) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_one_percent_is_lost(lost, seed):
    """`loss: 1%` of 10^6: 9,517 to 10,490, the binomial interval at alpha = 1e-6."""
    assert 9_517 <= lost[seed].sum() <= 10_490


def test_seeds_are_independent(lost):
    """The lost sets of any two seeds share 100 +- 50 packets (10^6 * 1 % * 1 %, 5 sd)."""
    shared = {pair: int((lost[pair[0]] & lost[pair[1]]).sum()) for pair in combinations(SEEDS, 2)}
    assert {pair: count for pair, count in shared.items() if not 50 <= count <= 150} == {}


def test_flows_are_independent(lost, million):
    """The packet numbers lost in one flow say nothing about another's: for every pair of the 20
    flows and each of the 20 seeds, the overlap of the lost numbers up to the shorter flow's length
    has a hypergeometric upper tail of at least 1e-6 / (190 pairs * 20 seeds)."""
    level = ALPHA / (FLOWS * (FLOWS - 1) / 2 * len(SEEDS))
    surprising = {}
    members = [million.flow == flow for flow in range(FLOWS)]
    for seed in SEEDS:
        of_flow = [lost[seed][member] for member in members]  # by packet number - 1
        for one, other in combinations(range(FLOWS), 2):
            length = min(len(of_flow[one]), len(of_flow[other]))
            a, b = of_flow[one][:length], of_flow[other][:length]
            overlap = int((a & b).sum())
            tail = bounds.hypergeometric_tail(overlap, length, int(a.sum()), int(b.sum()))
            if tail < level:
                surprising[seed, one, other] = overlap
    assert surprising == {}


@pytest.mark.parametrize("seed", (1, 2, 7, 13, 20))
def test_the_lost_are_the_models(lost, million, seed):
    """Exactly the packets that the reference model loses: the dice are (seed,
    rule, impairment, flow identity, packet number)."""
    expected = laws.bernoulli(seed, "wan", 0, "1%", million.identity, million.number)
    assert np.flatnonzero(lost[seed] != expected).tolist() == []


@pytest.mark.parametrize("seed", (0, 1 << 32, (1 << 64) - 1))
def test_every_bit_of_the_seed_counts(program, some, seed):
    """Seeds are 64 bits wide: the model's lost set for 0, 2^32 and 2^64 - 1."""
    expected = laws.bernoulli(seed, "wan", 0, "1%", some.identity, some.number)
    output = program.simulated(SCENARIO, [some.path], "--seed", seed).output
    assert np.flatnonzero(lost_of(output, some) != expected).tolist() == []


def test_a_drop_does_not_shift_later_dice(program, some):
    """Packet numbers are counted at arrival: the third impairment of a rule, and a second rule,
    lose what they would lose alone; their dice are those of their place and name."""
    scenario = scenario_of(("a", ["loss: 10%", "delay: 1ms", "loss: 5%"]), ("b", ["loss: 0.3"]),
                           seed=9)
    expected = np.zeros(len(some), dtype=bool)
    for rule, place, rate in (("a", 0, "10%"), ("a", 2, "5%"), ("b", 0, "0.3")):
        expected |= laws.bernoulli(9, rule, place, rate, some.identity, some.number)
    output = program.simulated(scenario, [some.path]).output
    assert np.flatnonzero(lost_of(output, some) != expected).tolist() == []


def test_what_is_kept_is_untouched(program, some):
    """Packets that loss spares pass at once: time and bytes as they came, and no comment."""
    scenario = scenario_of(("wan", ["loss: 50%"]), seed=4)
    output = program.simulated(scenario, [some.path]).output
    kept = some.capture.take(~lost_of(output, some))
    assert 0 < len(kept) < len(some)
    assert (output.time_ns == kept.time_ns).all()
    assert (output.bytes_ == kept.bytes_).all()
    assert not output.option_count.any()
