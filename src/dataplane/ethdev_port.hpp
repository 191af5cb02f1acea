// A port that is a DPDK ethdev, one queue of it. Configured by its driver file.
#pragma once

#include <rte_ethdev.h>

#include "dataplane/live_port.hpp"

namespace faultline {

class EthdevPort final : public LivePort {
 public:
  EthdevPort(std::uint16_t port_id, std::uint16_t queue, std::uint32_t mtu_bytes)
      : LivePort(mtu_bytes), port_id_(port_id), queue_(queue) {}

  std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept override {
    return rte_eth_rx_burst(port_id_, queue_, mbufs, static_cast<std::uint16_t>(count));
  }

  Transmitted transmit(const OutBurst& burst, std::uint32_t first) noexcept override {
    // DPDK's interface is not const-correct; the array itself is not written.
    auto** mbufs = const_cast<rte_mbuf**>(burst.mbufs.data());
    return {rte_eth_tx_burst(port_id_, queue_, mbufs + first,
                             static_cast<std::uint16_t>(burst.count - first)),
            false};
  }

 private:
  std::uint16_t port_id_;
  std::uint16_t queue_;
};

}  // namespace faultline
