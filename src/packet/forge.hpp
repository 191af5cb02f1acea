// Frames made from nothing, in the name of somebody who never sent them: ARP, VRRP, ICMP about a
// packet, TCP, PTP's Announce. Each is returned whole, checksums included, padded to what Ethernet
// asks for. Made when a scenario is read; nothing here is for the data path.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "packet/addresses.hpp"

namespace faultline {

using ForgedFrame = std::vector<std::uint8_t>;

/// What stands before the network header.
struct ForgedLink {
  MacAddress destination{};
  MacAddress source{};
  std::optional<std::uint16_t> vlan;  ///< an 802.1Q tag with this id
};

/// ARP for IPv4 over Ethernet (RFC 826).
struct ForgedArp {
  std::uint16_t operation = 1;  ///< 1: request, 2: reply
  MacAddress sender_mac{};
  IpAddress sender;
  MacAddress target_mac{};
  IpAddress target;
};
ForgedFrame forge_arp(const ForgedLink& link, const ForgedArp& arp);

/// An advertisement of VRRP version 3 (RFC 5798, section 5), of addresses of the sender's family.
/// From the virtual router's own MAC address to the routers' group, with a TTL of 255; the checksum
/// covers a pseudo-header with IPv4 too.
struct ForgedVrrp {
  std::uint8_t router = 1;  ///< its id, 1 … 255
  std::uint8_t priority = 100;
  std::uint16_t interval_cs = 100;  ///< 12 bits
  IpAddress source;
  std::vector<IpAddress> addresses;
};
ForgedFrame forge_vrrp(std::optional<std::uint16_t> vlan, const ForgedVrrp& vrrp);

/// A segment of TCP without data (RFC 9293, section 3.1). Both ends are of one family.
struct ForgedTcp {
  IpAddress source;
  IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint8_t flags = 0;  ///< FIN 1, SYN 2, RST 4, PSH 8, ACK 16
  std::uint16_t window = 0;
};
ForgedFrame forge_tcp(const ForgedLink& link, const ForgedTcp& tcp);

/// ICMP for IPv4 about a datagram that `destination` is said to have sent (RFC 792): its header and
/// the first eight bytes of its UDP or TCP header are quoted.
struct ForgedIcmp {
  IpAddress source;       ///< who complains
  IpAddress destination;  ///< to whom
  std::uint8_t type = 3;
  std::uint8_t code = 0;
  IpAddress rest;   ///< the four bytes behind the checksum: of a redirect the gateway
  IpAddress about;  ///< where the datagram was going
  std::uint8_t protocol = 17;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
};
ForgedFrame forge_icmp(const ForgedLink& link, const ForgedIcmp& icmp);

/// An Announce message of a clock that says it is a grandmaster (IEEE 1588-2008, tables 18 and 25),
/// to the group that PTP has for all but peer delay.
struct ForgedAnnounce {
  std::uint8_t domain = 0;
  std::uint8_t priority1 = 128;
  std::uint8_t clock_class = 248;
  std::uint8_t priority2 = 128;
  std::array<std::uint8_t, 8> identity{};
  std::uint16_t steps_removed = 0;
  std::int16_t utc_offset = 37;       ///< seconds, said to be valid
  std::int8_t interval_log2 = 0;      ///< of seconds between two of them
  std::optional<IpAddress> source{};  ///< over UDP from there; absent: over Ethernet
};
ForgedFrame forge_announce(const MacAddress& source, std::optional<std::uint16_t> vlan,
                           const ForgedAnnounce& announce);

}  // namespace faultline
