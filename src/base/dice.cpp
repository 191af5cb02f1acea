// The numbers of many packets at once.
#include "base/dice.hpp"

#include <emmintrin.h>

#include "base/check.hpp"
#include "base/philox_blocks.hpp"

namespace faultline {
namespace {

/// Written as one piece, to be read as one.
void put(PhiloxBlock& counter, std::uint64_t position, std::uint64_t identity) noexcept {
  _mm_store_si128(
      reinterpret_cast<__m128i*>(counter.data()),
      _mm_set_epi64x(static_cast<std::int64_t>(identity), static_cast<std::int64_t>(position)));
}

/// Which blocks have the numbers of some packets: neighbours of one block share it. `kWords` of
/// each, one behind the other.
template <std::uint32_t kWords>
class Blocks {
 public:
  Blocks(const std::uint64_t* identities, const std::uint64_t* indices,
         std::span<const std::uint8_t> places) noexcept {
    std::uint64_t last_identity = 0;
    std::uint64_t last_position = UINT64_MAX;  // which no index has
    for (std::size_t turn = 0; turn < places.size(); ++turn) {
      const std::uint64_t identity = identities[places[turn]];
      const std::uint64_t index = indices[places[turn]];
      const bool other = ((identity ^ last_identity) | ((index >> 2) ^ last_position)) != 0;
      for (std::uint32_t word = 0; word < kWords; ++word)
        put(counters_[kWords * count_ + word], index >> 2 | std::uint64_t{word} << 62, identity);
      count_ += other ? 1 : 0;
      number_of_[turn] = static_cast<std::uint16_t>((count_ - 1) * 4 * kWords +
                                                    static_cast<std::uint32_t>(index & 3));
      last_identity = identity;
      last_position = index >> 2;
    }
  }

  void make(PhiloxKey key) noexcept {
    philox_blocks(key, counters_.data(), kWords * count_, blocks_.data());
  }
  std::uint32_t number(std::size_t turn, std::uint32_t word) const noexcept {
    return blocks_[number_of_[turn] / 4 + word][number_of_[turn] % 4];
  }

 private:
  alignas(32) std::array<PhiloxBlock, kWords * Dice::kAtOnce> counters_;
  alignas(32) std::array<PhiloxBlock, kWords * Dice::kAtOnce> blocks_;
  std::array<std::uint16_t, Dice::kAtOnce> number_of_;
  std::uint32_t count_ = 0;
};

}  // namespace

void Dice::uppers(const std::uint64_t* identities, const std::uint64_t* indices,
                  std::span<const std::uint8_t> places, std::uint32_t* out) const noexcept {
  FAULTLINE_CHECK(places.size() <= kAtOnce);
  Blocks<1> blocks(identities, indices, places);
  blocks.make(key_);
  for (std::size_t turn = 0; turn < places.size(); ++turn) out[turn] = blocks.number(turn, 0);
}

void Dice::uniforms(const std::uint64_t* identities, const std::uint64_t* indices,
                    std::span<const std::uint8_t> places, std::uint64_t* out) const noexcept {
  FAULTLINE_CHECK(places.size() <= kAtOnce);
  Blocks<2> blocks(identities, indices, places);
  blocks.make(key_);
  for (std::size_t turn = 0; turn < places.size(); ++turn)
    out[turn] = std::uint64_t{blocks.number(turn, 0)} << 32 | blocks.number(turn, 1);
}

}  // namespace faultline
