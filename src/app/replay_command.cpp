// faultline replay: a run again, from its folder: on the daemon, or in virtual time over captures
// of what came in; and whether the same packets met the same fates.
#include <filesystem>

#include <fmt/format.h>

#include "app/daemon_client.hpp"
#include "base/file.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;

Exit refuse(const DaemonOptions& daemon, const std::string& file, const std::string& why) {
  tell(Problems{problem_at({file, 0, 0}, why)}, daemon.form);
  return Exit::kUnusable;
}

/// Where it goes: as given, or beside the folder: DIR-again, DIR-again-2 …
std::string folder_beside(const ReplayOptions& options) {
  if (!options.out.empty())
    return options.out;
  std::string path = options.folder;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string beside = path + "-again";
  for (int number = 2; fs::exists(beside); ++number)
    beside = fmt::format("{}-again-{}", path, number);
  return beside;
}

/// Dice are thrown by seed, rule, flow and number: with the same scenario they were the same, and
/// what differs is the packets' doing, or their times'. Whether that is so.
bool tell_dice(const std::string& folder, const std::string& again) {
  const bool same = read_file(folder + "/scenario.yaml", kConfigBytesMax).text ==
                    read_file(again + "/scenario.yaml", kConfigBytesMax).text;
  fmt::print(
      stderr, "{}\n",
      same ? "the same scenario and seed, so the same dice: what differs comes from the packets"
           : "another scenario or seed: what differs may come from the dice");
  return same;
}

/// Captures of what came in, through the scenario in virtual time.
Exit run_simulated(const ReplayOptions& options, const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  SimulateOptions simulate;
  simulate.file = options.folder + "/scenario.yaml";
  simulate.inputs = options.inputs;
  simulate.left = options.left;
  simulate.output = folder + "/out.pcapng";
  simulate.journal = folder + "/journal.bin";
  return run_simulate(simulate);
}

/// The same workload for the same time, on the daemon.
Exit run_live(const DaemonOptions& daemon, const ReplayOptions& options, const Json& run,
              const std::string& folder) {
  RunOptions again;
  again.file = options.folder + "/scenario.yaml";
  again.out = folder;
  if (run.contains("command") && run["command"].is_string())
    again.command = run["command"].get<std::string>();
  if (!run.value("ends_with_command", false))
    again.duration_ns = run.value("duration_ns", std::uint64_t{0});
  return run_run(daemon, again);
}

}  // namespace

Exit run_replay(const DaemonOptions& daemon, const ReplayOptions& options) {
  const std::string environment_file = options.folder + "/environment.json";
  const FileText text = read_file(environment_file, kConfigBytesMax);
  const Json environment = Json::parse(text.text, nullptr, false);
  if (!text.readable || !environment.is_object() || !environment.contains("run"))
    return refuse(daemon, environment_file, "is not there, or is none of a run's folder");
  if (!fs::exists(options.folder + "/journal.bin"))
    return refuse(daemon, options.folder,
                  "has no journal.bin to compare with: start faultlined with --data");
  const std::string folder = folder_beside(options);
  const Exit done = options.inputs.empty() ? run_live(daemon, options, environment["run"], folder)
                                           : run_simulated(options, folder);
  // What it came to is its own verdict; whether it was the same is this command's.
  if (done != Exit::kDone && done != Exit::kWrong)
    return done;
  if (!fs::exists(folder + "/journal.bin"))
    return refuse(daemon, folder, "has no journal.bin");
  JournalOptions compare;
  compare.same_dice = tell_dice(options.folder, options.inputs.empty() ? folder : options.folder);
  compare.path = options.folder;
  compare.against = folder + "/journal.bin";
  compare.form = daemon.form;
  return run_journal(compare);
}

}  // namespace faultline
