// A scenario file made ready for a running daemon: files inlined, presets expanded, the daemon's
// ports where it names none, its seed in it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/daemon_client.hpp"
#include "app/run_commands.hpp"
#include "report/laws.hpp"

namespace faultline {

struct PreparedScenario {
  Exit exit = Exit::kDone;  ///< why there is none, which was told
  std::optional<Scenario> scenario;
  bool has_seed = false;               ///< of its own, or as asked for: it was not drawn
  std::string text;                    ///< for the daemon
  std::string whole_text;              ///< with the commands that the daemon does not get
  std::vector<TimedCommand> commands;  ///< of its timeline; the daemon's text has none
  std::vector<RuleLaw> laws;
  std::uint64_t timeline_ends_ns = 0;  ///< its last instant
};

/// `seed` wins over the file's.
PreparedScenario prepare_scenario(const DaemonOptions& daemon, const std::string& file,
                                  std::optional<std::uint64_t> seed);

}  // namespace faultline
