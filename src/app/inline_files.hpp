// Files that a scenario names. Who runs a command opens them, beside the scenario, and their texts
// go into the scenario as `contents:`; the daemon never opens a path that came in a request.
#pragma once

#include <cstddef>
#include <string>

#include "base/config.hpp"

namespace faultline {

/// Puts in the text of every impairment's `file:` and `trace:`, the frames of every `pcap:`, and
/// the text of every payload's `patterns:`, that has none yet. Relative names count from the
/// scenario's folder; a text has 1 MiB at most. Returns how many were put in.
std::size_t inline_files(ConfigNode& tree, const std::string& scenario_path, Problems& problems);

}  // namespace faultline
