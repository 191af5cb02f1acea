// What bounds the stage before it: `queue` has no effect of its own, it is read by the stage that
// it stands behind.
#pragma once

#include <cstdint>
#include <optional>

#include "base/config.hpp"

namespace faultline {

struct QueueLimit {
  enum class Unit : std::uint8_t { kNone, kPackets, kBytes, kTime };
  Unit unit = Unit::kNone;
  std::uint64_t value = 0;  ///< packets, bytes or ns
};

/// Reads the value of `queue:`. Reports every problem and then returns nothing.
std::optional<QueueLimit> read_queue(const ConfigNode& node, Problems& problems);

}  // namespace faultline
