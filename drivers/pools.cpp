// Making pools.
#include "drivers/pools.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include <algorithm>

#include <fmt/format.h>

namespace faultline {

Result<rte_mempool*> make_pool(const std::string& name, std::uint32_t count,
                               std::uint32_t frame_bytes_max, int node) {
  constexpr std::uint32_t kCache = 256;
  const std::uint32_t room =
      std::min((RTE_PKTMBUF_HEADROOM + frame_bytes_max + 63) & ~63U, 65'535U);
  // No device here reads memory by physical address. Without this flag and without huge pages each
  // mbuf gets a page of its own and all fall into the same cache sets: twice the cost a packet.
  const unsigned flags = rte_eal_has_hugepages() != 0 ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
  rte_mempool* pool =
      rte_mempool_create_empty(name.c_str(), count, static_cast<unsigned>(sizeof(rte_mbuf)) + room,
                               kCache, sizeof(rte_pktmbuf_pool_private), node, flags);
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

int Pools::node_of(std::size_t worker) {
  return rte_eal_has_hugepages() != 0
             ? static_cast<int>(rte_lcore_to_socket_id(static_cast<unsigned>(worker + 1)))
             : SOCKET_ID_ANY;
}

Result<Pools> Pools::make(std::size_t workers, std::uint32_t count, std::uint32_t frame_bytes_max) {
  Pools pools;
  for (std::size_t worker = 0; worker < workers; ++worker) {
    const int node = node_of(worker);
    if (pools.pools_.contains(node))
      continue;
    const Result<rte_mempool*> pool =
        make_pool(fmt::format("packets{}", pools.pools_.size()), count, frame_bytes_max, node);
    if (!pool) {
      pools.free();
      return tl::unexpected(pool.error());
    }
    pools.pools_[node] = *pool;
  }
  return pools;
}

std::uint32_t Pools::in_use() const {
  std::uint32_t sum = 0;
  for (const auto& [node, pool] : pools_) sum += rte_mempool_in_use_count(pool);
  return sum;
}

void Pools::free() {
  for (const auto& [node, pool] : pools_) rte_mempool_free(pool);
  pools_.clear();
}

}  // namespace faultline
