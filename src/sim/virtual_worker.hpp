// The worker on simulated ports and in virtual time.
#pragma once

#include <cstdint>

#include "dataplane/worker.hpp"
#include "drivers/sim.hpp"

namespace faultline {

/// Time stands where the simulator puts it.
class VirtualTime {
 public:
  static constexpr bool kInTurn = true;
  void set(std::uint64_t now_ns) noexcept { now_ns_ = now_ns; }
  std::uint64_t now_ns() const noexcept { return now_ns_; }
  /// A simulated port sends at the very instant that was asked for.
  std::uint64_t departure_ns(std::uint64_t, std::uint64_t release_ns) const noexcept {
    return release_ns;
  }

 private:
  std::uint64_t now_ns_ = 0;
};

using VirtualWorker = Worker<SimPort, VirtualTime>;
extern template class Worker<SimPort, VirtualTime>;

}  // namespace faultline
