// Loading scenarios and telling problems.
#include "app/load.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "app/inline_files.hpp"
#include "base/file.hpp"
#include "base/seed.hpp"
#include "control/http.hpp"

namespace faultline {

void tell(const Problems& problems, OutputForm form) {
  for (const Problem& problem : problems) fmt::print(stderr, "{}\n", to_line(problem));
  if (form == OutputForm::kJson)
    fmt::print("{{\"ok\":false,\"errors\":{}}}\n", problems_to_json(problems));
}

void tell(const std::string& message, OutputForm form) {
  Problem problem;
  problem.file = "faultline";
  problem.message = message;
  tell(Problems{problem}, form);
}

namespace {

/// What is drawn from it stands in the scenario before anything is.
void put_seed(ConfigNode& tree, std::uint64_t seed, bool wins) {
  if (!tree.is_mapping())
    return;
  const ConfigNode* written = tree.find("seed");
  if (written != nullptr && (!wins || !written->is_scalar() || !parse_count(written->text)))
    return;
  tree.set("seed", scalar_node(std::to_string(seed), tree.mark));
}

}  // namespace

InlinedScenario read_inlined(const std::string& text, const std::string& path, ScenarioUse use,
                             const SeedChoice& seed, const Amend& amend) {
  Result<ConfigNode> tree = parse_config(text, intern_file_name(path));
  if (!tree)
    return {false, tl::unexpected(tree.error()), {}, {}};
  if (seed.number)
    put_seed(*tree, *seed.number, seed.wins);
  Problems problems;
  if (amend)
    amend(*tree, problems);
  const bool has_files = inline_files(*tree, path, problems) > 0;
  InlinedScenario inlined{has_files, {}, *tree, {}};
  inlined.scenario = read_scenario(std::move(*tree), use);
  if (inlined.scenario && inlined.tree.find("use") != nullptr) {
    inlined.tree = inlined.scenario->tree;
    inlined.is_changed = true;
  }
  if (problems.empty())
    return inlined;
  inlined.unreadable = problems;
  // A file that could not be read is told once, and so is everything else that is wrong.
  const auto told = [&](const Problem& other) {
    return std::ranges::any_of(problems, [&](const Problem& problem) {
      return problem.line == other.line && problem.column == other.column;
    });
  };
  if (!inlined.scenario)
    std::ranges::remove_copy_if(inlined.scenario.error(), std::back_inserter(problems), told);
  std::ranges::stable_sort(
      problems, {}, [](const Problem& problem) { return std::pair(problem.line, problem.column); });
  inlined.scenario = tl::unexpected(std::move(problems));
  return inlined;
}

Loaded load_scenario(const std::string& path, ScenarioUse use, OutputForm form,
                     const SeedChoice& seed, const Amend& amend) {
  Loaded loaded;
  const FileText file = read_file(path, kConfigBytesMax);
  if (!file.readable) {
    tell(Problems{problem_at({path, 0, 0}, "cannot be read: " + file.why)}, form);
    loaded.exit = Exit::kUnusable;
    return loaded;
  }
  InlinedScenario inlined = read_inlined(file.text, path, use, seed, amend);
  if (!inlined.scenario) {
    tell(inlined.scenario.error(), form);
    loaded.exit = Exit::kWrong;
    return loaded;
  }
  loaded.scenario = std::move(*inlined.scenario);
  return loaded;
}

LoadedPolicies load_policies(const std::string& path, std::optional<std::uint64_t> seed,
                             OutputForm form, const Amend& amend) {
  const std::uint64_t other = seed ? *seed : draw_seed();
  Loaded loaded =
      load_scenario(path, ScenarioUse::kSimulate, form, {other, seed.has_value()}, amend);
  if (!loaded.scenario)
    return {{}, {}, loaded.exit};
  CompileRequest request;
  request.seed = loaded.scenario->seed.value_or(other);
  const bool is_drawn = !seed && request.seed == other;
  PolicySlots slots(loaded.scenario->path_count());
  Result<PolicyChain> policies = compile_chain(*loaded.scenario, request, slots);
  if (!policies) {
    tell(policies.error(), form);
    return {{}, {}, Exit::kWrong};
  }
  if (is_drawn)
    fmt::print(stderr, "faultline: seed {}\n", request.seed);
  return {std::move(loaded.scenario), std::move(*policies), Exit::kDone};
}

}  // namespace faultline
