// A port as the probe uses it: where frames go out and come in. What they mean is not here.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/tsc_clock.hpp"

namespace faultline {

enum class ProbeRole : std::uint8_t { kSends, kListens, kBoth };

struct ReceivedFrame {
  std::span<const std::uint8_t> bytes;
  std::uint64_t arrival_ns = 0;  ///< CLOCK_MONOTONIC, when it was there
};

class ProbePort {
 public:
  static constexpr std::size_t kBurst = 32;
  static constexpr std::size_t kFrameBytesMax = 9728;

  explicit ProbePort(std::string name) : name_(std::move(name)) {}
  virtual ~ProbePort() = default;
  ProbePort(const ProbePort&) = delete;
  ProbePort& operator=(const ProbePort&) = delete;

  const std::string& name() const { return name_; }
  /// What can be waited for; -1: what has come is only known by looking.
  virtual int descriptor() const { return -1; }

  /// How many were taken, from the first on: fewer where the port is busy.
  virtual Result<std::size_t> send(std::span<const std::span<std::uint8_t>> frames) = 0;
  /// What has come, at most kBurst; good until the next call.
  virtual std::span<const ReceivedFrame> receive() = 0;
  /// Frames that came and for which there was no room, since it was opened.
  virtual std::uint64_t missed() = 0;

 private:
  std::string name_;
};

using ProbePortPtr = std::unique_ptr<ProbePort>;

/// A network interface: a packet socket on it. `name`: INTERFACE, or NAMESPACE/INTERFACE with a
/// name as of `ip netns`. The link must be up and take frames of `frame_bytes`, with the card's
/// check.
Result<ProbePortPtr> open_interface(const std::string& name, ProbeRole role,
                                    std::uint32_t frame_bytes);

}  // namespace faultline
