// A port that makes frames of many flows, in an order that nobody can foretell, as fast as it is
// asked, and swallows what is sent to it.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "tests/bench/bed.hpp"

namespace faultline {

struct GeneratorSettings {
  std::uint32_t flows = 65'536;            ///< UDP five-tuples: 1 … 2^24
  std::vector<std::uint32_t> frame_bytes;  ///< without FCS, in turn; each at least 60
  double fresh_share = 0;                  ///< of the packets, each the first of a new flow
  std::vector<test::Bytes> captured{};     ///< not empty: these frames in turn, nothing else
};

class GeneratorPort : public BenchSink {
 public:
  GeneratorPort(const GeneratorSettings& settings, rte_mempool* pool)
      : pool_(pool),
        sizes_(settings.frame_bytes),
        captured_(settings.captured),
        order_(settings.flows) {
    for (std::size_t i = 0; i < sizes_.size(); ++i)
      frames_.push_back(test::make(test::Ipv4Frame{.payload_bytes = sizes_[i] - 42}));
    std::iota(order_.begin(), order_.end(), 0U);
    std::mt19937_64 random(7);
    std::ranges::shuffle(order_, random);
    if (settings.fresh_share > 0)
      fresh_every_ = static_cast<std::uint32_t>(1 / settings.fresh_share);
    fresh_ = settings.flows;
  }

  [[gnu::noinline]] std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept {
    if (!on_ || rte_pktmbuf_alloc_bulk(pool_, mbufs, count) != 0)
      return 0;
    if (captured_.empty())
      for (std::uint32_t i = 0; i < count; ++i) make(mbufs[i]);
    else
      for (std::uint32_t i = 0; i < count; ++i) play(mbufs[i]);
    received_ += count;
    return count;
  }
  void stamp(rte_mbuf**, std::uint32_t count, std::uint64_t now_ns,
             JudgedBurst& judged) const noexcept {
    for (std::uint32_t i = 0; i < count; ++i) judged.arrival_ns[i] = now_ns;
  }

 private:
  static constexpr std::uint32_t kSourceAt = 26;
  static constexpr std::uint32_t kChecksumAt = 24;

  void make(rte_mbuf* mbuf) noexcept {
    const std::size_t which = size_;
    size_ = size_ + 1 == sizes_.size() ? 0 : size_ + 1;
    std::uint32_t flow = order_[next_];
    next_ = next_ + 1 == order_.size() ? 0 : next_ + 1;
    if (fresh_every_ > 0 && ++since_fresh_ == fresh_every_) {
      since_fresh_ = 0;
      flow = fresh_++ % (1U << 24);
    }
    auto* bytes = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
    std::memcpy(bytes, frames_[which].data(), frames_[which].size());
    const std::uint32_t source = __builtin_bswap32(0x0A000000U + flow);
    std::memcpy(bytes + kSourceAt, &source, sizeof source);
    // The template's source is 10.0.0.1, its checksum zero.
    std::uint32_t sum = 0x4500U + static_cast<std::uint32_t>(sizes_[which] - 14) + 0x4011U +
                        0x0A00U + (flow >> 16) + (flow & 0xFFFFU) + 0x0A00U + 2U;
    sum = (sum & 0xFFFFU) + (sum >> 16);
    const auto checksum =
        __builtin_bswap16(static_cast<std::uint16_t>(~((sum & 0xFFFFU) + (sum >> 16))));
    std::memcpy(bytes + kChecksumAt, &checksum, sizeof checksum);
    mbuf->data_len = static_cast<std::uint16_t>(sizes_[which]);
    mbuf->pkt_len = sizes_[which];
  }

  void play(rte_mbuf* mbuf) noexcept {
    const test::Bytes& frame = captured_[next_];
    next_ = next_ + 1 == captured_.size() ? 0 : next_ + 1;
    std::memcpy(rte_pktmbuf_mtod(mbuf, std::uint8_t*), frame.data(), frame.size());
    mbuf->data_len = static_cast<std::uint16_t>(frame.size());
    mbuf->pkt_len = static_cast<std::uint32_t>(frame.size());
  }

  rte_mempool* pool_;
  std::vector<std::uint32_t> sizes_;
  std::vector<test::Bytes> captured_;
  std::vector<test::Bytes> frames_;
  std::vector<std::uint32_t> order_;  ///< of the flows
  std::size_t next_ = 0;              ///< in order_, or captured_
  std::size_t size_ = 0;
  std::uint32_t fresh_every_ = 0;
  std::uint32_t since_fresh_ = 0;
  std::uint32_t fresh_ = 0;
};

}  // namespace faultline
