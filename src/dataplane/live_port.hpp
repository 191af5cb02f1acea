// A port on the real world as one worker sees it: a queue of a device (device.hpp). A burst costs
// one indirect call; what is asked per packet is inline.
#pragma once

#include <rte_mbuf.h>

#include <atomic>
#include <cstdint>

#include "dataplane/port.hpp"

namespace faultline {

/// kTaken: down, because a fault took it down.
enum class Carrier : std::uint8_t { kUp, kDown, kTaken };

class LivePort {
 public:
  static constexpr std::uint32_t kTagBytes = 4;

  explicit LivePort(std::uint32_t mtu_bytes) : frame_bytes_max_(mtu_bytes + 14) {}
  virtual ~LivePort() = default;
  LivePort(const LivePort&) = delete;
  LivePort& operator=(const LivePort&) = delete;

  // Data path.
  virtual std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept = 0;
  virtual Transmitted transmit(const OutBurst& burst, std::uint32_t first) noexcept = 0;

  void stamp(rte_mbuf**, std::uint32_t count, std::uint64_t now_ns,
             JudgedBurst& judged) const noexcept {
    for (std::uint32_t i = 0; i < count; ++i) judged.arrival_ns[i] = now_ns;
  }

  /// One 802.1Q tag does not count towards the MTU.
  std::uint32_t frame_bytes_max(const rte_mbuf* mbuf) const noexcept {
    if (mbuf->pkt_len <= frame_bytes_max_) [[likely]]
      return frame_bytes_max_;
    const auto* bytes = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
    const bool tagged = bytes[12] == 0x81 && bytes[13] == 0x00;
    return frame_bytes_max_ + (tagged ? kTagBytes : 0);
  }

  bool carrier() const noexcept {
    return carrier_->load(std::memory_order_relaxed) == Carrier::kUp;
  }
  bool carrier_is_taken() const noexcept {
    return carrier_->load(std::memory_order_relaxed) == Carrier::kTaken;
  }

  /// Before it is polled: whose carrier it has from now on. `carrier` outlives this.
  void follow(const std::atomic<Carrier>& carrier) noexcept { carrier_ = &carrier; }

 protected:
  /// For what stands in front of another port of the same device.
  explicit LivePort(const LivePort* inner) noexcept
      : frame_bytes_max_(inner->frame_bytes_max_), carrier_(inner->carrier_) {}

 private:
  std::uint32_t frame_bytes_max_;
  const std::atomic<Carrier>* carrier_ = nullptr;
};

}  // namespace faultline
