// Scenario → policy. All or nothing: a scenario with one wrong rule compiles to no policy.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.hpp"
#include "policy/slots.hpp"

namespace faultline {

/// What outlives a policy. A value: compile with a copy, keep the copy when the policy is
/// published.
struct PolicySlots {
  explicit PolicySlots(std::size_t paths)
      : rules(kRulesMax, 1), states(scope_states_max(paths), static_cast<std::uint32_t>(paths)) {}
  SlotTable rules;
  SlotTable states;
};

/// What was compiled before from the same places of a scenario.
struct CompileCache {
  struct Impairment {
    CompiledImpairment compiled;
    std::string_view kind;
  };
  std::map<const ConfigNode*, Impairment> impairments;
  std::map<const ConfigNode*, RuleMatch> matches;
};

struct CompileRequest {
  std::uint64_t generation = 1;
  std::uint64_t seed = 0;
  std::uint64_t active_from_ns = 0;
  std::uint64_t zero_ns = 0;              ///< time zero; processes in time count from it
  std::uint64_t ttl_default_ns = kNever;  ///< for rules without `ttl:`; kNever: they do not end
  const Policy* previous = nullptr;       ///< rules that stay enabled keep their end, except …
  bool begins_run = false;          ///< what workers remember of rules begins anew, and counts
  std::uint64_t ends_ns = kNever;   ///< of a run: no rule is active from then on
  std::set<std::string> restarted;  ///< … these, whose ttl starts anew
  std::map<std::string, std::shared_ptr<LeaseTerm>> leases;  ///< those that hold
  std::shared_ptr<TriggerBoard> board;  ///< of the scenario's triggers; null: none has fired
  CompileCache* cache = nullptr;        ///< of the same seed
  std::optional<std::uint64_t> own_latency_ns = 0;  ///< as in CompileContext
};

/// The scenario's switches, for workers.
std::vector<SwitchProgram> switches_of(const Scenario& scenario);

/// The policy of a scenario. `slots` changes only on success.
Result<Policy> compile_policy(const Scenario& scenario, const CompileRequest& request,
                              PolicySlots& slots);

/// The like for other rules than the scenario's own: what a timeline makes of them.
Result<Policy> compile_rules(const Scenario& scenario, const std::vector<RuleSpec>& rules,
                             const CompileRequest& request, PolicySlots& slots);

}  // namespace faultline
