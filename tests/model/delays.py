"""Delays, from their definitions and in floating point: distribution functions, the field behind
`order: keep`, and per-flow parameters. Nothing here knows tables or grids of whole numbers."""

import math
from statistics import NormalDist

import numpy as np

from .dice import Dice

DELAY, KNOT, FLOW = 2, 3, 4
NORMAL = NormalDist()
GRID_A_KNOT = 64


def normal_cdf(x):
    return np.vectorize(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)))(x)


def pareto_moments(alpha):
    return alpha / (alpha - 1), math.sqrt(alpha / (alpha - 2)) / (alpha - 1)


def erlang3_cdf(x):
    x = np.maximum(x, 0)
    return 1 - np.exp(-x) * (1 + x + x * x / 2)


def paretonormal_quantile(u):
    mean, sd = pareto_moments(3)
    return (NORMAL.inv_cdf(u) + 3 * ((1 - u) ** (-1 / 3) - mean) / sd) / 4


def _paretonormal_sd():
    """Both parts have variance 1; their covariance by Simpson's rule over z = -9 ... 9."""
    z = np.linspace(-9, 9, 20_001)
    mean, sd = pareto_moments(3)
    upper = normal_cdf(-z)
    product = z * (upper ** (-1 / 3) - mean) / sd * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    weights = np.ones_like(z)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    covariance = float((product * weights).sum() * (z[1] - z[0]) / 3)
    return math.sqrt(1 + 9 + 6 * covariance) / 4


def paretonormal_cdf(x):
    sd = _paretonormal_sd()
    places = np.concatenate([10.0 ** np.arange(-9, -3, 0.05), np.linspace(0.001, 0.999, 4000),
                             1 - 10.0 ** np.arange(-3, -9, -0.05)])
    values = np.array([paretonormal_quantile(u) for u in places]) / sd
    return np.interp(x, values, places)


def lognormal_scale(sigma):
    growth = math.exp(sigma * sigma)
    return 1 / math.sqrt((growth - 1) * growth)


def weibull_scale(shape):
    mean, square = math.gamma(1 + 1 / shape), math.gamma(1 + 2 / shape)
    return 1 / math.sqrt(square - mean * mean)


def _log(x):
    return np.log(np.maximum(x, 1e-300))


# Distribution functions of the deviation from `time` in units of `jitter`.
CDF = {
    "uniform": lambda x: np.clip((x + 1) / 2, 0, 1),
    "normal": normal_cdf,
    "exponential": lambda x: 1 - np.exp(-np.maximum(x, 0)),
    "gamma, shape: 3": lambda x: erlang3_cdf(x * math.sqrt(3)),
    "lognormal, shape: 0.5": lambda x: normal_cdf(_log(x / lognormal_scale(0.5)) / 0.5),
    "weibull, shape: 1.5": lambda x: 1 - np.exp(-(np.maximum(x, 0) / weibull_scale(1.5)) ** 1.5),
    "pareto, shape: 3": lambda x: 1 - np.maximum(
        x * pareto_moments(3)[1] + pareto_moments(3)[0], 1) ** -3.0,
    "paretonormal": paretonormal_cdf,
}


def ks_distance(values, cdf):
    """The Kolmogorov-Smirnov statistic D of a sample."""
    values = np.sort(values)
    below = np.arange(len(values)) / len(values)
    expected = cdf(values)
    return float(max(np.abs(expected - below).max(),
                     np.abs(expected - below - 1 / len(values)).max()))


def standard_normals(uniforms):
    """Of whole 64-bit uniforms: the quantile of the middle of their 2^-52."""
    return np.array([NORMAL.inv_cdf(((int(u) >> 12) + 0.5) / (1 << 52)) for u in uniforms])


class Field:
    """X(t) on a grid of h/64: cubic B-spline weights over normal knots, normalised by phase."""

    def __init__(self, seed, rule, impairment, scope, grid_ns, points):
        knots = points // GRID_A_KNOT + 5
        levels = standard_normals(Dice(seed, rule, impairment, KNOT).run(scope, -1, knots))
        f = (np.arange(points) % GRID_A_KNOT) / GRID_A_KNOT
        weights = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4,
                            -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], axis=1)
        weights /= np.sqrt((weights**2).sum(axis=1))[:, None]
        first = np.arange(points) // GRID_A_KNOT  # levels[0] is knot -1
        self.x = (weights * levels[first[:, None] + np.arange(4)]).sum(axis=1)
        self.grid_ns = grid_ns

    def releases(self, time_ns, jitter_ns, times_ns):
        """R at these times since time zero, for a normal law whose history before time zero is
        left out: right from one range of delays after it on."""
        at = np.arange(len(self.x)) * self.grid_ns
        own = at + np.maximum(time_ns + jitter_ns * self.x, 0)
        return np.interp(times_ns, at, np.maximum.accumulate(own))
