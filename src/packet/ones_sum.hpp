// The Internet checksum's sum: 16-bit words in ones' complement (RFC 1071).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

namespace faultline {

/// Two halves added, with what is carried over, until 16 bits are left; 0 only of 0. No question in
/// between: its answer could not be foretold.
constexpr std::uint16_t folded(std::uint64_t sum) noexcept {
  constexpr std::uint64_t kLow = 0xFFFF'FFFF;
  sum = (sum & kLow) + (sum >> 32);
  sum = (sum & kLow) + (sum >> 32);
  const auto both = static_cast<std::uint32_t>(sum);
  return static_cast<std::uint16_t>((both + std::rotl(both, 16)) >> 16);
}

/// The sum of words as this machine loads them, to be folded: of the words themselves it is the
/// sum with its bytes turned round (RFC 1071, section 2). An odd last byte begins a word.
inline std::uint64_t loaded_sum(std::span<const std::uint8_t> bytes) noexcept {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t total = 0;
  std::size_t at = 0;
  for (std::uint64_t eight = 0; at + sizeof eight <= bytes.size(); at += sizeof eight) {
    std::memcpy(&eight, &bytes[at], sizeof eight);
    total += (eight & 0xFFFF'FFFF) + (eight >> 32);
  }
  for (unsigned shift = 0; at < bytes.size(); ++at, shift += 8)
    total += std::uint64_t{bytes[at]} << shift;
  return total;
}

/// Not complemented. `sum`: of what was summed before.
inline std::uint16_t ones_sum(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) noexcept {
  return folded(std::uint64_t{sum} + __builtin_bswap16(folded(loaded_sum(bytes))));
}

}  // namespace faultline
