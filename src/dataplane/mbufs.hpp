// Freeing mbufs. Built with FAULTLINE_POISON (debug builds and those with sanitizers) their bytes
// are overwritten first, so that whoever still reads them reads nonsense and a test sees it.
#pragma once

#include <rte_mbuf.h>

#include <cstring>

namespace faultline {

#ifdef FAULTLINE_POISON
inline constexpr bool kPoisonFreed = true;
#else
inline constexpr bool kPoisonFreed = false;
#endif

/// Its bytes are nobody's any more.
inline void poison(rte_mbuf* mbuf) noexcept {
  if constexpr (kPoisonFreed)
    for (rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next)
      if (RTE_MBUF_DIRECT(segment) && rte_mbuf_refcnt_read(segment) == 1)
        std::memset(segment->buf_addr, 0xDB, segment->buf_len);
}

/// `mbufs` are the caller's, and nobody's afterwards.
inline void free_mbufs(rte_mbuf* const* mbufs, std::uint32_t count) noexcept {
  for (std::uint32_t i = 0; kPoisonFreed && i < count; ++i) poison(mbufs[i]);
  // DPDK's interface is not const-correct; the array itself is not written.
  rte_pktmbuf_free_bulk(const_cast<rte_mbuf**>(mbufs), count);
}

}  // namespace faultline
