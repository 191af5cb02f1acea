// Binomial tails by the incomplete beta function, and what is found by bisection in them.
#include "report/binomial.hpp"

#include <algorithm>
#include <cmath>

#include "base/portable_math.hpp"

namespace faultline {
namespace {

/// The continued fraction of DLMF 8.17.22, by Lentz's method. It takes some √max(a, b) terms.
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr double kEnough = 1e-15;
  constexpr int kTermsMax = 20'000'000;
  const auto away = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / away(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int term = 1; term <= kTermsMax; ++term) {
    const double m = term;
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1) < kEnough)
      break;
  }
  return fraction;
}

/// The x in [0, 1] at which `rising` comes to `wanted`.
template <typename Rising>
double bisect(const Rising& rising, double wanted) {
  double low = 0;
  double high = 1;
  for (int step = 0; step < 100; ++step) {
    const double middle = (low + high) / 2;
    (rising(middle) < wanted ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

double beta_share(double a, double b, double x) {
  if (x <= 0 || x >= 1)
    return x <= 0 ? 0 : 1;
  const double log_front = portable_log_gamma(a + b) - portable_log_gamma(a) -
                           portable_log_gamma(b) + a * portable_log(x) + b * portable_log1p(-x);
  const double front = portable_exp(log_front);
  const double share = x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                                 : 1 - front * beta_fraction(b, a, 1 - x) / b;
  return std::clamp(share, 0.0, 1.0);
}

double chance_of_as_many(const Tally& tally, double share) {
  return tally.hits <= 0 ? 1 : beta_share(tally.hits, tally.trials - tally.hits + 1, share);
}

double chance_of_as_few(const Tally& tally, double share) {
  return tally.hits >= tally.trials
             ? 1
             : beta_share(tally.trials - tally.hits, tally.hits + 1, 1 - share);
}

Interval share_interval(const Tally& tally, double confidence) {
  if (tally.trials <= 0)
    return {};
  const double beyond = (1 - confidence) / 2;
  Interval interval;
  if (tally.hits > 0)
    interval.low = bisect([&](double x) { return chance_of_as_many(tally, x); }, beyond);
  if (tally.hits < tally.trials)
    interval.high = 1 - bisect([&](double x) { return chance_of_as_few(tally, 1 - x); }, beyond);
  return interval;
}

Ranks quantile_ranks(double trials, double share, double confidence) {
  const double beyond = (1 - confidence) / 2;
  const double whole = std::floor(trials);
  // The largest rank with P(X ≤ rank − 1) ≤ beyond.
  double low = 0;
  double above = whole + 1;
  while (above - low > 1) {
    const double middle = std::floor((low + above) / 2);
    (chance_of_as_few({middle - 1, whole}, share) <= beyond ? low : above) = middle;
  }
  // The smallest with P(X ≥ rank) ≤ beyond.
  double high = whole + 1;
  double below = 0;
  while (high - below > 1) {
    const double middle = std::floor((below + high) / 2);
    (chance_of_as_many({middle, whole}, share) <= beyond ? high : below) = middle;
  }
  return {low, high};
}

double kolmogorov_tail(double distance, double samples) {
  const double root = std::sqrt(samples);
  const double lambda = (root + 0.12 + 0.11 / root) * distance;
  // Below, the tail is 1 to all digits, and its series does not settle.
  if (lambda < 0.2)
    return 1;
  double tail = 0;
  for (int term = 1; term <= 100; ++term) {
    const double part = portable_exp(-2 * lambda * lambda * term * term);
    tail += term % 2 == 1 ? part : -part;
    if (part < 1e-18)
      break;
  }
  return std::clamp(2 * tail, 0.0, 1.0);
}

}  // namespace faultline
