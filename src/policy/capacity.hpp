// What a scenario needs of the machine, and whether it fits.
#pragma once

#include <cstdint>
#include <string>

#include "policy/worker_layout.hpp"

namespace faultline {

/// What a port is taken to bring where its `speed:` is not written.
inline constexpr std::uint64_t kSpeedAssumedBps = 10'000'000'000;
/// Packets' memory outside the hold: received, made again for sending, or on their way out.
inline constexpr std::uint32_t kMbufs = 16'383;
/// Bytes unless said otherwise.
struct Capacity {
  std::uint64_t hold = 0;         ///< what is kept for packets that wait
  std::uint64_t hold_needed = 0;  ///< line rate in minimum-size frames for as long as 999 packets
                                  ///< of 1,000 stay, for the busiest worker times all of them;
                                  ///< behind a link no more than its rate
  std::uint64_t flows = 0;        ///< count
  std::uint64_t flows_memory = 0;
  std::uint64_t streams = 0;         ///< count; TCP streams that payloads are searched in
  std::uint64_t stream_state = 0;    ///< what one of them takes for its patterns
  std::uint64_t streams_memory = 0;  ///< all of them, of all workers
  std::uint64_t patterns = 0;        ///< payload patterns as they are searched for
  std::uint64_t mbufs = 0;           ///< count
  std::uint64_t memory = 0;          ///< of the machine
  std::uint64_t speed_bps = 0;       ///< of the fastest port whose packets wait
  std::uint64_t stay_ns = 0;         ///< how long its packets stay
  bool speed_known = false;          ///< the ports are real or their speed is written
  std::string misfit;                ///< what does not fit, with the numbers; empty: all of it

  bool fits() const noexcept { return misfit.empty(); }
  /// A scenario that cannot work; else a misfit is worth a warning.
  bool must_refuse() const noexcept { return !fits() && speed_known; }
};

/// The hold's size: what the scenario says, else what the rules need, at least a quarter of the
/// machine's memory and 256 MiB, at most three quarters. Pages are taken only when packets wait in
/// them.
/// `flows_memory`: what one worker takes for `flows.max` flows. Each worker has its table for all
/// of them, and an equal share of the hold.
Capacity capacity_of(const Scenario& scenario, const Policy& policy, std::uint64_t flows_memory,
                     const WorkerLayout& layout);

}  // namespace faultline
