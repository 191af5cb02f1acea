// One bucket of eight for each scope, chosen by a mix of slot and identity.
#include "dataplane/scope_table.hpp"

#include <sys/mman.h>

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
  // Twice the room: with one choice of eight places a bucket overflows only when the table is
  // nearly as full as was asked for.
  const std::uint64_t buckets = std::bit_ceil(scopes_max * 2 / kWays + 1);
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
  std::uint64_t mixed = identity ^ (std::uint64_t{owner.slot} * 0x9E3779B97F4A7C15);
  mixed ^= mixed >> 29;
  Entry* bucket = entries_ + (mixed & bucket_mask_) * kWays;
  Entry* oldest = bucket;
  for (Entry* entry = bucket; entry < bucket + kWays; ++entry) {
    if (entry->slot_plus_one == owner.slot + 1 && entry->identity == identity &&
        entry->epoch == owner.epoch) {
      entry->last_seen_ns = now_ns;
      entry->round = round_;
      return &entry->state;
    }
    if (oldest->slot_plus_one != 0 && (entry->slot_plus_one == 0 || goes_before(*entry, *oldest)))
      oldest = entry;
  }
  if (oldest->slot_plus_one == 0)
    ++counters_.active;
  else if (oldest->round == round_)
    return nullptr;
  else
    ++counters_.lost;
  if (oldest->holds_backlog != 0)
    backlog_.clear(oldest->state.as<BacklogList>());
  *oldest = Entry{
      identity, now_ns, owner.slot + 1, owner.epoch, round_, owner.holds_backlog ? 1U : 0U, {}};
  return &oldest->state;
}

}  // namespace faultline
