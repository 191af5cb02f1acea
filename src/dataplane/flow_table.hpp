// The worker's directed flows: how many packets each has had and which plan applies to it. Bounded;
// a flow that must make room leaves its count in an array of ghosts and takes it up again, so that
// a flow evicted between two packets does not become packet number 1 for ever.
#pragma once

#include <cstdint>

#include "dataplane/bucket_table.hpp"
#include "dataplane/connection_table.hpp"
#include "match/tcp_streams.hpp"
#include "packet/flow_key.hpp"

namespace faultline {

struct Flow {
  FlowKey key;
  ConnectionHint connection;  ///< where that was last
  std::uint64_t identity = 0;
  std::uint64_t packets = 0;  ///< seen so far; the next one's number is one more
  std::uint64_t last_seen_ns = 0;
  std::uint64_t plan_generation = 0;  ///< of the policy that `plan` belongs to
  std::uint32_t plan = 0;
  std::uint8_t ingress = 0;
  bool asks_stream = false;  ///< a rule of the plan searches its stream
  StreamPlace stream;        ///< where that was last, under `plan_generation`
};
static_assert(sizeof(Flow) <= 96);

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
  /// times as many flows, and at least `ghosts_min` (rounded up to a power of two). The ghosts'
  /// memory is taken when first used.
  FlowTable(std::uint64_t flows_max, std::uint64_t idle_ns, std::uint64_t ghosts_min = kGhostsMin);
  /// The memory of one.
  static std::uint64_t bytes_for(std::uint64_t flows_max);
  ~FlowTable();
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  SoughtEntry seek(const FlowKey& key, std::uint64_t identity,
                   std::uint8_t ingress) const noexcept {
    return flows_.seek(spread_of(identity, ingress, key));
  }
  void approach(SoughtEntry& sought) const noexcept { flows_.approach(sought); }
  /// The flow of a packet that arrived at `now_ns` on port `ingress`, known or new. Never fails.
  Flow& find(const FlowKey& key, const SoughtEntry& sought, std::uint64_t identity,
             std::uint8_t ingress, std::uint64_t now_ns) noexcept {
    Flow* flow = flows_.entry(sought);
    if (flow != nullptr && flow->ingress == ingress && flow->key == key) [[likely]] {
      flow->last_seen_ns = now_ns;
      return *flow;
    }
    return find_or_make(key, sought.spread, identity, ingress, now_ns);
  }

  const FlowCounters& counters() const noexcept { return counters_; }
  const BucketTable<Flow>& all() const noexcept { return flows_; }

 private:
  static constexpr std::uint32_t kGhostWays = 4;

  struct Ghost {
    std::uint64_t packets = 0;
    std::uint64_t identity = 0;
  };
  /// Spreads ingress port and VLANs over the identity: the same addresses seen on two ports, or in
  /// two VLANs, are two flows.
  static std::uint64_t spread_of(std::uint64_t identity, std::uint8_t ingress,
                                 const FlowKey& key) noexcept {
    const std::uint64_t vlans = (std::uint64_t{key.outer_vlan} << 16) | key.inner_vlan;
    return identity ^ (std::uint64_t{ingress} * 0x9E3779B97F4A7C15) ^ (vlans * 0xD6E8FEB86659FD93);
  }
  Flow& find_or_make(const FlowKey& key, std::uint64_t spread, std::uint64_t identity,
                     std::uint8_t ingress, std::uint64_t now_ns) noexcept;
  static std::uint64_t ghost_sets_for(std::uint64_t flows_max, std::uint64_t ghosts_min);
  void leave_ghost(const Flow& flow) noexcept;
  std::uint64_t take_ghost(std::uint64_t spread) noexcept;
  Ghost* ghosts_for(std::uint64_t spread) noexcept;

  std::uint64_t idle_ns_;
  std::uint64_t ghost_set_mask_ = 0;
  BucketTable<Flow> flows_;
  Ghost* ghosts_ = nullptr;  ///< in sets of kGhostWays
  FlowCounters counters_;
};

}  // namespace faultline
