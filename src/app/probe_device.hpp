// A port of DPDK as the probe uses it: it copies frames into buffers of the pool and out of them,
// and looks at the port whenever it is asked. One thread.
#pragma once

#include <rte_mempool.h>

#include <array>
#include <memory>
#include <vector>

#include "dataplane/device.hpp"
#include "probe/port.hpp"

namespace faultline {

class ProbeDevice final : public ProbePort {
 public:
  /// Of a device with one queue, whose link is up. The pool outlives this.
  ProbeDevice(const std::string& name, std::unique_ptr<Device> device, rte_mempool* pool);
  ~ProbeDevice() override;

  Result<std::size_t> send(std::span<const std::span<std::uint8_t>> frames) override;
  std::span<const ReceivedFrame> receive() override;
  std::uint64_t missed() override;

 private:
  using FrameBytes = std::array<std::uint8_t, kFrameBytesMax>;

  void give_back() noexcept;
  bool is_dead();
  std::span<const std::uint8_t> bytes_of(const rte_mbuf* mbuf, FrameBytes& whole) const;

  std::unique_ptr<Device> device_;
  LivePort& queue_;
  rte_mempool* pool_;
  DeviceCounters before_;       ///< what it had lost when it was opened
  std::uint64_t taken_ns_ = 0;  ///< when it took a frame last
  std::array<rte_mbuf*, kBurst> received_{};
  std::uint32_t received_count_ = 0;
  std::array<ReceivedFrame, kBurst> frames_;
  std::vector<FrameBytes> pieces_;  ///< of frames in several buffers, in one piece
};

}  // namespace faultline
