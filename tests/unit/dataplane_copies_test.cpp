// Copies: which there are, when they begin, what befalls each of them and what they share with
// their packet; and copies of packets that waited for a stage.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/unit/decide_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::DecideBench;
using test::udp_to;

using Times = std::vector<std::uint64_t>;

/// A share of `trials` is within five standard deviations of `rate`.
void expect_share(std::uint64_t hits, double rate, std::uint64_t trials) {
  const double mean = rate * static_cast<double>(trials);
  EXPECT_NEAR(static_cast<double>(hits), mean, 5 * std::sqrt(mean * (1 - rate)));
}

TEST(DataplaneCopies, BeginAtTheirTimes) {
  struct TimeCase {
    std::vector<std::string> rules;
    Times times;
  };
  const TimeCase cases[] = {
      {{"name: a, impair: [duplicate: 100%]"}, {1'000, 1'000}},
      {{"name: a, impair: [duplicate: {copies: 2, delay: 10us}]"}, {1'000, 11'000, 21'000}},
      {{"name: a, impair: [delay: 5us, duplicate: {delay: 10us}]"}, {6'000, 16'000}},
      // What stands behind befalls each.
      {{"name: a, impair: [duplicate: {delay: 10us}, delay: 5us]"}, {6'000, 16'000}},
      {{"name: a, impair: [duplicate: {delay: 10us}]", "name: b, impair: [delay: 5us]"},
       {6'000, 16'000}},
      {{"name: a, impair: [replay: {age: 2s}]"}, {1'000, 2'000'001'000}},
      // Copies of copies: of the packet, then of its first copy.
      {{"name: a, impair: [duplicate: {delay: 10us}, duplicate: {delay: 1us}]"},
       {1'000, 11'000, 2'000, 12'000}},
      // Rules behind a final one see neither.
      {{"name: a, final: true, impair: [duplicate: {delay: 10us}, delay: 1us]",
        "name: b, impair: [delay: 5us]"},
       {2'000, 12'000}},
      {{"name: a, impair: [duplicate: 0%]"}, {1'000}},
      {{"name: a, impair: [loss: 100%, duplicate: 100%]"}, {1'000}},
      {{"name: a, match: {dport: 53}, impair: [duplicate: 100%]"}, {1'000}},
  };
  for (const TimeCase& one : cases) {
    DecideBench bench(one.rules);
    bench.judge(udp_to(80), 1'000);
    EXPECT_EQ(bench.times(), one.times) << one.rules[0];
    for (const std::uint32_t i : bench.entries()) EXPECT_EQ(bench.burst.arrival_ns[i], 1'000U);
    EXPECT_EQ(bench.counted(0).duplicated, one.times.size() - 1);
  }
}

TEST(DataplaneCopies, EachHasANumberOfItsOwn) {
  struct NumberCase {
    std::vector<std::string> rules;
    std::size_t packets;
  };
  const NumberCase cases[] = {
      {{"name: a, impair: [duplicate: {copies: 32}]"}, 33},
      {{"name: a, impair: [duplicate: {copies: 3}, duplicate: {copies: 3}]"}, 16},
      {{"name: a, impair: [duplicate: {copies: 1}, replay: {age: 1s}]",
        "name: b, impair: [duplicate: {copies: 7}]"},
       32},
      {{"name: a, impair: [duplicate: 100%, duplicate: 100%, duplicate: 100%, duplicate: 100%, "
        "duplicate: 100%]"},
       32},
  };
  for (const NumberCase& one : cases) {
    DecideBench bench(one.rules);
    bench.judge(udp_to(80));
    std::set<int> numbers;
    for (const std::uint32_t i : bench.entries()) numbers.insert(bench.burst.copy[i]);
    EXPECT_EQ(bench.entries().size(), one.packets) << one.rules[0];
    EXPECT_EQ(numbers.size(), one.packets) << one.rules[0];
    EXPECT_EQ(bench.burst.copy[0], 0) << "the packet itself";
    EXPECT_LT(*numbers.rbegin(), int{kFirstAnswer});
  }
}

TEST(DataplaneCopies, MoreThan33AreRefused) {
  const auto refused = [](const std::string& packets, const std::string& port) {
    return "f:1:1: error: a packet may become " + packets + " on the way to port '" + port +
           "'; at most 33";
  };
  struct RefusedCase {
    std::vector<std::string> rules;
    std::vector<std::string> lines;
  };
  const RefusedCase cases[] = {
      {{"name: a, impair: [duplicate: {copies: 32}]"}, {}},
      {{"name: a, to: right, impair: [duplicate: {copies: 32}, replay: {age: 1s}]"},
       {refused("66", "right")}},
      {{"name: a, to: right, impair: [duplicate: {copies: 16}]",
        "name: b, impair: [duplicate: 1%]"},
       {refused("34", "right"), refused("34", "left")}},
      {{"name: a, to: right, impair: [mtu: {size: 100B, action: fragment}]",
        "name: b, to: right, impair: [mtu: {size: 99B, action: fragment}]"},
       {refused("100", "right")}},
      {{"name: a, to: right, impair: [mtu: {size: 100B, action: icmp}, duplicate: {copies: 32}]"},
       {}},
  };
  for (const RefusedCase& one : cases) {
    std::vector<std::string> lines = test::policy_errors(one.rules);
    std::sort(lines.begin(), lines.end());
    std::vector<std::string> expected = one.lines;
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(lines, expected) << one.rules[0];
  }
}

TEST(DataplaneCopies, WhatStandsBeforeBefallsAllAndBehindEach) {
  DecideBench bench(
      {"name: a, impair: [loss: 50%, duplicate: 100%, loss: 30%]", "name: b, impair: [loss: 20%]"});
  // Of the packet and its copy each lives with 0.7 · 0.8, independently.
  constexpr std::uint64_t kPackets = 20'000;
  const double lives = 0.7 * 0.8;
  std::uint64_t copied = 0;
  std::uint64_t counts[2][2]{};
  for (std::uint64_t packet = 0; packet < kPackets; ++packet) {
    bench.judge(udp_to(80));
    if (bench.decide.copies() == 0) {
      EXPECT_EQ(bench.burst.reason[0], DropReason::kLoss);
      continue;
    }
    ++copied;
    ++counts[bench.alive()[0] ? 1 : 0][bench.alive()[1] ? 1 : 0];
  }
  expect_share(copied, 0.5, kPackets);
  expect_share(counts[1][1], lives * lives, copied);
  expect_share(counts[1][0], lives * (1 - lives), copied);
  expect_share(counts[0][1], lives * (1 - lives), copied);
  EXPECT_EQ(bench.counted(0).matched, kPackets) << "a copy does not count in its own rule";
  EXPECT_EQ(bench.counted(0).duplicated, copied);
  EXPECT_EQ(bench.counted(1).matched, kPackets + copied) << "but in those behind";
}

TEST(DataplaneCopies, DiceOfCopiesAreTheirOwn) {
  // The packet's own fate is what it is without copies: in the same place of the same rule.
  DecideBench alone({"name: a, impair: [delay: 0, loss: 30%]", "name: b, impair: [loss: 20%]"});
  DecideBench copied(
      {"name: a, impair: [duplicate: {copies: 3}, loss: 30%]", "name: b, impair: [loss: 20%]"});
  DecideBench again(
      {"name: a, impair: [duplicate: {copies: 3}, loss: 30%]", "name: b, impair: [loss: 20%]"});
  std::uint64_t same[4]{};
  for (int packet = 0; packet < 4'000; ++packet) {
    const Bytes frame = udp_to(static_cast<std::uint16_t>(packet % 7));
    alone.judge(frame);
    copied.judge(frame);
    again.judge(frame);
    ASSERT_EQ(alone.burst.reason[0], copied.burst.reason[0]);
    const std::vector<bool> alive = copied.alive();
    ASSERT_EQ(alive, again.alive()) << "but a function of the seed";
    ASSERT_EQ(alive.size(), 4U);
    for (std::size_t one = 0; one < 4; ++one) same[one] += alive[one] == alive[(one + 1) % 4];
  }
  const double lives = 0.7 * 0.8;
  for (const std::uint64_t count : same)
    expect_share(count, lives * lives + (1 - lives) * (1 - lives), 4'000);
}

TEST(DataplaneCopies, AreOfTheirPacketsFlow) {
  // A count of matches: in its own rule a copy has the number of its packet, behind it one of its
  // own, after its packet's.
  DecideBench own({"name: a, impair: [duplicate: 100%, stop_after: 2]"});
  std::vector<std::vector<bool>> alive;
  for (int packet = 0; packet < 3; ++packet) {
    own.judge(udp_to(80));
    alive.push_back(own.alive());
  }
  EXPECT_EQ(alive, (std::vector<std::vector<bool>>{{true, true}, {true, true}, {false, false}}));
  DecideBench behind({"name: a, impair: [duplicate: 100%]", "name: b, impair: [stop_after: 3]"});
  alive.clear();
  for (int packet = 0; packet < 3; ++packet) {
    behind.judge(udp_to(80));
    alive.push_back(behind.alive());
  }
  EXPECT_EQ(alive, (std::vector<std::vector<bool>>{{true, true}, {true, false}, {false, false}}));
  // A bucket of 200 bytes for each flow: packet and copy of 100 empty it.
  DecideBench bucket(
      {"name: a, per: flow, impair: [duplicate: {copies: 2}, police: {rate: 1bit, "
       "burst: 200B}]"});
  bucket.judge(udp_to(80));
  EXPECT_EQ(bucket.alive(), (std::vector<bool>{true, true, false}));
  bucket.judge(udp_to(80));
  EXPECT_EQ(bucket.alive(), (std::vector<bool>{false, false, false}));
  bucket.judge(udp_to(53));
  EXPECT_EQ(bucket.alive(), (std::vector<bool>{true, true, false}));
  // A link: one behind the other.
  DecideBench link({"name: a, impair: [duplicate: {copies: 2}, rate: 8Mbit]"});
  link.judge(udp_to(80));
  EXPECT_EQ(link.times(), (Times{100'000, 200'000, 300'000}));
  // A chain that flips each time: its index is the packet's number in the flow.
  DecideBench chain(
      {"name: a, per: flow, impair: [duplicate: 100%, loss: {model: gilbert, p: "
       "100%, r: 100%}]"});
  bool before = false;
  for (int packet = 0; packet < 6; ++packet) {
    chain.judge(udp_to(80));
    EXPECT_EQ(chain.alive()[0], chain.alive()[1]);
    EXPECT_TRUE(packet == 0 || chain.alive()[0] != before);
    before = chain.alive()[0];
  }
}

TEST(DataplaneCopies, TakeAlongWhatTheirPacketHasUpToThere) {
  DecideBench bench(
      {"name: a, impair: [set: {ttl: 9}, mark_ce: 100%, duplicate: 100%, set: {rate: "
       "50%, vlan: {push: 3}}]"});
  Bytes capable = udp_to(80);
  capable[15] = 2;
  std::uint64_t differ = 0;
  for (int packet = 0; packet < 1'000; ++packet) {
    bench.judge(capable);
    ASSERT_EQ(bench.decide.copies(), 1U);
    std::size_t edits[2]{};
    for (std::size_t turn = 0; turn < 2; ++turn) {
      const std::uint32_t i = bench.entries()[turn];
      bench.burst.edits.visit(i, [&](const Edit& edit) {
        EXPECT_EQ(edit.impairment, &bench.policy().rules[0].steps[edits[turn] * 3].impairment);
        ++edits[turn];
      });
      ASSERT_GE(edits[turn], 1U);
      EXPECT_TRUE(bench.burst.marked[i]);
      EXPECT_EQ(bench.burst.ecn[i], 3);
      EXPECT_EQ(bench.burst.length_bytes[i], 100 + (edits[turn] - 1) * 4);
      EXPECT_EQ(bench.burst.tag_bytes[i], static_cast<int>(edits[turn] - 1) * 4);
    }
    differ += edits[0] != edits[1] ? 1U : 0U;
  }
  expect_share(differ, 0.5, 1'000);
}

TEST(DataplaneCopies, FragmentsGoOnByThemselves) {
  // 260 bytes of IP, 240 behind its header: 80, 80, 80 of 100.
  DecideBench bench({"name: a, impair: [mtu: {size: 100B, action: fragment}, loss: 30%]",
                     "name: b, impair: [rate: 8Mbit]"});
  std::uint64_t lost = 0;
  for (std::uint64_t packet = 0; packet < 2'000; ++packet) {
    bench.judge(udp_to(80, 274), packet * 1'000'000);
    ASSERT_EQ(bench.entries().size(), 3U);
    std::uint64_t expected_ns = packet * 1'000'000;
    for (const std::uint32_t i : bench.entries()) {
      EXPECT_EQ(bench.burst.length_bytes[i], 114U);
      if (bench.burst.reason[i] != DropReason::kNone) {
        ++lost;
        continue;
      }
      expected_ns += 114'000;
      EXPECT_EQ(bench.burst.time_ns[i], expected_ns) << "in their order";
    }
  }
  expect_share(lost, 0.3, 6'000);
}

TEST(DataplaneCopies, PacketsAreJudgedTogetherWhereNothingIsBehind) {
  const auto part_max = [](const std::string& rule, PathId path_id) {
    return DecideBench({"name: b, from: left, impair: [loss: 1%]", rule}).decide.part_max(path_id);
  };
  EXPECT_EQ(part_max("name: a, from: left, impair: [duplicate: 1%]", 0), 32U);
  EXPECT_EQ(part_max("name: a, from: left, impair: [duplicate: 1%]", 1), kBurstMax);
  EXPECT_EQ(part_max("name: a, from: left, impair: [duplicate: {copies: 5}]", 0), 6U);
  EXPECT_EQ(part_max("name: a, from: left, impair: [duplicate: {copies: 32}]", 0), 1U);
  EXPECT_EQ(part_max("name: a, impair: [duplicate: 1%, loss: 1%]", 0), 1U);
  EXPECT_EQ(part_max("name: a, impair: [duplicate: 1%, duplicate: 1%]", 0), 1U);
}

TEST(DataplaneCopies, TogetherAsOneByOne) {
  // Two flows of which the second rule knows one, so that plans differ within a burst.
  const std::vector<std::string> lines{
      "name: a, impair: [loss: 30%, delay: 5us]",
      "name: b, match: {dport: 81}, impair: [loss: 20%, delay: 1us, "
      "duplicate: {rate: 40%, copies: 3, delay: 2us}]"};
  DecideBench together(lines);
  DecideBench alone(lines);
  std::uint64_t copies = 0;
  for (std::uint64_t burst = 0; burst < 300 && !HasFailure(); ++burst) {
    constexpr std::uint32_t kPart = 10;
    std::vector<DecideBench::Arrival> packets;
    for (std::uint64_t at = 0; at < kPart; ++at)
      packets.push_back({udp_to(at % 3 == 0 ? 80 : 81), burst * 1'000'000 + at * 10});
    together.judge_part(packets);
    std::uint32_t at = 0;
    for (std::uint32_t packet = 0; packet < kPart; ++packet) {
      alone.judge(packets[packet].frame, packets[packet].time_ns);
      EXPECT_EQ(together.burst.reason[packet], alone.burst.reason[0]);
      EXPECT_EQ(together.burst.time_ns[packet], alone.burst.time_ns[0]);
      for (std::uint32_t copy = 0; copy < alone.decide.copies(); ++copy, ++at) {
        ASSERT_LT(at, together.decide.copies());
        EXPECT_EQ(together.decide.copied_from(at), packet);
        EXPECT_EQ(together.burst.time_ns[Decide::kFirstCopy + at],
                  alone.burst.time_ns[Decide::kFirstCopy + copy]);
        EXPECT_EQ(together.burst.copy[Decide::kFirstCopy + at], copy + 1);
      }
    }
    EXPECT_EQ(at, together.decide.copies());
    copies += at;
  }
  EXPECT_GT(copies, 500U);
  for (const std::size_t rule : {0U, 1U}) {
    const RuleCounters& left = together.counted(rule);
    const RuleCounters& right = alone.counted(rule);
    EXPECT_EQ(left.matched, right.matched);
    EXPECT_EQ(left.lost, right.lost);
    EXPECT_EQ(left.loss_runs, right.loss_runs);
    EXPECT_EQ(left.dropped, right.dropped);
    EXPECT_EQ(left.duplicated, right.duplicated);
    EXPECT_EQ(left.delayed, right.delayed);
    EXPECT_EQ(left.delay_sum_ns, right.delay_sum_ns);
    EXPECT_EQ(left.delay_max_ns, right.delay_max_ns);
  }
}

// --- packets that waited -------------------------------------------------------------------------

TEST(DataplaneCopies, WaitForAStageEachForItself) {
  // With a delay other packets come between: each is judged when it gets to the link.
  DecideBench bench({"name: a, impair: [duplicate: {delay: 150us}, rate: 8Mbit, delay: 1us]"});
  std::vector<DecideBench::Parked> waiting;
  for (const std::uint64_t arrival_ns : {0U, 120'000U}) {
    bench.judge(udp_to(80), arrival_ns);
    ASSERT_EQ(bench.times(), (Times{arrival_ns, arrival_ns + 150'000}));
    for (const std::uint32_t i : bench.entries()) {
      ASSERT_GT(bench.decide.resume_bytes(i), 0U);
      waiting.push_back(bench.parked(i, udp_to(80)));
    }
  }
  // 0, 120, 150 and 270 us: 100 us each on the link, and 1 us behind it.
  Times times;
  for (const std::size_t turn : {0U, 2U, 1U, 3U}) {
    bench.resume(waiting[turn]);
    EXPECT_EQ(bench.decide.copies(), 0U);
    EXPECT_EQ(bench.burst.copy[0], turn % 2);
    times.push_back(bench.burst.time_ns[0]);
  }
  EXPECT_EQ(times, (Times{101'000, 221'000, 321'000, 421'000}));
  EXPECT_EQ(bench.counted(0).matched, 2U);
}

TEST(DataplaneCopies, WhatNeedsOrderJudgesInTheOrderOfTimes) {
  // Packets come at 0.001 and 1.2 ms, their copies get there at 1.501 and 2.7 ms.
  struct OrderCase {
    std::string stage;
    std::size_t bytes;
    Times times_us;  ///< at which they leave, in the order of their times; 0: dropped
  };
  const OrderCase cases[] = {
      // A byte each 10 us: 200, then 50 + 120, then 20 + 30 and 50 + 120 are in the bucket.
      {"police: {rate: 800kbit, burst: 200B}", 150, {1, 1'200, 0, 2'700}},
      // Slots at 1.001, at 2.2 (for two) and at 3.7 ms.
      {"slot: {min: 1ms}", 100, {1'001, 2'200, 2'200, 3'700}},
      {"link_trace: {file: t, contents: \"1\\n\"}", 1'500, {1'000, 2'000, 3'000, 4'000}},
  };
  for (const OrderCase& one : cases) {
    DecideBench bench({"name: a, impair: [duplicate: {delay: 1500us}, " + one.stage + "]"});
    std::vector<DecideBench::Parked> waiting;
    for (const std::uint64_t arrival_ns : {1'000U, 1'200'000U}) {
      bench.judge(udp_to(80, one.bytes), arrival_ns);
      for (const std::uint32_t i : bench.entries()) {
        ASSERT_GT(bench.decide.resume_bytes(i), 0U) << one.stage;
        waiting.push_back(bench.parked(i, udp_to(80, one.bytes)));
      }
    }
    Times times_us;
    for (const std::size_t turn : {0U, 2U, 1U, 3U}) {
      bench.resume(waiting[turn]);
      times_us.push_back(bench.alive()[0] ? bench.burst.time_ns[0] / 1'000 : 0);
    }
    EXPECT_EQ(times_us, one.times_us) << one.stage;
  }
}

TEST(DataplaneCopies, OfAPacketThatWaited) {
  const std::vector<std::string> lines{
      "name: a, impair: [delay: {time: 1ms, jitter: 10us, order: free}, rate: 8Mbit, duplicate: "
      "{copies: 2, delay: 7us}, loss: 30%]",
      "name: b, impair: [loss: 20%]"};
  DecideBench bench(lines);
  std::uint64_t alive = 0;
  for (std::uint64_t packet = 0; packet < 3'000; ++packet) {
    const std::uint64_t arrival_ns = packet * 10'000'000;
    bench.judge(udp_to(80), arrival_ns);
    ASSERT_EQ(bench.decide.copies(), 0U) << "not before the link";
    const std::uint64_t sent_ns = bench.burst.time_ns[0] + 100'000;
    const DecideBench::Parked waiting = bench.parked(0, udp_to(80));
    bench.resume(waiting);
    ASSERT_EQ(bench.times(), (Times{sent_ns, sent_ns + 7'000, sent_ns + 14'000}));
    std::set<int> numbers;
    for (const std::uint32_t i : bench.entries()) {
      numbers.insert(bench.burst.copy[i]);
      EXPECT_EQ(bench.burst.arrival_ns[i], arrival_ns);
    }
    ASSERT_EQ(numbers.size(), 3U);
    for (const bool lives : bench.alive()) alive += lives ? 1U : 0U;
  }
  expect_share(alive, 0.7 * 0.8, 9'000);
  EXPECT_EQ(bench.counted(0).duplicated, 6'000U);
  EXPECT_EQ(bench.counted(1).matched, 3'000U) << "its matches were counted at arrival";
}

TEST(DataplaneCopies, DiceStayTheirOwnWhenACopyWaits) {
  // The copy is parked and taken up again: its dice are those that it has without waiting.
  const std::string loss = "name: b, impair: [loss: 40%]";
  DecideBench waits(
      {"name: a, impair: [duplicate: {delay: 1ns}, police: {rate: 10Tbit, burst: "
       "1MB}]",
       loss});
  DecideBench not_so(
      {"name: a, impair: [duplicate: 100%, police: {rate: 10Tbit, burst: 1MB}]", loss});
  std::uint64_t lost = 0;
  for (std::uint64_t packet = 0; packet < 2'000; ++packet) {
    not_so.judge(udp_to(80), packet * 1'000);
    waits.judge(udp_to(80), packet * 1'000);
    std::vector<DecideBench::Parked> both;
    for (const std::uint32_t i : waits.entries()) both.push_back(waits.parked(i, udp_to(80)));
    std::vector<bool> alive;
    for (const DecideBench::Parked& one : both) {
      waits.resume(one);
      alive.push_back(waits.alive()[0]);
    }
    ASSERT_EQ(alive, not_so.alive()) << packet;
    lost += (alive[0] ? 0U : 1U) + (alive[1] ? 0U : 1U);
  }
  expect_share(lost, 0.4, 4'000);
}

}  // namespace
}  // namespace faultline
