// A device: the queues that workers poll, and what only the management plane asks. No worker ever
// calls it.
#pragma once

#include <atomic>
#include <cstdint>
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

  DeviceCounters since(const DeviceCounters& before) const noexcept {
    return {rx_missed - before.rx_missed, rx_errors - before.rx_errors,
            rx_no_mbuf - before.rx_no_mbuf};
  }
};

/// Who takes a link down.
enum class LinkHold : std::uint8_t { kFault = 1, kMirror = 2 };

class Device {
 public:
  Device() = default;
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// One for each worker of the port's wire.
  const std::vector<std::unique_ptr<LivePort>>& queues() const noexcept { return queues_; }

  /// Looks at the link and tells the queues. Called about once a millisecond.
  void watch_link() {
    const bool up = link_is_up();
    settling_ = up || settling_ == 0 ? 0 : settling_ - 1;
    if (is_held(LinkHold::kFault) || settling_ > 0)
      tell(Carrier::kTaken);
    else
      tell(up ? Carrier::kUp : Carrier::kDown);
  }
  /// Any thread.
  Carrier carrier_state() const noexcept { return carrier_.load(std::memory_order_relaxed); }
  bool carrier() const noexcept { return carrier_state() == Carrier::kUp; }

  // The management plane's one thread, as above.

  /// Takes the link down, so that the neighbour sees no carrier, until all who did let it go. What
  /// meets it is a fault's doing from now on, where it is one. False: the device cannot.
  bool take_down(LinkHold who) {
    const std::uint8_t before = holds_;
    holds_ |= static_cast<std::uint8_t>(who);
    if (who == LinkHold::kFault)
      tell(Carrier::kTaken);
    if (before != 0 || force_link(false))
      return true;
    holds_ = before;
    watch_link();
    return false;
  }
  void let_go(LinkHold who) {
    if (!is_held(who))
      return;
    holds_ &= static_cast<std::uint8_t>(~static_cast<unsigned>(who));
    if (who == LinkHold::kFault)
      settling_ = kSettlingLooks;
    if (holds_ == 0)
      force_link(true);
    watch_link();
  }
  bool is_held(LinkHold who) const noexcept {
    return (holds_ & static_cast<std::uint8_t>(who)) != 0;
  }
  /// A daemon that was killed may have left the link down.
  void let_up() { force_link(true); }

  virtual DeviceCounters counters() { return {}; }
  /// "02:00:00:00:00:01"; empty: it has none of its own.
  virtual std::string mac_address() { return {}; }

 protected:
  virtual bool link_is_up() { return true; }
  /// Takes the link down or lets it come up again. False: the device cannot.
  virtual bool force_link(bool) { return false; }
  void add_queue(std::unique_ptr<LivePort> queue) {
    queue->follow(carrier_);
    queues_.push_back(std::move(queue));
  }

 private:
  /// How often it is looked at a link that a fault let go before it is the user's that is down.
  static constexpr std::uint32_t kSettlingLooks = 3'000;

  void tell(Carrier carrier) noexcept { carrier_.store(carrier, std::memory_order_relaxed); }

  std::vector<std::unique_ptr<LivePort>> queues_;
  std::atomic<Carrier> carrier_{Carrier::kUp};
  std::uint8_t holds_ = 0;  ///< of LinkHold
  std::uint32_t settling_ = 0;
};

}  // namespace faultline
