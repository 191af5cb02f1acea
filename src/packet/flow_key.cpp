// Numbers and words for flows.
#include "packet/flow_key.hpp"

#include <fmt/format.h>

#include <cstring>

#include "base/int128.hpp"

namespace faultline {
namespace {

std::uint16_t load_be16(const std::uint8_t* bytes) noexcept {
  return static_cast<std::uint16_t>((bytes[0] << 8) | bytes[1]);
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

std::uint64_t load_word(const void* bytes) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

}  // namespace

// Word by word: a load of sixteen bytes, of which eight have just been stored, waits for the store.
std::uint64_t flow_identity(const FlowKey& key) noexcept {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&key);
  const std::uint64_t addresses =
      fold(load_word(bytes) ^ kMix0, load_word(bytes + 8) ^ kMix1) ^
      fold(load_word(bytes + 16) ^ kMix1, load_word(bytes + 24) ^ kMix2);
  return fold(addresses ^ kMix3, load_word(bytes + 32) ^ kMix0) ^ fold(addresses ^ kMix2, kMix1);
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
    case kProtocolSctp:
      return "sctp";
    default:
      return fmt::format("proto-{}", key.protocol);
  }
}

}  // namespace

std::string address_text(FlowKind kind, const std::array<std::uint8_t, 16>& address) {
  switch (kind) {
    case FlowKind::kLink:
      return mac_text(address.data());
    case FlowKind::kIpv4:
      return fmt::format("{}.{}.{}.{}", address[0], address[1], address[2], address[3]);
    case FlowKind::kIpv6:
      return ipv6_text(address.data());
  }
  return {};
}

std::string to_text(const FlowKey& key) {
  std::string source = address_text(key.kind, key.source);
  std::string destination = address_text(key.kind, key.destination);
  if (has_ports(key.protocol) && key.kind != FlowKind::kLink) {
    const char* form = key.kind == FlowKind::kIpv6 ? "[{}]:{}" : "{}:{}";
    source = fmt::format(fmt::runtime(form), source, key.source_port);
    destination = fmt::format(fmt::runtime(form), destination, key.destination_port);
  }
  std::string text = fmt::format("{} {} > {}", protocol_text(key), source, destination);
  for (const std::uint16_t vlan : {key.outer_vlan, key.inner_vlan})
    if (vlan != 0)
      text += fmt::format(" vlan {}", vlan & 0x0FFF);
  return text;
}

}  // namespace faultline
