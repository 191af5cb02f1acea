// Markov4: tables for a seed, from the reference model in tests/model; chains that are certain.
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

TEST(ImpairLossMarkov4, TablesForASeed) {
  EXPECT_EQ(
      first_20(lost_in_any_bursts(
          "loss: {model: markov4, p13: 5%, p31: 20%, p32: 10%, p23: 30%, p14: 2%}", kIdentity,
          400)),
      (Numbers{12, 13, 17, 32, 33, 34, 35, 36, 37, 38, 56, 57, 61, 62, 63, 64, 65, 67, 71, 74}));
  EXPECT_EQ(first_20(lost_in_any_bursts("loss: {model: markov4, rate: 10%, burst: 4, density: 80%, "
                                        "isolated: 1%, burst_gap: 2}",
                                        kIdentity, 400)),
            (Numbers{32, 34, 35, 36,  37,  38,  56,  61,  65,  74,
                     94, 95, 96, 101, 108, 116, 120, 134, 138, 139}));
}

TEST(ImpairLossMarkov4, AnyOrderOfAccess) {
  const std::string yaml = "loss: {model: markov4, p13: 5%, p31: 20%, p32: 10%, p23: 30%, p14: 2%}";
  const Numbers all = lost_in_any_bursts(yaml, kIdentity, 1'000);
  ImpairmentBench bench(yaml, {42, "uplink", 0}, kIdentity);
  for (std::uint64_t number = 1'000; number > 3; number -= 3)
    EXPECT_EQ(!bench.lost({number}, 1).empty(), std::binary_search(all.begin(), all.end(), number))
        << number;
}

TEST(ImpairLossMarkov4, CertainChains) {
  // 1 → 4 → 1 → …: every second packet is lost, wherever it starts.
  const Numbers alternating = lost_in_any_bursts(
      "loss: {model: markov4, p13: 0, p31: 100%, p23: 100%, p14: 100%}", kIdentity, 200);
  ASSERT_GE(alternating.size(), 99U);
  for (std::size_t i = 1; i < alternating.size(); ++i)
    EXPECT_EQ(alternating[i] - alternating[i - 1], 2U);
  // 1 → 3 → 3 → …: lost for good.
  EXPECT_EQ(
      lost_in_any_bursts("loss: {model: markov4, p13: 100%, p31: 0, p23: 100%}", kIdentity, 200),
      test::numbers_to(200));
}

TEST(ImpairLossMarkov4, Errors) {
  expect_errors(
      {{"loss: {model: markov4, p13: 60%, p31: 50%, p14: 50%, p23: 1%}",
        {"f:1:7: error: p13 + p14 is above 1; p13 + p14 ≤ 1"}},
       {"loss: {model: markov4, p13: 60%, p31: 50%, p32: 51%, p23: 1%}",
        {"f:1:7: error: p31 + p32 is above 1; p31 + p32 ≤ 1"}},
       {"loss: {model: markov4, p13: 0, p31: 0}",
        {"f:1:7: error: with these rates the chain never comes back; p31·p23·(1 + p14) + p13·(p23 "
         "+ "
         "p32) above 0"}},
       {"loss: {model: markov4}",
        {"f:1:7: error: loss: 'p13' is missing", "f:1:7: error: loss: 'p31' is missing"}},
       {"loss: {model: markov4, rate: 50%, burst: 2, density: 40%}",
        {"f:1:7: error: these parameters lead to p13 = -2.5; isolated ≤ rate < density, and all of "
         "p13, p31, p32, p23, p14 between 0 and 1",
         "f:1:7: error: these parameters lead to p31 = 1.25; isolated ≤ rate < density, and all of "
         "p13, p31, p32, p23, p14 between 0 and 1",
         "f:1:7: error: these parameters lead to p32 = 1.5; isolated ≤ rate < density, and all of "
         "p13, p31, p32, p23, p14 between 0 and 1"}},
       {"loss: {model: markov4, rate: 5%, burst: 0.5}",
        {"f:1:41: error: '0.5' is out of range; a number between 1 and 1e+09"}}});
}

}  // namespace
}  // namespace faultline
