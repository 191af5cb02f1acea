// The probe's arithmetic: sequences against a slow reading of RFC 4737, frames there and back, and
// what a frame may suffer.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <random>

#include "packet/frame_fields.hpp"
#include "packet/ones_sum.hpp"
#include "probe/frame.hpp"
#include "probe/sequence.hpp"

namespace faultline {
namespace {

SequenceCounts counts_of(const std::vector<std::uint32_t>& arrivals, std::uint64_t sent,
                         std::uint32_t window = 1024) {
  SequenceChecker checker(window);
  for (const std::uint32_t number : arrivals) checker.take(number);
  checker.end(sent);
  return checker.counts();
}

/// By the definitions, with all arrivals at hand and every pair compared.
SequenceCounts slowly(const std::vector<std::uint32_t>& arrivals, std::uint64_t sent) {
  SequenceCounts counts;
  std::vector<std::uint32_t> different;
  for (const std::uint32_t number : arrivals) {
    if (std::find(different.begin(), different.end(), number) != different.end()) {
      ++counts.duplicated;
      continue;
    }
    const auto greater = std::find_if(different.begin(), different.end(),
                                      [&](std::uint32_t other) { return other > number; });
    if (greater != different.end()) {
      ++counts.reordered;
      counts.extent_max =
          std::max(counts.extent_max, static_cast<std::uint64_t>(different.end() - greater));
    }
    different.push_back(number);
  }
  counts.received = different.size();
  std::uint64_t run = 0;
  for (std::uint32_t number = 0; number < sent; ++number) {
    const bool came = std::find(different.begin(), different.end(), number) != different.end();
    run = came ? 0 : run + 1;
    counts.lost += came ? 0 : 1;
    counts.loss_runs += run == 1 ? 1 : 0;
    counts.longest_run = std::max(counts.longest_run, run);
  }
  return counts;
}

void expect_same(const SequenceCounts& found, const SequenceCounts& expected) {
  EXPECT_EQ(found.received, expected.received);
  EXPECT_EQ(found.duplicated, expected.duplicated);
  EXPECT_EQ(found.lost, expected.lost);
  EXPECT_EQ(found.loss_runs, expected.loss_runs);
  EXPECT_EQ(found.longest_run, expected.longest_run);
  EXPECT_EQ(found.reordered, expected.reordered);
  EXPECT_EQ(found.extent_max, expected.extent_max);
  EXPECT_EQ(found.late, expected.late);
}

TEST(ProbeSequence, OneBehindTwoThatAreGreater) {
  const SequenceCounts counts = counts_of({0, 1, 2, 4, 5, 3, 6, 7, 8, 9}, 10);
  EXPECT_EQ(counts.reordered, 1U);
  EXPECT_EQ(counts.extent_max, 2U);
  EXPECT_EQ(counts.lost, 0U);
}

TEST(ProbeSequence, CountsAreThoseOfTheDefinitions) {
  std::mt19937 random(7);
  for (int turn = 0; turn < 50; ++turn) {
    std::vector<std::uint32_t> arrivals(300);
    std::iota(arrivals.begin(), arrivals.end(), 0U);
    std::erase_if(arrivals, [&](std::uint32_t) { return random() % 8 == 0; });
    for (std::size_t i = 0; i < 30; ++i) arrivals.push_back(arrivals[random() % 200]);
    for (std::size_t i = 0; i + 9 < arrivals.size(); ++i)
      std::swap(arrivals[i], arrivals[i + random() % 9]);
    expect_same(counts_of(arrivals, 300), slowly(arrivals, 300));
  }
}

TEST(ProbeSequence, NothingCame) {
  const SequenceCounts counts = counts_of({}, 5000);
  EXPECT_EQ(counts.lost, 5000U);
  EXPECT_EQ(counts.loss_runs, 1U);
  EXPECT_EQ(counts.longest_run, 5000U);
}

TEST(ProbeSequence, WhatComesBehindTheWindowIsLate) {
  // 5 is given up when 69 comes.
  const SequenceCounts in_time = counts_of({0, 1, 2, 3, 4, 68, 5}, 69, 64);
  EXPECT_EQ(in_time.lost, 62U);
  EXPECT_EQ(in_time.reordered, 1U);
  const SequenceCounts late = counts_of({0, 1, 2, 3, 4, 69, 5}, 70, 64);
  EXPECT_EQ(late.lost, 64U);
  EXPECT_EQ(late.longest_run, 64U);
  EXPECT_EQ(late.late, 1U);
}

TEST(ProbeSequence, NumbersBeginAnew) {
  SequenceChecker checker(64);
  constexpr std::uint64_t kAll = std::uint64_t{1} << 32;
  // A flow may lose half of all numbers at once and go on.
  for (const std::uint64_t number :
       {std::uint64_t{0}, kAll / 2 - 1, kAll - 3, kAll - 1, kAll - 2, kAll + 5, kAll + 1, kAll + 5})
    checker.take(static_cast<std::uint32_t>(number));
  checker.end(kAll + 10);
  EXPECT_EQ(checker.counts().received, 7U);
  EXPECT_EQ(checker.counts().reordered, 2U);
  EXPECT_EQ(checker.counts().duplicated, 1U);
  EXPECT_EQ(checker.counts().lost, kAll + 10 - 7);
  EXPECT_EQ(checker.counts().loss_runs, 5U);
  EXPECT_EQ(checker.counts().longest_run, kAll / 2 - 2);  // from 1 on
}

TEST(ProbeDelay, VariationIsLessTheLeast) {
  DelayCounts delays;
  for (std::uint64_t i = 1; i <= 100; ++i) delays.add(20'000'000 + i * 1'000);
  EXPECT_EQ(delays.least_ns(), 20'001'000U);
  EXPECT_EQ(delays.most_ns(), 20'100'000U);
  EXPECT_EQ(delays.mean_ns(), 20'050'500U);
  EXPECT_EQ(delays.variation_ns(1) + delays.least_ns(), delays.quantile_ns(1));
  EXPECT_NEAR(static_cast<double>(delays.quantile_ns(0.5)), 20'050'000, 20'050'000 * 0.03);
  EXPECT_EQ(DelayCounts().quantile_ns(0.5), 0U);
}

ProbeRoute a_route() {
  return {.from = {.mac = {2, 0, 0, 0, 0, 1}, .ip = {198, 18, 0, 1}},
          .to = {.mac = {2, 0, 0, 0, 0, 2}, .ip = {198, 18, 0, 2}}};
}

ProbeRoute a_route_of_ipv6() {
  ProbeRoute route = a_route();
  route.from.ip = {0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  route.to.ip = {0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  route.ipv6 = true;
  return route;
}

TEST(ProbeFrame, CrcIsThatOfRfc3720) {
  std::array<std::uint8_t, 32> bytes{};
  EXPECT_EQ(crc32c(bytes, 0), 0x8A9136AAU);  // 32 bytes of zeros, appendix B.4
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  EXPECT_EQ(crc32c(bytes, 0), 0x46DD794EU);  // 0, 1, … 31
}

TEST(ProbeFrame, ThereAndBack) {
  const ProbeFrames frames(77, a_route());
  std::array<std::uint8_t, 1600> buffer{};
  for (const std::uint32_t bytes : {64U, 65U, 127U, 1518U}) {
    const ProbeMark mark{.flow = 3, .number = 0xFFFF'FFFF, .stamp_ns = (1ULL << 48) - 5};
    const auto frame = frames.make(mark, bytes, buffer);
    ASSERT_EQ(frame.size(), bytes - 4);
    EXPECT_EQ(ones_sum(frame.subspan(14, 20)), 0xFFFF) << "IP checksum";
    const std::uint32_t pseudo = ones_sum(frame.subspan(26, 8)) + 17 + (bytes - 4 - 34);
    EXPECT_EQ(ones_sum(frame.subspan(34), pseudo), 0xFFFF) << "UDP checksum";
    const ProbeReading reading = frames.read(frame);
    EXPECT_EQ(reading.fate, ProbeFate::kWhole);
    EXPECT_FALSE(reading.headers_changed);
    EXPECT_EQ(reading.mark.flow, mark.flow);
    EXPECT_EQ(reading.mark.number, mark.number);
    EXPECT_EQ(reading.mark.stamp_ns, mark.stamp_ns);
  }
}

TEST(ProbeFrame, ThereAndBackByIpv6) {
  const ProbeFrames frames(77, a_route_of_ipv6());
  EXPECT_EQ(least_bytes(a_route()), 64U);
  EXPECT_EQ(least_bytes(a_route_of_ipv6()), 84U);
  std::array<std::uint8_t, 1600> buffer{};
  for (const std::uint32_t bytes : {84U, 85U, 127U, 1518U}) {
    const auto frame = frames.make({.flow = 3, .number = 7, .stamp_ns = 5}, bytes, buffer);
    ASSERT_EQ(frame.size(), bytes - 4);
    FrameFields fields;
    ASSERT_EQ(parse_frame(frame, bytes - 4, fields), ParseOutcome::kParsed);
    EXPECT_EQ(fields.key.kind, FlowKind::kIpv6);
    EXPECT_EQ(fields.key.protocol, 17);
    EXPECT_EQ(fields.key.source_port, 49'155);
    EXPECT_EQ(fields.key.destination_port, 9);
    const std::uint32_t pseudo = ones_sum(frame.subspan(22, 32)) + 17 + (bytes - 4 - 54);
    EXPECT_EQ(ones_sum(frame.subspan(54), pseudo), 0xFFFF) << "UDP checksum";
    const ProbeReading reading = frames.read(frame);
    EXPECT_EQ(reading.fate, ProbeFate::kWhole);
    EXPECT_FALSE(reading.headers_changed);
    EXPECT_EQ(reading.mark.flow, 3);
    EXPECT_EQ(reading.mark.number, 7U);
    EXPECT_EQ(reading.mark.stamp_ns, 5U);
    EXPECT_EQ(ProbeFrames(77, a_route()).read(frame).fate, ProbeFate::kForeign);
    frame[21] = 63;  // hops
    EXPECT_TRUE(frames.read(frame).headers_changed);
    frame[70] ^= 1;
    EXPECT_EQ(frames.read(frame).fate, ProbeFate::kCorrupted);
  }
}

TEST(ProbeFrame, EveryTurnedBitIsSeen) {
  const ProbeFrames frames(77, a_route());
  std::array<std::uint8_t, 200> buffer{};
  const auto frame = frames.make({.flow = 1, .number = 9, .stamp_ns = 1}, 128, buffer);
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    frame[bit / 8] = static_cast<std::uint8_t>(frame[bit / 8] ^ (1U << (bit % 8)));
    const ProbeReading reading = frames.read(frame);
    if (bit >= 42 * 8) {
      EXPECT_EQ(reading.fate, ProbeFate::kCorrupted) << bit;
    } else {
      EXPECT_EQ(reading.fate, ProbeFate::kWhole) << bit;
      EXPECT_EQ(reading.headers_changed, bit < 40 * 8) << bit;
    }
    frame[bit / 8] = static_cast<std::uint8_t>(frame[bit / 8] ^ (1U << (bit % 8)));
  }
  EXPECT_EQ(frames.read(frame.first(100)).fate, ProbeFate::kCorrupted) << "cut";
}

TEST(ProbeFrame, OthersAreForeign) {
  std::array<std::uint8_t, 64> buffer{};
  const ProbeFrames frames(77, a_route());
  const auto frame = frames.make({}, 64, buffer);
  EXPECT_EQ(ProbeFrames(78, a_route()).read(frame).fate, ProbeFate::kCorrupted) << "same addresses";
  ProbeRoute back{.from = a_route().to, .to = a_route().from, .backwards = true};
  EXPECT_EQ(ProbeFrames(77, back).read(frame).fate, ProbeFate::kForeign);
  EXPECT_EQ(frames.read(frame.first(20)).fate, ProbeFate::kForeign);
  std::fill(frame.begin(), frame.end(), std::uint8_t{0});
  EXPECT_EQ(frames.read(frame).fate, ProbeFate::kForeign);
}

}  // namespace
}  // namespace faultline
