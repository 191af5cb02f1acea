// Rules out of entries.
#include "policy/node_fault.hpp"

#include <algorithm>

namespace faultline {
namespace {

std::string unused_name(const std::string& wanted, const Scenario& scenario) {
  std::string name = wanted;
  for (int number = 2;
       std::ranges::find(scenario.rules, name, &RuleSpec::name) != scenario.rules.end(); ++number)
    name = wanted + "." + std::to_string(number);
  return name;
}

}  // namespace

std::optional<std::size_t> add_node_fault(std::string_view kind, const ConfigNode& value,
                                          std::string_view at, Scenario& scenario,
                                          Problems& problems) {
  ConfigNode item;
  item.kind = ConfigNode::Kind::kMapping;
  item.mark = value.mark;
  item.set(kind, value);
  ConfigNode impair;
  impair.kind = ConfigNode::Kind::kSequence;
  impair.mark = value.mark;
  impair.items.push_back(std::move(item));
  RuleSpec rule;
  rule.name = unused_name(std::string(kind) + "@" + std::string(at), scenario);
  rule.mark = value.mark;
  rule.enabled = false;
  const std::size_t problems_before = problems.size();
  std::string_view found;
  compile_impairment(impair.items.front(), {.rule_name = rule.name, .nodes = &scenario.nodes},
                     &found, problems);
  if (problems.size() != problems_before)
    return std::nullopt;
  if (scenario.rules.size() == kRulesMax) {
    problems.push_back(problem_at(value.mark,
                                  "more than 1024 rules, faults on the timeline among "
                                  "them",
                                  "at most 1024"));
    return std::nullopt;
  }
  rule.impair = &scenario.made.emplace_back(std::move(impair));
  scenario.rules.push_back(std::move(rule));
  return scenario.rules.size() - 1;
}

}  // namespace faultline
