// replay: a copy as old as `age`, while the packet itself passes at its own time.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Fate;
using test::Offered;
using test::OneImpairment;

TEST(ImpairReplay, TheDiceSayWhoAndTheAgeWhen) {
  struct TableCase {
    std::string yaml;
    Uint128 share;
    std::uint64_t age_ns;
  };
  const TableCase cases[] = {
      {"replay: {age: 2s}", Uint128{1} << 64, 2'000'000'000},
      {"replay: {rate: 10%, age: 1ns}", test::share_of_fraction(1, 10), 1},
      {"replay: {rate: 0.5, age: 24h}", test::share_of_fraction(1, 2), 86'400'000'000'000},
      {"replay: {rate: 0%, age: 2s}", 0, 0},
  };
  std::vector<Offered> packets = test::alike(make(test::Ipv4Frame{.fragment = 0x2003}), 1'000);
  for (Offered& packet : packets) packet.time_ns = packet.number * 1'000;
  for (const TableCase& one : cases) {
    std::vector<std::uint64_t> replayed;
    std::uint64_t number = 0;
    for (const Fate& fate : test::in_any_bursts(one.yaml, packets)) {
      number += fate.which == 0 ? 1U : 0U;
      EXPECT_EQ(fate.reason, DropReason::kNone);
      EXPECT_EQ(fate.time_ns, number * 1'000 + fate.which * one.age_ns) << one.yaml;
      EXPECT_EQ(fate.bytes, packets[0].frame);
      if (fate.which == 1)
        replayed.push_back(number);
      ASSERT_LE(fate.which, 1U);
    }
    EXPECT_EQ(replayed, test::hit_by_dice(one.share, 1'000)) << one.yaml;
  }
}

TEST(ImpairReplay, WhatAPathMustKnow) {
  const OneImpairment bench("replay: {rate: 25%, age: 2s}");
  EXPECT_EQ(bench.compiled.copies, 1U);
  EXPECT_EQ(bench.compiled.adds_ns, 2'000'000'000U);
  EXPECT_TRUE(bench.compiled.delays);
  EXPECT_TRUE(bench.compiled.breaks_order);
  // The hold keeps a quarter of the traffic for two seconds: as all of it for half a second.
  EXPECT_EQ(bench.compiled.usual_ns, 500'000'000U);
}

TEST(ImpairReplay, ShareOverManyPackets) {
  OneImpairment bench("replay: {rate: 1%, age: 1s}");
  const std::vector<Fate> fates = bench.offer(test::alike(make(test::Ipv4Frame{}), 100'000));
  test::expect_share(fates.size() - 100'000, 0.01, 100'000);
}

TEST(ImpairReplay, Explains) {
  OneImpairment bench("replay: {rate: 75%, age: 1s}");
  test::expect_draw(bench.explain({make(test::Ipv4Frame{}), 0, 4}), 4, 0.75);
}

TEST(ImpairReplay, Errors) {
  const std::string times = "; a duration such as 40ms (ns us ms s m h d)";
  const std::string range = "; a duration between 1ns and 1d";
  test::expect_errors({
      {"replay: {}", {"f:1:9: error: replay: 'age' is missing"}},
      {"replay: 2s", {"f:1:9: error: replay: found '2s'; a mapping of keys to values"}},
      {"replay: {age: 2}", {"f:1:15: error: '2' has no unit" + times}},
      {"replay: {age: 0s}", {"f:1:15: error: '0s' is out of range" + range}},
      {"replay: {age: 25h}", {"f:1:15: error: '25h' is out of range" + range}},
      {"replay: {age: -1s}", {"f:1:15: error: '-1s' is negative" + times}},
      {"replay: {aeg: 2s, rate: many}",
       {"f:1:25: error: found 'many'; a probability between 0% and 100%, such as 1%, 0.01 or 1e-7",
        "f:1:9: error: replay: 'age' is missing",
        "f:1:10: error: replay: unknown key 'aeg'; known keys are rate, age; did you mean "
        "'age'?"}},
  });
}

}  // namespace
}  // namespace faultline
