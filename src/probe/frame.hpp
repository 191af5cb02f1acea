// The probe's frames: UDP over IPv4 or IPv6, with a mark in the payload that says which frame it is
// and when it was sent. Made and read here; nothing here sends. The mark fits the smallest frame
// (of IPv4):
//
//     magic 2 | flow 2 | number 4 | time 6 | check 4      big-endian, then filling
//
// The check is the CRC32C (RFC 3720, appendix B.4) of the payload without it, begun from the run's
// number: a frame of another run is not taken for one of this.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace faultline {

/// Frames as RFC 2544 counts them, with the 4 bytes of check that the network card adds.
inline constexpr std::uint32_t kProbeBytesMin = 64;
inline constexpr std::uint32_t kFrameCheckBytes = 4;
inline constexpr std::uint32_t kProbeFlowsMax = 1024;

struct ProbeEnd {
  std::array<std::uint8_t, 6> mac{};
  std::array<std::uint8_t, 16> ip{};  ///< of IPv4 the first four
};

struct ProbeRoute {
  ProbeEnd from;
  ProbeEnd to;
  bool ipv6 = false;
  std::uint16_t port = 9;  ///< UDP, where frames go; they come from 49152 + flow
  bool backwards = false;  ///< the second direction of two: marked, so that none is mistaken
};

/// Of the smallest frame, with the card's check.
std::uint32_t least_bytes(const ProbeRoute& route);

struct ProbeMark {
  std::uint16_t flow = 0;
  std::uint32_t number = 0;    ///< within the flow, from 0; begins anew after 2^32
  std::uint64_t stamp_ns = 0;  ///< modulo 2^48
};
inline constexpr std::uint64_t kStampMask = (std::uint64_t{1} << 48) - 1;

enum class ProbeFate : std::uint8_t {
  kWhole,      ///< the payload is as it was sent
  kCorrupted,  ///< it is one of ours by its addresses or its magic, but not as it was sent
  kForeign,    ///< somebody else's, another run's, or the other direction's
};

struct ProbeReading {
  ProbeFate fate = ProbeFate::kForeign;
  bool headers_changed = false;  ///< whole, with other headers than it was sent with
  ProbeMark mark;                ///< of a whole one
};

class ProbeFrames {
 public:
  ProbeFrames(std::uint32_t run, const ProbeRoute& route);

  /// Writes a frame of `bytes` (at least least_bytes(), with the card's check, which is not
  /// written) into `out`, which is large enough; returns what was written.
  std::span<std::uint8_t> make(const ProbeMark& mark, std::uint32_t bytes,
                               std::span<std::uint8_t> out) const;
  ProbeReading read(std::span<const std::uint8_t> frame) const;

 private:
  static constexpr std::size_t kHeaderBytesMax = 62;
  /// All before the payload, in the first bytes.
  using Headers = std::array<std::uint8_t, kHeaderBytesMax>;
  Headers headers_of(std::uint16_t flow, std::size_t frame_bytes) const;
  void put_network_header(std::uint8_t* frame, std::size_t frame_bytes) const;
  std::uint32_t check_of(std::span<const std::uint8_t> frame) const;
  std::uint16_t udp_checksum(std::span<const std::uint8_t> frame) const;

  std::uint32_t run_;
  ProbeRoute route_;
  // Where things are in a frame.
  std::size_t address_bytes_;
  std::size_t addresses_at_;
  std::size_t udp_at_;
  std::size_t payload_at_;
  std::size_t check_at_;
  std::size_t mark_end_;
};

/// CRC32C of bytes, begun from `start`.
std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t start);

}  // namespace faultline
