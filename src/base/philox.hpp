// Philox 4x32-10, a counter-based random number generator: J. K. Salmon, M. A. Moraes, R. O. Dror,
// D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A block is a pure function of
// (key, counter), so any packet's draw can be computed at any time, in any order, by any worker.
#pragma once

#include <array>
#include <cstdint>

namespace faultline {

struct PhiloxKey {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
};

using PhiloxBlock = std::array<std::uint32_t, 4>;

namespace philox_constants {
inline constexpr std::uint32_t kMultiplier0 = 0xD2511F53;
inline constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57;
inline constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
inline constexpr std::uint32_t kWeyl1 = 0xBB67AE85;
inline constexpr int kRounds = 10;
}  // namespace philox_constants

/// One block of 128 random bits for a 128-bit counter under a 64-bit key.
constexpr PhiloxBlock philox(PhiloxKey key, PhiloxBlock counter) noexcept {
  using namespace philox_constants;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{kMultiplier0} * counter[0];
    const std::uint64_t product1 = std::uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key.low,
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key.high,
               static_cast<std::uint32_t>(product0)};
    key.low += kWeyl0;
    key.high += kWeyl1;
  }
  return counter;
}

}  // namespace faultline
