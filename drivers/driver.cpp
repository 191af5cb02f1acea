// Choosing the driver, and what all drivers share.
#include "drivers/driver.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include <fmt/format.h>

namespace faultline {

Result<OpenedPort> open_port(const PortSpec& spec, rte_mempool* pool) {
  if (spec.driver == "af_packet")
    return open_af_packet(spec, pool);
  if (spec.driver == "null")
    return open_null(spec, pool);
  return tl::unexpected(Problems{problem_at(
      spec.mark, "port '" + spec.name + "': driver '" + spec.driver + "' is for simulate only",
      "af_packet, null")});
}

std::uint32_t frame_bytes_of(const PortSpec& spec) {
  return spec.driver == "af_packet" ? af_packet_frame_bytes_of(spec)
                                    : std::max(spec.mtu_bytes + 22, spec.null_frame_bytes);
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
