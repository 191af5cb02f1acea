// The same figures as GET /v1/stats and /v1/status, in Prometheus's text format (0.0.4).
#pragma once

#include <string>

#include "control/scenario_tree.hpp"

namespace faultline {

std::string metrics_text(const Json& status, const Json& stats, const Json& ports);

}  // namespace faultline
