// Two captures held against each other, what went in against what came out: which packets were
// lost, late, doubled, overtaken or changed. Packets find each other by what is in them; nothing is
// known of rules here.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace faultline {

/// Of what came out late: the times that packets took, ns, ascending by rank.
struct LatenessQuantiles {
  std::uint64_t packets = 0;
  std::int64_t least_ns = 0;
  std::int64_t p50_ns = 0;
  std::int64_t p99_ns = 0;
  std::int64_t most_ns = 0;
};

struct CaptureDifference {
  enum class Kind : std::uint8_t { kLost, kDoubled, kChanged, kNew };
  Kind kind = Kind::kLost;
  std::uint64_t first = 0;   ///< number in the first capture, from 1; 0: not there
  std::uint64_t second = 0;  ///< in the second
  std::string flow;
  std::vector<std::string> fields;  ///< changed
};
std::string_view difference_name(CaptureDifference::Kind kind);

struct CaptureComparison {
  std::uint64_t first_packets = 0;
  std::uint64_t second_packets = 0;
  std::uint64_t same = 0;  ///< byte for byte, as far as both captured them
  std::uint64_t lost = 0;
  std::uint64_t doubled = 0;     ///< more of the second capture of a packet that came out already
  std::uint64_t overtaken = 0;   ///< RFC 4737: behind one that went in later
  std::uint64_t extent_max = 0;  ///< RFC 4737, section 4.2: of those, how many arrivals too late
  std::uint64_t changed = 0;
  std::uint64_t made = 0;                       ///< only in the second capture
  std::map<std::string, std::uint64_t> fields;  ///< how often each was changed
  LatenessQuantiles late;
  std::vector<CaptureDifference> differences;  ///< the first of them, in the order of the captures
};

/// Errors: a capture cannot be read.
Result<CaptureComparison> compare_captures(const std::string& first, const std::string& second,
                                           std::size_t differences_max = 1'000);

}  // namespace faultline
