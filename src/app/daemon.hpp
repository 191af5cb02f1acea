// The daemon's composition: scenario → DPDK → ports → workers → engine → socket, and back in order.
#pragma once

#include <string>

#include "app/load.hpp"
#include "policy/policy.hpp"

namespace faultline {

struct DaemonSettings {
  std::string scenario;
  std::string socket;
  bool start = false;  ///< inject from the beginning instead of passing through
  bool no_huge = false;
  bool telemetry = false;
  std::string data;      ///< folder of the daemon's own, for what it records; empty: none
  bool journal = false;  ///< from the beginning, into journal.bin there
  std::string group;     ///< whose members may change things beside root; empty: nobody's
  std::string readers;   ///< the socket's group; empty: `group`, else the process's own
  HeldAction on_exit = HeldAction::kSend;
};

/// Runs until SIGTERM or SIGINT.
Exit run_daemon(const DaemonSettings& settings);

}  // namespace faultline
