// Making a scenario ready.
#include "app/prepare.hpp"

#include "base/file.hpp"
#include "base/seed.hpp"

namespace faultline {
namespace {

/// A file that names no ports takes the daemon's.
Exit add_ports(const DaemonOptions& daemon, ConfigNode& tree) {
  if (!tree.is_mapping() || tree.find("ports") != nullptr)
    return Exit::kDone;
  const Answer answer = ask_daemon(daemon, call_for("GET", "/v1/policy"));
  if (answer.exit != Exit::kDone)
    return answer.exit;
  const Result<ConfigNode> theirs = parse_config(answer.json.dump(), intern_file_name("policy"));
  for (const char* key : {"ports", "wires", "switches", "nodes"})
    if (const ConfigNode* node = theirs ? theirs->find(key) : nullptr;
        node != nullptr && tree.find(key) == nullptr)
      tree.set(key, *node);
  return Exit::kDone;
}

}  // namespace

PreparedScenario prepare_scenario(const DaemonOptions& daemon, const std::string& path,
                                  std::optional<std::uint64_t> wins) {
  PreparedScenario prepared;
  const FileText file = read_file(path, kConfigBytesMax);
  if (!file.readable) {
    tell(Problems{problem_at({path, 0, 0}, "cannot be read: " + file.why)}, daemon.form);
    prepared.exit = Exit::kUnusable;
    return prepared;
  }
  const SeedChoice seed{wins.value_or(draw_seed()), wins.has_value()};
  std::optional<ConfigNode> timeline;  // with its commands
  InlinedScenario inlined = read_inlined(
      file.text, path, ScenarioUse::kLive, seed, [&](ConfigNode& tree, Problems& problems) {
        if (const ConfigNode* entries = tree.is_mapping() ? tree.find("timeline") : nullptr)
          timeline = *entries;
        prepared.commands = take_commands(tree, problems);
        prepared.exit = add_ports(daemon, tree);
      });
  if (prepared.exit != Exit::kDone)
    return prepared;
  if (!inlined.scenario) {
    tell(inlined.scenario.error(), daemon.form);
    prepared.exit = Exit::kWrong;
    return prepared;
  }
  CompileRequest request;
  request.seed = inlined.scenario->seed.value_or(*seed.number);
  PolicySlots slots(inlined.scenario->path_count());
  const Result<PolicyChain> policies = compile_chain(*inlined.scenario, request, slots);
  if (!policies) {
    tell(policies.error(), daemon.form);
    prepared.exit = Exit::kWrong;
    return prepared;
  }
  prepared.laws = laws_of(*inlined.scenario, *policies);
  prepared.timeline_ends_ns = policies->back()->active_from_ns;
  for (const TimedCommand& command : prepared.commands)
    prepared.timeline_ends_ns =
        std::max(prepared.timeline_ends_ns, command.at_ns + command.lasts_ns);
  prepared.text = to_yaml(inlined.tree);
  if (timeline)
    inlined.tree.set("timeline", std::move(*timeline));
  prepared.whole_text = to_yaml(inlined.tree);
  prepared.has_seed = inlined.scenario->seed != seed.number || seed.wins;
  prepared.scenario = std::move(*inlined.scenario);
  return prepared;
}

}  // namespace faultline
