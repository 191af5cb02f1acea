// Two candidate buckets of eight for each scope, chosen by a mix of slot and identity.
#include "dataplane/scope_table.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>

#include "base/check.hpp"

namespace faultline {

/// Which of two scopes makes room: one that this round does not use, then the one seen longest ago.
bool ScopeTable::goes_before(const Entry& entry, const Entry& other) const noexcept {
  const bool used = entry.round == round_;
  if (used != (other.round == round_))
    return !used;
  return entry.last_seen_ns < other.last_seen_ns;
}

ScopeTable::ScopeTable(std::uint64_t scopes_max, BacklogPool& backlog) : backlog_(backlog) {
  // Half as much room again, as in the flow table: with two choices of eight places nobody is
  // turned away.
  const std::uint64_t buckets = std::bit_ceil((scopes_max + scopes_max / 2) / kWays + 1);
  bucket_mask_ = buckets - 1;
  void* memory = mmap(nullptr, buckets * kWays * sizeof(Entry), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  entries_ = static_cast<Entry*>(memory);
}

ScopeTable::~ScopeTable() {
  munmap(entries_, (bucket_mask_ + 1) * kWays * sizeof(Entry));
}

ScopeState* ScopeTable::find(const Owner& owner, std::uint64_t identity,
                             std::uint64_t now_ns) noexcept {
  std::uint64_t mixed = (identity ^ (owner.slot + 1)) * 0x9E3779B97F4A7C15;
  mixed ^= mixed >> 32;
  Entry* const first = entries_ + (mixed & bucket_mask_) * kWays;
  Entry* const second = entries_ + ((mixed >> 24) & bucket_mask_) * kWays;
  for (Entry* bucket : {first, second}) {
    for (Entry* entry = bucket; entry < bucket + kWays; ++entry) {
      if (entry->slot_plus_one != owner.slot + 1 || entry->identity != identity ||
          entry->epoch != owner.epoch)
        continue;
      entry->last_seen_ns = now_ns;
      entry->round = round_;
      return &entry->state;
    }
  }
  Entry* place = room_in(first, second);
  if (place->slot_plus_one == 0)
    ++counters_.active;
  else if (place->round == round_)
    return nullptr;
  else
    ++counters_.lost;
  if (place->holds_backlog != 0)
    backlog_.clear(place->state.as<BacklogList>());
  *place = Entry{
      identity, now_ns, owner.slot + 1, owner.epoch, round_, owner.holds_backlog ? 1U : 0U, {}};
  return &place->state;
}

/// A free place in the emptier bucket, else that of the scope that makes room first.
ScopeTable::Entry* ScopeTable::room_in(Entry* first, Entry* second) const noexcept {
  const auto free_in = [](const Entry* bucket) {
    return std::count_if(bucket, bucket + kWays,
                         [](const Entry& entry) { return entry.slot_plus_one == 0; });
  };
  const auto free_in_first = free_in(first);
  const auto free_in_second = free_in(second);
  if (free_in_first + free_in_second > 0) {
    Entry* bucket = free_in_first >= free_in_second ? first : second;
    while (bucket->slot_plus_one != 0) ++bucket;
    return bucket;
  }
  Entry* oldest = first;
  for (Entry* bucket : {first, second})
    for (Entry* entry = bucket; entry < bucket + kWays; ++entry)
      if (goes_before(*entry, *oldest))
        oldest = entry;
  return oldest;
}

}  // namespace faultline
