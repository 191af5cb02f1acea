// How the data path sees a frame, and a number that tells one frame from another. Bytes only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/int128.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

/// A frame's first bytes in one piece: all of it, or at least kParseBytesMax.
struct FrameView {
  const std::uint8_t* bytes = nullptr;
  std::uint32_t available = 0;
  std::uint32_t length = 0;
};

/// A number for the frame's length and its first kParseBytesMax bytes, checksums of what is behind
/// them among these; the same on every machine. Eight bytes at a time, in two chains, each step a
/// product of 128 bits folded into 64.
inline std::uint32_t frame_hash(const FrameView& frame) noexcept {
  constexpr std::uint64_t kFirst = 0x9E3779B97F4A7C15;
  constexpr std::uint64_t kSecond = 0xD6E8FEB86659FD93;
  const auto fold = [](std::uint64_t left, std::uint64_t right) noexcept {
    const Uint128 product = Uint128{left} * right;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  const auto load = [&](std::uint32_t at) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, frame.bytes + at, sizeof word);
    return word;
  };
  const std::uint32_t count = std::min<std::uint32_t>(
      {frame.available, frame.length, static_cast<std::uint32_t>(kParseBytesMax)});
  std::uint64_t even = kFirst ^ frame.length;
  std::uint64_t odd = kSecond;
  std::uint32_t at = 0;
  for (; at + 32 <= count; at += 32) {
    even = fold(even ^ load(at), kFirst ^ load(at + 8));
    odd = fold(odd ^ load(at + 16), kSecond ^ load(at + 24));
  }
  for (; at + 8 <= count; at += 8) even = fold(even ^ load(at), kSecond);
  if (at < count) {
    std::uint64_t rest = 0;
    std::memcpy(&rest, frame.bytes + at, count - at);
    odd = fold(odd ^ rest, kFirst);
  }
  const std::uint64_t hash = fold(even, odd ^ kSecond);
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

}  // namespace faultline
