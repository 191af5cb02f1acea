// In which order packets leave that stand in no line: a wheel of slots in three levels, finest
// 256 ns, and a heap of those whose slot is next. A packet is a place in the hold's memory; its
// record there carries the link to the next one of its slot. Putting in and taking out cost the
// same whatever the number of packets (Varghese & Lauck, 1987), and the heap makes the order exact.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/held_record.hpp"

namespace faultline {

/// A record in the hold's memory that stands in no line.
struct LooseRecord {
  std::uint64_t next;  ///< place of another one of the same slot, plus one; 0: the last
  HeldRecord record;
};

class ReleaseWheel {
 public:
  /// For at most `packets_max` packets, whose places are offsets into `memory`. Pages are taken
  /// when first used.
  ReleaseWheel(std::byte* memory, std::uint64_t packets_max, const LeavingOrder& order);
  ~ReleaseWheel();
  ReleaseWheel(const ReleaseWheel&) = delete;
  ReleaseWheel& operator=(const ReleaseWheel&) = delete;

  /// How far a release may be ahead of all that wait: 2^50 ns, 13 days.
  bool takes(const HeldKey& key) const noexcept {
    return empty() || key.release_ns < base_ns_ || level_of(key.release_ns) < kLevels;
  }
  /// Puts in the packet whose record lies at `place`; takes(its key) must hold.
  void push(std::uint64_t place) noexcept;

  /// A packet with this release time is about to come.
  void prefetch(std::uint64_t release_ns) const noexcept {
    __builtin_prefetch(&levels_[0].slots[(release_ns >> kShift[0]) % kSlots], 1);
  }

  bool empty() const noexcept { return packets_ == 0; }
  std::uint64_t packets() const noexcept { return packets_; }
  /// The packet that is next to leave. There must be one.
  std::uint64_t front() const noexcept { return due_[0].place; }
  std::uint64_t front_release_ns() const noexcept { return due_[0].release_ns; }
  HeldKey front_key() const noexcept { return key_at(front()); }
  void pop() noexcept;

  /// The order has changed: packets that are flushed now go first.
  void begin_flush() noexcept;

 private:
  static constexpr std::uint32_t kLevels = 3;
  static constexpr std::uint32_t kSlots = 1U << 20;
  static constexpr std::array<std::uint32_t, kLevels> kShift{8, 16, 30};
  /// So many packets, and one more for each that came since the last time, go back to their slots
  /// when one comes that goes before them.
  static constexpr std::uint64_t kReopenedMax = 64;

  struct Due {
    std::uint64_t release_ns;
    std::uint64_t place;
  };
  /// Which slots are in use: a bit each, a bit for each 64 of those, and for each 64 of these.
  struct Level {
    std::uint64_t slots[kSlots];  ///< place of the first packet, plus one
    std::uint64_t used[kSlots / 64];
    std::uint64_t words[kSlots / 4'096];
    std::uint64_t blocks[kSlots / 262'144];
  };

  LooseRecord& at(std::uint64_t place) const noexcept {
    return *reinterpret_cast<LooseRecord*>(memory_ + place);
  }
  HeldKey key_at(std::uint64_t place) const noexcept { return at(place).record.key(); }
  /// kLevels: too far ahead.
  std::uint32_t level_of(std::uint64_t release_ns) const noexcept {
    std::uint32_t level = 0;
    while (level < kLevels && (release_ns >> kShift[level]) - (base_ns_ >> kShift[level]) >= kSlots)
      ++level;
    return level;
  }
  void put(std::uint64_t place) noexcept;
  void put_due(std::uint64_t place) noexcept;
  void make_due() noexcept;
  bool leaves_later(const Due& left, const Due& right) const noexcept;
  /// The heap's order: the one that leaves first is on top.
  auto later() const noexcept {
    return [this](const Due& left, const Due& right) { return leaves_later(left, right); };
  }
  std::uint64_t take_slot(std::uint32_t level, std::uint64_t index) noexcept;
  std::uint64_t next_used(std::uint32_t level, std::uint64_t index) const noexcept;
  void open_next() noexcept;
  void look_ahead() const noexcept;
  void close_open() noexcept;

  std::byte* memory_;
  const LeavingOrder& order_;
  Level* levels_ = nullptr;
  Due* due_ = nullptr;  ///< a heap: what leaves before open_end_ns_, and what is flushed
  std::uint64_t due_bytes_ = 0;
  std::uint64_t due_count_ = 0;
  std::uint64_t packets_ = 0;
  std::uint64_t credit_ = kReopenedMax;
  std::uint64_t base_ns_ = 0;        ///< nothing in a slot is before this
  std::uint64_t open_begin_ns_ = 0;  ///< of the slot that was opened last
  std::uint64_t open_end_ns_ = 0;
  std::array<std::uint64_t, kLevels> first_ns_;  ///< where the first slot in use begins
};

}  // namespace faultline
