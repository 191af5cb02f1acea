// How the data path sees a frame, and a number that tells one frame from another. Bytes only.
#pragma once

#include <nmmintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "packet/frame_fields.hpp"

namespace faultline {

/// A frame's first bytes in one piece: all of it, or at least kParseBytesMax.
struct FrameView {
  const std::uint8_t* bytes = nullptr;
  std::uint32_t available = 0;
  std::uint32_t length = 0;
};

/// A number for the frame's length and its first kParseBytesMax bytes, checksums of what is behind
/// them among these; the same on every machine. CRC-32C (RFC 3720, appendix B.4) of every other
/// eight bytes, the last ones along with some before them, and both multiplied into one.
inline std::uint32_t frame_hash(const FrameView& frame) noexcept {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15;
  constexpr std::uint32_t kPair = 16;
  const std::uint32_t count = std::min<std::uint32_t>(
      {frame.available, frame.length, static_cast<std::uint32_t>(kParseBytesMax)});
  std::uint64_t even = frame.length;
  std::uint64_t odd = 0;
  const auto take = [&](const std::uint8_t* pair) noexcept {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    std::memcpy(&first, pair, sizeof first);
    std::memcpy(&second, pair + sizeof first, sizeof second);
    even = _mm_crc32_u64(even, first);
    odd = _mm_crc32_u64(odd, second);
  };
  if (count < kPair) [[unlikely]] {
    std::uint8_t pair[kPair]{};
    std::memcpy(pair, frame.bytes, count);
    take(pair);
  } else if (count > 3 * kPair && count <= 4 * kPair) {
    // As the loop would, and most packets at line rate.
    take(frame.bytes);
    take(frame.bytes + kPair);
    take(frame.bytes + 2 * kPair);
    take(frame.bytes + count - kPair);
  } else {
    for (std::uint32_t at = 0; at + kPair < count; at += kPair) take(frame.bytes + at);
    take(frame.bytes + count - kPair);
  }
  const std::uint64_t hash = (even << 32 | odd) * kFactor;
  return static_cast<std::uint32_t>(hash >> 32 ^ even);
}

}  // namespace faultline
