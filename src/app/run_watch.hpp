// What a run's client does while the run goes on: it keeps the lease on which everything hangs,
// samples, collects events, runs the workload and what the scenario stops at, and shows how far it
// is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/child.hpp"
#include "app/daemon_client.hpp"
#include "app/prepare.hpp"
#include "app/run_folder.hpp"

namespace faultline {

/// Set by SIGINT and SIGTERM.
extern volatile int g_run_interrupted;

/// A command of `stop_when:`, asked again and again.
class StopWatch {
 public:
  explicit StopWatch(const StopCommand& command) : command_(command) {}
  /// Whether it has failed as often in a row as it may.
  bool look(std::uint64_t now_ns);
  const std::string& command() const { return command_.command; }

 private:
  const StopCommand& command_;
  Child child_;
  std::uint64_t next_ns_ = 0;
  std::uint64_t give_up_ns_ = 0;
  std::uint64_t failures_ = 0;
};

struct WatchSettings {
  std::string run_id;
  std::string lease;
  std::string command;  ///< the workload; empty: none
  bool ends_with_command = false;
  std::uint64_t interval_ns = 0;  ///< between samples
  std::uint64_t first_event = 1;  ///< by number: those before are none of the run's
};

/// How the watched run came out.
struct Watched {
  Exit exit = Exit::kDone;  ///< kNoDaemon, kRefused: the run could not be watched to its end
  Json run;                 ///< as the daemon has it at the end
  std::optional<int> command_status;
  std::string stopped_by;             ///< who here ended it; empty: nobody
  std::vector<std::string> failures;  ///< of commands of the timeline
};

/// From the run's beginning to its end.
Watched watch_run(const DaemonOptions& daemon, const WatchSettings& settings,
                  const PreparedScenario& prepared, RunFolder& folder);

/// Makes or renews the lease that the run hangs on.
bool hold_lease(const DaemonOptions& daemon, const std::string& lease);

}  // namespace faultline
