// slot: when slots open, worked by hand and through the dice's layout, what they take, and limits.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::frame_of;
using test::Offer;
using test::Offered;
using test::OneImpairment;
using test::packets_of;

constexpr std::uint64_t kUs = 1'000;

/// When each leaves; 0: dropped.
std::vector<std::uint64_t> departures(const std::vector<Fate>& fates) {
  std::vector<std::uint64_t> times;
  for (const Fate& fate : fates)
    times.push_back(fate.reason == DropReason::kNone ? fate.time_ns : 0);
  return times;
}

struct SlotCase {
  std::string yaml;
  std::vector<Offer> offers;
  std::vector<std::uint64_t> leave;
};

TEST(ImpairSlot, OneSlotInTurn) {
  const SlotCase cases[] = {
      // The first has one open 10 us later. What comes by then, at the very instant too, leaves
      // with it; what comes 1 ns later has the next open 10 us after itself.
      {"slot: {min: 10us}",
       {{0, 60}, {4'000, 60}, {10'000, 60}, {10'001, 60}, {50'000, 60}},
       {10'000, 10'000, 10'000, 20'001, 60'000}},
      // Used up: the next opens 10 us after the slot, not after the packet.
      {"slot: {min: 10us, packets: 2}",
       {{0, 60}, {1, 60}, {2, 60}, {3, 60}, {4, 60}, {30'001, 60}},
       {10'000, 10'000, 20'000, 20'000, 30'000, 40'001}},
      // A packet that comes by the opening of a slot ahead joins it while it has room.
      {"slot: {min: 10us, packets: 2}",
       {{0, 60}, {0, 60}, {0, 60}, {15'000, 60}, {15'000, 60}, {20'000, 60}},
       {10'000, 10'000, 20'000, 20'000, 30'000, 30'000}},
      // 100 bytes are reached by the second, which leaves with the slot: it is the last.
      {"slot: {min: 10us, bytes: 100B}",
       {{0, 99}, {0, 500}, {0, 100}, {0, 60}, {0, 60}, {0, 60}},
       {10'000, 10'000, 20'000, 30'000, 30'000, 40'000}},
      // Whichever is reached first.
      {"slot: {min: 10us, packets: 3, bytes: 200B}",
       {{0, 150}, {0, 60}, {0, 60}, {0, 60}, {0, 60}, {0, 60}},
       {10'000, 10'000, 20'000, 20'000, 20'000, 30'000}},
  };
  for (const SlotCase& one : cases)
    EXPECT_EQ(departures(test::in_any_bursts(one.yaml, packets_of(one.offers))), one.leave)
        << one.yaml;
}

TEST(ImpairSlot, TimesAreDrawnByNumberOfSlotAndScope) {
  // Slots of one packet, all there from the beginning: the intervals themselves.
  const std::uint64_t range_ns = 5'000 * kUs - 1'000 * kUs + 1;
  std::vector<std::uint64_t> expected;
  std::uint64_t opens_ns = 0;
  for (std::uint64_t slot = 0; slot < 500; ++slot) {
    const std::uint64_t uniform =
        test::reference_uniform(test::kDelayDice, test::kBenchIdentity, slot);
    opens_ns += 1'000 * kUs + static_cast<std::uint64_t>((Uint128{uniform} * range_ns) >> 64);
    expected.push_back(opens_ns);
  }
  const std::string yaml = "slot: {min: 1ms, max: 5ms, packets: 1}";
  EXPECT_EQ(departures(test::in_any_bursts(yaml, test::alike(frame_of(60), 500))), expected);
  OneImpairment other(yaml);
  other.identity = 7;
  EXPECT_NE(departures(other.offer(test::alike(frame_of(60), 500))), expected);
}

TEST(ImpairSlot, TimesAreUniform) {
  OneImpairment bench("slot: {min: 0.3us, max: 0.4us, packets: 1}", 200'000);
  std::vector<std::uint64_t> counts(101, 0);
  std::uint64_t before_ns = 0;
  for (const std::uint64_t leaves_ns :
       departures(bench.offer(test::alike(frame_of(60), 101'000)))) {
    const std::uint64_t interval_ns = leaves_ns - before_ns;
    ASSERT_TRUE(interval_ns >= 300 && interval_ns <= 400) << interval_ns;
    ++counts[interval_ns - 300];
    before_ns = leaves_ns;
  }
  for (const std::uint64_t count : counts) test::expect_share(count, 1.0 / 101, 101'000);
}

TEST(ImpairSlot, AQueueBoundsWhatWaits) {
  const SlotCase cases[] = {
      // At the opening all have left before the next asks for room, and it leaves at once itself.
      {"slot: {min: 10us}, queue: {limit: 2p}",
       {{0, 60}, {0, 60}, {0, 60}, {9'999, 60}, {10'000, 60}, {10'000, 60}, {10'000, 60}},
       {10'000, 10'000, 0, 0, 10'000, 10'000, 10'000}},
      {"slot: {min: 10us}, queue: {limit: 150B}",
       {{0, 100}, {0, 60}, {0, 50}, {10'001, 150}},
       {10'000, 0, 10'000, 20'001}},
      // In time: how far ahead the slot in turn may be. 25 us ahead is too far, 20 is not.
      {"slot: {min: 10us, packets: 1}, queue: {limit: 20us}",
       {{0, 60}, {0, 60}, {0, 60}, {0, 60}, {5'000, 60}, {10'000, 60}},
       {10'000, 20'000, 30'000, 0, 0, 40'000}},
  };
  for (const SlotCase& one : cases) {
    const std::vector<Fate> fates = test::in_any_bursts(one.yaml, packets_of(one.offers));
    EXPECT_EQ(departures(fates), one.leave) << one.yaml;
    for (const Fate& fate : fates)
      EXPECT_TRUE(fate.reason == DropReason::kNone || fate.reason == DropReason::kQueue);
  }
}

TEST(ImpairSlot, WithoutAQueueTheHoldBoundsIt) {
  // Slots an hour apart, one packet each: the 72nd waits 72 h, and no more are taken.
  OneImpairment bench("slot: {min: 1h, packets: 1}");
  const std::vector<Fate> fates = bench.offer(test::alike(frame_of(60), 80));
  for (std::size_t turn = 0; turn < fates.size(); ++turn) {
    EXPECT_EQ(fates[turn].reason, turn < 72 ? DropReason::kNone : DropReason::kOverflow) << turn;
    if (turn < 72)
      EXPECT_EQ(fates[turn].time_ns, (turn + 1) * 3'600 * kNsPerSecond);
  }
}

TEST(ImpairSlot, AFullPoolIsCounted) {
  OneImpairment bench("slot: {min: 10us}", 10);
  const std::vector<Fate> fates = bench.offer(test::alike(frame_of(60), 11));
  EXPECT_EQ(fates[9].reason, DropReason::kNone);
  EXPECT_EQ(fates[10].reason, DropReason::kOverflow);
  EXPECT_EQ(bench.offer_one({frame_of(60), 10'000}).reason, DropReason::kNone);
}

TEST(ImpairSlot, Explains) {
  OneImpairment bench("slot: {min: 10us, packets: 9}");
  EXPECT_EQ(bench.explain({frame_of(60)}).state, "slot 0, 0 packets in it");
  bench.offer(packets_of({{0, 60}, {20'000, 60}, {20'000, 60}}));
  EXPECT_EQ(bench.explain({frame_of(60)}).state, "slot 2, 2 packets in it");
}

TEST(ImpairSlot, Errors) {
  const std::string times = "; a duration such as 40ms (ns us ms s m h d)";
  test::expect_errors({
      {"slot: {}", {"f:1:7: error: slot: 'min' is missing"}},
      {"slot: 5ms", {"f:1:7: error: slot: found '5ms'; a mapping of keys to values"}},
      {"slot: {min: 5}", {"f:1:13: error: '5' has no unit" + times}},
      {"slot: {min: 0ms}", {"f:1:13: error: '0ms' is out of range; a duration between 1ns and 1h"}},
      {"slot: {min: 61m}", {"f:1:13: error: '61m' is out of range; a duration between 1ns and 1h"}},
      {"slot: {min: 5ms, max: 4ms}",
       {"f:1:23: error: '4ms' is out of range; a duration between 5ms and 1h"}},
      {"slot: {min: 5ms, packets: 0}",
       {"f:1:27: error: '0' is out of range; a count between 1 and 4294967295"}},
      {"slot: {min: 5ms, bytes: 3GiB}",
       {"f:1:25: error: '3GiB' is out of range; a size between 1B and 2GiB"}},
      {"slot: {min: 5ms, packts: 3}",
       {"f:1:18: error: slot: unknown key 'packts'; known keys are min, max, packets, bytes; did "
        "you mean 'packets'?"}},
  });
}

TEST(ImpairSlot, OnlyTailStandsBehindIt) {
  for (const std::string discipline : {"head", "red", "codel", "pie"}) {
    const ConfigNode list =
        test::tree_of("[slot: {min: 1ms}, queue: {limit: 9p, discipline: " + discipline + "}]");
    Problems problems;
    std::string_view kind;
    const CompileContext context = context_of({.seed = 1, .rule_name = "r", .index = 1}, list);
    EXPECT_FALSE(compile_impairment(list.items[1], context, &kind, problems).has_value());
    ASSERT_EQ(problems.size(), 1U) << discipline;
    EXPECT_NE(to_line(problems[0]).find("tail"), std::string::npos) << to_line(problems[0]);
  }
}

}  // namespace
}  // namespace faultline
