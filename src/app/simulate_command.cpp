// faultline simulate: captures in, a capture out, statistics on stdout.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include <fmt/format.h>

#include "app/commands.hpp"
#include "app/inputs.hpp"
#include "app/run_commands.hpp"
#include "drivers/eal.hpp"
#include "policy/compile.hpp"
#include "report/verdict.hpp"
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

/// The size of a file that has one; nothing for pipes.
std::optional<std::uint64_t> file_bytes(const std::string& path) {
  struct stat status {};
  const bool known =
      path == "-" ? fstat(STDIN_FILENO, &status) == 0 : stat(path.c_str(), &status) == 0;
  if (!known || !S_ISREG(status.st_mode))
    return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

struct Prepared {
  std::vector<SimulationInput> inputs;
  std::optional<std::uint64_t> bytes = 0;  ///< of all of them, where known
  Exit exit = Exit::kDone;
};

Prepared open_inputs(const SimulateOptions& options, const Scenario& scenario) {
  Prepared prepared;
  const auto left = read_left(options.left);
  if (!left)
    prepared.exit = Exit::kUsage;
  for (const std::string& word : options.inputs) {
    const auto input = split_input("--in", word, scenario);
    if (!input)
      prepared.exit = Exit::kUsage;
    if (prepared.exit != Exit::kDone)
      return prepared;
    for (const std::string& output :
         {options.output, options.drops, options.journal, options.junit}) {
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
    const auto bytes = file_bytes(input->path);
    prepared.bytes =
        bytes && prepared.bytes ? std::optional(*bytes + *prepared.bytes) : std::nullopt;
    prepared.inputs.push_back({entry_for(*input, *left, scenario), std::move(*reader)});
  }
  return prepared;
}

/// A line on a terminal that says how far the simulation is, at most ten times a second.
class ProgressLine {
 public:
  explicit ProgressLine(std::optional<std::uint64_t> bytes) : bytes_(bytes) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const SimulationProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (shown_ && now - last_ < std::chrono::milliseconds(100))
      return;
    last_ = now;
    shown_ = true;
    constexpr double kNsASecond = 1e9;
    fmt::print(stderr, "\r{} packets, {:.1f} s of the capture", progress.packets,
               static_cast<double>(progress.time_ns) / kNsASecond);
    if (bytes_ && *bytes_ > 0)
      fmt::print(stderr, ", {} %",
                 std::min<std::uint64_t>(100, progress.bytes_read * 100 / *bytes_));
    fmt::print(stderr, "\033[K");
    std::fflush(stderr);
  }
  void clear() {
    if (shown_)
      fmt::print(stderr, "\r\033[K");
    shown_ = false;
  }

 private:
  std::optional<std::uint64_t> bytes_;
  std::chrono::steady_clock::time_point last_{};
  bool shown_ = false;
};

/// Workers that the policy's rules can be shared among.
std::uint32_t workers_for(const SimulateOptions& options, const Scenario& scenario,
                          const PolicyChain& policies) {
  if (options.workers > 1 && !scenario.switches.empty()) {
    fmt::print(stderr, "faultline: a switch belongs to one worker\n");
    return 1;
  }
  std::string_view rule;
  for (const std::unique_ptr<Policy>& policy : policies)
    if (rule.empty())
      rule = policy->rule_for_one_worker();
  if (options.workers == 1 || rule.empty())
    return options.workers;
  fmt::print(stderr, "faultline: rule '{}' needs every packet of its path in order: one worker\n",
             rule);
  return 1;
}

/// Whether the journal is to be as the daemon writes it.
bool is_binary(const SimulateOptions& options) {
  return options.journal.ends_with(".bin");
}

/// How much must be remembered of each packet for what is to be written.
TrailDetail detail_for(const SimulateOptions& options) {
  if (!options.journal.empty() && !is_binary(options))
    return TrailDetail::kNumberedChanges;
  return options.drops.empty() && options.annotate == Annotate::kNone ? TrailDetail::kNothing
                                                                      : TrailDetail::kChanges;
}

void tell_result(const SimulateOptions& options, const Scenario& scenario,
                 const SimulationResult& result) {
  if (result.backwards > 0)
    fmt::print(stderr, "faultline: {} time-stamps ran backwards and count as the latest seen\n",
               result.backwards);
  if (result.cut > 0)
    fmt::print(stderr, "faultline: {} packets are shorter in the capture than on the wire\n",
               result.cut);
  if (result.oversized > 0)
    fmt::print(stderr, "faultline: {} packets are longer than {} bytes and judged by those\n",
               result.oversized, Hold::kFrameBytesMax);
  for (std::size_t port = 0; port < result.two_way_flows.size(); ++port)
    if (result.two_way_flows[port] > 0)
      fmt::print(stderr,
                 "faultline: warning: port '{}' received both directions of {} flows; split the "
                 "capture with --left\n",
                 scenario.ports[port].name, result.two_way_flows[port]);
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

/// What a reader of the numbers should know.
void warn_of_result(const Scenario& scenario, const SimulationResult& result) {
  if (!scenario.expectations.empty())
    return;  // the verdict tells
  for (const RuleSpec& rule : scenario.rules)
    if (rule.enabled && !rule.optional &&
        result.statistics["rules"][rule.name]["matched"].get<std::uint64_t>() == 0)
      fmt::print(stderr,
                 "faultline: warning: rule {} matched nothing (`optional: true` allows it)\n",
                 rule.name);
}

/// Without expectations only a rule that breaks its own law is worth a word.
void tell_verdict(const Scenario& scenario, const RunVerdict& verdict) {
  if (!scenario.expectations.empty()) {
    for (const std::string& line : to_lines(verdict)) fmt::print(stderr, "{}\n", line);
    fmt::print(stderr, "verdict: {}\n", outcome_word(verdict.outcome));
    return;
  }
  for (const Finding& finding : verdict.findings)
    if (!finding.passes && finding.expected.starts_with("law:"))
      fmt::print(stderr, "faultline: warning: rule {} is off its {}\n", finding.about,
                 finding.expected);
}

/// What the scenario expects decides; a run without expectations cannot fail.
Exit judge_result(const SimulateOptions& options, const Scenario& scenario,
                  const std::vector<RuleLaw>& laws, SimulationResult& result) {
  const RunVerdict verdict =
      judge(scenario, laws, {result.statistics, result.delays, result.lasted_ns});
  result.statistics["verdict"] = to_json(verdict);
  tell_verdict(scenario, verdict);
  if (!options.junit.empty()) {
    std::ofstream file(options.junit, std::ios::binary);
    file << to_junit(verdict, scenario.name.empty() ? "faultline" : scenario.name);
    file.close();
    if (!file) {
      tell(Problems{problem_at({options.junit, 0, 0}, "cannot be written")}, options.form);
      return Exit::kUnusable;
    }
  }
  const bool passes = scenario.expectations.empty() || verdict.outcome == Outcome::kPass;
  return passes ? Exit::kDone : Exit::kWrong;
}

/// An output that ends too early must not be taken for a whole one.
void discard_output(const std::string& path) {
  struct stat status {};
  if (path != "-" && lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
      unlink(path.c_str()) == 0)
    fmt::print(stderr, "faultline: {} was incomplete and has been removed\n", path);
  else
    fmt::print(stderr, "faultline: {} is incomplete\n", path == "-" ? "standard output" : path);
}

void discard_outputs(const SimulateOptions& options) {
  for (const std::string& path : {options.output, options.drops, options.journal})
    if (!path.empty())
      discard_output(path);
}

SimulationSettings settings_for(const SimulateOptions& options, const Scenario& scenario,
                                const PolicyChain& policies) {
  SimulationSettings settings;
  settings.rx_burst = options.burst;
  settings.workers = workers_for(options, scenario, policies);
  settings.detail = detail_for(options);
  settings.flows_max = scenario.flows_max;
  settings.flow_idle_ns = scenario.flow_idle_ns;
  settings.hold_bytes = scenario.hold_bytes.value_or(settings.hold_bytes);
  settings.paths = scenario.path_count();
  settings.switches = switches_of(scenario);
  return settings;
}

/// What is written beside the capture of what was sent, as the daemon writes it.
struct Recorders {
  std::unique_ptr<JournalWriter> journal;  ///< null: not asked for
  std::unique_ptr<CaptureSet> captures;    ///< likewise

  /// Writes the rest; the first trouble there was.
  Result<void> end() {
    std::string failure;
    if (journal != nullptr) {
      journal->end();
      failure = journal->status().failure;
    }
    if (captures != nullptr) {
      captures->end();
      for (const CaptureStatus& each : captures->status())
        if (failure.empty())
          failure = each.ring.failure;
    }
    if (!failure.empty())
      return tl::unexpected(Problems{problem_at({}, failure)});
    return {};
  }
};

Result<Recorders> open_recorders(const SimulateOptions& options, const Scenario& scenario,
                                 std::uint32_t workers) {
  constexpr std::uint64_t kRingWords = std::uint64_t{1} << 17;
  Recorders recorders;
  if (is_binary(options)) {
    auto journal = JournalWriter::create(options.journal, workers, kRingWords);
    if (!journal)
      return tl::unexpected(journal.error());
    recorders.journal = std::move(*journal);
  }
  if (scenario.captures.empty())
    return recorders;
  if (options.captures.empty()) {
    fmt::print(stderr, "faultline: no captures are written: --captures FOLDER\n");
    return recorders;
  }
  auto captures = CaptureSet::create({.folder = options.captures,
                                      .captures = scenario.captures,
                                      .port_names = port_names(scenario),
                                      .workers = workers,
                                      .ring_words = 2 * kRingWords});
  if (!captures)
    return tl::unexpected(captures.error());
  recorders.captures = std::move(*captures);
  return recorders;
}

Exit simulate_scenario(const SimulateOptions& options, const Scenario& scenario,
                       PolicyChain policies, Prepared prepared) {
  const std::vector<std::string> names = port_names(scenario);
  Result<std::unique_ptr<CaptureSink>> sink = CaptureSink::create(
      {options.output, options.drops, is_binary(options) ? std::string() : options.journal,
       options.annotate, names});
  if (!sink) {
    tell(sink.error(), options.form);
    return Exit::kUnusable;
  }
  SimulationSettings settings = settings_for(options, scenario, policies);
  Result<Recorders> recorders = open_recorders(options, scenario, settings.workers);
  if (!recorders) {
    tell(recorders.error(), options.form);
    return Exit::kUnusable;
  }
  settings.journal = recorders->journal.get();
  settings.captures = recorders->captures.get();
  const EalSettings eal{.main_core = allowed_cores().front(), .worker_cores = {}, .memory_mb = 224};
  if (const auto started = start_eal(eal); !started) {
    tell(started.error(), options.form);
    discard_outputs(options);
    return Exit::kRefused;
  }
  const std::vector<RuleLaw> laws = laws_of(scenario, policies);
  ProgressLine line(prepared.bytes);
  if (isatty(STDERR_FILENO) == 1)
    settings.progress = [&line](const SimulationProgress& progress) { line.show(progress); };
  Result<SimulationResult> result =
      simulate(std::move(policies), names, settings, std::move(prepared.inputs), **sink);
  line.clear();
  Result<void> closed = (*sink)->close();
  if (const Result<void> ended = recorders->end(); closed && !ended)
    closed = ended;
  stop_eal();
  if (!result || !closed) {
    tell(result ? closed.error() : result.error(), options.form);
    discard_outputs(options);
    return Exit::kUnusable;
  }
  if (recorders->captures != nullptr)
    result->statistics["captures"] = to_json(*recorders->captures);
  warn_of_result(scenario, *result);
  const Exit exit = judge_result(options, scenario, laws, *result);
  if (exit != Exit::kUnusable)
    tell_result(options, scenario, *result);
  return exit;
}

}  // namespace

Exit run_simulate(const SimulateOptions& options) {
  std::size_t commands = 0;
  LoadedPolicies loaded = load_policies(options.file, options.seed, options.form,
                                        [&commands](ConfigNode& tree, Problems& problems) {
                                          commands = take_commands(tree, problems).size();
                                        });
  if (commands > 0)
    fmt::print(stderr, "faultline: {} commands of the timeline are not run in virtual time\n",
               commands);
  if (!loaded.scenario)
    return loaded.exit;
  const Scenario& scenario = *loaded.scenario;
  Prepared prepared = open_inputs(options, scenario);
  if (prepared.exit != Exit::kDone)
    return prepared.exit;
  return simulate_scenario(options, scenario, std::move(loaded.policies), std::move(prepared));
}

}  // namespace faultline
