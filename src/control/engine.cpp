// Changing policies and answering questions.
#include "control/engine.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/seed.hpp"
#include "control/version.hpp"
#include "policy/capacity.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kActiveAfterNs = kNsPerMs;
constexpr std::uint64_t kTtlDefaultNs = 3600 * kNsPerSecond;
constexpr std::uint64_t kAdoptionTimeoutNs = 2 * kNsPerSecond;
constexpr std::uint64_t kSnapshotTimeoutNs = 500 * kNsPerMs;
/// Policies kept for packets that will be judged by them again.
constexpr std::size_t kRetiredMax = 256;
constexpr std::uint64_t kReclaimEveryNs = 100 * kNsPerMs;
constexpr std::uint64_t kRefineEveryNs = kNsPerSecond;

void pause_briefly() {
  const timespec pause{0, 50'000};
  nanosleep(&pause, nullptr);
}

/// Waits for `done` at most `timeout_ns`.
template <typename Done>
bool wait_until(std::uint64_t timeout_ns, const Done& done) {
  const std::uint64_t give_up_ns = monotonic_ns() + timeout_ns;
  while (!done()) {
    if (monotonic_ns() > give_up_ns)
      return false;
    pause_briefly();
  }
  return true;
}

void disable_all(ConfigNode& tree) {
  ConfigNode* rules = tree.find("rules");
  if (rules == nullptr)
    return;
  for (ConfigNode& rule : rules->items) {
    ConfigNode off;
    off.kind = ConfigNode::Kind::kScalar;
    off.text = "false";
    off.mark = rule.mark;
    rule.set("enabled", std::move(off));
  }
}

ConfigNode* find_rule(ConfigNode& tree, const std::string& name) {
  ConfigNode* rules = tree.find("rules");
  if (rules == nullptr)
    return nullptr;
  for (ConfigNode& rule : rules->items)
    if (const ConfigNode* node = rule.find("name"); node != nullptr && node->text == name)
      return &rule;
  return nullptr;
}

/// Plain numbers and truth values as such, everything else as text.
Json scalar_to_json(const ConfigNode& node) {
  if (node.quoted)
    return node.text;
  if (node.text == "true" || node.text == "false")
    return node.text == "true";
  std::uint64_t number = 0;
  const char* end = node.text.data() + node.text.size();
  const auto parsed = std::from_chars(node.text.data(), end, number);
  if (parsed.ec == std::errc{} && parsed.ptr == end)
    return number;
  return node.text;
}

// Bounded by kConfigDepthMax, which the parser enforces.
Json to_json(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return nullptr;
    case ConfigNode::Kind::kScalar:
      return scalar_to_json(node);
    case ConfigNode::Kind::kSequence: {
      Json list = Json::array();
      for (const ConfigNode& item : node.items) list.push_back(to_json(item));
      return list;
    }
    case ConfigNode::Kind::kMapping: {
      Json object = Json::object();
      for (const ConfigEntry& entry : node.entries) object[entry.key] = to_json(entry.value);
      return object;
    }
  }
  return nullptr;
}

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

/// A worker that stood still may skip a policy: what that one asked to be done once, the next asks.
void take_over(const Policy& skipped, Policy& next) {
  next.fresh_rules.insert(next.fresh_rules.end(), skipped.fresh_rules.begin(),
                          skipped.fresh_rules.end());
  next.fresh_states.insert(next.fresh_states.end(), skipped.fresh_states.begin(),
                           skipped.fresh_states.end());
  if (next.held == HeldAction::kKeep) {
    next.held = skipped.held;
    next.held_drop_reason = skipped.held_drop_reason;
  }
}

tl::unexpected<ChangeFailure> refuse(Refusal refusal, std::string detail, Problems problems = {}) {
  return tl::unexpected(ChangeFailure{refusal, std::move(detail), std::move(problems)});
}

}  // namespace

Engine::Engine(Scenario scenario, WorkerLayout layout, TscClock& clock)
    : base_(std::move(scenario)),
      layout_(std::move(layout)),
      slots_(base_.ports.size()),
      clock_(clock),
      start_ns_(clock.now_ns()) {}

Result<std::unique_ptr<Engine>> Engine::create(Scenario scenario, WorkerLayout layout,
                                               TscClock& clock) {
  std::unique_ptr<Engine> engine(new Engine(std::move(scenario), std::move(layout), clock));
  engine->tree_ = engine->base_.tree;
  disable_all(engine->tree_);
  const Result<Scenario> pass_through = read_scenario(engine->tree_, ScenarioUse::kLive);
  if (!pass_through)
    return tl::unexpected(pass_through.error());
  CompileRequest request;
  request.seed = engine->base_.seed ? *engine->base_.seed : draw_seed();
  Result<Policy> policy = compile_policy(*pass_through, request, engine->slots_);
  if (!policy)
    return tl::unexpected(policy.error());
  engine->publisher_ = std::make_unique<Publisher>(kWorkersMax);
  engine->publisher_->publish(std::make_unique<const Policy>(std::move(*policy)));
  return engine;
}

void Engine::attach(std::vector<EngineWorker> workers, std::unique_ptr<Wiring> wiring) {
  workers_ = std::move(workers);
  wiring_ = std::move(wiring);
  busy_marks_.resize(workers_.size());
}

void Engine::housekeeping(std::uint64_t now_ns) {
  for (std::size_t port = 0; port < wiring_->ports(); ++port) wiring_->device(port).watch_link();
  if (now_ns >= next_refine_ns_) {
    clock_.refine();
    next_refine_ns_ = now_ns + kRefineEveryNs;
  }
  if (now_ns >= next_reclaim_ns_) {
    if (const std::unique_lock lock(mutex_, std::try_to_lock); lock)
      publisher_->reclaim(worker_pointers());
    next_reclaim_ns_ = now_ns + kReclaimEveryNs;
  }
}

std::vector<LiveWorker*> Engine::worker_pointers() const {
  std::vector<LiveWorker*> pointers;
  for (const EngineWorker& worker : workers_) pointers.push_back(worker.worker.get());
  return pointers;
}

// --- changes -------------------------------------------------------------------------------------

ChangeResult Engine::put_policy(const std::string& text,
                                std::optional<std::uint64_t> if_generation) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(if_generation))
    return tl::unexpected(std::move(*failed));
  Result<ConfigNode> tree = parse_config(text, intern_file_name("policy"));
  if (!tree)
    return refuse(Refusal::kUnreadable, "the body cannot be read", tree.error());
  if (tree->is_mapping())
    for (const std::string_view key : {"ports", "wires"})
      if (const ConfigNode* ours = base_.tree.find(key); ours != nullptr && !tree->find(key))
        tree->set(key, *ours);
  Request request;
  request.tree = std::move(*tree);
  request.restart_all = true;
  return change(std::move(request));
}

ChangeResult Engine::patch_rule(const std::string& name, const std::string& text,
                                std::optional<std::uint64_t> if_generation) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(if_generation))
    return tl::unexpected(std::move(*failed));
  Request request;
  request.tree = tree_;
  request.seed = publisher_->current().seed;
  ConfigNode* rule = find_rule(request.tree, name);
  if (rule == nullptr)
    return refuse(Refusal::kNotFound, "there is no rule '" + name + "'");
  const Result<ConfigNode> patch = parse_config(text, intern_file_name("rules/" + name));
  if (!patch)
    return refuse(Refusal::kUnreadable, "the body cannot be read", patch.error());
  if (!patch->is_mapping())
    return refuse(Refusal::kInvalid, "the body is " + describe(*patch) + ", not keys of a rule");
  for (const ConfigEntry& entry : patch->entries) {
    if (entry.key == "name" && entry.value.text != name)
      return refuse(Refusal::kInvalid, "a rule cannot be renamed",
                    {problem_at(entry.value.mark, "name is " + describe(entry.value), name)});
    rule->set(entry.key, entry.value);
  }
  const ConfigNode* enabled = patch->find("enabled");
  if ((enabled != nullptr && enabled->text == "true") || patch->find("ttl") != nullptr)
    request.restarted.insert(name);
  return change(std::move(request));
}

ChangeResult Engine::heal(HeldAction held) {
  const std::lock_guard lock(mutex_);
  Request request;
  request.tree = tree_;
  request.seed = publisher_->current().seed;
  request.held = held;
  disable_all(request.tree);
  return change(std::move(request));
}

ChangeResult Engine::start() {
  const std::lock_guard lock(mutex_);
  Request request;
  request.tree = base_.tree;
  request.seed = publisher_->current().seed;
  request.restart_all = true;
  return change(std::move(request));
}

ChangeResult Engine::change(Request request) {
  Result<Scenario> scenario = read_scenario(request.tree, ScenarioUse::kLive);
  if (!scenario)
    return refuse(Refusal::kInvalid, "the policy is not valid", scenario.error());
  if (auto failed = check_same_machine(*scenario))
    return tl::unexpected(std::move(*failed));
  CompileRequest compile;
  compile.generation = publisher_->current().generation + 1;
  compile.seed = request.seed != 0 ? request.seed : scenario->seed.value_or(draw_seed());
  compile.active_from_ns = clock_.now_ns() + kActiveAfterNs;
  compile.zero_ns =
      request.restart_all ? compile.active_from_ns : publisher_->current().zero_ns;
  compile.ttl_default_ns = kTtlDefaultNs;
  compile.previous = request.restart_all ? nullptr : &publisher_->current();
  compile.restarted = std::move(request.restarted);
  Result<Policy> policy = compile_policy(*scenario, compile, slots_);
  if (!policy)
    return refuse(Refusal::kInvalid, "the policy is not valid", policy.error());
  if (std::string unshareable = unshareable_rule(*policy, layout_); !unshareable.empty())
    return refuse(Refusal::kConflict, std::move(unshareable));
  scenario->hold_bytes = base_.hold_bytes;
  if (const Capacity capacity = capacity_of(*scenario, *policy, 0, layout_); capacity.must_refuse())
    return refuse(Refusal::kConflict, capacity.misfit);
  policy->held = request.held;
  if (!publisher_->adopted_by_all(worker_pointers()))
    take_over(publisher_->current(), *policy);
  publisher_->publish(std::make_unique<const Policy>(std::move(*policy)));
  tree_ = std::move(request.tree);
  return wait_for_adoption();
}

ChangeResult Engine::wait_for_adoption() {
  const std::vector<LiveWorker*> workers = worker_pointers();
  const bool adopted =
      wait_until(kAdoptionTimeoutNs, [&] { return publisher_->adopted_by_all(workers); });
  const Policy& current = publisher_->current();
  if (!adopted)
    return refuse(Refusal::kNotAdopted,
                  fmt::format("generation {} is published, but a worker has not taken it up",
                              current.generation));
  publisher_->reclaim(workers);
  return Change{current.generation, current.seed};
}

std::optional<ChangeFailure> Engine::check_may_change(std::optional<std::uint64_t> expected) const {
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

// --- answers -------------------------------------------------------------------------------------

std::uint64_t Engine::uptime_ns() const {
  return clock_.now_ns() - start_ns_;
}

Engine::Gathered Engine::gather() {
  std::vector<std::string> names;
  for (const PortSpec& port : base_.ports) names.push_back(port.name);
  Gathered gathered{StatisticsSum(publisher_->current(), names), {}, {}};
  for (EngineWorker& each : workers_) each.worker->snapshots().request();
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    LiveWorker& worker = *workers_[index].worker;
    const bool answered = wait_until(kSnapshotTimeoutNs, [&] { return worker.snapshots().done(); });
    gathered.stalled.push_back(!answered);
    gathered.busy.push_back(0.0);
    if (!answered)
      continue;
    const WorkerSnapshot& snapshot = worker.snapshots().get();
    gathered.sum.add(snapshot);
    gathered.sum.add_lateness(worker.lateness());
    const Policy& policy = publisher_->current();
    for (std::size_t rule = 0; rule < policy.rules.size(); ++rule)
      gathered.sum.add_delays(rule, worker.delays_of(policy.rules[rule].slot));
    BusyMark& mark = busy_marks_[index];
    if (snapshot.now_ns > mark.now_ns)
      gathered.busy.back() = static_cast<double>(snapshot.busy_ns - mark.busy_ns) /
                             static_cast<double>(snapshot.now_ns - mark.now_ns);
    mark = {snapshot.busy_ns, snapshot.now_ns};
  }
  for (std::size_t port = 0; port < wiring_->ports(); ++port)
    gathered.sum.set_device(port, wiring_->counters(port));
  return gathered;
}

Json Engine::status() {
  const std::lock_guard lock(mutex_);
  const Gathered gathered = gather();
  const Policy& policy = publisher_->current();
  bool stalled = false;
  Json workers = Json::array();
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    stalled |= gathered.stalled[index];
    workers.push_back({{"core", workers_[index].core},
                       {"busy", gathered.busy[index]},
                       {"stalled", static_cast<bool>(gathered.stalled[index])}});
  }
  const bool injecting = policy.any_active_at(clock_.now_ns());
  return {{"state", stalled     ? "degraded"
                    : injecting ? "injecting"
                                : "pass-through"},
          {"ready", !workers_.empty() && !stalled},
          {"version", kVersion},
          {"name", policy.name},
          {"seed", policy.seed},
          {"generation", policy.generation},
          {"uptime_ns", uptime_ns()},
          {"workers", workers},
          {"clock", {{"tsc_hz", clock_.ticks_per_second()}, {"error_ppm", clock_.error_ppm()}}},
          {"pid", getpid()},
          {"own_drops", gathered.sum.own_drops()}};
}

Json Engine::statistics() {
  const std::lock_guard lock(mutex_);
  return gather().sum.to_json(uptime_ns());
}

Json Engine::rule_json(const RuleProgram& rule, const ConfigNode& written, std::uint64_t now_ns,
                       const RuleCounters& counters) const {
  Json json = to_json(written);
  json["name"] = rule.name;
  json["enabled"] = rule.enabled;
  json["active"] = rule.active_at(now_ns);
  json["expires_ns"] =
      rule.expires_ns == kNever ? Json(nullptr) : Json(rule.expires_ns - start_ns_);
  json["matched"] = counters.matched;
  json["dropped"] = counters.dropped;
  json["delayed"] = counters.delayed;
  return json;
}

Json Engine::rules() {
  const std::lock_guard lock(mutex_);
  const Gathered gathered = gather();
  const Policy& policy = publisher_->current();
  const std::uint64_t now_ns = clock_.now_ns();
  Json rules = Json::array();
  for (const RuleProgram& rule : policy.rules)
    if (const ConfigNode* written = find_rule(tree_, rule.name))
      rules.push_back(rule_json(rule, *written, now_ns, gathered.sum.total().rules[rule.slot]));
  return {{"generation", policy.generation}, {"rules", rules}};
}

Json Engine::rule(const std::string& name) {
  Json all = rules();
  for (Json& rule : all["rules"])
    if (rule["name"] == name)
      return rule;
  return nullptr;
}

}  // namespace faultline
