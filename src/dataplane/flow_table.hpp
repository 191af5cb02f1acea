// The worker's directed flows: how many packets each has had, which plan applies to it, and beside
// it what rules and impairments remember of it. Bounded; a flow that must make room leaves its
// count in an array of ghosts and takes it up again, so that a flow evicted between two packets
// does not become packet number 1 for ever.
#pragma once

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/bucket_table.hpp"
#include "dataplane/connection_table.hpp"
#include "dataplane/flow_annex.hpp"
#include "dataplane/table_memory.hpp"
#include "match/tcp_streams.hpp"
#include "packet/flow_key.hpp"

namespace faultline {

/// One cache line: all that most packets need of their flow.
struct alignas(64) Flow {
  FlowKey key;
  std::uint32_t plan = 0;          ///< as the plan cache numbers them; 0: none yet
  std::uint64_t packets : 49 = 0;  ///< seen so far; the next one's number is one more
  std::uint64_t journal : 3 = 0;   ///< which journal knows it; 0: none
  std::uint64_t path_id : 12 = 0;
  std::uint64_t last_seen_ns = 0;
};
static_assert(sizeof(Flow) == 64);

/// What only some paths ask a flow.
struct FlowHints {
  StreamPlace stream;         ///< where that was last, under the flow's plan
  ConnectionHint connection;  ///< where that was last
  bool asks_stream = false;   ///< a rule of the plan searches its stream
  std::uint8_t told_of = 0;   ///< the low bits of which connection its last packet belonged to
  std::uint16_t losses = 0;   ///< its last packets, one after the other; where a model counts them
};
static_assert(sizeof(FlowHints) == 16);

struct FlowCounters {
  std::uint64_t active = 0;
  std::uint64_t created = 0;
  std::uint64_t expired = 0;           ///< made room after having been idle
  std::uint64_t evicted = 0;           ///< made room while still in use
  std::uint64_t ghost_collisions = 0;  ///< counts lost: too many flows wanted the same ghosts
};

class FlowTable {
 public:
  static constexpr std::uint64_t kGhostsMin = 1 << 20;

  /// Room for `flows_max` flows; one idle for `idle_ns` makes room first. There is a ghost for four
  /// times as many flows, and at least `ghosts_min` (rounded up to a power of two). The memory of
  /// ghosts and hints is taken when first used.
  FlowTable(std::uint64_t flows_max, std::uint64_t idle_ns, std::uint64_t ghosts_min = kGhostsMin);
  /// The memory of one.
  static std::uint64_t bytes_for(std::uint64_t flows_max) noexcept;
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  /// A look-up in three steps, so that a burst's memory is on its way before it is needed: seek()
  /// for all, then approach() for all, then find().
  SoughtEntry seek(const FlowKey& key, std::uint64_t identity, PathId path_id) const noexcept {
    const std::uint64_t spread = spread_of(identity, path_id, key);
    __builtin_prefetch(&buckets_[first_of(spread)]);
    __builtin_prefetch(&buckets_[second_of(spread)]);
    return {spread, SoughtEntry::kNowhere};
  }
  /// `with_annex`: that is needed, too.
  void approach(SoughtEntry& sought, bool with_annex) const noexcept {
    sought.place = likely_place(sought.spread);
    if (sought.place == SoughtEntry::kNowhere)
      return;
    __builtin_prefetch(&flows_[sought.place], 1);
    if (!with_annex)
      return;
    const auto* annex = reinterpret_cast<const char*>(&annexes_[sought.place]);
    __builtin_prefetch(annex, 1);
    __builtin_prefetch(annex + sizeof(FlowAnnex) - 1, 1);
  }
  /// The flow of a packet that arrived at `now_ns` on path `path_id`, known or new. Never fails.
  Flow& find(const FlowKey& key, const SoughtEntry& sought, PathId path_id,
             std::uint64_t now_ns) noexcept {
    if (sought.place != SoughtEntry::kNowhere) [[likely]] {
      Flow& flow = flows_[sought.place];
      if (flow.path_id == path_id && flow.key == key) [[likely]] {
        flow.last_seen_ns = now_ns;
        return flow;
      }
    }
    return find_or_make(key, sought.spread, path_id, now_ns);
  }
  /// The flow if it is known, which does not count as seen; else null.
  Flow* known(const FlowKey& key, std::uint64_t identity, PathId path_id) noexcept {
    return known_at(spread_of(identity, path_id, key), key, path_id);
  }

  FlowAnnex& annex(const Flow& flow) noexcept { return annexes_[place_of(flow)]; }
  FlowHints& hints(const Flow& flow) noexcept { return hints_[place_of(flow)]; }

  /// A state in the annex of a flow, all zero when it is new there.
  ScopeState* state(FlowAnnex& annex, const AnnexPiece& piece) noexcept {
    if (piece.is_of(annex)) [[likely]]
      return piece.in(annex);
    states_.active += annex.stamp[piece.owner] == 0 ? 1U : 0U;
    return piece.begin_in(annex);
  }

  /// Packets that arrive from `now_ns` on belong to a new burst.
  void begin_burst(std::uint64_t now_ns) noexcept {
    burst_ns_ = now_ns;
    displaced_count_ = 0;
  }
  /// A flow of this burst that a later one has driven out: its annex, and where it was copied to
  /// for the rest of the burst.
  struct Displaced {
    FlowAnnex* from = nullptr;
    FlowAnnex to;
  };
  std::uint32_t displaced_count() const noexcept { return displaced_count_; }
  Displaced& displaced(std::uint32_t at) noexcept { return displaced_[at]; }

  /// No flow is known any more, and none was counted.
  void forget() noexcept;
  /// No flow has a plan any more.
  void forget_plans() noexcept;

  /// Begins a journal, which knows no flow yet: the number by which it marks those it knows.
  std::uint32_t begin_journal() noexcept;
  std::uint32_t place_number(const Flow& flow) const noexcept {
    return static_cast<std::uint32_t>(place_of(flow));
  }

  const FlowCounters& counters() const noexcept { return counters_; }
  /// States in annexes.
  struct StateCounters {
    std::uint64_t active = 0;
    std::uint64_t lost = 0;  ///< their flow made room
  };
  const StateCounters& states() const noexcept { return states_; }

  /// How many flows have had a place, and what is in the places from `first` on, at most `count`.
  std::uint64_t places() const noexcept { return used_; }
  template <typename Visit>
  void visit(std::uint64_t first, std::uint64_t count, const Visit& visit) const noexcept {
    const std::uint64_t end = std::min(first + count, used_);
    for (std::uint64_t place = first; place < end; ++place) visit(flows_[place]);
  }

 private:
  static constexpr std::uint32_t kGhostWays = 4;
  static constexpr std::uint32_t kWays = 8;

  /// One cache line: which flows may be found here. A tag of 0: free.
  struct alignas(64) Bucket {
    std::uint16_t tag[kWays];
    std::uint32_t place[kWays];
  };
  struct Ghost {
    std::uint64_t packets = 0;
    std::uint64_t identity = 0;
  };
  struct Way {
    Bucket* bucket = nullptr;
    std::uint32_t way = 0;
  };

  /// Spreads ingress port and VLANs over the identity: the same addresses seen on two ports, or in
  /// two VLANs, are two flows.
  static std::uint64_t spread_of(std::uint64_t identity, PathId path_id,
                                 const FlowKey& key) noexcept {
    const std::uint64_t vlans = (std::uint64_t{key.outer_vlan} << 16) | key.inner_vlan;
    return identity ^ (std::uint64_t{path_id} * 0x9E3779B97F4A7C15) ^ (vlans * 0xD6E8FEB86659FD93);
  }
  static std::uint64_t spread_of(const Flow& flow) noexcept {
    return spread_of(flow_identity(flow.key), flow.path_id, flow.key);
  }
  std::uint64_t first_of(std::uint64_t spread) const noexcept {
    return ((spread & 0xFFFFFFFF) * bucket_count_) >> 32;
  }
  std::uint64_t second_of(std::uint64_t spread) const noexcept {
    return (((spread >> 24) & 0xFFFFFFFF) * bucket_count_) >> 32;
  }
  /// Of bits that say little of the buckets; never 0, which means free.
  static std::uint16_t tag_of(std::uint64_t spread) noexcept {
    return static_cast<std::uint16_t>(((spread >> 48) & 0xFF00) | (spread & 0xFF) | 1);
  }
  std::uint64_t place_of(const Flow& flow) const noexcept {
    return static_cast<std::uint64_t>(&flow - flows_);
  }
  static std::uint32_t ways_with(const Bucket& bucket, std::uint16_t tag) noexcept {
    const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tag));
    const __m128i same = _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<short>(tag)));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(same));  // two bits a way
  }
  std::uint64_t likely_place(std::uint64_t spread) const noexcept {
    for (const std::uint64_t index : {first_of(spread), second_of(spread)})
      if (const std::uint32_t ways = ways_with(buckets_[index], tag_of(spread)); ways != 0)
        return buckets_[index].place[std::countr_zero(ways) / 2];
    return SoughtEntry::kNowhere;
  }

  Flow* known_at(std::uint64_t spread, const FlowKey& key, PathId path_id) noexcept;
  Flow& find_or_make(const FlowKey& key, std::uint64_t spread, PathId path_id,
                     std::uint64_t now_ns) noexcept;
  Way free_way(std::uint64_t spread) noexcept;
  Way oldest_way(std::uint64_t spread) noexcept;
  Way way_of(std::uint64_t place) noexcept;
  std::uint32_t make_room(const Way& way, std::uint64_t now_ns) noexcept;
  static std::uint64_t buckets_for(std::uint64_t flows_max) noexcept;
  static std::uint64_t ghost_sets_for(std::uint64_t flows_max, std::uint64_t ghosts_min) noexcept;
  void leave_ghost(const Flow& flow) noexcept;
  std::uint64_t take_ghost(std::uint64_t spread) noexcept;
  Ghost* ghosts_for(std::uint64_t spread) noexcept;

  std::uint64_t idle_ns_;
  std::uint64_t flows_max_;
  std::uint64_t bucket_count_;
  std::uint64_t ghost_set_mask_;
  TableBytes memory_;  ///< buckets, flows, annexes
  TableBytes hints_memory_;
  TableBytes ghosts_memory_;
  Bucket* buckets_;
  Flow* flows_;
  FlowAnnex* annexes_;      ///< as flows_
  FlowHints* hints_;        ///< as flows_
  Ghost* ghosts_;           ///< in sets of kGhostWays
  std::uint64_t used_ = 0;  ///< places of flows_; once all are, each new flow takes another's
  std::uint64_t hand_ = 0;  ///< who makes room where a flow's buckets are empty
  std::uint64_t burst_ns_ = 0;
  std::uint32_t journal_ = 0;  ///< begun last
  std::uint32_t displaced_count_ = 0;
  std::array<Displaced, kBurstMax> displaced_;
  FlowCounters counters_;
  StateCounters states_;
};

}  // namespace faultline
