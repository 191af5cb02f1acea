// Reading `match:`: every key, its values, and what is wrong with them.
#include <arpa/inet.h>
#include <pcap/pcap.h>

#include <algorithm>

#include <fmt/format.h>

#include "match/match_values.hpp"

namespace faultline {
namespace {

constexpr Word kProtocols[] = {{"tcp", kProtocolTcp},
                               {"udp", kProtocolUdp},
                               {"icmp", kProtocolIcmp},
                               {"icmpv6", kProtocolIcmpv6},
                               {"sctp", kProtocolSctp},
                               {"igmp", 2},
                               {"gre", 47},
                               {"esp", 50}};
constexpr Word kEthertypes[] = {{"ipv4", kEthertypeIpv4}, {"ipv6", kEthertypeIpv6}, {"arp", 0x0806},
                                {"mpls", 0x8847},         {"lldp", 0x88CC},         {"ptp", 0x88F7},
                                {"pppoe", 0x8864}};
/// RFC 2474, 2597, 3246, 8622.
constexpr Word kDscps[] = {{"cs0", 0},   {"cs1", 8},   {"cs2", 16},  {"cs3", 24},  {"cs4", 32},
                           {"cs5", 40},  {"cs6", 48},  {"cs7", 56},  {"af11", 10}, {"af12", 12},
                           {"af13", 14}, {"af21", 18}, {"af22", 20}, {"af23", 22}, {"af31", 26},
                           {"af32", 28}, {"af33", 30}, {"af41", 34}, {"af42", 36}, {"af43", 38},
                           {"ef", 46},   {"le", 1}};
constexpr Word kEcns[] = {{"not-ect", 0}, {"ect1", 1}, {"ect0", 2}, {"ce", 3}};

struct IcmpWord {
  std::string_view name;
  int icmp;    ///< −1: not there
  int icmpv6;  ///< likewise
};
/// RFC 792, 4443, 4861.
constexpr IcmpWord kIcmpTypes[] = {{"echo-request", 8, 128},
                                   {"echo-reply", 0, 129},
                                   {"destination-unreachable", 3, 1},
                                   {"time-exceeded", 11, 3},
                                   {"parameter-problem", 12, 4},
                                   {"redirect", 5, 137},
                                   {"packet-too-big", -1, 2},
                                   {"router-solicitation", 10, 133},
                                   {"router-advertisement", 9, 134},
                                   {"neighbour-solicitation", -1, 135},
                                   {"neighbour-advertisement", -1, 136}};

NumberKind protocol_kind() {
  return {kProtocols,
          0,
          255,
          false,
          false,
          "",
          "tcp, udp, icmp, icmpv6, sctp, igmp, gre, esp or a number from 0 to 255",
          "unknown protocol "};
}
NumberKind port_kind() {
  return {
      {},         1, 65'535, true, false, "", "a port from 1 to 65535 or a range such as 5000-5010",
      "no port: "};
}
NumberKind vlan_kind() {
  return {{},
          0,
          4'095,
          true,
          false,
          "",
          "none, an id from 0 to 4095 or a range such as 100-199",
          "no VLAN: "};
}
NumberKind ethertype_kind() {
  return {kEthertypes,
          0,
          0xFFFF,
          false,
          true,
          "",
          "ipv4, ipv6, arp, mpls, lldp, ptp, pppoe or a number such as 0x88b5",
          "no ethertype: "};
}
NumberKind dscp_kind() {
  return {kDscps,
          0,
          63,
          true,
          false,
          "",
          "a name such as ef, af41 or cs6, a number from 0 to 63 or a range",
          "no DSCP: "};
}
NumberKind ecn_kind() {
  return {kEcns,     0, 3, false, false, "", "not-ect, ect0, ect1, ce or a number from 0 to 3",
          "no ECN: "};
}
NumberKind length_kind() {
  return {{},
          0,
          262'144,
          true,
          false,
          "B",
          "a frame's bytes without FCS, such as 64 or 64-128",
          "no length: "};
}
NumberKind ttl_kind() {
  return {{}, 0, 255, true, false, "", "a number from 0 to 255 or a range such as 1-5", "no ttl: "};
}

// --- addresses -----------------------------------------------------------------------------------

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

// --- the other fields ----------------------------------------------------------------------------

void read_icmp_type(const ConfigNode& node, MatchLeaf& leaf, Problems& problems) {
  std::vector<std::string_view> known;
  for (const IcmpWord& word : kIcmpTypes) {
    known.push_back(word.name);
    if (!node.is_scalar() || node.text != word.name)
      continue;
    if (word.icmp >= 0)
      leaf.ranges.push_back(
          {static_cast<std::uint32_t>(word.icmp), static_cast<std::uint32_t>(word.icmp)});
    if (word.icmpv6 >= 0)
      leaf.icmpv6_types.set(static_cast<std::size_t>(word.icmpv6));
    return;
  }
  const auto number = node.is_scalar() ? parse_number<std::uint8_t>(node.text) : std::nullopt;
  if (!number) {
    problems.push_back(problem_at(node.mark, "no ICMP type: " + describe(node),
                                  "a name such as echo-request or a number from 0 to 255",
                                  node.is_scalar() ? nearest_word(node.text, known) : ""));
    return;
  }
  leaf.ranges.push_back({*number, *number});
  leaf.icmpv6_types.set(*number);
}

void close_filter(bpf_program* program) {
  pcap_freecode(program);
  delete program;
}

/// The filter's program by libpcap, for Ethernet frames. Threads may compile at once since libpcap
/// 1.8 (pcap_compile(3PCAP)).
std::shared_ptr<const bpf_program> compile_filter(const ConfigNode& node, Problems& problems) {
  pcap_t* handle = pcap_open_dead(DLT_EN10MB, 262'144);
  if (handle == nullptr || !node.is_scalar() || node.text.empty()) {
    problems.push_back(problem_at(node.mark, "bpf is " + describe(node),
                                  "a filter as tcpdump takes it, such as \"tcp port 80\""));
    if (handle != nullptr)
      pcap_close(handle);
    return nullptr;
  }
  auto* program = new bpf_program{};
  const bool good = pcap_compile(handle, program, node.text.c_str(), 1, PCAP_NETMASK_UNKNOWN) == 0;
  const std::string why = good ? "" : pcap_geterr(handle);
  pcap_close(handle);
  if (good)
    return {program, close_filter};
  delete program;
  problems.push_back(problem_at(node.mark, "bpf " + describe(node) + ": " + why,
                                "a filter as tcpdump takes it, such as \"tcp port 80\""));
  return nullptr;
}

class TreeReader {
 public:
  TreeReader(MappingReader& reader, int depth, Problems& problems)
      : reader_(reader), depth_(depth), problems_(problems) {}

  MatchNode read() {
    if (depth_ > 0)
      refuse_at_depth();
    numbers("proto", MatchField::kProtocol, protocol_kind());
    addresses("src", MatchField::kSource);
    addresses("dst", MatchField::kDestination);
    numbers("sport", MatchField::kSourcePort, port_kind());
    numbers("dport", MatchField::kDestinationPort, port_kind());
    vlan();
    numbers("ethertype", MatchField::kEthertype, ethertype_kind());
    numbers("dscp", MatchField::kDscp, dscp_kind());
    numbers("ecn", MatchField::kEcn, ecn_kind());
    numbers("len", MatchField::kLength, length_kind());
    numbers("ttl", MatchField::kTtl, ttl_kind());
    tcp();
    icmp_type();
    fragment();
    nested();
    bpf();
    payload();
    put_payloads_last(node_);
    return std::move(node_);
  }

 private:
  void add(MatchLeaf leaf) {
    MatchNode node;
    node.kind = MatchNode::Kind::kLeaf;
    node.leaf = std::move(leaf);
    node_.children.push_back(std::move(node));
  }

  void refuse_at_depth() {
    for (const std::string_view key : {"role", "nth", "first"})
      if (const ConfigNode* value = reader_.take(key))
        problems_.push_back(problem_at(value->mark, fmt::format("'{}' inside not, any or all", key),
                                       "at the top of the match"));
  }

  void numbers(std::string_view key, MatchField field, const NumberKind& kind) {
    const ConfigNode* value = reader_.take(key);
    if (value == nullptr)
      return;
    MatchLeaf leaf = leaf_of(field, key, *value);
    for_each_value(*value, problems_, [&](const ConfigNode& item) {
      read_number(item, kind, leaf.ranges, problems_);
    });
    add(std::move(leaf));
  }

  void addresses(std::string_view key, MatchField field) {
    const ConfigNode* value = reader_.take(key);
    if (value == nullptr)
      return;
    MatchLeaf leaf = leaf_of(field, key, *value);
    for_each_value(*value, problems_,
                   [&](const ConfigNode& item) { read_prefix(item, leaf.prefixes, problems_); });
    add(std::move(leaf));
  }

  void vlan() {
    const ConfigNode* value = reader_.take("vlan");
    if (value == nullptr)
      return;
    MatchLeaf leaf = leaf_of(MatchField::kVlan, "vlan", *value);
    for_each_value(*value, problems_, [&](const ConfigNode& item) {
      if (item.is_scalar() && item.text == "none")
        leaf.untagged = true;
      else
        read_number(item, vlan_kind(), leaf.ranges, problems_);
    });
    add(std::move(leaf));
  }

  void tcp() {
    const ConfigNode* value = reader_.take("tcp");
    if (value == nullptr)
      return;
    for (MatchLeaf& leaf : read_tcp_match(*value, problems_)) add(std::move(leaf));
  }

  void icmp_type() {
    const ConfigNode* value = reader_.take("icmp_type");
    if (value == nullptr)
      return;
    MatchLeaf leaf = leaf_of(MatchField::kIcmpType, "icmp_type", *value);
    for_each_value(*value, problems_,
                   [&](const ConfigNode& item) { read_icmp_type(item, leaf, problems_); });
    add(std::move(leaf));
  }

  void fragment() {
    const ConfigNode* value = reader_.take("fragment");
    if (value == nullptr)
      return;
    MatchLeaf leaf = leaf_of(MatchField::kFragment, "fragment", *value);
    if (const auto word = read_word(*value, {"true", "false", "first", "later"}, problems_)) {
      leaf.wanted = *word != 1;
      if (*word >= 2)
        leaf.fragment = *word == 2 ? FragmentKind::kFirst : FragmentKind::kLater;
    }
    add(std::move(leaf));
  }

  void nested() {
    if (const ConfigNode* value = reader_.take("not")) {
      MatchNode negated;
      negated.kind = MatchNode::Kind::kNot;
      add_tree(*value, negated);
      if (negated.children.empty())
        return;
      node_.children.push_back(std::move(negated));
    }
    list("any", MatchNode::Kind::kAny);
    list("all", MatchNode::Kind::kAll);
  }

  void list(std::string_view key, MatchNode::Kind kind) {
    const ConfigNode* value = reader_.take(key);
    if (value == nullptr)
      return;
    if (!value->is_sequence() || value->items.empty()) {
      problems_.push_back(problem_at(value->mark, fmt::format("{} is {}", key, describe(*value)),
                                     "a list of at least one match"));
      return;
    }
    MatchNode joined;
    joined.kind = kind;
    for (const ConfigNode& item : value->items) add_tree(item, joined);
    put_payloads_last(joined);
    node_.children.push_back(std::move(joined));
  }

  void add_tree(const ConfigNode& value, MatchNode& parent) {
    if (depth_ + 1 > RuleMatch::kDepthMax) {
      problems_.push_back(problem_at(value.mark, "matches nested too deep",
                                     fmt::format("at most {} levels", RuleMatch::kDepthMax)));
      return;
    }
    MappingReader reader(value, "match", problems_);
    if (auto tree = read_match_tree(reader, value, depth_ + 1, problems_))
      parent.children.push_back(std::move(*tree));
    reader.finish();
  }

  void bpf() {
    const ConfigNode* value = reader_.take("bpf");
    if (value == nullptr)
      return;
    MatchLeaf leaf = leaf_of(MatchField::kBpf, "bpf", *value);
    leaf.filter = compile_filter(*value, problems_);
    if (leaf.filter != nullptr)
      add(std::move(leaf));
  }

  void payload() {
    const ConfigNode* value = reader_.take("payload");
    if (value == nullptr)
      return;
    auto query = read_payload_query(*value, problems_);
    if (!query)
      return;
    MatchLeaf leaf;
    leaf.field = MatchField::kPayload;
    leaf.text = "payload " + query->text();
    leaf.in_stream = query->stream;
    leaf.payload = std::make_shared<const PayloadQuery>(std::move(*query));
    add(std::move(leaf));
  }

  /// Searching costs the most, so it is asked last.
  static void put_payloads_last(MatchNode& node) {
    std::stable_partition(node.children.begin(), node.children.end(),
                          [](const MatchNode& child) { return !child.asks_payload(); });
  }

  MappingReader& reader_;
  int depth_;
  Problems& problems_;
  MatchNode node_;
};

}  // namespace

std::optional<MatchNode> read_match_tree(MappingReader& reader, const ConfigNode& node, int depth,
                                         Problems& problems) {
  const std::size_t problems_before = problems.size();
  if (!node.is_mapping())
    return std::nullopt;  // the MappingReader has told it
  MatchNode tree = TreeReader(reader, depth, problems).read();
  return problems.size() == problems_before ? std::optional(std::move(tree)) : std::nullopt;
}

}  // namespace faultline
