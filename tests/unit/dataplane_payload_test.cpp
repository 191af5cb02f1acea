// Payloads in the data path: the same hits however packets come in bursts, streams through changes
// of policies, copies, and how little is searched.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>

#include "dataplane/decide.hpp"
#include "policy/compile.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;

struct Segment {
  std::uint16_t port = 1;
  std::uint32_t sequence = 0;
  std::string data;
};

Bytes frame_of(const Segment& segment) {
  Bytes frame = test::make(test::Ipv4Frame{
      .protocol = 6, .ports = {segment.port, 80}, .payload_bytes = segment.data.size()});
  std::copy(segment.data.begin(), segment.data.end(), frame.begin() + 54);
  for (unsigned byte = 0; byte < 4; ++byte)
    frame[38 + byte] = static_cast<std::uint8_t>(segment.sequence >> (24 - 8 * byte));
  frame[47] = 16;
  return frame;
}

/// A worker's deciding half and its policies, each the next of the one before.
class Bench {
 public:
  explicit Bench(const std::string& rules, const Decide::Settings& settings = {},
                 std::string streams = "8")
      : decide(settings), slots_(2), streams_(std::move(streams)) {
    adopt(rules);
  }

  void adopt(const std::string& rules) {
    Result<Scenario> scenario = read_scenario(
        test::tree_of("version: 1\nflows: {streams: " + streams_ + "}\nrules:\n" + rules),
        ScenarioUse::kSimulate);
    ASSERT_TRUE(scenario.has_value()) << to_line(scenario.error().front());
    CompileRequest request{.seed = 42};
    request.previous = policies_.empty() ? nullptr : policies_.back().get();
    Result<Policy> compiled = compile_policy(*scenario, request, slots_);
    ASSERT_TRUE(compiled.has_value()) << to_line(compiled.error().front());
    if (compiled->payload != nullptr)
      ASSERT_TRUE(compiled->payload->prepare(1).has_value());
    policies_.push_back(std::make_unique<Policy>(std::move(*compiled)));
    decide.adopt(*policies_.back(), 0);
  }

  /// One letter a packet: 'x' is lost, '.' goes on.
  std::string judge(const std::vector<Segment>& segments, std::uint32_t burst_size = 1) {
    std::string fates;
    std::vector<Bytes> frames;
    for (const Segment& segment : segments) frames.push_back(frame_of(segment));
    for (std::size_t first = 0; first < frames.size(); first += burst_size) {
      BurstPart part{3, 0, 0};
      for (std::size_t at = first; at < std::min(frames.size(), first + burst_size); ++at) {
        const auto size = static_cast<std::uint32_t>(frames[at].size());
        views_[part.first + part.count++] = {frames[at].data(), size, size};
      }
      decide.judge(views_, part, burst_, counters_);
      for (std::uint32_t i = part.first; i < part.first + part.count; ++i)
        fates += burst_.reason[i] == DropReason::kLoss ? 'x' : '.';
    }
    return fates;
  }

  std::uint64_t matched(std::size_t rule) const {
    return decide.rule_counters()[policies_.back()->rules[rule].slot].matched;
  }

  Decide decide;

 private:
  PolicySlots slots_;
  std::string streams_;
  std::vector<std::unique_ptr<Policy>> policies_;
  PerPacket<FrameView> views_{};
  JudgedBurst burst_{};
  WorkerCounters counters_;
};

constexpr const char* kNeedle =
    "  - {name: r, match: {payload: {literal: needle, stream: true}}, impair: [loss: all]}\n";

TEST(DataplanePayload, TheSameHitsInAnyBursts) {
  std::vector<Segment> segments;
  test::Random random(3);
  for (std::uint32_t at = 0; at < 400; ++at) {
    const auto port = static_cast<std::uint16_t>(1 + at % 5);
    segments.push_back({port, 100 + at / 5 * 3, at / 5 % 2 == 0 ? "nee" : "dle"});
    if (at > 5 && random.below(3) == 0)
      std::swap(segments.back(), segments[segments.size() - 1 - random.below(5)]);
  }
  const std::string one = Bench(kNeedle).judge(segments);
  EXPECT_GT(std::ranges::count(one, 'x'), 100);
  for (const std::uint32_t burst_size : {2U, 7U, 32U, 60U})
    EXPECT_EQ(Bench(kNeedle).judge(segments, burst_size), one);
}

TEST(DataplanePayload, FlowsThatPushEachOtherOutInABurstKeepTheirStreams) {
  // Room for eight flows, not for those of a burst: an entry may be another flow's by the time that
  // the stream is found.
  Bench bench(kNeedle, {.flows_max = 1}, "64");
  test::Random random(7);
  std::array<std::uint32_t, 40> sent{};
  std::vector<Segment> segments;
  std::string expected;
  while (segments.size() < 6'000) {
    const auto port = static_cast<std::uint16_t>(random.below(random.below(4) == 0 ? 40 : 6));
    const std::uint32_t turn = sent[port];
    const bool empty = random.below(3) == 0;  // looks for no stream
    const bool begins = turn % 2 == 0;
    segments.push_back({static_cast<std::uint16_t>(port + 1), 100 + turn * 3,
                        empty    ? ""
                        : begins ? "nee"
                                 : "dle"});
    expected += empty || begins ? '.' : 'x';
    sent[port] += empty ? 0 : 1;
  }
  EXPECT_EQ(bench.judge(segments, 24), expected);
  EXPECT_GT(bench.decide.flow_counters().evicted, 100U);
  EXPECT_EQ(bench.decide.payload_counters().streams, 40U);
}

TEST(DataplanePayload, AStreamIsSearchedWhateverElseIsAsked) {
  // The first half is too short for the rule, and lost by another one, which is final.
  Bench bench(
      "  - {name: a, match: {len: 1-57}, final: true, impair: [loss: all]}\n"
      "  - {name: r, match: {len: 58-99, payload: {literal: needle, stream: true}}, impair: [loss: "
      "all]}\n");
  EXPECT_EQ(bench.judge({{1, 100, "nee"}, {1, 103, "dle......"}}), "xx");
  EXPECT_EQ(bench.matched(1), 1U);
  EXPECT_EQ(bench.decide.payload_counters().scanned, 2U);
}

TEST(DataplanePayload, OnePacketIsSearchedOnceForAllRules) {
  std::string rules;
  for (const char* word : {"aa", "bb", "cc", "bb"})
    rules += std::string("  - {name: r") + std::to_string(rules.size()) +
             ", match: {payload: {literal: " + word + "}}, impair: [delay: 1ms]}\n";
  Bench bench(rules);
  bench.judge({{1, 100, "..bb.."}, {1, 106, "aabb"}, {1, 110, ""}}, 3);
  EXPECT_EQ(bench.decide.payload_counters().scanned, 2U);
  EXPECT_EQ(bench.matched(0), 1U);
  EXPECT_EQ(bench.matched(1), 2U);
  EXPECT_EQ(bench.matched(2), 0U);
  EXPECT_EQ(bench.matched(3), 2U);
}

TEST(DataplanePayload, StreamsGoOnThroughAPolicyWithTheSamePatternsOnly) {
  Bench bench(kNeedle);
  EXPECT_EQ(bench.judge({{1, 100, "nee"}}), ".");
  bench.adopt(std::string(kNeedle) + "  - {name: s, match: {proto: udp}, impair: [loss: all]}\n");
  EXPECT_EQ(bench.judge({{1, 103, "dle"}, {1, 106, "nee"}}), "x.");
  EXPECT_EQ(bench.decide.payload_counters().restarted, 0U);
  bench.adopt(std::string(kNeedle) +
              "  - {name: s, match: {payload: {literal: x, stream: true}}, impair: [loss: all]}\n");
  EXPECT_EQ(bench.decide.payload_counters().restarted, 1U);
  EXPECT_EQ(bench.judge({{1, 109, "dle"}, {1, 112, "needle"}}), ".x");
  bench.adopt("  - {name: r, match: {proto: udp}, impair: [loss: all]}\n");
  EXPECT_EQ(bench.judge({{1, 118, "needle"}}), ".");
  EXPECT_EQ(bench.decide.payload_counters().restarted, 2U);
  EXPECT_EQ(bench.decide.payload_counters().streams, 2U);
}

TEST(DataplanePayload, CopiesAreHitAsWhatTheyAreMadeOf) {
  Bench bench(std::string("  - {name: d, impair: [duplicate: 100%]}\n") + kNeedle);
  EXPECT_EQ(bench.judge({{1, 100, "nee"}, {1, 103, "dle"}}), ".x");
  EXPECT_EQ(bench.matched(1), 2U);
  EXPECT_EQ(bench.decide.payload_counters().scanned, 2U);
}

}  // namespace
}  // namespace faultline
