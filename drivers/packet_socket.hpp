// A network interface through packet sockets of our own, one pair a queue: one with a receive ring,
// one to send. Why not DPDK's net_af_packet: docs/decisions/0003-default-port.md.
#pragma once

#include <linux/if_packet.h>
#include <rte_mempool.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/live_port.hpp"

namespace faultline {

/// The sockets and the ring, opened and owned.
struct PacketSockets {
  int receive = -1;
  int send = -1;
  int interface_index = 0;
  std::byte* ring = nullptr;
  std::size_t ring_bytes = 0;
  std::uint32_t frames = 0;
  std::uint32_t frame_bytes = 0;

  PacketSockets() = default;
  ~PacketSockets();
  PacketSockets(const PacketSockets&) = delete;
  PacketSockets& operator=(const PacketSockets&) = delete;
};

class PacketSocketPort final : public LivePort {
 public:
  PacketSocketPort(std::unique_ptr<PacketSockets> sockets, std::uint32_t mtu_bytes,
                   rte_mempool* pool);

  std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept override;
  Transmitted transmit(const OutBurst& burst, std::uint32_t first) noexcept override;

  // Management plane.
  /// What the receive ring had no room for.
  std::uint64_t missed();
  /// Frames longer than a slot or an mbuf.
  std::uint64_t errors() const noexcept { return rx_errors_.load(std::memory_order_relaxed); }

 private:
  tpacket2_hdr& slot(std::uint32_t index) const noexcept {
    return *reinterpret_cast<tpacket2_hdr*>(sockets_->ring +
                                            std::size_t{index} * sockets_->frame_bytes);
  }
  std::uint32_t ready(std::uint32_t most) const noexcept;
  bool copy_out(tpacket2_hdr& header, rte_mbuf* mbuf) noexcept;

  std::unique_ptr<PacketSockets> sockets_;
  rte_mempool* pool_;
  std::uint32_t next_slot_ = 0;
  std::atomic<std::uint64_t> rx_errors_{0};
  std::uint64_t rx_missed_ = 0;  ///< sum of what the kernel's ring dropped
  std::array<mmsghdr, kBurstMax> messages_{};
  std::array<iovec, kBurstMax> vectors_{};
};

}  // namespace faultline
