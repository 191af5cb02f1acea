// Whose a frame is: port and VLAN first, then the addresses that the frame shows.
#include "packet/node_table.hpp"

#include <algorithm>
#include <cstring>

namespace faultline {
namespace {

constexpr std::uint16_t kEthertypeArp = 0x0806;
constexpr std::size_t kArpSenderAt = 14;  // RFC 826, for Ethernet and IPv4
constexpr std::size_t kArpTargetAt = 24;
constexpr std::size_t kArpBytes = 28;
constexpr std::uint8_t kNeighbourSolicitation = 135;  // RFC 4861
constexpr std::size_t kSolicitedAt = 8;               // of ICMPv6
constexpr std::size_t kVlanTagBytes = 4;
constexpr std::uint8_t kGroupBit = 1;

IpAddress ipv4_at(const std::uint8_t* bytes) noexcept {
  IpAddress address;
  std::memcpy(address.bytes.data(), bytes, 4);
  return address;
}

/// An ARP packet's address at `offset`; nothing when the frame is none.
std::optional<IpAddress> arp_address(const FrameOnPath& frame, std::size_t offset) noexcept {
  const std::size_t at = kEthernetHeaderBytes + std::size_t{frame.fields.vlan_tags} * kVlanTagBytes;
  if (frame.fields.is_ip() || frame.fields.key.ethertype != kEthertypeArp ||
      frame.bytes.size() < at + kArpBytes)
    return std::nullopt;
  return ipv4_at(&frame.bytes[at + offset]);
}

/// Whom a frame for a group asks for: ARP's target, or a solicited neighbour.
std::optional<IpAddress> asked_for(const FrameOnPath& frame) noexcept {
  if (const auto target = arp_address(frame, kArpTargetAt))
    return target;
  const FrameFields& fields = frame.fields;
  if (fields.key.protocol != kProtocolIcmpv6 || fields.l4_offset == 0 ||
      fields.icmp_type != kNeighbourSolicitation ||
      frame.bytes.size() < fields.l4_offset + kSolicitedAt + 16)
    return std::nullopt;
  IpAddress address{.kind = FlowKind::kIpv6, .bytes = {}};
  std::memcpy(address.bytes.data(), &frame.bytes[fields.l4_offset + kSolicitedAt], 16);
  return address;
}

/// ARP, or neighbour and router discovery (RFC 4861: types 133 to 137).
bool looks_for_neighbours(const FrameFields& fields) noexcept {
  if (!fields.is_ip())
    return fields.key.ethertype == kEthertypeArp;
  return fields.key.protocol == kProtocolIcmpv6 && fields.l4_offset != 0 &&
         fields.icmp_type >= 133 && fields.icmp_type <= 137;
}

bool has(const NodeAddresses& node, const std::optional<IpAddress>& address) noexcept {
  return address && std::ranges::find(node.ips, *address) != node.ips.end();
}

bool is_on(const NodeAddresses& node, std::uint8_t port, const FlowKey& key) noexcept {
  if (node.port && *node.port != port)
    return false;
  return !node.vlan || key.outer_vlan == (*node.vlan | kVlanPresent);
}

bool is_mac(const NodeAddresses& node, std::span<const std::uint8_t> bytes,
            std::size_t at) noexcept {
  return bytes.size() >= at + node.mac->size() &&
         std::memcmp(&bytes[at], node.mac->data(), node.mac->size()) == 0;
}

}  // namespace

NodeTable::NodeTable(std::vector<NodeAddresses> nodes, std::vector<std::string> ports)
    : nodes_(std::move(nodes)), ports_(std::move(ports)) {}

std::optional<std::size_t> NodeTable::find(std::string_view name) const noexcept {
  const auto found = std::ranges::find(nodes_, name, &NodeAddresses::name);
  if (found == nodes_.end())
    return std::nullopt;
  return static_cast<std::size_t>(found - nodes_.begin());
}

NodeMask NodeTable::sources(const FrameOnPath& frame) const noexcept {
  const FlowKey& key = frame.fields.key;
  std::optional<IpAddress> from = arp_address(frame, kArpSenderAt);
  if (frame.fields.is_ip())
    from = IpAddress{key.kind, key.source};
  NodeMask mask = 0;
  for (std::size_t index = 0; index < nodes_.size(); ++index) {
    const NodeAddresses& node = nodes_[index];
    if (is_on(node, frame.ingress, key) && (!node.mac || is_mac(node, frame.bytes, 6)) &&
        (node.ips.empty() || has(node, from)))
      mask |= NodeMask{1} << index;
  }
  return mask;
}

NodeMask NodeTable::destinations(const FrameOnPath& frame) const noexcept {
  const FlowKey& key = frame.fields.key;
  const bool to_group = !frame.bytes.empty() && (frame.bytes[0] & kGroupBit) != 0;
  std::optional<IpAddress> to = arp_address(frame, kArpTargetAt);
  if (to_group)
    to = asked_for(frame);
  else if (frame.fields.is_ip())
    to = IpAddress{key.kind, key.destination};
  NodeMask mask = 0;
  for (std::size_t index = 0; index < nodes_.size(); ++index) {
    const NodeAddresses& node = nodes_[index];
    if (!is_on(node, frame.egress, key))
      continue;
    const bool meant = to_group ? node.port.has_value() || has(node, to)
                                : (!node.mac || is_mac(node, frame.bytes, 0)) &&
                                      (node.ips.empty() || has(node, to));
    mask |= meant ? NodeMask{1} << index : 0;
  }
  return mask;
}

bool LinkSet::contains(const FrameOnPath& frame) const noexcept {
  if (spares_neighbours && looks_for_neighbours(frame.fields))
    return false;
  const NodeMask from = nodes->sources(frame);
  const NodeMask to = nodes->destinations(frame);
  return std::ranges::any_of(bundles, [&](const LinkBundle& bundle) {
    return bundle.from.holds(from, frame.ingress) && bundle.to.holds(to, frame.egress);
  });
}

}  // namespace faultline
