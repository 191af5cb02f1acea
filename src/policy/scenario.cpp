// Reading the keys of a scenario, version 1.
#include "policy/scenario.hpp"

#include <algorithm>

#include "impair/impairment.hpp"
#include "match/rule_match.hpp"
#include "policy/expectation.hpp"
#include "policy/presets.hpp"
#include "policy/stop_rules.hpp"
#include "policy/timeline.hpp"
#include "policy/topology.hpp"

namespace faultline {
namespace {

class ScenarioReader {
 public:
  ScenarioReader(Scenario& scenario, Problems& problems)
      : scenario_(scenario), problems_(problems) {}

  void read(ScenarioUse use) {
    expand_presets(scenario_.tree, use, problems_);
    MappingReader reader(scenario_.tree, "scenario", problems_);
    reader.take("use");
    read_version(reader.require("version"));
    if (const ConfigNode* node = reader.take("name"))
      scenario_.name = read_name(*node, problems_).value_or("");
    if (const ConfigNode* node = reader.take("description"))
      read_text(*node, problems_);
    if (const ConfigNode* node = reader.take("seed"))
      scenario_.seed = read_count(*node, {}, problems_);
    if (const ConfigNode* node = reader.take("model"))
      scenario_.model = read_system_model(*node, problems_).value_or(SystemModel{});
    read_hold(reader.take("hold"));
    read_flows(reader.take("flows"));
    if (const ConfigNode* node = reader.take("workers"))
      read_workers(*node);
    read_topology(reader, use, scenario_, problems_);
    read_rules(reader.take("rules"));
    if (const ConfigNode* node = reader.take("timeline"))
      read_timeline(*node, scenario_, problems_);
    if (const ConfigNode* node = reader.take("confidence"))
      read_confidence(*node, scenario_, problems_);
    if (const ConfigNode* node = reader.take("lateness"))
      read_lateness(*node, scenario_, problems_);
    if (const ConfigNode* node = reader.take("expect"))
      read_expectations(*node, scenario_, problems_);
    if (const ConfigNode* node = reader.take("stop_when"))
      read_stop_rules(*node, scenario_.stop, problems_);
    if (const ConfigNode* node = reader.take("capture"))
      read_captures(*node, scenario_, problems_);
    reader.finish();
  }

 private:
  void complain(const Mark& mark, std::string found, std::string allowed = {},
                std::string suggestion = {}) {
    problems_.push_back(
        problem_at(mark, std::move(found), std::move(allowed), std::move(suggestion)));
  }

  void read_version(const ConfigNode* node) {
    if (node != nullptr && (!node->is_scalar() || node->text != "1"))
      complain(node->mark, "unknown version " + describe(*node), "1");
  }

  void read_hold(const ConfigNode* node) {
    if (node == nullptr)
      return;
    MappingReader reader(*node, "hold", problems_);
    if (const ConfigNode* value = reader.take("memory"))
      scenario_.hold_bytes = read_size_bytes(*value, {1 << 20, std::uint64_t{1} << 40}, problems_);
    if (const ConfigNode* value = reader.take("on_full"))
      scenario_.stop.full_hold = read_word(*value, {"drop-tail", "stop"}, problems_) == 1U;
    reader.finish();
  }

  void read_flows(const ConfigNode* node) {
    if (node == nullptr)
      return;
    MappingReader reader(*node, "flows", problems_);
    if (const ConfigNode* value = reader.take("max"))
      scenario_.flows_max = read_count(*value, {1, 1 << 26}, problems_).value_or(1);
    if (const ConfigNode* value = reader.take("streams"))
      scenario_.streams_max =
          static_cast<std::uint32_t>(read_count(*value, {1, 1 << 22}, problems_).value_or(1));
    if (const ConfigNode* value = reader.take("idle"))
      scenario_.flow_idle_ns =
          read_duration_ns(*value, {kNsPerMs, kDurationMaxNs}, problems_).value_or(kNsPerSecond);
    reader.finish();
  }

  void read_workers(const ConfigNode& node) {
    MappingReader reader(node, "workers", problems_);
    if (const ConfigNode* value = reader.take("cores"))
      read_cores(*value);
    if (const ConfigNode* value = reader.take("rx_burst"))
      scenario_.workers.rx_burst =
          static_cast<std::uint32_t>(read_count(*value, {1, kBurstMax}, problems_).value_or(32));
    if (const ConfigNode* value = reader.take("power"))
      scenario_.workers.sleeps = read_word(*value, {"busy", "sleep"}, problems_).value_or(0) == 1;
    reader.finish();
  }

  void read_cores(const ConfigNode& node) {
    if (node.is_scalar() && node.text == "auto")
      return;
    if (!node.is_sequence() || node.items.empty() || node.items.size() > kWorkersMax) {
      complain(node.mark, "cores is " + describe(node), "auto, or a list of 1 to 16 cores");
      return;
    }
    for (const ConfigNode& item : node.items) {
      const auto core = read_count(item, {0, 1'023}, problems_);
      if (!core)
        continue;
      auto& cores = scenario_.workers.cores;
      if (std::find(cores.begin(), cores.end(), *core) != cores.end())
        complain(item.mark, "core " + item.text + " is in the list already", "each core once");
      cores.push_back(static_cast<unsigned>(*core));
    }
  }

  void read_rules(const ConfigNode* node) {
    if (node == nullptr || node->kind == ConfigNode::Kind::kNull)
      return;
    if (!node->is_sequence()) {
      complain(node->mark, "rules is " + describe(*node), "a list of rules");
      return;
    }
    if (node->items.size() > kRulesMax) {
      complain(node->mark, "more than 1024 rules", "at most 1024");
      return;
    }
    for (const ConfigNode& item : node->items) read_rule(item);
  }

  void read_rule(const ConfigNode& node) {
    RuleSpec rule;
    rule.mark = node.mark;
    MappingReader reader(node, "rule", problems_);
    if (const ConfigNode* value = reader.require("name"))
      rule.name = read_name(*value, problems_).value_or("");
    const bool named_twice =
        std::any_of(scenario_.rules.begin(), scenario_.rules.end(),
                    [&](const RuleSpec& other) { return other.name == rule.name; });
    if (named_twice && !rule.name.empty())
      complain(node.mark, "a second rule named '" + rule.name + "'", "names used once");
    if (const ConfigNode* value = reader.take("from"))
      rule.from = read_end(*value, scenario_, problems_);
    if (const ConfigNode* value = reader.take("to"))
      rule.to = read_end(*value, scenario_, problems_);
    rule.match = reader.take("match");
    rule.impair = reader.require("impair");
    if (rule.impair != nullptr && (!rule.impair->is_sequence() || rule.impair->items.empty())) {
      complain(rule.impair->mark, "impair is " + describe(*rule.impair),
               "a list of at least one impairment");
      rule.impair = nullptr;
    }
    if (const ConfigNode* value = reader.take("enabled"))
      rule.enabled = read_bool(*value, problems_).value_or(true);
    if (const ConfigNode* value = reader.take("ttl"))
      read_ttl(*value, rule);
    read_sharing(reader, rule);
    if (const ConfigNode* value = reader.take("in_flight"))
      if (const auto word = read_word(*value, {"deliver", "drop"}, problems_))
        rule.cuts_in_flight = *word == 1;
    if (const ConfigNode* value = reader.take("optional"))
      rule.optional = read_bool(*value, problems_).value_or(false);
    if (const ConfigNode* value = reader.take("lease"))
      rule.lease = read_name(*value, problems_).value_or("");
    if (const ConfigNode* value = reader.take("tcp_acks"))
      if (const auto word = read_word(*value, {"drop", "pass"}, problems_))
        rule.passes_tcp_acks = *word == 1;
    reader.finish();
    check_parts(rule);
    check_path(rule, node);
    scenario_.rules.push_back(std::move(rule));
  }

  /// Compiles match and impairments for what is wrong in them, so that one reading tells
  /// everything.
  void check_parts(const RuleSpec& rule) {
    if (rule.match != nullptr)
      RuleMatch::compile(*rule.match, problems_);
    if (rule.impair == nullptr)
      return;
    CompileContext context{.rule_name = rule.name, .per = rule.per, .nodes = &scenario_.nodes};
    for (const ConfigNode& item : rule.impair->items) {
      std::string_view kind;
      compile_impairment(item, context_of(context, *rule.impair), &kind, problems_);
      ++context.index;
    }
  }

  /// Who shares the state of the rule's impairments, whose numbers its dice are thrown by, and what
  /// counts as its packets.
  void read_sharing(MappingReader& reader, RuleSpec& rule) {
    if (const ConfigNode* value = reader.take("per"))
      if (const auto word =
              read_word(*value, {"rule", "flow", "source", "destination", "pair"}, problems_))
        rule.per = static_cast<Per>(*word);
    if (const ConfigNode* value = reader.take("draw"))
      if (const auto word = read_word(*value, {"flow", "connection", "arrival"}, problems_))
        rule.draw = static_cast<Draw>(*word);
    if (const ConfigNode* value = reader.take("shared"))
      rule.shared = read_bool(*value, problems_).value_or(false);
    if (const ConfigNode* value = reader.take("fragments"))
      if (const auto word = read_word(*value, {"follow", "portless"}, problems_))
        rule.portless = *word == 1;
    if (const ConfigNode* value = reader.take("final"))
      rule.final = read_bool(*value, problems_).value_or(false);
  }

  void read_ttl(const ConfigNode& node, RuleSpec& rule) {
    if (node.is_scalar() && node.text == "none") {
      rule.ttl = TtlKind::kNone;
      return;
    }
    if (const auto ttl = read_duration_ns(node, {kNsPerMs, kDurationMaxNs}, problems_)) {
      rule.ttl = TtlKind::kTime;
      rule.ttl_ns = *ttl;
    }
  }

  void check_path(const RuleSpec& rule, const ConfigNode& node) {
    if (rule.from.any && rule.to.any)
      return;
    const std::vector<PortPair> paths = scenario_.paths();
    const bool selects = std::ranges::any_of(paths, [&](const PortPair& path) {
      return may_be_at(rule.from, path.from, scenario_) && may_be_at(rule.to, path.to, scenario_);
    });
    if (!selects && !paths.empty())
      complain(node.mark,
               "rule '" + rule.name + "' selects no path: no wire" +
                   (scenario_.switches.empty() ? "" : " or switch") + " leads that way",
               "from and to at the two ends of a wire");
  }

  Scenario& scenario_;
  Problems& problems_;
};

}  // namespace

Result<Scenario> read_scenario(ConfigNode tree, ScenarioUse use) {
  Scenario scenario;
  scenario.tree = std::move(tree);
  Problems problems;
  ScenarioReader(scenario, problems).read(use);
  if (problems.empty())
    return scenario;
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& left, const Problem& right) {
    return std::pair(left.line, left.column) < std::pair(right.line, right.column);
  });
  // A value that several rules of a preset share is told once.
  const auto same = [](const Problem& left, const Problem& right) {
    return to_line(left) == to_line(right);
  };
  problems.erase(std::unique(problems.begin(), problems.end(), same), problems.end());
  if (problems.size() > kConfigProblemsMax) {
    Problem last = problems[kConfigProblemsMax];
    last.message = std::to_string(kConfigProblemsMax) + " problems; what follows is not told";
    last.allowed = last.suggestion = "";
    problems.resize(kConfigProblemsMax);
    problems.push_back(std::move(last));
  }
  return tl::unexpected(std::move(problems));
}

std::vector<PortPair> Scenario::paths() const {
  std::vector<PortPair> paths;
  for (const WireSpec& wire : wires) {
    paths.push_back({wire.first, wire.second});
    paths.push_back({wire.second, wire.first});
  }
  for (const SwitchSpec& one : switches)
    for (const std::size_t from : one.ports)
      for (const std::size_t to : one.ports)
        if (from != to)
          paths.push_back({from, to});
  return paths;
}

std::size_t Scenario::path_count() const {
  std::size_t count = ports.size();
  for (const SwitchSpec& one : switches) count += one.ports.size() * (one.ports.size() - 1);
  return count;
}

std::optional<std::size_t> find_rule_named(const ConfigNode& node, const Scenario& scenario,
                                           Problems& problems) {
  std::vector<std::string_view> names;
  for (std::size_t index = 0; index < scenario.rules.size(); ++index) {
    names.push_back(scenario.rules[index].name);
    if (node.is_scalar() && node.text == names.back())
      return index;
  }
  problems.push_back(problem_at(node.mark, "unknown rule " + describe(node),
                                "one of the scenario's rules",
                                node.is_scalar() ? nearest_word(node.text, names) : ""));
  return std::nullopt;
}

}  // namespace faultline
