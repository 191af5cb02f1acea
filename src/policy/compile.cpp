// Scenario → policy: rules onto paths, names onto slots, impairments into plain parameters.
#include "policy/compile.hpp"

#include <algorithm>
#include <map>

#include "base/dice.hpp"
#include "impair/frame_schedule.hpp"
#include "policy/copy_numbers.hpp"
#include "policy/rule_links.hpp"
#include "policy/topology.hpp"
#include "policy/trigger_reader.hpp"

namespace faultline {
namespace {

/// What the hold's records can express, with room to spare (hold.hpp: 2^48 ns).
/// What a worker's streams may take for searching them.
constexpr std::uint64_t kStreamsMemoryMaxBytes = std::uint64_t{8} << 30;
constexpr std::uint64_t kPathDelayMaxNs = 72 * 3600 * kNsPerSecond;

std::string way_of(const Scenario& scenario, std::size_t from, std::size_t to) {
  return scenario.ports[from].name + ">" + scenario.ports[to].name;
}

/// The paths of wires have the numbers of their ports, those of switches come behind them.
void lay_paths(const Scenario& scenario, Policy& policy) {
  const std::size_t ports = scenario.ports.size();
  policy.ports = ports;
  policy.paths.resize(scenario.path_count());
  policy.path_between.resize(ports * ports);
  const auto lay = [&](std::size_t from, std::size_t to, std::size_t path_id) {
    PathProgram& path = policy.paths[path_id];
    path.exists = true;
    path.ingress = static_cast<std::uint8_t>(from);
    path.egress = static_cast<std::uint8_t>(to);
    path.identity = hash_name(way_of(scenario, from, to));
    policy.path_between[from * ports + to] = static_cast<PathId>(path_id);
  };
  for (const WireSpec& wire : scenario.wires) {
    lay(wire.first, wire.second, wire.first);
    lay(wire.second, wire.first, wire.second);
  }
  std::size_t next = ports;
  for (const SwitchSpec& one : scenario.switches)
    for (const std::size_t from : one.ports)
      for (const std::size_t to : one.ports)
        if (from != to)
          lay(from, to, next++);
  for (std::size_t path_id = 0; path_id < policy.paths.size(); ++path_id) {
    PathProgram& path = policy.paths[path_id];
    if (!path.exists)
      continue;
    path.back = policy.path_of(path.egress, path.ingress);
    path.pair = std::min(static_cast<PathId>(path_id), path.back);
  }
}

std::optional<CompiledImpairment> compile_once(const ConfigNode& item,
                                               const CompileContext& context, CompileCache* cache,
                                               std::string_view* kind, Problems& problems) {
  if (cache == nullptr)
    return compile_impairment(item, context, kind, problems);
  if (const auto known = cache->impairments.find(&item); known != cache->impairments.end()) {
    *kind = known->second.kind;
    return known->second.compiled;
  }
  auto compiled = compile_impairment(item, context, kind, problems);
  if (compiled)
    cache->impairments[&item] = {*compiled, *kind};
  return compiled;
}

std::optional<RuleMatch> compile_once(const ConfigNode& match, CompileCache* cache,
                                      Problems& problems) {
  if (cache == nullptr)
    return RuleMatch::compile(match, problems);
  if (const auto known = cache->matches.find(&match); known != cache->matches.end())
    return known->second;
  auto compiled = RuleMatch::compile(match, problems);
  if (compiled)
    cache->matches[&match] = *compiled;
  return compiled;
}

/// The steps of one rule; problems leave the rule incomplete.
void compile_steps(const RuleSpec& spec, const Scenario& scenario, const CompileRequest& request,
                   PolicySlots& slots, RuleProgram& rule, Problems& problems) {
  if (spec.impair == nullptr)
    return;
  std::uint32_t index = 0;
  for (const ConfigNode& item : spec.impair->items) {
    std::string_view kind;
    const CompileContext context = context_of({.seed = request.seed,
                                               .rule_name = spec.name,
                                               .index = index,
                                               .per = spec.per,
                                               .own_latency_ns = request.own_latency_ns,
                                               .nodes = &scenario.nodes},
                                              *spec.impair);
    const auto compiled = compile_once(item, context, request.cache, &kind, problems);
    RuleStep step;
    std::string key = spec.name + "/" + std::to_string(index) + "/" + std::string(kind) + "/";
    if (compiled)
      key += compiled->model;
    if (compiled && !slots.states.take(key, step.first_state)) {
      problems.push_back(problem_at(
          item.mark, "too many impairments for the workers' state",
          "at most " + std::to_string(scope_states_max(scenario.path_count())) +
              " states, one an impairment and " + (scenario.switches.empty() ? "port" : "path")));
      return;  // the next ones find none either
    }
    if (compiled) {
      step.impairment = *compiled;
      step.kind = kind;
      step.per = compiled->scope.value_or(spec.per);
      rule.delays |= compiled->delays;
      rule.follows_tcp |= step.impairment.follows_tcp;
      rule.uses_dice |= compiled->uses_dice;
      rule.uses_step |= compiled->uses_step;
      rule.loses |= kind == "loss";
      rule.counts_scopes |= spec.per != Per::kRule && (compiled->uses_match_number || rule.loses);
      rule.steps.push_back(step);
      if (compiled->reverse != nullptr && slots.states.take(key + "/reverse", step.first_state)) {
        step.impairment = *compiled->reverse;
        rule.steps.push_back(std::move(step));
      }
    }
    ++index;
  }
}

/// The most that the rules of a path may add to a packet's time.
std::uint64_t delay_of(const PathProgram& path, const Policy& policy) {
  std::uint64_t before_ns = 0;
  std::uint64_t delay_ns = 0;  // with the rule, by whichever of its values
  for (const std::uint16_t index : path.rules) {
    const RuleProgram& rule = policy.rules[index];
    if (rule.variant == 0)
      before_ns = delay_ns;
    std::uint64_t own_ns = 0;
    for (const RuleStep& step : rule.steps) own_ns += step.impairment.adds_ns;
    delay_ns = std::max(delay_ns, before_ns + own_ns);
  }
  return delay_ns;
}

void check_delays(const Scenario& scenario, const Policy& policy, Problems& problems) {
  for (const PathProgram& path : policy.paths)
    if (path.exists && delay_of(path, policy) > kPathDelayMaxNs)
      problems.push_back(problem_at(scenario.tree.mark,
                                    "the delays on the way to port '" +
                                        scenario.ports[path.egress].name + "' add up to " +
                                        format_duration(delay_of(path, policy)),
                                    "at most " + format_duration(kPathDelayMaxNs)));
}

/// Whether packets that come to `stage` of `rule` in the order of arrival would come out of order
/// in time, because of step `before` of `earlier`, which stands in front of it.
bool breaks_order_for(const RuleProgram& earlier, const RuleStep& before, const RuleProgram& rule,
                      const RuleStep& stage) {
  if (!before.impairment.delays)
    return false;
  if (before.impairment.breaks_order)
    return true;
  if (&earlier == &rule)
    return before.per != Per::kRule && before.per != stage.per;
  // A delay keeps the order of what it delays: only where that is all there is.
  return earlier.match.has_value() || before.per != Per::kRule ||
         (rule.shared && earlier.paths != rule.paths);
}

/// Whether what stands before step `end` of rule `index` brings packets out of order for its step
/// `stage`.
bool is_out_of_order(const std::vector<RuleProgram>& rules, std::size_t index, std::size_t end,
                     std::size_t stage) {
  const RuleProgram& rule = rules[index];
  for (std::size_t earlier = 0; earlier <= index; ++earlier) {
    const bool stands_for_it = earlier != index && rules[earlier].slot == rule.slot;
    if (stands_for_it || (rules[earlier].paths & rule.paths).none())
      continue;
    const std::size_t steps = earlier == index ? end : rules[earlier].steps.size();
    for (std::size_t step = 0; step < steps; ++step)
      if (breaks_order_for(rules[earlier], rules[earlier].steps[step], rule, rule.steps[stage]))
        return true;
  }
  return false;
}

bool must_park(const std::vector<RuleProgram>& rules, std::size_t index, std::size_t stage) {
  const std::vector<RuleStep>& steps = rules[index].steps;
  if (steps[stage].impairment.needs_order && is_out_of_order(rules, index, stage, stage))
    return true;
  for (std::size_t later = 0; stage == 0 && later < steps.size(); ++later)
    if (steps[later].impairment.counts_in_order && is_out_of_order(rules, index, 0, later))
      return true;
  return false;
}

void lay_indices(Policy& policy) {
  // Also where no rule needs flows: a witness may. Most paths of a switch have the same rules.
  std::map<std::vector<std::uint16_t>, std::shared_ptr<const RuleIndex>> known;
  for (PathProgram& path : policy.paths) {
    std::shared_ptr<const RuleIndex>& index = known[path.rules];
    if (index == nullptr) {
      std::vector<const RuleMatch*> matches;
      for (const std::uint16_t rule : path.rules) {
        const std::optional<RuleMatch>& match = policy.rules[rule].match;
        matches.push_back(match ? &*match : nullptr);
      }
      index = std::make_shared<const RuleIndex>(matches);
    }
    path.index = index;
  }
}

/// Finds the ports out of which frames of one's own leave.
void lay_schedules(const Scenario& scenario, Policy& policy, Problems& problems) {
  std::size_t streams = 0;
  for (RuleProgram& rule : policy.rules)
    for (RuleStep& step : rule.steps) {
      if (step.impairment.schedule == nullptr)
        continue;
      const FrameSchedule& schedule = *step.impairment.schedule;
      std::string allowed;
      for (std::size_t path = 0; path < policy.paths.size(); ++path) {
        if (!rule.paths.test(path))
          continue;
        const std::uint8_t egress = policy.paths[path].egress;
        const std::string& name = scenario.ports[egress].name;
        allowed += (allowed.empty() ? "" : ", ") + name;
        streams += schedule.to.empty() || schedule.to == name ? 1U : 0U;
        if (schedule.to == name)
          step.inject_to = egress;
      }
      // A rule that a timeline has not given its wires yet, or an offline check, has no paths.
      if (!schedule.to.empty() && !step.inject_to && !allowed.empty())
        problems.push_back(problem_at(
            schedule.to_mark,
            "no packet of rule '" + rule.name + "' goes to port '" + schedule.to + "'", allowed));
    }
  if (streams > kSchedulesMax)
    problems.push_back(problem_at(
        scenario.tree.mark, std::to_string(streams) + " impairments inject, each path counted",
        "at most " + std::to_string(kSchedulesMax)));
}

/// Finds the stages that must see packets at their own times.
void lay_stages(Policy& policy) {
  for (std::size_t index = 0; index < policy.rules.size(); ++index)
    for (std::size_t stage = 0; stage < policy.rules[index].steps.size(); ++stage)
      policy.rules[index].steps[stage].parks = must_park(policy.rules, index, stage);
}

/// Gives the rules' payloads their bits, and the policy what searches for them.
void lay_payloads(const Scenario& scenario, const CompileRequest& request, Policy& policy,
                  Problems& problems) {
  std::vector<const PayloadQuery*> queries;
  std::map<std::string, std::uint16_t> bits;
  for (RuleProgram& rule : policy.rules) {
    if (!rule.match)
      continue;
    for (MatchLeaf* leaf : rule.match->payloads()) {
      const auto next = static_cast<std::uint16_t>(std::min<std::size_t>(bits.size(), UINT16_MAX));
      const auto [known, is_new] = bits.try_emplace(leaf->payload->content(), next);
      leaf->payload_bit = known->second;
      if (is_new)
        queries.push_back(leaf->payload.get());
      rule.asks_payload = true;
      rule.asks_stream |= leaf->payload->stream;
    }
    for (const MatchNode& part : rule.match->root().children)
      if (part.kind == MatchNode::Kind::kLeaf && part.leaf.field == MatchField::kPayload &&
          part.leaf.payload->stream)
        rule.needs_hit = part.leaf.payload_bit;
    for (std::size_t path = 0; path < policy.paths.size(); ++path)
      policy.paths[path].needs_payload |= rule.asks_payload && rule.paths.test(path);
  }
  if (queries.empty())
    return;
  auto database = payload_database_of(queries);
  if (!database) {
    problems.insert(problems.end(), database.error().begin(), database.error().end());
    return;
  }
  const std::shared_ptr<PayloadProgram> before =
      request.previous != nullptr ? request.previous->payload : nullptr;
  const bool same = before != nullptr && before->database() == *database &&
                    before->streams_max() == scenario.streams_max;
  policy.payload =
      same ? before : std::make_shared<PayloadProgram>(*database, scenario.streams_max);
  if (const std::uint64_t bytes = policy.payload->streams_memory_bytes();
      bytes > kStreamsMemoryMaxBytes)
    problems.push_back(problem_at(queries.front()->patterns.front().mark,
                                  std::to_string(scenario.streams_max) + " streams of " +
                                      std::to_string((*database)->stream_bytes()) +
                                      " bytes of state each take " + std::to_string(bytes),
                                  "at most " + std::to_string(kStreamsMemoryMaxBytes) +
                                      " bytes a worker: fewer flows.streams, or other patterns"));
}

/// The rule as it was before, if it goes on and is not begun anew.
const RuleProgram* continued(const RuleSpec& spec, const CompileRequest& request) {
  if (request.previous != nullptr && !request.restarted.contains(spec.name))
    for (const RuleProgram& before : request.previous->rules)
      if (before.name == spec.name && before.enabled)
        return &before;
  return nullptr;
}

/// A rule keeps the lease it began with, also when that has run out: a new lease of the same name
/// does not bring it back.
std::shared_ptr<LeaseTerm> lease_of(const RuleSpec& spec, const CompileRequest& request) {
  if (const RuleProgram* before = continued(spec, request);
      before != nullptr && before->lease_id == spec.lease)
    return before->lease;
  const auto known = request.leases.find(spec.lease);
  return known == request.leases.end() ? nullptr : known->second;
}

std::uint64_t begin_of(const RuleSpec& spec, const CompileRequest& request, bool enabled) {
  if (!enabled)
    return kNever;
  const RuleProgram* before = continued(spec, request);
  return before != nullptr ? before->begins_ns : request.active_from_ns;
}

std::uint64_t ttl_of(const RuleSpec& spec, const CompileRequest& request) {
  switch (spec.ttl) {
    case TtlKind::kNone:
      return kNever;
    case TtlKind::kTime:
      return spec.ttl_ns;
    case TtlKind::kDefault:
      break;
  }
  return request.ttl_default_ns;
}

std::uint64_t expiry_of(const RuleSpec& spec, const CompileRequest& request, bool enabled) {
  if (!enabled)
    return kNever;
  if (const RuleProgram* before = continued(spec, request))
    return before->expires_ns;
  const std::uint64_t ttl_ns = ttl_of(spec, request);
  return ttl_ns == kNever ? kNever : request.active_from_ns + ttl_ns;
}

void compile_rule(const RuleSpec& spec, const Scenario& scenario, const CompileRequest& request,
                  PolicySlots& slots, Policy& policy, Problems& problems) {
  RuleProgram rule;
  rule.name = spec.name;
  rule.name_hash = hash_name(spec.name);
  rule.variant = spec.variant;
  rule.enabled = spec.enabled;
  rule.per = spec.per;
  rule.draw = spec.draw;
  rule.shared = spec.shared;
  rule.final = spec.final;
  rule.portless = spec.portless;
  rule.cuts_in_flight = spec.cuts_in_flight;
  rule.begins_ns = begin_of(spec, request, rule.enabled);
  rule.expires_ns = expiry_of(spec, request, rule.enabled);
  rule.ttl_ns = ttl_of(spec, request);
  rule.switched_ns = request.zero_ns + spec.switched_ns;
  rule.lease_id = spec.lease;
  rule.lease = lease_of(spec, request);
  std::uint32_t slot = 0;
  if (!slots.rules.take(spec.name, slot))
    problems.push_back(problem_at(spec.mark, "too many rules", "at most 1024"));
  rule.slot = static_cast<std::uint16_t>(slot);
  if (spec.match != nullptr)
    rule.match = compile_once(*spec.match, request.cache, problems);
  if (spec.passes_tcp_acks && spec.match == nullptr)
    rule.match = RuleMatch::everything();
  if (spec.passes_tcp_acks && rule.match)
    rule.match->spare_tcp_without_data();
  compile_steps(spec, scenario, request, slots, rule, problems);
  narrow_to_nodes(spec, scenario, rule, problems);
  check_in_flight(spec, rule, problems);
  rule.counts_scopes |= spec.per != Per::kRule && rule.counts_packets();
  rule.needs_connection = (rule.match && rule.match->asks_connection()) ||
                          (rule.uses_dice && rule.draw == Draw::kConnection);
  rule.follows_tcp |= rule.match && rule.match->asks_tcp();
  const bool in_connection = rule.needs_connection || rule.follows_tcp;
  bool needs_flow =
      in_connection || rule.match.has_value() || (rule.uses_dice && rule.draw != Draw::kArrival);
  bool needs_fields = rule.match.has_value();
  for (const RuleStep& step : rule.steps) {
    needs_flow |= step.per != Per::kRule;
    needs_fields |= step.impairment.reads_frames;
  }
  for (std::size_t path_id = 0; path_id < policy.paths.size(); ++path_id) {
    PathProgram& path = policy.paths[path_id];
    if (!path.exists || !may_be_at(spec.from, path.ingress, scenario) ||
        !may_be_at(spec.to, path.egress, scenario))
      continue;
    rule.paths.set(path_id);
    path.rules.push_back(static_cast<std::uint16_t>(policy.rules.size()));
    path.needs_flow |= needs_flow;
    path.needs_fields |= needs_fields;
    path.draws_by_connection |= rule.uses_dice && rule.draw == Draw::kConnection;
    for (const RuleStep& step : rule.steps) path.breaks_order |= step.impairment.breaks_order;
    for (PathProgram* one : {&path, &policy.paths[path.back]}) {
      one->needs_connection |= in_connection;
      one->follows_tcp |= rule.follows_tcp;
    }
  }
  take_carriers(spec, policy, rule);
  // A variant is counted where its rule is.
  const auto written = static_cast<std::size_t>(
      std::ranges::count(policy.rules, std::uint16_t{0}, &RuleProgram::variant));
  const std::vector<std::size_t> varying = rules_of_variation(scenario);
  const auto varies = std::ranges::find(varying, spec.variant == 0 ? written : written - 1);
  if (varies != varying.end())
    rule.variation = static_cast<std::uint8_t>(varies - varying.begin());
  policy.rules.push_back(std::move(rule));
}

/// Rules that are gone give their places back first: a full table may give way to another full one.
void release_old_names(const std::vector<RuleSpec>& rules, PolicySlots& slots) {
  std::set<std::string_view> names;
  for (const RuleSpec& spec : rules) names.insert(spec.name);
  const auto still_there = [&](const std::string& key) {
    return names.contains(std::string_view(key).substr(0, key.find('/')));
  };
  slots.rules.release_unless(still_there);
  slots.states.release_unless(still_there);
}

}  // namespace

std::vector<SwitchProgram> switches_of(const Scenario& scenario) {
  std::vector<SwitchProgram> programs;
  for (const SwitchSpec& one : scenario.switches) {
    SwitchProgram& program = programs.emplace_back();
    for (const std::size_t port : one.ports)
      program.ports.push_back(static_cast<std::uint8_t>(port));
    program.mac_age_ns = one.mac_age_ns;
    program.macs_max = one.macs_max;
  }
  return programs;
}

Result<Policy> compile_policy(const Scenario& scenario, const CompileRequest& request,
                              PolicySlots& slots) {
  return compile_rules(scenario, scenario.rules, request, slots);
}

Result<Policy> compile_rules(const Scenario& scenario, const std::vector<RuleSpec>& rules,
                             const CompileRequest& request, PolicySlots& slots) {
  Policy policy;
  policy.generation = request.generation;
  policy.seed = request.seed;
  policy.name = scenario.name;
  policy.active_from_ns = request.active_from_ns;
  policy.zero_ns = request.zero_ns;
  policy.model = scenario.model;
  lay_paths(scenario, policy);
  PolicySlots next = slots;
  release_old_names(rules, next);
  Problems problems;
  for (const RuleSpec& spec : rules) compile_rule(spec, scenario, request, next, policy, problems);
  lay_triggers(scenario, request.board, policy);
  lay_indices(policy);
  lay_stages(policy);
  lay_schedules(scenario, policy, problems);
  check_delays(scenario, policy, problems);
  number_copies(policy, scenario, problems);
  find_last_copies(policy);
  lay_payloads(scenario, request, policy, problems);
  if (!problems.empty())
    return tl::unexpected(std::move(problems));
  next.rules.release_unused();
  next.states.release_unused();
  for (const std::uint32_t slot : next.rules.take_fresh())
    policy.fresh_rules.push_back(static_cast<std::uint16_t>(slot));
  policy.fresh_states = next.states.take_fresh();
  slots = std::move(next);
  return policy;
}

}  // namespace faultline
