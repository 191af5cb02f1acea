// Who talks to whom: the directed flow a frame belongs to, and numbers for it. How it is read from
// a frame is in frame_fields.hpp.
#pragma once

#include <emmintrin.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace faultline {

inline constexpr std::uint16_t kEthertypeIpv4 = 0x0800;
inline constexpr std::uint16_t kEthertypeIpv6 = 0x86DD;
inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolIcmpv6 = 58;
inline constexpr std::uint8_t kProtocolSctp = 132;
inline constexpr std::size_t kEthernetHeaderBytes = 14;

/// The number of an ordered pair of ports: where a frame came in, and where it would leave.
using PathId = std::uint16_t;
inline constexpr std::size_t kPathsMax = 4'096;

enum class FlowKind : std::uint8_t {
  kLink,  ///< not IP: MAC addresses and ethertype
  kIpv4,
  kIpv6,
};

/// A directed flow. IPv4 and IPv6: addresses and protocol, for TCP, UDP and SCTP also the ports; a
/// fragment (the first included) has ports 0. Everything else: MAC addresses and ethertype. Unused
/// bytes are zero, so that keys compare and hash as plain bytes.
struct FlowKey {
  std::array<std::uint8_t, 16> source{};       ///< IPv4: first 4 bytes; kLink: first 6
  std::array<std::uint8_t, 16> destination{};  ///< likewise
  std::uint16_t source_port = 0;               ///< host byte order
  std::uint16_t destination_port = 0;          ///< host byte order
  std::uint16_t ethertype = 0;                 ///< behind VLAN tags; 0: 802.3 with a length
  std::uint8_t protocol = 0;                   ///< IP protocol number; 0 for kLink
  FlowKind kind = FlowKind::kLink;
  std::uint16_t outer_vlan = 0;  ///< of 802.1Q or 802.1ad: id and kVlanPresent; 0: untagged
  std::uint16_t inner_vlan = 0;  ///< of the tag behind it, likewise

  friend bool operator==(const FlowKey& left, const FlowKey& right) noexcept;
};
inline constexpr std::size_t kFlowIdentityBytes = 40;
static_assert(sizeof(FlowKey) == kFlowIdentityBytes + 4);
static_assert(std::has_unique_object_representations_v<FlowKey>);

/// Sixteen bytes at once, the last ones along with some before them.
inline bool operator==(const FlowKey& left, const FlowKey& right) noexcept {
  constexpr std::size_t kLast = sizeof(FlowKey) - 16;
  const auto same = [&](std::size_t at) {
    const auto load = [at](const FlowKey& key) {
      return _mm_loadu_si128(
          reinterpret_cast<const __m128i*>(reinterpret_cast<const std::uint8_t*>(&key) + at));
    };
    return _mm_cmpeq_epi8(load(left), load(right));
  };
  return _mm_movemask_epi8(_mm_and_si128(_mm_and_si128(same(0), same(16)), same(kLast))) == 0xFFFF;
}
/// Tells VLAN 0 (a priority tag) from no tag.
inline constexpr std::uint16_t kVlanPresent = 0x1000;

constexpr bool has_ports(std::uint8_t protocol) noexcept {
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp;
}

/// A 64-bit number for the flow, the same in every run and on every machine: the identity its dice
/// are thrown with, and the index into the flow table. VLANs are no part of it.
std::uint64_t flow_identity(const FlowKey& key) noexcept;

/// 64-bit numbers for a packet's source, its destination, and the two regardless of which is which.
std::uint64_t source_identity(const FlowKey& key) noexcept;
std::uint64_t destination_identity(const FlowKey& key) noexcept;
std::uint64_t pair_identity(const FlowKey& key) noexcept;

/// The same for both directions of a flow: which worker it belongs to.
std::uint64_t flow_pair_hash(const FlowKey& key) noexcept;

/// "10.0.0.1", "fd77::1", "02:00:00:00:00:01".
std::string address_text(FlowKind kind, const std::array<std::uint8_t, 16>& address);

/// "tcp 10.0.0.1:4242 > 10.0.0.2:80", "icmp 10.0.0.1 > 10.0.0.2",
/// "0x0806 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff".
std::string to_text(const FlowKey& key);

}  // namespace faultline
