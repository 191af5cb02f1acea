// Sequence numbers are modulo 2^32 (RFC 9293, section 3.4); a number is taken for the nearest one
// to the highest seen, half of all behind it and half ahead.
#include "dataplane/tcp_track.hpp"

#include <algorithm>

namespace faultline {
namespace {

/// How far `sequence` is ahead of `reference`.
std::int32_t distance(std::uint32_t sequence, std::uint32_t reference) noexcept {
  return static_cast<std::int32_t>(sequence - reference);
}

}  // namespace

bool TcpTrack::follow(const SeenSegment& segment, const TcpTrack& peer, TcpPlace& place) noexcept {
  const bool resets = (segment.flags & kRstFlag) != 0;
  const bool syn = (segment.flags & kSynFlag) != 0;
  const bool has_ack = (segment.flags & kAckFlag) != 0;
  if (!resets && (!begun_ || (syn && segment.sequence != base_)))
    begin(segment);
  place.is_whole = true;
  place.is_numbered = begun_;
  place.first_byte = number_of(segment.sequence + (syn ? 1 : 0));
  place.receiver_next = peer.acknowledged_;
  place.receiver_differs = peer.has_acknowledged_ && peer.acknowledged_ != segment.sequence;
  place.sender_next = peer.next();
  place.sender_differs =
      has_ack && peer.begun_ && distance(peer.next(), segment.acknowledgement) > 0;
  if (resets)
    return false;
  if (has_ack && (!has_acknowledged_ || distance(segment.acknowledgement, acknowledged_) > 0)) {
    acknowledged_ = segment.acknowledgement;
    has_acknowledged_ = true;
  }
  const std::uint32_t taken =
      segment.payload_bytes + (syn ? 1 : 0) + ((segment.flags & kFinFlag) != 0 ? 1 : 0);
  if (taken == 0)
    return false;
  const std::int64_t end = number_of(segment.sequence) + taken;
  if (end > end_) {
    end_ = end;
    return false;
  }
  return !is_keep_alive(segment, peer) && count_again(segment.sequence, peer, place.retransmission);
}

void TcpTrack::begin(const SeenSegment& segment) noexcept {
  const bool syn = (segment.flags & kSynFlag) != 0;
  *this = {};
  base_ = syn ? segment.sequence : segment.sequence - 1;
  end_ = syn ? 0 : 1;
  begun_ = true;
}

/// The number of the byte: the first behind the SYN is 1.
std::int64_t TcpTrack::number_of(std::uint32_t sequence) const noexcept {
  return end_ + distance(sequence, next());
}

/// One byte in front of the next (RFC 9293, section 3.8.4), when all was acknowledged: nobody waits
/// for it.
bool TcpTrack::is_keep_alive(const SeenSegment& segment, const TcpTrack& peer) const noexcept {
  return segment.payload_bytes == 1 && (segment.flags & (kSynFlag | kFinFlag)) == 0 &&
         segment.sequence == next() - 1 && peer.has_acknowledged_ &&
         distance(peer.acknowledged_, next()) >= 0;
}

/// The number sent again goes to the front; a new one takes the place of the one that was last
/// sent again longest ago.
bool TcpTrack::count_again(std::uint32_t sequence, const TcpTrack& peer,
                           std::uint8_t& times) noexcept {
  std::uint32_t at = 0;
  while (at < kRepeatedMax && times_[at] != 0 && repeated_[at] != sequence) ++at;
  bool forgotten = false;
  if (at < kRepeatedMax && times_[at] != 0) {
    times = std::min<std::uint8_t>(times_[at], kTimesMax - 1) + 1;
  } else {
    if (at == kRepeatedMax) {
      --at;
      forgotten = !peer.has_acknowledged_ || distance(repeated_[at], peer.acknowledged_) >= 0;
    }
    times = 1;
  }
  std::copy_backward(repeated_, repeated_ + at, repeated_ + at + 1);
  std::copy_backward(times_, times_ + at, times_ + at + 1);
  repeated_[0] = sequence;
  times_[0] = times;
  return forgotten;
}

}  // namespace faultline
