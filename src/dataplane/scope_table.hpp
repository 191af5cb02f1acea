// What impairments and rules remember for scopes smaller than a path: a flow, a source, a
// destination, a pair. Bounded: when a bucket is full, the scope seen longest ago is forgotten and
// counted, for what it knew cannot come back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/bucket_table.hpp"
#include "impair/impairment.hpp"

namespace faultline {

struct ScopeCounters {
  std::uint64_t active = 0;
  std::uint64_t lost = 0;  ///< forgotten to make room
};

/// What a scope's state begins with.
enum class StateQueue : std::uint8_t { kNone, kBacklog, kServed };

inline StateQueue queue_of(const CompiledImpairment& impairment) noexcept {
  if (impairment.serve != nullptr)
    return StateQueue::kServed;
  return impairment.holds_backlog ? StateQueue::kBacklog : StateQueue::kNone;
}

/// Where the queues of scopes lie.
struct QueuePools {
  BacklogPool& backlog;
  ServedPool& served;

  /// The scope is forgotten: its queue is nobody's.
  void release(StateQueue queue, ScopeState& state) const noexcept {
    if (queue == StateQueue::kBacklog)
      backlog.clear(state.as<BacklogList>());
    else if (queue == StateQueue::kServed)
      served.abandon(state.as<ServedQueue>());
  }
};

/// How many scopes there is room for, a flow: what a rule counts and two impairments remember, and
/// one more.
inline constexpr std::uint64_t kScopesAFlow = 4;

class ScopeTable {
 public:
  /// Room for at least `scopes_max` scopes. Memory is taken when first used.
  /// Queues of forgotten scopes go back to `pools`.
  ScopeTable(std::uint64_t scopes_max, QueuePools pools);

  /// What find() returned since the last call may be forgotten from here on.
  void begin_round() noexcept { ++round_; }

  struct Owner {
    std::uint32_t slot = 0;
    std::uint32_t epoch = 0;  ///< how often the slot was handed out
    StateQueue queue = StateQueue::kNone;
  };
  /// The state of scope `identity` of an owner; all zero when new. Stays where it is until
  /// begin_round(). Null when room could only be made by forgetting a scope of this round: never
  /// the first time after begin_round().
  ScopeState* find(const Owner& owner, std::uint64_t identity, std::uint64_t now_ns) noexcept {
    const std::uint64_t spread = spread_of(owner, identity);
    Entry* known = entry_of(owner, identity, spread);
    if (known == nullptr) [[unlikely]]
      return begin(owner, identity, spread, now_ns);
    known->last_seen_ns = now_ns;
    known->round = round_;
    return &known->state;
  }
  /// The same in the three steps of BucketTable.
  SoughtEntry seek(const Owner& owner, std::uint64_t identity) const noexcept {
    return scopes_.seek(spread_of(owner, identity));
  }
  void approach(SoughtEntry& sought) const noexcept { scopes_.approach(sought); }
  ScopeState* find(const SoughtEntry& sought, const Owner& owner, std::uint64_t identity,
                   std::uint64_t now_ns) noexcept {
    Entry* entry = scopes_.entry(sought);
    if (entry == nullptr || !is_of(*entry, owner, identity)) [[unlikely]]
      return find(owner, identity, now_ns);
    entry->last_seen_ns = now_ns;
    entry->round = round_;
    return &entry->state;
  }
  /// The same, when find() gave `before` for the packet just now and the scope is still there.
  ScopeState* find_again(ScopeState* before, const Owner& owner, std::uint64_t identity,
                         std::uint64_t now_ns) noexcept {
    if (before != nullptr && is_of(*entry_at(before), owner, identity))
      return before;
    return find(owner, identity, now_ns);
  }
  /// The same, null when there is none.
  ScopeState* known(const Owner& owner, std::uint64_t identity) noexcept;

  const ScopeCounters& counters() const noexcept { return counters_; }
  void begin_counts() noexcept { counters_.lost = 0; }

 private:
  struct Entry {
    std::uint64_t identity;
    std::uint64_t last_seen_ns;
    std::uint32_t slot;
    std::uint32_t epoch;
    std::uint32_t round;  ///< wraps
    StateQueue queue;
    ScopeState state;
  };
  static_assert(sizeof(Entry) == 96);

  static bool is_of(const Entry& entry, const Owner& owner, std::uint64_t identity) noexcept {
    return entry.slot == owner.slot && entry.identity == identity && entry.epoch == owner.epoch;
  }
  static const Entry* entry_at(const ScopeState* state) noexcept {
    return reinterpret_cast<const Entry*>(reinterpret_cast<const std::byte*>(state) -
                                          offsetof(Entry, state));
  }
  static std::uint64_t spread_of(const Owner& owner, std::uint64_t identity) noexcept {
    const std::uint64_t spread = (identity ^ (owner.slot + 1)) * 0x9E3779B97F4A7C15;
    return spread ^ (spread >> 32);
  }
  Entry* entry_of(const Owner& owner, std::uint64_t identity, std::uint64_t spread) noexcept {
    return scopes_.find(spread, [&](const Entry& entry) { return is_of(entry, owner, identity); });
  }
  ScopeState* begin(const Owner& owner, std::uint64_t identity, std::uint64_t spread,
                    std::uint64_t now_ns) noexcept;
  bool goes_before(const Entry& entry, const Entry& other) const noexcept;

  BucketTable<Entry> scopes_;
  std::uint32_t round_ = 1;
  QueuePools pools_;
  ScopeCounters counters_;
};

}  // namespace faultline
