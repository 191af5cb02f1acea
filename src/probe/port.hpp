// A network interface as the probe uses it: a packet socket on it, in whatever network namespace it
// is. What its frames mean is not here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/tsc_clock.hpp"

namespace faultline {

enum class ProbeRole : std::uint8_t { kSends, kListens, kBoth };

struct ReceivedFrame {
  std::span<const std::uint8_t> bytes;
  std::uint64_t arrival_ns = 0;  ///< CLOCK_MONOTONIC, when the kernel had it
};

class ProbePort {
 public:
  static constexpr std::size_t kBurst = 32;
  static constexpr std::size_t kFrameBytesMax = 9728;

  /// `name`: INTERFACE, or NAMESPACE/INTERFACE with a name as of `ip netns`. The link must be up
  /// and take frames of `frame_bytes`, with the card's check.
  static Result<ProbePort> open(const std::string& name, ProbeRole role, std::uint32_t frame_bytes);

  ProbePort(ProbePort&& other) noexcept;
  ProbePort& operator=(ProbePort&&) = delete;
  ~ProbePort();

  const std::string& name() const { return name_; }
  int descriptor() const { return socket_; }

  /// How many were taken, from the first on: fewer where the interface is busy.
  Result<std::size_t> send(std::span<const std::span<std::uint8_t>> frames);
  /// What has come, at most kBurst; good until the next call.
  std::span<const ReceivedFrame> receive();
  /// Frames that came and that this socket had no room for, since it was opened.
  std::uint64_t missed();

 private:
  struct Buffers;
  ProbePort(std::string name, int socket);

  std::string name_;
  int socket_ = -1;
  Buffers* buffers_ = nullptr;
  std::uint64_t missed_ = 0;
};

}  // namespace faultline
