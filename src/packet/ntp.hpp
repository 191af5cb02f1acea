// NTP as it stands in a datagram: versions 3 and 4 (RFC 1305, RFC 5905), their header, and whether
// something behind it vouches for every bit (a MAC, or the extension fields of NTS). Bytes only:
// whose clock is wrong, and by how much, is not known here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "packet/edit.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

inline constexpr std::uint16_t kNtpPort = 123;
inline constexpr std::size_t kNtpHeaderBytes = 48;
/// Ticks of a time-stamp: 2^-32 s, modulo 2^64; it begins anew in February 2036 (RFC 5905,
/// section 6).
inline constexpr std::uint64_t kNtpTicksPerSecond = std::uint64_t{1} << 32;

enum class NtpMode : std::uint8_t {
  kReserved,
  kSymmetricActive,
  kSymmetricPassive,
  kClient,
  kServer,
  kBroadcast,
  kControl,
  kPrivate,
};

constexpr bool is_symmetric(NtpMode mode) noexcept {
  return mode == NtpMode::kSymmetricActive || mode == NtpMode::kSymmetricPassive;
}
/// Whether packets of this mode say what time it is at their sender.
constexpr bool tells_time(NtpMode mode) noexcept {
  return mode == NtpMode::kServer || mode == NtpMode::kBroadcast || is_symmetric(mode);
}

/// What stands behind the header.
enum class NtpTrailer : std::uint8_t {
  kOpen,  ///< nothing, or extension fields that vouch for nothing
  kMac,   ///< a key and a digest (RFC 5905, section 7.3), a crypto-NAK, or what cannot be read
  kNts,   ///< extension fields of NTS (RFC 8915, section 5.7)
};

struct NtpPacket {
  NtpMode mode = NtpMode::kReserved;
  std::uint8_t version = 0;
  NtpTrailer trailer = NtpTrailer::kOpen;
  // 64-bit time-stamps; 0: none.
  std::uint64_t reference = 0;
  std::uint64_t origin = 0;
  std::uint64_t receive = 0;
  std::uint64_t transmit = 0;
};

/// Reads NTP out of the frame whose first bytes and fields are given. Nothing where it is not on
/// port 123, of another version, cut short or of mode 0. Of modes 6 and 7 just mode and version.
std::optional<NtpPacket> read_ntp(std::span<const std::uint8_t> bytes,
                                  const FrameFields& fields) noexcept;

/// Where fields stand in the header.
enum class NtpField : std::uint8_t {
  kLeapVersionMode = 0,
  kStratum = 1,
  kRootDelay = 4,
  kRootDispersion = 8,
  kReferenceId = 12,
  kReference = 16,
  kOrigin = 24,
  kReceive = 32,
  kTransmit = 40,
};

/// Writes into a frame of which read_ntp read a header; settle() comes behind it.
void put_ntp(EditFrame& frame, NtpField field, std::uint8_t value) noexcept;
void put_ntp(EditFrame& frame, NtpField field, std::uint32_t value) noexcept;
void put_ntp(EditFrame& frame, NtpField field, std::uint64_t value) noexcept;

/// The two bits in front of the version (RFC 5905, figure 9).
enum class NtpLeap : std::uint8_t { kNone, kInsert, kDelete, kUnsynchronised };
void put_ntp_leap(EditFrame& frame, NtpLeap leap) noexcept;

}  // namespace faultline
