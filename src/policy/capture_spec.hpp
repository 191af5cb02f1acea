// `capture:`, which packets are to be recorded, at which points of their way, and how much room
// they may take.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.hpp"

namespace faultline {

/// Where on its way a packet is recorded.
enum class CapturePoint : std::uint8_t {
  kBefore,  ///< as it came in
  kAfter,   ///< as it left
  kDrops,   ///< as it was when it was dropped
};
inline constexpr std::array<std::string_view, 3> kCapturePointNames = {"before", "after", "drops"};

inline constexpr std::size_t kCapturesMax = 16;

struct CaptureSpec {
  std::string name;                     ///< of its files; among all of a scenario's its own
  std::string rule;                     ///< whose packets; empty: all
  std::array<bool, 3> points{};         ///< by CapturePoint
  std::uint32_t snap_bytes = 65'535;    ///< of a packet, at most
  std::uint64_t limit_bytes = 1 << 30;  ///< all its files together, at most
  std::uint32_t files = 4;              ///< a point: the newest are kept
  Mark mark;

  bool has(CapturePoint point) const { return points[static_cast<std::size_t>(point)]; }
  /// How many files there may be.
  std::uint64_t files_at_all_points() const;
  /// What one of them may grow to.
  std::uint64_t file_bytes() const;
  /// Whether both ask for the same; where that was written does not matter.
  bool asks_as(const CaptureSpec& other) const;
};

/// Room for a packet of any length and what is said of it.
inline constexpr std::uint64_t kCaptureFileBytesMin = 250'000;

struct Scenario;
/// The scenario's rules must have been read.
void read_captures(const ConfigNode& node, Scenario& scenario, Problems& problems);

}  // namespace faultline
