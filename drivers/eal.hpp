// Starting DPDK's environment the way faultline wants it: nothing left behind, no surprise cores.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace faultline {

struct EalSettings {
  unsigned main_core = 0;
  std::vector<unsigned> worker_cores;  ///< may be empty: the simulator needs none
  std::uint32_t memory_mb = 64;
  bool huge_pages = false;
  /// Where DPDK telemetry is found (dpdk-telemetry.py -f); empty: none.
  std::string telemetry_prefix;
  std::vector<std::string> cards;  ///< PCI addresses that may be used; no others are looked at
};

/// Errors: DPDK's own words cannot be had as text; they go to its log, the problem names the step.
Result<void> start_eal(const EalSettings& settings);
/// Whether so much of the machine's memory lies ready in huge pages of 2 MiB.
bool huge_pages_free(std::uint64_t bytes_needed);
/// Leaves no file. The process must end soon.
void stop_eal();

/// The cores this process may use, ascending.
std::vector<unsigned> allowed_cores();

}  // namespace faultline
