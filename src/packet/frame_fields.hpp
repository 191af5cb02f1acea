// What a frame says of itself, read from its first bytes with every length checked before a byte is
// touched. Bytes only: nothing here knows mbufs, ports or rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "packet/flow_key.hpp"

namespace faultline {

enum class FragmentKind : std::uint8_t {
  kNone,
  kFirst,  ///< shows the ports of its datagram
  kLater,
};

struct FrameFields {
  FlowKey key;
  std::uint32_t length = 0;            ///< of the frame, without FCS
  std::uint32_t datagram_bytes = 0;    ///< by its own header, without padding; 0: not IP
  std::uint32_t fragment_id = 0;       ///< identification; of fragments only
  std::uint16_t source_port = 0;       ///< as shown by the frame itself: by a first fragment too
  std::uint16_t destination_port = 0;  ///< likewise
  std::uint16_t l3_offset = 0;         ///< of the IP header; 0: not IP
  std::uint8_t vlan_tags = 0;          ///< kVlanDepth at most
  std::uint8_t l3_header_bytes = 0;    ///< of the IP header, IPv4 options included
  std::uint16_t body_offset = 0;       ///< behind the IP header and its extensions; 0: not IP
  std::uint16_t l4_offset = 0;         ///< of the transport header; 0: none was read
  std::uint16_t payload_offset = 0;    ///< behind the transport header; 0: none was read
  std::uint16_t payload_bytes = 0;     ///< behind a TCP or UDP header
  FragmentKind fragment = FragmentKind::kNone;
  bool shows_ports = false;
  bool dont_fragment = false;  ///< IPv4: DF
  std::uint8_t dscp = 0;
  std::uint8_t ecn = 0;
  std::uint8_t ttl = 0;        ///< or hop limit
  std::uint8_t tcp_flags = 0;  ///< RFC 9293: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE, CWR
  std::uint8_t icmp_type = 0;  ///< with l4_offset
  std::uint8_t icmp_code = 0;

  bool is_ip() const noexcept { return key.kind != FlowKind::kLink; }
  friend bool operator==(const FrameFields&, const FrameFields&) = default;
};

enum class ParseOutcome : std::uint8_t { kParsed, kUnparsed };

/// How much of a frame parse_frame looks at: headers that end farther back are not parsed.
inline constexpr std::size_t kParseBytesMax = 256;
/// Whether an ethertype announces a VLAN tag: 802.1Q or 802.1ad.
constexpr bool is_vlan_tag(std::uint16_t ethertype) noexcept {
  return ethertype == 0x8100 || ethertype == 0x88A8;
}

/// VLAN tags that are looked behind. A frame with more is a link-level flow of the next tag's
/// ethertype.
inline constexpr int kVlanDepth = 4;
/// MPLS labels that are looked behind.
inline constexpr int kMplsDepth = 8;
/// IPv6 extension headers that are looked behind. With more there is no transport header.
inline constexpr int kExtensionDepth = 8;

/// Reads Ethernet II and 802.3, 802.1Q/802.1ad tags, MPLS with IP behind it, IPv4, IPv6 with
/// hop-by- hop, routing, destination, authentication, mobility and fragment headers, TCP, UDP,
/// SCTP, ICMP and ICMPv6. `bytes` are the frame's first bytes (all of it, or at least
/// kParseBytesMax); `frame_length` its whole length. Never reads beyond `bytes`. kUnparsed: the
/// frame is cut short or contradicts itself (lengths, versions); the key then is that of a
/// link-level flow as far as the bytes go.
ParseOutcome parse_frame(std::span<const std::uint8_t> bytes, std::size_t frame_length,
                         FrameFields& fields) noexcept;

/// Only whether it can be parsed, and what its IP header says of ECN (0: there is none).
ParseOutcome parse_ecn(std::span<const std::uint8_t> bytes, std::size_t frame_length,
                       std::uint8_t& ecn) noexcept;

/// Only the flow.
inline ParseOutcome parse_flow_key(std::span<const std::uint8_t> bytes, std::size_t frame_length,
                                   FlowKey& key) noexcept {
  FrameFields fields;
  const ParseOutcome outcome = parse_frame(bytes, frame_length, fields);
  key = fields.key;
  return outcome;
}

}  // namespace faultline
