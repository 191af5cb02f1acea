// Throughput and latency by frame size, in the words of RFC 2544: the device under test is what
// lies between two ports. docs/probe.md says what differs from it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "probe/stream.hpp"

namespace faultline {

struct CharacteriseOptions {
  StreamOptions stream;              ///< run, route, flows; the rest is the trials'
  std::uint64_t trial_ns = 0;        ///< how long a trial sends
  double resolution = 0.01;          ///< the search ends when rates are so near, of the fastest
  double frames_per_second_max = 0;  ///< the fastest trial; 0: as fast as it goes
};

/// Delays of a stream at the throughput. Times in ns.
struct Latency {
  std::uint64_t p50_ns = 0;
  std::uint64_t p99_ns = 0;
  std::uint64_t most_ns = 0;
  std::uint64_t lost = 0;  ///< in that stream: a throughput that does not last
};

struct SizeResult {
  std::uint32_t bytes = 0;
  std::optional<double> frames_per_second;  ///< the throughput; absent: no rate without loss
  /// The fastest trial lost nothing: what is between the ports may be faster.
  bool sender_bound = false;
  std::uint32_t trials = 0;
  std::optional<Latency> latency;
  std::optional<Latency> baseline;  ///< the same stream through nothing but a cable
};

/// A trial as it ended, for who watches.
struct Trial {
  std::uint32_t bytes = 0;
  double frames_per_second = 0;
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
};

struct ProbePair {
  ProbePort& from;
  ProbePort& to;
};

/// `baseline`: a pair with nothing in between, or null. Ends early, with the sizes that are done,
/// when `stop` is set.
Result<std::vector<SizeResult>> characterise(const CharacteriseOptions& options, ProbePair pair,
                                             std::optional<ProbePair> baseline,
                                             const std::atomic<bool>& stop,
                                             const std::function<void(const Trial&)>& watch);

}  // namespace faultline
