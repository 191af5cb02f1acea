// faultline check: parse, compile, capacity.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "policy/timeline.hpp"

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;

/// What check computes with where nothing tells a port's rate: 10 Gbit/s Ethernet.
constexpr std::uint64_t kRateAssumedBps = 10'000'000'000;

Json rules_json(const Policy& policy) {
  Json rules = Json::array();
  for (const RuleProgram& rule : policy.rules)
    rules.push_back({{"name", rule.name},
                     {"match_per_flow", rule.match.has_value()},
                     {"match_per_packet", rule.match && rule.match->per_packet()},
                     {"paths", rule.paths.count()},
                     {"enabled", rule.enabled}});
  return rules;
}

Json warnings_for(const Policy& policy, const Capacity& capacity) {
  Json warnings = Json::array();
  for (const RuleProgram& rule : policy.rules)
    if (rule.paths.none())
      warnings.push_back({{"rule", rule.name}, {"message", "selects no path"}});
  if (!capacity.fits)
    warnings.push_back(
        {{"message", fmt::format("the hold has {} bytes, but 10 Gbit/s of 64-byte frames need {}",
                                 capacity.hold_bytes, capacity.hold_bytes_needed)}});
  return warnings;
}

}  // namespace

Exit run_check(const CheckOptions& options) {
  const Loaded loaded = load_scenario(options.file, ScenarioUse::kSimulate, options.form);
  if (!loaded.scenario)
    return loaded.exit;
  const Scenario& scenario = *loaded.scenario;
  PolicySlots slots(scenario.ports.size());
  CompileRequest request;
  request.seed = scenario.seed.value_or(0);
  const Result<PolicyChain> policies = compile_chain(scenario, request, slots);
  if (!policies) {
    tell(policies.error(), options.form);
    return Exit::kWrong;
  }
  const Policy* policy = policies->front().get();
  const Capacity capacity = capacity_of(scenario, *policy, kRateAssumedBps);
  const Json warnings = warnings_for(*policy, capacity);
  if (options.form == OutputForm::kJson) {
    const Json answer = {{"ok", true},
                         {"errors", Json::array()},
                         {"power", Json::array()},
                         {"warnings", warnings},
                         {"rules", rules_json(*policy)},
                         {"capacity",
                          {{"hold_bytes", capacity.hold_bytes},
                           {"hold_bytes_needed", capacity.hold_bytes_needed},
                           {"flows", capacity.flows},
                           {"mbufs", capacity.mbufs},
                           {"fits", capacity.fits}}}};
    fmt::print("{}\n", answer.dump());
    return Exit::kDone;
  }
  for (const Json& warning : warnings)
    fmt::print(stderr, "{}: warning: {}\n", options.file, warning["message"].get<std::string>());
  fmt::print(stderr, "{}: good: {} ports, {} rules; at 10 Gbit/s the hold needs {} bytes\n",
             options.file, scenario.ports.size(), policy->rules.size(), capacity.hold_bytes_needed);
  return Exit::kDone;
}

}  // namespace faultline
