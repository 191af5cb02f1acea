// Who told whom the time: how an answer was meant, what several workers saw of one pair, and what
// becomes of a rule's name when its slot goes to another.
#include <gtest/gtest.h>

#include "impair/clock_pairs.hpp"
#include "tests/unit/clock_frames.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Carrier;
using test::ntp_message;
using test::NtpWords;

void see(ClockPairs& pairs, const NtpWords& words, std::uint64_t now_ns) {
  Bytes frame = carry(Carrier::kIpv4, {123, 123}, ntp_message(words)).frame;
  if (words.mode == 3)  // from the client to the source
    std::swap_ranges(frame.begin() + 26, frame.begin() + 30, frame.begin() + 30);
  FrameFields fields;
  parse_frame(frame, frame.size(), fields);
  pairs.see(frame, fields, now_ns);
}

const NtpWords kQuestion{.mode = 3, .receive = 11, .transmit = 12};

TEST(ImpairClockPairs, HowAnAnswerIsMeant) {
  struct ModeCase {
    NtpWords words;
    ClockMode mode;
  };
  const ModeCase cases[] = {
      {{.mode = 4, .origin = 12}, ClockMode::kBasic},
      {{.mode = 4, .origin = 11}, ClockMode::kInterleaved},
      {{.mode = 4, .origin = 13}, ClockMode::kUnknown},
      {{.mode = 4, .origin = 0}, ClockMode::kUnknown},
      {{.mode = 2, .origin = 12}, ClockMode::kSymmetric},
      {{.mode = 5, .origin = 0}, ClockMode::kBroadcast},
      {{.mode = 4, .origin = 12, .trailer = test::mac(16)}, ClockMode::kAuthenticated},
      {{.mode = 4, .origin = 12, .trailer = test::extension(0x0404, 40)},
       ClockMode::kAuthenticated},
  };
  for (const ModeCase& one : cases) {
    ClockPairs pairs;
    see(pairs, kQuestion, 1);
    see(pairs, one.words, 2);
    ASSERT_EQ(pairs.pairs().size(), 1U);
    EXPECT_EQ(pairs.pairs()[0].mode, one.mode);
    EXPECT_EQ(pairs.pairs()[0].told, 1U);
  }
}

TEST(ImpairClockPairs, WhatTwoWorkersSawIsOnePair) {
  ClockPairs first;
  ClockPairs second;
  see(first, kQuestion, 1);
  see(first, {.mode = 4, .origin = 12}, 5);
  see(second, {.mode = 4, .origin = 99}, 9);
  const FlowKey key = [] {
    FrameFields fields;
    const Bytes frame = carry(Carrier::kIpv4, {123, 123}, ntp_message({.mode = 4})).frame;
    parse_frame(frame, frame.size(), fields);
    return fields.key;
  }();
  ToldPair* pair = first.of_told(key, false);
  ASSERT_NE(pair, nullptr);
  pair->rewritten = 3;
  pair->first_ns = 7;
  pair->last_ns = 8;
  pair->rule_slot = 4;
  pair->is_shifted = true;
  for (const bool turned : {false, true}) {
    ClockPairs sum;
    sum.add(turned ? second : first);
    sum.add(turned ? first : second);
    ASSERT_EQ(sum.pairs().size(), 1U);
    const ToldPair& both = sum.pairs()[0];
    EXPECT_EQ(both.told, 2U);
    EXPECT_EQ(both.rewritten, 3U);
    EXPECT_EQ(both.first_ns, 7);
    EXPECT_EQ(both.last_ns, 8);
    EXPECT_EQ(both.rule_slot, 4U);
    EXPECT_EQ(both.mode, ClockMode::kBasic);
    EXPECT_EQ(both.seen_ns, 9U);
    EXPECT_FALSE(both.is_shifted) << "the last one was not";
  }
}

TEST(ImpairClockPairs, WhoIsNeverAnsweredMakesRoom) {
  ClockPairs pairs;
  const auto see_from = [&](unsigned mode, std::size_t client) {
    Bytes frame = carry(Carrier::kIpv4, {123, 123}, ntp_message({.mode = mode})).frame;
    test::put16(frame, mode == 3 ? 28 : 32, client);
    FrameFields fields;
    parse_frame(frame, frame.size(), fields);
    pairs.see(frame, fields, 1);
  };
  for (std::size_t client = 0; client < 1'000; ++client) see_from(3, client);
  EXPECT_EQ(pairs.pairs().size(), ClockPairs::kPairs);
  EXPECT_EQ(pairs.uncounted(), 0U) << "nobody told the time";
  for (std::size_t client = 0; client < ClockPairs::kPairs + 4; ++client) see_from(4, client);
  EXPECT_EQ(pairs.pairs().size(), ClockPairs::kPairs);
  EXPECT_EQ(pairs.uncounted(), 4U);
  for (const ToldPair& pair : pairs.pairs()) EXPECT_EQ(pair.told, 1U);
}

TEST(ImpairClockPairs, ASlotThatIsAnothersIsForgotten) {
  ClockPairs pairs;
  see(pairs, {.mode = 4}, 1);
  ClockPairs copy;
  const FlowKey key = [&] {
    FlowKey made;
    made.kind = FlowKind::kIpv4;
    made.source = pairs.pairs()[0].source;
    made.destination = pairs.pairs()[0].client;
    return made;
  }();
  pairs.of_told(key, false)->rule_slot = 4;
  pairs.forget_rule(3);
  copy.copy_from(pairs);
  EXPECT_EQ(copy.pairs()[0].rule_slot, 4U);
  pairs.forget_rule(4);
  EXPECT_EQ(pairs.pairs()[0].rule_slot, ToldPair::kNoRule);
  pairs.clear();
  EXPECT_EQ(pairs.of_told(key, false), nullptr);
}

}  // namespace
}  // namespace faultline
