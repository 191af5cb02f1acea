// What `faultline top` shows: rates and states between two looks at a daemon, as figures, and those
// as lines for a screen, as one line, and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace faultline {

using Json = nlohmann::ordered_json;

/// The daemon's three answers, asked for one behind the other.
struct TopSample {
  Json status;
  Json stats;
  Json rules;
};

struct PortFigures {
  std::string name;
  double rx_pps = 0;
  double rx_bps = 0;
  double tx_pps = 0;
  double tx_bps = 0;
  std::uint64_t own_losses = 0;  ///< missed, full and wrong, all in all
};

struct RuleFigures {
  std::string name;
  bool active = false;
  bool enabled = false;
  std::optional<std::uint64_t> left_ns;  ///< until it ends by itself
  double matched_pps = 0;
  double dropped_pps = 0;
  double delayed_pps = 0;
  std::uint64_t mean_delay_ns = 0;  ///< since the rule is there
  std::uint64_t p99_delay_ns = 0;
};

struct WorkerFigures {
  unsigned core = 0;
  double busy = 0;  ///< a share
  bool stalled = false;
};

struct TopFigures {
  std::string name;
  std::string state;
  std::uint64_t generation = 0;
  std::uint64_t seed = 0;
  std::uint64_t uptime_ns = 0;
  std::uint64_t own_drops = 0;
  std::vector<WorkerFigures> workers;
  std::vector<PortFigures> ports;
  std::vector<RuleFigures> rules;  ///< active ones first, then in the scenario's order
  std::uint64_t held_packets = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t hold_bytes = 0;
  std::uint64_t flows = 0;
  std::uint64_t lateness_p99_ns = 0;
  bool balanced = true;
};

/// Rates are those between the two; `before` of the same daemon, earlier.
TopFigures figures_of(const TopSample& before, const TopSample& now);

/// For a screen of so many rows: rules that find no room are counted.
std::vector<std::string> screen_lines(const TopFigures& figures, std::size_t rows);
std::string plain_line(const TopFigures& figures);
Json to_json(const TopFigures& figures);

}  // namespace faultline
