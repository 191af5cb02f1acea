// What stands behind a frame's UDP header, as far as its bytes are at hand.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "packet/frame_fields.hpp"

namespace faultline {

/// The payload of a whole UDP datagram by the length that its header gives. `bytes` are the frame's
/// first ones. Empty where there is none: another protocol, a fragment.
inline std::span<const std::uint8_t> udp_payload(std::span<const std::uint8_t> bytes,
                                                 const FrameFields& fields) noexcept {
  if (!fields.is_ip() || fields.key.protocol != kProtocolUdp || fields.payload_offset == 0 ||
      fields.fragment != FragmentKind::kNone || fields.payload_offset >= bytes.size())
    return {};
  const std::span<const std::uint8_t> behind = bytes.subspan(fields.payload_offset);
  return behind.first(std::min<std::size_t>(behind.size(), fields.payload_bytes));
}

/// Words in network order, from bytes that are there.
inline std::uint16_t word_in(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
inline std::uint32_t long_in(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  return std::uint32_t{word_in(bytes, at)} << 16 | word_in(bytes, at + 2);
}
inline std::uint64_t quad_in(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  return std::uint64_t{long_in(bytes, at)} << 32 | long_in(bytes, at + 4);
}

}  // namespace faultline
