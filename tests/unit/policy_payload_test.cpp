// What becomes of payload patterns when policies are compiled: one database for all rules, shared
// as long as the patterns stay, and errors at the pattern's own place.
#include <gtest/gtest.h>

#include "policy/capacity.hpp"
#include "policy/compile.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::lines_of;
using test::tree_of;

/// A scenario of rules with these matches.
Result<Scenario> scenario_of(const std::vector<std::string>& matches, const std::string& top = "") {
  std::string yaml = "version: 1\n" + top + "rules:\n";
  for (std::size_t rule = 0; rule < matches.size(); ++rule)
    yaml += "  - {name: r" + std::to_string(rule) + ", match: " + matches[rule] +
            ", impair: [loss: all]}\n";
  return read_scenario(tree_of(yaml), ScenarioUse::kSimulate);
}

Result<Policy> compile(const std::vector<std::string>& matches, const Policy* previous = nullptr,
                       const std::string& top = "") {
  const Result<Scenario> scenario = scenario_of(matches, top);
  EXPECT_TRUE(scenario.has_value());
  PolicySlots slots(scenario->path_count());
  return compile_policy(*scenario, {.seed = 1, .previous = previous}, slots);
}

Policy compiled(const std::vector<std::string>& matches, const Policy* previous = nullptr,
                const std::string& top = "") {
  Result<Policy> policy = compile(matches, previous, top);
  EXPECT_TRUE(policy.has_value());
  return std::move(*policy);
}

TEST(PolicyPayload, EqualPayloadsHaveOneBit) {
  Policy policy =
      compiled({"{payload: {literal: a}}", "{payload: {literal: b, stream: true}}",
                "{any: [{payload: {literal: a}}, {not: {payload: {regex: a}}}]}", "{proto: udp}"});
  std::vector<std::uint16_t> bits;
  for (RuleProgram& rule : policy.rules)
    for (const MatchLeaf* leaf : rule.match->payloads()) bits.push_back(leaf->payload_bit);
  EXPECT_EQ(bits, (std::vector<std::uint16_t>{0, 1, 0, 0}));
  EXPECT_TRUE(policy.rules[0].asks_payload && !policy.rules[0].asks_stream);
  EXPECT_TRUE(policy.rules[1].asks_stream && !policy.rules[3].asks_payload);
  EXPECT_EQ(compiled({"{proto: udp}"}).payload, nullptr);
}

TEST(PolicyPayload, TheSamePatternsGoOnWithTheSameStreams) {
  const std::string payload = "{payload: {literal: a, stream: true}}";
  const Policy first = compiled({payload});
  const Policy more = compiled({payload, "{proto: udp}"}, &first);
  EXPECT_EQ(more.payload, first.payload);
  const Policy fewer_streams = compiled({payload}, &more, "flows: {streams: 7}\n");
  EXPECT_NE(fewer_streams.payload, first.payload);
  EXPECT_EQ(fewer_streams.payload->database(), first.payload->database());
  const Policy other = compiled({"{payload: {literal: b, stream: true}}"}, &more);
  EXPECT_NE(other.payload->database(), first.payload->database());
  const Policy apart = compiled({payload});
  EXPECT_NE(apart.payload, first.payload) << "streams of another world";
  EXPECT_EQ(apart.payload->database(), first.payload->database());
}

TEST(PolicyPayload, ADatabaseComesBackFromItsBytes) {
  std::size_t bytes = 0;
  for (int round = 0; round < 3; ++round) {
    const Policy policy = compiled({"{payload: {patterns: [come, back], stream: true}}"});
    EXPECT_TRUE(bytes == 0 || policy.payload->database()->bytes() == bytes);
    bytes = policy.payload->database()->bytes();
    EXPECT_TRUE(policy.payload->prepare(2).has_value());
    EXPECT_NE(policy.payload->scanner(1), nullptr);
  }
}

TEST(PolicyPayload, WhatOnlyCompilingRefusesIsToldAtThePattern) {
  const Result<Policy> policy =
      compile({"{payload: {literal: a}}", "{payload: {regex: '(\\w{2,30}x){600}'}}"});
  ASSERT_FALSE(policy.has_value());
  EXPECT_EQ(lines_of(policy.error()),
            std::vector<std::string>{"f:4:41: error: pattern '(\\w{2,30}x){600}': Pattern is too "
                                     "large; a pattern that Hyperscan takes"});
}

TEST(PolicyPayload, StreamsThatTakeTooMuchAreRefused) {
  std::string patterns;
  for (int pattern = 0; pattern < 80; ++pattern)
    patterns += "'x" + std::to_string(pattern) + "[ab].{300}[cd]', ";
  const Result<Policy> policy = compile({"{payload: {stream: true, patterns: [" + patterns + "]}}"},
                                        nullptr, "flows: {streams: 4M}\n");
  ASSERT_FALSE(policy.has_value());
  EXPECT_NE(policy.error().front().message.find("4000000 streams of "), std::string::npos);
  EXPECT_EQ(policy.error().front().allowed,
            "at most 8589934592 bytes a worker: fewer flows.streams, or other patterns");
}

TEST(PolicyPayload, CapacityCountsTheStreamsOfAllWorkers) {
  const Result<Scenario> scenario = scenario_of({"{payload: {literal: a, stream: true}}"});
  const Policy policy = compiled({"{payload: {literal: a, stream: true}}"});
  WorkerLayout layout;
  layout.workers = 3;
  layout.queues = {{0, 1, 2}, {0, 1, 2}};
  const Capacity capacity = capacity_of(*scenario, policy, 0, layout);
  EXPECT_EQ(capacity.streams, 16'384U);
  EXPECT_EQ(capacity.streams_memory,
            3 * TcpStreams::bytes_for(policy.payload->database()->stream_bytes(), 16'384));
  EXPECT_GT(capacity.patterns, 0U);
}

}  // namespace
}  // namespace faultline
