// The dice are part of the product: known answers of Philox, the layout recomputed from its
// comment, and decisions at every edge of a 64-bit threshold.
#include "base/dice.hpp"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "base/philox_blocks.hpp"

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::DiceName;
using test::reference_uniform;
using test::share_of;

struct KnownAnswer {
  PhiloxKey key;
  PhiloxBlock counter;
  PhiloxBlock block;
};

TEST(BaseDice, PhiloxKnownAnswers) {
  // Random123, tests/kat_vectors, philox4x32 with 10 rounds.
  const KnownAnswer cases[] = {
      {{0, 0}, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0xa4093822, 0x299f31d0},
       {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const KnownAnswer& one : cases) {
    EXPECT_EQ(philox_forms::plain(one.key, one.counter), one.block) << std::hex << one.key.low;
    EXPECT_EQ(philox_forms::paired(one.key, one.counter), one.block) << std::hex << one.key.low;
  }
}

TEST(BaseDice, PhiloxIsTheSameInBothForms) {
  PhiloxBlock counter{1, 2, 3, 4};
  PhiloxKey key{5, 6};
  for (int turn = 0; turn < 100'000; ++turn) {
    const PhiloxBlock block = philox_forms::plain(key, counter);
    ASSERT_EQ(philox_forms::paired(key, counter), block) << turn;
    key = {counter[1], counter[2]};
    counter = block;
  }
  static_assert(philox({0, 0}, {0, 0, 0, 0})[0] == 0x6627e8d5, "also while compiling");
}

TEST(BaseDice, ManyBlocksAreWhatEachIsAlone) {
  std::vector<PhiloxKey> keys;
  std::vector<PhiloxBlock> counters;
  PhiloxBlock last{1, 2, 3, 4};
  for (int i = 0; i < 100; ++i) {
    keys.push_back({last[3], last[2]});
    counters.push_back(last);
    last = philox_forms::plain({7, 8}, last);
  }
  const PhiloxBlock untouched{9, 9, 9, 9};
  for (std::uint32_t count = 0; count <= 100; ++count) {
    std::array<std::vector<PhiloxBlock>, 4> made;
    made.fill(std::vector<PhiloxBlock>(count + 1, untouched));
    philox_blocks({5, 6}, counters.data(), count, made[0].data());
    philox_forms::one_by_one({5, 6}, counters.data(), count, made[1].data());
    philox_blocks(keys.data(), counters[1], count, made[2].data());
    philox_forms::one_by_one(keys.data(), counters[1], count, made[3].data());
    for (std::uint32_t i = 0; i < count; ++i) {
      const PhiloxBlock of_key = philox_forms::plain({5, 6}, counters[i]);
      const PhiloxBlock of_counter = philox_forms::plain(keys[i], counters[1]);
      ASSERT_EQ(made[0][i], of_key) << i << " of " << count;
      ASSERT_EQ(made[1][i], of_key) << i << " of " << count;
      ASSERT_EQ(made[2][i], of_counter) << i << " of " << count;
      ASSERT_EQ(made[3][i], of_counter) << i << " of " << count;
    }
    for (const auto& blocks : made) ASSERT_EQ(blocks[count], untouched) << "behind " << count;
  }
}

TEST(BaseDice, NumbersOfManyAreWhatEachIsAlone) {
  const Dice dice(11, "rule", 3, DicePurpose::kFate);
  std::array<std::uint64_t, 80> identities;
  std::array<std::uint64_t, 80> indices;
  std::vector<std::uint8_t> places;
  for (std::uint32_t i = 0; i < 80; ++i) {
    // Runs of one flow, flows in turns, one block left and met again, identities near the mark.
    identities[i] = i < 30 ? 5 : i < 60 ? i % 2 : UINT64_MAX - i;
    indices[i] = i < 60 ? 1 + i : UINT64_MAX - i;
  }
  for (std::uint32_t start = 0; start < 80; ++start) {
    places.clear();
    for (std::uint32_t turn = 0; turn < start % (Dice::kAtOnce + 1); ++turn)
      places.push_back(static_cast<std::uint8_t>((start + 3 * turn) % 80));
    std::array<std::uint32_t, Dice::kAtOnce> uppers;
    std::array<std::uint64_t, Dice::kAtOnce> uniforms;
    dice.uppers(identities.data(), indices.data(), places, uppers.data());
    dice.uniforms(identities.data(), indices.data(), places, uniforms.data());
    for (std::size_t turn = 0; turn < places.size(); ++turn) {
      const std::uint64_t uniform = dice.uniform(identities[places[turn]], indices[places[turn]]);
      ASSERT_EQ(uniforms[turn], uniform) << "turn " << turn << " of " << start;
      ASSERT_EQ(uppers[turn], uniform >> 32) << "turn " << turn << " of " << start;
    }
  }
}

TEST(BaseDice, NamesHashByFnv1a) {
  // draft-eastlake-fnv, 64 bit: the offset basis, "a" and "foobar".
  EXPECT_EQ(hash_name(""), 0xcbf29ce484222325U);
  EXPECT_EQ(hash_name("a"), 0xaf63dc4c8601ec8cU);
  EXPECT_EQ(hash_name("foobar"), 0x85944171f73967e8U);
  EXPECT_NE(hash_name("\xff"), hash_name("\x7f")) << "bytes, whatever the sign of char";
}

struct UniformCase {
  DiceName name;
  std::uint64_t identity;
  std::uint64_t index;
  std::uint64_t uniform;
};

TEST(BaseDice, PinnedUniforms) {
  // Computed by a separate program: if one moves, every user's seeds mean other packets.
  const UniformCase cases[] = {
      {{42, "uplink", 0, 0}, 0, 0, 0x694bab3a2f1edbab},
      {{42, "uplink", 0, 0}, 0x0123456789abcdef, 1, 0xc36a79ecb01b585a},
      {{42, "uplink", 0, 0}, UINT64_MAX, UINT64_MAX, 0xda39edc908ecdcac},
      {{UINT64_MAX, "", 3, 1}, 7, 1'000'000, 0x2955d04b79d66d6d},
  };
  for (const UniformCase& one : cases) {
    const Dice dice(one.name.seed, one.name.rule, one.name.impairment,
                    static_cast<DicePurpose>(one.name.purpose));
    EXPECT_EQ(dice.uniform(one.identity, one.index), one.uniform) << one.index;
  }
}

const DiceName kNames[] = {
    {0, "", 0, 0},
    {42, "uplink", 0, 0},
    {42, "uplink", 0, 1},
    {42, "uplink", 1, 0},
    {42, "uplinj", 0, 0},
    {43, "uplink", 0, 0},
    {std::uint64_t{42} << 32, "uplink", 0, 0},
    {UINT64_MAX, "\xc3\xa4", 31, 1},
};
const std::uint64_t kIdentities[] = {0, 1, std::uint64_t{1} << 32, 0xFEDCBA9876543210, UINT64_MAX};
const std::uint64_t kIndices[] = {0,
                                  1,
                                  2,
                                  3,
                                  4,
                                  5,
                                  7,
                                  8,
                                  (std::uint64_t{1} << 34) - 1,
                                  std::uint64_t{1} << 34,
                                  (std::uint64_t{1} << 62) + 3,
                                  UINT64_MAX - 3,
                                  UINT64_MAX};

Dice dice_of(const DiceName& name) {
  return {name.seed, name.rule, name.impairment, static_cast<DicePurpose>(name.purpose)};
}

TEST(BaseDice, UniformFollowsTheLayout) {
  for (const DiceName& name : kNames)
    for (const std::uint64_t identity : kIdentities)
      for (const std::uint64_t index : kIndices)
        EXPECT_EQ(dice_of(name).uniform(identity, index), reference_uniform(name, identity, index))
            << name.rule << " " << identity << " " << index;
}

TEST(BaseDice, EveryPartOfTheNameMatters) {
  std::vector<std::uint64_t> drawn;
  for (const DiceName& name : kNames)
    for (const std::uint64_t identity : kIdentities)
      for (const std::uint64_t index : kIndices)
        drawn.push_back(dice_of(name).uniform(identity, index));
  const std::size_t draws = drawn.size();
  std::sort(drawn.begin(), drawn.end());
  drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
  EXPECT_EQ(drawn.size(), draws) << "520 of 2^64: two alike mean a name or number is not used";
}

Threshold threshold_of(Uint128 share) {
  return {static_cast<std::uint64_t>(share >> 32), static_cast<std::uint32_t>(share)};
}

TEST(BaseDice, HitsIsUniformBelowThreshold) {
  const Dice dice(42, "uplink", 0, DicePurpose::kFate);
  const Uint128 one = Uint128{1} << 64;
  for (const std::uint64_t identity : kIdentities) {
    for (const std::uint64_t index : kIndices) {
      const Uint128 drawn = dice.uniform(identity, index);
      const Uint128 half = drawn >> 32 << 32;  // the upper halves tie, the lower ones decide
      const Uint128 shares[] = {0,     1,         one / 2, one - 1,          one,
                                drawn, drawn + 1, half,    half | 0xFFFFFFFF};
      for (const Uint128 share : shares) {
        EXPECT_EQ(dice.hits(identity, index, threshold_of(share)), drawn < share)
            << index << " at " << threshold_of(share).high << ":" << threshold_of(share).low;
      }
      EXPECT_FALSE(dice.hits(identity, index, threshold_of(drawn)));
      EXPECT_TRUE(dice.hits(identity, index, threshold_of(drawn + 1)));
    }
  }
}

TEST(BaseDice, CacheIsNeverSeen) {
  const Dice dice(42, "uplink", 0, DicePurpose::kFate);
  DiceCache cache;
  test::Random random(1);
  std::uint64_t index = 0;
  for (int draw = 0; draw < 20'000; ++draw) {
    // Forwards, on the spot, backwards and far away, in three flows; 0 first: an unused cache is
    // no block of zeros.
    const std::uint64_t identity = random.below(3);
    EXPECT_EQ(cache.upper(dice, identity, index),
              static_cast<std::uint32_t>(dice.uniform(identity, index) >> 32))
        << identity << " " << index;
    const std::uint64_t how = random.below(8);
    index = how < 5 ? index + 1 : how == 5 ? index : how == 6 ? index - 2 : random.below(1 << 20);
  }
}

TEST(BaseDice, ThresholdComplement) {
  const Uint128 one = Uint128{1} << 64;
  const Uint128 shares[] = {
      0,       1,       0xFFFFFFFF, Uint128{1} << 32,         one / 3,
      one / 2, one - 1, one,        one - (Uint128{1} << 32), (Uint128{1} << 32) + 1};
  for (const Uint128 share : shares) {
    const Threshold threshold = threshold_of(share);
    EXPECT_TRUE(share_of(threshold.complement()) == one - share) << threshold.high;
    EXPECT_EQ(threshold.complement().complement(), threshold);
  }
  EXPECT_EQ(Threshold::never().complement(), Threshold::always());
  EXPECT_DOUBLE_EQ((Threshold{std::uint64_t{1} << 30, 0}).approximate(), 0.25);
  EXPECT_DOUBLE_EQ((Threshold{0, 1}).approximate(), 0x1p-64);
  EXPECT_LT((Threshold{1, UINT32_MAX}), (Threshold{2, 0}));
}

}  // namespace
}  // namespace faultline
