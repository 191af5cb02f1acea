// A stream of numbered frames from one port to another, or both ways, checked as it comes in. One
// thread does all of it; what it found is told to nobody here.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "probe/frame.hpp"
#include "probe/port.hpp"
#include "probe/sequence.hpp"

namespace faultline {

struct StreamOptions {
  std::uint32_t run = 0;  ///< its number, in the frames' checks
  ProbeRoute route;       ///< from the first port to the second
  bool both = false;      ///< and back
  std::uint32_t flows = 1;
  std::vector<std::uint32_t> sizes{kProbeBytesMin};  ///< in turn; frames with the card's check
  double frames_per_second = 0;                      ///< each way; 0: as fast as it goes
  std::uint64_t duration_ns = 0;                     ///< frames are sent for so long
  std::uint64_t count = 0;                           ///< at most so many each way; 0: no bound
  std::uint64_t linger_ns = 500'000'000;  ///< after the last frame sent or come, at least
  std::uint64_t silence_ns = 0;           ///< gives up when nothing has come by then; 0: never
  bool by_flow = false;                   ///< delays of each flow too
};

struct FlowResult {
  std::uint64_t sent = 0;
  SequenceCounts counts;
  DelayCounts delays;  ///< only when asked for
};

/// One way.
struct StreamResult {
  std::uint64_t sent = 0;
  std::uint64_t sent_bytes = 0;  ///< with the card's check
  std::uint64_t sent_in_ns = 0;  ///< from the first to the last
  std::uint64_t corrupted = 0;   ///< among the lost, unless another copy came whole
  std::uint64_t changed = 0;     ///< whole, with other headers than sent
  std::uint64_t foreign = 0;     ///< somebody else's frames
  std::uint64_t missed = 0;      ///< came, but the checker was too slow for: they spoil the result
  SequenceCounts counts;
  DelayCounts delays;
  std::vector<FlowResult> flows;

  double rate() const;  ///< frames a second
};

struct StreamOutcome {
  std::vector<StreamResult> ways;  ///< there, and back
  bool silent = false;             ///< given up: on a way nothing came
};

struct StreamProgress {
  std::uint64_t elapsed_ns = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

/// `stop`: set from elsewhere, no more is sent and what is on its way is waited for. `progress` may
/// be empty; it is called once a second.
Result<StreamOutcome> run_stream(const StreamOptions& options, ProbePort& from, ProbePort& to,
                                 const std::atomic<bool>& stop,
                                 const std::function<void(const StreamProgress&)>& progress);

}  // namespace faultline
