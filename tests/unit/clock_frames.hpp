// Frames of NTP and PTP, written field by field from RFC 5905 and IEEE 1588, for tests of what
// reads and changes them.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/impair_bench.hpp"

namespace faultline::test {

inline void put32(Bytes& bytes, std::size_t at, std::uint64_t value) {
  put16(bytes, at, value >> 16 & 0xFFFF);
  put16(bytes, at + 2, value & 0xFFFF);
}
inline void put64(Bytes& bytes, std::size_t at, std::uint64_t value) {
  put32(bytes, at, value >> 32);
  put32(bytes, at + 4, value & 0xFFFFFFFF);
}
inline std::uint64_t quad_of(const Bytes& bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t byte = 0; byte < 8; ++byte) value = value << 8 | bytes.at(at + byte);
  return value;
}

inline Bytes joined(const Bytes& first, const Bytes& second) {
  Bytes both;
  both.reserve(first.size() + second.size());
  for (const Bytes* part : {&first, &second})
    for (const std::uint8_t byte : *part) both.push_back(byte);
  return both;
}

/// On what a message travels.
enum class Carrier : std::uint8_t { kIpv4, kIpv4Tagged, kIpv6, kEthernet, kEthernetTagged };
inline constexpr Carrier kUdpCarriers[] = {Carrier::kIpv4, Carrier::kIpv4Tagged, Carrier::kIpv6};
inline constexpr Carrier kCarriers[] = {Carrier::kIpv4, Carrier::kIpv4Tagged, Carrier::kIpv6,
                                        Carrier::kEthernet, Carrier::kEthernetTagged};

/// A frame and where its message begins.
struct Carried {
  Bytes frame;
  std::size_t at = 0;
};

inline Carried carry(Carrier carrier, Ports ports, const Bytes& message) {
  Carried carried;
  const bool tagged_too = carrier == Carrier::kIpv4Tagged || carrier == Carrier::kEthernetTagged;
  if (carrier == Carrier::kIpv6)
    carried.frame = make(Ipv6Frame{.ports = ports, .payload_bytes = message.size()});
  else if (carrier == Carrier::kEthernet || carrier == Carrier::kEthernetTagged)
    carried.frame = ethernet(0x88F7, message.size());
  else
    carried.frame = make(Ipv4Frame{.ports = ports, .payload_bytes = message.size()});
  if (tagged_too)
    carried.frame = tagged(carried.frame, 0x8100, 0xE007);
  carried.at = carried.frame.size() - message.size();
  std::copy(message.begin(), message.end(),
            carried.frame.begin() + static_cast<std::ptrdiff_t>(carried.at));
  const bool udp = carrier != Carrier::kEthernet && carrier != Carrier::kEthernetTagged;
  if (udp)
    carried.frame = with_sums(carried.frame);
  return carried;
}

struct NtpWords {
  unsigned leap = 0;
  unsigned version = 4;
  unsigned mode = 4;
  unsigned stratum = 2;
  std::uint64_t reference = 0xE8000000'00000001;
  std::uint64_t origin = 0xE8000010'80000000;
  std::uint64_t receive = 0xE8000010'90000000;
  std::uint64_t transmit = 0xE8000010'A0000000;
  Bytes trailer{};
};

inline Bytes ntp_message(const NtpWords& words) {
  Bytes message(48, 0);
  message[0] = static_cast<std::uint8_t>(words.leap << 6 | words.version << 3 | words.mode);
  message[1] = static_cast<std::uint8_t>(words.stratum);
  message[2] = 6;
  message[3] = 0xE7;
  put32(message, 4, 0x00000123);
  put32(message, 8, 0x00000456);
  put32(message, 12, 0x7F7F0101);
  put64(message, 16, words.reference);
  put64(message, 24, words.origin);
  put64(message, 32, words.receive);
  put64(message, 40, words.transmit);
  return joined(message, words.trailer);
}

/// Extension field `type` of so many bytes, all of it.
inline Bytes extension(std::size_t type, std::size_t bytes) {
  Bytes field(bytes, 0x5A);
  put16(field, 0, type);
  put16(field, 2, bytes);
  return field;
}
/// A key's number and a digest.
inline Bytes mac(std::size_t digest_bytes) {
  Bytes trailer(4 + digest_bytes, 0xD1);
  put32(trailer, 0, 1);
  return trailer;
}

struct PtpWords {
  unsigned type = 0;
  bool two_step = false;
  std::uint64_t correction = 0;
  unsigned sequence = 77;
  std::uint64_t seconds = 0;
  std::uint64_t nanoseconds = 0;
  Bytes tlvs{};
  bool security = false;
};

inline std::size_t ptp_body_bytes(unsigned type) {
  switch (type) {
    case 2:
    case 3:
    case 9:
    case 10:
      return 54;
    case 11:
      return 64;
    case 13:
      return 48;
    default:
      return 44;
  }
}

inline Bytes ptp_message(const PtpWords& words) {
  Bytes message(ptp_body_bytes(words.type), 0);
  message[0] = static_cast<std::uint8_t>(words.type);
  message[1] = 2;
  put16(message, 2, message.size() + words.tlvs.size());
  message[6] = static_cast<std::uint8_t>((words.two_step ? 2 : 0) | (words.security ? 0x80 : 0));
  put64(message, 8, words.correction);
  for (std::size_t byte = 20; byte < 30; ++byte) message[byte] = 0xC1;
  put16(message, 30, words.sequence);
  if (words.type < 12) {
    put16(message, 34, words.seconds >> 32);
    put32(message, 36, words.seconds & 0xFFFFFFFF);
    put32(message, 40, words.nanoseconds);
  }
  if (words.type == 11) {
    put16(message, 44, 37);
    message[47] = 128;
    message[48] = 6;
    message[52] = 128;
    put16(message, 61, 0);
  }
  return joined(message, words.tlvs);
}

inline Bytes tlv(std::size_t type, std::size_t bytes) {
  Bytes made(4 + bytes, 0x3C);
  put16(made, 0, type);
  put16(made, 2, bytes);
  return made;
}

/// Event messages have a port of their own.
inline Ports ptp_ports(unsigned type) {
  const std::uint16_t port = type < 4 ? 319 : 320;
  return {port, port};
}

}  // namespace faultline::test
