// The commands of `faultline`, one function each; parsing of the command line is in faultline.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/load.hpp"
#include "sim/capture_sink.hpp"

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
  std::string drops;    ///< empty: not asked for
  std::string journal;  ///< empty: not asked for
  Annotate annotate = Annotate::kTouched;
  std::optional<std::uint64_t> seed;
  std::uint32_t burst = 32;
  std::uint32_t workers = 1;
  OutputForm form = OutputForm::kHuman;
};
Exit run_simulate(const SimulateOptions& options);

struct ExplainOptions {
  std::string file;
  std::string capture;             ///< [PORT=]FILE; empty with hex
  std::vector<std::string> left;   ///< CIDR or MAC: sources that enter the first port
  std::optional<std::string> hex;  ///< one frame, at time zero
  std::optional<std::uint64_t> packet;
  std::optional<std::uint64_t> seed;
  OutputForm form = OutputForm::kHuman;
};
Exit run_explain(const ExplainOptions& options);

struct DaemonOptions {
  std::string socket;
  OutputForm form = OutputForm::kHuman;
};
Exit run_apply(const DaemonOptions& options, const std::string& file);
Exit run_heal(const DaemonOptions& options, const std::string& held);
Exit run_status(const DaemonOptions& options);
Exit run_stats(const DaemonOptions& options);

}  // namespace faultline
