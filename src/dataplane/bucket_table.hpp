// A bounded table: two candidate buckets of eight places for each entry, chosen by a 64-bit number
// of it. Nothing is allocated after the constructor; who makes room is for the owner to say.
#pragma once

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "dataplane/table_memory.hpp"

namespace faultline {

/// What a look-up has found out so far.
struct SoughtEntry {
  static constexpr std::uint64_t kNowhere = UINT64_MAX;
  std::uint64_t spread;
  std::uint64_t place;  ///< the first whose tag is that of `spread`; kNowhere
};

/// `Entry` is plain: a new one is all zero bytes.
template <typename Entry>
class BucketTable {
  static_assert(std::is_trivially_copyable_v<Entry> && std::is_trivially_destructible_v<Entry>);

 public:
  /// Room for at least `entries_max`, half as much again in fact: with two choices of eight places
  /// the table then turns nobody away (at four fifths full it did, a few in a hundred thousand).
  BucketTable(std::uint64_t entries_max, TableMemory memory)
      : buckets_(buckets_for(entries_max)),
        memory_(buckets_ * kBucketBytes, memory),
        tags_(memory_.at<Tags>(0)),
        entries_(memory_.at<Entry>(buckets_ * sizeof(Tags))) {}

  /// A look-up in three steps, so that a burst's memory is on its way before it is needed: seek()
  /// for all, then approach() for all, then entry() or find().
  SoughtEntry seek(std::uint64_t spread) const noexcept {
    __builtin_prefetch(&tags_[first_of(spread)]);
    __builtin_prefetch(&tags_[second_of(spread)]);
    return {spread, SoughtEntry::kNowhere};
  }
  void approach(SoughtEntry& sought) const noexcept {
    sought.place = likely_place(sought.spread);
    if (sought.place == SoughtEntry::kNowhere)
      return;
    const auto* entry = reinterpret_cast<const char*>(&entries_[sought.place]);
    for (std::size_t at = 0; at < sizeof(Entry); at += 64) __builtin_prefetch(entry + at, 1);
  }
  /// What stands where it was sought; null when that is nowhere. It must be looked at.
  Entry* entry(const SoughtEntry& sought) noexcept {
    return sought.place == SoughtEntry::kNowhere ? nullptr : &entries_[sought.place];
  }

  /// The entry of `spread` for which `is_it` holds; null when there is none.
  template <typename IsIt>
  Entry* find(std::uint64_t spread, const IsIt& is_it) noexcept {
    Entry* found = find_in(first_of(spread), tag_of(spread), is_it);
    return found != nullptr ? found : find_in(second_of(spread), tag_of(spread), is_it);
  }

  /// Where an entry stands, and what stands there: a place may be remembered, and then what is
  /// found there must be looked at.
  std::uint64_t place_of(const Entry& entry) const noexcept {
    return static_cast<std::uint64_t>(&entry - entries_);
  }
  Entry& at(std::uint64_t place) noexcept { return entries_[place]; }

  struct Room {
    Entry* entry = nullptr;
    bool taken = false;  ///< by an entry that has to make room
  };
  /// Where a new entry of `spread` may go: a free place in the emptier bucket, which keeps both
  /// from filling up early, else that of the entry that goes `before` all others.
  template <typename Before>
  Room room_for(std::uint64_t spread, const Before& before) noexcept {
    const std::uint64_t first = first_of(spread);
    const std::uint64_t second = second_of(spread);
    const std::uint32_t free_in_first = free_places(first);
    const std::uint32_t free_in_second = free_places(second);
    if (free_in_first + free_in_second > 0) {
      const std::uint64_t bucket = free_in_first >= free_in_second ? first : second;
      std::uint32_t way = 0;
      while (tags_[bucket].of[way] != 0) ++way;
      return {&entries_[bucket * kWays + way], false};
    }
    Entry* oldest = &entries_[first * kWays];
    for (const std::uint64_t bucket : {first, second})
      for (std::uint64_t index = bucket * kWays; index < (bucket + 1) * kWays; ++index)
        if (before(entries_[index], *oldest))
          oldest = &entries_[index];
    return {oldest, true};
  }

  /// From now on the place belongs to `spread`.
  Entry& take(const Room& room, std::uint64_t spread) noexcept {
    const auto index = static_cast<std::uint64_t>(room.entry - entries_);
    tags_[index / kWays].of[index % kWays] = tag_of(spread);
    return *room.entry;
  }

 private:
  static constexpr std::uint32_t kWays = 8;

  /// Of eight entries, 0: free. One load tells which of them may be the one.
  struct Tags {
    std::uint16_t of[kWays];
  };

  static constexpr std::uint64_t kBucketBytes = sizeof(Tags) + kWays * sizeof(Entry);
  static std::uint64_t buckets_for(std::uint64_t entries_max) noexcept {
    return std::bit_ceil((entries_max + entries_max / 2) / kWays + 1);
  }
  std::uint64_t first_of(std::uint64_t spread) const noexcept { return spread & (buckets_ - 1); }
  std::uint64_t second_of(std::uint64_t spread) const noexcept {
    return (spread >> 24) & (buckets_ - 1);
  }
  static std::uint16_t tag_of(std::uint64_t spread) noexcept {
    return static_cast<std::uint16_t>((spread >> 48) | 1);  // never 0, which means free
  }

  /// The first way of a bucket with this tag; kWays: none.
  std::uint32_t way_of(std::uint64_t bucket, std::uint16_t tag) const noexcept {
    static_assert(sizeof(Tags) == 16);
    const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(&tags_[bucket]));
    const __m128i same = _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<short>(tag)));
    const auto ways = static_cast<std::uint32_t>(_mm_movemask_epi8(same)) | 1U << (2 * kWays);
    return static_cast<std::uint32_t>(std::countr_zero(ways)) / 2;
  }

  std::uint64_t likely_place(std::uint64_t spread) const noexcept {
    for (const std::uint64_t bucket : {first_of(spread), second_of(spread)})
      if (const std::uint32_t way = way_of(bucket, tag_of(spread)); way < kWays)
        return bucket * kWays + way;
    return SoughtEntry::kNowhere;
  }

  template <typename IsIt>
  Entry* find_in(std::uint64_t bucket, std::uint16_t tag, const IsIt& is_it) noexcept {
    for (std::uint32_t way = 0; way < kWays; ++way)
      if (tags_[bucket].of[way] == tag && is_it(entries_[bucket * kWays + way]))
        return &entries_[bucket * kWays + way];
    return nullptr;
  }

  std::uint32_t free_places(std::uint64_t bucket) const noexcept {
    std::uint32_t free = 0;
    for (const std::uint16_t tag : tags_[bucket].of) free += tag == 0 ? 1U : 0U;
    return free;
  }

  std::uint64_t buckets_;
  TableBytes memory_;
  Tags* tags_;
  Entry* entries_;
};

}  // namespace faultline
