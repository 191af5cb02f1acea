// What the scenario of a run asked of its rules, as figures to draw: the share to lose over time,
// the law of delays, and when each was on.
#pragma once

#include <cstdint>
#include <vector>

#include "control/event_log.hpp"
#include "policy/scenario.hpp"
#include "report/laws.hpp"

namespace faultline {

/// By rule: `terms` (from when it is on or off, which share it loses, which of the `delays` it
/// has), `delays` (the mean, and the cumulative distribution as [ns, share] pairs).
Json asked_of(const std::vector<RuleLaw>& laws);
/// The scenario's bound of lateness; null: it has none.
Json lateness_bound_of(const Scenario& scenario);

}  // namespace faultline
