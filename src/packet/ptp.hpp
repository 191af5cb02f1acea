// PTP version 2 (IEEE 1588-2008 and -2019) as it stands in a frame: over UDP ports 319 and 320, or
// over Ethernet, behind VLAN tags too. The fields of its header, the time-stamp and the
// correctionField of event and general messages, and what Announce says of a clock.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "packet/edit.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

inline constexpr std::uint16_t kPtpEventPort = 319;
inline constexpr std::uint16_t kPtpGeneralPort = 320;
inline constexpr std::uint16_t kEthertypePtp = 0x88F7;
inline constexpr std::uint32_t kPtpHeaderBytes = 34;
/// Its seconds have 48 bits.
inline constexpr std::uint64_t kPtpSecondsEnd = std::uint64_t{1} << 48;

/// IEEE 1588-2008, table 19.
enum class PtpType : std::uint8_t {
  kSync = 0,
  kDelayReq = 1,
  kPdelayReq = 2,
  kPdelayResp = 3,
  kFollowUp = 8,
  kDelayResp = 9,
  kPdelayRespFollowUp = 10,
  kAnnounce = 11,
  kSignaling = 12,
  kManagement = 13,
};

struct PtpStamp {
  std::uint64_t seconds = 0;
  std::uint32_t nanoseconds = 0;

  bool is_zero() const noexcept { return seconds == 0 && nanoseconds == 0; }
  /// Modulo 2^64: enough for differences of up to 292 years.
  std::uint64_t total_ns() const noexcept { return seconds * 1'000'000'000 + nanoseconds; }
  friend bool operator==(const PtpStamp&, const PtpStamp&) = default;
};

struct PtpMessage {
  PtpType type = PtpType::kSync;
  bool two_step = false;
  bool authenticated = false;   ///< an AUTHENTICATION TLV follows, or may: it cannot be seen
  std::uint32_t offset = 0;     ///< of the message in its frame
  std::int64_t correction = 0;  ///< 2^-16 ns
  std::uint16_t sequence = 0;
  PtpStamp stamp;  ///< where the type has one; else zero
};

/// Whether it says T1 or T4. A Sync that a Follow_Up completes does not.
inline bool tells_time(const PtpMessage& message) noexcept {
  if (message.stamp.is_zero())
    return false;
  return message.type == PtpType::kFollowUp || message.type == PtpType::kDelayResp ||
         (message.type == PtpType::kSync && !message.two_step);
}

/// Reads a message out of the frame whose first bytes and fields are given. Nothing where there is
/// none, of another version, of no known type or cut short.
std::optional<PtpMessage> read_ptp(std::span<const std::uint8_t> bytes,
                                   const FrameFields& fields) noexcept;

/// The stamp so many ns later. Nothing where it cannot be written: before 0, or beyond 48 bits of
/// seconds. Never zero, which would say that there is none.
std::optional<PtpStamp> shifted(const PtpStamp& stamp, std::int64_t by_ns) noexcept;

/// The correction with so many ns more; nothing where they do not fit.
std::optional<std::int64_t> corrected(std::int64_t correction, std::int64_t by_ns) noexcept;

// They write into a frame of which read_ptp read `message`; settle() comes behind them.

void put_ptp_stamp(EditFrame& frame, const PtpMessage& message, const PtpStamp& stamp) noexcept;
void put_ptp_correction(EditFrame& frame, const PtpMessage& message,
                        std::int64_t correction) noexcept;

/// Of an Announce message (IEEE 1588-2008, table 25); absent: it stays.
struct PtpAnnounce {
  std::optional<std::uint8_t> clock_class;
  std::optional<std::uint8_t> priority1;
  std::optional<std::uint8_t> priority2;
  std::optional<std::uint16_t> steps_removed;
  std::optional<std::int16_t> utc_offset;  ///< seconds; said to be valid
  std::optional<bool> leap61;
  std::optional<bool> leap59;
};
void put_ptp_announce(EditFrame& frame, const PtpMessage& message,
                      const PtpAnnounce& announce) noexcept;

}  // namespace faultline
