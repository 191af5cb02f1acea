// Two blocks stand in the halves of a register, each as in philox_forms::paired, and up to four
// registers go through the rounds together.
#include "base/philox_blocks.hpp"

#include <immintrin.h>

namespace faultline {
namespace {

/// Which blocks are wanted: of one key, or with one counter.
struct OfKey {
  PhiloxKey key;
  const PhiloxBlock* counters;

  PhiloxKey key_of(std::uint32_t) const noexcept { return key; }
  const PhiloxBlock& counter_of(std::uint32_t i) const noexcept { return counters[i]; }
};
struct OfCounter {
  const PhiloxKey* keys;
  const PhiloxBlock& counter;

  PhiloxKey key_of(std::uint32_t i) const noexcept { return keys[i]; }
  const PhiloxBlock& counter_of(std::uint32_t) const noexcept { return counter; }
};

__m128i load(const PhiloxBlock& block) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.data()));
}

__m128i spread(PhiloxKey key) noexcept {
  return _mm_set_epi32(0, static_cast<int>(key.high), 0, static_cast<int>(key.low));
}

/// The blocks from `i` on, two for each register.
template <std::uint32_t kRegisters, typename Wanted>
__attribute__((target("avx2"))) void abreast(const Wanted& wanted, std::uint32_t i,
                                             PhiloxBlock* blocks) noexcept {
  using namespace philox_constants;
  const __m256i multipliers = _mm256_broadcastsi128_si256(spread({kMultiplier0, kMultiplier1}));
  const __m256i weyl = _mm256_broadcastsi128_si256(spread({kWeyl0, kWeyl1}));
  __m256i words[kRegisters];
  __m256i keys[kRegisters];
#pragma GCC unroll 4
  for (std::uint32_t at = 0; at < kRegisters; ++at) {
    const std::uint32_t first = i + 2 * at;
    words[at] =
        _mm256_set_m128i(load(wanted.counter_of(first + 1)), load(wanted.counter_of(first)));
    keys[at] = _mm256_set_m128i(spread(wanted.key_of(first + 1)), spread(wanted.key_of(first)));
  }
  for (int round = 0; round < kRounds; ++round)
#pragma GCC unroll 4
    for (std::uint32_t at = 0; at < kRegisters; ++at) {
      const __m256i products = _mm256_mul_epu32(words[at], multipliers);
      const __m256i odd = _mm256_xor_si256(_mm256_srli_epi64(words[at], 32), keys[at]);
      words[at] = _mm256_xor_si256(_mm256_shuffle_epi32(products, _MM_SHUFFLE(0, 1, 2, 3)), odd);
      keys[at] = _mm256_add_epi32(keys[at], weyl);
    }
#pragma GCC unroll 4
  for (std::uint32_t at = 0; at < kRegisters; ++at)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(blocks[i + 2 * at].data()), words[at]);
}

template <typename Wanted>
void make_one_by_one(const Wanted& wanted, std::uint32_t from, std::uint32_t count,
                     PhiloxBlock* blocks) noexcept {
  for (std::uint32_t i = from; i < count; ++i)
    blocks[i] = philox_forms::paired(wanted.key_of(i), wanted.counter_of(i));
}

template <typename Wanted>
__attribute__((target("avx2"))) void make_abreast(const Wanted& wanted, std::uint32_t count,
                                                  PhiloxBlock* blocks) noexcept {
  std::uint32_t i = 0;
  for (; i + 8 <= count; i += 8) abreast<4>(wanted, i, blocks);
  if (i + 4 <= count) {
    abreast<2>(wanted, i, blocks);
    i += 4;
  }
  make_one_by_one(wanted, i, count, blocks);
}

const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;

template <typename Wanted>
void make(const Wanted& wanted, std::uint32_t count, PhiloxBlock* blocks) noexcept {
  if (kHasAvx2) [[likely]]
    make_abreast(wanted, count, blocks);
  else
    make_one_by_one(wanted, 0, count, blocks);
}

}  // namespace

void philox_blocks(PhiloxKey key, const PhiloxBlock* counters, std::uint32_t count,
                   PhiloxBlock* blocks) noexcept {
  make(OfKey{key, counters}, count, blocks);
}

void philox_blocks(const PhiloxKey* keys, PhiloxBlock counter, std::uint32_t count,
                   PhiloxBlock* blocks) noexcept {
  make(OfCounter{keys, counter}, count, blocks);
}

namespace philox_forms {

void one_by_one(PhiloxKey key, const PhiloxBlock* counters, std::uint32_t count,
                PhiloxBlock* blocks) noexcept {
  make_one_by_one(OfKey{key, counters}, 0, count, blocks);
}

void one_by_one(const PhiloxKey* keys, PhiloxBlock counter, std::uint32_t count,
                PhiloxBlock* blocks) noexcept {
  make_one_by_one(OfCounter{keys, counter}, 0, count, blocks);
}

}  // namespace philox_forms
}  // namespace faultline
