// Some drivers change a port from a thread of DPDK's while workers poll it: memif takes its shared
// memory away when the peer goes, under the hands of whoever copies out of it. Here such a thread
// waits until no worker is in a driver, and workers wait until it is done.
#pragma once

#include <atomic>
#include <cstdint>

namespace faultline {

/// A cache line of its own: workers read it at every poll.
class alignas(64) DriverGate {
 public:
  /// The one of this process.
  static DriverGate& instance() noexcept;

  /// Worker: it is about to poll ports, until it leaves.
  void enter() noexcept;
  void leave() noexcept { inside_.fetch_sub(1, std::memory_order_release); }
  /// Worker, between two polls: waits here while ports change.
  void pass() noexcept {
    if (closed_.load(std::memory_order_relaxed)) [[unlikely]] {
      leave();
      enter();
    }
  }

  /// Another thread, never two at once: runs `change` while no worker is inside.
  template <typename Change>
  void change_ports(const Change& change) {
    close();
    change();
    closed_.store(false, std::memory_order_release);
  }

 private:
  void close() noexcept;

  std::atomic<bool> closed_{false};
  std::atomic<std::uint32_t> inside_{0};  ///< workers
};

}  // namespace faultline
