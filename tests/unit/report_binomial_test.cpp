// The statistics of a verdict against values of published tables and of exact sums.
#include <gtest/gtest.h>

#include <cmath>

#include "report/binomial.hpp"

namespace faultline {
namespace {

/// P(X ≤ hits) by adding up, for small numbers.
double summed(int hits, int trials, double share) {
  double sum = 0;
  for (int k = 0; k <= hits; ++k) {
    double term = 1;
    for (int i = 0; i < k; ++i) term *= share * (trials - i) / (k - i);
    sum += term * std::pow(1 - share, trials - k);
  }
  return sum;
}

TEST(ReportBinomial, TailsAreTheExactSums) {
  for (const int trials : {1, 2, 10, 40})
    for (int hits = 0; hits <= trials; ++hits)
      for (const double share : {0.001, 0.05, 0.3, 0.5, 0.9, 0.999}) {
        const Tally tally{static_cast<double>(hits), static_cast<double>(trials)};
        EXPECT_NEAR(chance_of_as_few(tally, share), summed(hits, trials, share), 1e-12);
        const double fewer = hits == 0 ? 0 : summed(hits - 1, trials, share);
        EXPECT_NEAR(chance_of_as_many(tally, share), 1 - fewer, 1e-12);
      }
}

TEST(ReportBinomial, TheIncompleteBetaFunction) {
  // I_x(1, b) = 1 − (1 − x)^b, I_x(a, 1) = x^a, I_1/2(a, a) = 1/2.
  EXPECT_NEAR(beta_share(1, 7, 0.2), 1 - std::pow(0.8, 7), 1e-14);
  EXPECT_NEAR(beta_share(2.5, 1, 0.3), std::pow(0.3, 2.5), 1e-14);
  for (const double a : {0.5, 3.0, 1e3, 1e6, 1e9}) EXPECT_NEAR(beta_share(a, a, 0.5), 0.5, 1e-5);
  EXPECT_EQ(beta_share(2, 3, 0), 0);
  EXPECT_EQ(beta_share(2, 3, 1), 1);
}

TEST(ReportBinomial, IntervalsOfClopperAndPearson) {
  // 10 of 100 at 95 %: 4.900 % … 17.622 %, as in their charts and in every package since.
  const Interval ten = share_interval({10, 100}, 0.95);
  EXPECT_NEAR(ten.low, 0.04900469, 1e-7);
  EXPECT_NEAR(ten.high, 0.17622260, 1e-7);
  // None of n: 1 − (α/2)^(1/n).
  const Interval none = share_interval({0, 20}, 0.95);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 1 - std::pow(0.025, 1 / 20.0), 1e-12);
  const Interval all = share_interval({20, 20}, 0.95);
  EXPECT_NEAR(all.low, std::pow(0.025, 1 / 20.0), 1e-12);
  EXPECT_EQ(all.high, 1);
  const Interval nothing = share_interval({0, 0}, 0.95);
  EXPECT_EQ(nothing.low, 0);
  EXPECT_EQ(nothing.high, 1);
  // Of many it is the normal one.
  const Interval many = share_interval({5e7, 1e9}, 0.999);
  EXPECT_NEAR(many.high - many.low, 2 * 3.290527 * std::sqrt(0.05 * 0.95 / 1e9), 1e-8);
}

TEST(ReportBinomial, RanksAroundAQuantile) {
  // Of 10 values the median lies between the 2nd and the 9th with 97.85 %.
  const Ranks ten = quantile_ranks(10, 0.5, 0.95);
  EXPECT_EQ(ten.low, 2);
  EXPECT_EQ(ten.high, 9);
  // Of 5 no two bracket it with 95 %: 1 − 2/2⁵ = 93.75 %.
  const Ranks five = quantile_ranks(5, 0.5, 0.95);
  EXPECT_EQ(five.low, 0);
  EXPECT_EQ(five.high, 6);
  // Of 100 none is surely above the 99th percentile: 0.99^100 = 37 %.
  EXPECT_EQ(quantile_ranks(100, 0.99, 0.95).high, 101);
}

TEST(ReportBinomial, KolmogorovsLaw) {
  // λ of 10 %, 5 % and 1 %: 1.224, 1.358, 1.628 (Stephens's table).
  const double root = 1000;
  const double scale = root + 0.12 + 0.11 / root;
  EXPECT_NEAR(kolmogorov_tail(1.224 / scale, 1e6), 0.10, 5e-4);
  EXPECT_NEAR(kolmogorov_tail(1.358 / scale, 1e6), 0.05, 5e-4);
  EXPECT_NEAR(kolmogorov_tail(1.628 / scale, 1e6), 0.01, 5e-4);
  EXPECT_EQ(kolmogorov_tail(0, 100), 1);
  EXPECT_LT(kolmogorov_tail(1, 100), 1e-30);
}

}  // namespace
}  // namespace faultline
