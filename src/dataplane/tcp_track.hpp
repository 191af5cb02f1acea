// One direction of a TCP connection, as far as its segments came by: how far it has got, where its
// numbers begin, what it acknowledged, and what it sent again.
#pragma once

#include <cstdint>

#include "packet/tcp_segment.hpp"

namespace faultline {

/// A whole segment.
struct SeenSegment {
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint32_t payload_bytes = 0;
  std::uint8_t flags = 0;
};

/// Plain; all zero: nothing was seen. 64 bytes, a cache line each.
class TcpTrack {
 public:
  /// Sequence numbers of which a direction remembers how often they were sent again.
  static constexpr std::uint32_t kRepeatedMax = 8;
  /// Of more than that many it says so many.
  static constexpr std::uint8_t kTimesMax = 255;

  /// Takes in a segment of this direction; `peer` is the other one. Fills in all of `place` but
  /// the connection. Whether a count of what is not acknowledged yet had to be forgotten.
  bool follow(const SeenSegment& segment, const TcpTrack& peer, TcpPlace& place) noexcept;

 private:
  void begin(const SeenSegment& segment) noexcept;
  std::int64_t number_of(std::uint32_t sequence) const noexcept;
  std::uint32_t next() const noexcept { return base_ + static_cast<std::uint32_t>(end_); }
  bool is_keep_alive(const SeenSegment& segment, const TcpTrack& peer) const noexcept;
  bool count_again(std::uint32_t sequence, const TcpTrack& peer, std::uint8_t& times) noexcept;

  std::int64_t end_ = 0;            ///< number behind the highest byte seen; bytes count from 1
  std::uint32_t base_ = 0;          ///< sequence number of the SYN, or in front of the first seen
  std::uint32_t acknowledged_ = 0;  ///< the highest ACK sent; with has_acknowledged_
  std::uint32_t repeated_[kRepeatedMax]{};  ///< sequence numbers sent again, the last one first
  std::uint8_t times_[kRepeatedMax]{};      ///< how often; 0: the place is free
  bool begun_ = false;
  bool has_acknowledged_ = false;
};
static_assert(sizeof(TcpTrack) == 64);

}  // namespace faultline
