// flap: when the link is down, and what is refused.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using Lines = std::vector<std::string>;

std::optional<CompiledImpairment> read(const std::string& value, Lines* lines = nullptr,
                                       std::uint64_t seed = 1) {
  const auto nodes = std::make_shared<const NodeTable>(
      std::vector<NodeAddresses>{{.name = "n", .port = 1}}, Lines{"p", "q"});
  Problems problems;
  std::string_view kind;
  auto compiled =
      compile_impairment(test::tree_of("{flap: " + value + "}"),
                         {.seed = seed, .rule_name = "r", .nodes = &nodes}, &kind, problems);
  if (lines != nullptr)
    *lines = test::lines_of(problems);
  return compiled;
}

bool is_down(const CompiledImpairment& flap, std::uint64_t since_ns) {
  static JudgedBurst burst;
  Asked asked;
  asked.begins_ns = 77;
  burst.arrival_ns[0] = 77 + since_ns;
  burst.reason[0] = DropReason::kNone;
  Selection one;
  one.position[0] = 0;
  one.count = 1;
  ImpairmentTally tally;
  flap.decide(flap.parameters, asked, burst, one, tally);
  return burst.reason[0] == DropReason::kPartition;
}

TEST(ImpairFlap, DownAndUpInTurn) {
  const auto flap = read("{port: q, down: 20ns, up: 80ns, count: 3}");
  ASSERT_TRUE(flap.has_value());
  for (std::uint64_t since_ns = 0; since_ns < 500; ++since_ns)
    EXPECT_EQ(is_down(*flap, since_ns), since_ns < 300 && since_ns % 100 < 20) << since_ns;
  for (std::uint64_t since_ns = 0; since_ns < 500; ++since_ns)
    EXPECT_EQ(flap->link_is_down(flap->parameters, since_ns), is_down(*flap, since_ns));
  EXPECT_TRUE(is_down(*read("{port: q, down: 20ns, up: 80ns}"), 100'000'000'000));
}

TEST(ImpairFlap, JitterMovesTheBeginning) {
  std::set<std::uint64_t> begins;
  for (std::uint64_t seed = 1; seed < 40; ++seed) {
    const auto flap = read("{node: n, down: 20us, up: 80us, jitter: 40us}", nullptr, seed);
    std::uint64_t down = 0;
    std::uint64_t first = UINT64_MAX;
    for (std::uint64_t since_ns = 0; since_ns < 100'000; since_ns += 100) {
      down += is_down(*flap, since_ns) ? 1U : 0U;
      if (first == UINT64_MAX && is_down(*flap, since_ns))
        first = since_ns;
    }
    EXPECT_NEAR(static_cast<double>(down), 200, 1);
    EXPECT_LE(first, 40'000U);
    begins.insert(first / 4'000);
  }
  EXPECT_GT(begins.size(), 6U);
}

TEST(ImpairFlap, WhatItIsAbout) {
  const auto port = read("{port: q, down: 1ms, up: 1ms}");
  ASSERT_EQ(port->links->bundles.size(), 2U);
  EXPECT_EQ(port->links->bundles[0].to.ports, 0b10U);
  EXPECT_TRUE(port->links->bundles[0].from.any);
  EXPECT_EQ(read("{node: n, down: 1ms, up: 1ms}")->links->bundles[1].from.nodes, 1U);
}

TEST(ImpairFlap, Errors) {
  const auto errors = [](const std::string& value) {
    Lines lines;
    read(value, &lines);
    return lines;
  };
  EXPECT_EQ(errors("{port: x, down: 1s, up: 1s}"),
            Lines{"f:1:15: error: unknown port 'x'; one of the ports p, q"});
  EXPECT_EQ(errors("{port: q, down: 1s, up: 1s, jitter: 2s}"),
            Lines{"f:1:44: error: a jitter longer than the link is up; at most `up`"});
  EXPECT_EQ(errors("{port: q, node: n, down: 1s, up: 1s}").size(), 1U);
  EXPECT_EQ(errors("{down: 1s, up: 1s}").size(), 1U);
  EXPECT_EQ(errors("{port: q, up: 1s}").size(), 1U);
  EXPECT_EQ(errors("{port: q, down: 0, up: 1s}").size(), 1U);
}

}  // namespace
}  // namespace faultline
