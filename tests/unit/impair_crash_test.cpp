// crash: what it does to a packet before and after the return, and what is refused. Resets on their
// way are in tests/sim/test_sim_crash.py.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using Lines = std::vector<std::string>;

std::optional<CompiledImpairment> read(const std::string& value, Lines* lines = nullptr) {
  const auto nodes = std::make_shared<const NodeTable>(
      std::vector<NodeAddresses>{{.name = "a", .port = 0}, {.name = "b", .port = 1}});
  Problems problems;
  std::string_view kind;
  auto compiled =
      compile_impairment(test::tree_of("{crash: " + value + "}"),
                         {.seed = 1, .rule_name = "r", .nodes = &nodes}, &kind, problems);
  if (lines != nullptr)
    *lines = test::lines_of(problems);
  return compiled;
}

constexpr NodeMask kNode = 2;
constexpr std::uint64_t kBegins = 1'000;

struct Packet {
  std::uint64_t arrival_ns = 0;
  std::uint8_t flags = kAckFlag;
  bool towards = true;
  std::uint64_t opened_ns = 0;
  bool is_tcp = true;
};

struct Judged {
  bool dropped = false;
  std::uint32_t answers = 0;
  friend bool operator==(const Judged&, const Judged&) = default;
};

Judged judge(const CompiledImpairment& crash, const Packet& packet) {
  static JudgedBurst burst;
  PerPacket<FrameFields> fields;
  PerPacket<TcpPlace> tcp;
  fields[0].key.kind = FlowKind::kIpv4;
  fields[0].key.protocol = packet.is_tcp ? kProtocolTcp : kProtocolUdp;
  fields[0].l4_offset = 34;
  fields[0].tcp_flags = packet.flags;
  tcp[0].opened_ns = packet.opened_ns;
  Asked asked;
  asked.fields = &fields;
  asked.tcp = &tcp;
  asked.self = &crash;
  asked.begins_ns = kBegins;
  asked.sources[0] = packet.towards ? 0 : kNode;
  asked.destinations[0] = packet.towards ? kNode : 0;
  burst.arrival_ns[0] = burst.time_ns[0] = packet.arrival_ns;
  burst.reason[0] = DropReason::kNone;
  burst.piece[0] = Piece::kWhole;
  burst.answer_count = 0;
  Selection one;
  one.position[0] = 0;
  one.count = 1;
  ImpairmentTally tally;
  crash.decide(crash.parameters, asked, burst, one, tally);
  EXPECT_TRUE(burst.reason[0] == DropReason::kNone || burst.reason[0] == DropReason::kCrash);
  return {burst.reason[0] == DropReason::kCrash, burst.answer_count};
}

constexpr Judged kPasses{false, 0};
constexpr Judged kSilent{true, 0};
constexpr Judged kRefused{true, 1};
constexpr Judged kReset{true, 2};

TEST(ImpairCrash, AHost) {
  const auto host = read("{node: b, down: 500ns}");
  ASSERT_TRUE(host.has_value());
  for (const bool towards : {false, true}) {
    EXPECT_EQ(judge(*host, {kBegins, kAckFlag, towards}), kSilent);
    EXPECT_EQ(judge(*host, {kBegins + 499, kSynFlag, towards}), kSilent);
    EXPECT_EQ(judge(*host, {kBegins + 499, 0, towards, 0, false}), kSilent);
    EXPECT_EQ(judge(*host, {kBegins + 500, kAckFlag, towards, kBegins + 499}), kReset);
    EXPECT_EQ(judge(*host, {kBegins + 500, kAckFlag, towards, 0}), kReset);
    EXPECT_EQ(judge(*host, {kBegins + 501, kAckFlag, towards, kBegins + 500}), kPasses);
    EXPECT_EQ(judge(*host, {kBegins + 500, kSynFlag, towards}), kPasses);
    EXPECT_EQ(judge(*host, {kBegins + 500, kRstFlag, towards, 0}), kPasses);
    EXPECT_EQ(judge(*host, {kBegins + 500, 0, towards, 0, false}), kPasses);
  }
}

TEST(ImpairCrash, AProcess) {
  const auto process = read("{node: b, kind: process, down: 500ns}");
  ASSERT_TRUE(process.has_value());
  EXPECT_EQ(judge(*process, {kBegins, kSynFlag, true}), kRefused);
  EXPECT_EQ(judge(*process, {kBegins, kSynFlag, false}), kPasses);
  EXPECT_EQ(judge(*process, {kBegins, kAckFlag, true, kBegins}), kReset);
  EXPECT_EQ(judge(*process, {kBegins, kRstFlag, true}), kPasses);
  EXPECT_EQ(judge(*process, {kBegins, 0, true, 0, false}), kPasses);
  EXPECT_EQ(judge(*process, {kBegins + 500, kSynFlag, true}), kPasses);
  EXPECT_EQ(judge(*process, {kBegins + 500, kAckFlag, true, kBegins}), kReset);
}

TEST(ImpairCrash, WithoutAnEndItNeverReturns) {
  const auto host = read("{node: b}");
  EXPECT_EQ(judge(*host, {UINT64_MAX - 1, kAckFlag, true}), kSilent);
}

TEST(ImpairCrash, Errors) {
  const auto errors = [](const std::string& value) {
    Lines lines;
    read(value, &lines);
    return lines;
  };
  EXPECT_EQ(errors("{}"), Lines{"f:1:9: error: crash: 'node' is missing"});
  EXPECT_EQ(errors("{node: z}"), Lines{"f:1:16: error: unknown node 'z'; one of the nodes a, b"});
  EXPECT_EQ(errors("{node: a, kind: disk}").size(), 1U);
  EXPECT_EQ(errors("{node: a, down: 0}").size(), 1U);
}

}  // namespace
}  // namespace faultline
