// A simulated port: packets are put in by the simulator with their own arrival times and come out
// with their release times. The worker cannot tell it from a real one.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "dataplane/mbufs.hpp"
#include "dataplane/port.hpp"

namespace faultline {

/// Takes what a simulated port sends; one for all ports of a simulation.
class SimulatedOutput {
 public:
  virtual ~SimulatedOutput() = default;
  /// `mbuf` is still the port's; it is freed after the call.
  virtual void sent(const HoldKey& key, const rte_mbuf* mbuf) noexcept = 0;
};

class SimPort {
 public:
  explicit SimPort(SimulatedOutput& output) : output_(output) {}

  /// Simulator: the next packet to be received. At most kBurstMax may wait.
  void put(rte_mbuf* mbuf, std::uint64_t arrival_ns, std::uint32_t sequence) noexcept {
    FAULTLINE_CHECK(waiting_ < kBurstMax);
    mbufs_[waiting_] = mbuf;
    arrival_ns_[waiting_] = arrival_ns;
    sequence_[waiting_++] = sequence;
  }

  // Data path.
  std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept {
    FAULTLINE_CHECK(waiting_ <= count);
    std::copy_n(mbufs_.begin(), waiting_, mbufs);
    return std::exchange(waiting_, 0U);
  }
  void stamp(rte_mbuf**, std::uint32_t count, std::uint64_t, JudgedBurst& judged) const noexcept {
    std::copy_n(arrival_ns_.begin(), count, judged.arrival_ns.begin());
    std::copy_n(sequence_.begin(), count, judged.sequence.begin());
  }
  Transmitted transmit(const OutBurst& burst, std::uint32_t first) noexcept {
    for (std::uint32_t i = first; i < burst.count; ++i)
      output_.sent(burst.keys[i].open(), burst.mbufs[i]);
    free_mbufs(&burst.mbufs[first], burst.count - first);
    return {burst.count - first, false};
  }
  std::uint32_t frame_bytes_max(const rte_mbuf*) const noexcept { return UINT32_MAX; }
  bool carrier() const noexcept { return true; }
  bool carrier_is_taken() const noexcept { return false; }

 private:
  SimulatedOutput& output_;
  std::array<rte_mbuf*, kBurstMax> mbufs_{};
  std::array<std::uint64_t, kBurstMax> arrival_ns_{};
  std::array<std::uint32_t, kBurstMax> sequence_{};
  std::uint32_t waiting_ = 0;
};

}  // namespace faultline
