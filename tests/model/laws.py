"""The laws of loss, as pure functions of the dice. Packets, captures and rules are not known here:
only identities, numbers and probabilities."""

from dataclasses import dataclass

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
