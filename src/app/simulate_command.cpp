// faultline simulate: captures in, a capture out, statistics on stdout.
#include <sys/stat.h>

#include <fmt/format.h>

#include "app/commands.hpp"
#include "base/seed.hpp"
#include "drivers/eal.hpp"
#include "policy/compile.hpp"
#include "sim/simulation.hpp"

namespace faultline {
namespace {

struct InputWord {
  std::size_t port = 0;
  std::string path;
};

/// `PORT=FILE`, or FILE for the first port of the first wire. Nothing where PORT is unknown.
std::optional<InputWord> split_input(const std::string& word, const Scenario& scenario) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos || word.find('/') < equals)
    return InputWord{scenario.wires.front().first, word};
  const std::string name = word.substr(0, equals);
  for (std::size_t port = 0; port < scenario.ports.size(); ++port)
    if (scenario.ports[port].name == name)
      return InputWord{port, word.substr(equals + 1)};
  std::string known;
  for (const PortSpec& port : scenario.ports) known += (known.empty() ? "" : ", ") + port.name;
  tell(fmt::format("--in {}: unknown port '{}'; one of {}", word, name, known), OutputForm::kHuman);
  return std::nullopt;
}

bool same_file(const std::string& left, const std::string& right) {
  struct stat a {};
  struct stat b {};
  return stat(left.c_str(), &a) == 0 && stat(right.c_str(), &b) == 0 && S_ISREG(a.st_mode) &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

struct Prepared {
  std::vector<SimulationInput> inputs;
  Exit exit = Exit::kDone;
};

Prepared open_inputs(const SimulateOptions& options, const Scenario& scenario) {
  Prepared prepared;
  for (const std::string& word : options.inputs) {
    const auto input = split_input(word, scenario);
    if (!input) {
      prepared.exit = Exit::kUsage;
      return prepared;
    }
    if (same_file(input->path, options.output)) {
      tell(Problems{problem_at({options.output, 0, 0}, "is an input as well")}, options.form);
      prepared.exit = Exit::kUnusable;
      return prepared;
    }
    Result<CaptureReader> reader = CaptureReader::open(input->path);
    if (!reader) {
      tell(reader.error(), options.form);
      prepared.exit = Exit::kUnusable;
      return prepared;
    }
    prepared.inputs.push_back({input->port, input->path, std::move(*reader)});
  }
  return prepared;
}

/// Workers that the policy's rules can be shared among.
std::uint32_t workers_for(const SimulateOptions& options, const Policy& policy) {
  const std::string_view rule = policy.rule_for_one_worker();
  if (options.workers == 1 || rule.empty())
    return options.workers;
  fmt::print(stderr, "faultline: rule '{}' needs every packet of its path in order: one worker\n",
             rule);
  return 1;
}

void tell_result(const SimulateOptions& options, const SimulationResult& result) {
  if (result.backwards > 0)
    fmt::print(stderr, "faultline: {} time-stamps ran backwards and count as the latest seen\n",
               result.backwards);
  if (result.cut > 0)
    fmt::print(stderr, "faultline: {} packets are shorter in the capture than on the wire\n",
               result.cut);
  if (options.form == OutputForm::kJson) {
    fmt::print("{}\n", result.statistics.dump());
    return;
  }
  const Json& ledger = result.statistics["ledger"];
  fmt::print(stderr, "received {}  sent {}", ledger["received"].get<std::uint64_t>(),
             ledger["sent"].get<std::uint64_t>());
  for (const auto& [reason, count] : ledger["dropped"].items())
    if (count.get<std::uint64_t>() > 0)
      fmt::print(stderr, "  dropped by {} {}", reason, count.get<std::uint64_t>());
  fmt::print(stderr, "  ({})\n", result.balanced ? "balanced" : "NOT BALANCED");
}

Exit simulate_scenario(const SimulateOptions& options, const Scenario& scenario,
                       const Policy& policy, Prepared prepared) {
  std::vector<std::string> names;
  for (const PortSpec& port : scenario.ports) names.push_back(port.name);
  Result<CaptureWriter> writer = CaptureWriter::create(options.output, names);
  if (!writer) {
    tell(writer.error(), options.form);
    return Exit::kUnusable;
  }
  const EalSettings eal{.main_core = allowed_cores().front(), .worker_cores = {}, .memory_mb = 224};
  if (const auto started = start_eal(eal); !started) {
    tell(started.error(), options.form);
    return Exit::kRefused;
  }
  SimulationSettings settings;
  settings.rx_burst = options.burst;
  settings.workers = workers_for(options, policy);
  settings.flows_max = scenario.flows_max;
  settings.flow_idle_ns = scenario.flow_idle_ns;
  settings.hold_bytes = scenario.hold_bytes.value_or(settings.hold_bytes);
  Result<SimulationResult> result =
      simulate(policy, names, settings, std::move(prepared.inputs), *writer);
  const Result<void> closed = writer->close();
  stop_eal();
  if (!result || !closed) {
    tell(result ? closed.error() : result.error(), options.form);
    return Exit::kUnusable;
  }
  tell_result(options, *result);
  return Exit::kDone;
}

}  // namespace

Exit run_simulate(const SimulateOptions& options) {
  const Loaded loaded = load_scenario(options.file, ScenarioUse::kSimulate, options.form);
  if (!loaded.scenario)
    return loaded.exit;
  const Scenario& scenario = *loaded.scenario;
  CompileRequest request;
  request.seed = options.seed ? *options.seed : scenario.seed.value_or(draw_seed());
  PolicySlots slots(scenario.ports.size());
  const Result<Policy> policy = compile_policy(scenario, request, slots);
  if (!policy) {
    tell(policy.error(), options.form);
    return Exit::kWrong;
  }
  if (!options.seed && !scenario.seed)
    fmt::print(stderr, "faultline: seed {}\n", request.seed);
  Prepared prepared = open_inputs(options, scenario);
  if (prepared.exit != Exit::kDone)
    return prepared.exit;
  return simulate_scenario(options, scenario, *policy, std::move(prepared));
}

}  // namespace faultline
