// Counting what one packet may become on its way.
#include "policy/copy_numbers.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace faultline {
namespace {

/// A packet and its copies: what half a burst has room for (decide.hpp).
constexpr std::uint64_t kPacketsOfOne = kBurstMax / 2 + 1;

/// What one packet may have become, by path.
struct PathLoads {
  std::vector<std::uint64_t> packets;  ///< itself and its copies
  std::vector<std::uint64_t> edits;    ///< impairments that change its bytes
};

/// Numbers the copies that the rule makes, and adds them.
void number_copies(RuleProgram& rule, Policy& policy, PathLoads& loads) {
  for (RuleStep& step : rule.steps) {
    std::uint64_t stride = 1;
    for (std::size_t path = 0; path < policy.paths.size(); ++path)
      if (rule.paths.test(path))
        stride = std::max(stride, loads.packets[path]);
    step.copy_stride = static_cast<std::uint8_t>(std::min<std::uint64_t>(stride, 255));
    for (std::size_t path = 0; path < policy.paths.size(); ++path) {
      if (!rule.paths.test(path))
        continue;
      loads.edits[path] += step.impairment.edit != nullptr ? 1 : 0;
      if (step.impairment.copies > 0) {
        loads.packets[path] =
            std::min<std::uint64_t>(stride * (step.impairment.copies + 1), 1'000'000);
        policy.paths[path].makes_copies = true;
      }
    }
  }
}

}  // namespace

void number_copies(Policy& policy, const Scenario& scenario, Problems& problems) {
  const std::size_t paths = policy.paths.size();
  PathLoads loads{std::vector<std::uint64_t>(paths, 1), std::vector<std::uint64_t>(paths, 0)};
  PathLoads before;  // the rule, of whose variants a packet meets one
  for (RuleProgram& rule : policy.rules) {
    if (rule.variant == 0)
      before = loads;
    PathLoads own = before;
    number_copies(rule, policy, own);
    for (std::size_t path = 0; path < paths; ++path) {
      loads.packets[path] = std::max(loads.packets[path], own.packets[path]);
      loads.edits[path] = std::max(loads.edits[path], own.edits[path]);
    }
  }
  for (std::size_t path = 0; path < paths; ++path) {
    const std::string to =
        " on the way to port '" + scenario.ports[policy.paths[path].egress].name + "'";
    if (loads.packets[path] > kPacketsOfOne)
      problems.push_back(problem_at(
          scenario.tree.mark, "a packet may become " + std::to_string(loads.packets[path]) + to,
          "at most " + std::to_string(kPacketsOfOne)));
    if (loads.edits[path] > EditLog::kEditsMax)
      problems.push_back(problem_at(
          scenario.tree.mark, std::to_string(loads.edits[path]) + " impairments change bytes" + to,
          "at most " + std::to_string(EditLog::kEditsMax)));
  }
}

void find_last_copies(Policy& policy) {
  for (PathProgram& path : policy.paths) {
    if (!path.makes_copies)
      continue;
    std::size_t copying = 0;
    for (const std::uint16_t index : path.rules)
      for (const RuleStep& step : policy.rules[index].steps)
        copying += step.impairment.copies > 0 ? 1U : 0U;
    const std::vector<RuleStep>& last = policy.rules[path.rules.back()].steps;
    if (copying == 1 && !last.empty())
      path.copies_at_the_end = last.back().impairment.copies;
  }
}

}  // namespace faultline
