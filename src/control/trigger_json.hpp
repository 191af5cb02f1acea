// Triggers as statistics, events and the API tell them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/event_log.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// {when, firings, first_ns, fired_ns, packet}: how often it has fired, when first, and of the last
/// time what firing_json says. `index` is that of a trigger of the policy, which has some.
Json trigger_json(const Policy& policy, std::size_t index,
                  const std::vector<std::string>& port_names);
/// {fired_ns, packet}: fired_ns is since time zero, null: there is none; packet is null where none
/// fired it, else {port, to, flow, packet_in_flow, length}.
Json firing_json(const Policy& policy, const std::optional<Firing>& firing,
                 const std::vector<std::string>& port_names);
/// All of them.
Json triggers_json(const Policy& policy, const std::vector<std::string>& port_names);

}  // namespace faultline
