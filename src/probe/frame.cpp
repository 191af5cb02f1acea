// Making and reading the probe's frames.
#include "probe/frame.hpp"

#include <nmmintrin.h>

#include <algorithm>
#include <cstring>

#include "packet/ones_sum.hpp"

namespace faultline {
namespace {

constexpr std::size_t kIpv4At = 14;
constexpr std::size_t kUdpAt = 34;
constexpr std::size_t kPayloadAt = 42;
constexpr std::size_t kUdpChecksumAt = 40;
constexpr std::size_t kCheckAt = kPayloadAt + 14;  // of the mark
constexpr std::size_t kMarkEnd = kPayloadAt + 18;
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

/// Of all of the payload but the check itself.
std::uint32_t check_of(std::span<const std::uint8_t> frame, std::uint32_t run) {
  const std::uint32_t begun = crc32c(frame.subspan(kPayloadAt, kCheckAt - kPayloadAt), run);
  return crc32c(frame.subspan(kMarkEnd), begun);
}

std::uint16_t udp_checksum(std::span<const std::uint8_t> frame) {
  std::uint32_t sum = ones_sum(frame.subspan(kIpv4At + 12, 8), 17);
  sum += static_cast<std::uint32_t>(frame.size() - kUdpAt);
  const std::uint16_t total = ones_sum(frame.subspan(kUdpAt), sum);
  return total == 0xFFFF ? 0xFFFF : static_cast<std::uint16_t>(~total);
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

ProbeFrames::ProbeFrames(std::uint32_t run, const ProbeRoute& route) : run_(run), route_(route) {}

ProbeFrames::Headers ProbeFrames::headers_of(std::uint16_t flow, std::size_t frame_bytes) const {
  Headers headers{};
  std::uint8_t* at = headers.data();
  std::copy(route_.to.mac.begin(), route_.to.mac.end(), at);
  std::copy(route_.from.mac.begin(), route_.from.mac.end(), at + 6);
  put(at + 12, 0x0800, 2);
  put(at + 14, 0x4500, 2);
  put(at + 16, frame_bytes - kIpv4At, 2);
  put(at + 20, 0x4000, 2);  // not to be fragmented
  put(at + 22, 0x4011, 2);  // 64 hops, UDP
  std::copy(route_.from.ip.begin(), route_.from.ip.end(), at + 26);
  std::copy(route_.to.ip.begin(), route_.to.ip.end(), at + 30);
  const std::span<const std::uint8_t> all(headers);
  put(at + 24, static_cast<std::uint16_t>(~ones_sum(all.subspan(kIpv4At, 20))), 2);
  put(at + 34, std::uint64_t{kPortMin} + flow, 2);
  put(at + 36, route_.port, 2);
  put(at + 38, frame_bytes - kUdpAt, 2);
  return headers;
}

std::span<std::uint8_t> ProbeFrames::make(const ProbeMark& mark, std::uint32_t bytes,
                                          std::span<std::uint8_t> out) const {
  const std::span<std::uint8_t> frame = out.first(bytes - kFrameCheckBytes);
  const Headers headers = headers_of(mark.flow, frame.size());
  std::copy(headers.begin(), headers.end(), frame.begin());
  std::uint8_t* payload = frame.data() + kPayloadAt;
  put(payload, kMagic, 2);
  put(payload + 2, std::uint64_t{mark.flow} | (route_.backwards ? kBackwards : 0), 2);
  put(payload + 4, mark.number, 4);
  put(payload + 8, mark.stamp_ns & kStampMask, 6);
  std::memset(frame.data() + kMarkEnd, 0x55, frame.size() - kMarkEnd);
  put(frame.data() + kCheckAt, check_of(frame, run_), 4);
  put(frame.data() + kUdpChecksumAt, udp_checksum(frame), 2);
  return frame;
}

ProbeReading ProbeFrames::read(std::span<const std::uint8_t> frame) const {
  ProbeReading reading;
  if (frame.size() < kPayloadAt)
    return reading;
  const auto same = [&](const auto& expected, std::size_t at) {
    return std::equal(expected.begin(), expected.end(),
                      frame.begin() + static_cast<std::ptrdiff_t>(at));
  };
  const bool addressed = same(route_.from.ip, kIpv4At + 12) && same(route_.to.ip, kIpv4At + 16) &&
                         get(&frame[kUdpAt + 2], 2) == route_.port;
  const bool magic = frame.size() >= kMarkEnd && get(&frame[kPayloadAt], 2) == kMagic;
  if (magic && get(&frame[kCheckAt], 4) == check_of(frame, run_)) {
    const auto flow = static_cast<std::uint16_t>(get(&frame[kPayloadAt + 2], 2));
    if (((flow & kBackwards) != 0) != route_.backwards)
      return reading;
    reading.fate = ProbeFate::kWhole;
    reading.mark = {.flow = static_cast<std::uint16_t>(flow & ~kBackwards),
                    .number = static_cast<std::uint32_t>(get(&frame[kPayloadAt + 4], 4)),
                    .stamp_ns = get(&frame[kPayloadAt + 8], 6)};
    const Headers expected = headers_of(reading.mark.flow, frame.size());
    reading.headers_changed =
        !std::equal(expected.begin(), expected.begin() + kUdpChecksumAt, frame.begin());
  } else if (addressed) {
    reading.fate = ProbeFate::kCorrupted;
  }
  return reading;
}

}  // namespace faultline
