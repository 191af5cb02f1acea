// All devices of a daemon, and which of their queues each worker polls.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/device.hpp"
#include "dataplane/spread.hpp"
#include "policy/worker_layout.hpp"

namespace faultline {

class Wiring {
 public:
  /// `devices` are indexed as the policy's ports, with as many queues as the layout says.
  Wiring(std::vector<std::unique_ptr<Device>> devices, WorkerLayout layout);
  ~Wiring();
  Wiring(const Wiring&) = delete;
  Wiring& operator=(const Wiring&) = delete;

  /// False when there was no memory to hand packets from worker to worker.
  bool complete() const noexcept;
  const WorkerLayout& layout() const noexcept { return layout_; }
  std::size_t ports() const noexcept { return devices_.size(); }
  Device& device(std::size_t port) const noexcept { return *devices_[port]; }
  /// What a worker polls, by port; null where it polls nothing.
  const std::vector<LivePort*>& ports_of(std::size_t worker) const { return polled_[worker]; }
  /// The device's own figures, and what no worker had room for.
  DeviceCounters counters(std::size_t port) const;

 private:
  std::vector<std::unique_ptr<Device>> devices_;
  WorkerLayout layout_;
  std::vector<std::unique_ptr<Handover>> handovers_;
  std::vector<std::vector<std::unique_ptr<SpreadPort>>> spread_;  ///< by port
  std::vector<std::vector<LivePort*>> polled_;                    ///< by worker, then port
};

}  // namespace faultline
