// The histogram: exact below 32, within 3 % everywhere, ranks as defined, sums of two.
#include "dataplane/histogram.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <memory>
#include <vector>

namespace faultline {
namespace {

TEST(DataplaneHistogram, EveryMagnitudeIsWithinThreePercent) {
  std::vector<std::uint64_t> values;
  for (std::uint64_t value = 0; value < 5'000; ++value) values.push_back(value);
  for (int bit = 12; bit < 64; ++bit)
    for (std::uint64_t step = 0; step < 256; ++step)
      for (const std::uint64_t nudge : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX})
        values.push_back((std::uint64_t{1} << bit) + (step << (bit - 8)) + nudge);
  values.push_back(UINT64_MAX);
  for (const std::uint64_t value : values) {
    const auto histogram = std::make_unique<Histogram>();
    histogram->add(value);
    const std::uint64_t shown = histogram->percentile(0.5);
    const std::uint64_t off = shown > value ? shown - value : value - shown;
    EXPECT_LE(off, value / 64) << value << ": exact below 64, the middle of 1/32 above";
  }
}

TEST(DataplaneHistogram, BucketsRiseWithTheValue) {
  std::uint64_t last = 0;
  for (int bit = 5; bit < 64; ++bit) {
    for (std::uint64_t step = 0; step < 32; ++step) {
      Histogram histogram;
      histogram.add((std::uint64_t{1} << bit) + (step << (bit - 5)));
      const std::uint64_t shown = histogram.percentile(0);
      EXPECT_GT(shown, last) << bit << " " << step;
      last = shown;
    }
  }
}

struct RankCase {
  double share;
  std::uint64_t value;
};

TEST(DataplaneHistogram, Percentiles) {
  Histogram histogram;
  EXPECT_EQ(histogram.percentile(0.5), 0U) << "empty";
  for (std::uint64_t value = 1; value <= 10; ++value) histogram.add(value);
  const RankCase cases[] = {{0.0, 1},  {0.05, 1}, {0.1, 2},    {0.5, 6},
                            {0.89, 9}, {0.9, 10}, {0.999, 10}, {1.0, 10}};
  for (const RankCase& one : cases)
    EXPECT_EQ(histogram.percentile(one.share), one.value) << one.share;
}

TEST(DataplaneHistogram, TimesCountAndClearForgets) {
  Histogram histogram;
  histogram.add(7, 99);
  histogram.add(31);
  EXPECT_EQ(histogram.percentile(0.98), 7U);
  EXPECT_EQ(histogram.percentile(0.99), 31U);
  histogram.add(5, 0);
  EXPECT_EQ(histogram.percentile(0.0), 7U) << "nothing, zero times";
  histogram.clear();
  EXPECT_EQ(histogram.percentile(0.99), 0U);
  histogram.add(3);
  EXPECT_EQ(histogram.percentile(0.99), 3U);
}

TEST(DataplaneHistogram, AddAllIsTheSum) {
  Histogram left;
  Histogram right;
  left.add(1, 3);
  right.add(2, 6);
  right.add(UINT64_MAX);
  left.add_all(right);
  EXPECT_EQ(left.percentile(0.29), 1U);
  EXPECT_EQ(left.percentile(0.31), 2U);
  EXPECT_EQ(left.percentile(0.89), 2U);
  EXPECT_GT(left.percentile(0.9), UINT64_MAX / 64 * 62);
  EXPECT_EQ(right.percentile(0.0), 2U) << "the other is not touched";
}

}  // namespace
}  // namespace faultline
