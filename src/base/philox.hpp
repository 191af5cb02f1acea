// Philox 4x32-10, a counter-based random number generator: J. K. Salmon, M. A. Moraes, R. O. Dror,
// D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A block is a pure function of
// (key, counter), so any packet's draw can be computed at any time, in any order, by any worker.
#pragma once

#include <emmintrin.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

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

namespace philox_forms {

/// As in the paper.
constexpr PhiloxBlock plain(PhiloxKey key, PhiloxBlock counter) noexcept {
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

/// The same with both products of a round in one instruction, which takes half as many of them.
/// Key and words 0 and 2 stand in the lower halves of two lanes.
inline PhiloxBlock paired(PhiloxKey key, PhiloxBlock counter) noexcept {
  using namespace philox_constants;
  // From registers: four words stored one by one are not there for a load of all of them yet.
  const auto four = [](std::uint32_t first, std::uint32_t second, std::uint32_t third,
                       std::uint32_t fourth) {
    return _mm_set_epi32(static_cast<int>(fourth), static_cast<int>(third),
                         static_cast<int>(second), static_cast<int>(first));
  };
  const __m128i multipliers = four(kMultiplier0, 0, kMultiplier1, 0);
  const __m128i weyl = four(kWeyl0, 0, kWeyl1, 0);
  __m128i keys = four(key.low, 0, key.high, 0);
  __m128i words = four(counter[0], counter[1], counter[2], counter[3]);
  for (int round = 0; round < kRounds; ++round) {
    const __m128i products = _mm_mul_epu32(words, multipliers);
    const __m128i odd = _mm_xor_si128(_mm_srli_epi64(words, 32), keys);
    words = _mm_xor_si128(_mm_shuffle_epi32(products, _MM_SHUFFLE(0, 1, 2, 3)), odd);
    keys = _mm_add_epi32(keys, weyl);
  }
  std::memcpy(&counter, &words, sizeof words);
  return counter;
}

}  // namespace philox_forms

/// One block of 128 random bits for a 128-bit counter under a 64-bit key.
constexpr PhiloxBlock philox(PhiloxKey key, PhiloxBlock counter) noexcept {
  if (std::is_constant_evaluated())
    return philox_forms::plain(key, counter);
  return philox_forms::paired(key, counter);
}

}  // namespace faultline
