// A packet in the hold: by which key it leaves, and how both lie in memory. Bytes only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace faultline {

/// Packets leave in the order (release, arrival, ingress, sequence, copy, egress).
struct HoldKey {
  std::uint64_t release_ns = 0;
  std::uint64_t arrival_ns =
      0;                       ///< not after release_ns, and less than 2^48 ns (78 hours) before it
  std::uint32_t sequence = 0;  ///< of the packet at its worker; wraps
  std::uint8_t ingress = 0;    ///< below 64, as the egress
  std::uint8_t egress = 0;
  std::uint8_t copy = 0;  ///< 0: the packet itself; then its copies; from kFirstAnswer on what was
                          ///< made because of one of them; kOwnFrame: of nobody's packet
  bool captured = false;  ///< a capture wants to know what becomes of it
};
inline constexpr std::uint8_t kFirstAnswer = 64;
inline constexpr std::uint8_t kOwnFrame = 255;

/// Bytes of one packet: a record to go on with (a multiple of 16), and the frame behind it.
struct HeldSize {
  std::uint32_t resume = 0;
  std::uint32_t frame = 0;
};

/// The key in whole words, which a processor reads back at once when they were just written.
struct HeldKey {
  std::uint64_t release_ns = 0;
  std::uint64_t arrival_ns = 0;
  /// Sequence, ingress (6 bits), egress (6), copy (8), whether it is captured, and how long the
  /// record to go on with is, in units of 16 bytes (11).
  std::uint64_t who = 0;

  static HeldKey of(const HoldKey& key, std::uint32_t resume_bytes = 0) noexcept {
    return {key.release_ns, key.arrival_ns,
            key.sequence | path(key.ingress, key.egress) | std::uint64_t{key.copy} << 44 |
                std::uint64_t{key.captured} << 52 | std::uint64_t{resume_bytes / 16} << 53};
  }
  /// What packets from one port to another have in common.
  static std::uint64_t path(std::uint8_t ingress, std::uint8_t egress) noexcept {
    return std::uint64_t{ingress & 63U} << 32 | std::uint64_t{egress & 63U} << 38;
  }
  HoldKey open() const noexcept {
    return {release_ns, arrival_ns, sequence(), ingress(), egress(), copy(), captured()};
  }
  std::uint32_t sequence() const noexcept { return static_cast<std::uint32_t>(who); }
  std::uint8_t ingress() const noexcept { return static_cast<std::uint8_t>(who >> 32 & 63U); }
  std::uint8_t egress() const noexcept { return static_cast<std::uint8_t>(who >> 38 & 63U); }
  std::uint8_t copy() const noexcept { return static_cast<std::uint8_t>(who >> 44); }
  bool captured() const noexcept { return (who >> 52 & 1U) != 0; }
};

/// As it lies in memory, in front of what the packet takes along and of its frame, eight-byte
/// aligned.
struct HeldRecord {
  static constexpr std::uint32_t kResumeBytesMax = 0x7FF * 16;

  std::uint64_t release_ns;
  std::uint64_t waited_and_length;  ///< (release − arrival) << 16 | length
  std::uint64_t who;                ///< see HeldKey

  static HeldRecord of(const HeldKey& key, std::uint32_t length) noexcept {
    return {key.release_ns, (key.release_ns - key.arrival_ns) << 16 | length, key.who};
  }
  HeldKey key() const noexcept { return {release_ns, release_ns - (waited_and_length >> 16), who}; }
  HeldSize size() const noexcept {
    return {static_cast<std::uint32_t>(who >> 53) * 16,
            static_cast<std::uint32_t>(waited_and_length & 0xFFFF)};
  }
  static std::uint32_t bytes(HeldSize size) noexcept {
    return (static_cast<std::uint32_t>(sizeof(HeldRecord)) + size.resume + size.frame + 7) & ~7U;
  }
};
static_assert(sizeof(HeldRecord) == 24);

/// In which order packets leave. While `flushing`, those whose sequence is before `end` go first,
/// in the order of their sequence.
struct LeavingOrder {
  std::uint32_t end = 0;
  bool flushing = false;

  static bool sequence_before(std::uint32_t left, std::uint32_t right) noexcept {
    return static_cast<std::int32_t>(left - right) < 0;
  }
  static bool key_before(const HeldKey& left, const HeldKey& right) noexcept {
    if (left.release_ns != right.release_ns)
      return left.release_ns < right.release_ns;
    if (left.arrival_ns != right.arrival_ns)
      return left.arrival_ns < right.arrival_ns;
    if (left.ingress() != right.ingress())
      return left.ingress() < right.ingress();
    return left.sequence() != right.sequence() ? sequence_before(left.sequence(), right.sequence())
                                               : copy_before(left, right);
  }
  /// Of one packet: its copies in turn, and where a switch floods it, port by port.
  static bool copy_before(const HeldKey& left, const HeldKey& right) noexcept {
    return left.copy() != right.copy() ? left.copy() < right.copy()
                                       : left.egress() < right.egress();
  }
  bool flushed(const HeldKey& key) const noexcept {
    return flushing && sequence_before(key.sequence(), end);
  }
  bool before(const HeldKey& left, const HeldKey& right) const noexcept {
    if (!flushing) [[likely]]
      return key_before(left, right);
    const bool left_flushed = flushed(left);
    if (left_flushed != flushed(right))
      return left_flushed;
    if (!left_flushed)
      return key_before(left, right);
    return left.sequence() != right.sequence() ? sequence_before(left.sequence(), right.sequence())
                                               : copy_before(left, right);
  }
};

}  // namespace faultline
