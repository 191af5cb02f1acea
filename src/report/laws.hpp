// What is known of each rule before a packet comes: what it should lose and how it should delay,
// when it may act and where. Taken from the policies, which need not live on for the verdict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/expectation.hpp"
#include "policy/timeline.hpp"

namespace faultline {

/// A trigger that switches a rule on or sets its values, and when after it has fired.
struct LawTrigger {
  std::size_t trigger = 0;  ///< of the policy's
  std::uint64_t after_ns = 0;
};

/// A rule in one policy of the chain.
struct LawTerm {
  std::uint64_t from_ns = 0;  ///< since time zero
  bool enabled = false;
  std::optional<LossShare> loss{};            ///< absent: it depends on the traffic
  std::optional<DelayShape> shape{};          ///< of all of its delays; absent: likewise
  std::optional<CompiledImpairment> delay{};  ///< the only thing that delays, with its law
  std::optional<LawTrigger> set_by{};         ///< these values hold only when it has fired
};

struct RuleLaw {
  std::string name;
  bool optional = false;  ///< it may match nothing
  bool loses = false;     ///< it has a `loss`
  bool delays = false;
  std::size_t fan_out = 1;         ///< paths on which a flooded frame meets it, by the same dice
  std::size_t scopes = 0;          ///< that keep a state each; 0: as many as the traffic makes
  std::vector<std::size_t> ports;  ///< where its packets leave
  std::vector<LawTerm> terms;      ///< in the order of their times
  std::vector<LawTrigger> triggers;
};

/// By rule, in the scenario's order.
std::vector<RuleLaw> laws_of(const Scenario& scenario, const PolicyChain& policies);

/// The confidence of one test so that all of a run together have the scenario's (Bonferroni): of
/// each rule its losses, and its delays, where it has a law of them or something is expected of
/// them.
double confidence_of_each(const Scenario& scenario, const std::vector<RuleLaw>& laws);

}  // namespace faultline
