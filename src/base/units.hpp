// Numbers with their units, as people write them: "40ms", "1Gbit", "0.1%", "64B", "10p". A unit is
// always written, except where the quantity is a plain count. All arithmetic is exact (integers).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/config.hpp"
#include "base/error.hpp"
#include "base/threshold.hpp"

namespace faultline {

inline constexpr std::uint64_t kNsPerUs = 1'000;
inline constexpr std::uint64_t kNsPerMs = 1'000'000;
inline constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
inline constexpr std::uint64_t kDurationMaxNs = 86'400 * kNsPerSecond * 366;

/// Each parser takes the whole text or nothing. Units: ns us ms s m h d | bit kbit Mbit Gbit Tbit
/// (per second) | % or a plain fraction 0 … 1 (also 1e-7) | B KB KiB MB MiB GB GiB TB TiB | k M G
/// suffixes of counts (1M = 1,000,000). Fractions are accepted where the result is whole.
std::optional<std::uint64_t> parse_duration_ns(std::string_view text);
std::optional<std::uint64_t> parse_rate_bps(std::string_view text);
std::optional<std::uint64_t> parse_size_bytes(std::string_view text);
std::optional<std::uint64_t> parse_count(std::string_view text);
std::optional<Threshold> parse_probability(std::string_view text);

/// Bytes written as pairs of hex digits; blanks and ':' between pairs do not matter.
std::optional<std::vector<std::uint8_t>> parse_hex(std::string_view text);

/// The readers report what is wrong at the node's place, with what is allowed, and return nothing.
struct Bounds {
  std::uint64_t minimum = 0;
  std::uint64_t maximum = UINT64_MAX;
};
std::optional<std::uint64_t> read_duration_ns(const ConfigNode& node, Bounds bounds, Problems&);
std::optional<std::uint64_t> read_rate_bps(const ConfigNode& node, Bounds bounds, Problems&);
std::optional<std::uint64_t> read_size_bytes(const ConfigNode& node, Bounds bounds, Problems&);
std::optional<std::uint64_t> read_count(const ConfigNode& node, Bounds bounds, Problems&);
/// A plain number without a unit, such as 2.5: the double nearest to it.
struct RealBounds {
  double minimum = 0;
  double maximum = 0;
};
std::optional<double> read_real(const ConfigNode& node, RealBounds bounds, Problems&);
std::optional<Threshold> read_probability(const ConfigNode& node, Problems&);
std::optional<bool> read_bool(const ConfigNode& node, Problems&);
/// A non-empty scalar.
std::optional<std::string> read_text(const ConfigNode& node, Problems&);
/// A name: 1 … 64 of [A-Za-z0-9_.-], not beginning with '-' or '.'.
std::optional<std::string> read_name(const ConfigNode& node, Problems&);
/// One of `words`; returns its index. Reports the nearest word otherwise.
std::optional<std::size_t> read_word(const ConfigNode& node,
                                     const std::vector<std::string_view>& words, Problems&);

/// "40ms", "1.5s", "40.123ms": the shortest exact text that parse_duration_ns reads back.
std::string format_duration(std::uint64_t duration_ns);

}  // namespace faultline
