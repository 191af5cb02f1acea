// Faults of nodes on a timeline: {at: 20s, for: 6s, partition: {…}} is a rule of its own, which the
// entry enables and disables.
#pragma once

#include <optional>
#include <string_view>

#include "policy/scenario.hpp"

namespace faultline {

/// The kinds that an entry may name.
inline constexpr std::string_view kNodeFaults[] = {"partition", "pause", "crash",
                                                   "clock",     "flap",  "equivocate"};

/// Adds the rule of fault `kind` with this value, named KIND.AT. Its index; nothing where the value
/// is wrong, which is told.
std::optional<std::size_t> add_node_fault(std::string_view kind, const ConfigNode& value,
                                          std::string_view at, Scenario& scenario,
                                          Problems& problems);

}  // namespace faultline
