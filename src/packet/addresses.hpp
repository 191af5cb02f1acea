// MAC and IP addresses as people write them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "packet/flow_key.hpp"

namespace faultline {

using MacAddress = std::array<std::uint8_t, 6>;

struct IpAddress {
  FlowKind kind = FlowKind::kIpv4;
  std::array<std::uint8_t, 16> bytes{};  ///< IPv4: the first four

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

/// "02:00:00:00:00:01".
std::optional<MacAddress> parse_mac(std::string_view text);
/// "10.0.0.9" or "fd00::9".
std::optional<IpAddress> parse_ip(const std::string& text);

}  // namespace faultline
