// Choosing the driver, and what all drivers share.
#include "drivers/driver.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include <algorithm>

#include <fmt/format.h>

namespace faultline {
namespace {

/// mbufs that a queue pair's descriptors hold, received and sent ones. Other devices copy.
constexpr std::uint32_t kCardMbufs = 2 * 512;
constexpr std::uint32_t kXdpMbufs = 3 * 2'048;
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
    if (settings.driver == Driver::kPci)
      needs.mbufs += settings.queues * kCardMbufs;
    if (settings.driver == Driver::kAfXdp) {
      needs.mbufs += settings.queues * kXdpMbufs;
      needs.kept_mbufs += settings.queues * kXdpMbufs;  // net_af_xdp forgets its fill queue
      frame_bytes = kXdpFrameBytes;
    }
    needs.frame_bytes = std::max(needs.frame_bytes, frame_bytes);
  }
  return needs;
}

Result<rte_mempool*> make_pool(const std::string& name, std::uint32_t count,
                               std::uint32_t frame_bytes_max) {
  constexpr std::uint32_t kCache = 256;
  const std::uint32_t room =
      std::min((RTE_PKTMBUF_HEADROOM + frame_bytes_max + 63) & ~63U, 65'535U);
  // No device here reads memory by physical address. Without this flag and without huge pages each
  // mbuf gets a page of its own and all fall into the same cache sets: twice the cost a packet.
  const unsigned flags = rte_eal_has_hugepages() != 0 ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
  rte_mempool* pool =
      rte_mempool_create_empty(name.c_str(), count, static_cast<unsigned>(sizeof(rte_mbuf)) + room,
                               kCache, sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, flags);
  rte_pktmbuf_pool_private layout{};
  layout.mbuf_data_room_size = static_cast<std::uint16_t>(room);
  const bool made = pool != nullptr &&
                    rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr) == 0 &&
                    (rte_pktmbuf_pool_init(pool, &layout), rte_mempool_populate_default(pool) >= 0);
  if (!made) {
    rte_mempool_free(pool);
    return failure(fmt::format("no memory for {} packets of {} bytes: {}", count, room,
                               rte_strerror(rte_errno)));
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  return pool;
}

}  // namespace faultline
