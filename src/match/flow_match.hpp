// The part of a rule's `match:` that is constant for a flow: evaluated once when a flow is first
// seen, never per packet. Fields are joined by "and", the values of one field by "or".
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/config.hpp"
#include "packet/flow_key.hpp"

namespace faultline {

struct AddressPrefix {
  std::array<std::uint8_t, 16> address{};
  std::uint8_t bits = 0;
  FlowKind kind = FlowKind::kIpv4;

  bool contains(FlowKind kind_of_flow,
                const std::array<std::uint8_t, 16>& candidate) const noexcept;
};

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
};

class FlowMatch {
 public:
  /// Reads `match:`. Keys: proto (tcp udp icmp icmpv6 sctp or 0…255), src, dst (address or CIDR),
  /// sport, dport (1…65535 or "first-last"); each also as a list. Reports every problem.
  static std::optional<FlowMatch> compile(const ConfigNode& node, Problems& problems);

  /// Ports are those of TCP and UDP; a fragment shows none.
  bool matches(const FlowKey& key) const noexcept;

 private:
  std::optional<std::bitset<256>> protocols_;
  std::vector<AddressPrefix> sources_;
  std::vector<AddressPrefix> destinations_;
  std::vector<PortRange> source_ports_;
  std::vector<PortRange> destination_ports_;
};

}  // namespace faultline
