// What an entry of the timeline waits for, as it is written: `when: {…}`.
#pragma once

#include <optional>

#include "policy/scenario.hpp"

namespace faultline {

/// Adds the trigger to the scenario, unless one that waits for the same is there. Its index;
/// nothing where something is wrong, which is told. A match becomes a rule of its own, which does
/// nothing.
std::optional<std::size_t> read_trigger(const ConfigNode& node, Scenario& scenario,
                                        Problems& problems);

}  // namespace faultline
