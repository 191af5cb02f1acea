// How long a packet is inside faultline when nothing happens to it, measured on this machine.
#pragma once

#include <rte_mempool.h>

#include <cstdint>

#include "base/error.hpp"
#include "base/tsc_clock.hpp"

namespace faultline {

/// In ns, from one ring into another through a worker on the last core: for 64-byte packets, one at
/// a time.
struct OwnLatency {
  std::uint64_t p50_ns = 0;
  std::uint64_t p99_ns = 0;
  std::uint64_t max_ns = 0;
  unsigned core = 0;
};

/// Starts DPDK in this process, which must end soon. Errors: a single core, no memory, and below.
Result<OwnLatency> measure_own_latency();

/// What a process needs that runs DPDK already.
struct LatencyBench {
  unsigned worker_core = 0;     ///< another one than this thread's, and nothing busy on it
  rte_mempool* pool = nullptr;  ///< gets back all that is taken
  const TscClock& clock;        ///< calibrated
};
/// The same; ports must not be open yet. Ends after a fifth of a second at the latest, with fewer
/// packets. Errors: no memory; packets get through too slowly to tell.
Result<OwnLatency> measure_own_latency(const LatencyBench& bench);

}  // namespace faultline
