// Reading and writing PTP.
#include "packet/ptp.hpp"

#include "base/int128.hpp"
#include "packet/udp_payload.hpp"

namespace faultline {
namespace {

// Places in the header and behind it (IEEE 1588-2008, tables 18, 25 and 26).
constexpr std::uint32_t kLengthAt = 2;
constexpr std::uint32_t kFlagsAt = 6;
constexpr std::uint32_t kCorrectionAt = 8;
constexpr std::uint32_t kSequenceAt = 30;
constexpr std::uint32_t kStampAt = 34;
constexpr std::uint32_t kStampBytes = 10;
constexpr std::uint32_t kUtcOffsetAt = 44;
constexpr std::uint32_t kPriority1At = 47;
constexpr std::uint32_t kClockClassAt = 48;
constexpr std::uint32_t kPriority2At = 52;
constexpr std::uint32_t kStepsRemovedAt = 61;

constexpr std::uint8_t kTwoStep = 0x02;   // in the first byte of the flags
constexpr std::uint8_t kSecurity = 0x80;  // likewise
constexpr std::uint8_t kLeap61 = 0x01;    // in the second
constexpr std::uint8_t kLeap59 = 0x02;
constexpr std::uint8_t kUtcIsValid = 0x04;

/// Of the type's fixed part, behind which TLVs stand; 0: no known type.
std::uint32_t body_end(PtpType type) noexcept {
  switch (type) {
    case PtpType::kSync:
    case PtpType::kDelayReq:
    case PtpType::kFollowUp:
    case PtpType::kSignaling:
      return 44;
    case PtpType::kPdelayReq:
    case PtpType::kPdelayResp:
    case PtpType::kDelayResp:
    case PtpType::kPdelayRespFollowUp:
      return 54;
    case PtpType::kAnnounce:
      return 64;
    case PtpType::kManagement:
      return 48;
  }
  return 0;
}

/// AUTHENTICATION, as IEEE 1588-2019 (table 52) and annex K of -2008 have it.
bool is_authentication(std::uint16_t type) noexcept {
  return type == 0x8009 || type == 0x2000;
}

/// Whether one of the TLVs is an AUTHENTICATION, or what is at hand of them does not show it.
bool has_authentication(std::span<const std::uint8_t> message, std::size_t first,
                        std::size_t end) noexcept {
  for (std::size_t at = first; at + 4 <= end;) {
    if (at + 4 > message.size())
      return true;
    if (is_authentication(word_in(message, at)))
      return true;
    at += 4U + word_in(message, at + 2);
  }
  return false;
}

/// Where the message begins; the frame's end where there is none.
std::size_t message_offset(std::span<const std::uint8_t> bytes,
                           const FrameFields& fields) noexcept {
  if (!fields.is_ip()) {
    const std::size_t at = kEthernetHeaderBytes + std::size_t{4} * fields.vlan_tags;
    return fields.key.ethertype == kEthertypePtp ? std::min(at, bytes.size()) : bytes.size();
  }
  const std::uint16_t port = fields.destination_port;
  if ((port != kPtpEventPort && port != kPtpGeneralPort) || udp_payload(bytes, fields).empty())
    return bytes.size();
  return fields.payload_offset;
}

void put_at(EditFrame& frame, const PtpMessage& message, std::uint32_t at, std::uint64_t value,
            std::uint32_t words) noexcept {
  for (std::uint32_t word = 0; word < words; ++word)
    frame.put_word(message.offset + at + 2 * word,
                   static_cast<std::uint16_t>(value >> (16 * (words - 1 - word))));
}

}  // namespace

std::optional<PtpMessage> read_ptp(std::span<const std::uint8_t> bytes,
                                   const FrameFields& fields) noexcept {
  const std::size_t offset = message_offset(bytes, fields);
  const std::span<const std::uint8_t> all = bytes.subspan(offset);
  if (all.size() < kPtpHeaderBytes || (all[1] & 0x0F) != 2)
    return std::nullopt;
  PtpMessage message;
  message.type = static_cast<PtpType>(all[0] & 0x0F);
  message.offset = static_cast<std::uint32_t>(offset);
  const std::uint32_t end = body_end(message.type);
  const std::uint32_t length = word_in(all, kLengthAt);
  if (end == 0 || length < end || all.size() < end || offset + length > fields.length)
    return std::nullopt;
  message.two_step = (all[kFlagsAt] & kTwoStep) != 0;
  message.authenticated = (all[kFlagsAt] & kSecurity) != 0 || has_authentication(all, end, length);
  message.correction = static_cast<std::int64_t>(quad_in(all, kCorrectionAt));
  message.sequence = word_in(all, kSequenceAt);
  if (message.type != PtpType::kSignaling && message.type != PtpType::kManagement)
    message.stamp = {std::uint64_t{word_in(all, kStampAt)} << 32 | long_in(all, kStampAt + 2),
                     long_in(all, kStampAt + kStampBytes - 4)};
  return message;
}

std::optional<PtpStamp> shifted(const PtpStamp& stamp, std::int64_t by_ns) noexcept {
  constexpr Int128 kSecondNs = 1'000'000'000;
  Int128 total = static_cast<Int128>(stamp.seconds) * kSecondNs + stamp.nanoseconds + by_ns;
  if (total < 0 || total >= static_cast<Int128>(kPtpSecondsEnd) * kSecondNs)
    return std::nullopt;
  total = total == 0 ? 1 : total;
  return PtpStamp{static_cast<std::uint64_t>(total / kSecondNs),
                  static_cast<std::uint32_t>(total % kSecondNs)};
}

std::optional<std::int64_t> corrected(std::int64_t correction, std::int64_t by_ns) noexcept {
  const Int128 sum = static_cast<Int128>(correction) + static_cast<Int128>(by_ns) * 65'536;
  // The greatest value says that the correction is too big to be written (clause 13.3.2.7).
  if (sum >= INT64_MAX || sum < INT64_MIN)
    return std::nullopt;
  return static_cast<std::int64_t>(sum);
}

void put_ptp_stamp(EditFrame& frame, const PtpMessage& message, const PtpStamp& stamp) noexcept {
  put_at(frame, message, kStampAt, stamp.seconds, 3);
  put_at(frame, message, kStampAt + 6, stamp.nanoseconds, 2);
}

void put_ptp_correction(EditFrame& frame, const PtpMessage& message,
                        std::int64_t correction) noexcept {
  put_at(frame, message, kCorrectionAt, static_cast<std::uint64_t>(correction), 4);
}

void put_ptp_announce(EditFrame& frame, const PtpMessage& message,
                      const PtpAnnounce& announce) noexcept {
  const auto put_byte = [&](std::uint32_t at, const std::optional<std::uint8_t>& value) {
    if (value)
      frame.put(message.offset + at, *value);
  };
  put_byte(kPriority1At, announce.priority1);
  put_byte(kClockClassAt, announce.clock_class);
  put_byte(kPriority2At, announce.priority2);
  if (announce.steps_removed) {
    put_byte(kStepsRemovedAt, static_cast<std::uint8_t>(*announce.steps_removed >> 8));
    put_byte(kStepsRemovedAt + 1, static_cast<std::uint8_t>(*announce.steps_removed));
  }
  std::uint8_t flags = frame.at(message.offset + kFlagsAt + 1);
  const auto set_flag = [&](std::uint8_t flag, const std::optional<bool>& value) {
    if (value)
      flags = static_cast<std::uint8_t>(*value ? flags | flag : flags & ~flag);
  };
  set_flag(kLeap61, announce.leap61);
  set_flag(kLeap59, announce.leap59);
  if (announce.utc_offset) {
    put_at(frame, message, kUtcOffsetAt, static_cast<std::uint16_t>(*announce.utc_offset), 1);
    set_flag(kUtcIsValid, true);
  }
  put_byte(kFlagsAt + 1, flags);
}

}  // namespace faultline
