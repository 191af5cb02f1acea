// All: everything is lost, or marked.
#include <gtest/gtest.h>

#include "impair/loss.hpp"
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

TEST(ImpairLossAll, EverythingIsLost) {
  EXPECT_EQ(lost_in_any_bursts("loss: all", kIdentity, 100), test::numbers_to(100));
  EXPECT_EQ(lost_in_any_bursts("loss: {model: all}", kIdentity, 100), test::numbers_to(100));
}

TEST(ImpairLossAll, WhatIsEcnCapableIsMarkedInstead) {
  ImpairmentBench bench("loss: {model: all, action: mark-ce}", {42, "uplink", 0}, kIdentity);
  for (const std::uint8_t ecn : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
    bench.ecn = ecn;
    EXPECT_EQ(bench.lost({1, 2, 3}, 3), Numbers{}) << int{ecn};
  }
  bench.ecn = 0;
  EXPECT_EQ(bench.lost({1, 2, 3}, 3), (Numbers{1, 2, 3}));
}

TEST(ImpairLossAll, MarksSetCongestionExperiencedOnce) {
  JudgedBurst burst{};
  for (std::uint8_t ecn = 0; ecn < 4; ++ecn) {
    burst.ecn[ecn] = ecn;
    lose(LossAction::kMarkCe, burst, ecn);
  }
  EXPECT_EQ(burst.reason[0], DropReason::kLoss);
  for (std::uint8_t capable = 1; capable < 4; ++capable) {
    EXPECT_EQ(burst.reason[capable], DropReason::kNone);
    EXPECT_EQ(burst.ecn[capable], kEcnCongestionExperienced);
    EXPECT_EQ(burst.marked[capable], capable != 3) << "what carries CE already is not changed";
  }
  lose(LossAction::kDrop, burst, 1);
  EXPECT_EQ(burst.reason[1], DropReason::kLoss);
}

TEST(ImpairLossAll, Errors) {
  expect_errors({{"loss: {model: all, rate: 1%}",
                  {"f:1:20: error: loss: unknown key 'rate'; known keys are model, action"}},
                 {"loss: {model: all, action: drops}",
                  {"f:1:28: error: found 'drops'; one of drop, mark-ce; did you mean 'drop'?"}}});
}

}  // namespace
}  // namespace faultline
