// Reorder: who goes early, who late, by hand-worked tables; what is refused.
#include <gtest/gtest.h>

#include "impair/served_pool.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

CompileContext behind_a_delay() {
  CompileContext context{42, "r", 1};
  context.delay_before = true;
  return context;
}

/// When packets leave that came at `came`, each delayed by 10 ms, asked in bursts of `burst_size`.
std::vector<std::uint64_t> early(std::string_view yaml, const std::vector<std::uint64_t>& came,
                                 std::uint32_t burst_size, ImpairmentTally& tally) {
  const CompiledImpairment compiled = test::compile_item(yaml, behind_a_delay());
  ScopeState state;
  Asked asked{};
  JudgedBurst burst{};
  std::vector<std::uint64_t> left;
  for (std::size_t first = 0; first < came.size(); first += burst_size) {
    Selection selection;
    for (std::size_t at = first; at < came.size() && at < first + burst_size; ++at) {
      const auto i = static_cast<std::uint8_t>(selection.count);
      asked.state[i] = &state;
      asked.number[i] = at + 1;
      asked.entered_ns[i] = came[at];
      burst.time_ns[i] = came[at] + 10 * kMs;
      selection.position[selection.count++] = i;
    }
    compiled.decide(compiled.parameters, asked, burst, selection, tally);
    for (std::uint32_t i = 0; i < selection.count; ++i) left.push_back(burst.time_ns[i]);
  }
  return left;
}

TEST(ImpairReorder, OneInGapIsEarly) {
  const std::vector<std::uint64_t> came{0, kMs, 2 * kMs, 3 * kMs, 4 * kMs, 5 * kMs, 6 * kMs};
  const std::vector<std::uint64_t> expected{10 * kMs, 11 * kMs, 2 * kMs, 13 * kMs,
                                            14 * kMs, 5 * kMs,  16 * kMs};
  for (const std::uint32_t burst_size : {1U, 3U, 7U}) {
    ImpairmentTally tally;
    EXPECT_EQ(early("reorder: {mode: early, gap: 3}", came, burst_size, tally), expected);
    EXPECT_EQ(tally.reordered, 2U);
  }
}

TEST(ImpairReorder, WithoutRateNoneIsEarlyAtZero) {
  ImpairmentTally tally;
  EXPECT_EQ(early("reorder: {mode: early, rate: 0%}", {0, kMs}, 2, tally),
            (std::vector<std::uint64_t>{10 * kMs, 11 * kMs}));
  EXPECT_EQ(tally.reordered, 0U);
}

TEST(ImpairReorder, LateByTime) {
  const CompiledImpairment compiled =
      test::compile_item("reorder: {mode: late, by: 5ms}", {42, "r", 0});
  EXPECT_EQ(compiled.adds_ns, 5 * kMs);
  EXPECT_TRUE(compiled.breaks_order);
  Asked asked{};
  JudgedBurst burst{};
  Selection selection;
  selection.count = 2;
  selection.position = {3, 9};
  burst.time_ns[3] = 7;
  burst.time_ns[9] = 9;
  ImpairmentTally tally;
  compiled.decide(compiled.parameters, asked, burst, selection, tally);
  EXPECT_EQ(burst.time_ns[3], 5 * kMs + 7);
  EXPECT_EQ(burst.time_ns[9], 5 * kMs + 9);
  EXPECT_EQ(burst.time_ns[0], 0U);
  EXPECT_EQ(tally.reordered, 2U);
}

/// A scope in which some packets are late by two, at the latest after 1 ms.
class LateByTwo : public ::testing::Test {
 protected:
  LateByTwo() : pool_(3) { asked_.served = &pool_; }

  /// A packet that is late, or passes; its entry in the burst is 0.
  void come(bool late, std::uint64_t time_ns) {
    const CompiledImpairment& one = late ? late_ : passing_;
    asked_.self = &one;
    asked_.state[0] = &state_;
    burst_.time_ns[0] = time_ns;
    burst_.reason[0] = DropReason::kNone;
    Selection selection;
    selection.position[0] = 0;
    selection.count = 1;
    one.decide(one.parameters, asked_, burst_, selection, tally_);
  }
  std::uint64_t serve(std::uint64_t now_ns) { return late_.serve(state_, pool_, 0, now_ns); }
  const ServedPool::Node& node(std::uint32_t place) { return pool_.node(place); }

  // Two policies, one after the other, share the scope: so dice need not be thrown.
  const CompiledImpairment late_ =
      test::compile_item("reorder: {mode: late, by: 2p, max: 1ms}", {42, "r", 0});
  const CompiledImpairment passing_ =
      test::compile_item("reorder: {mode: late, rate: 0%, by: 7p, max: 9ms}", {42, "r", 0});
  ScopeState state_;
  ServedPool pool_;
  Asked asked_{};
  JudgedBurst burst_{};
  ImpairmentTally tally_;
};

TEST_F(LateByTwo, LeavesBehindTheSecond) {
  come(true, 100);
  const std::uint32_t first = burst_.waits[0];
  ASSERT_NE(first, 0U);
  EXPECT_EQ(serve(100), 1'000'100U);
  come(false, 200);
  EXPECT_EQ(burst_.waits[0], 0U);
  EXPECT_EQ(burst_.time_ns[0], 200U);
  come(true, 250);
  const std::uint32_t second = burst_.waits[0];
  EXPECT_EQ(serve(250), 1'000'100U);
  come(false, 300);
  EXPECT_EQ(node(first).verdict, Verdict::kSent);
  EXPECT_EQ(node(first).departure_ns, 301U);
  EXPECT_EQ(node(second).verdict, Verdict::kWaits);
  EXPECT_EQ(serve(300), 301U);
  // At the same instant as the one it followed: no third one passes.
  come(false, 300);
  EXPECT_EQ(burst_.time_ns[0], 301U);
  EXPECT_EQ(node(second).departure_ns, 302U);
  come(false, 301);
  EXPECT_EQ(burst_.time_ns[0], 302U);
  EXPECT_EQ(tally_.reordered, 2U);
  ServedQueue due;
  pool_.detach_due(state_.as<ServedQueue>(), 302, due);
  EXPECT_EQ(serve(302), UINT64_MAX);
}

TEST_F(LateByTwo, LeavesWhenItsTimeIsOver) {
  come(true, 100);
  const std::uint32_t first = burst_.waits[0];
  come(false, 200);
  // Whoever asks late, or is asked first, finds the same.
  come(false, 2'000'000);
  EXPECT_EQ(node(first).departure_ns, 1'000'100U);
  EXPECT_EQ(burst_.time_ns[0], 2'000'000U);
}

TEST_F(LateByTwo, AFullPoolDrops) {
  for (int packet = 0; packet < 3; ++packet) come(true, 100);
  EXPECT_NE(burst_.waits[0], 0U);
  come(true, 100);
  EXPECT_EQ(burst_.waits[0], 0U);
  EXPECT_EQ(burst_.reason[0], DropReason::kOverflow);
  EXPECT_EQ(tally_.reordered, 3U);
}

TEST(ImpairReorder, Errors) {
  const std::string by = "; a time such as 5ms, or 1p to 1000000p for packets";
  const test::ErrorCase cases[] = {
      {"reorder: {}", {"f:1:10: error: reorder: 'mode' is missing"}},
      {"reorder: {mode: next}", {"f:1:17: error: found 'next'; one of early, late"}},
      {"reorder: {mode: late}", {"f:1:10: error: reorder: 'by' is missing"}},
      {"reorder: {mode: late, by: 0p}", {"f:1:27: error: found '0p'" + by}},
      {"reorder: {mode: late, by: 1000001p}", {"f:1:27: error: found '1000001p'" + by}},
      {"reorder: {mode: late, by: xp}", {"f:1:27: error: found 'xp'" + by}},
      {"reorder: {mode: late, by: 3p, gap: 2}",
       {"f:1:31: error: reorder: unknown key 'gap'; known keys are mode, rate, by, max"}},
      {"reorder: {mode: late, by: 3ms, max: 2ms}",
       {"f:1:32: error: reorder: unknown key 'max'; known keys are mode, rate, by"}},
      {"reorder: {mode: early}",
       {"f:1:10: error: an early packet leaves out its rule's delays, and there is none; a delay "
        "before it in the rule, or mode: late"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

}  // namespace
}  // namespace faultline
