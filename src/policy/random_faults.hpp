// Faults of nodes at random: an entry of the timeline that stands for as many as the dice of the
// scenario's seed make of it, the same each time.
#pragma once

#include "policy/scenario.hpp"

namespace faultline {

inline constexpr std::size_t kRandomFaultsMax = 500;

/// Reads {random: {seed:, kinds:, every:, for:}, at:, until:} into entries and their rules.
void read_random_faults(const ConfigNode& entry, Scenario& scenario, Problems& problems);

}  // namespace faultline
