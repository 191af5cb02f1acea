"""The laws of loss, as pure functions of the dice. Packets, captures and rules are not known here:
only identities, numbers and probabilities."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .dice import FATE, TRANSITION, Dice, below, hash_name, threshold

LOOK_BACK_MAX = 1 << 20


def bernoulli(seed, rule, impairment, rate, identities, numbers):
    """Lost or not, for each packet: independent, with probability `rate`.

    identities: of the packets' directed flows; numbers: of the packets in their flows, from 1."""
    dice = Dice(seed, rule, impairment, FATE)
    limit = threshold(rate)
    lost = np.zeros(len(numbers), dtype=bool)
    identities = np.asarray(identities, dtype=np.uint64)
    numbers = np.asarray(numbers, dtype=np.uint64)
    for identity in np.unique(identities):
        where = np.flatnonzero(identities == identity)
        last = int(numbers[where].max())
        drawn = dice.run(int(identity), 0, last + 1)
        lost[where] = below(drawn[numbers[where]], limit)
    return lost


def scope_identity(ingress, egress):
    """Of the scope of a rule with `per: rule` on one path."""
    return hash_name(f"{ingress}>{egress}")


@dataclass
class Chain:
    bad: np.ndarray   # the state that packet n = 1 ... is judged in
    lost: np.ndarray


def gilbert_elliott(seed, rule, impairment, scope, count, p, r, loss_bad=1, loss_good=0):
    """The first `count` packets that a rule matched in one scope.

    One uniform u(n) a step; below min(p, 1-r) the step's outcome is Bad, from max(p, 1-r) on Good,
    in between it keeps the state if p+r <= 1 and flips it otherwise. Packet n meets the outcome of
    the steps up to n-1; steps before the first exist, so that the start is stationary."""
    to_bad = threshold(p)
    stays_bad = (1 << 64) - threshold(r)
    low, high = min(to_bad, stays_bad), max(to_bad, stays_bad)
    flips = to_bad > stays_bad
    dice = Dice(seed, rule, impairment, TRANSITION)
    look_back = 64
    while True:
        # Steps 1-look_back ... count-1: the state before step n is the outcome of step n-1.
        uniforms = dice.run(scope, 1 - look_back, look_back + count - 1)
        is_bad = below(uniforms, low)
        decided = is_bad | ~below(uniforms, high)
        if decided[:look_back].any():
            break
        look_back *= 2
        if look_back > LOOK_BACK_MAX:
            raise OverflowError("no outcome within 2^20 steps")
    position = np.arange(len(uniforms))
    last = np.maximum.accumulate(np.where(decided, position, -1))[look_back - 1:]
    bad = is_bad[last]
    if flips:
        bad = bad ^ (((position[look_back - 1:] - last) & 1) == 1)
    return Chain(bad, _lost_in_state(seed, rule, impairment, scope, bad, loss_bad, loss_good))


def _lost_in_state(seed, rule, impairment, scope, bad, loss_bad, loss_good):
    in_bad, in_good = threshold(loss_bad), threshold(loss_good)
    certain = (0, 1 << 64)
    if in_bad in certain and in_good in certain:
        return np.where(bad, in_bad > 0, in_good > 0)
    drawn = Dice(seed, rule, impairment, FATE).run(scope, 1, len(bad))
    return np.where(bad, below(drawn, in_bad), below(drawn, in_good))


def run_lengths(lost):
    """Lengths of the runs of True, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], lost.astype(np.int8), [0]))))
    return edges[1::2] - edges[::2]


def correlated(seed, rule, impairment, scope, count, rate, correlation):
    """Loss rate P with autocorrelation rho: the two-state chain with p = P(1-rho) and
    r = (1-P)(1-rho), lost where it is Bad. The products are cut to 64 bits."""
    one = 1 << 64
    share, free = threshold(rate), one - threshold(correlation)
    p, r = share * free >> 64, (one - share) * free >> 64
    return gilbert_elliott(seed, rule, impairment, scope, count, Fraction(p, one),
                           Fraction(r, one)).bad


def markov4(seed, rule, impairment, scope, count, p13, p31, p32=0, p23=1, p14=0):
    """The state after each of the first `count` steps, 1 ... 4; lost where it is 3 or 4. One uniform
    a step gives the new state for each old one; the first state is that of a past so long that all
    states have met."""
    one = 1 << 64
    t13, t31, t32, t23, t14 = map(threshold, (p13, p31, p32, p23, p14))
    look_back = 64
    while True:
        drawn = Dice(seed, rule, impairment, TRANSITION).run(scope, 1 - look_back,
                                                             look_back + count)
        # For each step the new state from 1, 2, 3 and 4.
        maps = np.stack([
            np.where(below(drawn, t13), 3, np.where(below(drawn, t13 + t14), 4, 1)),
            np.where(below(drawn, t23), 3, 2),
            np.where(below(drawn, one - t31 - t32), 3, np.where(below(drawn, one - t31), 2, 1)),
            np.ones(len(drawn), dtype=int)], axis=1).tolist()
        ends = {1, 2, 3, 4}
        for step in maps[:look_back]:
            ends = {step[state - 1] for state in ends}
        if len(ends) == 1:
            break
        look_back *= 2
        if look_back > LOOK_BACK_MAX:
            raise OverflowError("the states do not meet within 2^20 steps")
    state, = ends
    states = np.empty(count, dtype=np.int8)
    for at, step in enumerate(maps[look_back:]):
        state = step[state - 1]
        states[at] = state
    return states


def markov4_rates(rate, burst, density=1, isolated=0, burst_gap=1):
    """The five probabilities of markov4 from its intuitive parameters, as floats."""
    p, b, rho, pi, gap = (float(Fraction(value)) for value in
                          (rate, burst, density, isolated, burst_gap))
    return ((p - pi) / (b * (1 - pi) * (rho - p)), 1 / (rho * b), (1 - rho) / (rho * gap),
            1 / gap, pi / (1 - pi))


def burst(seed, rule, impairment, scope, count, length, chance):
    """Runs of `length` losses; at each packet in no run one begins with probability `chance`."""
    begins = np.flatnonzero(below(Dice(seed, rule, impairment, FATE).run(scope, 1, count),
                                  threshold(chance)))
    lost = np.zeros(count, dtype=bool)
    end = 0
    for at in begins.tolist():
        if at >= end:
            end = at + length
            lost[at:end] = True
    return lost


def bit_error(seed, rule, impairment, ber, identities, numbers, lengths):
    """Lost with probability 1 - (1 - ber)^(8 max(length + 4, 64))."""
    drawn = Dice(seed, rule, impairment, FATE).uniforms(identities, numbers)
    lost = np.zeros(len(numbers), dtype=bool)
    for length in np.unique(lengths):
        bits = 8 * max(int(length) + 4, 64)
        limit = int((1 - (1 - Fraction(ber)) ** bits) * (1 << 64))
        where = lengths == length
        lost[where] = below(drawn[where], limit)
    return lost


# Cumulative probabilities of a Poisson number with mean 1, from e to 40 places.
E = Fraction("2.7182818284590452353602874713526624977572")


def _poisson_limits(count):
    total, term, limits = Fraction(0), 1 / E, []
    for k in range(count):
        term = term / k if k else term
        total += term
        limits.append(int(total * (1 << 64)))
    return limits


def exponential_outage(seed, rule, impairment, scope, times_ns, up_ns, down_ns):
    """Down or not at each time since time zero: the outcome of the last tick of a Poisson clock of
    rate 1/up + 1/down. Slot by slot of up*down/(up+down): the number of its ticks, and for each its
    place and its outcome (32 draws a slot)."""
    slot_ns = (up_ns * down_ns + (up_ns + down_ns) // 2) // (up_ns + down_ns)
    limit = (down_ns << 64) // (up_ns + down_ns)
    dice = Dice(seed, rule, impairment, TRANSITION)
    limits = _poisson_limits(15)
    first, last = -64, int(max(times_ns)) // slot_ns
    ticks = []
    draws = dice.run(scope, first * 32, (last - first + 1) * 32).reshape(-1, 32).tolist()
    for slot, drawn in zip(range(first, last + 1), draws):
        number = sum(drawn[0] >= bound for bound in limits)
        for tick in range(number):
            place = drawn[1 + 2 * tick] * slot_ns >> 64
            ticks.append((slot * slot_ns + place, drawn[2 + 2 * tick] < limit))
    ticks.sort(key=lambda tick: tick[0])
    when = np.array([tick[0] for tick in ticks], dtype=np.int64)
    down = np.array([tick[1] for tick in ticks])
    return down[np.searchsorted(when, np.asarray(times_ns, dtype=np.int64), side="right") - 1]
