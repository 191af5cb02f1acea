// Packets' memory: a pool on each memory node that has workers, so that nobody's packets are far
// away.
#pragma once

#include <rte_mempool.h>

#include <map>
#include <vector>

#include "base/error.hpp"

namespace faultline {

/// A pool of `count` mbufs for frames of up to `frame_bytes_max`, on a memory node (SOCKET_ID_ANY:
/// wherever).
Result<rte_mempool*> make_pool(const std::string& name, std::uint32_t count,
                               std::uint32_t frame_bytes_max, int node);

class Pools {
 public:
  /// One for each node that the workers' cores are on; a single one without huge pages, where DPDK
  /// knows no nodes. `workers` is how many there are: worker n is lcore n + 1.
  static Result<Pools> make(std::size_t workers, std::uint32_t count,
                            std::uint32_t frame_bytes_max);

  /// Of the node that the worker is on.
  rte_mempool* of_worker(std::size_t worker) const { return pools_.at(node_of(worker)); }
  /// mbufs that have not come back.
  std::uint32_t in_use() const;
  void free();

 private:
  static int node_of(std::size_t worker);
  std::map<int, rte_mempool*> pools_;
};

}  // namespace faultline
