// One `payload:` of a match: its patterns as Hyperscan takes them, and where they may lie. Read off
// the data path; which number the query has among a policy's is said when the policy is compiled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.hpp"

namespace faultline {

/// Patterns of all queries of a policy together.
inline constexpr std::size_t kPayloadPatternsMax = 65'536;

struct PayloadPattern {
  std::string expression;  ///< what Hyperscan is given
  std::string written;     ///< what the user wrote
  Mark mark;
  std::uint32_t line = 0;                      ///< of a file of patterns; 0: there is none
  std::uint32_t flags = 0;                     ///< HS_FLAG_…
  std::uint64_t end_min_bytes = 0;             ///< a match ends here or later
  std::optional<std::uint64_t> end_max_bytes;  ///< and here or earlier
};

struct PayloadQuery {
  std::vector<PayloadPattern> patterns;
  bool stream = false;                        ///< of TCP the stream is searched, not the segment
  bool at_offset = false;                     ///< patterns begin at one place
  std::optional<std::uint64_t> within_bytes;  ///< matches end there or earlier
  std::string file;                           ///< the patterns' file; empty: they were written out

  /// The first pattern as written, and how many more there are.
  std::string text() const;
  /// The same for queries that find the same.
  std::string content() const;
};

/// Reads `payload:`; docs/match.md has its keys. Reports every problem, each refused pattern at its
/// own place.
std::optional<PayloadQuery> read_payload_query(const ConfigNode& node, Problems& problems);

/// What Hyperscan said of a pattern, at the pattern's place.
Problem problem_of_pattern(const PayloadPattern& pattern, const std::string& file,
                           std::string said);

}  // namespace faultline
