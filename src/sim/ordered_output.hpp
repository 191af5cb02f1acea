// Puts what all simulated ports send into one order, (release, arrival, port, input), whatever
// bursts and workers it came from, and writes it. Holds no more than what may still be overtaken.
#pragma once

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>
#include <queue>
#include <vector>

#include "drivers/sim.hpp"
#include "record/capture_writer.hpp"
#include "sim/cut_frames.hpp"

namespace faultline {

class OrderedOutput final : public SimulatedOutput {
 public:
  OrderedOutput(CaptureWriter& writer, CutFrames& cut_frames)
      : writer_(writer), cut_frames_(cut_frames) {}

  void sent(const HoldKey& key, const rte_mbuf* mbuf) noexcept override;

  /// Writes every packet released before `horizon_ns`: nothing earlier can come any more.
  void write_until(std::uint64_t horizon_ns);

 private:
  struct Waiting {
    HoldKey key;
    std::size_t buffer = 0;
    std::uint32_t original_bytes = 0;
  };
  struct Later {
    bool operator()(const Waiting& left, const Waiting& right) const noexcept;
  };

  CaptureWriter& writer_;
  CutFrames& cut_frames_;
  std::priority_queue<Waiting, std::vector<Waiting>, Later> waiting_;
  std::vector<std::vector<std::byte>> buffers_;
  std::vector<std::size_t> free_buffers_;
};

}  // namespace faultline
