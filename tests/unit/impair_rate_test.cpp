// Rate: departures from Lindley's recursion in exact fractions, framing, limits, and what is
// refused.
#include <gtest/gtest.h>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

struct Offer {
  std::uint64_t time_ns;
  std::uint32_t length_bytes;
};

/// When each packet leaves; 0: dropped.
using Departures = std::vector<std::uint64_t>;

/// A link of one scope, compiled from a rule's list of one or two impairments.
class RateBench {
 public:
  explicit RateBench(std::string_view yaml) : pool(1'000) {
    const ConfigNode list = test::tree_of(yaml);
    Problems problems;
    std::string_view kind;
    const CompileContext context = context_of({.seed = 1, .rule_name = "r"}, list);
    compiled_ = *compile_impairment(list.items[0], context, &kind, problems);
    EXPECT_TRUE(problems.empty());
  }

  Departures offer(const std::vector<Offer>& offers) {
    JudgedBurst burst{};
    Asked asked{};
    asked.backlog = &pool;
    Selection selection;
    for (const Offer& one : offers) {
      const auto i = static_cast<std::uint8_t>(kBurstMax - 1 - selection.count);
      burst.time_ns[i] = one.time_ns;
      burst.arrival_ns[i] = one.time_ns;
      burst.length_bytes[i] = one.length_bytes;
      asked.state[i] = &state;
      selection.position[selection.count++] = i;
    }
    ImpairmentTally tally;
    compiled_.decide(compiled_.parameters, asked, burst, selection, tally);
    Departures departures;
    for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
      const std::uint8_t i = selection.position[turn];
      reasons.push_back(burst.reason[i]);
      departures.push_back(burst.reason[i] == DropReason::kNone ? burst.time_ns[i] : 0);
    }
    return departures;
  }

  BacklogPool pool;
  ScopeState state;
  std::vector<DropReason> reasons;

 private:
  CompiledImpairment compiled_;
};

struct RateCase {
  std::string_view yaml;
  std::vector<Offer> offers;
  Departures departures;
};

TEST(ImpairRate, Departures) {
  // Worked by hand: 8·w/rate after max(own time, departure before), rounded up to whole ns.
  const RateCase cases[] = {
      {"[rate: 8Mbit]", {{0, 100}, {0, 50}, {200'000, 1}}, {100'000, 150'000, 201'000}},
      {"[rate: {rate: 1Gbit}]", {{1'000, 60}, {1'001, 60}}, {1'480, 1'960}},
      // 8 bits at 3 bit/s are 2.666… s; the clock carries the third on.
      {"[rate: 3bit]", {{0, 1}, {0, 1}, {0, 1}}, {2'666'666'667, 5'333'333'334, 8'000'000'000}},
      // 84 bytes of wire at 10 Gbit/s: 67.2 ns each, five of them 336 ns and not 340.
      {"[rate: {rate: 10Gbit, overhead: 24B, minimum: 84B}]",
       {{0, 60}, {0, 42}, {0, 60}, {0, 60}, {0, 60}},
       {68, 135, 202, 269, 336}},
      // 40 + 8 bytes are one cell of 53 bytes, 41 + 8 two.
      {"[rate: {rate: 8Mbit, overhead: 8B, cell: 48B, cell_overhead: 5B}]",
       {{0, 40}, {0, 41}},
       {53'000, 159'000}},
  };
  for (const RateCase& one : cases) {
    RateBench bench(one.yaml);
    EXPECT_EQ(bench.offer(one.offers), one.departures) << one.yaml;
  }
}

TEST(ImpairRate, FractionsDoNotDrift) {
  // 10^6 packets of 60 bytes at 7 Mbit/s: 480·10^9/7·10^6 ns = 68,571.428571… ns each.
  RateBench bench("[rate: 7Mbit]");
  std::uint64_t last_ns = 0;
  for (int packet = 0; packet < 1'000'000; ++packet) last_ns = bench.offer({{0, 60}}).front();
  // Cut to 2^-32 ns each, so at most 10^6 · 2^-32 ns early, and rounded up.
  EXPECT_EQ(last_ns, 68'571'428'572U);
}

TEST(ImpairRate, Limits) {
  const RateCase cases[] = {
      // 100 bytes take 100 us. Three packets may be there, the one on the link included; the one
      // at 100 us comes when the first has just left.
      {"[rate: 8Mbit, queue: {limit: 3p}]",
       {{0, 100}, {0, 100}, {0, 100}, {0, 100}, {99'999, 100}, {100'000, 100}, {100'000, 100}},
       {100'000, 200'000, 300'000, 0, 0, 400'000, 0}},
      {"[rate: 8Mbit, queue: {limit: 250B}]",
       {{0, 100}, {0, 100}, {0, 51}, {0, 50}, {0, 1}, {100'000, 100}},
       {100'000, 200'000, 0, 250'000, 0, 350'000}},
      // Would begin at 200 us: not more than 200 us later. The next would begin at 300 us.
      {"[rate: 8Mbit, queue: {limit: 200us}]",
       {{0, 100}, {0, 100}, {0, 100}, {0, 100}, {100'000, 100}},
       {100'000, 200'000, 300'000, 0, 400'000}},
      {"[rate: 8Mbit, queue: {limit: 0ms}]",
       {{0, 100}, {0, 100}, {100'000, 1}},
       {100'000, 0, 101'000}},
  };
  for (const RateCase& one : cases) {
    RateBench bench(one.yaml);
    EXPECT_EQ(bench.offer(one.offers), one.departures) << one.yaml;
    for (const DropReason reason : bench.reasons)
      EXPECT_TRUE(reason == DropReason::kNone || reason == DropReason::kQueue);
  }
}

TEST(ImpairRate, NeverBeyondTheHold) {
  // One byte takes 8 s: the 32,400th would wait 72 h.
  RateBench bench("[rate: 1bit]");
  std::uint32_t sent = 0;
  while (bench.offer({{0, 1}}).front() != 0) ++sent;
  EXPECT_EQ(sent, 32'400U);
  EXPECT_EQ(bench.reasons.back(), DropReason::kOverflow);
}

TEST(ImpairRate, AFullPoolIsCountedAndEmptiesAgain) {
  RateBench bench("[rate: 8Mbit, queue: {limit: 1Mp}]");  // a pool of 1,000
  for (int packet = 0; packet < 1'000; ++packet) EXPECT_NE(bench.offer({{0, 1}}).front(), 0U);
  EXPECT_EQ(bench.offer({{0, 1}}), Departures{0});
  EXPECT_EQ(bench.reasons.back(), DropReason::kOverflow);
  EXPECT_EQ(bench.offer({{1'000, 1}}), Departures{1'001'000}) << "one has left";
  bench.pool.clear(bench.state.as<BacklogList>());
  for (int packet = 0; packet < 1'000; ++packet)
    EXPECT_NE(bench.offer({{1'000, 1}}).front(), 0U) << packet;
}

TEST(ImpairRate, Errors) {
  const std::string allowed = "; a rate such as 10Mbit (bit kbit Mbit Gbit Tbit, per second)";
  const test::ErrorCase cases[] = {
      {"rate: fast", {"f:1:7: error: found 'fast'" + allowed}},
      {"rate: 0bit", {"f:1:7: error: '0bit' is out of range; a rate between 1bit and 10Tbit"}},
      {"rate: {rate: 11Tbit}",
       {"f:1:14: error: '11Tbit' is out of range; a rate between 1bit and 10Tbit"}},
      {"rate: {}", {"f:1:7: error: rate: 'rate' is missing"}},
      {"rate: {rate: 1Mbit, cell_overhead: 5B}",
       {"f:1:7: error: cell_overhead without cell; both, as in cell: 48B"}},
      {"rate: {rate: 1Mbit, overhed: 5B}",
       {"f:1:21: error: rate: unknown key 'overhed'; known keys are rate, overhead, minimum, cell, "
        "cell_overhead; did you mean 'overhead'?"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

}  // namespace
}  // namespace faultline
