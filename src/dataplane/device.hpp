// A device: the queues that workers poll, and what only the management plane asks. No worker ever
// calls it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/live_port.hpp"

namespace faultline {

/// What the device itself lost or refused, as far as it tells.
struct DeviceCounters {
  std::uint64_t rx_missed = 0;
  std::uint64_t rx_errors = 0;
  std::uint64_t rx_no_mbuf = 0;
};

class Device {
 public:
  Device() = default;
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// One for each worker of the port's wire.
  const std::vector<std::unique_ptr<LivePort>>& queues() const noexcept { return queues_; }

  /// Looks at the link and tells the queues. Called about once a millisecond.
  void watch_link() { carrier_.store(link_is_up(), std::memory_order_relaxed); }
  bool carrier() const noexcept { return carrier_.load(std::memory_order_relaxed); }
  /// Takes the link down, so that the neighbour sees no carrier, or lets it come up again. False:
  /// the device cannot.
  virtual bool force_link(bool) { return false; }
  virtual DeviceCounters counters() { return {}; }
  /// "02:00:00:00:00:01"; empty: it has none of its own.
  virtual std::string mac_address() { return {}; }

 protected:
  virtual bool link_is_up() { return true; }
  void add_queue(std::unique_ptr<LivePort> queue) {
    queue->follow(carrier_);
    queues_.push_back(std::move(queue));
  }

 private:
  std::vector<std::unique_ptr<LivePort>> queues_;
  std::atomic<bool> carrier_{true};
};

}  // namespace faultline
