// A timeline into the chain of policies that a worker goes along: their instants, what each holds,
// and what they share.
#include <gtest/gtest.h>

#include "policy/timeline.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::tree_of;

struct Chain {
  explicit Chain(const std::string& timeline, CompileRequest request = {}) {
    const std::string yaml =
        "version: 1\nrules:\n"
        "  - {name: wan, ttl: 10s, impair: [loss: 1%, delay: 1ms]}\n"
        "  - {name: off, enabled: false, ttl: 10s, impair: [delay: 1ms]}\n"
        "timeline: [" +
        timeline + "]\n";
    Result<Scenario> read = read_scenario(tree_of(yaml), ScenarioUse::kSimulate);
    if (!read) {
      ADD_FAILURE() << to_line(read.error().front());
      return;
    }
    const Scenario scenario = std::move(*read);
    Result<PolicyChain> compiled = compile_chain(scenario, request, slots);
    if (!compiled)
      ADD_FAILURE() << to_line(compiled.error().front());
    else
      policies = std::move(*compiled);
  }

  std::vector<std::uint64_t> seconds() const {
    std::vector<std::uint64_t> times;
    for (const auto& policy : policies) times.push_back(policy->active_from_ns / kNsPerSecond);
    return times;
  }

  std::vector<bool> enabled(std::size_t rule) const {
    std::vector<bool> all;
    for (const auto& policy : policies) all.push_back(policy->rules[rule].enabled);
    return all;
  }

  PolicySlots slots{2};
  PolicyChain policies;
};

TEST(PolicyTimeline, NoEntriesAreOnePolicy) {
  const Chain chain("");
  ASSERT_EQ(chain.policies.size(), 1U);
  EXPECT_EQ(chain.policies[0]->next, nullptr);
}

TEST(PolicyTimeline, InstantsAreBeginsAndEnds) {
  const Chain chain(
      "{at: 5s, for: 2s, rule: wan, disable: true}, {at: 7s, rule: off, enable: true}, "
      "{at: 0s, rule: wan, set: {loss: 2%}}",
      {.generation = 7, .active_from_ns = kNsPerSecond, .zero_ns = kNsPerSecond});
  EXPECT_EQ(chain.seconds(), (std::vector<std::uint64_t>{1, 6, 8}));
  ASSERT_EQ(chain.policies.size(), 3U);
  for (std::size_t index = 0; index < 3; ++index) {
    EXPECT_EQ(chain.policies[index]->generation, 7 + index);
    EXPECT_EQ(chain.policies[index]->next, index < 2 ? chain.policies[index + 1].get() : nullptr);
  }
  EXPECT_EQ(chain.enabled(0), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(chain.enabled(1), (std::vector<bool>{false, false, true}));
}

TEST(PolicyTimeline, TheLatestToBeginWinsWhileItHolds) {
  const Chain chain(
      "{at: 4s, for: 1s, rule: wan, enable: true}, {at: 2s, for: 6s, rule: wan, disable: true}, "
      "{at: 2s, for: 1s, rule: wan, enable: true}");
  EXPECT_EQ(chain.seconds(), (std::vector<std::uint64_t>{0, 2, 3, 4, 5, 8}));
  EXPECT_EQ(chain.enabled(0), (std::vector<bool>{true, true, false, true, false, true}));
}

TEST(PolicyTimeline, ARunEndsWithAllRulesOff) {
  const Chain chain(
      "{at: 1s, rule: off, enable: true}, {at: 8s, rule: wan, enable: true}, "
      "{when: {rule: wan, match: 3}, at: 6s, rule: off, enable: true}",
      {.active_from_ns = 2 * kNsPerSecond,
       .zero_ns = 2 * kNsPerSecond,
       .begins_run = true,
       .ends_ns = 7 * kNsPerSecond});
  EXPECT_EQ(chain.seconds(), (std::vector<std::uint64_t>{2, 3, 7}));
  EXPECT_EQ(chain.enabled(0), (std::vector<bool>{true, true, false}));
  EXPECT_EQ(chain.enabled(1), (std::vector<bool>{false, true, false}));
  EXPECT_TRUE(chain.policies[0]->begins_run);
  EXPECT_FALSE(chain.policies[1]->begins_run);
  EXPECT_FALSE(chain.policies[1]->rules[1].gates.empty());
  const Policy& last = *chain.policies[2];
  EXPECT_TRUE(last.rules[1].gates.empty() && last.rules[0].trips.empty());
  EXPECT_FALSE(last.rules[1].may_apply());
  // Everything that workers remember of rules is new, though the names are not.
  PolicySlots slots = chain.slots;
  Result<Scenario> scenario = read_scenario(
      tree_of("version: 1\nrules: [{name: wan, impair: [loss: 1%]}]\n"), ScenarioUse::kSimulate);
  const auto again = compile_chain(*scenario, {.begins_run = true}, slots);
  EXPECT_EQ((*again)[0]->fresh_rules.size(), 1U);
}

TEST(PolicyTimeline, TtlRunsFromWhereARuleIsEnabled) {
  const Chain chain(
      "{at: 5s, rule: off, enable: true}, {at: 6s, rule: wan, set: {loss: 2%}}, "
      "{at: 8s, rule: off, enable: true}, {at: 9s, rule: wan, disable: true}");
  ASSERT_EQ(chain.policies.size(), 5U);
  const auto end_s = [&](std::size_t policy, std::size_t rule) {
    const std::uint64_t end_ns = chain.policies[policy]->rules[rule].expires_ns;
    return end_ns == kNever ? 0 : end_ns / kNsPerSecond;
  };
  for (const unsigned policy : {0U, 1U, 2U, 3U}) EXPECT_EQ(end_s(policy, 0), 10U) << policy;
  EXPECT_EQ(end_s(4, 0), 0U) << "a rule that is off has no end";
  EXPECT_EQ(end_s(0, 1), 0U);
  EXPECT_EQ(end_s(1, 1), 15U);
  EXPECT_EQ(end_s(2, 1), 15U);
  EXPECT_EQ(end_s(3, 1), 18U);
}

TEST(PolicyTimeline, RulesKeepTheirSlots) {
  const Chain chain("{at: 1s, rule: wan, set: {loss: 2%}}, {at: 2s, rule: wan, disable: true}");
  ASSERT_EQ(chain.policies.size(), 3U);
  for (const auto& policy : chain.policies)
    for (const unsigned rule : {0U, 1U})
      EXPECT_EQ(policy->rules[rule].slot, chain.policies[0]->rules[rule].slot);
}

/// Whoever replaces a timeline on its way compiles what is left of it.
TEST(PolicyTimeline, FromTheMiddle) {
  CompileRequest request;
  request.zero_ns = 5 * kNsPerSecond;
  request.active_from_ns = request.zero_ns + 2'500'000'000;
  const Chain chain(
      "{at: 1s, rule: wan, set: {loss: 2%}}, {at: 2s, for: 1s, rule: off, enable: true}, "
      "{at: 4s, rule: wan, disable: true}",
      request);
  ASSERT_EQ(chain.policies.size(), 3U);
  EXPECT_EQ(chain.policies[0]->active_from_ns, 7'500'000'000U);
  EXPECT_EQ(chain.policies[1]->active_from_ns, 8'000'000'000U);
  EXPECT_EQ(chain.policies[2]->active_from_ns, 9'000'000'000U);
  EXPECT_TRUE(chain.policies[0]->rules[1].enabled);
  EXPECT_FALSE(chain.policies[1]->rules[1].enabled);
  EXPECT_EQ(chain.policies[0]->instant, "");
  EXPECT_EQ(chain.policies[1]->instant, "off: over");
  EXPECT_EQ(chain.policies[2]->instant, "wan: disabled");
}

}  // namespace
}  // namespace faultline
