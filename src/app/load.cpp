// Loading scenarios and telling problems.
#include "app/load.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "base/file.hpp"
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

Loaded load_scenario(const std::string& path, ScenarioUse use, OutputForm form) {
  Loaded loaded;
  const FileText file = read_file(path, kConfigBytesMax);
  if (!file.readable) {
    tell(Problems{problem_at({path, 0, 0}, "cannot be read: " + file.why)}, form);
    loaded.exit = Exit::kUnusable;
    return loaded;
  }
  Result<ConfigNode> tree = parse_config(file.text, intern_file_name(path));
  Result<Scenario> scenario =
      tree ? read_scenario(std::move(*tree), use) : Result<Scenario>(tl::unexpected(tree.error()));
  if (!scenario) {
    tell(scenario.error(), form);
    loaded.exit = Exit::kWrong;
    return loaded;
  }
  loaded.scenario = std::move(*scenario);
  return loaded;
}

}  // namespace faultline
