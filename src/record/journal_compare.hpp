// Two journals side by side: whose packets met something else, and whether it was because they were
// other packets. Digests say which flows need not be looked at. Where both say which connections
// flows are, those are compared that have the same dice, whatever ports their clients had.
#pragma once

#include <string>
#include <vector>

#include "record/journal_reader.hpp"

namespace faultline {

/// A packet, or a copy of it, of which the journals do not say the same.
struct JournalDifference {
  enum class Kind : std::uint8_t {
    kFate,    ///< the same packet met something else
    kDelay,   ///< the same packet met the same, only its times differ
    kPacket,  ///< another packet stands in this place of the flow, or of the connection
    kFirst,   ///< only the first journal has hits of it
    kSecond,  ///< only the second
  };
  Kind kind = Kind::kFate;
  std::string port;
  std::string to;
  std::string flow;          ///< of a connection without the client's port, and with which it is
  std::uint64_t number = 0;  ///< in its flow, or in its connection
  std::uint8_t copy = 0;
  std::string first;   ///< what befell it: "wan/loss drop, lan/delay delay"
  std::string second;  ///< likewise
};
std::string_view difference_name(JournalDifference::Kind kind);

struct JournalComparison {
  std::uint64_t flows_same = 0;
  std::uint64_t flows_different = 0;
  std::uint64_t connections_same = 0;  ///< of the flows, those found in both by their connection
  std::uint64_t connections_different = 0;
  std::uint64_t connection_hits = 0;  ///< of those that are the same
  std::uint64_t packets_same = 0;     ///< of the flows that differ
  std::uint64_t fates = 0;
  std::uint64_t delays = 0;
  std::uint64_t packets = 0;
  std::uint64_t first_only = 0;
  std::uint64_t second_only = 0;
  std::uint64_t first_lost = 0;  ///< hits that a journal has not: what they were nobody knows
  std::uint64_t second_lost = 0;
  std::vector<JournalDifference> differences;  ///< the first of them, by flow and number

  bool same() const { return fates + delays + packets + first_only + second_only == 0; }
};

struct JournalCompareOptions {
  std::size_t differences_max = 100;  ///< how many are told one by one
  /// Both runs had the same scenario and seed. Where the client's port is another one, so is every
  /// packet's hash; with this, one that met something else is another packet, whatever its length,
  /// and without it only one of another length is.
  bool same_dice = false;
};

/// Errors: a journal cannot be read; one that was cut short counts as far as it goes.
Result<JournalComparison> compare_journals(const std::string& first, const std::string& second,
                                           const JournalCompareOptions& options = {});

}  // namespace faultline
