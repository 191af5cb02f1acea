// Reading `stop_when:`.
#include "policy/stop_rules.hpp"

#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::size_t kCommandsMax = 16;
constexpr std::string_view kForms = "own_drops: 1, or command: 'curl -fs http://10.0.0.1/'";

void read_stop_rule(const ConfigNode& node, StopRules& rules, Problems& problems) {
  MappingReader reader(node, "stop_when", problems);
  if (const ConfigNode* drops = reader.take("own_drops")) {
    const auto count = read_count(*drops, {1, UINT64_MAX}, problems);
    if (rules.own_drops)
      problems.push_back(problem_at(drops->mark, "own_drops a second time", "one of them"));
    rules.own_drops = count;
  } else if (const ConfigNode* command = reader.take("command")) {
    StopCommand stop;
    stop.command = read_text(*command, problems).value_or("");
    if (const ConfigNode* value = reader.take("every"))
      stop.every_ns =
          read_duration_ns(*value, {10 * kNsPerMs, kDurationMaxNs}, problems).value_or(1);
    if (const ConfigNode* value = reader.take("timeout"))
      stop.timeout_ns =
          read_duration_ns(*value, {10 * kNsPerMs, kDurationMaxNs}, problems).value_or(1);
    if (const ConfigNode* value = reader.take("failures"))
      stop.failures = read_count(*value, {1, 1'000'000}, problems).value_or(1);
    rules.commands.push_back(std::move(stop));
  } else if (node.is_mapping()) {
    problems.push_back(problem_at(node.mark, "a reason to stop that is none", std::string(kForms)));
  }
  reader.finish();
}

}  // namespace

void read_stop_rules(const ConfigNode& node, StopRules& rules, Problems& problems) {
  if (!node.is_sequence()) {
    problems.push_back(problem_at(node.mark, "stop_when is " + describe(node),
                                  "a list, each " + std::string(kForms)));
    return;
  }
  for (const ConfigNode& item : node.items) read_stop_rule(item, rules, problems);
  if (rules.commands.size() > kCommandsMax)
    problems.push_back(problem_at(node.mark, "more than 16 commands", "at most 16"));
}

}  // namespace faultline
