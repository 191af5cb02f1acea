// What turns a `port:` entry of a scenario into a device. One file a driver: its arguments, its
// checks, its quirks. Nothing here knows rules.
#pragma once

#include <rte_mempool.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "dataplane/device.hpp"
#include "policy/scenario.hpp"

namespace faultline {

struct OpenedPort {
  std::unique_ptr<Device> device;
  std::vector<std::string> warnings;  ///< works, but the user should know
};

/// Errors: the device is not there, may not be used, or cannot do what is asked; each with what to
/// do about it.
Result<OpenedPort> open_port(const PortSpec& spec, rte_mempool* pool);

Result<OpenedPort> open_af_packet(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_af_xdp(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_tap(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_pci(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_memif(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_vhost(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_pcap(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_null(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_ring(const PortSpec& spec, rte_mempool* pool);

/// What all ports together ask of the pool, as far as can be told before they are opened.
struct PoolNeeds {
  std::uint32_t frame_bytes = 0;  ///< of the longest frame that may be received
  std::uint32_t mbufs = 0;        ///< that devices keep for themselves
  std::uint32_t kept_mbufs = 0;   ///< at most so many of them do not come back at the end
};
PoolNeeds pool_needs_of(const std::vector<PortSpec>& ports);
std::uint32_t af_packet_frame_bytes_of(const PortSpec& spec);

}  // namespace faultline
