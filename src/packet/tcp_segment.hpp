// What a TCP segment says of itself, and what it is in its connection, which only whoever follows
// the connection can tell.
#pragma once

#include <cstdint>

#include "packet/frame_fields.hpp"

namespace faultline {

// RFC 9293, section 3.1.
inline constexpr std::uint8_t kFinFlag = 1;
inline constexpr std::uint8_t kSynFlag = 2;
inline constexpr std::uint8_t kRstFlag = 4;
inline constexpr std::uint8_t kAckFlag = 16;

/// Whether the TCP header was read: also of a first fragment.
inline bool shows_tcp(const FrameFields& fields) noexcept {
  return fields.is_ip() && fields.key.protocol == kProtocolTcp && fields.l4_offset != 0;
}

/// Of TCP: nothing but an acknowledgement.
inline bool is_pure_ack(const FrameFields& fields) noexcept {
  return fields.payload_bytes == 0 && (fields.tcp_flags & kAckFlag) != 0 &&
         (fields.tcp_flags & (kFinFlag | kSynFlag | kRstFlag)) == 0;
}

/// A segment's place in its connection when it came in; docs/match.md has the laws.
struct TcpPlace {
  std::uint64_t opened_ns = 0;      ///< when its connection's last SYN came; 0: none was seen
  std::int64_t first_byte = 0;      ///< number of its first byte in its direction; with is_numbered
  std::uint32_t connection = 0;     ///< which of the client's to the service, from 1; 0: not TCP
  std::uint32_t receiver_next = 0;  ///< the receiver's last ACK; with receiver_differs
  std::uint32_t sender_next = 0;    ///< behind all that was sent to its sender; with sender_differs
  std::uint8_t retransmission = 0;  ///< which of its sequence number's, from 1; 0: none
  bool is_whole = false;            ///< a segment, and no part of one
  bool is_numbered = false;         ///< where its direction began is known
  bool receiver_differs : 1 = false;  ///< the receiver asked for another number than the segment's
  bool sender_differs : 1 = false;    ///< more was sent to its sender than the segment acknowledges
};

}  // namespace faultline
