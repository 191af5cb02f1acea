// faultline probe: its options, and its three commands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/load.hpp"
#include "probe/stream.hpp"

namespace CLI {
class App;
}

namespace faultline {

struct ProbeOptions {
  std::string from;
  std::string to;
  std::vector<std::string> cables;    ///< of cabling
  std::vector<std::string> baseline;  ///< of characterise: from, to; or nothing
  StreamOptions stream;
  double bits_per_second = 0;  ///< instead of frames
  std::uint64_t trial_ns = 0;  ///< of characterise
  OutputForm form = OutputForm::kHuman;
};

/// Adds the commands to the program's; `exit` is what they end with.
void add_probe(CLI::App& app, ProbeOptions& options, Exit& exit);

Exit run_probe(ProbeOptions options);
Exit run_cabling(const ProbeOptions& options);
Exit run_characterise(ProbeOptions options);

}  // namespace faultline
