// What `match:` accepts, which flows it then means, and what it says to everything else.
#include "match/rule_match.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::lines_of;
using test::tree_of;

RuleMatch compile(std::string_view yaml) {
  Problems problems;
  const auto match = RuleMatch::compile(tree_of(yaml), problems);
  EXPECT_TRUE(match.has_value() && problems.empty())
      << yaml << "\n"
      << (problems.empty() ? "" : to_line(problems.front()));
  return match.value_or(RuleMatch{});
}

/// What a packet of the flow that says nothing more of itself is answered. What the flow was
/// answered must not contradict it.
bool holds(const RuleMatch& match, const FlowKey& key) {
  FrameFields fields;
  fields.key = key;
  fields.source_port = key.source_port;
  fields.destination_port = key.destination_port;
  fields.shows_ports = key.kind != FlowKind::kLink && has_ports(key.protocol);
  const bool packet = match.of_packet({fields, {}});
  const FlowVerdict flow = match.of_flow(key);
  EXPECT_TRUE(flow == FlowVerdict::kPerPacket || (flow == FlowVerdict::kAlways) == packet);
  return packet;
}

FlowKey ipv4(std::array<std::uint8_t, 4> source, std::array<std::uint8_t, 4> destination,
             std::uint8_t protocol = 17) {
  FlowKey key;
  key.kind = FlowKind::kIpv4;
  key.ethertype = kEthertypeIpv4;
  key.protocol = protocol;
  std::copy(source.begin(), source.end(), key.source.begin());
  std::copy(destination.begin(), destination.end(), key.destination.begin());
  return key;
}

FlowKey with_ports(FlowKey key, std::uint16_t source, std::uint16_t destination) {
  key.source_port = source;
  key.destination_port = destination;
  return key;
}

FlowKey ipv6(std::uint8_t protocol) {
  FlowKey key;
  key.kind = FlowKind::kIpv6;
  key.ethertype = kEthertypeIpv6;
  key.protocol = protocol;
  key.source = {0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  key.destination = {0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  return key;
}

FlowKey arp() {
  FlowKey key;
  key.ethertype = 0x0806;
  key.source = {10, 0, 0, 1, 0, 0};
  key.destination = {10, 0, 0, 2, 0, 0};
  return key;
}

// The flows of the table below, in this order: one letter each in `matched`.
constexpr std::string_view kFlows = "udUfcitxa";

std::vector<FlowKey> flows() {
  const std::array<std::uint8_t, 4> left{10, 0, 0, 1};
  const std::array<std::uint8_t, 4> right{10, 0, 0, 2};
  return {
      with_ports(ipv4(left, right), 4242, 53),          // u: DNS query
      with_ports(ipv4(right, left), 53, 4242),          // d: DNS reply
      with_ports(ipv6(17), 4242, 53),                   // U: DNS query over IPv6
      ipv4(left, right),                                // f: a UDP fragment
      with_ports(ipv4(left, right, 6), 50'000, 5'005),  // c: TCP
      ipv4(left, right, 1),                             // i: ICMP
      with_ports(ipv6(6), 50'000, 443),                 // t: TCP over IPv6
      ipv6(44),                                         // x: an IPv6 extension header
      arp(),                                            // a: ARP with bytes like addresses
  };
}

struct MatchCase {
  std::string_view yaml;
  std::string_view matched;
};

TEST(MatchRuleMatch, Table) {
  const MatchCase cases[] = {
      {"{}", "udUfcitxa"},
      {"proto: udp", "udUf"},
      {"proto: tcp", "ct"},
      {"proto: icmp", "i"},
      {"proto: icmpv6", ""},
      {"proto: sctp", ""},
      {"proto: 17", "udUf"},
      {"proto: '6'", "ct"},
      {"proto: 44", "x"},
      {"proto: 0", ""},
      {"proto: 255", ""},
      {"proto: [tcp, icmp]", "cit"},
      {"proto: [tcp, 6, 44]", "ctx"},
      {"src: 10.0.0.1", "ufci"},
      {"src: 10.0.0.0/31", "ufci"},
      {"src: 10.0.0.0/30", "udfci"},
      {"src: 10.0.0.2/31", "d"},
      {"src: 0.0.0.0/0", "udfci"},
      {"src: ::/0", "Utx"},
      {"src: 'fd00::1'", "Utx"},
      {"src: 'fd00::/8'", "Utx"},
      {"src: 'fc00::/7'", "Utx"},
      {"src: 'fe00::/7'", ""},
      {"src: 'fd00::/127'", "Utx"},
      {"src: 'fd00::2/127'", ""},
      {"src: ['::/0', 0.0.0.0/0]", "udUfcitx"},
      {"dst: 10.0.0.2", "ufci"},
      {"dst: ['fd00::2', 10.0.0.1]", "dUtx"},
      {"src: 10.0.0.1\ndst: 10.0.0.1", ""},
      {"dport: 53", "uU"},
      {"sport: 53", "d"},
      {"dport: 1-65535", "udUct"},
      {"sport: 1-65535", "udUct"},
      {"dport: 52", ""},
      {"dport: 54", ""},
      {"dport: 53-53", "uU"},
      {"dport: 52-53", "uU"},
      {"dport: 53-54", "uU"},
      {"dport: [53, 5000-5010]", "uUc"},
      {"dport: [5000-5004, 5006-5010]", ""},
      {"dport: 443\nsport: 50000", "t"},
      {"dport: 443\nsport: 49999", ""},
      {"proto: tcp\ndport: 53", ""},
      {"proto: icmp\ndport: 1-65535", ""},
      {"proto: udp\nsrc: 10.0.0.0/8\ndport: [53, 5000-5010]", "u"},
  };
  const std::vector<FlowKey> all = flows();
  for (const MatchCase& one : cases) {
    const RuleMatch match = compile(one.yaml);
    std::string matched;
    for (std::size_t index = 0; index < all.size(); ++index)
      if (holds(match, all[index]))
        matched += kFlows[index];
    EXPECT_EQ(matched, one.matched) << one.yaml;
  }
}

TEST(MatchRuleMatch, FragmentsAndOthersNeverMatchPorts) {
  const RuleMatch any_port = compile("{sport: 1-65535, dport: 1-65535}");
  for (const std::uint16_t port : std::to_array<std::uint16_t>({0, 53, 65'535})) {
    for (const std::uint8_t protocol :
         std::to_array<std::uint8_t>({0, 1, 6, 17, 44, 58, 132, 255})) {
      const bool wanted = port != 0 && (protocol == 6 || protocol == 17 || protocol == 132);
      EXPECT_EQ(holds(any_port, with_ports(ipv4({1, 2, 3, 4}, {5, 6, 7, 8}, protocol), port, port)),
                wanted)
          << int{protocol} << " " << port;
    }
  }
  EXPECT_FALSE(holds(any_port, with_ports(arp(), 1, 1)));
}

std::uint32_t number_of(std::array<std::uint8_t, 4> address) {
  return std::uint32_t{address[0]} << 24 | std::uint32_t{address[1]} << 16 |
         std::uint32_t{address[2]} << 8 | address[3];
}

TEST(MatchRuleMatch, EveryIpv4PrefixLength) {
  const std::array<std::uint8_t, 4> base{0xAA, 0x55, 0xC3, 0x96};
  for (std::uint32_t bits = 0; bits <= 32; ++bits) {
    const std::uint32_t mask = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
    const std::uint32_t network = number_of(base) & mask;
    const RuleMatch match =
        compile("src: " + std::to_string(network >> 24) + "." +
                std::to_string(network >> 16 & 255) + "." + std::to_string(network >> 8 & 255) +
                "." + std::to_string(network & 255) + "/" + std::to_string(bits));
    // The first and the last address, and each single bit turned.
    for (std::uint32_t turned = 0; turned <= 33; ++turned) {
      const std::uint32_t candidate = turned == 32   ? network
                                      : turned == 33 ? network | ~mask
                                                     : number_of(base) ^ (1U << turned);
      const std::array<std::uint8_t, 4> address{
          static_cast<std::uint8_t>(candidate >> 24), static_cast<std::uint8_t>(candidate >> 16),
          static_cast<std::uint8_t>(candidate >> 8), static_cast<std::uint8_t>(candidate)};
      EXPECT_EQ(holds(match, ipv4(address, base)), (candidate & mask) == network)
          << bits << " bits, " << std::hex << candidate;
    }
  }
}

TEST(MatchRuleMatch, EveryIpv6PrefixLength) {
  for (std::uint8_t bits = 0; bits <= 128; ++bits) {
    AddressPrefix prefix;
    prefix.kind = FlowKind::kIpv6;
    prefix.bits = bits;
    for (std::size_t bit = 0; bit < bits; ++bit)
      prefix.address[bit / 8] |= static_cast<std::uint8_t>(0x80 >> (bit % 8));
    std::array<std::uint8_t, 16> ones;
    ones.fill(0xFF);
    EXPECT_TRUE(prefix.contains(FlowKind::kIpv6, ones)) << int{bits};
    EXPECT_FALSE(prefix.contains(FlowKind::kIpv4, ones));
    EXPECT_FALSE(prefix.contains(FlowKind::kLink, ones));
    for (std::size_t bit = 0; bit < 128; ++bit) {
      std::array<std::uint8_t, 16> other = ones;
      other[bit / 8] ^= static_cast<std::uint8_t>(0x80 >> (bit % 8));
      EXPECT_EQ(prefix.contains(FlowKind::kIpv6, other), bit >= bits) << int{bits} << " " << bit;
    }
  }
}

const std::string kProtocols =
    "tcp, udp, icmp, icmpv6, sctp, igmp, gre, esp or a number from 0 to 255";
const std::string kAddress = "an IPv4 or IPv6 address or prefix, such as 10.0.0.0/8";
const std::string kPort = "a port from 1 to 65535 or a range such as 5000-5010";

TEST(MatchRuleMatch, Errors) {
  const auto protocol = [](std::string place, std::string found) {
    return "f:" + place + ": error: unknown protocol " + found + "; " + kProtocols;
  };
  const auto address = [](std::string place, std::string found) {
    return "f:" + place + ": error: no address: " + found + "; " + kAddress;
  };
  const auto port = [](std::string place, std::string found) {
    return "f:" + place + ": error: no port: " + found + "; " + kPort;
  };
  const auto bits = [](std::string place, std::string found) {
    return "f:" + place + ": error: " + found +
           " has bits set behind its prefix; the network's own address, such as 10.0.0.0/8";
  };
  const test::ErrorCase cases[] = {
      {"proto: tpc", {protocol("1:8", "'tpc'") + "; did you mean 'tcp'?"}},
      {"proto: icmp6", {protocol("1:8", "'icmp6'") + "; did you mean 'icmp'?"}},
      {"proto: 256", {protocol("1:8", "'256'")}},
      {"proto: -1", {protocol("1:8", "'-1'")}},
      {"proto: 6.0", {protocol("1:8", "'6.0'")}},
      {"proto:", {protocol("1:7", "nothing")}},
      {"proto: {}", {protocol("1:8", "a mapping")}},
      {"proto: [[tcp]]", {protocol("1:9", "a list")}},
      {"proto: [udp, xyz]", {protocol("1:14", "'xyz'")}},
      {"proto: []", {"f:1:8: error: an empty list matches nothing; at least one value"}},
      {"src: 10.0.0", {address("1:6", "'10.0.0'")}},
      {"src: 10.0.0.256", {address("1:6", "'10.0.0.256'")}},
      {"src: 10.0.0.0/33", {address("1:6", "'10.0.0.0/33'")}},
      {"src: 10.0.0.0/", {address("1:6", "'10.0.0.0/'")}},
      {"src: 10.0.0.0/-1", {address("1:6", "'10.0.0.0/-1'")}},
      {"src: 10.0.0.0/8/8", {address("1:6", "'10.0.0.0/8/8'")}},
      {"src: 10.0.0.0/256", {address("1:6", "'10.0.0.0/256'")}},
      {"dst: 'fd00::/129'", {address("1:6", "'fd00::/129'")}},
      {"dst: 'fd00::g'", {address("1:6", "'fd00::g'")}},
      {"dst: host", {address("1:6", "'host'")}},
      {"dst: [10.0.0.1, {}]", {address("1:17", "a mapping")}},
      {"src: 10.0.0.1/8", {bits("1:6", "'10.0.0.1/8'")}},
      {"src: 10.0.0.1/31", {bits("1:6", "'10.0.0.1/31'")}},
      {"src: 128.0.0.0/0", {bits("1:6", "'128.0.0.0/0'")}},
      {"src: 'fd00::1/127'", {bits("1:6", "'fd00::1/127'")}},
      {"dport: 0", {port("1:8", "'0'")}},
      {"dport: 0-10", {port("1:8", "'0-10'")}},
      {"dport: 65536", {port("1:8", "'65536'")}},
      {"dport: 1-65536", {port("1:8", "'1-65536'")}},
      {"dport: 20-10", {port("1:8", "'20-10'")}},
      {"dport: 10-", {port("1:8", "'10-'")}},
      {"dport: -10", {port("1:8", "'-10'")}},
      {"dport: 1-2-3", {port("1:8", "'1-2-3'")}},
      {"dport: http", {port("1:8", "'http'")}},
      {"sport: [1, 0x10]", {port("1:12", "'0x10'")}},
      {"sport:", {port("1:7", "nothing")}},
      {"dport: []", {"f:1:8: error: an empty list matches nothing; at least one value"}},
      {"src: []", {"f:1:6: error: an empty list matches nothing; at least one value"}},
      {"[udp]", {"f:1:1: error: match: found a list; a mapping of keys to values"}},
  };
  for (const test::ErrorCase& one : cases) {
    Problems problems;
    EXPECT_FALSE(RuleMatch::compile(tree_of(one.yaml), problems).has_value()) << one.yaml;
    EXPECT_EQ(lines_of(problems), one.lines) << one.yaml;
  }
}

TEST(MatchRuleMatch, AllProblemsAtOnceInOrderOfReading) {
  Problems problems;
  EXPECT_FALSE(
      RuleMatch::compile(tree_of("dport: 0\nproto: [tpc, 300]\nsrc: x\nprto: tcp\n"), problems)
          .has_value());
  std::vector<std::string> places;
  for (const Problem& problem : problems)
    places.push_back(std::to_string(problem.line) + ":" + std::to_string(problem.column));
  EXPECT_EQ(places, (std::vector<std::string>{"2:9", "2:14", "3:6", "1:8", "4:1"}));
  EXPECT_EQ(problems.back().message, "match: unknown key 'prto'");
  EXPECT_EQ(problems.back().suggestion, "proto");
}

// --- what packets say of themselves
// ----------------------------------------------------------------

using test::Bytes;
using test::Ipv4Frame;
using test::Ipv6Frame;
using test::make;
using test::put16;

Bytes changed(Bytes frame, std::initializer_list<std::pair<std::size_t, int>> bytes) {
  for (const auto& [at, value] : bytes) frame.at(at) = static_cast<std::uint8_t>(value);
  return frame;
}

Bytes in_vlan(Bytes frame, std::uint16_t vlan) {
  const Bytes tag{0x81, 0, static_cast<std::uint8_t>(vlan >> 8), static_cast<std::uint8_t>(vlan)};
  frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  return frame;
}

// The packets of the table below, in this order: one letter each.
constexpr std::string_view kPackets = "sdfuv6Elia";

const std::vector<Bytes>& packets() {
  static const std::vector<Bytes> all{
      changed(make(Ipv4Frame{.protocol = 6, .payload_bytes = 0}), {{47, 0x02}}),  // s: TCP SYN
      changed(make(Ipv4Frame{.protocol = 6, .payload_bytes = 100}),
              {{47, 0x18}, {15, 46 << 2}, {22, 1}}),  // d: TCP data, PSH and ACK, EF, ttl 1
      make(Ipv4Frame{.fragment = 0x2000}),            // f: a first fragment
      changed(make(Ipv4Frame{}), {{15, 1}}),          // u: UDP, ECT(1)
      in_vlan(make(Ipv4Frame{}), 100),                // v: UDP in VLAN 100
      changed(make(Ipv6Frame{}), {{15, 0x20}}),       // 6: UDP over IPv6, ECT(0)
      changed(make(Ipv4Frame{.protocol = 1, .payload_bytes = 8}), {{34, 8}}),  // E: echo request
      make(Ipv4Frame{.fragment = 0x0010}),  // l: a later fragment
      changed(make(Ipv6Frame{.protocol = 58, .payload_bytes = 8}), {{54, 129}}),  // i: echo reply
      test::ethernet(0x0806, 28),                                                 // a: ARP
  };
  return all;
}

std::string matched_by(const RuleMatch& match) {
  std::string matched;
  for (std::size_t index = 0; index < packets().size(); ++index) {
    const Bytes& frame = packets()[index];
    FrameFields fields;
    EXPECT_EQ(parse_frame(frame, frame.size(), fields), ParseOutcome::kParsed);
    const bool packet = match.of_packet({fields, frame});
    const FlowVerdict flow = match.of_flow(fields.key);
    EXPECT_TRUE(flow == FlowVerdict::kPerPacket || (flow == FlowVerdict::kAlways) == packet)
        << match.text() << " " << kPackets[index];
    if (packet)
      matched += kPackets[index];
  }
  return matched;
}

TEST(MatchRuleMatch, PacketsTable) {
  const MatchCase cases[] = {
      {"vlan: 100", "v"},
      {"vlan: [1-99, 101]", ""},
      {"vlan: none", "sdfu6Elia"},
      {"vlan: [none, 100]", "sdfuv6Elia"},
      {"ethertype: arp", "a"},
      {"ethertype: 0x0806", "a"},
      {"ethertype: [ipv6, 2054]", "6ia"},
      {"dscp: ef", "d"},
      {"dscp: 0-45", "sfuv6Eli"},
      {"ecn: ect1", "u"},
      {"ecn: [ect0, ce]", "6"},
      {"ecn: not-ect", "sdfvEli"},
      {"len: 42-54", "sfuvEla"},
      {"len: 154B", "d"},
      {"ttl: 1", "d"},
      {"ttl: 2-64", "sfuv6Eli"},
      {"tcp: {flags: syn}", "s"},
      {"tcp: {flags: [psh, ack, '!syn']}", "d"},
      {"tcp: {flags: '!rst'}", "sd"},
      {"tcp: {data: true}", "d"},
      {"tcp: {data: false}", "s"},
      {"icmp_type: echo-request", "E"},
      {"icmp_type: echo-reply", "i"},
      {"icmp_type: [8, 129]", "Ei"},
      {"icmp_type: 0", ""},
      {"fragment: true", "fl"},
      {"fragment: false", "sduv6Eia"},
      {"fragment: first", "f"},
      {"fragment: later", "l"},
      {"dport: 80", "sdfuv6"},
      {"not: {dport: 80}", "Elia"},
      {"not: {proto: udp}", "sdEia"},
      {"not: {dscp: ef}", "sfuv6Elia"},
      {"not: {not: {dscp: ef}}", "d"},
      {"any: [{proto: icmp}, {ecn: ect1}]", "uE"},
      {"any: [{vlan: 100}, {all: [{proto: tcp}, {ttl: 1}]}]", "dv"},
      {"all: [{proto: tcp}, {not: {ttl: 1}}]", "s"},
      {"proto: udp\nnot: {vlan: 100}\nany: [{ecn: not-ect}, {src: 'fd00::1'}]", "f6l"},
      {"bpf: 'tcp[tcpflags] & tcp-syn != 0'", "s"},
      {"bpf: 'udp port 80'", "fu6"},
      {"bpf: 'vlan 100 and udp'", "v"},
      {"bpf: 'greater 100'", "d"},
      {"bpf: arp", "a"},
  };
  for (const MatchCase& one : cases)
    EXPECT_EQ(matched_by(compile(one.yaml)), one.matched) << one.yaml;
}

TEST(MatchRuleMatch, KnowsWhatPacketsDecide) {
  const std::pair<std::string_view, bool> cases[] = {
      {"{}", false},
      {"{proto: udp, dport: 53}", false},
      {"{vlan: 5}", false},
      {"{dscp: ef}", true},
      {"{any: [{proto: tcp}, {len: 64}]}", true},
      {"{nth: 3}", true},
      {"{first: 3}", true},
      {"{role: reply}", true},
      {"{bpf: arp}", true},
  };
  for (const auto& [yaml, per_packet] : cases)
    EXPECT_EQ(compile(yaml).per_packet(), per_packet) << yaml;
  EXPECT_EQ(compile("{nth: 3, role: reply}").nth(), 3U);
  EXPECT_EQ(compile("{first: 7}").first(), 7U);
  EXPECT_EQ(compile("{role: reply}").role(), Role::kReply);
}

TEST(MatchRuleMatch, SaysWhatItIsAndWhatFails) {
  const RuleMatch match = compile("{proto: udp, dport: [53, 5000-5010], not: {dscp: ef}, nth: 3}");
  EXPECT_EQ(match.text(), "proto udp, dport 53, 5000-5010, not (dscp ef), nth 3");
  FrameFields fields;
  const Bytes frame = make(Ipv4Frame{});
  parse_frame(frame, frame.size(), fields);
  fields.destination_port = 80;
  EXPECT_EQ(match.why_not({fields, frame}), "dport 53, 5000-5010");
  fields.destination_port = 53;
  EXPECT_EQ(match.why_not({fields, frame}), "");
}

TEST(MatchRuleMatch, RolesAreThePackets) {
  const RuleMatch match = compile("{proto: udp, role: reply}");
  EXPECT_EQ(match.text(), "proto udp, role reply");
  FrameFields fields;
  const Bytes frame = make(Ipv4Frame{});
  parse_frame(frame, frame.size(), fields);
  EXPECT_EQ(match.of_flow(fields.key), FlowVerdict::kPerPacket);
  EXPECT_TRUE(match.of_packet({fields, frame, Role::kReply}));
  for (const Role other : {Role::kRequest, Role::kAny}) {
    EXPECT_FALSE(match.of_packet({fields, frame, other}));
    EXPECT_EQ(match.why_not({fields, frame, other}), "role reply");
  }
}

TEST(MatchRuleMatch, LaterFragmentsMayBePortless) {
  const RuleMatch match = compile("{dport: 1-65535}");
  FrameFields fields;
  const Bytes frame = make(Ipv4Frame{.fragment = 3});
  parse_frame(frame, frame.size(), fields);
  EXPECT_EQ(match.of_flow(fields.key), FlowVerdict::kPerPacket);
  EXPECT_FALSE(match.of_packet({fields, frame}));
  fields.shows_ports = true;  // its first fragment did
  fields.destination_port = 53;
  EXPECT_TRUE(match.of_packet({fields, frame}));
  EXPECT_FALSE(match.of_packet({fields, frame, Role::kAny, true}));
}

TEST(MatchRuleMatch, ErrorsOfTheOtherKeys) {
  const test::ErrorCase cases[] = {
      {"vlan: 4096",
       {"f:1:7: error: no VLAN: '4096'; none, an id from 0 to 4095 or a range such as 100-199"}},
      {"ethertype: ip",
       {"f:1:12: error: no ethertype: 'ip'; ipv4, ipv6, arp, mpls, lldp, ptp, pppoe or a number "
        "such as 0x88b5"}},
      {"dscp: af4",
       {"f:1:7: error: no DSCP: 'af4'; a name such as ef, af41 or cs6, a number from 0 to 63 or a "
        "range; did you mean 'af41'?"}},
      {"ecn: 4", {"f:1:6: error: no ECN: '4'; not-ect, ect0, ect1, ce or a number from 0 to 3"}},
      {"len: 64-",
       {"f:1:6: error: no length: '64-'; a frame's bytes without FCS, such as 64 or 64-128"}},
      {"ttl: 256", {"f:1:6: error: no ttl: '256'; a number from 0 to 255 or a range such as 1-5"}},
      {"tcp: {flags: [sin], dat: true}",
       {"f:1:15: error: no TCP flag: 'sin'; fin, syn, rst, psh, ack, urg, ece, cwr, or one with "
        "'!' in front that must not be set; did you mean 'fin'?",
        "f:1:21: error: tcp: unknown key 'dat'; known keys are flags, data, ack, "
        "retransmission, sequence, connection; did you mean 'data'?"}},
      {"icmp_type: echo-reqest",
       {"f:1:12: error: no ICMP type: 'echo-reqest'; a name such as echo-request or a number from "
        "0 "
        "to 255; did you mean 'echo-request'?"}},
      {"fragment: last", {"f:1:11: error: found 'last'; one of true, false, first, later"}},
      {"any: []", {"f:1:6: error: any is a list; a list of at least one match"}},
      {"not: udp", {"f:1:6: error: match: found 'udp'; a mapping of keys to values"}},
      {"not: {nth: 3}", {"f:1:12: error: 'nth' inside not, any or all; at the top of the match"}},
      {"nth: 0", {"f:1:6: error: '0' is out of range; a count of at least 1"}},
      {"role: answer", {"f:1:7: error: found 'answer'; one of request, reply"}},
      {"bpf: tcp prot 80",
       {"f:1:6: error: bpf 'tcp prot 80': can't parse filter expression: syntax error; a filter as "
        "tcpdump takes it, such as \"tcp port 80\""}},
      {"bpf: ''",
       {"f:1:6: error: bpf is ''; a filter as tcpdump takes it, such as \"tcp port 80\""}},
      {"not: {not: {not: {not: {not: {not: {not: {not: {not: {proto: udp}}}}}}}}}",
       {"f:1:54: error: matches nested too deep; at most 8 levels"}},
  };
  for (const test::ErrorCase& one : cases) {
    Problems problems;
    EXPECT_FALSE(RuleMatch::compile(tree_of(one.yaml), problems).has_value()) << one.yaml;
    EXPECT_EQ(lines_of(problems), one.lines) << one.yaml;
  }
}

}  // namespace
}  // namespace faultline
