// Figures as tables for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace faultline {

using Json = nlohmann::ordered_json;

/// "20.000 ms".
std::string duration_text(std::uint64_t duration_ns);
void print_stats(const Json& stats);
/// What changed between two statistics objects, per second of the daemon's clock.
void print_rates(const Json& before, const Json& after);

}  // namespace faultline
