// What impairments and rules remember for scopes smaller than a path: a flow, a source, a
// destination, a pair. Bounded: when a bucket is full, the scope seen longest ago is forgotten and
// counted, for what it knew cannot come back.
#pragma once

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
  ScopeState* find(const Owner& owner, std::uint64_t identity, std::uint64_t now_ns) noexcept;
  /// The same, null when there is none.
  ScopeState* known(const Owner& owner, std::uint64_t identity) noexcept;

  const ScopeCounters& counters() const noexcept { return counters_; }

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

  static std::uint64_t spread_of(const Owner& owner, std::uint64_t identity) noexcept;
  Entry* entry_of(const Owner& owner, std::uint64_t identity, std::uint64_t spread) noexcept;
  bool goes_before(const Entry& entry, const Entry& other) const noexcept;

  BucketTable<Entry> scopes_;
  std::uint32_t round_ = 1;
  QueuePools pools_;
  ScopeCounters counters_;
};

}  // namespace faultline
