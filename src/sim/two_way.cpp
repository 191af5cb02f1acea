// Both directions of a flow share a hash; which of them a packet belongs to is told by its ends.
#include "sim/two_way.hpp"

#include <tuple>

namespace faultline {

void TwoWayFlows::note(const FlowKey& key, std::uint8_t port) {
  const auto source = std::tie(key.source, key.source_port);
  const auto destination = std::tie(key.destination, key.destination_port);
  if (source == destination)
    return;
  const std::uint64_t hash = flow_pair_hash(key) + port;
  Place& place = places_[hash % kPlaces];
  if (place.hash != hash)
    place = {hash, 0};
  const auto before = place.directions;
  place.directions = static_cast<std::uint8_t>(before | (source < destination ? 1U : 2U));
  if (before != place.directions && place.directions == 3)
    ++flows_[port];
}

}  // namespace faultline
