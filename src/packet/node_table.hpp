// Named nodes: which of them a frame comes from, and which it goes to. A node is told by the port
// it is behind, by its MAC address, its IP addresses, its VLAN, or several of these together.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "packet/addresses.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

inline constexpr std::size_t kNodesMax = 64;
/// Nodes, by index.
using NodeMask = std::uint64_t;
/// Ports, by index.
using PortMask = std::uint64_t;

/// What is written of a node; at least one of them.
struct NodeAddresses {
  std::string name;
  std::optional<std::uint8_t> port;
  std::optional<MacAddress> mac;
  std::optional<std::uint16_t> vlan;  ///< the outer one
  std::vector<IpAddress> ips;

  /// Whether the port alone tells.
  bool is_port() const noexcept { return port && !mac && !vlan && ips.empty(); }
};

/// A frame on a path.
struct FrameOnPath {
  const FrameFields& fields;
  std::span<const std::uint8_t> bytes;  ///< its first, at least kParseBytesMax or all
  std::uint8_t ingress = 0;
  std::uint8_t egress = 0;
};

class NodeTable {
 public:
  /// kNodesMax at most, and the names of the ports, by index.
  explicit NodeTable(std::vector<NodeAddresses> nodes, std::vector<std::string> ports = {});

  const std::vector<NodeAddresses>& nodes() const noexcept { return nodes_; }
  const std::vector<std::string>& ports() const noexcept { return ports_; }
  /// Its index.
  std::optional<std::size_t> find(std::string_view name) const noexcept;

  /// The nodes that sent the frame. ARP tells addresses as IP does, by those of its sender.
  NodeMask sources(const FrameOnPath& frame) const noexcept;
  /// The nodes that it goes to. A frame for a group goes to each node whose port it leaves by; to
  /// one without a port only where it asks for its address (ARP, neighbour solicitation).
  NodeMask destinations(const FrameOnPath& frame) const noexcept;

 private:
  std::vector<NodeAddresses> nodes_;
  std::vector<std::string> ports_;
};

/// One end of links: nodes and ports, or anybody.
struct LinkEnd {
  NodeMask nodes = 0;
  PortMask ports = 0;
  bool any = false;

  bool holds(NodeMask of, std::uint8_t port) const noexcept {
    return any || (nodes & of) != 0 || (ports >> port & 1U) != 0;
  }
  static LinkEnd anybody() noexcept { return {.any = true}; }
  static LinkEnd node(std::size_t index) noexcept { return {.nodes = NodeMask{1} << index}; }
};

/// From any of these to any of those.
struct LinkBundle {
  LinkEnd from;
  LinkEnd to;
};

/// Links between nodes: the packets that go over one of them.
struct LinkSet {
  std::shared_ptr<const NodeTable> nodes;
  std::vector<LinkBundle> bundles;
  bool spares_neighbours = false;  ///< ARP and neighbour discovery are on none of them

  bool contains(const FrameOnPath& frame) const noexcept;
};

}  // namespace faultline
