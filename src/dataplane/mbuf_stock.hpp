// The mbufs that Act has at hand: empty ones for packets to be made, and those that packets are
// done with, which mostly serve again without a way through the pool.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.hpp"
#include "dataplane/mbufs.hpp"
#include "impair/burst.hpp"

namespace faultline {

class MbufStock {
 public:
  explicit MbufStock(rte_mempool* pool) noexcept : pool_(pool) {}
  ~MbufStock() {
    free_done();
    free_mbufs(spare_.data(), spare_count_);
  }
  MbufStock(const MbufStock&) = delete;
  MbufStock& operator=(const MbufStock&) = delete;

  /// Whether a change would be seen by nobody else.
  static bool is_ours_alone(const rte_mbuf* mbuf) noexcept {
    return mbuf->nb_segs == 1 && RTE_MBUF_DIRECT(mbuf) && rte_mbuf_refcnt_read(mbuf) == 1;
  }

  /// Nobody needs the packet any more: with any later call its bytes may become another's.
  void done_with(rte_mbuf* mbuf) noexcept {
    done_[done_count_++] = mbuf;
    if (done_count_ == done_.size())
      use_again();
  }

  /// The end of a burst.
  void settle() noexcept {
    if (done_count_ > 0)
      use_again();
  }

  /// Whether an mbuf is to be had.
  bool has_spare() noexcept { return spare_count_ > 0 || refill(); }
  /// How many are at hand.
  std::uint32_t spares() const noexcept { return spare_count_; }
  /// A packet as it left the hold, in a spare mbuf, which there must be.
  rte_mbuf* take_out(const std::byte* frame, std::uint32_t length) noexcept {
    rte_mbuf* mbuf = spare_[--spare_count_];
    FAULTLINE_CHECK(length <= rte_pktmbuf_tailroom(mbuf));
    mbuf->data_len = static_cast<std::uint16_t>(length);
    mbuf->pkt_len = length;
    copy_frame(rte_pktmbuf_mtod(mbuf, void*), frame, length);
    return mbuf;
  }

  /// Null when there is none.
  rte_mbuf* take_spare() noexcept { return has_spare() ? spare_[--spare_count_] : nullptr; }

  /// An mbuf with these bytes; null when there is none, or none with so much room.
  rte_mbuf* make(std::span<const std::uint8_t> bytes) noexcept {
    rte_mbuf* made = take_spare();
    if (made == nullptr)
      return nullptr;
    char* place = rte_pktmbuf_append(made, static_cast<std::uint16_t>(bytes.size()));
    if (place == nullptr) {
      free_mbufs(&made, 1);
      return nullptr;
    }
    copy_frame(place, bytes.data(), static_cast<std::uint32_t>(bytes.size()));
    return made;
  }

  /// The same bytes in one piece; null when there is no mbuf, or none with so much room.
  rte_mbuf* copy_of(const rte_mbuf* mbuf) noexcept {
    rte_mbuf* made = take_spare();
    if (made == nullptr)
      return nullptr;
    char* place = mbuf->pkt_len > UINT16_MAX
                      ? nullptr
                      : rte_pktmbuf_append(made, static_cast<std::uint16_t>(mbuf->pkt_len));
    if (place == nullptr) {
      free_mbufs(&made, 1);
      return nullptr;
    }
    for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
      copy_frame(place, rte_pktmbuf_mtod(segment, const void*), segment->data_len);
      place += segment->data_len;
    }
    return made;
  }

 private:
  /// As many of those that were done with as are wanted.
  void use_again() noexcept {
    if (spare_count_ + done_count_ <= spare_.size())
      take_back_done();
    if (done_count_ > 0)
      free_done();
  }

  /// Those that were done with serve again without a way through the pool, where they are its own.
  void take_back_done() noexcept {
    std::uint32_t kept = 0;
    for (std::uint32_t at = 0; at < done_count_; ++at) {
      rte_mbuf* mbuf = done_[at];
      if (mbuf->pool != pool_ || !is_ours_alone(mbuf)) {
        done_[kept++] = mbuf;
        continue;
      }
      poison(mbuf);
      renew(mbuf);
      spare_[spare_count_++] = mbuf;
    }
    done_count_ = kept;
  }

  /// As rte_pktmbuf_reset() does to a mbuf that is ours alone, in few stores.
  static void renew(rte_mbuf* mbuf) noexcept {
    constexpr std::uint64_t kHeadroom = RTE_PKTMBUF_HEADROOM;
    constexpr std::uint64_t kOneReference = 1;
    constexpr std::uint64_t kOneSegment = 1;
    constexpr std::uint64_t kNoPort = RTE_MBUF_PORT_INVALID;
    static_assert(offsetof(rte_mbuf, refcnt) == offsetof(rte_mbuf, data_off) + 2 &&
                  offsetof(rte_mbuf, nb_segs) == offsetof(rte_mbuf, data_off) + 4 &&
                  offsetof(rte_mbuf, port) == offsetof(rte_mbuf, data_off) + 6);
    const std::uint64_t rearmed =
        kHeadroom | kOneReference << 16 | kOneSegment << 32 | kNoPort << 48;
    std::memcpy(&mbuf->rearm_data, &rearmed, sizeof rearmed);
    mbuf->ol_flags = 0;
    // From the packet's type to its first hash.
    static_assert(offsetof(rte_mbuf, vlan_tci) < offsetof(rte_mbuf, packet_type) + 16 &&
                  offsetof(rte_mbuf, hash) == offsetof(rte_mbuf, packet_type) + 12);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(&mbuf->packet_type), _mm_setzero_si128());
    mbuf->vlan_tci_outer = 0;
    mbuf->tx_offload = 0;
  }

  /// There are none.
  bool refill() noexcept {
    take_back_done();
    if (spare_count_ > 0)
      return true;
    constexpr std::uint32_t kRefill = 32;
    if (rte_pktmbuf_alloc_bulk(pool_, spare_.data(), kRefill) == 0) {
      spare_count_ = kRefill;
      return true;
    }
    rte_mbuf* one = rte_pktmbuf_alloc(pool_);
    if (one == nullptr)
      return false;
    spare_[spare_count_++] = one;
    return true;
  }

  void free_done() noexcept {
    free_mbufs(done_.data(), done_count_);
    done_count_ = 0;
  }

  rte_mempool* pool_;
  std::array<rte_mbuf*, kBurstMax> done_;
  std::array<rte_mbuf*, 4 * std::size_t{kBurstMax}> spare_;
  std::uint32_t done_count_ = 0;
  std::uint32_t spare_count_ = 0;
};

}  // namespace faultline
