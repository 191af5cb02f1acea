// stop_after: the scope's packets up to N pass, all behind them are dropped.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Fate;
using test::OneImpairment;

TEST(ImpairStopAfter, NumbersUpToNPass) {
  const test::Bytes frame = make(test::Ipv4Frame{});
  struct StopCase {
    std::string yaml;
    std::uint64_t passes;
  };
  const StopCase cases[] = {{"stop_after: 0", 0},     {"stop_after: 1", 1},
                            {"stop_after: 20", 20},   {"stop_after: 64", 64},
                            {"stop_after: 65", 65},   {"stop_after: 1k", 200},
                            {"stop_after: 1e9", 200}, {"stop_after: 18446744073709551615", 200}};
  for (const StopCase& one : cases) {
    std::uint64_t number = 0;
    for (const Fate& fate : test::in_any_bursts(one.yaml, test::alike(frame, 200))) {
      ++number;
      EXPECT_EQ(fate.reason, number <= one.passes ? DropReason::kNone : DropReason::kFiltered)
          << one.yaml << " " << number;
      EXPECT_EQ(fate.time_ns, 0U);
    }
  }
}

TEST(ImpairStopAfter, TheNumberDecidesAndNotHowManyWereSeen) {
  // Others took the numbers between, and packets of a path may come in any order of numbers.
  OneImpairment bench("stop_after: 20");
  const test::Bytes frame = make(test::Ipv4Frame{});
  EXPECT_EQ(bench.offer_one({frame, 0, 21}).reason, DropReason::kFiltered);
  EXPECT_EQ(bench.offer_one({frame, 0, 20}).reason, DropReason::kNone);
  EXPECT_EQ(bench.offer_one({frame, 0, UINT64_MAX}).reason, DropReason::kFiltered);
  EXPECT_EQ(bench.offer_one({frame, 0, 1}).reason, DropReason::kNone);
}

TEST(ImpairStopAfter, ItsScopeHasOneOwnerAndNoDice) {
  const OneImpairment bench("stop_after: 5");
  EXPECT_TRUE(bench.compiled.owns_scope);
  EXPECT_TRUE(bench.compiled.uses_match_number);
  EXPECT_FALSE(bench.compiled.uses_dice);
}

TEST(ImpairStopAfter, Explains) {
  OneImpairment bench("stop_after: 20");
  const Explanation why = bench.explain({make(test::Ipv4Frame{}), 0, 21});
  EXPECT_EQ(why.state, "packet 21 of 20");
  EXPECT_FALSE(why.draw.has_value());
}

TEST(ImpairStopAfter, Errors) {
  const std::string allowed = "; a count such as 10, 5k or 1M (k M G)";
  test::expect_errors({
      {"stop_after: never", {"f:1:13: error: found 'never'" + allowed}},
      {"stop_after: -1", {"f:1:13: error: '-1' is negative" + allowed}},
      {"stop_after: 1.5", {"f:1:13: error: '1.5' is not a whole number" + allowed}},
      {"stop_after: 10p", {"f:1:13: error: '10p' has an unknown unit" + allowed}},
      {"stop_after: {packets: 3}", {"f:1:13: error: found a mapping" + allowed}},
      {"stop_after:", {"f:1:12: error: found nothing" + allowed}},
  });
}

}  // namespace
}  // namespace faultline
