// How long a packet is inside faultline when nothing happens to it, measured on this machine.
#pragma once

#include <cstdint>

#include "base/error.hpp"

namespace faultline {

/// In ns, from one ring into another through a worker on the last core: for 64-byte packets, one at
/// a time.
struct OwnLatency {
  std::uint64_t p50_ns = 0;
  std::uint64_t p99_ns = 0;
  std::uint64_t max_ns = 0;
  unsigned core = 0;
};

/// Takes about a second. Starts DPDK in this process. Errors: a single core, no memory.
Result<OwnLatency> measure_own_latency();

}  // namespace faultline
