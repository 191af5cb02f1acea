// Changes of policy: from a request to a policy that every worker uses.
#include <algorithm>

#include <fmt/format.h>

#include "base/seed.hpp"
#include "base/tsc_clock.hpp"
#include "control/engine.hpp"
#include "control/trigger_json.hpp"
#include "control/wait.hpp"
#include "policy/capacity.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kActiveAfterNs = kNsPerMs;
constexpr std::uint64_t kTtlDefaultNs = 3600 * kNsPerSecond;
constexpr std::uint64_t kAdoptionTimeoutNs = 2 * kNsPerSecond;
/// Policies kept for packets that will be judged by them again.
constexpr std::size_t kRetiredMax = 256;

bool same_port(const PortSpec& left, const PortSpec& right) {
  return left.name == right.name && left.settings == right.settings;
}

bool same_wire(const WireSpec& left, const WireSpec& right) {
  return left.name == right.name && left.first == right.first && left.second == right.second &&
         left.mirrors == right.mirrors;
}

std::string names_of(const std::vector<PortSpec>& ports) {
  std::string text;
  for (const PortSpec& port : ports)
    text += fmt::format("{}{} ({}{}{})", text.empty() ? "" : ", ", port.name,
                        driver_name(port.settings.driver),
                        port.settings.interface.empty() ? "" : " ", port.settings.interface);
  return text;
}

/// A worker may skip a policy, because it stood still or the timeline is another now: what that one
/// asked to be done once, the next asks.
void take_over(const Policy& skipped, Policy& next) {
  next.fresh_rules.insert(next.fresh_rules.end(), skipped.fresh_rules.begin(),
                          skipped.fresh_rules.end());
  next.fresh_states.insert(next.fresh_states.end(), skipped.fresh_states.begin(),
                           skipped.fresh_states.end());
  next.begins_run |= skipped.begins_run;
  if (next.held == HeldAction::kKeep) {
    next.held = skipped.held;
    next.held_drop_reason = skipped.held_drop_reason;
  }
}

tl::unexpected<ChangeFailure> refuse(Refusal refusal, std::string detail, Problems problems = {}) {
  return tl::unexpected(ChangeFailure{refusal, std::move(detail), std::move(problems)});
}

std::string lease_missing(const Policy& policy) {
  for (const RuleProgram& rule : policy.rules)
    if (rule.may_apply() && !rule.lease_id.empty() && rule.lease == nullptr)
      return fmt::format(
          "rule '{0}' hangs on lease '{1}', which nobody holds: PUT /v1/leases/{1} "
          "first",
          rule.name, rule.lease_id);
  return {};
}

/// The body of a rule's request as a mapping that may carry the rule's own name and no other.
tl::expected<ConfigNode, ChangeFailure> read_rule_body(const std::string& name,
                                                       const std::string& text) {
  Result<ConfigNode> body = parse_config(text, intern_file_name("rules/" + name));
  if (!body)
    return refuse(Refusal::kUnreadable, "the body cannot be read", body.error());
  if (!body->is_mapping())
    return refuse(Refusal::kInvalid, "the body is " + describe(*body) + ", not keys of a rule");
  if (const ConfigNode* other = body->find("name"); other != nullptr && other->text != name)
    return refuse(Refusal::kInvalid, "a rule cannot be renamed",
                  {problem_at(other->mark, "name is " + describe(*other), name)});
  return std::move(*body);
}

/// {name, optional, ttl, lease, impair: [{partition: the rest of the body}]}.
ConfigNode partition_rule(const std::string& name, ConfigNode body) {
  ConfigNode rule;
  rule.kind = ConfigNode::Kind::kMapping;
  rule.mark = body.mark;
  rule.set("name", scalar_node(name, body.mark));
  rule.set("optional", scalar_node("true", body.mark));
  for (const std::string_view key : {"ttl", "lease", "in_flight"})
    if (const ConfigNode* value = body.find(key))
      rule.set(key, *value);
  std::erase_if(body.entries, [](const ConfigEntry& entry) {
    return entry.key == "ttl" || entry.key == "lease" || entry.key == "in_flight";
  });
  ConfigNode item;
  item.kind = ConfigNode::Kind::kMapping;
  item.mark = body.mark;
  item.set("partition", std::move(body));
  ConfigNode impair;
  impair.kind = ConfigNode::Kind::kSequence;
  impair.mark = item.mark;
  impair.items.push_back(std::move(item));
  rule.set("impair", std::move(impair));
  return rule;
}

}  // namespace

Engine::Request Engine::request_for(std::string what) const {
  Request request;
  request.what = std::move(what);
  request.tree = tree_;
  request.seed = publisher_->current().seed;
  return request;
}

ChangeResult Engine::put_policy(const std::string& text, IfGeneration if_generation) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(if_generation))
    return tl::unexpected(std::move(*failed));
  tl::expected<Request, ChangeFailure> request = request_of_policy(text);
  if (!request)
    return tl::unexpected(std::move(request.error()));
  return change(std::move(*request));
}

tl::expected<Engine::Request, ChangeFailure> Engine::request_of_policy(const std::string& text) {
  Result<ConfigNode> tree = parse_config(text, intern_file_name("policy"));
  if (!tree)
    return refuse(Refusal::kUnreadable, "the body cannot be read", tree.error());
  if (tree->is_mapping())
    for (const std::string_view key : {"ports", "wires", "switches", "nodes"})
      if (const ConfigNode* ours = base_.tree.find(key); ours != nullptr && !tree->find(key))
        tree->set(key, *ours);
  Request request;
  request.what = "policy";
  request.tree = std::move(*tree);
  request.restart_all = true;
  return request;
}

ChangeResult Engine::put_rule(const std::string& name, const std::string& text,
                              IfGeneration if_generation) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(if_generation))
    return tl::unexpected(std::move(*failed));
  tl::expected<ConfigNode, ChangeFailure> body = read_rule_body(name, text);
  if (!body)
    return tl::unexpected(std::move(body.error()));
  if (body->find("name") == nullptr)
    body->set("name", scalar_node(name, body->mark));
  Request request = request_for("rule " + name);
  request.created = find_rule(request.tree, name) == nullptr;
  request.restarted.insert(name);
  if (timeline_runs_) {
    const ConfigNode* enabled = body->find("enabled");
    request.switched[name] = enabled == nullptr || enabled->text != "false";
  }
  faultline::put_rule(request.tree, name, std::move(*body));
  return change(std::move(request));
}

ChangeResult Engine::put_partition(const std::string& text, IfGeneration if_generation) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(if_generation))
    return tl::unexpected(std::move(*failed));
  Result<ConfigNode> body = parse_config(text, intern_file_name("partition"));
  if (!body)
    return refuse(Refusal::kUnreadable, "the body cannot be read", body.error());
  if (!body->is_mapping())
    return refuse(Refusal::kInvalid, "the body is " + describe(*body) + ", not a partition");
  Request request = request_for("partition");
  request.created = find_rule(request.tree, kPartitionRule) == nullptr;
  request.restarted.insert(kPartitionRule);
  put_rule_first(request.tree, kPartitionRule, partition_rule(kPartitionRule, std::move(*body)));
  return change(std::move(request));
}

ChangeResult Engine::patch_rule(const std::string& name, const std::string& text,
                                IfGeneration if_generation) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(if_generation))
    return tl::unexpected(std::move(*failed));
  Request request = request_for("rule " + name);
  ConfigNode* rule = find_rule(request.tree, name);
  const tl::expected<ConfigNode, ChangeFailure> patch = read_rule_body(name, text);
  if (!patch)
    return tl::unexpected(patch.error());
  if (rule == nullptr)
    return switch_fault(name, *patch);
  for (const ConfigEntry& entry : patch->entries) rule->set(entry.key, entry.value);
  const ConfigNode* enabled = patch->find("enabled");
  if ((enabled != nullptr && enabled->text == "true") || patch->find("ttl") != nullptr)
    request.restarted.insert(name);
  if (enabled != nullptr && timeline_runs_)
    request.switched[name] = enabled->text == "true";
  return change(std::move(request));
}

ChangeResult Engine::remove_rule(const std::string& name, IfGeneration if_generation) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(if_generation))
    return tl::unexpected(std::move(*failed));
  Request request = request_for("rule " + name + " removed");
  if (!faultline::remove_rule(request.tree, name))
    return refuse(Refusal::kNotFound, "there is no rule '" + name + "'");
  return change(std::move(request));
}

ChangeResult Engine::heal(HeldAction held, IfGeneration if_generation) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(if_generation);
      failed && failed->refusal == Refusal::kPrecondition)
    return tl::unexpected(std::move(*failed));
  if (Run* run = runs_.current(); run != nullptr)
    stop_run(*run, "heal");
  return heal_now(held, "heal");
}

ChangeResult Engine::heal_now(HeldAction held, std::string what) {
  Request request = request_for(std::move(what));
  request.held = held;
  request.stop_timeline = true;
  disable_all(request.tree);
  return change(std::move(request));
}

ChangeResult Engine::start() {
  const std::lock_guard lock(mutex_);
  Request request = request_for("start");
  request.tree = base_.tree;
  request.restart_all = true;
  return change(std::move(request));
}

ChangeResult Engine::put_lease(const std::string& id, std::uint64_t ttl_ns) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t now_ns = clock_.now_ns();
  const Leases::Put put = leases_.put(id, now_ns + ttl_ns, now_ns);
  if (put == Leases::Put::kTooMany)
    return refuse(Refusal::kConflict, fmt::format("there are {} leases already", Leases::kMax));
  const bool made = put == Leases::Put::kMade;
  if (made)
    events_.add(now_ns - start_ns_, "lease", {{"id", id}, {"state", "made"}});
  return Change{publisher_->current().generation, publisher_->current().seed, made};
}

tl::expected<Json, ChangeFailure> Engine::call_trigger(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto spec = std::ranges::find(triggers_, name, &TriggerSpec::call);
  if (spec == triggers_.end())
    return tl::unexpected(
        ChangeFailure{Refusal::kNotFound, "no trigger waits for the call '" + name + "'", {}});
  const auto first = static_cast<std::size_t>(spec - triggers_.begin());
  for (std::size_t index = first; index < triggers_.size(); ++index)
    if (triggers_[index].call == name)
      board_->fire(index, clock_.now_ns());
  watch_triggers(clock_.now_ns());
  return trigger_json(publisher_->current(), first, port_names());
}

ChangeResult Engine::remove_lease(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (!leases_.remove(id))
    return refuse(Refusal::kNotFound, "there is no lease '" + id + "'");
  events_.add(uptime_ns(), "lease", {{"id", id}, {"state", "removed"}});
  // A new policy makes the workers look at once.
  return change(request_for("lease " + id + " removed"));
}

/// A fault on the timeline is a rule that nobody wrote: it can be switched.
ChangeResult Engine::switch_fault(const std::string& name, const ConfigNode& patch) {
  const ConfigNode* enabled = patch.find("enabled");
  const bool known = std::ranges::any_of(
      publisher_->current().rules, [&](const RuleProgram& rule) { return rule.name == name; });
  if (!known)
    return refuse(Refusal::kNotFound, "there is no rule '" + name + "'");
  Problems problems;
  for (const ConfigEntry& entry : patch.entries)
    if (entry.key != "enabled" && entry.key != "name")
      problems.push_back(
          problem_at(entry.key_mark,
                     "'" + entry.key + "' of '" + name + "', a fault on the timeline", "enabled"));
  if (enabled == nullptr)
    problems.push_back(problem_at(patch.mark, "nothing to do with '" + name + "'", "enabled"));
  const bool on = enabled != nullptr && read_bool(*enabled, problems).value_or(false);
  if (!problems.empty())
    return refuse(Refusal::kInvalid, "a fault on the timeline can only be switched", problems);
  Request request = request_for("rule " + name);
  request.switched[name] = on;
  if (on)
    request.restarted.insert(name);
  return change(std::move(request));
}

void Engine::lay_switches(Scenario& scenario, const Request& request, std::uint64_t at_ns) const {
  if (request.stop_timeline || (!request.restart_all && !timeline_runs_)) {
    scenario.timeline.clear();
    scenario.triggers.clear();
  }
  if (request.restart_all || request.stop_timeline)
    return;
  std::map<std::string, Switched> all = switched_;
  for (const auto& [name, on] : request.switched) all[name] = {at_ns, on};
  for (std::size_t rule = 0; rule < scenario.rules.size(); ++rule)
    if (const auto found = all.find(scenario.rules[rule].name); found != all.end())
      scenario.timeline.push_back(
          {.at_ns = found->second.at_ns,
           .rule = rule,
           .action = found->second.on ? TimelineAction::kEnable : TimelineAction::kDisable});
}

std::optional<ChangeFailure> Engine::check_fits(const Scenario& scenario,
                                                const PolicyChain& chain) const {
  const auto conflict = [](std::string why) {
    return ChangeFailure{Refusal::kConflict, std::move(why), {}};
  };
  for (const std::unique_ptr<Policy>& policy : chain) {
    if (std::string unshareable = unshareable_rule(*policy, layout_); !unshareable.empty())
      return conflict(std::move(unshareable));
    if (const Capacity capacity = capacity_of(scenario, *policy, 0, layout_);
        capacity.must_refuse())
      return conflict(capacity.misfit);
    if (std::string missing = lease_missing(*policy); !missing.empty())
      return conflict(std::move(missing));
    if (policy->payload != nullptr)
      if (auto prepared = policy->payload->prepare(static_cast<std::uint32_t>(layout_.workers));
          !prepared)
        return conflict(to_line(prepared.error().front()));
  }
  return std::nullopt;
}

ChangeResult Engine::change(Request request) {
  if (request.seed != 0 || (request.tree.is_mapping() && request.tree.find("seed") == nullptr))
    request.tree.set("seed",
                     scalar_node(std::to_string(request.seed != 0 ? request.seed : draw_seed()),
                                 request.tree.mark));
  Result<Scenario> scenario = read_scenario(request.tree, ScenarioUse::kLive);
  if (!scenario)
    return refuse(Refusal::kInvalid, "the policy is not valid", scenario.error());
  if (auto failed = check_same_machine(*scenario))
    return tl::unexpected(std::move(*failed));
  CompileRequest compile;
  compile.generation = publisher_->chain().back()->generation + 1;
  compile.seed = request.seed != 0 ? request.seed : scenario->seed.value_or(draw_seed());
  compile.active_from_ns = request.run ? request.run->zero_ns : clock_.now_ns() + kActiveAfterNs;
  compile.zero_ns = request.restart_all ? compile.active_from_ns : publisher_->current().zero_ns;
  compile.ttl_default_ns = kTtlDefaultNs;
  const Run* run = request.run ? &*request.run : runs_.current();
  const bool goes_on = request.run || (run != nullptr && run->ended_by.empty() &&
                                       !request.restart_all && !request.stop_timeline);
  if (goes_on) {
    compile.ends_ns = run->ends_ns;
    compile.ttl_default_ns = run->ends_ns - run->zero_ns;
    for (RuleSpec& rule : scenario->rules)
      if (rule.lease.empty())
        rule.lease = run->lease;
  }
  compile.begins_run = request.run.has_value();
  compile.previous = request.restart_all ? nullptr : &publisher_->in_force(compile.active_from_ns);
  compile.restarted = request.restarted;
  compile.leases = leases_.terms();
  compile.own_latency_ns = own_latency_ns_;
  // Places in workers' arrays change hands only with a policy that is published.
  PolicySlots slots = slots_;
  lay_switches(*scenario, request, compile.active_from_ns - compile.zero_ns);
  const std::size_t triggers = scenario->triggers.size();
  const bool same_triggers =
      !request.restart_all && board_ != nullptr && board_->size() == triggers;
  compile.board = triggers == 0   ? nullptr
                  : same_triggers ? board_
                                  : std::make_shared<TriggerBoard>(scenario->triggers);
  Result<PolicyChain> chain = compile_chain(*scenario, compile, slots);
  if (!chain)
    return refuse(Refusal::kInvalid, "the policy is not valid", chain.error());
  scenario->hold_bytes = base_.hold_bytes;
  if (auto failed = check_fits(*scenario, *chain))
    return tl::unexpected(std::move(*failed));
  if (request.restart_all && runs_.current() != nullptr) {
    stop_run(*runs_.current(), "policy");
    close_run(*runs_.current(), clock_.now_ns());  // its rules are about to go
  }
  if (auto failed =
          open_captures(scenario->captures, request.run ? &*request.run : nullptr, *chain))
    return tl::unexpected(std::move(*failed));
  if (request.run) {
    request.run->stop = scenario->stop;
    request.run->has_captures = !scenario->captures.empty();
  }
  slots_ = std::move(slots);
  request.tree = std::move(scenario->tree);  // with presets expanded: their rules have names
  if (board_ != compile.board)
    trigger_news_.assign(triggers, {});
  board_ = compile.board;
  triggers_ = std::move(scenario->triggers);
  return publish(std::move(*chain), std::move(request));
}

ChangeResult Engine::publish(PolicyChain chain, Request request) {
  Policy& first = *chain.front();
  first.held = request.held;
  std::uint64_t adopted = UINT64_MAX;
  for (const LiveWorker* worker : worker_pointers())
    adopted = std::min(adopted, worker->adopted_generation());
  for (const std::unique_ptr<Policy>& before : publisher_->chain())
    if (before->generation > adopted)
      take_over(*before, first);
  const std::uint64_t generation = first.generation;
  const std::uint64_t now_ns = clock_.now_ns();
  watch_timeline(now_ns);
  watch_ends(now_ns);
  std::vector<DeviceCounters> devices;
  for (std::size_t port = 0; request.run && port < wiring_->ports(); ++port)
    devices.push_back(wiring_->counters(port));
  recorders_->add_names(chain);
  publisher_->publish(std::move(chain));
  generation_.store(generation, std::memory_order_relaxed);
  tree_ = std::move(request.tree);
  watched_ = &publisher_->current();
  if (request.restart_all || request.stop_timeline) {
    timeline_runs_ = request.restart_all;
    switched_.clear();
  }
  for (const auto& [name, on] : request.switched)
    switched_[name] = {watched_->active_from_ns - watched_->zero_ns, on};
  note_active(now_ns);
  events_.add(uptime_ns(), "policy", {{"generation", generation}, {"what", request.what}});
  if (request.run) {
    Run& run = runs_.begin(std::move(*request.run));
    run.name = watched_->name;
    run.seed = watched_->seed;
    devices_before_ = std::move(devices);
    events_.add(run.zero_ns - start_ns_, "run", {{"id", run.id}, {"state", "begun"}});
  }
  return wait_for_adoption(request.created);
}

ChangeResult Engine::wait_for_adoption(bool created) {
  const std::vector<LiveWorker*> workers = worker_pointers();
  const bool adopted =
      wait_until(kAdoptionTimeoutNs, [&] { return publisher_->adopted_by_all(workers); });
  const Policy& current = publisher_->current();
  if (!adopted)
    return refuse(Refusal::kNotAdopted,
                  fmt::format("generation {} is published, but a worker has not taken it up",
                              current.generation));
  publisher_->reclaim(workers);
  return Change{current.generation, current.seed, created};
}

std::optional<ChangeFailure> Engine::check_may_change(IfGeneration expected) const {
  const std::uint64_t current = publisher_->current().generation;
  if (publisher_->retired() >= kRetiredMax)
    return ChangeFailure{
        Refusal::kConflict,
        fmt::format("packets of {} earlier policies are still on their way: heal, or wait",
                    publisher_->retired()),
        {}};
  if (!expected || *expected == current)
    return std::nullopt;
  return ChangeFailure{
      Refusal::kPrecondition, fmt::format("the generation is {}, not {}", current, *expected), {}};
}

/// Ports, wires and what was allocated for them are settled when the daemon starts.
std::optional<ChangeFailure> Engine::check_same_machine(const Scenario& scenario) const {
  if (!std::ranges::equal(scenario.ports, base_.ports, same_port))
    return ChangeFailure{Refusal::kConflict,
                         fmt::format("the daemon's ports are {}; the scenario's are {}",
                                     names_of(base_.ports), names_of(scenario.ports)),
                         {}};
  if (!std::ranges::equal(scenario.wires, base_.wires, same_wire))
    return ChangeFailure{Refusal::kConflict, "the scenario joins the ports by other wires", {}};
  if (scenario.switches != base_.switches)
    return ChangeFailure{Refusal::kConflict, "the scenario joins the ports by other switches", {}};
  const bool same_flows =
      scenario.tree.find("flows") == nullptr ||
      (scenario.flows_max == base_.flows_max && scenario.flow_idle_ns == base_.flow_idle_ns);
  if (scenario.tree.find("workers") != nullptr && scenario.workers != base_.workers)
    return ChangeFailure{Refusal::kConflict, "workers: are settled when the daemon starts", {}};
  const bool same_hold = !scenario.hold_bytes || scenario.hold_bytes == base_.hold_bytes;
  if (!same_flows || !same_hold)
    return ChangeFailure{Refusal::kConflict,
                         "flows: and hold: are settled when the daemon starts; leave them out or "
                         "start it with this scenario",
                         {}};
  return std::nullopt;
}

}  // namespace faultline
