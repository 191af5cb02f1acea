// Making and reading the probe's frames.
#include "probe/frame.hpp"

#include <nmmintrin.h>

#include <algorithm>
#include <cstring>

#include "packet/ones_sum.hpp"

namespace faultline {
namespace {

constexpr std::size_t kNetworkAt = 14;
constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kIpv6Bytes = 40;
constexpr std::size_t kUdpBytes = 8;
constexpr std::size_t kUdpChecksumAt = 6;  // of UDP's header
constexpr std::size_t kCheckAt = 14;       // of the mark
constexpr std::size_t kMarkBytes = 18;
constexpr std::uint16_t kMagic = 0x665C;
constexpr std::uint16_t kBackwards = 0x8000;
constexpr std::uint16_t kPortMin = 49'152;

void put(std::uint8_t* to, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    to[i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
}

std::uint64_t get(const std::uint8_t* from, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | from[i];
  return value;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t start) {
  std::uint64_t crc = start ^ 0xFFFF'FFFFU;
  std::size_t at = 0;
  for (std::uint64_t eight = 0; at + sizeof eight <= bytes.size(); at += sizeof eight) {
    std::memcpy(&eight, &bytes[at], sizeof eight);
    crc = _mm_crc32_u64(crc, eight);
  }
  auto rest = static_cast<std::uint32_t>(crc);
  for (; at < bytes.size(); ++at) rest = _mm_crc32_u8(rest, bytes[at]);
  return rest ^ 0xFFFF'FFFFU;
}

std::uint32_t least_bytes(const ProbeRoute& route) {
  return route.ipv6 ? kNetworkAt + kIpv6Bytes + kUdpBytes + kMarkBytes + kFrameCheckBytes
                    : kProbeBytesMin;
}

ProbeFrames::ProbeFrames(std::uint32_t run, const ProbeRoute& route)
    : run_(run),
      route_(route),
      address_bytes_(route.ipv6 ? 16 : 4),
      addresses_at_(kNetworkAt + (route.ipv6 ? 8 : 12)),
      udp_at_(kNetworkAt + (route.ipv6 ? kIpv6Bytes : kIpv4Bytes)),
      payload_at_(udp_at_ + kUdpBytes),
      check_at_(payload_at_ + kCheckAt),
      mark_end_(payload_at_ + kMarkBytes) {}

/// Of all of the payload but the check itself.
std::uint32_t ProbeFrames::check_of(std::span<const std::uint8_t> frame) const {
  const std::uint32_t begun = crc32c(frame.subspan(payload_at_, kCheckAt), run_);
  return crc32c(frame.subspan(mark_end_), begun);
}

std::uint16_t ProbeFrames::udp_checksum(std::span<const std::uint8_t> frame) const {
  std::uint32_t sum = ones_sum(frame.subspan(addresses_at_, 2 * address_bytes_), 17);
  sum += static_cast<std::uint32_t>(frame.size() - udp_at_);
  const std::uint16_t total = ones_sum(frame.subspan(udp_at_), sum);
  return total == 0xFFFF ? 0xFFFF : static_cast<std::uint16_t>(~total);
}

void ProbeFrames::put_network_header(std::uint8_t* frame, std::size_t frame_bytes) const {
  std::uint8_t* at = frame + kNetworkAt;
  if (route_.ipv6) {
    put(at, 0x6000'0000, 4);
    put(at + 4, frame_bytes - udp_at_, 2);
    put(at + 6, 0x1140, 2);  // UDP, 64 hops
  } else {
    put(at, 0x4500, 2);
    put(at + 2, frame_bytes - kNetworkAt, 2);
    put(at + 6, 0x4000, 2);  // not to be fragmented
    put(at + 8, 0x4011, 2);  // 64 hops, UDP
  }
  std::copy_n(route_.from.ip.begin(), address_bytes_, frame + addresses_at_);
  std::copy_n(route_.to.ip.begin(), address_bytes_, frame + addresses_at_ + address_bytes_);
  if (!route_.ipv6)
    put(at + 10, static_cast<std::uint16_t>(~ones_sum({at, kIpv4Bytes})), 2);
}

ProbeFrames::Headers ProbeFrames::headers_of(std::uint16_t flow, std::size_t frame_bytes) const {
  Headers headers{};
  std::uint8_t* at = headers.data();
  std::copy(route_.to.mac.begin(), route_.to.mac.end(), at);
  std::copy(route_.from.mac.begin(), route_.from.mac.end(), at + 6);
  put(at + 12, route_.ipv6 ? 0x86DD : 0x0800, 2);
  put_network_header(at, frame_bytes);
  put(at + udp_at_, std::uint64_t{kPortMin} + flow, 2);
  put(at + udp_at_ + 2, route_.port, 2);
  put(at + udp_at_ + 4, frame_bytes - udp_at_, 2);
  return headers;
}

std::span<std::uint8_t> ProbeFrames::make(const ProbeMark& mark, std::uint32_t bytes,
                                          std::span<std::uint8_t> out) const {
  const std::span<std::uint8_t> frame = out.first(bytes - kFrameCheckBytes);
  const Headers headers = headers_of(mark.flow, frame.size());
  std::copy_n(headers.begin(), payload_at_, frame.begin());
  std::uint8_t* payload = frame.data() + payload_at_;
  put(payload, kMagic, 2);
  put(payload + 2, std::uint64_t{mark.flow} | (route_.backwards ? kBackwards : 0), 2);
  put(payload + 4, mark.number, 4);
  put(payload + 8, mark.stamp_ns & kStampMask, 6);
  std::memset(frame.data() + mark_end_, 0x55, frame.size() - mark_end_);
  put(frame.data() + check_at_, check_of(frame), 4);
  put(frame.data() + udp_at_ + kUdpChecksumAt, udp_checksum(frame), 2);
  return frame;
}

ProbeReading ProbeFrames::read(std::span<const std::uint8_t> frame) const {
  ProbeReading reading;
  if (frame.size() < payload_at_)
    return reading;
  const auto same = [&](const std::array<std::uint8_t, 16>& expected, std::size_t at) {
    return std::equal(expected.begin(), expected.begin() + address_bytes_,
                      frame.begin() + static_cast<std::ptrdiff_t>(at));
  };
  const bool addressed = same(route_.from.ip, addresses_at_) &&
                         same(route_.to.ip, addresses_at_ + address_bytes_) &&
                         get(&frame[udp_at_ + 2], 2) == route_.port;
  const bool magic = frame.size() >= mark_end_ && get(&frame[payload_at_], 2) == kMagic;
  if (magic && get(&frame[check_at_], 4) == check_of(frame)) {
    const auto flow = static_cast<std::uint16_t>(get(&frame[payload_at_ + 2], 2));
    if (((flow & kBackwards) != 0) != route_.backwards)
      return reading;
    reading.fate = ProbeFate::kWhole;
    reading.mark = {.flow = static_cast<std::uint16_t>(flow & ~kBackwards),
                    .number = static_cast<std::uint32_t>(get(&frame[payload_at_ + 4], 4)),
                    .stamp_ns = get(&frame[payload_at_ + 8], 6)};
    const Headers expected = headers_of(reading.mark.flow, frame.size());
    reading.headers_changed =
        !std::equal(expected.begin(), expected.begin() + udp_at_ + kUdpChecksumAt, frame.begin());
  } else if (addressed) {
    reading.fate = ProbeFate::kCorrupted;
  }
  return reading;
}

}  // namespace faultline
