// Freeing mbufs, and copying what is in them. Built with FAULTLINE_POISON (debug builds and those
// with sanitizers) their bytes are overwritten first, so that whoever still reads them reads
// nonsense and a test sees it.
#pragma once

#include <emmintrin.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace faultline {

#ifdef FAULTLINE_POISON
inline constexpr bool kPoisonFreed = true;
#else
inline constexpr bool kPoisonFreed = false;
#endif

/// Sixteen bytes each, from both ends, so that short frames take no loop and no question but one.
template <std::size_t kBytes>
[[gnu::always_inline]] inline void copy_ends(void* to, const void* from,
                                             std::uint32_t length) noexcept {
  const auto* begin = static_cast<const std::byte*>(from);
  auto* out = static_cast<std::byte*>(to);
  __m128i words[2 * kBytes / 16];
  for (std::size_t at = 0; at < kBytes / 16; ++at) {
    words[at] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin + 16 * at));
    words[kBytes / 16 + at] =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin + length - kBytes + 16 * at));
  }
  for (std::size_t at = 0; at < kBytes / 16; ++at) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * at), words[at]);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + length - kBytes + 16 * at),
                     words[kBytes / 16 + at]);
  }
}

/// A frame's bytes, or a piece's, to where nothing of it is.
[[gnu::always_inline]] inline void copy_frame(void* to, const void* from,
                                              std::uint32_t length) noexcept {
  if (length - 32 <= 32) [[likely]]
    copy_ends<32>(to, from, length);
  else if (length - 64 <= 64)
    copy_ends<64>(to, from, length);
  else
    rte_memcpy(to, from, length);
}

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
