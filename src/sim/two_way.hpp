// Notices ports at which both directions of a flow come in, as they do when one capture of a whole
// conversation is put into one port. Remembers the latest flows only.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "packet/flow_key.hpp"

namespace faultline {

/// Bounded: a flow that 65,536 places no longer remember may be noticed again.
class TwoWayFlows {
 public:
  explicit TwoWayFlows(std::size_t ports) : places_(kPlaces), flows_(ports) {}

  /// A packet of this flow enters at `port`.
  void note(const FlowKey& key, std::uint8_t port);

  /// How many flows came in at this port both ways.
  std::uint64_t flows(std::size_t port) const { return flows_[port]; }

 private:
  static constexpr std::size_t kPlaces = 65'536;
  struct Place {
    std::uint64_t hash = 0;
    std::uint8_t directions = 0;  ///< bit 0: from the lower end, bit 1: from the higher
  };
  std::vector<Place> places_;
  std::vector<std::uint64_t> flows_;
};

}  // namespace faultline
