// Which workers still poll: each marks itself alive, and the management plane looks now and then
// (DPDK's keepalive).
#pragma once

#include <atomic>
#include <cstdint>

struct rte_keepalive;

namespace faultline {

class Watchdog {
 public:
  /// Workers are numbered 0 … `workers` − 1.
  explicit Watchdog(std::uint32_t workers);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Worker: it polls.
  rte_keepalive* keepalive() const noexcept { return keepalive_; }
  /// Management: a worker that has not marked itself between two looks, nor two more, is stalled.
  void look() noexcept;
  /// Any thread.
  bool is_stalled(std::uint32_t worker) const noexcept {
    return (stalled_.load(std::memory_order_relaxed) >> worker & 1) != 0;
  }

 private:
  rte_keepalive* keepalive_;
  std::atomic<std::uint32_t> stalled_{0};  ///< a bit a worker
};

}  // namespace faultline
