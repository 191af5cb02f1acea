// Reading `match:` and testing a flow against it.
#include "match/flow_match.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace faultline {
namespace {

struct ProtocolName {
  std::string_view name;
  std::uint8_t number;
};
constexpr ProtocolName kProtocols[] = {{"tcp", kProtocolTcp},
                                       {"udp", kProtocolUdp},
                                       {"icmp", kProtocolIcmp},
                                       {"icmpv6", kProtocolIcmpv6},
                                       {"sctp", 132}};

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

/// Calls `read` for a scalar, or for each item of a list of scalars.
template <typename Read>
void for_each_value(const ConfigNode& node, Problems& problems, const Read& read) {
  if (!node.is_sequence()) {
    read(node);
    return;
  }
  if (node.items.empty())
    problems.push_back(
        problem_at(node.mark, "an empty list matches nothing", "at least one value"));
  for (const ConfigNode& item : node.items) read(item);
}

void read_protocol(const ConfigNode& node, std::bitset<256>& protocols, Problems& problems) {
  std::vector<std::string_view> known;
  for (const ProtocolName& protocol : kProtocols) {
    if (node.is_scalar() && node.text == protocol.name) {
      protocols.set(protocol.number);
      return;
    }
    known.push_back(protocol.name);
  }
  if (const auto number = node.is_scalar() ? parse_number<std::uint8_t>(node.text) : std::nullopt) {
    protocols.set(*number);
    return;
  }
  problems.push_back(problem_at(node.mark, "unknown protocol " + describe(node),
                                "tcp, udp, icmp, icmpv6, sctp or a number from 0 to 255",
                                node.is_scalar() ? nearest_word(node.text, known) : ""));
}

bool host_bits_are_zero(const AddressPrefix& prefix, std::size_t bytes) {
  for (std::size_t bit = prefix.bits; bit < bytes * 8; ++bit)
    if ((prefix.address[bit / 8] >> (7 - bit % 8)) & 1)
      return false;
  return true;
}

std::optional<AddressPrefix> parse_prefix(std::string_view text) {
  AddressPrefix prefix;
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  std::uint8_t bits_max = 0;
  if (inet_pton(AF_INET, address.c_str(), prefix.address.data()) == 1) {
    prefix.kind = FlowKind::kIpv4;
    bits_max = 32;
  } else if (inet_pton(AF_INET6, address.c_str(), prefix.address.data()) == 1) {
    prefix.kind = FlowKind::kIpv6;
    bits_max = 128;
  } else {
    return std::nullopt;
  }
  prefix.bits = bits_max;
  if (slash != std::string_view::npos) {
    const auto bits = parse_number<std::uint8_t>(text.substr(slash + 1));
    if (!bits || *bits > bits_max)
      return std::nullopt;
    prefix.bits = *bits;
  }
  return prefix;
}

void read_prefix(const ConfigNode& node, std::vector<AddressPrefix>& prefixes, Problems& problems) {
  const auto prefix = node.is_scalar() ? parse_prefix(node.text) : std::nullopt;
  if (!prefix) {
    problems.push_back(problem_at(node.mark, "no address: " + describe(node),
                                  "an IPv4 or IPv6 address or prefix, such as 10.0.0.0/8"));
    return;
  }
  if (!host_bits_are_zero(*prefix, prefix->kind == FlowKind::kIpv4 ? 4 : 16))
    problems.push_back(problem_at(node.mark, describe(node) + " has bits set behind its prefix",
                                  "the network's own address, such as 10.0.0.0/8"));
  prefixes.push_back(*prefix);
}

void read_ports(const ConfigNode& node, std::vector<PortRange>& ranges, Problems& problems) {
  const std::string_view text = node.is_scalar() ? std::string_view(node.text) : "";
  const std::size_t dash = text.find('-');
  const auto first = parse_number<std::uint16_t>(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : parse_number<std::uint16_t>(text.substr(dash + 1));
  if (!first || !last || *first == 0 || *last < *first) {
    problems.push_back(problem_at(node.mark, "no port: " + describe(node),
                                  "a port from 1 to 65535 or a range such as 5000-5010"));
    return;
  }
  ranges.push_back({*first, *last});
}

bool any_contains(const std::vector<AddressPrefix>& prefixes, FlowKind kind,
                  const std::array<std::uint8_t, 16>& address) noexcept {
  for (const AddressPrefix& prefix : prefixes)
    if (prefix.contains(kind, address))
      return true;
  return prefixes.empty();
}

bool any_contains(const std::vector<PortRange>& ranges, std::uint16_t port) noexcept {
  for (const PortRange& range : ranges)
    if (port >= range.first && port <= range.last)
      return true;
  return ranges.empty();
}

}  // namespace

bool AddressPrefix::contains(FlowKind kind_of_flow,
                             const std::array<std::uint8_t, 16>& candidate) const noexcept {
  if (kind_of_flow != kind)
    return false;
  const std::size_t whole_bytes = bits / 8;
  if (std::memcmp(candidate.data(), address.data(), whole_bytes) != 0)
    return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((candidate[whole_bytes] ^ address[whole_bytes]) >> (8 - rest)) == 0;
}

std::optional<FlowMatch> FlowMatch::compile(const ConfigNode& node, Problems& problems) {
  const std::size_t problems_before = problems.size();
  FlowMatch match;
  MappingReader reader(node, "match", problems);
  reader.refuse_not_yet({"vlan", "ethertype", "dscp", "ecn", "len", "ttl", "tcp", "icmp_type",
                         "fragment", "role", "nth", "first", "not", "any", "all", "bpf",
                         "payload"});
  if (const ConfigNode* value = reader.take("proto")) {
    match.protocols_.emplace();
    for_each_value(*value, problems, [&](const ConfigNode& item) {
      read_protocol(item, *match.protocols_, problems);
    });
  }
  const auto read_prefixes = [&](std::string_view key, std::vector<AddressPrefix>& prefixes) {
    if (const ConfigNode* value = reader.take(key))
      for_each_value(*value, problems,
                     [&](const ConfigNode& item) { read_prefix(item, prefixes, problems); });
  };
  const auto read_ranges = [&](std::string_view key, std::vector<PortRange>& ranges) {
    if (const ConfigNode* value = reader.take(key))
      for_each_value(*value, problems,
                     [&](const ConfigNode& item) { read_ports(item, ranges, problems); });
  };
  read_prefixes("src", match.sources_);
  read_prefixes("dst", match.destinations_);
  read_ranges("sport", match.source_ports_);
  read_ranges("dport", match.destination_ports_);
  reader.finish();
  if (problems.size() != problems_before)
    return std::nullopt;
  return match;
}

bool FlowMatch::matches(const FlowKey& key) const noexcept {
  const bool is_ip = key.kind != FlowKind::kLink;
  if (protocols_ && !(is_ip && protocols_->test(key.protocol)))
    return false;
  if (!any_contains(sources_, key.kind, key.source) ||
      !any_contains(destinations_, key.kind, key.destination))
    return false;
  if (source_ports_.empty() && destination_ports_.empty())
    return true;
  return is_ip && (key.protocol == kProtocolTcp || key.protocol == kProtocolUdp) &&
         any_contains(source_ports_, key.source_port) &&
         any_contains(destination_ports_, key.destination_port);
}

}  // namespace faultline
