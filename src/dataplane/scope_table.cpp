// Scopes by a mix of their owner's slot and their identity.
#include "dataplane/scope_table.hpp"

namespace faultline {

ScopeTable::ScopeTable(std::uint64_t scopes_max, QueuePools pools)
    : scopes_(scopes_max, TableMemory::kWhenUsed), pools_(pools) {}

ScopeState* ScopeTable::known(const Owner& owner, std::uint64_t identity) noexcept {
  Entry* entry = entry_of(owner, identity, spread_of(owner, identity));
  return entry == nullptr ? nullptr : &entry->state;
}

/// Which of two scopes makes room: one that this round does not use, then the one seen longest ago.
bool ScopeTable::goes_before(const Entry& entry, const Entry& other) const noexcept {
  const bool used = entry.round == round_;
  if (used != (other.round == round_))
    return !used;
  return entry.last_seen_ns < other.last_seen_ns;
}

/// A scope that is not known so far.
ScopeState* ScopeTable::begin(const Owner& owner, std::uint64_t identity, std::uint64_t spread,
                              std::uint64_t now_ns) noexcept {
  const auto room = scopes_.room_for(
      spread, [this](const Entry& entry, const Entry& other) { return goes_before(entry, other); });
  if (!room.taken)
    ++counters_.active;
  else if (room.entry->round == round_)
    return nullptr;
  else
    ++counters_.lost;
  pools_.release(room.entry->queue, room.entry->state);
  Entry& entry = scopes_.take(room, spread);
  entry = Entry{identity, now_ns, owner.slot, owner.epoch, round_, owner.queue, {}};
  return &entry.state;
}

}  // namespace faultline
