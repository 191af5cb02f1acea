// The statistics of a verdict: exact intervals of shares and quantiles, and tests against a law.
// Functions of numbers; nothing here knows rules or packets. docs/verdict.md has the formulas.
#pragma once

#include <cstdint>

namespace faultline {

/// I_x(a, b), the regularised incomplete beta function; a, b > 0. DLMF 8.17.22.
double beta_share(double a, double b, double x);

/// `hits` of `trials`. Not whole where trials that depend on each other count for fewer.
struct Tally {
  double hits = 0;
  double trials = 0;
};

struct Interval {
  double low = 0;
  double high = 1;
};
/// Shares that the tally does not refute: Clopper & Pearson, Biometrika 26 (1934), with
/// (1 − confidence)/2 beyond each end. [0, 1] without trials.
Interval share_interval(const Tally& tally, double confidence);

/// P(X ≥ hits) and P(X ≤ hits) of X binomial with `trials` and `share`.
double chance_of_as_many(const Tally& tally, double share);
double chance_of_as_few(const Tally& tally, double share);

/// Which of `trials` values in order bracket the quantile `share` of their law: from 1, with
/// (1 − confidence)/2 beyond each end. 0: none is surely below it; trials + 1: none above.
struct Ranks {
  double low = 0;
  double high = 0;
};
Ranks quantile_ranks(double trials, double share, double confidence);

/// P(D ≥ distance) between a law and `samples` of it: Kolmogorov's limit with Stephens's correction
/// (J. R. Statist. Soc. B 32, 1970).
double kolmogorov_tail(double distance, double samples);

}  // namespace faultline
