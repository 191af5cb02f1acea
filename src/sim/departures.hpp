// Puts what all simulated ports send, and what the workers drop, into one order, (time, arrival,
// port, input), whatever bursts and workers it came from, and hands it to a sink. Holds no more
// than what may still be overtaken.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <queue>
#include <span>
#include <vector>

#include "drivers/sim.hpp"
#include "sim/cut_frames.hpp"
#include "sim/trail.hpp"

namespace faultline {

/// How a packet's way through a simulation ended.
struct Departure {
  HoldKey key;                            ///< release_ns: when it was sent, or dropped
  DropReason reason = DropReason::kNone;  ///< kNone: sent
  std::span<const std::byte> bytes;       ///< of the frame as captured, valid during the call
  std::uint32_t original_bytes = 0;       ///< on the wire; never less than bytes.size()
};

class DepartureSink {
 public:
  virtual ~DepartureSink() = default;
  virtual void departed(const Departure& departure, const PacketTrail& trail) = 0;
};

class Departures final : public SimulatedOutput, public DropListener {
 public:
  /// `detail` says what the trail of each packet holds; with kNothing drops are not handed over.
  Departures(DepartureSink& sink, TrailDetail detail, CutFrames& cut_frames)
      : sink_(sink), cut_frames_(cut_frames), detail_(detail), trail_(detail, *this) {}

  void sent(const HoldKey& key, const rte_mbuf* mbuf) noexcept override {
    last_sent_ns_ = std::max(last_sent_ns_, key.release_ns);
    wait(key, mbuf, DropReason::kNone);
  }
  void dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept override {
    if (detail_ == TrailDetail::kNothing)
      cut_frames_.leaves(key.sequence, mbuf->pkt_len);
    else
      wait(key, mbuf, reason);
  }

  /// Hands over every packet whose way ended before `horizon_ns`: nothing earlier can come any
  /// more.
  void hand_over_until(std::uint64_t horizon_ns);

  Witness& witness() { return trail_; }
  /// When the last packet left; 0: none has.
  std::uint64_t last_sent_ns() const { return last_sent_ns_; }

 private:
  struct Waiting {
    HoldKey key;
    DropReason reason = DropReason::kNone;
    std::size_t buffer = 0;
    std::uint32_t original_bytes = 0;
  };
  struct Later {
    bool operator()(const Waiting& left, const Waiting& right) const noexcept;
  };

  void wait(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept;

  DepartureSink& sink_;
  CutFrames& cut_frames_;
  TrailDetail detail_;
  Trail trail_;
  std::priority_queue<Waiting, std::vector<Waiting>, Later> waiting_;
  std::vector<std::vector<std::byte>> buffers_;
  std::vector<std::size_t> free_buffers_;
  std::uint64_t last_sent_ns_ = 0;
};

}  // namespace faultline
