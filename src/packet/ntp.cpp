// Reading and writing NTP.
#include "packet/ntp.hpp"

#include "packet/udp_payload.hpp"

namespace faultline {
namespace {

constexpr std::size_t kExtensionBytesMin = 16;
constexpr std::size_t kCryptoNakBytes = 4;
constexpr std::size_t kMacBytesMin = 20;
constexpr std::size_t kMacBytesMax = 24;  // of version 4, so that it can be told (RFC 7822)

/// RFC 8915, section 7.7: unique identifier, cookie, cookie placeholder, authenticator.
bool is_of_nts(std::uint16_t type) noexcept {
  return type == 0x0104 || type == 0x0204 || type == 0x0304 || type == 0x0404;
}

/// `rest` is what is at hand of the `bytes` behind the header.
NtpTrailer trailer_of(std::uint8_t version, std::span<const std::uint8_t> rest,
                      std::size_t bytes) noexcept {
  if (version < 4)  // no extension fields
    return bytes < kCryptoNakBytes ? NtpTrailer::kOpen : NtpTrailer::kMac;
  while (bytes >= kCryptoNakBytes) {
    if (bytes == kCryptoNakBytes || (bytes >= kMacBytesMin && bytes <= kMacBytesMax) ||
        rest.size() < 4)
      return NtpTrailer::kMac;
    const std::size_t length = word_in(rest, 2);
    if (length < kExtensionBytesMin || length % 4 != 0 || length > bytes)
      return NtpTrailer::kMac;  // a longer digest
    if (is_of_nts(word_in(rest, 0)))
      return NtpTrailer::kNts;
    bytes -= length;
    rest = rest.subspan(std::min(length, rest.size()));
  }
  return NtpTrailer::kOpen;
}

std::uint32_t place_of(const EditFrame& frame, NtpField field) noexcept {
  return frame.fields().payload_offset + static_cast<std::uint32_t>(field);
}

std::uint64_t stamp_in(std::span<const std::uint8_t> payload, NtpField field) noexcept {
  return quad_in(payload, static_cast<std::size_t>(field));
}

}  // namespace

std::optional<NtpPacket> read_ntp(std::span<const std::uint8_t> bytes,
                                  const FrameFields& fields) noexcept {
  if (fields.source_port != kNtpPort && fields.destination_port != kNtpPort)
    return std::nullopt;
  const std::span<const std::uint8_t> payload = udp_payload(bytes, fields);
  if (payload.empty())
    return std::nullopt;
  NtpPacket packet;
  packet.mode = static_cast<NtpMode>(payload[0] & 7);
  packet.version = payload[0] >> 3 & 7;
  if (packet.mode == NtpMode::kControl || packet.mode == NtpMode::kPrivate)
    return packet;
  if (packet.version < 3 || packet.version > 4 || packet.mode == NtpMode::kReserved ||
      payload.size() < kNtpHeaderBytes)
    return std::nullopt;
  packet.trailer = trailer_of(packet.version, payload.subspan(kNtpHeaderBytes),
                              fields.payload_bytes - kNtpHeaderBytes);
  packet.reference = stamp_in(payload, NtpField::kReference);
  packet.origin = stamp_in(payload, NtpField::kOrigin);
  packet.receive = stamp_in(payload, NtpField::kReceive);
  packet.transmit = stamp_in(payload, NtpField::kTransmit);
  return packet;
}

void put_ntp(EditFrame& frame, NtpField field, std::uint8_t value) noexcept {
  frame.put(place_of(frame, field), value);
}

void put_ntp(EditFrame& frame, NtpField field, std::uint32_t value) noexcept {
  frame.put_word(place_of(frame, field), static_cast<std::uint16_t>(value >> 16));
  frame.put_word(place_of(frame, field) + 2, static_cast<std::uint16_t>(value));
}

void put_ntp(EditFrame& frame, NtpField field, std::uint64_t value) noexcept {
  for (std::uint32_t word = 0; word < 4; ++word)
    frame.put_word(place_of(frame, field) + 2 * word,
                   static_cast<std::uint16_t>(value >> (48 - 16 * word)));
}

void put_ntp_leap(EditFrame& frame, NtpLeap leap) noexcept {
  const std::uint32_t at = place_of(frame, NtpField::kLeapVersionMode);
  frame.put(at, static_cast<std::uint8_t>((frame.at(at) & 0x3F) | static_cast<int>(leap) << 6));
}

}  // namespace faultline
