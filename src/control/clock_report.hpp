// Who told whom the time, by client, as statistics tell it.
#pragma once

#include <nlohmann/json.hpp>

#include "control/event_log.hpp"
#include "impair/clock_pairs.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// {"clients": [{"client", "sources", "shifted", "pairs": […]}], "uncounted"}; null where no rule
/// of the policy is about clocks.
Json clocks_json(const ClockPairs& pairs, const Policy& policy);

}  // namespace faultline
