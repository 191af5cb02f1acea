// One thread, one world, virtual time: captures go in, the same worker, act and hold as the
// daemon's judge them at their own time-stamps, and a capture comes out. Nothing here waits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/statistics.hpp"
#include "policy/timeline.hpp"
#include "record/capture_reader.hpp"
#include "record/capture_set.hpp"
#include "record/journal_writer.hpp"
#include "sim/departures.hpp"
#include "sim/entry.hpp"

namespace faultline {

struct SimulationInput {
  Entry entry;  ///< where its packets enter
  CaptureReader reader;
};

/// How far a simulation is.
struct SimulationProgress {
  std::uint64_t packets = 0;
  std::uint64_t time_ns = 0;     ///< of the captures, since time zero
  std::uint64_t bytes_read = 0;  ///< of all inputs
};

struct SimulationSettings {
  std::uint32_t rx_burst = 32;  ///< 1 … kBurstMax
  std::uint32_t workers = 1;    ///< 1 … 16
  std::uint64_t flows_max = 65'536;
  std::uint64_t flow_idle_ns = 60 * kNsPerSecond;
  std::uint64_t hold_bytes = std::uint64_t{1} << 30;
  std::size_t paths = 0;  ///< of the policies; 0: as many as there are ports
  std::vector<SwitchProgram> switches;
  TrailDetail detail = TrailDetail::kChanges;
  CaptureSet* captures = nullptr;          ///< likewise
  JournalWriter* journal = nullptr;        ///< as the daemon writes it; with an end for each worker
  std::uint64_t packets_max = UINT64_MAX;  ///< stops to read after so many
  std::function<void(const SimulationProgress&)> progress;  ///< called every 10,000 packets or so
};

struct SimulationResult {
  Json statistics;
  Json delays;                  ///< StatisticsSum::delays_json
  std::uint64_t lasted_ns = 0;  ///< until the last packet came, or left
  bool balanced = false;
  std::uint64_t own_drops = 0;
  std::uint64_t backwards = 0;  ///< packets whose time-stamp ran backwards
  std::uint64_t cut = 0;        ///< packets shorter in the capture than they were on the wire
  std::uint64_t oversized = 0;  ///< packets of which the data path was given the beginning only
  std::vector<std::uint64_t> two_way_flows;  ///< a port: flows that came in both ways
};

/// Runs all inputs to their end and drains the hold. DPDK must have been started. The policies'
/// times count from time zero, the first packet of all inputs. Errors: an input that cannot be read
/// on. Everything that leaves is handed to `sink`.
Result<SimulationResult> simulate(PolicyChain policies, const std::vector<std::string>& port_names,
                                  const SimulationSettings& settings,
                                  std::vector<SimulationInput> inputs, DepartureSink& sink);

}  // namespace faultline
