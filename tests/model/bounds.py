"""How far an honest count may stray: exact binomial, hypergeometric and negative-binomial bounds,
computed with nothing but math (no scipy). alpha is two-sided unless said."""

import math

NORMAL_QUANTILE = {1e-6: 4.891638475699}  # two-sided: P(|Z| > z) = alpha


def _log_choose(n, k):
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def binomial_pmf(k, n, p):
    return math.exp(_log_choose(n, k) + k * math.log(p) + (n - k) * math.log1p(-p))


def binomial_interval(n, p, alpha):
    """The least lo and hi so that P(X < lo) <= alpha/2 < P(X <= lo) and likewise above hi."""
    spread = int(12 * math.sqrt(n * p * (1 - p))) + 12
    centre = int(n * p)
    tail, low = 0.0, max(0, centre - spread)
    while tail + binomial_pmf(low, n, p) <= alpha / 2:
        tail += binomial_pmf(low, n, p)
        low += 1
    tail, high = 0.0, min(n, centre + spread)
    while tail + binomial_pmf(high, n, p) <= alpha / 2:
        tail += binomial_pmf(high, n, p)
        high -= 1
    return low, high


def binomial_below(k, n, p):
    """P(X < k)."""
    spread = int(12 * math.sqrt(n * p * (1 - p))) + 12
    start = max(0, min(k, int(n * p)) - spread)
    return math.fsum(binomial_pmf(i, n, p) for i in range(start, min(k, n + 1)))


def hypergeometric_tail(k, population, marked, drawn):
    """P(X >= k): of `drawn` taken from `population`, k or more are among the `marked`."""
    total = _log_choose(population, drawn)
    mean = marked * drawn / population
    tail = 0.0
    for i in range(max(k, drawn + marked - population, 0), min(marked, drawn) + 1):
        ways = _log_choose(marked, i) + _log_choose(population - marked, drawn - i)
        term = math.exp(ways - total)
        tail += term
        if i > mean and term < tail * 1e-18:
            break
    return tail


def geometric_sum_interval(runs, r, alpha):
    """Bounds on the summed length of `runs` runs, each geometric on 1, 2, ... with mean 1/r.
    The sum exceeds s iff fewer than `runs` of s steps ended a run, so the tails are binomial."""
    spread = int(8 * math.sqrt(runs * (1 - r)) / r) + 8
    centre = int(runs / r)

    def least(condition, low, high):
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if condition(middle) else (middle + 1, high)
        return low

    at_most = lambda s: 1 - binomial_below(runs, s, r)    # P(sum <= s)
    more_than = lambda s: binomial_below(runs, s, r)      # P(sum > s)
    lowest = max(runs, centre - spread)
    return (least(lambda s: at_most(s) > alpha / 2, lowest, centre),
            least(lambda s: more_than(s) <= alpha / 2, centre, centre + spread))
