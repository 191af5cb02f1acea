// Reading triggers, and laying them into policies.
#include "policy/trigger_reader.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "base/units.hpp"
#include "match/rule_match.hpp"
#include "policy/topology.hpp"

namespace faultline {
namespace {

constexpr std::size_t kTriggersMax = 256;
constexpr std::string_view kForms =
    "{rule: NAME, match: N}, {packet: {…}, count: N}, {link: PORT, state: up|down} or {call: NAME}";

/// A rule that does nothing but count.
std::optional<std::size_t> add_counting_rule(const ConfigNode& match, MappingReader& reader,
                                             Scenario& scenario, Problems& problems) {
  RuleSpec rule;
  rule.name = fmt::format("when{}", scenario.triggers.size() + 1);
  rule.mark = match.mark;
  rule.enabled = false;
  rule.optional = true;
  rule.match = &match;
  if (const ConfigNode* value = reader.take("from"))
    rule.from = read_end(*value, scenario, problems);
  if (const ConfigNode* value = reader.take("to"))
    rule.to = read_end(*value, scenario, problems);
  if (!RuleMatch::compile(match, problems))
    return std::nullopt;
  if (std::ranges::find(scenario.rules, rule.name, &RuleSpec::name) != scenario.rules.end()) {
    problems.push_back(
        problem_at(match.mark, "a rule has the name of this trigger's own, '" + rule.name + "'"));
    return std::nullopt;
  }
  if (scenario.rules.size() == kRulesMax) {
    problems.push_back(
        problem_at(match.mark, "more than 1024 rules, triggers' own among them", "at most 1024"));
    return std::nullopt;
  }
  scenario.rules.push_back(std::move(rule));
  return scenario.rules.size() - 1;
}

void read_count_of(MappingReader& reader, std::string_view key, TriggerSpec& trigger,
                   Problems& problems) {
  if (const ConfigNode* value = reader.take(key))
    trigger.count = read_count(*value, {1, UINT64_MAX - 1}, problems).value_or(1);
}

/// What one of the four forms says.
void read_form(const ConfigNode& node, MappingReader& reader, TriggerSpec& trigger,
               Scenario& scenario, Problems& problems) {
  if (const ConfigNode* value = reader.take("rule")) {
    trigger.rule = find_rule_named(*value, scenario, problems).value_or(0);
    read_count_of(reader, "match", trigger, problems);
    trigger.text = fmt::format("rule {}: packet {}", value->text, trigger.count);
  } else if (const ConfigNode* match = reader.take("packet")) {
    trigger.own_rule = true;
    read_count_of(reader, "count", trigger, problems);
    trigger.rule = add_counting_rule(*match, reader, scenario, problems).value_or(0);
    trigger.text = fmt::format("packet {} that matches", trigger.count);
  } else if (const ConfigNode* port = reader.take("link")) {
    trigger.kind = TriggerSpec::Kind::kLink;
    trigger.port = find_port(*port, scenario, problems).value_or(0);
    if (const ConfigNode* state = reader.require("state"))
      trigger.up = read_word(*state, {"down", "up"}, problems).value_or(0) == 1;
    trigger.text = fmt::format("link {} {}", port->text, trigger.up ? "up" : "down");
  } else if (const ConfigNode* call = reader.take("call")) {
    trigger.kind = TriggerSpec::Kind::kCall;
    trigger.call = read_name(*call, problems).value_or("");
    trigger.text = "call " + trigger.call;
  } else if (node.is_mapping()) {
    problems.push_back(
        problem_at(node.mark, "a trigger that waits for nothing", std::string(kForms)));
  }
}

/// The triggers that count the packets of a rule, number `written` of the scenario.
void lay_trips(const Scenario& scenario, std::size_t written, Policy& policy, RuleProgram& rule) {
  for (std::size_t trigger = 0; trigger < scenario.triggers.size(); ++trigger) {
    const TriggerSpec& spec = scenario.triggers[trigger];
    if (spec.kind != TriggerSpec::Kind::kPackets || spec.rule != written)
      continue;
    rule.trips.push_back(static_cast<std::uint16_t>(trigger));
    for (std::size_t path_id = 0; path_id < policy.paths.size(); ++path_id)
      policy.paths[path_id].needs_flow |= rule.paths.test(path_id);
  }
}

/// What triggers do to it.
void lay_gates(std::span<const TimelineEntry* const> waiting, std::size_t written,
               const Policy& policy, RuleProgram& rule) {
  std::uint16_t variants = 0;
  for (const TimelineEntry* entry : waiting)
    if (entry->rule == written)
      rule.gates.push_back({&policy.board->trigger(*entry->trigger), entry->at_ns,
                            entry->until_ns == kNever ? kNever : entry->until_ns - entry->at_ns,
                            entry->action,
                            entry->action == TimelineAction::kSet ? ++variants : std::uint16_t{0}});
}

}  // namespace

std::optional<std::size_t> read_trigger(const ConfigNode& node, TriggerRepeats repeats,
                                        Scenario& scenario, Problems& problems) {
  const std::size_t problems_before = problems.size();
  MappingReader reader(node, "when", problems);
  TriggerSpec trigger;
  trigger.repeats = repeats;
  read_form(node, reader, trigger, scenario, problems);
  reader.finish();
  if (problems.size() != problems_before)
    return std::nullopt;
  const auto known = std::ranges::find_if(
      scenario.triggers, [&](const TriggerSpec& other) { return other.waits_as(trigger); });
  if (known != scenario.triggers.end())
    return static_cast<std::size_t>(known - scenario.triggers.begin());
  if (scenario.triggers.size() == kTriggersMax) {
    problems.push_back(problem_at(node.mark, "more than 256 triggers", "at most 256"));
    return std::nullopt;
  }
  scenario.triggers.push_back(std::move(trigger));
  return scenario.triggers.size() - 1;
}

void check_variant(const RuleSpec& rule, const ConfigNode& changed, const ConfigNode& set,
                   const Scenario& scenario, Problems& problems) {
  CompileContext context{.rule_name = rule.name, .per = rule.per, .nodes = &scenario.nodes};
  for (std::size_t index = 0; index < changed.items.size(); ++index) {
    context.index = static_cast<std::uint32_t>(index);
    std::string_view kind;
    Problems told;
    const auto before = compile_impairment(rule.impair->items[index],
                                           context_of(context, *rule.impair), &kind, told);
    const auto after =
        compile_impairment(changed.items[index], context_of(context, changed), &kind, told);
    if (!before || !after)
      continue;
    if (after->schedule != nullptr)
      problems.push_back(problem_at(
          set.mark, fmt::format("a trigger sets values of rule '{}', which injects", rule.name),
          "rules without inject:"));
    const bool remembers = before->state_bytes > 0 || after->state_bytes > 0;
    if (remembers &&
        (before->model != after->model || before->holds_backlog != after->holds_backlog ||
         (before->serve == nullptr) != (after->serve == nullptr)))
      problems.push_back(problem_at(
          set.mark,
          fmt::format("a trigger makes {} of rule '{}' another model, which has another memory",
                      kind, rule.name),
          "values of the same model; or two rules, one switched on and one off"));
  }
}

void lay_triggers(const Scenario& scenario, std::shared_ptr<TriggerBoard> board, Policy& policy) {
  if (scenario.triggers.empty() || board == nullptr)
    return;
  policy.board = std::move(board);
  std::vector<const TimelineEntry*> waiting;
  for (const TimelineEntry& entry : scenario.timeline)
    if (entry.trigger)
      waiting.push_back(&entry);
  std::size_t written = 0;  // the scenario's rule
  for (std::size_t index = 0; index < policy.rules.size(); ++index) {
    written += index > 0 && policy.rules[index].variant == 0 ? 1U : 0U;
    lay_trips(scenario, written, policy, policy.rules[index]);
    lay_gates(waiting, written, policy, policy.rules[index]);
  }
  for (const TriggerSpec& spec : scenario.triggers)
    policy.triggers.push_back({spec.text, spec.kind == TriggerSpec::Kind::kPackets, spec.count});
}

}  // namespace faultline
