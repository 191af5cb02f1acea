// Triggers as statistics, events and the API tell them.
#pragma once

#include <string>
#include <vector>

#include "control/event_log.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// {when, fired_ns, packet}: fired_ns is since time zero, null: it has not; packet is null where
/// none fired it, else {port, to, flow, packet_in_flow, length}. `index` is that of a trigger of
/// the policy, which has some.
Json trigger_json(const Policy& policy, std::size_t index,
                  const std::vector<std::string>& port_names);
/// All of them.
Json triggers_json(const Policy& policy, const std::vector<std::string>& port_names);

}  // namespace faultline
