// Reading the timeline, and laying it out in instants.
#include "policy/timeline.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/units.hpp"
#include "policy/node_fault.hpp"
#include "policy/trigger_reader.hpp"

namespace faultline {
namespace {

/// "delay[2]" is the second delay of a rule.
struct PartName {
  std::string_view kind;
  std::size_t number = 0;  ///< from 1; 0: not said
  bool good = true;
};

PartName part_of(std::string_view key) {
  const std::size_t open = key.find('[');
  if (open == std::string_view::npos)
    return {key};
  PartName name{key.substr(0, open)};
  const auto number =
      key.back() == ']' ? parse_count(key.substr(open + 1, key.size() - open - 2)) : std::nullopt;
  name.good = number && *number > 0;
  name.number = number.value_or(0);
  return name;
}

/// The positions of a rule's impairments of one kind.
std::vector<std::size_t> positions_of(const ConfigNode& impair, std::string_view kind) {
  std::vector<std::size_t> positions;
  for (std::size_t index = 0; index < impair.items.size(); ++index) {
    const ConfigNode& item = impair.items[index];
    if (item.is_mapping() && item.entries.size() == 1 && item.entries.front().key == kind)
      positions.push_back(index);
  }
  return positions;
}

/// What `set` may name.
std::vector<std::string> part_names(const ConfigNode& impair) {
  std::map<std::string_view, std::size_t> seen;
  std::vector<std::string> names;
  for (const ConfigNode& item : impair.items) {
    if (!item.is_mapping() || item.entries.size() != 1)
      continue;
    const std::string& kind = item.entries.front().key;
    const bool alone = positions_of(impair, kind).size() == 1;
    names.push_back(alone ? kind : fmt::format("{}[{}]", kind, ++seen[kind]));
  }
  return names;
}

std::optional<std::size_t> position_of(const ConfigNode& impair, std::string_view key) {
  const PartName name = part_of(key);
  const std::vector<std::size_t> positions = positions_of(impair, name.kind);
  const std::size_t number = name.number == 0 ? 1 : name.number;
  if (!name.good || number > positions.size() || (name.number == 0 && positions.size() > 1))
    return std::nullopt;
  return positions[number - 1];
}

/// What a value written short stands for: {time: 40ms} for a delay of 40ms.
ConfigNode long_form(const ConfigNode& value, std::string_view kind) {
  if (value.is_mapping())
    return value;
  ConfigNode mapping;
  mapping.kind = ConfigNode::Kind::kMapping;
  mapping.mark = value.mark;
  std::string_view key = kind == "delay" ? "time" : kind;
  if (kind == "loss")
    key = parse_probability(value.text) ? "rate" : "model";
  mapping.set(key, value);
  return mapping;
}

/// Lays the keys of `set` over the impairments.
void overlay(ConfigNode& impair, const ConfigNode& set) {
  for (const ConfigEntry& change : set.entries) {
    const auto position = position_of(impair, change.key);
    if (!position)
      continue;
    ConfigEntry& entry = impair.items[*position].entries.front();
    if (!change.value.is_mapping()) {
      entry.value = change.value;
      continue;
    }
    entry.value = long_form(entry.value, entry.key);
    entry.value.mark = change.value.mark;
    for (const ConfigEntry& key : change.value.entries) {
      entry.value.set(key.key, key.value);
      for (ConfigEntry& merged : entry.value.entries)
        if (merged.key == key.key)
          merged.key_mark = key.key_mark;
    }
  }
}

class TimelineReader {
 public:
  TimelineReader(Scenario& scenario, Problems& problems)
      : scenario_(scenario), problems_(problems) {}

  void read(const ConfigNode& node) {
    if (node.kind == ConfigNode::Kind::kNull)
      return;
    if (!node.is_sequence()) {
      complain(node.mark, "timeline is " + describe(node), "a list of entries");
      return;
    }
    std::set<std::uint64_t> instants{0};
    for (const ConfigNode& item : node.items) {
      read_entry(item);
      if (scenario_.timeline.empty() || scenario_.timeline.back().trigger)
        continue;
      instants.insert(scenario_.timeline.back().at_ns);
      instants.insert(scenario_.timeline.back().until_ns);
    }
    instants.erase(UINT64_MAX);
    if (instants.size() > kInstantsMax)
      complain(node.mark, fmt::format("the timeline has {} instants", instants.size()),
               fmt::format("at most {}", kInstantsMax));
    else if (instants.size() * scenario_.rules.size() > kChainRulesMax)
      complain(node.mark,
               fmt::format("the timeline has {} instants, with {} rules each", instants.size(),
                           scenario_.rules.size()),
               fmt::format("at most {} together", kChainRulesMax));
  }

 private:
  void complain(const Mark& mark, std::string found, std::string allowed = {},
                std::string suggestion = {}) {
    problems_.push_back(
        problem_at(mark, std::move(found), std::move(allowed), std::move(suggestion)));
  }

  void read_entry(const ConfigNode& node) {
    const std::size_t problems_before = problems_.size();
    MappingReader reader(node, "timeline entry", problems_);
    const bool later = reader.refuse_not_yet({"over", "every", "count", "random", "until"});
    if (later) {
      for (const std::string_view key :
           {"at", "for", "when", "rule", "enable", "disable", "set", "partition", "pause", "crash",
            "clock", "flap", "equivocate"})
        reader.take(key);
      reader.finish();
      return;
    }
    TimelineEntry entry;
    if (const ConfigNode* when = reader.take("when"))
      entry.trigger = read_trigger(*when, scenario_, problems_);
    const ConfigNode* at = node.find("when") != nullptr ? reader.take("at") : reader.require("at");
    if (at != nullptr)
      entry.at_ns = read_duration_ns(*at, {0, kDurationMaxNs}, problems_).value_or(0);
    if (const ConfigNode* value = reader.take("for"))
      entry.until_ns =
          entry.at_ns + read_duration_ns(*value, {1, kDurationMaxNs}, problems_).value_or(1);
    if (const auto fault = read_fault(reader, at, entry)) {
      entry.rule = *fault;
    } else if (!names_fault(node)) {
      const bool known = find_rule(reader.require("rule"), entry);
      read_action(reader, node, known, entry);
    }
    reader.finish();
    if (problems_.size() == problems_before)
      scenario_.timeline.push_back(entry);
  }

  static bool names_fault(const ConfigNode& node) {
    return node.is_mapping() && std::ranges::any_of(kNodeFaults, [&](std::string_view kind) {
             return node.find(kind) != nullptr;
           });
  }

  /// The rule of the fault of nodes that the entry names.
  std::optional<std::size_t> read_fault(MappingReader& reader, const ConfigNode* at,
                                        TimelineEntry& entry) {
    std::optional<std::size_t> rule;
    for (const std::string_view kind : kNodeFaults) {
      const ConfigNode* value = reader.take(kind);
      if (value == nullptr)
        continue;
      ConfigNode fault = *value;
      // A node that has come back is not what it was: the rule stays, and knows when that was.
      if (const ConfigNode* lasts = reader.node().find("for");
          kind == "crash" && lasts != nullptr && fault.is_mapping() && !fault.find("down")) {
        fault.set("down", *lasts);
        entry.until_ns = UINT64_MAX;
      }
      const std::string name = entry.trigger   ? fmt::format("when{}", *entry.trigger + 1)
                               : at != nullptr ? at->text
                                               : "";
      rule = add_node_fault(kind, fault, name, scenario_, problems_);
      const ConfigNode* in_flight = reader.take("in_flight");
      const auto word = in_flight != nullptr ? read_word(*in_flight, {"deliver", "drop"}, problems_)
                                             : std::nullopt;
      if (rule && word)
        scenario_.rules[*rule].cuts_in_flight = *word == 1;
    }
    return rule;
  }

  bool find_rule(const ConfigNode* node, TimelineEntry& entry) {
    const auto index =
        node != nullptr ? find_rule_named(*node, scenario_, problems_) : std::nullopt;
    entry.rule = index.value_or(0);
    return index.has_value();
  }

  void read_action(MappingReader& reader, const ConfigNode& node, bool rule_known,
                   TimelineEntry& entry) {
    int actions = 0;
    for (const auto& [key, action] :
         {std::pair{"enable", TimelineAction::kEnable},
          std::pair{"disable", TimelineAction::kDisable}, std::pair{"set", TimelineAction::kSet}}) {
      const ConfigNode* value = reader.take(key);
      if (value == nullptr)
        continue;
      ++actions;
      entry.action = action;
      if (action == TimelineAction::kSet && node.find("when") != nullptr)
        complain(value->mark, "a trigger cannot set values",
                 "enable: or disable:, of a rule with other values");
      else if (action == TimelineAction::kSet)
        read_set(*value, rule_known, entry);
      else if (read_bool(*value, problems_) == false)
        complain(value->mark, std::string(key) + " is false", "true");
    }
    if (actions != 1 && node.is_mapping())
      complain(node.mark,
               actions == 0 ? "an entry of the timeline that does nothing"
                            : "an entry of the timeline that does several things",
               "one of enable: true, disable: true, set: {…}");
  }

  void read_set(const ConfigNode& node, bool rule_known, TimelineEntry& entry) {
    entry.set = &node;
    if (!node.is_mapping() || node.entries.empty()) {
      complain(node.mark, "set is " + (node.is_mapping() ? "empty" : describe(node)),
               "for example {delay: {time: 80ms}}");
      return;
    }
    const ConfigNode* impair = rule_known ? scenario_.rules[entry.rule].impair : nullptr;
    if (impair == nullptr)
      return;
    const std::size_t problems_before = problems_.size();
    for (const ConfigEntry& change : node.entries) check_part(change, *impair, entry.rule);
    if (problems_.size() == problems_before)
      check_values(*impair, entry);
  }

  void check_part(const ConfigEntry& change, const ConfigNode& impair, std::size_t rule) {
    if (position_of(impair, change.key))
      return;
    const std::string& name = scenario_.rules[rule].name;
    const PartName part = part_of(change.key);
    const std::size_t count = positions_of(impair, part.kind).size();
    if (part.good && count > 0) {
      complain(change.key_mark,
               fmt::format("'{}' of rule '{}', which has {} of them", change.key, name, count),
               count == 1 ? std::string(part.kind)
                          : fmt::format("{0}[1] to {0}[{1}]", part.kind, count));
      return;
    }
    complain(change.key_mark, fmt::format("rule '{}' has no '{}'", name, change.key),
             fmt::format("its impairments are {}", fmt::join(part_names(impair), ", ")));
  }

  /// Compiles the impairments as they will be; what is wrong with them already is told already.
  void check_values(const ConfigNode& impair, const TimelineEntry& entry) {
    ConfigNode changed = impair;
    overlay(changed, *entry.set);
    const RuleSpec& rule = scenario_.rules[entry.rule];
    Problems found;
    CompileContext context{.rule_name = rule.name, .per = rule.per, .nodes = &scenario_.nodes};
    for (const ConfigNode& item : changed.items) {
      std::string_view kind;
      compile_impairment(item, context_of(context, changed), &kind, found);
      ++context.index;
    }
    for (Problem& problem : found) {
      const bool told = std::ranges::any_of(
          problems_, [&](const Problem& other) { return to_line(other) == to_line(problem); });
      if (!told)
        problems_.push_back(std::move(problem));
    }
  }

  Scenario& scenario_;
  Problems& problems_;
};

/// The scenario at one instant.
class Instants {
 public:
  explicit Instants(const Scenario& scenario) : scenario_(scenario) {}

  /// `from_ns` and what comes after it.
  std::set<std::uint64_t> times(std::uint64_t from_ns) const {
    std::set<std::uint64_t> times{from_ns};
    for (const TimelineEntry& entry : scenario_.timeline) {
      if (entry.trigger)
        continue;
      times.insert(std::max(entry.at_ns, from_ns));
      times.insert(std::max(entry.until_ns, from_ns));
    }
    times.erase(UINT64_MAX);
    return times;
  }

  std::vector<RuleSpec> rules_at(std::uint64_t now_ns) {
    std::vector<RuleSpec> rules = scenario_.rules;
    std::vector<std::vector<std::size_t>> sets(rules.size());
    for (const std::size_t index : in_order()) {
      const TimelineEntry& entry = scenario_.timeline[index];
      if (entry.trigger || now_ns < entry.at_ns || now_ns >= entry.until_ns)
        continue;
      if (entry.action == TimelineAction::kSet) {
        sets[entry.rule].push_back(index);
        continue;
      }
      rules[entry.rule].enabled = entry.action == TimelineAction::kEnable;
      rules[entry.rule].switched_ns = entry.at_ns;
    }
    for (const TriggerSpec& trigger : scenario_.triggers)
      if (trigger.own_rule && !scenario_.timeline.empty())
        rules[trigger.rule].enabled = true;
    for (std::size_t rule = 0; rule < rules.size(); ++rule)
      if (!sets[rule].empty())
        rules[rule].impair = &impair_of(rule, sets[rule]);
    return rules;
  }

  /// Rules whose ttl starts anew: they are enabled here.
  std::set<std::string> enabled_at(std::uint64_t now_ns) const {
    std::set<std::string> names;
    for (const TimelineEntry& entry : scenario_.timeline)
      if (entry.action == TimelineAction::kEnable && entry.at_ns == now_ns && !entry.trigger)
        names.insert(scenario_.rules[entry.rule].name);
    return names;
  }

  /// In words: "wan: set; partition.20s: ends".
  std::string told_at(std::uint64_t now_ns) const {
    constexpr std::string_view kWords[] = {"enabled", "disabled", "set"};
    std::string text;
    const auto tell = [&](const TimelineEntry& entry, std::string_view word) {
      text +=
          fmt::format("{}{}: {}", text.empty() ? "" : "; ", scenario_.rules[entry.rule].name, word);
    };
    for (const TimelineEntry& entry : scenario_.timeline) {
      if (entry.trigger)
        continue;
      if (entry.at_ns == now_ns)
        tell(entry, kWords[static_cast<std::size_t>(entry.action)]);
      if (entry.until_ns == now_ns)
        tell(entry, "over");
    }
    return text;
  }

 private:
  std::vector<std::size_t> in_order() const {
    std::vector<std::size_t> order(scenario_.timeline.size());
    for (std::size_t index = 0; index < order.size(); ++index) order[index] = index;
    std::ranges::stable_sort(order, {},
                             [&](std::size_t index) { return scenario_.timeline[index].at_ns; });
    return order;
  }

  /// The same list for the same sets, so that it is compiled once.
  const ConfigNode& impair_of(std::size_t rule, const std::vector<std::size_t>& sets) {
    const ConfigNode*& known = known_[{rule, sets}];
    if (known == nullptr) {
      ConfigNode& impair = lists_.emplace_back(*scenario_.rules[rule].impair);
      for (const std::size_t set : sets) overlay(impair, *scenario_.timeline[set].set);
      known = &impair;
    }
    return *known;
  }

  const Scenario& scenario_;
  std::deque<ConfigNode> lists_;
  std::map<std::pair<std::size_t, std::vector<std::size_t>>, const ConfigNode*> known_;
};

}  // namespace

void read_timeline(const ConfigNode& node, Scenario& scenario, Problems& problems) {
  TimelineReader(scenario, problems).read(node);
}

Result<PolicyChain> compile_chain(const Scenario& scenario, const CompileRequest& request,
                                  PolicySlots& slots) {
  Instants instants(scenario);
  const auto board = request.board != nullptr
                         ? request.board
                         : std::make_shared<TriggerBoard>(scenario.triggers.size());
  CompileCache cache;
  PolicySlots next_slots = slots;
  PolicyChain chain;
  for (const std::uint64_t now_ns : instants.times(request.active_from_ns - request.zero_ns)) {
    CompileRequest here = request;
    here.cache = &cache;
    here.board = board;
    here.generation = request.generation + chain.size();
    here.active_from_ns = request.zero_ns + now_ns;
    if (!chain.empty()) {
      here.previous = chain.back().get();
      here.restarted = instants.enabled_at(now_ns);
    }
    Result<Policy> policy = compile_rules(scenario, instants.rules_at(now_ns), here, next_slots);
    if (!policy)
      return tl::unexpected(std::move(policy.error()));
    policy->instant = instants.told_at(now_ns);
    chain.push_back(std::make_unique<Policy>(std::move(*policy)));
    if (chain.size() > 1)
      chain[chain.size() - 2]->next = chain.back().get();
  }
  slots = std::move(next_slots);
  return chain;
}

}  // namespace faultline
