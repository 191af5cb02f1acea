// Scopes by a mix of their owner's slot and their identity.
#include "dataplane/scope_table.hpp"

namespace faultline {

ScopeTable::ScopeTable(std::uint64_t scopes_max, BacklogPool& backlog)
    : scopes_(scopes_max, TableMemory::kWhenUsed), backlog_(backlog) {}

/// Which of two scopes makes room: one that this round does not use, then the one seen longest ago.
bool ScopeTable::goes_before(const Entry& entry, const Entry& other) const noexcept {
  const bool used = entry.round == round_;
  if (used != (other.round == round_))
    return !used;
  return entry.last_seen_ns < other.last_seen_ns;
}

ScopeState* ScopeTable::find(const Owner& owner, std::uint64_t identity,
                             std::uint64_t now_ns) noexcept {
  std::uint64_t spread = (identity ^ (owner.slot + 1)) * 0x9E3779B97F4A7C15;
  spread ^= spread >> 32;
  Entry* known = scopes_.find(spread, [&](const Entry& entry) {
    return entry.slot == owner.slot && entry.identity == identity && entry.epoch == owner.epoch;
  });
  if (known != nullptr) {
    known->last_seen_ns = now_ns;
    known->round = round_;
    return &known->state;
  }
  const auto room = scopes_.room_for(
      spread, [this](const Entry& entry, const Entry& other) { return goes_before(entry, other); });
  if (!room.taken)
    ++counters_.active;
  else if (room.entry->round == round_)
    return nullptr;
  else
    ++counters_.lost;
  if (room.entry->holds_backlog != 0)
    backlog_.clear(room.entry->state.as<BacklogList>());
  Entry& entry = scopes_.take(room, spread);
  entry =
      Entry{identity, now_ns, owner.slot, owner.epoch, round_, owner.holds_backlog ? 1U : 0U, {}};
  return &entry.state;
}

}  // namespace faultline
