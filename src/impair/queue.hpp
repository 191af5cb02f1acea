// What bounds the stage before it: `queue` has no effect of its own, it is read by the stage that
// it stands behind.
#pragma once

#include <cstdint>
#include <optional>

#include "base/config.hpp"
#include "base/threshold.hpp"

namespace faultline {

struct QueueLimit {
  enum class Unit : std::uint8_t { kNone, kPackets, kBytes, kTime };
  Unit unit = Unit::kNone;
  std::uint64_t value = 0;  ///< packets, bytes or ns
};

enum class Discipline : std::uint8_t { kTail, kHead, kRed, kCodel, kPie };

struct QueueSpec {
  QueueLimit limit;
  Discipline discipline = Discipline::kTail;
  bool ecn = false;               ///< ECN-capable packets are marked where the law may do so
  std::uint64_t target_ns = 0;    ///< CoDel, PIE: the delay that may stand
  std::uint64_t interval_ns = 0;  ///< CoDel: for how long; PIE: between updates
  double least = 0;            ///< RED: below this average nothing is dropped; PIE: alpha, in 1/s
  double most = 0;             ///< RED: above it everything; PIE: beta, likewise
  double probability = 0;      ///< RED: of a drop just below `most`
  double weight = 0;           ///< RED: of the present queue in its average
  std::uint64_t burst_ns = 0;  ///< PIE: for so long a fresh queue may grow unhindered

  /// Whether a packet's fate is known only when it is served.
  bool is_served() const noexcept {
    return discipline == Discipline::kHead || discipline == Discipline::kCodel;
  }
};

/// Reads the value of `queue:`. Reports every problem and then returns nothing.
/// `100p`, `20KB`, `30ms`: a limit, or where it is wrong that is told.
std::optional<QueueLimit> read_queue_limit(const ConfigNode& node, Problems& problems);
std::optional<QueueSpec> read_queue(const ConfigNode& node, Problems& problems);

}  // namespace faultline
