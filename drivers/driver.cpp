// Choosing the driver, and what all drivers share.
#include "drivers/driver.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace faultline {
namespace {

/// mbufs that a queue pair's descriptors hold, received and sent ones. Other devices copy.
constexpr std::uint32_t kCardMbufs = 2 * 512;
constexpr std::uint32_t kXdpMbufs = 3 * 2'048;
/// Cards may want more room than a frame needs (vmxnet3: 1,646); none wants more than DPDK's
/// default.
constexpr std::uint32_t kCardFrameBytes = 2'048;
/// With mbuf and headroom nearly a page, the most that XDP takes as one buffer.
constexpr std::uint32_t kXdpFrameBytes = 3'584;

}  // namespace

Result<OpenedPort> open_port(const PortSpec& spec, rte_mempool* pool) {
  switch (spec.settings.driver) {
    case Driver::kAfPacket:
      return open_af_packet(spec, pool);
    case Driver::kAfXdp:
      return open_af_xdp(spec, pool);
    case Driver::kTap:
      return open_tap(spec, pool);
    case Driver::kPci:
      return open_pci(spec, pool);
    case Driver::kMemif:
      return open_memif(spec, pool);
    case Driver::kVhost:
      return open_vhost(spec, pool);
    case Driver::kPcap:
      return open_pcap(spec, pool);
    case Driver::kNull:
      return open_null(spec, pool);
    case Driver::kRing:
      return open_ring(spec, pool);
    case Driver::kSim:
      break;
  }
  return tl::unexpected(Problems{
      problem_at(spec.mark, "port '" + spec.name + "': driver 'sim' is for simulate only",
                 "a driver of a device: af_packet, af_xdp, tap, pci, memif, vhost, pcap, null, "
                 "ring")});
}

PoolNeeds pool_needs_of(const std::vector<PortSpec>& ports) {
  constexpr std::uint32_t kLinkBytes = 14 + 2 * LivePort::kTagBytes;
  PoolNeeds needs;
  for (const PortSpec& spec : ports) {
    const PortSettings& settings = spec.settings;
    std::uint32_t frame_bytes = settings.mtu_bytes + kLinkBytes;
    if (settings.driver == Driver::kAfPacket)
      frame_bytes = af_packet_frame_bytes_of(spec);
    if (settings.driver == Driver::kNull)
      frame_bytes = std::max(frame_bytes, settings.frame_bytes);
    if (settings.driver == Driver::kPci) {
      needs.mbufs += settings.queues * kCardMbufs;
      frame_bytes = std::max(frame_bytes, kCardFrameBytes);
    }
    if (settings.driver == Driver::kAfXdp) {
      needs.mbufs += settings.queues * kXdpMbufs;
      needs.kept_mbufs += settings.queues * kXdpMbufs;  // net_af_xdp forgets its fill queue
      frame_bytes = kXdpFrameBytes;
    }
    needs.frame_bytes = std::max(needs.frame_bytes, frame_bytes);
  }
  return needs;
}

}  // namespace faultline
