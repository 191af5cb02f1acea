// Runs: one execution of a scenario each, from its time zero to its end, and what it came to.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "control/event_log.hpp"
#include "policy/lease.hpp"
#include "policy/scenario.hpp"

namespace faultline {

/// What begins a run, beside its scenario.
struct RunRequest {
  std::uint64_t duration_ns = 0;
  std::optional<std::uint64_t> at_unix_ns;  ///< time zero, by the machine's clock; absent: now
  std::string lease;                        ///< its rules hang on this one; empty: on none
};

struct Run {
  std::string id;
  std::string name;  ///< the scenario's
  std::uint64_t seed = 0;
  std::uint64_t zero_ns = 0;  ///< on the data path's clock
  std::uint64_t zero_unix_ns = 0;
  std::uint64_t zero_uptime_ns = 0;  ///< of the daemon: what events are stamped with
  std::uint64_t ends_ns = 0;         ///< likewise on the data path's: when it is to end
  std::string lease;
  std::shared_ptr<LeaseTerm> lease_term;  ///< null without one
  StopRules stop;
  std::string folder;         ///< of the daemon's, for what is recorded; empty: nothing is
  std::string unrecorded;     ///< why nothing is
  bool has_journal = false;   ///< one is being written, of this run alone
  Json journal;               ///< what became of it: hits, lost, bytes, failure
  bool has_captures = false;  ///< the like
  Json captures;              ///< likewise: by capture and point; null: none were asked for
  std::string ended_by;       ///< empty: it goes on
  std::optional<std::uint64_t> over_ns;  ///< when its last packet had left
  Json triggers;                         ///< as they stood when it ended
  Json statistics;                       ///< once it is over
  Json delays;                           ///< likewise

  /// waiting, running, draining (what it held has not left yet) or over.
  std::string_view state_at(std::uint64_t now_ns) const;
  bool is_over() const { return over_ns.has_value(); }
  /// Without its statistics.
  Json to_json(std::uint64_t now_ns) const;
};

/// The one that goes on, and the last few that are over.
class Runs {
 public:
  static constexpr std::size_t kKept = 8;

  /// Null when none goes on.
  Run* current();
  Run& begin(Run run);
  /// Null when it is not known, or no longer.
  Run* find(const std::string& id);
  std::string next_id() const { return std::to_string(begun_ + 1); }
  Json to_json(std::uint64_t now_ns) const;

 private:
  std::deque<Run> runs_;  ///< the newest last
  std::uint64_t begun_ = 0;
};

}  // namespace faultline
