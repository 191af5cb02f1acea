// The verdict on a run: its statistics held against what the scenario expects and what its rules
// promise. docs/verdict.md says how each thing is judged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/event_log.hpp"
#include "policy/scenario.hpp"
#include "report/binomial.hpp"
#include "report/laws.hpp"

namespace faultline {

/// What a run left behind, of a simulation or of a daemon.
struct RunEvidence {
  const Json& statistics;       ///< StatisticsSum::to_json
  const Json& delays;           ///< StatisticsSum::delays_json
  std::uint64_t lasted_ns = 0;  ///< from time zero until the last packet came, or left
};

enum class Outcome : std::uint8_t {
  kPass,
  kFail,
  kInvalid,  ///< the tool itself failed the run
};
std::string_view outcome_word(Outcome outcome);

enum class Measure : std::uint8_t { kShare, kTime, kCount, kRate, kTruth, kDistance };

/// One thing that was expected, and what was found.
struct Finding {
  std::string about;     ///< a rule, or a port; empty: the run
  bool is_port = false;  ///< it is a port
  std::string expected;  ///< as written; of a rule's own law: "law: …"
  Measure measure = Measure::kCount;
  std::optional<double> observed{};  ///< share, ns, packets, bit/s, 0 or 1; absent: nothing to see
  std::optional<Interval> interval{};  ///< what it does not refute; `high` may be infinite
  std::optional<double> p_value{};     ///< of what was found or worse, if what is expected holds
  std::optional<double> packets{};     ///< that it was found in
  bool passes = true;
};

struct RunVerdict {
  Outcome outcome = Outcome::kPass;
  std::vector<Finding> findings;      ///< in the order of `expect:`, then rules
  std::vector<std::string> reasons;   ///< why it does not pass
  std::vector<std::string> warnings;  ///< what a reader should know
};

RunVerdict judge(const Scenario& scenario, const std::vector<RuleLaw>& laws,
                 const RunEvidence& evidence);

/// As verdict.json of a run folder.
Json to_json(const RunVerdict& verdict);
/// For people: a line a finding, `pass rule wan: expected … observed … [lo, hi]`.
std::vector<std::string> to_lines(const RunVerdict& verdict);
/// JUnit XML: a test case a finding.
std::string to_junit(const RunVerdict& verdict, const std::string& name);

}  // namespace faultline
