// Any text as a scenario: read, judged, compiled. Nothing of it may crash, hang or be misread: a
// tree that was read comes back the same through its own text, and every problem has its place and
// words.
#include <map>

#include "base/check.hpp"
#include "base/config.hpp"
#include "policy/capacity.hpp"
#include "policy/expectation.hpp"
#include "policy/timeline.hpp"
#include "target.hpp"

namespace faultline {
namespace {

void check_problems(const Problems& problems) {
  FAULTLINE_CHECK(!problems.empty());
  for (const Problem& problem : problems) FAULTLINE_CHECK(!to_line(problem).empty());
}

void check_round_trip(const ConfigNode& tree) {
  const std::string text = to_yaml(tree);
  if (text.size() > kConfigBytesMax)
    return;
  const Result<ConfigNode> again = parse_config(text, "again.yaml");
  FAULTLINE_CHECK(again.has_value());
  FAULTLINE_CHECK(to_yaml(*again) == text);
}

void compile(const ConfigNode& tree, ScenarioUse use) {
  const Result<Scenario> scenario = read_scenario(ConfigNode(tree), use);
  if (!scenario) {
    check_problems(scenario.error());
    return;
  }
  // Made once a number of paths: its lists of free places take longer than all else.
  static std::map<std::size_t, PolicySlots> fresh;
  const std::size_t paths = scenario->path_count();
  PolicySlots slots = fresh.try_emplace(paths, paths).first->second;
  const Result<PolicyChain> policies = compile_chain(*scenario, CompileRequest{}, slots);
  if (!policies) {
    check_problems(policies.error());
    return;
  }
  for (const std::unique_ptr<Policy>& policy : *policies) {
    FAULTLINE_CHECK(policy->rules.size() == scenario->rules.size());
    FAULTLINE_CHECK(policy->next == nullptr ||
                    policy->next->active_from_ns > policy->active_from_ns);
    const Result<WorkerLayout> layout = least_layout(*scenario);
    if (!layout)
      continue;
    unshareable_rule(*policy, *layout);
    const Capacity capacity = capacity_of(*scenario, *policy, 0, *layout);
    FAULTLINE_CHECK(capacity.fits() || !capacity.misfit.empty());
  }
  for (const Expectation& expectation : scenario->expectations) {
    if (expectation.quantity != Quantity::kLoss)
      continue;
    const auto loss = loss_of(policies->front()->rules[*expectation.rule]);
    FAULTLINE_CHECK(!loss || (loss->rate >= 0 && loss->rate <= 1 && loss->variance_factor >= 0));
    if (loss)
      power_of(expectation, *loss, scenario->confidence);
  }
}

}  // namespace
}  // namespace faultline

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace faultline;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const Result<ConfigNode> tree = parse_config(text, "fuzz.yaml");
  if (!tree) {
    check_problems(tree.error());
    return 0;
  }
  check_round_trip(*tree);
  compile(*tree, ScenarioUse::kSimulate);
  compile(*tree, ScenarioUse::kLive);
  return 0;
}
