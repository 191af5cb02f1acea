// Answers: what the workers count, and what the daemon is, as JSON.
#include <unistd.h>

#include <algorithm>

#include "control/engine.hpp"
#include "control/trigger_json.hpp"
#include "control/version.hpp"
#include "control/wait.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kAnswerTimeoutNs = 500 * kNsPerMs;

/// When a rule of the policy in force ends by its own time, a trigger's, or the timeline's.
std::uint64_t end_of(const RuleProgram& rule, const Policy& policy, std::uint64_t now_ns) {
  const std::uint64_t ends_ns = rule.term_at(now_ns).ends_ns;
  const std::size_t index = static_cast<std::size_t>(&rule - policy.rules.data());
  if (!rule.enabled)
    return ends_ns;
  for (const Policy* next = policy.next; next != nullptr; next = next->next)
    if (!next->rules[index].enabled)
      return std::min(ends_ns, next->active_from_ns);
  return ends_ns;
}

}  // namespace

Engine::Gathered Engine::gather() {
  Gathered gathered{StatisticsSum(publisher_->current(), port_names()), {}};
  for (EngineWorker& each : workers_) each.worker->snapshots().request();
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    LiveWorker& worker = *workers_[index].worker;
    const bool answered = wait_until(kAnswerTimeoutNs, [&] { return worker.snapshots().done(); });
    gathered.stalled.push_back(!answered);
    if (!answered)
      continue;
    const WorkerSnapshot& snapshot = worker.snapshots().get();
    gathered.sum.add(snapshot);
    gathered.sum.add_lateness(worker.lateness());
    const Policy& policy = publisher_->current();
    for (std::size_t rule = 0; rule < policy.rules.size(); ++rule) {
      gathered.sum.add_delays(rule, worker.delays_of(policy.rules[rule].slot));
      if (const auto which = policy.rules[rule].variation; which && policy.rules[rule].variant == 0)
        gathered.sum.add_variations(rule, worker.variations_of(*which));
    }
  }
  for (std::size_t port = 0; port < wiring_->ports(); ++port) {
    DeviceCounters counters = wiring_->counters(port);
    if (!devices_before_.empty())
      counters = counters.since(devices_before_[port]);
    gathered.sum.set_device(port, counters, flaps_->can_take(port));
  }
  return gathered;
}

std::vector<std::string> Engine::port_names() const {
  std::vector<std::string> names;
  for (const PortSpec& port : base_.ports) names.push_back(port.name);
  return names;
}

Json Engine::triggers() {
  const std::lock_guard lock(mutex_);
  return {{"triggers", triggers_json(publisher_->current(), port_names())}};
}

Json Engine::status() {
  const std::lock_guard lock(mutex_);
  const Gathered gathered = gather();
  const Policy& policy = publisher_->current();
  bool stalled = false;
  Json workers = Json::array();
  for (std::uint32_t index = 0; index < workers_.size(); ++index) {
    const bool stands = gathered.stalled[index] || watchdog_->is_stalled(index);
    stalled |= stands;
    workers.push_back({{"core", workers_[index].core},
                       {"busy", busy_[index].load(std::memory_order_relaxed)},
                       {"stalled", stands}});
  }
  const std::uint64_t now_ns = clock_.now_ns();
  const bool injecting = publisher_->in_force(now_ns).any_active_at(now_ns);
  return {{"state", stalled     ? "degraded"
                    : injecting ? "injecting"
                                : "pass-through"},
          {"ready", !workers_.empty() && !stalled},
          {"version", kVersion},
          {"name", policy.name},
          {"seed", policy.seed},
          {"generation", policy.generation},
          {"uptime_ns", uptime_ns()},
          {"timeline", timeline_json(now_ns)},
          {"run", runs_.current() != nullptr ? runs_.current()->to_json(now_ns) : Json(nullptr)},
          {"workers", workers},
          {"clock", {{"tsc_hz", clock_.ticks_per_second()}, {"error_ppm", clock_.error_ppm()}}},
          {"pid", getpid()},
          {"own_latency_ns", own_latency_ns_ ? Json(*own_latency_ns_) : Json(nullptr)},
          {"journal", recorders_->journal_json()},
          {"own_drops", gathered.sum.own_drops()}};
}

Json Engine::captures() {
  const std::lock_guard lock(mutex_);
  Json said = recorders_->captures_json();
  if (said.is_null())
    said = {{"folder", nullptr}, {"unknown", 0}, {"captures", Json::array()}};
  return said;
}

/// Null where there is none, or none left.
Json Engine::timeline_json(std::uint64_t now_ns) const {
  const PolicyChain& chain = publisher_->chain();
  if (chain.size() < 2)
    return nullptr;
  const Policy& policy = publisher_->in_force(now_ns);
  const auto since_zero = [&](std::uint64_t time_ns) {
    return time_ns - std::min(time_ns, policy.zero_ns);
  };
  return {{"elapsed_ns", since_zero(now_ns)},
          {"end_ns", since_zero(chain.back()->active_from_ns)},
          {"next_ns",
           policy.next != nullptr ? Json(since_zero(policy.next->active_from_ns)) : Json(nullptr)}};
}

Json Engine::statistics() {
  const std::lock_guard lock(mutex_);
  return gather().sum.to_json(uptime_ns());
}

Json Engine::rule_json(const RuleProgram& rule, const ConfigNode* written, std::uint64_t now_ns,
                       const RuleCounters& counters) const {
  Json json = written != nullptr ? to_json(*written) : Json{{"on_timeline", true}};
  json["name"] = rule.name;
  json["enabled"] = rule.enabled;
  json["active"] = rule.is_on_at(now_ns);
  const std::uint64_t ends_ns = end_of(rule, publisher_->in_force(now_ns), now_ns);
  json["expires_ns"] = ends_ns == kNever ? Json(nullptr) : Json(ends_ns - start_ns_);
  if (!rule.lease_id.empty())
    json["lease"] = rule.lease_id;
  json["matched"] = counters.matched;
  json["dropped"] = counters.dropped;
  json["delayed"] = counters.delayed;
  return json;
}

Json Engine::rules() {
  const std::lock_guard lock(mutex_);
  const Gathered gathered = gather();
  const std::uint64_t now_ns = clock_.now_ns();
  Json rules = Json::array();
  for (const RuleProgram& rule : publisher_->in_force(now_ns).rules)
    if (rule.variant == 0)
      rules.push_back(rule_json(rule, find_rule(std::as_const(tree_), rule.name), now_ns,
                                gathered.sum.total().rules[rule.slot]));
  return {{"generation", publisher_->current().generation}, {"rules", rules}};
}

Json Engine::rule(const std::string& name) {
  Json all = rules();
  for (Json& rule : all["rules"])
    if (rule["name"] == name)
      return rule;
  return nullptr;
}

Json Engine::port_list() {
  const std::lock_guard lock(mutex_);
  const Gathered gathered = gather();
  Json ports = Json::array();
  for (std::size_t port = 0; port < base_.ports.size(); ++port) {
    const PortSpec& spec = base_.ports[port];
    Device& device = wiring_->device(port);
    Json cores = Json::array();
    for (const std::size_t worker : layout_.queues[port]) cores.push_back(workers_[worker].core);
    Json peer;
    Json wire;
    Json joins;
    for (const WireSpec& each : base_.wires)
      if (each.first == port || each.second == port) {
        peer = base_.ports[each.first == port ? each.second : each.first].name;
        wire = each.name;
      }
    for (const SwitchSpec& each : base_.switches)
      if (std::ranges::find(each.ports, port) != each.ports.end())
        joins = each.name;
    const PortCounters& counters = gathered.sum.total().ports[port];
    ports.push_back({{"name", spec.name},
                     {"driver", driver_name(spec.settings.driver)},
                     {"interface", spec.settings.interface},
                     {"wire", wire},
                     {"peer", peer},
                     {"switch", joins},
                     {"link", device.carrier()},
                     {"taken_down", device.carrier_state() == Carrier::kTaken},
                     {"mac", device.mac_address()},
                     {"mtu", spec.settings.mtu_bytes},
                     {"queues", spec.settings.queues},
                     {"cores", cores},
                     {"rx_packets", counters.rx_packets},
                     {"tx_packets", counters.tx_packets}});
  }
  return {{"ports", ports}};
}

Json Engine::flows(std::uint32_t most) {
  const std::lock_guard lock(mutex_);
  struct Row {
    Flow flow;
    unsigned core;
  };
  std::vector<Row> rows;
  for (EngineWorker& each : workers_) each.worker->survey().request(most);
  std::uint32_t silent = 0;
  for (EngineWorker& each : workers_) {
    FlowSurvey& survey = each.worker->survey();
    if (!wait_until(kAnswerTimeoutNs, [&] { return survey.done(); })) {
      ++silent;
      continue;
    }
    for (const Flow& flow : survey) rows.push_back({flow, each.core});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& left, const Row& right) {
    return left.flow.packets > right.flow.packets;
  });
  rows.resize(std::min<std::size_t>(rows.size(), most));
  const std::uint64_t now_ns = clock_.now_ns();
  const std::vector<PathProgram>& paths = publisher_->current().paths;
  Json flows = Json::array();
  for (const Row& row : rows)
    flows.push_back({{"flow", to_text(row.flow.key)},
                     {"port", base_.ports[paths[row.flow.path_id].ingress].name},
                     {"to", base_.ports[paths[row.flow.path_id].egress].name},
                     {"packets", row.flow.packets},
                     {"idle_ns", now_ns - std::min(now_ns, row.flow.last_seen_ns)},
                     {"core", row.core}});
  return {{"flows", flows}, {"silent_workers", silent}};
}

Json Engine::policy() {
  const std::lock_guard lock(mutex_);
  Json json = to_json(tree_);
  json["seed"] = publisher_->current().seed;
  return json;
}

}  // namespace faultline
