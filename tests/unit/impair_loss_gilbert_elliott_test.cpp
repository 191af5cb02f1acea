// The two-state chain: exact tables from a chain that is simply walked, the same states in any
// order of access, and its law over a million packets.
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
constexpr std::uint32_t kFate = 0;
constexpr std::uint32_t kTransition = 1;

/// Probabilities in percent.
struct ChainLaw {
  std::string_view yaml;
  std::uint64_t p = 0;
  std::uint64_t r = 0;
  std::uint64_t loss_good = 0;
  std::uint64_t loss_bad = 100;
};

/// The chain as docs/faults defines it, walked forwards from far before packet 1, with a
/// number of percent for each probability.
class ChainReference {
 public:
  ChainReference(const ChainLaw& law, const CompileContext& context, std::uint64_t identity)
      : law_(law), context_(context), identity_(identity) {}

  /// The states before steps 1 … last, and one more. Exact whatever the state was 100,000 steps
  /// ago: a step then has decided.
  std::vector<bool> states_to(std::uint64_t last) const {
    std::vector<bool> states{false};  // there is no step 0 here
    bool bad = false;
    for (std::uint64_t step = std::uint64_t{0} - 20'000; step != 0; ++step) bad = after(step, bad);
    bad = after(0, bad);
    for (std::uint64_t step = 1; step <= last + 1; ++step) {
      states.push_back(bad);
      bad = after(step, bad);
    }
    return states;
  }

  std::vector<std::uint64_t> lost_to(std::uint64_t last) const {
    const std::vector<bool> states = states_to(last);
    std::vector<std::uint64_t> lost;
    for (std::uint64_t step = 1; step <= last; ++step) {
      const std::uint64_t loss = states[step] ? law_.loss_bad : law_.loss_good;
      if (draw(kFate, step) < share_of_fraction(loss, 100))
        lost.push_back(step);
    }
    return lost;
  }

 private:
  Uint128 draw(std::uint32_t purpose, std::uint64_t step) const {
    return reference_uniform({context_.seed, context_.rule_name, context_.index, purpose},
                             identity_, step);
  }

  bool after(std::uint64_t step, bool bad) const {
    const Uint128 one = Uint128{1} << 64;
    const Uint128 drawn = draw(kTransition, step);
    // Out of Good with the lowest p of the dice, out of Bad with the highest r.
    return bad ? drawn < one - share_of_fraction(law_.r, 100)
               : drawn < share_of_fraction(law_.p, 100);
  }

  ChainLaw law_;
  CompileContext context_;
  std::uint64_t identity_;
};

const ChainLaw kLaws[] = {
    {"loss: {model: gilbert, p: 1%, r: 20%}", 1, 20},
    {"loss: {model: gilbert-elliott, p: 1%, r: 20%}", 1, 20},
    {"loss: {model: gilbert-elliott, p: 5%, r: 5%}", 5, 5},
    {"loss: {model: gilbert-elliott, p: 50%, r: 50%}", 50, 50},
    {"loss: {model: gilbert-elliott, p: 20%, r: 30%, loss_bad: 70%, loss_good: 5%}", 20, 30, 5, 70},
    {"loss: {model: gilbert-elliott, p: 20%, r: 30%, loss_bad: 0%, loss_good: 100%}", 20, 30, 100,
     0},
    {"loss: {model: gilbert-elliott, p: 70%, r: 80%}", 70, 80},
    {"loss: {model: gilbert-elliott, p: 90%, r: 40%, loss_bad: 90%, loss_good: 10%}", 90, 40, 10,
     90},
    {"loss: {model: gilbert-elliott, p: 100%, r: 30%}", 100, 30},
    {"loss: {model: gilbert-elliott, p: 30%, r: 100%}", 30, 100},
    {"loss: {model: gilbert-elliott, p: 0%, r: 10%}", 0, 10},
    {"loss: {model: gilbert-elliott, p: 10%, r: 0%}", 10, 0},
    {"loss: {model: gilbert-elliott, p: 0%, r: 10%, loss_good: 50%}", 0, 10, 50, 100},
};

TEST(ImpairLossGilbertElliott, TablesForASeed) {
  for (const ChainLaw& law : kLaws) {
    ImpairmentBench bench(law.yaml, kContext, kIdentity);
    EXPECT_EQ(bench.lost(numbers_to(2'000), 64),
              ChainReference(law, kContext, kIdentity).lost_to(2'000))
        << law.yaml;
    EXPECT_EQ(bench.tally.undecided, 0U) << law.yaml;
  }
}

TEST(ImpairLossGilbertElliott, EachPartOfTheNameMakesAnotherChain) {
  const CompileContext contexts[] = {{43, "uplink", 0}, {42, "downlink", 0}, {42, "uplink", 1}};
  const std::vector<std::uint64_t> usual =
      ImpairmentBench(kLaws[4].yaml, kContext, kIdentity).lost(numbers_to(1'000), 64);
  for (const CompileContext& context : contexts) {
    const auto lost =
        ImpairmentBench(kLaws[4].yaml, context, kIdentity).lost(numbers_to(1'000), 64);
    EXPECT_EQ(lost, ChainReference(kLaws[4], context, kIdentity).lost_to(1'000));
    EXPECT_NE(lost, usual);
  }
  const auto other_scope = ImpairmentBench(kLaws[4].yaml, kContext, 1).lost(numbers_to(1'000), 64);
  EXPECT_EQ(other_scope, ChainReference(kLaws[4], kContext, 1).lost_to(1'000));
  EXPECT_NE(other_scope, usual);
}

struct PinnedCase {
  std::size_t law;
  std::vector<std::uint64_t> lost;
};

TEST(ImpairLossGilbertElliott, PinnedDrops) {
  // Computed by a separate program: the promise that a seed hits the same packets in every version.
  const PinnedCase cases[] = {
      {0, {84,  85,  86,  87,  88,  89,  128, 129, 130, 131,
           132, 133, 134, 148, 149, 150, 151, 179, 180, 181}},
      {4, {3, 4, 8, 10, 14, 23, 35, 38, 39, 42, 44, 45, 46, 54, 55, 60, 61, 65, 66, 67}},
      {6, {2, 3, 6, 8, 11, 13, 16, 18, 21, 23, 25, 27, 29, 33, 35, 38, 39, 41, 42, 44}},
      {7, {1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 14, 16, 17, 18, 20, 23, 27, 28, 29, 32}},
  };
  for (const PinnedCase& one : cases) {
    ImpairmentBench bench(kLaws[one.law].yaml, kContext, kIdentity);
    EXPECT_EQ(first_20(bench.lost(numbers_to(2'000), 32)), one.lost) << kLaws[one.law].yaml;
  }
}

TEST(ImpairLossGilbertElliott, BurstSizeDoesNotMatter) {
  for (const ChainLaw& law : kLaws) {
    const std::vector<std::uint64_t> expected =
        ImpairmentBench(law.yaml, kContext, kIdentity).lost(numbers_to(1'000), 64);
    for (const std::uint32_t burst_size : {1U, 2U, 3U, 7U, 32U, 63U}) {
      ImpairmentBench bench(law.yaml, kContext, kIdentity);
      EXPECT_EQ(bench.lost(numbers_to(1'000), burst_size), expected)
          << law.yaml << " " << burst_size;
    }
  }
}

/// Those of `numbers` that are in the ascending list `lost`.
std::vector<std::uint64_t> within(const std::vector<std::uint64_t>& lost,
                                  const std::vector<std::uint64_t>& numbers) {
  std::vector<std::uint64_t> hits;
  for (const std::uint64_t number : numbers)
    if (std::binary_search(lost.begin(), lost.end(), number))
      hits.push_back(number);
  return hits;
}

TEST(ImpairLossGilbertElliott, GapsBackwardsAndForgottenStatesDoNotMatter) {
  for (const ChainLaw& law : kLaws) {
    const std::vector<std::uint64_t> expected =
        ChainReference(law, kContext, kIdentity).lost_to(3'000);
    std::vector<std::uint64_t> sparse;
    for (std::uint64_t number = 2; number <= 3'000; number += 1 + number * number % 11)
      sparse.push_back(number);
    ImpairmentBench gaps(law.yaml, kContext, kIdentity);
    EXPECT_EQ(gaps.lost(sparse, 5), within(expected, sparse)) << law.yaml;

    std::vector<std::uint64_t> backwards = numbers_to(3'000);
    std::reverse(backwards.begin(), backwards.end());
    ImpairmentBench reversed(law.yaml, kContext, kIdentity);
    EXPECT_EQ(reversed.lost(backwards, 7), within(expected, backwards)) << law.yaml;

    ImpairmentBench forgetful(law.yaml, kContext, kIdentity);
    std::vector<std::uint64_t> lost;
    for (std::uint64_t number = 1; number <= 3'000; ++number) {
      if (number % 5 == 0)
        forgetful.guarded.forget();
      for (const std::uint64_t hit : forgetful.lost({number}, 1)) lost.push_back(hit);
    }
    EXPECT_EQ(lost, expected) << law.yaml;
  }
}

TEST(ImpairLossGilbertElliott, ChangedParametersDoNotTrustTheOldState) {
  const ChainLaw& before = kLaws[2];
  const ChainLaw& after = kLaws[6];
  ImpairmentBench bench(before.yaml, kContext, kIdentity);
  bench.lost(numbers_to(501), 64);
  // Numbers go on with the scope; the chain from now on is the new one.
  bench.compiled = test::compile_item(after.yaml, kContext);
  std::vector<std::uint64_t> later;
  for (std::uint64_t number = 502; number <= 1'500; ++number) later.push_back(number);
  EXPECT_EQ(bench.lost(later, 64),
            within(ChainReference(after, kContext, kIdentity).lost_to(1'500), later));
}

TEST(ImpairLossGilbertElliott, OnlyTheScopesNumbersCount) {
  const CompiledImpairment compiled = test::compile_item(kLaws[4].yaml, kContext);
  EXPECT_FALSE(compiled.uses_dice);
  EXPECT_TRUE(compiled.drops);
  EXPECT_TRUE(compiled.owns_scope);
  const std::vector<std::uint64_t> expected =
      ChainReference(kLaws[4], kContext, kIdentity).lost_to(64);
  JudgedBurst burst{};
  Asked asked{};
  Selection selection;
  ScopeState state;
  ImpairmentTally tally;
  for (std::uint8_t i = 0; i < kBurstMax; ++i) {
    asked.identity[i] = i % 5U;
    asked.number[i] = 1'000U - i;
    asked.step[i] = i + 1U;
    asked.scope[i] = kIdentity;
    asked.state[i] = &state;
    selection.position[selection.count++] = i;
  }
  compiled.decide(compiled.parameters, asked, burst, selection, tally);
  for (std::uint8_t i = 0; i < kBurstMax; ++i)
    EXPECT_EQ(burst.reason[i] == DropReason::kLoss,
              std::binary_search(expected.begin(), expected.end(), i + 1U));
}

struct FrozenCase {
  std::string_view yaml;
  std::uint64_t least_bad;
  std::uint64_t most_bad;
};

TEST(ImpairLossGilbertElliott, AChainThatHardlyMovesIsDrawnAndCounted) {
  // p + r = 1e-11: no step decides within 2^20, so the state comes from the stationary law.
  // Binomial(16, 0.9) is 8 or more, and Binomial(16, 0.1) 8 or less, but for 6e-6.
  const FrozenCase cases[] = {{"loss: {model: gilbert, p: 9e-12, r: 1e-12}", 8, 16},
                              {"loss: {model: gilbert, p: 1e-12, r: 9e-12}", 0, 8}};
  for (const FrozenCase& one : cases) {
    std::uint64_t bad = 0;
    for (std::uint64_t identity = 0; identity < 16; ++identity) {
      ImpairmentBench bench(one.yaml, kContext, identity);
      const std::vector<std::uint64_t> lost = bench.lost(numbers_to(300), 64);
      EXPECT_EQ(bench.tally.undecided, 1U) << "once; from then on the state is known";
      EXPECT_TRUE(lost.empty() || lost.size() == 300) << lost.size();
      bad += lost.empty() ? 0U : 1U;
    }
    EXPECT_GE(bad, one.least_bad) << one.yaml;
    EXPECT_LE(bad, one.most_bad) << one.yaml;
  }
}

TEST(ImpairLossGilbertElliott, AChainThatAlwaysFlipsAlternates) {
  ImpairmentBench bench("loss: {model: gilbert, p: 100%, r: 100%}", kContext, kIdentity);
  const std::vector<std::uint64_t> lost = bench.lost(numbers_to(100), 64);
  ASSERT_EQ(lost.size(), 50U);
  for (std::size_t index = 1; index < lost.size(); ++index)
    EXPECT_EQ(lost[index] - lost[index - 1], 2U);
  EXPECT_EQ(bench.tally.undecided, 1U);
}

struct Interval {
  std::uint64_t least;
  std::uint64_t most;
};

void expect_within(std::uint64_t seen, Interval interval, std::string_view yaml,
                   std::string_view what) {
  EXPECT_GE(seen, interval.least) << yaml << " " << what;
  EXPECT_LE(seen, interval.most) << yaml << " " << what;
}

struct LawCase {
  std::string_view yaml;
  Interval lost;         ///< of 10^6
  std::uint64_t goods;   ///< the first so many steps out of Good
  Interval good_to_bad;  ///< of those
  std::uint64_t bads;    ///< the first so many steps out of Bad
  Interval bad_to_good;
  std::uint64_t runs;  ///< the first so many whole runs of losses
  Interval run_packets;
};

/// What a chain did, where every Bad packet was lost. Counting stops at a number of trials fixed in
/// advance, so that the counts are binomial exactly.
struct Walk {
  std::uint64_t goods = 0;
  std::uint64_t good_to_bad = 0;
  std::uint64_t bads = 0;
  std::uint64_t bad_to_good = 0;
  std::uint64_t runs = 0;
  std::uint64_t run_packets = 0;
};

Walk walk(const std::vector<std::uint64_t>& lost, std::uint64_t packets, const LawCase& law) {
  std::vector<bool> bad(packets + 1, false);
  for (const std::uint64_t number : lost) bad[number] = true;
  Walk seen;
  for (std::uint64_t number = 1; number < packets; ++number) {
    if (!bad[number] && seen.goods < law.goods) {
      ++seen.goods;
      seen.good_to_bad += bad[number + 1] ? 1U : 0U;
    }
    if (bad[number] && seen.bads < law.bads) {
      ++seen.bads;
      seen.bad_to_good += bad[number + 1] ? 0U : 1U;
    }
    if (bad[number] && seen.runs < law.runs) {
      ++seen.run_packets;
      seen.runs += bad[number + 1] ? 0U : 1U;
    }
  }
  return seen;
}

TEST(ImpairLossGilbertElliott, LawOverAMillion) {
  // Two-sided at 1e-6 each. Losses: n·π ± 4.8916·sqrt(n·π·(1 − π)·(1 + ρ)/(1 − ρ)), π = p/(p + r),
  // ρ = 1 − p − r (correlated trials). Transitions: Binomial(goods, p) and Binomial(bads, r), their
  // exact quantiles at 5e-7 and 1 − 5e-7. Runs: the sum of `runs` geometric lengths of mean 1/r
  // exceeds s iff fewer than `runs` of s steps end one, a binomial tail again.
  const LawCase cases[] = {
      {"loss: {model: gilbert, p: 1%, r: 20%}",
       {44'578, 50'660},
       948'000,
       {9'010, 9'958},
       43'000,
       {8'197, 9'008},
       8'100,
       {38'565, 42'503}},
      {"loss: {model: gilbert, p: 0.1%, r: 2%}",
       {37'507, 57'731},
       938'000,
       {792, 1'091},
       34'000,
       {557, 810},
       600,
       {24'443, 36'314}},
      {"loss: {model: gilbert, p: 60%, r: 70%}",
       {459'750, 463'327},
       536'000,
       {319'845, 323'354},
       459'000,
       {319'780, 322'817},
       305'200,
       {433'893, 438'122}},
  };
  for (const LawCase& one : cases) {
    ImpairmentBench bench(one.yaml, {2'024, "statistics", 0}, 5);
    const std::vector<std::uint64_t> lost = bench.lost(numbers_to(1'000'000), 64);
    expect_within(lost.size(), one.lost, one.yaml, "lost");
    const Walk seen = walk(lost, 1'000'000, one);
    EXPECT_EQ(seen.goods, one.goods) << one.yaml;
    EXPECT_EQ(seen.bads, one.bads) << one.yaml;
    EXPECT_EQ(seen.runs, one.runs) << one.yaml;
    expect_within(seen.good_to_bad, one.good_to_bad, one.yaml, "Good to Bad");
    expect_within(seen.bad_to_good, one.bad_to_good, one.yaml, "Bad to Good");
    expect_within(seen.run_packets, one.run_packets, one.yaml, "packets in runs");
  }
}

TEST(ImpairLossGilbertElliott, StartsFromTheStationaryLaw) {
  // Packet 1 of 4000 scopes: Bad with p/(p + r) = 1/4, not always Good.
  std::uint64_t bad = 0;
  for (std::uint64_t identity = 1; identity <= 4'000; ++identity) {
    ImpairmentBench bench("loss: {model: gilbert, p: 10%, r: 30%}", kContext, identity);
    bad += bench.lost({1}, 1).empty() ? 0U : 1U;
  }
  // Binomial(4000, 1/4), quantiles at 5e-7 and 1 - 5e-7.
  EXPECT_GE(bad, 868U);
  EXPECT_LE(bad, 1'136U);
}

TEST(ImpairLossGilbertElliott, Errors) {
  const std::string allowed = "a probability between 0% and 100%, such as 1%, 0.01 or 1e-7";
  const test::ErrorCase cases[] = {
      {"loss: {model: gilbert}",
       {"f:1:7: error: loss: 'p' is missing", "f:1:7: error: loss: 'r' is missing"}},
      {"loss: {model: gilbert-elliott, p: 1%}", {"f:1:7: error: loss: 'r' is missing"}},
      {"loss: {model: gilbert, p: 0, r: 0%}",
       {"f:1:7: error: p and r are both 0, so the chain never moves; p + r above 0"}},
      {"loss: {model: gilbert, p: 2, r: x}",
       {"f:1:27: error: '2' is out of range; " + allowed, "f:1:33: error: found 'x'; " + allowed}},
      {"loss: {model: gilbert, p: 1%, r: 1%, loss_bad: 200%, loss_good: no}",
       {"f:1:48: error: '200%' is out of range; " + allowed,
        "f:1:65: error: found 'no'; " + allowed}},
      {"loss: {model: gilbert, p: 1%, r: 1%, q: 1%}",
       {"f:1:38: error: loss: unknown key 'q'; known keys are model, action, clock, slot, rate, "
        "burst, p, "
        "r, start, loss_bad, loss_good"}},
      {"loss: {model: gilbert, p: 1%, r: 1%, los_bad: 1%}",
       {"f:1:38: error: loss: unknown key 'los_bad'; known keys are model, action, clock, slot, "
        "rate, burst, p, r, start, loss_bad, loss_good; did you mean 'loss_bad'?"}},
      {"loss: {model: gilbert-eliott, p: 1%, r: 1%}",
       {"f:1:15: error: unknown model 'gilbert-eliott'; all, bernoulli, bit-error, burst, "
        "correlated, every, gilbert-elliott, list, markov4, outage; did you mean "
        "'gilbert-elliott'?"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
  const test::ErrorCase spellings[] = {
      {"loss: {model: gilbert, rate: 1%}", {"f:1:7: error: loss: 'burst' is missing"}},
      {"loss: {model: gilbert, p: 1%, rate: 1%, burst: 3}",
       {"f:1:27: error: 'p' beside rate and burst; p and r, or rate and burst"}},
      {"loss: {model: gilbert, rate: 90%, burst: 2}",
       {"f:1:7: error: a rate of 0.9 in runs of 2 would need p = 4.5; burst of at least rate/(1 - "
        "rate)"}},
      {"loss: {model: gilbert, rate: 1%, burst: 0.9}",
       {"f:1:41: error: '0.9' is out of range; a number between 1 and 1e+09"}},
      {"loss: {model: gilbert, p: 1%, r: 1%, slot: 1ms}",
       {"f:1:44: error: a slot without clock: time; both, or neither"}},
      {"loss: {model: gilbert, rate: 1%, burst: 3, clock: time}",
       {"f:1:41: error: '3' has no unit; a duration such as 40ms (ns us ms s m h d)"}},
      {"loss: {model: gilbert, p: 1%, r: 1%, start: bad, clock: slots}",
       {"f:1:57: error: found 'slots'; one of packets, time",
        "f:1:45: error: found 'bad'; one of stationary, good"}},
  };
  for (const test::ErrorCase& one : spellings)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

}  // namespace
}  // namespace faultline
