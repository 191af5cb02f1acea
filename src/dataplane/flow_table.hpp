// The worker's directed flows: how many packets each has had and which plan applies to it. Bounded;
// a flow that must make room leaves its count in an array of ghosts and takes it up again, so that
// a flow evicted between two packets does not become packet number 1 for ever.
#pragma once

#include <cstdint>
#include <vector>

#include "packet/flow_key.hpp"

namespace faultline {

struct Flow {
  FlowKey key;
  std::uint64_t identity = 0;
  std::uint64_t packets = 0;  ///< seen so far; the next one's number is one more
  std::uint64_t last_seen_ns = 0;
  std::uint64_t plan_generation = 0;  ///< of the policy that `plan` belongs to
  std::uint32_t plan = 0;
  std::uint8_t ingress = 0;
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
  ~FlowTable();
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  void prefetch(const FlowKey& key, std::uint64_t identity, std::uint8_t ingress) const noexcept;

  /// The flow of a packet that arrived at `now_ns` on port `ingress`, known or new. Never fails.
  Flow& find(const FlowKey& key, std::uint64_t identity, std::uint8_t ingress,
             std::uint64_t now_ns) noexcept;

  const FlowCounters& counters() const noexcept { return counters_; }

 private:
  static constexpr std::uint32_t kWays = 8;
  static constexpr std::uint32_t kGhostWays = 4;

  /// Tags of eight flows, 0: free. One load tells which of them may be the one.
  struct Bucket {
    std::uint16_t tags[kWays];
  };
  struct Ghost {
    std::uint64_t packets = 0;
    std::uint64_t identity = 0;
  };
  struct Place {
    std::uint64_t first;   ///< bucket
    std::uint64_t second;  ///< bucket
    std::uint16_t tag;
  };

  Place place_of(std::uint64_t spread) const noexcept;
  Flow* look_up(std::uint64_t bucket, std::uint16_t tag, const FlowKey& key,
                std::uint8_t ingress) noexcept;
  std::uint32_t free_places(std::uint64_t bucket) const noexcept;
  std::uint64_t room_for(const Place& place, std::uint64_t now_ns) noexcept;
  void leave_ghost(const Flow& flow) noexcept;
  std::uint64_t take_ghost(std::uint64_t spread) noexcept;
  Ghost* ghosts_for(std::uint64_t spread) noexcept;

  std::uint64_t idle_ns_;
  std::uint64_t bucket_mask_ = 0;
  std::uint64_t ghost_set_mask_ = 0;
  std::vector<Bucket> buckets_;
  std::vector<Flow> flows_;
  Ghost* ghosts_ = nullptr;  ///< in sets of kGhostWays
  FlowCounters counters_;
};

}  // namespace faultline
