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

}  // namespace

void Dice::halves(std::uint32_t word, const std::uint64_t* identities, const std::uint64_t* indices,
                  std::span<const std::uint8_t> places, std::uint32_t* out) const noexcept {
  FAULTLINE_CHECK(places.size() <= kAtOnce);
  if (places.empty())
    return;
  alignas(32) std::array<PhiloxBlock, kAtOnce> counters;
  alignas(32) std::array<PhiloxBlock, kAtOnce> blocks;
  std::array<std::uint8_t, kAtOnce> block_of;
  std::uint32_t count = 0;
  std::uint64_t last_identity = 0;
  std::uint64_t last_position = UINT64_MAX;  // which no index has
  for (std::size_t turn = 0; turn < places.size(); ++turn) {
    const std::uint64_t identity = identities[places[turn]];
    const std::uint64_t position = indices[places[turn]] >> 2 | std::uint64_t{word} << 62;
    const bool other = (identity ^ last_identity) != 0 || position != last_position;
    put(counters[count], position, identity);
    count += other ? 1 : 0;
    block_of[turn] = static_cast<std::uint8_t>(count - 1);
    last_identity = identity;
    last_position = position;
  }
  philox_blocks(key_, counters.data(), count, blocks.data());
  for (std::size_t turn = 0; turn < places.size(); ++turn)
    out[turn] = blocks[block_of[turn]][indices[places[turn]] & 3];
}

}  // namespace faultline
