// faultline simulate: captures in, a capture out, statistics on stdout.
#include <sys/stat.h>

#include <fmt/format.h>

#include "app/commands.hpp"
#include "app/inputs.hpp"
#include "base/seed.hpp"
#include "drivers/eal.hpp"
#include "policy/compile.hpp"
#include "sim/capture_sink.hpp"
#include "sim/simulation.hpp"

namespace faultline {
namespace {

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
    const auto input = split_input("--in", word, scenario);
    if (!input) {
      prepared.exit = Exit::kUsage;
      return prepared;
    }
    for (const std::string& output : {options.output, options.drops, options.journal}) {
      if (output.empty() || !same_file(input->path, output))
        continue;
      tell(Problems{problem_at({output, 0, 0}, "is an input as well")}, options.form);
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

/// How much must be remembered of each packet for what is to be written.
TrailDetail detail_for(const SimulateOptions& options) {
  if (!options.journal.empty())
    return TrailDetail::kNumberedChanges;
  return options.drops.empty() && options.annotate == Annotate::kNone ? TrailDetail::kNothing
                                                                      : TrailDetail::kChanges;
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
  Result<std::unique_ptr<CaptureSink>> sink = CaptureSink::create(
      {options.output, options.drops, options.journal, options.annotate, names});
  if (!sink) {
    tell(sink.error(), options.form);
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
  settings.detail = detail_for(options);
  settings.flows_max = scenario.flows_max;
  settings.flow_idle_ns = scenario.flow_idle_ns;
  settings.hold_bytes = scenario.hold_bytes.value_or(settings.hold_bytes);
  Result<SimulationResult> result =
      simulate(policy, names, settings, std::move(prepared.inputs), **sink);
  const Result<void> closed = (*sink)->close();
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
