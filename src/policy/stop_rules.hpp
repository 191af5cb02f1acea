// `stop_when:`, what ends a run before its time.
#pragma once

#include "policy/scenario.hpp"

namespace faultline {

void read_stop_rules(const ConfigNode& node, StopRules& rules, Problems& problems);

}  // namespace faultline
