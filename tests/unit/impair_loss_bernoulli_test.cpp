// Independent losses: exactly those that the dice's layout says, however the packets are asked for.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::first_20;
using test::ImpairmentBench;
using test::numbers_to;
using test::reference_uniform;
using test::share_of_fraction;

constexpr std::uint64_t kIdentity = 0x0123456789ABCDEF;
const CompileContext kContext{42, "uplink", 0};

struct TableCase {
  std::string_view yaml;
  CompileContext context;
  std::uint64_t identity;
  Uint128 share;
};

TEST(ImpairLossBernoulli, TablesForASeed) {
  const TableCase cases[] = {
      {"loss: 10%", kContext, kIdentity, share_of_fraction(1, 10)},
      {"loss: 0.1", kContext, kIdentity, share_of_fraction(1, 10)},
      {"loss: {rate: 33%}", kContext, kIdentity, share_of_fraction(33, 100)},
      {"loss: {model: bernoulli, rate: 1%}", kContext, kIdentity, share_of_fraction(1, 100)},
      {"loss: 10%", {42, "uplink", 1}, kIdentity, share_of_fraction(1, 10)},
      {"loss: 10%", {42, "downlink", 0}, kIdentity, share_of_fraction(1, 10)},
      {"loss: 10%", {UINT64_MAX, "uplink", 0}, kIdentity, share_of_fraction(1, 10)},
      {"loss: 10%", kContext, 1, share_of_fraction(1, 10)},
      {"loss: 0%", kContext, kIdentity, 0},
      {"loss: 100%", kContext, kIdentity, Uint128{1} << 64},
  };
  for (const TableCase& one : cases) {
    std::vector<std::uint64_t> expected;
    for (std::uint64_t number = 1; number <= 2'000; ++number) {
      const std::uint64_t drawn = reference_uniform(
          {one.context.seed, one.context.rule_name, one.context.index, 0}, one.identity, number);
      if (drawn < one.share)
        expected.push_back(number);
    }
    ImpairmentBench bench(one.yaml, one.context, one.identity);
    EXPECT_EQ(bench.lost(numbers_to(2'000), 64), expected)
        << one.yaml << " " << one.context.rule_name << " " << one.context.index;
  }
}

TEST(ImpairLossBernoulli, PinnedDrops) {
  // Computed by a separate program: the promise that a seed hits the same packets in every version.
  ImpairmentBench bench("loss: 10%", kContext, kIdentity);
  EXPECT_EQ(first_20(bench.lost(numbers_to(400), 32)),
            (std::vector<std::uint64_t>{2,  7,  9,  10, 14,  44,  50,  58,  66,  67,
                                        71, 76, 92, 94, 144, 163, 179, 186, 187, 191}));
}

TEST(ImpairLossBernoulli, BurstsOrderAndGapsDoNotMatter) {
  const std::vector<std::uint64_t> expected =
      ImpairmentBench("loss: 20%", kContext, kIdentity).lost(numbers_to(3'000), 64);
  ASSERT_GT(expected.size(), 500U);
  for (const std::uint32_t burst_size : {1U, 2U, 3U, 7U, 32U, 63U}) {
    ImpairmentBench bench("loss: 20%", kContext, kIdentity);
    EXPECT_EQ(bench.lost(numbers_to(3'000), burst_size), expected) << burst_size;
  }
  // Backwards, and only each seventh.
  std::vector<std::uint64_t> backwards = numbers_to(3'000);
  std::reverse(backwards.begin(), backwards.end());
  ImpairmentBench bench("loss: 20%", kContext, kIdentity);
  std::vector<std::uint64_t> hits = bench.lost(backwards, 16);
  std::reverse(hits.begin(), hits.end());
  EXPECT_EQ(hits, expected);
  std::vector<std::uint64_t> sparse;
  std::vector<std::uint64_t> sparse_expected;
  for (std::uint64_t number = 5; number <= 3'000; number += 7) {
    sparse.push_back(number);
    if (std::binary_search(expected.begin(), expected.end(), number))
      sparse_expected.push_back(number);
  }
  EXPECT_EQ(bench.lost(sparse, 16), sparse_expected);
  EXPECT_EQ(bench.tally.undecided, 0U);
  EXPECT_EQ(bench.tally.clamped, 0U);
}

TEST(ImpairLossBernoulli, FlowsMixedInABurstKeepTheirOwnDice) {
  const CompiledImpairment compiled = test::compile_item("loss: 30%", kContext);
  EXPECT_TRUE(compiled.needs_flow);
  EXPECT_TRUE(compiled.drops);
  EXPECT_FALSE(compiled.delays);
  JudgedBurst burst{};
  Selection selection;
  std::uint64_t number = 1;
  std::uint64_t hits = 0;
  ScopeState state;
  ImpairmentTally tally;
  for (int round = 0; round < 50; ++round) {
    selection.count = 0;
    for (std::uint8_t i = 0; i < kBurstMax; ++i) {
      burst.identity[i] = i % 3U;
      burst.number[i] = number + i / 3U;
      burst.match_number[i] = 77;  // the scope's numbers are not asked for
      burst.reason[i] = DropReason::kNone;
      selection.position[selection.count++] = i;
    }
    compiled.decide(compiled.parameters, {state, 9}, burst, selection, tally);
    for (std::uint8_t i = 0; i < kBurstMax; ++i) {
      const std::uint64_t drawn =
          reference_uniform({42, "uplink", 0, 0}, burst.identity[i], burst.number[i]);
      EXPECT_EQ(burst.reason[i] == DropReason::kLoss, drawn < share_of_fraction(3, 10));
      hits += burst.reason[i] == DropReason::kLoss ? 1 : 0;
    }
    number += 22;
  }
  EXPECT_GT(hits, 800U);
}

struct RateCase {
  std::string_view yaml;
  double rate;
};

TEST(ImpairLossBernoulli, RateOverAMillion) {
  for (const RateCase& one :
       {RateCase{"loss: 1%", 0.01}, RateCase{"loss: 10%", 0.1}, RateCase{"loss: 0.01%", 1e-4}}) {
    constexpr double kPackets = 1e6;
    ImpairmentBench bench(one.yaml, {2'024, "statistics", 0}, 5);
    const auto hits = static_cast<double>(bench.lost(numbers_to(1'000'000), 64).size());
    // 4.9 standard deviations: 1e-6 on both sides together.
    EXPECT_NEAR(hits, kPackets * one.rate, 4.9 * std::sqrt(kPackets * one.rate * (1 - one.rate)))
        << one.yaml;
  }
}

TEST(ImpairLossBernoulli, Errors) {
  const std::string allowed = "a probability between 0% and 100%, such as 1%, 0.01 or 1e-7";
  const test::ErrorCase cases[] = {
      {"loss: 101%", {"f:1:7: error: '101%' is out of range; " + allowed}},
      {"loss: 5", {"f:1:7: error: '5' is out of range; " + allowed}},
      {"loss: -1%", {"f:1:7: error: '-1%' is out of range; " + allowed}},
      {"loss: often", {"f:1:7: error: found 'often'; " + allowed}},
      {"loss:", {"f:1:6: error: found nothing; " + allowed}},
      {"loss: [1%]", {"f:1:7: error: found a list; " + allowed}},
      {"loss: {}", {"f:1:7: error: loss: 'rate' is missing"}},
      {"loss: {model: bernoulli}", {"f:1:7: error: loss: 'rate' is missing"}},
      {"loss: {rate: 1%, action: mark-ce}", {"f:1:18: error: loss: 'action' is not yet supported"}},
      {"loss: {rate: x, rat: 1%}",
       {"f:1:14: error: found 'x'; " + allowed,
        "f:1:17: error: loss: unknown key 'rat'; known keys are model, action, rate; did you mean "
        "'rate'?"}},
      {"loss: {model: bernouli, rate: 1%}",
       {"f:1:15: error: unknown model 'bernouli'; bernoulli, gilbert-elliott; did you mean "
        "'bernoulli'?"}},
      {"loss: {model: [bernoulli], rate: 1%}",
       {"f:1:15: error: unknown model a list; bernoulli, gilbert-elliott"}},
      {"loss: {model:, rate: 1%}",
       {"f:1:14: error: unknown model nothing; bernoulli, gilbert-elliott"}},
      {"loss: all",
       {"f:1:7: error: loss model 'all' is not yet supported; bernoulli, gilbert-elliott"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

TEST(ImpairLossBernoulli, ModelsThatAreNotYet) {
  for (const std::string model :
       {"correlated", "markov4", "every", "list", "burst", "outage", "bit-error", "all"}) {
    EXPECT_EQ(test::item_errors("loss: {model: " + model + "}"),
              std::vector<std::string>{"f:1:15: error: loss model '" + model +
                                       "' is not yet supported; bernoulli, gilbert-elliott"});
  }
}

}  // namespace
}  // namespace faultline
