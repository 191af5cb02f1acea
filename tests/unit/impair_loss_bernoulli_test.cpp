// Independent losses: exactly those that the dice's layout says, however the packets are asked for.
#include <gtest/gtest.h>

#include <algorithm>

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

struct PinnedCase {
  std::string_view yaml;
  CompileContext context;
  std::uint64_t identity;
  std::vector<std::uint64_t> first;
};

TEST(ImpairLossBernoulli, PinnedDrops) {
  // Computed by a separate program: the promise that a seed hits the same packets in every version.
  const PinnedCase cases[] = {
      {"loss: 10%", kContext, kIdentity, {2,  7,  9,  10, 14,  44,  50,  58,  66,  67,
                                          71, 76, 92, 94, 144, 163, 179, 186, 187, 191}},
      {"loss: 1%", {1, "wan", 0}, 0x1122334455667788, {88, 100, 108, 126, 189, 313, 393, 485}},
      {"loss: 1%", {1, "wan", 1}, 0x1122334455667788, {126, 139, 162, 276, 277, 413, 430, 632}},
      {"loss: 25%", {0, "", 0}, 0, {16, 17, 22, 23, 27, 29, 39, 47, 50, 51, 56, 57}},
      {"loss: 50%",
       {UINT64_MAX, "a.b-c_d", 7},
       UINT64_MAX,
       {3, 4, 7, 8, 13, 17, 19, 22, 24, 25, 28, 29}},
      {"loss: 1e-3", {42, "rule-1", 0}, 99, {7, 137, 179, 249, 778, 782, 2'021, 3'240}},
  };
  for (const PinnedCase& one : cases) {
    ImpairmentBench bench(one.yaml, one.context, one.identity);
    std::vector<std::uint64_t> hits = bench.lost(numbers_to(20'000), 32);
    hits.resize(one.first.size());
    EXPECT_EQ(hits, one.first) << one.yaml << " " << one.context.rule_name;
  }
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
  EXPECT_TRUE(compiled.uses_dice);
  EXPECT_TRUE(compiled.drops);
  EXPECT_FALSE(compiled.delays);
  JudgedBurst burst{};
  Asked asked{};
  Selection selection;
  std::uint64_t number = 1;
  std::uint64_t hits = 0;
  ImpairmentTally tally;
  for (int round = 0; round < 50; ++round) {
    selection.count = 0;
    for (std::uint8_t i = 0; i < kBurstMax; ++i) {
      asked.identity[i] = i % 3U;
      asked.number[i] = number + i / 3U;
      asked.match_number[i] = 77;  // the scope's numbers are not asked for
      burst.reason[i] = DropReason::kNone;
      selection.position[selection.count++] = i;
    }
    compiled.decide(compiled.parameters, asked, burst, selection, tally);
    for (std::uint8_t i = 0; i < kBurstMax; ++i) {
      const std::uint64_t drawn =
          reference_uniform({42, "uplink", 0, 0}, asked.identity[i], asked.number[i]);
      EXPECT_EQ(burst.reason[i] == DropReason::kLoss, drawn < share_of_fraction(3, 10));
      hits += burst.reason[i] == DropReason::kLoss ? 1U : 0U;
    }
    number += 22;
  }
  EXPECT_EQ(hits, 1'009U);
}

struct RateCase {
  std::string_view yaml;
  std::uint64_t least;
  std::uint64_t most;
};

TEST(ImpairLossBernoulli, RateOverAMillion) {
  // Exact: the least and the most hits h with P(X <= h) > 5e-7 and P(X >= h) > 5e-7,
  // X ~ Binomial(10^6, rate). A fixed seed, so this passes always or never.
  const RateCase cases[] = {
      {"loss: 1%", 9'517, 10'490}, {"loss: 10%", 98'536, 101'471}, {"loss: 0.01%", 55, 153}};
  for (const RateCase& one : cases) {
    ImpairmentBench bench(one.yaml, {2'024, "statistics", 0}, 5);
    const std::size_t hits = bench.lost(numbers_to(1'000'000), 64).size();
    EXPECT_GE(hits, one.least) << one.yaml;
    EXPECT_LE(hits, one.most) << one.yaml;
  }
}

TEST(ImpairLossBernoulli, RatesAreDecidedWith64Bits) {
  // Packet 1's own u is known: a rate just above u drops the packet, one just below does not. The
  // two have the same upper 32 bits.
  const std::uint64_t drawn = reference_uniform({42, "uplink", 0, 0}, kIdentity, 1);
  const auto exact = [](Uint128 share) {  // share / 2^64, cut at 25 decimal places
    std::string digits = "0.";
    for (int place = 0; place < 25; ++place) {
      share *= 10;
      digits += static_cast<char>('0' + static_cast<int>(share >> 64));
      share &= UINT64_MAX;
    }
    return digits;
  };
  // Cut at 25 places, a share falls below its whole number: + 2 leaves it at drawn + 1.
  ImpairmentBench above("loss: " + exact(Uint128{drawn} + 2), kContext, kIdentity);
  EXPECT_EQ(above.lost({1}, 1), std::vector<std::uint64_t>{1});
  ImpairmentBench below("loss: " + exact(drawn), kContext, kIdentity);
  EXPECT_EQ(below.lost({1}, 1), std::vector<std::uint64_t>{});
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
      {"loss: {rate: 1%, action: mark}", {"f:1:26: error: found 'mark'; one of drop, mark-ce"}},
      {"loss: {rate: x, rat: 1%}",
       {"f:1:14: error: found 'x'; " + allowed,
        "f:1:17: error: loss: unknown key 'rat'; known keys are model, action, rate; did you mean "
        "'rate'?"}},
      {"loss: {model: bernouli, rate: 1%}",
       {"f:1:15: error: unknown model 'bernouli'; all, bernoulli, bit-error, burst, correlated, "
        "every, gilbert-elliott, list, markov4, outage; did you mean "
        "'bernoulli'?"}},
      {"loss: {model: [bernoulli], rate: 1%}",
       {"f:1:15: error: unknown model a list; all, bernoulli, bit-error, burst, correlated, every, "
        "gilbert-elliott, list, markov4, outage"}},
      {"loss: {model: '', rate: 1%}",
       {"f:1:15: error: unknown model ''; all, bernoulli, bit-error, burst, correlated, every, "
        "gilbert-elliott, list, markov4, outage"}},
      {"loss: {model: , rate: 1%}",
       {"f:1:15: error: unknown model nothing; all, bernoulli, bit-error, burst, correlated, "
        "every, gilbert-elliott, list, markov4, outage"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

}  // namespace
}  // namespace faultline
