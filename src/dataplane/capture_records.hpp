// What a worker puts into the ring of the captures: records of whole eight-byte words, the kind in
// the first byte. A packet is told of once, with what befell it; its frames follow, wherever on its
// way they are wanted, under the same name.
#pragma once

#include <cstdint>

#include "dataplane/held_record.hpp"
#include "impair/burst.hpp"

namespace faultline {

enum class CaptureRecord : std::uint8_t {
  kFill = 0,    ///< nothing up to the ring's end
  kPacket = 1,  ///< captures want this packet
  kTouch = 2,   ///< an impairment did something to it
  kFork = 3,    ///< a copy was made of it
  kFrame = 4,   ///< its bytes, at a point
};

/// A packet's, a copy's or a frame of our own's name at its worker, for as long as it is there.
inline std::uint64_t capture_name(std::uint32_t sequence, std::uint8_t egress,
                                  std::uint8_t copy) noexcept {
  return std::uint64_t{sequence} << 16 | std::uint64_t{egress} << 8 | copy;
}
inline std::uint64_t capture_name(const HoldKey& key) noexcept {
  return capture_name(key.sequence, key.egress, key.copy);
}

struct CapturePacketRecord {
  CaptureRecord kind = CaptureRecord::kPacket;
  std::uint8_t reserved = 0;
  std::uint16_t captures = 0;  ///< those that want it, a bit each
  std::uint32_t padding = 0;
  std::uint64_t name = 0;
  std::uint64_t number = 0;  ///< in its flow, from 1; 0: it was made here
  std::uint64_t generation = 0;
};

struct CaptureTouchRecord {
  static constexpr std::uint8_t kMarked = 1;
  static constexpr std::uint8_t kEdited = 2;
  static constexpr std::uint8_t kAnswered = 4;   ///< it had a frame made because of it
  static constexpr std::uint8_t kMade = 8;       ///< it had this frame made
  static constexpr std::uint8_t kReplaces = 16;  ///< what was said of this step before
  static constexpr std::uint8_t kDrawn = 32;     ///< `draw` is known

  CaptureRecord kind = CaptureRecord::kTouch;
  std::uint8_t step = 0;  ///< of the rule
  DropReason reason = DropReason::kNone;
  std::uint8_t flags = 0;
  std::uint16_t slot = 0;  ///< of the rule
  std::uint8_t copies = 0;
  std::uint8_t reserved = 0;
  std::uint64_t name = 0;
  std::uint64_t delay_ns = 0;
  double draw = 0;  ///< the uniform number that decided, in [0, 1)
  std::uint64_t generation = 0;
};

struct CaptureForkRecord {
  CaptureRecord kind = CaptureRecord::kFork;
  bool without_past = false;  ///< what befell `of` did not befall it
  std::uint8_t reserved[6]{};
  std::uint64_t of = 0;  ///< names
  std::uint64_t copy = 0;
};

/// Followed by the bytes, filled up to whole words.
struct CaptureFrameRecord {
  enum class Content : std::uint8_t {
    kWhole,   ///< as much as the captures' snap lengths ask for
    kLost,    ///< there was no room for them
    kUnasked  ///< nobody wants them: the packet has gone, that is all
  };
  CaptureRecord kind = CaptureRecord::kFrame;
  std::uint8_t point = 0;  ///< a CapturePoint
  DropReason reason = DropReason::kNone;
  Content content = Content::kWhole;
  std::uint8_t ingress = 0;
  std::uint8_t egress = 0;
  std::uint16_t reserved = 0;
  std::uint64_t name = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t arrival_ns = 0;
  std::uint32_t wire_bytes = 0;      ///< of the frame, without FCS
  std::uint32_t captured_bytes = 0;  ///< that follow
};

}  // namespace faultline
