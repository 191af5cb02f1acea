// Which worker polls which queue. A wire of one queue belongs to one worker; one of several queues
// is shared by as many, and each flow belongs to one of them.
#pragma once

#include <cstddef>
#include <vector>

#include "policy/policy.hpp"

namespace faultline {

struct WorkerLayout {
  std::size_t workers = 1;
  /// By port: the worker of each of its queues.
  std::vector<std::vector<std::size_t>> queues;

  bool is_shared(std::size_t port) const { return queues[port].size() > 1; }
};

/// Spreads wires over workers, those with many queues first, each to the workers with the least to
/// do. `cores` are what the daemon may take for workers; the scenario's own list wins over them.
/// Errors: a wire with more queues than there are workers.
Result<WorkerLayout> lay_workers(const Scenario& scenario, std::size_t cores);

/// The layout with the fewest workers that the scenario can have.
Result<WorkerLayout> least_layout(const Scenario& scenario);

/// What is wrong with a rule whose state several workers would have to share; empty: nothing.
std::string unshareable_rule(const Policy& policy, const WorkerLayout& layout);

}  // namespace faultline
