// Portable mathematics against the C library's, which may differ in the last bits, and against
// published values.
#include "base/portable_math.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace faultline {
namespace {

void expect_close(double found, double expected, double relative) {
  EXPECT_NEAR(found, expected, std::abs(expected) * relative + 1e-300);
}

TEST(BasePortableMath, LogAndExp) {
  for (double x = 1e-300; x < 1e300; x *= 1.37) expect_close(portable_log(x), std::log(x), 1e-15);
  for (double x = 0.9; x < 1.1; x += 0.000'37)
    EXPECT_NEAR(portable_log(x), std::log(x), 2e-16) << x;
  for (double x = -700; x < 700; x += 0.37) expect_close(portable_exp(x), std::exp(x), 1e-15);
  EXPECT_EQ(portable_exp(0), 1);
  EXPECT_EQ(portable_log(1), 0);
  EXPECT_EQ(portable_exp(-1'000), 0);
  for (double x = 1e-20; x < 0.5; x *= 1.9) {
    expect_close(portable_log1p(x), std::log1p(x), 1e-15);
    expect_close(portable_log1p(-x), std::log1p(-x), 1e-15);
  }
  for (double x = 0.01; x < 100; x *= 1.7)
    for (double y = -5; y < 5; y += 0.77) expect_close(portable_pow(x, y), std::pow(x, y), 2e-14);
}

TEST(BasePortableMath, Gamma) {
  for (double x = 0.05; x < 150; x *= 1.11)
    EXPECT_NEAR(portable_log_gamma(x), std::lgamma(x), 1e-13 * (1 + std::abs(std::lgamma(x))));
  for (const double x : {0.1, 1.0, 3.0, 10.0, 40.0}) {
    expect_close(portable_gamma_tails(1, x).upper, std::exp(-x), 1e-13);
    // P(1/2, x) = erf(√x).
    expect_close(portable_gamma_tails(0.5, x).lower, std::erf(std::sqrt(x)), 1e-13);
  }
}

TEST(BasePortableMath, Normal) {
  for (double x = -6; x < 8; x += 0.013)
    expect_close(normal_upper_tail(x), std::erfc(x / std::sqrt(2.0)) / 2, 5e-14);
  // AS 241's own check values.
  EXPECT_NEAR(normal_lower_quantile(0.25), -0.674489750196081, 1e-15);
  EXPECT_NEAR(normal_lower_quantile(0.001), -3.090232306167814, 1e-14);
  EXPECT_NEAR(normal_lower_quantile(1e-20), -9.262340089798408, 1e-13);
  for (double p = 0.5; p > 1e-15; p /= 1.07)
    expect_close(normal_upper_tail(-normal_lower_quantile(p)), p, 1e-12);
}

TEST(BasePortableMath, TheSameBitsEverywhere) {
  EXPECT_EQ(std::bit_cast<std::uint64_t>(portable_log(3)), 4607626529066517259U);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(portable_exp(1.5)), 4616731951734179137U);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(portable_log_gamma(4.7)), 4613344255398658154U);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(normal_upper_tail(2.2)), 4579168413594296007U);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(normal_lower_quantile(1e-6)), 13840409935268650878U);
}

}  // namespace
}  // namespace faultline
