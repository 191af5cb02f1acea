// The worker on real ports and the real clock.
#pragma once

#include "base/tsc_clock.hpp"
#include "dataplane/live_port.hpp"
#include "dataplane/worker.hpp"

namespace faultline {

class TscTime {
 public:
  static constexpr bool kInTurn = false;
  explicit TscTime(const TscClock& clock) : clock_(clock) {}
  std::uint64_t now_ns() const noexcept { return clock_.now_ns(); }
  /// A packet leaves when it is handed to the port, not when it should have.
  std::uint64_t departure_ns(std::uint64_t now_ns, std::uint64_t) const noexcept { return now_ns; }

 private:
  const TscClock& clock_;
};

using LiveWorker = Worker<LivePort, TscTime>;
extern template class Worker<LivePort, TscTime>;

}  // namespace faultline
