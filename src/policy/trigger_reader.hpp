// What an entry of the timeline waits for: as it is written, `when: {…}`, and in a policy.
#pragma once

#include <memory>
#include <optional>

#include "policy/policy.hpp"
#include "policy/scenario.hpp"

namespace faultline {

/// Adds the trigger to the scenario, unless one that waits for the same is there. Its index;
/// nothing where something is wrong, which is told. A match becomes a rule of its own, which does
/// nothing.
std::optional<std::size_t> read_trigger(const ConfigNode& node, TriggerRepeats repeats,
                                        Scenario& scenario, Problems& problems);

/// Tells where the rule cannot have the values `changed`, an entry's `set` laid over its own, from
/// one packet to the next: both must go on with the same memory.
void check_variant(const RuleSpec& rule, const ConfigNode& changed, const ConfigNode& set,
                   const Scenario& scenario, Problems& problems);

/// Puts the scenario's triggers into a policy with its rules: what they do to rules, and which
/// count whose packets. Without a board, or triggers, nothing is done.
void lay_triggers(const Scenario& scenario, std::shared_ptr<TriggerBoard> board, Policy& policy);

}  // namespace faultline
