// Laying queues before workers, once at the start.
#include "dataplane/wiring.hpp"

#include <algorithm>
#include <utility>

namespace faultline {

Wiring::Wiring(std::vector<std::unique_ptr<Device>> devices, WorkerLayout layout)
    : devices_(std::move(devices)),
      layout_(std::move(layout)),
      spread_(devices_.size()),
      polled_(layout_.workers, std::vector<LivePort*>(devices_.size(), nullptr)) {
  for (std::size_t port = 0; port < devices_.size(); ++port) {
    const std::vector<std::size_t>& workers = layout_.queues[port];
    const auto& queues = devices_[port]->queues();
    if (!layout_.is_shared(port)) {
      polled_[workers.front()][port] = queues.front().get();
      continue;
    }
    handovers_.push_back(std::make_unique<Handover>(workers.size()));
    for (std::size_t queue = 0; queue < workers.size(); ++queue) {
      spread_[port].push_back(
          std::make_unique<SpreadPort>(*queues[queue], *handovers_.back(), queue));
      polled_[workers[queue]][port] = spread_[port].back().get();
    }
  }
}

Wiring::~Wiring() = default;

bool Wiring::complete() const noexcept {
  return std::all_of(handovers_.begin(), handovers_.end(),
                     [](const auto& handover) { return handover->complete(); });
}

DeviceCounters Wiring::counters(std::size_t port) const {
  DeviceCounters counters = devices_[port]->counters();
  for (const auto& queue : spread_[port]) counters.rx_missed += queue->lost();
  return counters;
}

}  // namespace faultline
