// Reading the directed flow of a frame, with every length checked before a byte is touched.
#include "packet/flow_key.hpp"

#include <fmt/format.h>

#include <cstring>

#include "base/int128.hpp"

namespace faultline {
namespace {

constexpr std::size_t kIpv4HeaderBytes = 20;
constexpr std::size_t kIpv6HeaderBytes = 40;
constexpr std::size_t kUdpHeaderBytes = 8;
constexpr std::size_t kTcpHeaderBytes = 20;

std::uint16_t load_be16(const std::uint8_t* bytes) noexcept {
  return static_cast<std::uint16_t>((bytes[0] << 8) | bytes[1]);
}

/// The ports of a TCP or UDP header of which `available` bytes belong to the datagram.
ParseOutcome parse_ports(std::span<const std::uint8_t> bytes, std::size_t offset,
                         std::size_t available, FlowKey& key) noexcept {
  const std::size_t wanted = key.protocol == kProtocolTcp ? kTcpHeaderBytes : kUdpHeaderBytes;
  if (available < wanted || offset + wanted > bytes.size())
    return ParseOutcome::kUnparsed;
  if (key.protocol == kProtocolTcp) {
    const std::size_t header = static_cast<std::size_t>(bytes[offset + 12] >> 4) * 4;
    if (header < kTcpHeaderBytes || header > available)
      return ParseOutcome::kUnparsed;
  } else {
    const std::size_t length = load_be16(&bytes[offset + 4]);
    if (length < kUdpHeaderBytes || length > available)
      return ParseOutcome::kUnparsed;
  }
  key.source_port = load_be16(&bytes[offset]);
  key.destination_port = load_be16(&bytes[offset + 2]);
  return ParseOutcome::kParsed;
}

bool has_ports(std::uint8_t protocol) noexcept {
  return protocol == kProtocolTcp || protocol == kProtocolUdp;
}

/// RFC 791, section 3.1.
ParseOutcome parse_ipv4(std::span<const std::uint8_t> bytes, std::size_t frame_length,
                        FlowKey& key) noexcept {
  constexpr std::size_t offset = kEthernetHeaderBytes;
  if (bytes.size() < offset + kIpv4HeaderBytes)
    return ParseOutcome::kUnparsed;
  const std::uint8_t* header = bytes.data() + offset;
  const std::size_t header_length = static_cast<std::size_t>(header[0] & 0x0F) * 4;
  const std::size_t total_length = load_be16(header + 2);
  if ((header[0] >> 4) != 4 || header_length < kIpv4HeaderBytes || total_length < header_length ||
      total_length > frame_length - offset || offset + header_length > bytes.size())
    return ParseOutcome::kUnparsed;
  key = FlowKey{};
  key.kind = FlowKind::kIpv4;
  key.ethertype = kEthertypeIpv4;
  key.protocol = header[9];
  std::memcpy(key.source.data(), header + 12, 4);
  std::memcpy(key.destination.data(), header + 16, 4);
  const std::uint16_t fragment = load_be16(header + 6);
  const bool is_fragment = (fragment & 0x3FFF) != 0;  // MF set, or an offset
  if (is_fragment || !has_ports(key.protocol))
    return ParseOutcome::kParsed;
  return parse_ports(bytes, offset + header_length, total_length - header_length, key);
}

/// RFC 8200, section 3. Extension headers are not followed: such a flow has no ports.
ParseOutcome parse_ipv6(std::span<const std::uint8_t> bytes, std::size_t frame_length,
                        FlowKey& key) noexcept {
  constexpr std::size_t offset = kEthernetHeaderBytes;
  if (bytes.size() < offset + kIpv6HeaderBytes)
    return ParseOutcome::kUnparsed;
  const std::uint8_t* header = bytes.data() + offset;
  const std::size_t payload_length = load_be16(header + 4);
  if ((header[0] >> 4) != 6 || payload_length > frame_length - offset - kIpv6HeaderBytes)
    return ParseOutcome::kUnparsed;
  key = FlowKey{};
  key.kind = FlowKind::kIpv6;
  key.ethertype = kEthertypeIpv6;
  key.protocol = header[6];
  std::memcpy(key.source.data(), header + 8, 16);
  std::memcpy(key.destination.data(), header + 24, 16);
  if (!has_ports(key.protocol))
    return ParseOutcome::kParsed;
  return parse_ports(bytes, offset + kIpv6HeaderBytes, payload_length, key);
}

/// Folds a 128-bit product: the mixing step of the wyhash family (Wang Yi, 2019).
std::uint64_t fold(std::uint64_t left, std::uint64_t right) noexcept {
  const Uint128 product = static_cast<Uint128>(left) * right;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Odd constants with balanced bits: the fractional parts of the square roots of 2, 3, 5 and 7.
constexpr std::uint64_t kMix0 = 0x6A09E667F3BCC909;
constexpr std::uint64_t kMix1 = 0xBB67AE8584CAA73B;
constexpr std::uint64_t kMix2 = 0x3C6EF372FE94F82B;
constexpr std::uint64_t kMix3 = 0xA54FF53A5F1D36F1;

}  // namespace

ParseOutcome parse_flow_key(std::span<const std::uint8_t> bytes, std::size_t frame_length,
                            FlowKey& key) noexcept {
  key = FlowKey{};
  if (bytes.size() < kEthernetHeaderBytes)
    return ParseOutcome::kUnparsed;
  const std::uint16_t ethertype = load_be16(&bytes[12]);
  ParseOutcome outcome = ParseOutcome::kParsed;
  if (ethertype == kEthertypeIpv4)
    outcome = parse_ipv4(bytes, frame_length, key);
  else if (ethertype == kEthertypeIpv6)
    outcome = parse_ipv6(bytes, frame_length, key);
  if (outcome == ParseOutcome::kUnparsed)
    key = FlowKey{};
  if (key.kind == FlowKind::kLink) {
    std::memcpy(key.destination.data(), bytes.data(), 6);
    std::memcpy(key.source.data(), bytes.data() + 6, 6);
    key.ethertype = ethertype;
  }
  return outcome;
}

std::uint64_t flow_identity(const FlowKey& key) noexcept {
  std::array<std::uint64_t, 5> words;
  std::memcpy(words.data(), &key, sizeof key);
  const std::uint64_t addresses =
      fold(words[0] ^ kMix0, words[1] ^ kMix1) ^ fold(words[2] ^ kMix1, words[3] ^ kMix2);
  return fold(addresses ^ kMix3, words[4] ^ kMix0) ^ fold(addresses ^ kMix2, kMix1);
}

namespace {

std::uint64_t address_identity(const std::array<std::uint8_t, 16>& address,
                               FlowKind kind) noexcept {
  std::array<std::uint64_t, 2> words;
  std::memcpy(words.data(), address.data(), sizeof words);
  return fold(fold(words[0] ^ kMix0, words[1] ^ kMix1) ^ kMix2,
              kMix3 + static_cast<std::uint64_t>(kind));
}

}  // namespace

std::uint64_t source_identity(const FlowKey& key) noexcept {
  return address_identity(key.source, key.kind);
}

std::uint64_t destination_identity(const FlowKey& key) noexcept {
  return address_identity(key.destination, key.kind);
}

std::uint64_t pair_identity(const FlowKey& key) noexcept {
  return fold((source_identity(key) + destination_identity(key)) ^ kMix1, kMix3);
}

std::uint64_t flow_pair_hash(const FlowKey& key) noexcept {
  FlowKey reverse = key;
  reverse.source = key.destination;
  reverse.destination = key.source;
  reverse.source_port = key.destination_port;
  reverse.destination_port = key.source_port;
  const std::uint64_t sum = flow_identity(key) + flow_identity(reverse);
  return fold(sum ^ kMix0, kMix2);
}

namespace {

std::string mac_text(const std::uint8_t* bytes) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2],
                     bytes[3], bytes[4], bytes[5]);
}

/// RFC 5952: lower case, the longest run of two or more zero groups shortened.
std::string ipv6_text(const std::uint8_t* bytes) {
  int best_start = -1;
  int best_length = 1;
  for (int start = 0; start < 8; ++start) {
    int length = 0;
    while (start + length < 8 && load_be16(bytes + 2 * (start + length)) == 0) ++length;
    if (length > best_length) {
      best_start = start;
      best_length = length;
    }
  }
  std::string text;
  for (int group = 0; group < 8; ++group) {
    if (group == best_start) {
      text += "::";
      group += best_length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':')
      text += ':';
    text += fmt::format("{:x}", load_be16(bytes + 2 * group));
  }
  return text;
}

std::string address_text(const FlowKey& key, const std::array<std::uint8_t, 16>& address) {
  switch (key.kind) {
    case FlowKind::kLink:
      return mac_text(address.data());
    case FlowKind::kIpv4:
      return fmt::format("{}.{}.{}.{}", address[0], address[1], address[2], address[3]);
    case FlowKind::kIpv6:
      return ipv6_text(address.data());
  }
  return {};
}

std::string protocol_text(const FlowKey& key) {
  if (key.kind == FlowKind::kLink)
    return fmt::format("0x{:04x}", key.ethertype);
  switch (key.protocol) {
    case kProtocolIcmp:
      return "icmp";
    case kProtocolTcp:
      return "tcp";
    case kProtocolUdp:
      return "udp";
    case kProtocolIcmpv6:
      return "icmpv6";
    default:
      return fmt::format("proto-{}", key.protocol);
  }
}

}  // namespace

std::string to_text(const FlowKey& key) {
  std::string source = address_text(key, key.source);
  std::string destination = address_text(key, key.destination);
  if (has_ports(key.protocol) && key.kind != FlowKind::kLink) {
    const char* form = key.kind == FlowKind::kIpv6 ? "[{}]:{}" : "{}:{}";
    source = fmt::format(fmt::runtime(form), source, key.source_port);
    destination = fmt::format(fmt::runtime(form), destination, key.destination_port);
  }
  return fmt::format("{} {} > {}", protocol_text(key), source, destination);
}

}  // namespace faultline
