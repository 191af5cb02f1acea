// Several workers on one wire: each flow belongs to one of them, in both directions. Whoever
// receives a packet of somebody else's flow hands it over through a ring; the owner takes it as if
// it had just arrived.
#pragma once

#include <rte_ring.h>

#include <atomic>
#include <vector>

#include "dataplane/live_port.hpp"

namespace faultline {

/// The rings of one port, from each worker of its wire to each other.
class Handover {
 public:
  explicit Handover(std::size_t workers);
  ~Handover();
  Handover(const Handover&) = delete;
  Handover& operator=(const Handover&) = delete;

  /// False when there was no memory for it.
  bool complete() const noexcept;
  std::size_t workers() const noexcept { return workers_; }
  rte_ring* ring(std::size_t from, std::size_t to) const noexcept {
    return rings_[from * workers_ + to];
  }

 private:
  std::size_t workers_;
  std::vector<rte_ring*> rings_;  ///< by from · workers + to; null from a worker to itself
};

/// A queue of a port whose wire has several workers, as one of them sees it.
class SpreadPort final : public LivePort {
 public:
  /// `inner` and `handover` outlive this.
  SpreadPort(LivePort& inner, const Handover& handover, std::size_t worker)
      : LivePort(&inner), inner_(inner), handover_(handover), worker_(worker) {}

  std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept override;
  Transmitted transmit(const OutBurst& burst, std::uint32_t first) noexcept override {
    return inner_.transmit(burst, first);
  }
  /// Packets whose owner had no room left for them.
  std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

 private:
  std::uint32_t take_from_others(rte_mbuf** mbufs, std::uint32_t count) noexcept;
  void hand_over(std::size_t to, rte_mbuf** mbufs, std::uint32_t count) noexcept;

  LivePort& inner_;
  const Handover& handover_;
  std::size_t worker_;
  std::size_t next_other_ = 0;  ///< whose ring is asked first
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace faultline
