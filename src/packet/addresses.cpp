// Reading addresses.
#include "packet/addresses.hpp"

#include <arpa/inet.h>

namespace faultline {

std::optional<MacAddress> parse_mac(std::string_view text) {
  constexpr std::size_t kTextBytes = 17;
  MacAddress mac{};
  if (text.size() != kTextBytes)
    return std::nullopt;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = static_cast<char>(text[at] | 0x20);
    if (at % 3 == 2) {
      if (text[at] != ':')
        return std::nullopt;
      continue;
    }
    const bool digit = text[at] >= '0' && text[at] <= '9';
    if (!digit && (letter < 'a' || letter > 'f'))
      return std::nullopt;
    const int value = digit ? text[at] - '0' : letter - 'a' + 10;
    mac[at / 3] = static_cast<std::uint8_t>(mac[at / 3] << 4 | value);
  }
  return mac;
}

std::optional<IpAddress> parse_ip(const std::string& text) {
  IpAddress address;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1)
    return address;
  address.kind = FlowKind::kIpv6;
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1)
    return address;
  return std::nullopt;
}

}  // namespace faultline
