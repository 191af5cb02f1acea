// Reading the timeline, and laying it out in instants.
#include "policy/timeline.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/units.hpp"
#include "policy/node_fault.hpp"
#include "policy/overlay.hpp"
#include "policy/ramp.hpp"
#include "policy/random_faults.hpp"
#include "policy/trigger_reader.hpp"

namespace faultline {
namespace {

/// Gives the instants of the entry: where something begins, ends or takes a step.
template <typename Visit>
void for_each_instant(const TimelineEntry& entry, const Visit& visit) {
  if (entry.trigger)
    return;
  visit(entry.at_ns);
  visit(entry.until_ns);
  const std::uint64_t steps = entry.over_ns == 0 ? 0 : ramp_steps(entry.over_ns);
  for (std::uint64_t step = 1; step <= steps; ++step)
    visit(std::min(entry.until_ns, entry.at_ns + entry.over_ns / steps * step));
}

/// How far the entry, whose time it is, has got.
RampStep step_of(const TimelineEntry& entry, std::uint64_t now_ns) {
  const std::uint64_t steps = entry.over_ns == 0 ? 0 : ramp_steps(entry.over_ns);
  const std::uint64_t step = steps == 0 ? 0 : (now_ns - entry.at_ns) / (entry.over_ns / steps);
  return step < steps ? RampStep{step, steps} : RampStep{};
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
      const std::size_t known = scenario_.timeline.size();
      read_entry(item);
      for (std::size_t entry = known; entry < scenario_.timeline.size(); ++entry)
        for_each_instant(scenario_.timeline[entry],
                         [&](std::uint64_t time_ns) { instants.insert(time_ns); });
    }
    instants.erase(UINT64_MAX);
    if (instants.size() > kInstantsMax)
      complain(node.mark, fmt::format("the timeline has {} instants", instants.size()),
               fmt::format("at most {}", kInstantsMax));
    else if (instants.size() * (scenario_.rules.size() + variants_) > kChainRulesMax)
      complain(node.mark,
               fmt::format("the timeline has {} instants, with {} rules each", instants.size(),
                           scenario_.rules.size() + variants_),
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
    if (node.is_mapping() && node.find("random") != nullptr) {
      read_random_faults(node, scenario_, problems_);
      return;
    }
    MappingReader reader(node, "timeline entry", problems_);
    TimelineEntry entry;
    const ConfigNode* when = reader.take("when");
    const ConfigNode* at = when != nullptr ? reader.take("at") : reader.require("at");
    if (at != nullptr)
      entry.at_ns = read_duration_ns(*at, {0, kDurationMaxNs}, problems_).value_or(0);
    if (const ConfigNode* value = reader.take("for"))
      entry.until_ns =
          entry.at_ns + read_duration_ns(*value, {1, kDurationMaxNs}, problems_).value_or(1);
    const TriggerRepeats firings = read_firings(reader, entry);
    if (when != nullptr)
      entry.trigger = read_trigger(*when, firings, scenario_, problems_);
    if (const auto fault = read_fault(reader, at, entry)) {
      entry.rule = *fault;
    } else if (!names_fault(node)) {
      const bool known = find_rule(reader.require("rule"), entry);
      read_action(reader, node, known, entry);
    }
    const Repeats repeats = when == nullptr ? read_repeats(reader, entry) : Repeats{};
    reader.finish();
    if (problems_.size() != problems_before)
      return;
    for (std::uint64_t turn = 0; turn < repeats.count; ++turn) {
      scenario_.timeline.push_back(entry);
      entry.at_ns += repeats.every_ns;
      if (entry.until_ns != UINT64_MAX)
        entry.until_ns += repeats.every_ns;
    }
  }

  struct Repeats {
    std::uint64_t every_ns = 0;
    std::uint64_t count = 1;
  };

  /// `again`, with `count` or without, or `count` alone: how often an entry that waits does so.
  /// While it holds it does not wait.
  TriggerRepeats read_firings(MappingReader& reader, const TimelineEntry& entry) {
    const ConfigNode* again = reader.take("again");
    if (again != nullptr && read_bool(*again, problems_) == false)
      complain(again->mark, "again is false", "true");
    if (reader.node().is_mapping() && reader.node().find("when") == nullptr) {
      if (again != nullptr)
        complain(again->mark, "again, of an entry that waits for nothing", "when:, or every:");
      return {};
    }
    for (const char* key : {"every", "until"})
      if (const ConfigNode* value = reader.take(key))
        complain(value->mark, fmt::format("{}, of an entry that waits", key),
                 "again: true, or count:, for one that waits again");
    TriggerRepeats repeats{again != nullptr ? UINT64_MAX : 1, entry.until_ns};
    const ConfigNode* count = reader.take("count");
    if (count != nullptr)
      repeats.firings_max = read_count(*count, {1, UINT64_MAX - 1}, problems_).value_or(1);
    if (repeats.firings_max > 1 && entry.until_ns == UINT64_MAX)
      complain((again != nullptr ? again : count)->mark,
               "it waits again when it is over, but does not end", "for:, too");
    return repeats;
  }

  /// `every`, with `count` or `until`: the entry again and again.
  Repeats read_repeats(MappingReader& reader, const TimelineEntry& entry) {
    const ConfigNode* every = reader.take("every");
    const ConfigNode* count = reader.take("count");
    const ConfigNode* until = reader.take("until");
    if (every == nullptr) {
      for (const ConfigNode* other : {count, until})
        if (other != nullptr)
          complain(other->mark, "what does not repeat has no count and no until", "every:, too");
      return {};
    }
    Repeats repeats;
    repeats.every_ns = read_duration_ns(*every, {1, kDurationMaxNs}, problems_).value_or(1);
    if ((count == nullptr) == (until == nullptr))
      complain(every->mark, count == nullptr ? "it repeats without end" : "it ends twice",
               "one of count: and until:");
    if (count != nullptr)
      repeats.count = read_count(*count, {1, kInstantsMax}, problems_).value_or(1);
    else if (until != nullptr)
      repeats.count = repeats_until(*until, entry.at_ns, repeats.every_ns);
    return repeats;
  }

  /// How many begin before that time.
  std::uint64_t repeats_until(const ConfigNode& until, std::uint64_t at_ns,
                              std::uint64_t every_ns) {
    const auto end_ns = read_duration_ns(until, {at_ns + 1, kDurationMaxNs}, problems_);
    const std::uint64_t count = end_ns ? (*end_ns - at_ns + every_ns - 1) / every_ns : 1;
    if (count <= kInstantsMax)
      return count;
    complain(until.mark, fmt::format("it repeats {} times", count),
             fmt::format("at most {}", kInstantsMax));
    return 1;
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
      if (action == TimelineAction::kSet)
        read_set(*value, rule_known, entry);
      else if (read_bool(*value, problems_) == false)
        complain(value->mark, std::string(key) + " is false", "true");
    }
    if (const ConfigNode* over = reader.take("over"))
      read_ramp(*over, rule_known, entry);
    if (actions != 1 && node.is_mapping())
      complain(node.mark,
               actions == 0 ? "an entry of the timeline that does nothing"
                            : "an entry of the timeline that does several things",
               "one of enable: true, disable: true, set: {…}");
  }

  void read_ramp(const ConfigNode& node, bool rule_known, TimelineEntry& entry) {
    if (entry.set == nullptr)
      complain(node.mark, "a ramp of nothing", "over:, beside set: {…}");
    if (entry.trigger)
      complain(node.mark, "a ramp that waits", "values at once, or at: without when:");
    entry.over_ns = read_duration_ns(node, {1, kDurationMaxNs}, problems_).value_or(0);
    const ConfigNode* impair = rule_known ? scenario_.rules[entry.rule].impair : nullptr;
    if (entry.set == nullptr || impair == nullptr)
      return;
    ConfigNode changed = *impair;
    if (!overlay(changed, *entry.set, {0, 2}))
      complain(entry.set->mark, "values that have none between them and those of the rule",
               "numbers, of keys that the rule has");
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
    if (problems_.size() == problems_before && entry.trigger)
      add_variant(*impair, entry);
  }

  /// The rule by other values is a rule more in every policy.
  void add_variant(const ConfigNode& impair, const TimelineEntry& entry) {
    ConfigNode changed = impair;
    overlay(changed, *entry.set);
    check_variant(scenario_.rules[entry.rule], changed, *entry.set, scenario_, problems_);
    if (scenario_.rules.size() + ++variants_ > kRulesMax)
      complain(entry.set->mark, "more than 1024 rules, those with values of triggers among them",
               "at most 1024");
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
  std::size_t variants_ = 0;  ///< of rules, by values that triggers set
};

/// The scenario at one instant.
class Instants {
 public:
  /// Entries, and how far each has got.
  using Sets = std::vector<std::pair<std::size_t, RampStep>>;

  /// From `ends_ns` on there is nothing left.
  Instants(const Scenario& scenario, std::uint64_t ends_ns)
      : scenario_(scenario), ends_ns_(ends_ns) {
    for (std::size_t index = 0; index < scenario.timeline.size(); ++index)
      if (scenario.timeline[index].trigger &&
          scenario.timeline[index].action == TimelineAction::kSet)
        waiting_sets_.push_back(index);
  }

  /// `from_ns` and what comes after it.
  std::set<std::uint64_t> times(std::uint64_t from_ns) const {
    std::set<std::uint64_t> times{from_ns};
    for (const TimelineEntry& entry : scenario_.timeline)
      for_each_instant(entry,
                       [&](std::uint64_t time_ns) { times.insert(std::max(time_ns, from_ns)); });
    times.erase(times.lower_bound(std::max(ends_ns_, from_ns + 1)), times.end());
    if (ends_ns_ != kNever)
      times.insert(std::max(ends_ns_, from_ns));
    return times;
  }

  std::vector<RuleSpec> rules_at(std::uint64_t now_ns) {
    std::vector<RuleSpec> rules = scenario_.rules;
    if (now_ns >= ends_ns_) {
      for (RuleSpec& rule : rules) rule.enabled = false;
      return with_variants(rules, std::vector<Sets>(rules.size()));
    }
    std::vector<Sets> sets(rules.size());
    for (const std::size_t index : in_order()) {
      const TimelineEntry& entry = scenario_.timeline[index];
      if (entry.trigger || now_ns < entry.at_ns || now_ns >= entry.until_ns)
        continue;
      if (entry.action == TimelineAction::kSet) {
        sets[entry.rule].emplace_back(index, step_of(entry, now_ns));
        continue;
      }
      rules[entry.rule].enabled = entry.action == TimelineAction::kEnable;
      rules[entry.rule].switched_ns = entry.at_ns;
    }
    for (const TriggerSpec& trigger : scenario_.triggers)
      if (trigger.own_rule && !scenario_.timeline.empty())
        rules[trigger.rule].enabled = true;
    return with_variants(rules, sets);
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
    if (now_ns >= ends_ns_)
      return "the run is over";
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

  /// The rules by the values that hold, and behind each the same by what triggers set over them.
  std::vector<RuleSpec> with_variants(std::vector<RuleSpec> rules, const std::vector<Sets>& sets) {
    for (std::size_t rule = 0; rule < rules.size(); ++rule)
      if (!sets[rule].empty())
        rules[rule].impair = &impair_of(rule, sets[rule]);
    if (waiting_sets_.empty())
      return rules;
    std::vector<RuleSpec> all;
    for (std::size_t rule = 0; rule < rules.size(); ++rule) {
      std::uint16_t variants = 0;
      all.push_back(rules[rule]);
      for (const std::size_t entry : waiting_sets_) {
        if (scenario_.timeline[entry].rule != rule)
          continue;
        Sets with = sets[rule];
        with.emplace_back(entry, RampStep{});
        all.push_back(rules[rule]);
        all.back().impair = &impair_of(rule, with);
        all.back().variant = ++variants;
      }
    }
    return all;
  }

  /// The same list for the same sets, so that it is compiled once.
  const ConfigNode& impair_of(std::size_t rule, const Sets& sets) {
    const ConfigNode*& known = known_[{rule, sets}];
    if (known == nullptr) {
      ConfigNode& impair = lists_.emplace_back(*scenario_.rules[rule].impair);
      for (const auto& [set, step] : sets) overlay(impair, *scenario_.timeline[set].set, step);
      known = &impair;
    }
    return *known;
  }

  const Scenario& scenario_;
  std::uint64_t ends_ns_;
  std::vector<std::size_t> waiting_sets_;  ///< entries by which triggers set values
  std::deque<ConfigNode> lists_;
  std::map<std::pair<std::size_t, Sets>, const ConfigNode*> known_;
};

/// No trigger counts any more, or switches anything.
void disarm(Policy& policy) {
  for (RuleProgram& rule : policy.rules) {
    rule.gates.clear();
    rule.trips.clear();
  }
  for (TriggerProgram& trigger : policy.triggers) trigger.counts_packets = false;
}

}  // namespace

void read_timeline(const ConfigNode& node, Scenario& scenario, Problems& problems) {
  TimelineReader(scenario, problems).read(node);
}

Result<PolicyChain> compile_chain(const Scenario& scenario, const CompileRequest& request,
                                  PolicySlots& slots) {
  const bool ends = request.ends_ns != kNever;
  Instants instants(scenario, ends ? request.ends_ns - request.zero_ns : kNever);
  const auto board =
      request.board != nullptr ? request.board : std::make_shared<TriggerBoard>(scenario.triggers);
  CompileCache cache;
  PolicySlots next_slots = slots;
  PolicyChain chain;
  if (request.begins_run) {
    next_slots.rules.renew();
    next_slots.states.renew();
  }
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
    if (here.active_from_ns >= request.ends_ns)
      disarm(*policy);
    policy->instant = instants.told_at(now_ns);
    policy->begins_run = request.begins_run && chain.empty();
    chain.push_back(std::make_unique<Policy>(std::move(*policy)));
    if (chain.size() > 1)
      chain[chain.size() - 2]->next = chain.back().get();
  }
  slots = std::move(next_slots);
  return chain;
}

}  // namespace faultline
