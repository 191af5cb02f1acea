// In which order packets leave that stand in no line: a wheel of slots in five levels, finest
// 4,096 ns (Varghese & Lauck, 1987). A slot is a list of small arrays of places in the hold's
// memory, so that putting in writes where the last one wrote, and no record is read before its slot
// comes. The slot that is next is sorted as a whole; what comes for it later stands in a heap
// beside it. The order is exact, and costs the same whatever the number of packets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/held_record.hpp"
#include "impair/burst.hpp"

namespace faultline {

class ReleaseWheel {
 public:
  /// The places that it can tell from each other: eight bytes apart, from `memory` on.
  static constexpr std::uint64_t kPlacesEnd = std::uint64_t{1} << 39;

  /// For at most `packets_max` packets, whose records lie at offsets into `memory`. Pages are taken
  /// when first used.
  ReleaseWheel(std::byte* memory, std::uint64_t packets_max, const LeavingOrder& order);
  ~ReleaseWheel();
  ReleaseWheel(const ReleaseWheel&) = delete;
  ReleaseWheel& operator=(const ReleaseWheel&) = delete;

  /// How far a release may be ahead of all that wait: 2^50 ns, 13 days.
  bool takes(const HeldKey& key) const noexcept {
    return empty() || key.release_ns < base_ns_ || level_of(key.release_ns) < kLevels;
  }
  /// Puts in the packet whose record lies at `place` and has this key; takes(key) must hold.
  void push(const HeldKey& key, std::uint64_t place) noexcept;

  /// Packets that are simply to stand in slots of the finest level: each needs stands_near().
  class Batch {
   public:
    std::uint32_t count() const noexcept { return count_; }
    void add(std::uint64_t release_ns, std::uint64_t place) noexcept {
      slots_[count_] = release_ns >> kShift[0];
      entries_[count_++] = place / 8 << kOffsetBits | (release_ns & kNearOffsets);
    }

   private:
    friend class ReleaseWheel;
    std::array<std::uint64_t, kBurstMax> slots_;
    std::array<std::uint64_t, kBurstMax> entries_;
    std::uint32_t count_ = 0;
  };
  bool stands_near(std::uint64_t release_ns) const noexcept {
    return packets_ > 0 && !order_.flushing && release_ns >= open_end_ns_ &&
           (release_ns >> kShift[0]) - (base_ns_ >> kShift[0]) < kSlots;
  }
  /// As push() for all of them.
  void push_near(const Batch& batch) noexcept;

  bool empty() const noexcept { return packets_ == 0; }
  std::uint64_t packets() const noexcept { return packets_; }
  /// The packet that is next to leave. There must be one.
  std::uint64_t front() const noexcept { return front_.place; }
  std::uint64_t front_release_ns() const noexcept { return front_.release_ns; }
  HeldKey front_key() const noexcept { return key_at(front_.place); }
  void pop() noexcept {
    if (!order_.flushing || !order_.flushed(front_key())) [[likely]]
      base_ns_ = front_.release_ns > base_ns_ ? front_.release_ns : base_ns_;
    --packets_;
    if (!front_is_late_) [[likely]] {
      if (++next_ % kPopsAhead == 0 && ahead_ != 0)
        look_ahead();
      if (late_count_ == 0 && next_ < sorted_end_) {
        front_ = due(sorted_[next_]);
        return;
      }
    }
    go_on();
  }

  /// The order has changed: packets that are flushed now go first.
  void begin_flush() noexcept;

 private:
  static constexpr std::uint32_t kLevels = 5;
  static constexpr std::uint32_t kSlots = 16'384;
  static constexpr std::array<std::uint32_t, kLevels> kShift{12, 18, 24, 30, 36};
  /// So many packets, and one more for each that came since the last time, go back to their slots
  /// when one comes that goes before them.
  static constexpr std::uint64_t kReopenedMax = 64;
  /// A block of the next slot is fetched whenever so many packets have left.
  static constexpr std::uint64_t kPopsAhead = 6;

  struct Due {
    std::uint64_t release_ns;
    std::uint64_t place;
  };
  /// A packet in a slot: its place in units of eight bytes, and below how long after the slot's
  /// begin it leaves, in ns, or in coarse levels in units of 2^kUnit ns.
  using Entry = std::uint64_t;
  static constexpr std::uint32_t kOffsetBits = 28;
  static constexpr std::array<std::uint32_t, kLevels> kUnit{0, 0, 0, 2, 8};
  static constexpr std::uint64_t kOffsets = (std::uint64_t{1} << kOffsetBits) - 1;
  static constexpr std::uint64_t kNearOffsets = (std::uint64_t{1} << kShift[0]) - 1;

  static constexpr std::uint32_t kBlockEntries = 7;
  struct alignas(64) Block {
    std::uint32_t next;   ///< the one that was filled before; 0: none
    std::uint32_t count;  ///< of the entries of its slot up to here
    Entry entries[kBlockEntries];
  };
  static_assert(sizeof(Block) == 64);

  /// Which slots are in use: a bit each, and a bit for each 64 of those.
  struct Level {
    std::uint32_t slots[kSlots];  ///< the block that is being filled; 0: none
    std::uint64_t used[kSlots / 64];
    std::uint64_t words[kSlots / 4'096];
  };

  static std::uint64_t place_of(Entry entry) noexcept { return (entry >> kOffsetBits) * 8; }
  const HeldRecord& at(std::uint64_t place) const noexcept {
    return *reinterpret_cast<const HeldRecord*>(memory_ + place);
  }
  HeldKey key_at(std::uint64_t place) const noexcept { return at(place).key(); }
  /// An entry of the open slot.
  Due due(Entry entry) const noexcept {
    return {open_begin_ns_ + (entry & kOffsets), place_of(entry)};
  }
  /// kLevels: too far ahead.
  std::uint32_t level_of(std::uint64_t release_ns) const noexcept {
    std::uint32_t level = 0;
    while (level < kLevels && (release_ns >> kShift[level]) - (base_ns_ >> kShift[level]) >= kSlots)
      ++level;
    return level;
  }
  Block& block(std::uint32_t number) noexcept { return blocks_[number]; }
  std::uint32_t take_block() noexcept;

  void put(std::uint64_t release_ns, std::uint64_t place) noexcept {
    const std::uint32_t which = level_of(release_ns);
    const std::uint64_t slot = release_ns >> kShift[which];
    put_in(which, slot,
           place / 8 << kOffsetBits | (release_ns - (slot << kShift[which])) >> kUnit[which]);
  }
  /// Into this slot, which is not before the base.
  void put_in(std::uint32_t which, std::uint64_t slot, Entry entry) noexcept {
    Level& level = levels_[which];
    std::uint32_t& newest = level.slots[slot % kSlots];
    if (newest == 0 || block(newest).count % kBlockEntries == 0) [[unlikely]]
      add_block(which, slot);
    Block& filling = block(newest);
    filling.entries[filling.count++ % kBlockEntries] = entry;
  }
  void add_block(std::uint32_t which, std::uint64_t slot) noexcept;
  void put_late(std::uint64_t release_ns, std::uint64_t place) noexcept;
  bool nothing_due() const noexcept { return next_ == sorted_end_ && late_count_ == 0; }
  void choose_front() noexcept;
  void go_on() noexcept;
  void open_next() noexcept;
  std::uint32_t first_level() const noexcept;
  std::uint64_t release_of(std::uint32_t which, std::uint64_t begin_ns, Entry entry) const noexcept;
  template <typename Visit>
  void empty_slot(std::uint32_t which, std::uint64_t index, const Visit& visit) noexcept;
  void move_to_heap(std::uint32_t which, std::uint64_t until_ns) noexcept;
  void sort_open() noexcept;
  void insert_open() noexcept;
  void close_open() noexcept;
  bool leaves_later(const Due& left, const Due& right) const noexcept;
  /// The heap's order: the one that leaves first is on top.
  auto later() const noexcept {
    return [this](const Due& left, const Due& right) { return leaves_later(left, right); };
  }
  bool entry_before(Entry left, Entry right) const noexcept;
  std::uint32_t take_slot(std::uint32_t which, std::uint64_t index) noexcept;
  std::uint64_t next_used(std::uint32_t which, std::uint64_t index) const noexcept;
  void fetch(Entry entry) const noexcept {
    const std::byte* record = memory_ + place_of(entry);
    __builtin_prefetch(record);
    __builtin_prefetch(record + 44);
    __builtin_prefetch(record + 87);
  }
  /// Of the next slot one more block, whose records are fetched; the block was before.
  void look_ahead() noexcept {
    const Block& block = blocks_[ahead_];
    ahead_ = block.next;
    __builtin_prefetch(&blocks_[ahead_]);
    for (const Entry entry : block.entries) fetch(entry);
  }

  std::byte* memory_;
  const LeavingOrder& order_;
  Level* levels_ = nullptr;
  Block* blocks_ = nullptr;  ///< the first is nobody's
  std::uint64_t blocks_max_ = 0;
  std::uint32_t blocks_used_ = 0;  ///< handed out at least once
  std::uint32_t free_block_ = 0;   ///< the one given back last; 0: none
  std::uint32_t ahead_ = 0;        ///< of the next slot, the one that is being fetched; 0: none
  Entry* gathered_ = nullptr;      ///< of a slot, in the order in which they came
  Entry* sorted_ = nullptr;        ///< of the open slot; those from next_ to sorted_end_ wait
  Due* late_ = nullptr;  ///< a heap: what came for the open slot, or before it, or flushed
  std::uint64_t packets_max_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t sorted_end_ = 0;
  std::uint64_t late_count_ = 0;
  std::uint64_t packets_ = 0;
  std::uint64_t credit_ = kReopenedMax;
  std::uint64_t base_ns_ = 0;        ///< nothing in a slot is before this
  std::uint64_t open_begin_ns_ = 0;  ///< of the slot that was opened last
  std::uint64_t open_end_ns_ = 0;
  Due front_{};
  bool front_is_late_ = false;
  std::array<std::uint64_t, kLevels> first_ns_;  ///< where the first slot in use begins
};

}  // namespace faultline
