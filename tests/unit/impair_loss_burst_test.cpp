// Burst: tables for a seed, from the reference model in tests/model; runs by time.
#include <gtest/gtest.h>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::first_20;
using test::ImpairmentBench;
using test::lost_in_any_bursts;
using Numbers = std::vector<std::uint64_t>;

[[maybe_unused]] constexpr std::uint64_t kIdentity = 0x1234567890ABCDEF;
[[maybe_unused]] constexpr const char* kProbability =
    "; a probability between 0% and 100%, such as 1%, 0.01 or 1e-7";

void expect_errors(const std::vector<test::ErrorCase>& cases) {
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

TEST(ImpairLossBurst, TablesForASeed) {
  EXPECT_EQ(first_20(lost_in_any_bursts("loss: {model: burst, length: 3, probability: 2%}",
                                        kIdentity, 2'000)),
            (Numbers{9,  10, 11, 38, 39, 40,  61,  62,  63,  68,
                     69, 70, 89, 90, 91, 119, 120, 121, 230, 231}));
}

TEST(ImpairLossBurst, ARunningBurstIsNotStartedAgain) {
  EXPECT_EQ(lost_in_any_bursts("loss: {model: burst, length: 3, probability: 100%}", kIdentity, 9),
            test::numbers_to(9));
}

TEST(ImpairLossBurst, PacketsThatDidNotMatchAreWalkedOver) {
  const std::string yaml = "loss: {model: burst, length: 3, probability: 2%}";
  const Numbers all = lost_in_any_bursts(yaml, kIdentity, 2'000);
  ImpairmentBench bench(yaml, {42, "uplink", 0}, kIdentity);
  bench.lost({1}, 1);
  for (std::uint64_t number = 4; number < 2'000; number += 5)
    EXPECT_EQ(!bench.lost({number}, 1).empty(), std::binary_search(all.begin(), all.end(), number))
        << number;
  EXPECT_EQ(bench.tally.undecided, 0U);
  bench.lost({1ULL << 40}, 1);
  EXPECT_EQ(bench.tally.undecided, 1U) << "too far to walk";
}

TEST(ImpairLossBurst, LatecomersMeetTheirOwnRun) {
  const std::string yaml = "loss: {model: burst, length: 3, probability: 2%}";
  ImpairmentBench bench(yaml, {42, "uplink", 0}, kIdentity);
  EXPECT_EQ(bench.lost({1, 8, 69, 39, 62, 64, 67, 70}, 8), (Numbers{69, 39, 62, 70}));
}

TEST(ImpairLossBurst, RunsByTime) {
  // A packet a millisecond: number n comes at (n - 1) ms.
  ImpairmentBench bench("loss: {model: burst, length: 2, every: 10ms}", {42, "uplink", 0},
                        kIdentity);
  bench.spacing_ns = 1'000'000;
  EXPECT_EQ(bench.lost(test::numbers_to(35), 8), (Numbers{11, 12, 21, 22, 31, 32}));
  EXPECT_EQ(bench.lost({75, 76, 77, 78}, 4), (Numbers{75, 76})) << "four instants are one run";
}

TEST(ImpairLossBurst, Errors) {
  expect_errors(
      {{"loss: {model: burst, length: 3}",
        {"f:1:7: error: loss: neither 'probability' nor 'every'; one of the two"}},
       {"loss: {model: burst, length: 3, probability: 1%, every: 1s}",
        {"f:1:7: error: loss: both 'probability' and 'every'; one of the two"}},
       {"loss: {model: burst, probability: 1%}", {"f:1:7: error: loss: 'length' is missing"}},
       {"loss: {model: burst, length: 0, probability: 1%}",
        {"f:1:30: error: '0' is out of range; a count between 1 and 1G"}},
       {"loss: {model: burst, length: 3, every: 1ns}",
        {"f:1:40: error: '1ns' is out of range; a duration between 1us and 366d"}}});
}

}  // namespace
}  // namespace faultline
