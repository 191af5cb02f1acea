// The timeline of a scenario: rules enabled, disabled and set to other values at times counted from
// time zero. At any instant the scenario is what is written under `rules:`, with every entry whose
// time it is applied in the order in which they begin. Each instant becomes a policy of its own; a
// worker goes from one to the next by itself.
#pragma once

#include <memory>
#include <vector>

#include "policy/compile.hpp"

namespace faultline {

inline constexpr std::size_t kInstantsMax = 4'000;
/// Instants times rules.
inline constexpr std::size_t kChainRulesMax = 100'000;

/// Reads `timeline:` into the scenario, whose rules have been read.
void read_timeline(const ConfigNode& node, Scenario& scenario, Problems& problems);

/// Policies in the order of their times, each knowing the next; the first is the request's.
using PolicyChain = std::vector<std::unique_ptr<Policy>>;
/// As compile_policy, for the time at which the request becomes active and every instant of the
/// timeline after it. Generations count up from the request's.
Result<PolicyChain> compile_chain(const Scenario& scenario, const CompileRequest& request,
                                  PolicySlots& slots);

}  // namespace faultline
