// Flows by their identity, and the ghosts of those that had to go.
#include "dataplane/flow_table.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace faultline {

FlowTable::FlowTable(std::uint64_t flows_max, std::uint64_t idle_ns, std::uint64_t ghosts_min)
    : idle_ns_(idle_ns),
      flows_max_(flows_max),
      bucket_count_(buckets_for(flows_max)),
      ghost_set_mask_(ghost_sets_for(flows_max, ghosts_min) - 1),
      memory_(bucket_count_ * sizeof(Bucket) + flows_max * (sizeof(Flow) + sizeof(FlowAnnex)),
              TableMemory::kAtOnce),
      hints_memory_(flows_max * sizeof(FlowHints), TableMemory::kWhenUsed),
      ghosts_memory_((ghost_set_mask_ + 1) * kGhostWays * sizeof(Ghost), TableMemory::kWhenUsed),
      buckets_(memory_.at<Bucket>(0)),
      flows_(memory_.at<Flow>(bucket_count_ * sizeof(Bucket))),
      annexes_(memory_.at<FlowAnnex>(bucket_count_ * sizeof(Bucket) + flows_max * sizeof(Flow))),
      hints_(hints_memory_.at<FlowHints>(0)),
      ghosts_(ghosts_memory_.at<Ghost>(0)) {}

/// Half as many places again as flows: with two choices of eight the buckets then turn nobody away
/// (at four fifths full they did, a few in a hundred thousand).
std::uint64_t FlowTable::buckets_for(std::uint64_t flows_max) noexcept {
  return (flows_max + flows_max / 2) / kWays + 1;
}

std::uint64_t FlowTable::ghost_sets_for(std::uint64_t flows_max,
                                        std::uint64_t ghosts_min) noexcept {
  return std::bit_ceil(std::max(flows_max * 4, ghosts_min) / kGhostWays);
}

std::uint64_t FlowTable::bytes_for(std::uint64_t flows_max) noexcept {
  return buckets_for(flows_max) * sizeof(Bucket) +
         flows_max * (sizeof(Flow) + sizeof(FlowAnnex) + sizeof(FlowHints)) +
         ghost_sets_for(flows_max, kGhostsMin) * kGhostWays * sizeof(Ghost);
}

Flow* FlowTable::known_at(std::uint64_t spread, const FlowKey& key, PathId path_id) noexcept {
  for (const std::uint64_t index : {first_of(spread), second_of(spread)}) {
    const Bucket& bucket = buckets_[index];
    for (std::uint32_t ways = ways_with(bucket, tag_of(spread)); ways != 0; ways &= ways - 1) {
      Flow& flow = flows_[bucket.place[std::countr_zero(ways) / 2]];
      if (flow.path_id == path_id && flow.key == key)
        return &flow;
      ways &= ways - 1;  // a way's other bit
    }
  }
  return nullptr;
}

Flow& FlowTable::find_or_make(const FlowKey& key, std::uint64_t spread, PathId path_id,
                              std::uint64_t now_ns) noexcept {
  if (Flow* known = known_at(spread, key, path_id); known != nullptr) {
    known->last_seen_ns = now_ns;
    return *known;
  }
  Way way = free_way(spread);
  std::uint64_t place = used_;
  if (way.bucket == nullptr) {
    way = oldest_way(spread);
    place = make_room(way, now_ns);
  } else if (used_ == flows_max_) {
    const Way oldest = oldest_way(spread);
    place = make_room(oldest.bucket != nullptr ? oldest : way_of(hand_++ % flows_max_), now_ns);
  } else {
    ++used_;
  }
  way.bucket->tag[way.way] = tag_of(spread);
  way.bucket->place[way.way] = static_cast<std::uint32_t>(place);
  Flow& flow = flows_[place];
  constexpr std::uint64_t kPacketsMask = (std::uint64_t{1} << 49) - 1;
  flow = Flow{.key = key, .last_seen_ns = now_ns};
  flow.path_id = path_id & (kPathsMax - 1);
  flow.packets = take_ghost(spread) & kPacketsMask;
  hints_[place] = {};
  ++counters_.created;
  ++counters_.active;
  return flow;
}

/// A free way in the emptier bucket, which keeps both from filling up early; no bucket: there is
/// none.
FlowTable::Way FlowTable::free_way(std::uint64_t spread) noexcept {
  Way found;
  int most = 0;
  for (const std::uint64_t index : {first_of(spread), second_of(spread)}) {
    const std::uint32_t free = ways_with(buckets_[index], 0);
    if (std::popcount(free) > most) {
      most = std::popcount(free);
      found = {&buckets_[index], static_cast<std::uint32_t>(std::countr_zero(free)) / 2};
    }
  }
  return found;
}

/// Of the flows in both buckets the one seen longest ago; no bucket: there is none.
FlowTable::Way FlowTable::oldest_way(std::uint64_t spread) noexcept {
  Way found;
  std::uint64_t oldest_ns = 0;
  for (const std::uint64_t index : {first_of(spread), second_of(spread)}) {
    Bucket& bucket = buckets_[index];
    for (std::uint32_t way = 0; way < kWays; ++way) {
      if (bucket.tag[way] == 0)
        continue;
      const std::uint64_t seen_ns = flows_[bucket.place[way]].last_seen_ns;
      if (found.bucket != nullptr && seen_ns >= oldest_ns)
        continue;
      found = {&bucket, way};
      oldest_ns = seen_ns;
    }
  }
  return found;
}

/// Where the flow at `place` is found.
FlowTable::Way FlowTable::way_of(std::uint64_t place) noexcept {
  const std::uint64_t spread = spread_of(flows_[place]);
  for (const std::uint64_t index : {first_of(spread), second_of(spread)})
    for (std::uint32_t way = 0; way < kWays; ++way)
      if (buckets_[index].tag[way] != 0 && buckets_[index].place[way] == place)
        return {&buckets_[index], way};
  FAULTLINE_CHECK(false);  // every flow is in one of its buckets
}

/// The flow there goes. Returns its place.
std::uint32_t FlowTable::make_room(const Way& way, std::uint64_t now_ns) noexcept {
  const std::uint32_t place = way.bucket->place[way.way];
  way.bucket->tag[way.way] = 0;
  const Flow& flow = flows_[place];
  FlowAnnex& annex = annexes_[place];
  const bool idle = now_ns - flow.last_seen_ns > idle_ns_;
  ++(idle ? counters_.expired : counters_.evicted);
  --counters_.active;
  leave_ghost(flow);
  if (flow.last_seen_ns >= burst_ns_ && displaced_count_ < displaced_.size()) [[unlikely]]
    displaced_[displaced_count_++] = {&annex, annex};
  states_.active -= annex.used();
  states_.lost += annex.used();
  annex = {};
  return place;
}

void FlowTable::forget() noexcept {
  for (std::uint64_t bucket = 0; bucket < bucket_count_; ++bucket) buckets_[bucket] = {};
  for (std::uint64_t place = 0; place < used_; ++place) annexes_[place] = {};
  // Nobody has left a ghost where nobody made room: that memory may not even be there.
  if (counters_.expired + counters_.evicted > 0)
    for (Ghost* ghost = ghosts_; ghost < ghosts_ + (ghost_set_mask_ + 1) * kGhostWays; ++ghost)
      if (ghost->packets != 0)
        *ghost = {};
  used_ = hand_ = 0;
  counters_ = {};
  states_ = {};
}

void FlowTable::forget_plans() noexcept {
  for (std::uint64_t place = 0; place < used_; ++place) flows_[place].plan = 0;
}

std::uint32_t FlowTable::begin_journal() noexcept {
  constexpr std::uint32_t kJournals = 7;
  if (journal_ == kJournals) {
    journal_ = 0;
    for (std::uint64_t place = 0; place < used_; ++place) flows_[place].journal = 0;
  }
  return ++journal_;
}

FlowTable::Ghost* FlowTable::ghosts_for(std::uint64_t spread) noexcept {
  return ghosts_ + ((spread >> 16) & ghost_set_mask_) * kGhostWays;
}

void FlowTable::leave_ghost(const Flow& flow) noexcept {
  const std::uint64_t spread = spread_of(flow);
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
