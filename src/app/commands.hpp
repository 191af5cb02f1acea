// The commands of `faultline`, one function each; parsing of the command line is in faultline.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/load.hpp"

namespace faultline {

struct CheckOptions {
  std::string file;
  OutputForm form = OutputForm::kHuman;
};
Exit run_check(const CheckOptions& options);

struct SimulateOptions {
  std::string file;
  std::vector<std::string> inputs;  ///< [PORT=]FILE
  std::vector<std::string> left;    ///< CIDR or MAC: sources that enter the first port
  std::string output;
  std::optional<std::uint64_t> seed;
  std::uint32_t burst = 32;
  std::uint32_t workers = 1;
  OutputForm form = OutputForm::kHuman;
};
Exit run_simulate(const SimulateOptions& options);

struct DaemonOptions {
  std::string socket;
  OutputForm form = OutputForm::kHuman;
};
Exit run_apply(const DaemonOptions& options, const std::string& file);
Exit run_heal(const DaemonOptions& options, const std::string& held);
Exit run_status(const DaemonOptions& options);
Exit run_stats(const DaemonOptions& options);

}  // namespace faultline
