// Correlated: tables for a seed, from the reference model in tests/model.
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

TEST(ImpairLossCorrelated, TablesForASeed) {
  EXPECT_EQ(first_20(lost_in_any_bursts("loss: {model: correlated, rate: 10%, correlation: 50%}",
                                        kIdentity, 400)),
            (Numbers{13, 14, 33,  57,  62,  63,  64,  66,  75,  95,
                     96, 97, 109, 117, 121, 135, 140, 141, 142, 150}));
  EXPECT_EQ(first_20(lost_in_any_bursts("loss: {model: correlated, rate: 10%, correlation: 0}",
                                        kIdentity, 400)),
            (Numbers{13, 29, 33,  36,  48,  57,  62,  63,  66,  75,
                     82, 95, 109, 117, 121, 128, 135, 140, 150, 151}));
}

TEST(ImpairLossCorrelated, AnyOrderOfAccess) {
  const std::string yaml = "loss: {model: correlated, rate: 20%, correlation: 75%}";
  const Numbers all = lost_in_any_bursts(yaml, kIdentity, 1'000);
  ImpairmentBench bench(yaml, {42, "uplink", 0}, kIdentity);
  for (std::uint64_t number = 1'000; number > 3; number -= 3)
    EXPECT_EQ(!bench.lost({number}, 1).empty(), std::binary_search(all.begin(), all.end(), number))
        << number;
}

TEST(ImpairLossCorrelated, Corners) {
  EXPECT_EQ(
      lost_in_any_bursts("loss: {model: correlated, rate: 0, correlation: 50%}", kIdentity, 500),
      Numbers{});
  EXPECT_EQ(
      lost_in_any_bursts("loss: {model: correlated, rate: 100%, correlation: 50%}", kIdentity, 500),
      test::numbers_to(500));
}

TEST(ImpairLossCorrelated, Errors) {
  expect_errors(
      {{"loss: {model: correlated, rate: 5%}", {"f:1:7: error: loss: 'correlation' is missing"}},
       {"loss: {model: correlated, rate: 5%, correlation: 100%}",
        {"f:1:50: error: a correlation of 1: the chain never moves; a correlation below "
         "100%"}},
       {"loss: {model: correlated, rate: 5, correlation: x}",
        {std::string("f:1:33: error: '5' is out of range") + kProbability,
         std::string("f:1:49: error: found 'x'") + kProbability}}});
}

}  // namespace
}  // namespace faultline
