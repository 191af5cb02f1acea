// Flows by their identity, and the ghosts of those that had to go.
#include "dataplane/flow_table.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.hpp"

namespace faultline {
FlowTable::FlowTable(std::uint64_t flows_max, std::uint64_t idle_ns, std::uint64_t ghosts_min)
    : idle_ns_(idle_ns), flows_(flows_max, TableMemory::kAtOnce) {
  const std::uint64_t sets = ghost_sets_for(flows_max, ghosts_min);
  ghost_set_mask_ = sets - 1;
  void* memory = mmap(nullptr, sets * kGhostWays * sizeof(Ghost), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  ghosts_ = static_cast<Ghost*>(memory);
}

std::uint64_t FlowTable::ghost_sets_for(std::uint64_t flows_max, std::uint64_t ghosts_min) {
  return std::bit_ceil(std::max(flows_max * 4, ghosts_min) / kGhostWays);
}

std::uint64_t FlowTable::bytes_for(std::uint64_t flows_max) {
  return BucketTable<Flow>::bytes_for(flows_max) +
         ghost_sets_for(flows_max, kGhostsMin) * kGhostWays * sizeof(Ghost);
}

FlowTable::~FlowTable() {
  munmap(ghosts_, (ghost_set_mask_ + 1) * kGhostWays * sizeof(Ghost));
}

Flow& FlowTable::find_or_make(const FlowKey& key, std::uint64_t spread, std::uint64_t identity,
                              std::uint8_t ingress, std::uint64_t now_ns) noexcept {
  Flow* known = flows_.find(
      spread, [&](const Flow& flow) { return flow.ingress == ingress && flow.key == key; });
  if (known != nullptr) {
    known->last_seen_ns = now_ns;
    return *known;
  }
  const auto room = flows_.room_for(spread, [](const Flow& flow, const Flow& other) {
    return flow.last_seen_ns < other.last_seen_ns;
  });
  if (room.taken) {
    const bool idle = now_ns - room.entry->last_seen_ns > idle_ns_;
    ++(idle ? counters_.expired : counters_.evicted);
    --counters_.active;
    leave_ghost(*room.entry);
  }
  Flow& flow = flows_.take(room, spread);
  flow = Flow{key, {}, identity, take_ghost(spread), now_ns, 0, 0, ingress, false, {}};
  ++counters_.created;
  ++counters_.active;
  return flow;
}

FlowTable::Ghost* FlowTable::ghosts_for(std::uint64_t spread) noexcept {
  return ghosts_ + ((spread >> 16) & ghost_set_mask_) * kGhostWays;
}

void FlowTable::leave_ghost(const Flow& flow) noexcept {
  const std::uint64_t spread = spread_of(flow.identity, flow.ingress, flow.key);
  Ghost* set = ghosts_for(spread);
  // A full set forgets the count that is easiest to spare: the smallest.
  Ghost* place = set;
  for (Ghost* ghost = set; ghost < set + kGhostWays; ++ghost) {
    if (ghost->packets != 0 && ghost->identity == spread) {
      place = ghost;
      break;
    }
    if (ghost->packets < place->packets)
      place = ghost;
  }
  if (place->packets != 0 && place->identity != spread)
    ++counters_.ghost_collisions;
  *place = {flow.packets, spread};
}

std::uint64_t FlowTable::take_ghost(std::uint64_t spread) noexcept {
  Ghost* set = ghosts_for(spread);
  for (Ghost* ghost = set; ghost < set + kGhostWays; ++ghost)
    if (ghost->packets != 0 && ghost->identity == spread)
      return std::exchange(*ghost, Ghost{}).packets;
  return 0;
}

}  // namespace faultline
