// A set-associative table: two candidate buckets of eight flows each, chosen by the flow's
// identity.
#include "dataplane/flow_table.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.hpp"

namespace faultline {
namespace {

/// Spreads ingress port and VLANs over the identity: the same addresses seen on two ports, or in
/// two VLANs, are two flows.
std::uint64_t spread_of(std::uint64_t identity, std::uint8_t ingress, const FlowKey& key) noexcept {
  const std::uint64_t vlans = (std::uint64_t{key.outer_vlan} << 16) | key.inner_vlan;
  return identity ^ (std::uint64_t{ingress} * 0x9E3779B97F4A7C15) ^ (vlans * 0xD6E8FEB86659FD93);
}

}  // namespace

FlowTable::FlowTable(std::uint64_t flows_max, std::uint64_t idle_ns, std::uint64_t ghosts_min)
    : idle_ns_(idle_ns) {
  // Half as much room again: with two choices of eight places the table then turns nobody away (at
  // four fifths full it did, a few in a hundred thousand).
  const std::uint64_t wanted = (flows_max + flows_max / 2) / kWays + 1;
  const std::uint64_t buckets = std::bit_ceil(wanted);
  bucket_mask_ = buckets - 1;
  buckets_.resize(buckets);
  flows_.resize(buckets * kWays);
  const std::uint64_t sets = std::bit_ceil(std::max(flows_max * 4, ghosts_min) / kGhostWays);
  ghost_set_mask_ = sets - 1;
  void* memory = mmap(nullptr, sets * kGhostWays * sizeof(Ghost), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  ghosts_ = static_cast<Ghost*>(memory);
}

FlowTable::~FlowTable() {
  munmap(ghosts_, (ghost_set_mask_ + 1) * kGhostWays * sizeof(Ghost));
}

FlowTable::Place FlowTable::place_of(std::uint64_t spread) const noexcept {
  const auto tag = static_cast<std::uint16_t>((spread >> 48) | 1);  // never 0, which means free
  return {spread & bucket_mask_, (spread >> 24) & bucket_mask_, tag};
}

void FlowTable::prefetch(const FlowKey& key, std::uint64_t identity,
                         std::uint8_t ingress) const noexcept {
  const Place place = place_of(spread_of(identity, ingress, key));
  __builtin_prefetch(&buckets_[place.first]);
  __builtin_prefetch(&flows_[place.first * kWays]);
}

Flow* FlowTable::look_up(std::uint64_t bucket, std::uint16_t tag, const FlowKey& key,
                         std::uint8_t ingress) noexcept {
  for (std::uint32_t way = 0; way < kWays; ++way) {
    if (buckets_[bucket].tags[way] != tag)
      continue;
    Flow& flow = flows_[bucket * kWays + way];
    if (flow.ingress == ingress && flow.key == key)
      return &flow;
  }
  return nullptr;
}

Flow& FlowTable::find(const FlowKey& key, std::uint64_t identity, std::uint8_t ingress,
                      std::uint64_t now_ns) noexcept {
  const std::uint64_t spread = spread_of(identity, ingress, key);
  const Place place = place_of(spread);
  Flow* known = look_up(place.first, place.tag, key, ingress);
  if (known == nullptr)
    known = look_up(place.second, place.tag, key, ingress);
  if (known != nullptr) {
    known->last_seen_ns = now_ns;
    return *known;
  }
  const std::uint64_t index = room_for(place, now_ns);
  Flow& flow = flows_[index];
  buckets_[index / kWays].tags[index % kWays] = place.tag;
  flow = Flow{key, identity, take_ghost(spread), now_ns, 0, 0, ingress};
  ++counters_.created;
  ++counters_.active;
  return flow;
}

std::uint32_t FlowTable::free_places(std::uint64_t bucket) const noexcept {
  std::uint32_t free = 0;
  for (const std::uint16_t tag : buckets_[bucket].tags) free += tag == 0 ? 1U : 0U;
  return free;
}

/// A free place in the emptier bucket (which keeps both from filling up early), else that of the
/// flow seen longest ago.
std::uint64_t FlowTable::room_for(const Place& place, std::uint64_t now_ns) noexcept {
  const std::uint32_t free_in_first = free_places(place.first);
  const std::uint32_t free_in_second = free_places(place.second);
  if (free_in_first + free_in_second > 0) {
    const std::uint64_t bucket = free_in_first >= free_in_second ? place.first : place.second;
    std::uint32_t way = 0;
    while (buckets_[bucket].tags[way] != 0) ++way;
    return bucket * kWays + way;
  }
  std::uint64_t oldest = place.first * kWays;
  for (const std::uint64_t bucket : {place.first, place.second})
    for (std::uint64_t index = bucket * kWays; index < (bucket + 1) * kWays; ++index)
      if (flows_[index].last_seen_ns < flows_[oldest].last_seen_ns)
        oldest = index;
  const Flow& flow = flows_[oldest];
  const bool idle = now_ns - flow.last_seen_ns > idle_ns_;
  ++(idle ? counters_.expired : counters_.evicted);
  --counters_.active;
  leave_ghost(flow);
  return oldest;
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
