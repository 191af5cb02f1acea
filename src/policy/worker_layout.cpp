// Laying wires onto workers.
#include "policy/worker_layout.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace faultline {
namespace {

std::size_t queues_of(const Scenario& scenario, const WireSpec& wire) {
  return scenario.ports[wire.first].settings.queues;
}

/// The `count` workers with the least to do, in their own order.
std::vector<std::size_t> least_busy(const std::vector<double>& load, std::size_t count) {
  std::vector<std::size_t> workers(load.size());
  std::iota(workers.begin(), workers.end(), std::size_t{0});
  std::stable_sort(workers.begin(), workers.end(),
                   [&](std::size_t left, std::size_t right) { return load[left] < load[right]; });
  workers.resize(count);
  std::sort(workers.begin(), workers.end());
  return workers;
}

/// Whether the rule's `per:` has a say in who shares its states.
bool chooses_its_scope(const RuleProgram& rule) {
  return std::ranges::none_of(rule.steps, [](const RuleStep& step) {
    const CompiledImpairment& impairment = step.impairment;
    return impairment.owns_scope && (impairment.scope || impairment.shares_paths);
  });
}

}  // namespace

Result<WorkerLayout> lay_workers(const Scenario& scenario, std::size_t cores) {
  std::vector<const WireSpec*> wires;
  std::size_t queues = 0;
  for (const WireSpec& wire : scenario.wires) {
    wires.push_back(&wire);
    queues += queues_of(scenario, wire);
  }
  std::stable_sort(wires.begin(), wires.end(), [&](const WireSpec* left, const WireSpec* right) {
    return queues_of(scenario, *left) > queues_of(scenario, *right);
  });
  queues += scenario.switches.size();
  WorkerLayout layout;
  layout.workers = scenario.workers.cores.size();
  if (layout.workers == 0)
    layout.workers = std::clamp<std::size_t>(queues, 1, std::min(cores, kWorkersMax));
  layout.queues.resize(scenario.ports.size());
  std::vector<double> load(layout.workers, 0.0);
  for (const WireSpec* wire : wires) {
    const std::size_t count = queues_of(scenario, *wire);
    if (count > layout.workers)
      return failure(fmt::format(
          "wire '{}' has {} queues, one worker each, but there {} {}: name more cores under "
          "workers (auto leaves one for the management plane)",
          wire->name, count, layout.workers == 1 ? "is" : "are", layout.workers));
    const std::vector<std::size_t> workers = least_busy(load, count);
    for (const std::size_t worker : workers) load[worker] += 1.0 / static_cast<double>(count);
    layout.queues[wire->first] = layout.queues[wire->second] = workers;
  }
  for (const SwitchSpec& one : scenario.switches) {
    const std::vector<std::size_t> workers = least_busy(load, 1);
    load[workers.front()] += static_cast<double>(one.ports.size()) / 2;
    for (const std::size_t port : one.ports) layout.queues[port] = workers;
  }
  return layout;
}

Result<WorkerLayout> least_layout(const Scenario& scenario) {
  std::size_t queues = 1;
  for (const WireSpec& wire : scenario.wires) queues = std::max(queues, queues_of(scenario, wire));
  return lay_workers(scenario, queues);
}

std::string unshareable_rule(const Policy& policy, const WorkerLayout& layout) {
  for (const RuleProgram& rule : policy.rules) {
    if (!rule.needs_one_worker())
      continue;
    std::optional<std::size_t> owner;
    for (std::size_t path_id = 0; path_id < policy.paths.size(); ++path_id) {
      const std::size_t port = policy.paths[path_id].ingress;
      if (!rule.paths[path_id] || layout.queues[port].empty())
        continue;
      if (layout.is_shared(port))
        return fmt::format(
            "rule '{}' keeps one state for packets that {} workers share; {} would do", rule.name,
            layout.queues[port].size(),
            chooses_its_scope(rule) ? "per: flow, clock: time or a wire of one queue"
                                    : "a wire of one queue (queues: 1 at both ports)");
      if (rule.shares_paths() && owner.value_or(layout.queues[port][0]) != layout.queues[port][0])
        return fmt::format(
            "rule '{}' keeps one state{} for wires that different workers poll; one worker{} would "
            "do",
            rule.name, rule.shared ? " (shared: true)" : "",
            rule.shared ? ", or shared: false," : "");
      owner = layout.queues[port][0];
    }
  }
  return {};
}

}  // namespace faultline
