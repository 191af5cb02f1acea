// Scopes by a mix of their owner's slot and their identity.
#include "dataplane/scope_table.hpp"

namespace faultline {

ScopeTable::ScopeTable(std::uint64_t scopes_max, QueuePools pools)
    : scopes_(scopes_max, TableMemory::kWhenUsed), pools_(pools) {}

std::uint64_t ScopeTable::spread_of(const Owner& owner, std::uint64_t identity) noexcept {
  const std::uint64_t spread = (identity ^ (owner.slot + 1)) * 0x9E3779B97F4A7C15;
  return spread ^ (spread >> 32);
}

ScopeTable::Entry* ScopeTable::entry_of(const Owner& owner, std::uint64_t identity,
                                        std::uint64_t spread) noexcept {
  return scopes_.find(spread, [&](const Entry& entry) {
    return entry.slot == owner.slot && entry.identity == identity && entry.epoch == owner.epoch;
  });
}

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

ScopeState* ScopeTable::find(const Owner& owner, std::uint64_t identity,
                             std::uint64_t now_ns) noexcept {
  const std::uint64_t spread = spread_of(owner, identity);
  Entry* known = entry_of(owner, identity, spread);
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
  pools_.release(room.entry->queue, room.entry->state);
  Entry& entry = scopes_.take(room, spread);
  entry = Entry{identity, now_ns, owner.slot, owner.epoch, round_, owner.queue, {}};
  return &entry.state;
}

}  // namespace faultline
