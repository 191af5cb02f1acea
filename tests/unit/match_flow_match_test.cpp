// What `match:` accepts, which flows it then means, and what it says to everything else.
#include "match/flow_match.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::lines_of;
using test::tree_of;

FlowMatch compile(std::string_view yaml) {
  Problems problems;
  const auto match = FlowMatch::compile(tree_of(yaml), problems);
  EXPECT_TRUE(match.has_value() && problems.empty())
      << yaml << "\n"
      << (problems.empty() ? "" : to_line(problems.front()));
  return match.value_or(FlowMatch{});
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

TEST(MatchFlowMatch, Table) {
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
    const FlowMatch match = compile(one.yaml);
    std::string matched;
    for (std::size_t index = 0; index < all.size(); ++index)
      if (match.matches(all[index]))
        matched += kFlows[index];
    EXPECT_EQ(matched, one.matched) << one.yaml;
  }
}

TEST(MatchFlowMatch, FragmentsAndOthersNeverMatchPorts) {
  const FlowMatch any_port = compile("{sport: 1-65535, dport: 1-65535}");
  for (const std::uint16_t port : std::to_array<std::uint16_t>({0, 53, 65'535})) {
    for (const std::uint8_t protocol :
         std::to_array<std::uint8_t>({0, 1, 6, 17, 44, 58, 132, 255})) {
      const bool wanted = port != 0 && (protocol == 6 || protocol == 17);
      EXPECT_EQ(
          any_port.matches(with_ports(ipv4({1, 2, 3, 4}, {5, 6, 7, 8}, protocol), port, port)),
          wanted)
          << int{protocol} << " " << port;
    }
  }
  EXPECT_FALSE(any_port.matches(with_ports(arp(), 1, 1)));
}

std::uint32_t number_of(std::array<std::uint8_t, 4> address) {
  return std::uint32_t{address[0]} << 24 | std::uint32_t{address[1]} << 16 |
         std::uint32_t{address[2]} << 8 | address[3];
}

TEST(MatchFlowMatch, EveryIpv4PrefixLength) {
  const std::array<std::uint8_t, 4> base{0xAA, 0x55, 0xC3, 0x96};
  for (std::uint32_t bits = 0; bits <= 32; ++bits) {
    const std::uint32_t mask = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
    const std::uint32_t network = number_of(base) & mask;
    const FlowMatch match =
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
      EXPECT_EQ(match.matches(ipv4(address, base)), (candidate & mask) == network)
          << bits << " bits, " << std::hex << candidate;
    }
  }
}

TEST(MatchFlowMatch, EveryIpv6PrefixLength) {
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

const std::string kProtocols = "tcp, udp, icmp, icmpv6, sctp or a number from 0 to 255";
const std::string kAddress = "an IPv4 or IPv6 address or prefix, such as 10.0.0.0/8";
const std::string kPort = "a port from 1 to 65535 or a range such as 5000-5010";

TEST(MatchFlowMatch, Errors) {
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
    EXPECT_FALSE(FlowMatch::compile(tree_of(one.yaml), problems).has_value()) << one.yaml;
    EXPECT_EQ(lines_of(problems), one.lines) << one.yaml;
  }
}

TEST(MatchFlowMatch, AllProblemsAtOnceInOrderOfReading) {
  Problems problems;
  EXPECT_FALSE(
      FlowMatch::compile(tree_of("dport: 0\nproto: [tpc, 300]\nsrc: x\nprto: tcp\n"), problems)
          .has_value());
  std::vector<std::string> places;
  for (const Problem& problem : problems)
    places.push_back(std::to_string(problem.line) + ":" + std::to_string(problem.column));
  EXPECT_EQ(places, (std::vector<std::string>{"2:9", "2:14", "3:6", "1:8", "4:1"}));
  EXPECT_EQ(problems.back().message, "match: unknown key 'prto'");
  EXPECT_EQ(problems.back().suggestion, "proto");
}

TEST(MatchFlowMatch, KeysOfTheLanguageThatAreNotYet) {
  for (const std::string_view key :
       {"vlan", "ethertype", "dscp", "ecn", "len", "ttl", "tcp", "icmp_type", "fragment", "role",
        "nth", "first", "not", "any", "all", "bpf", "payload"}) {
    Problems problems;
    const std::string yaml = "proto: udp\n" + std::string(key) + ": 1\n";
    EXPECT_FALSE(FlowMatch::compile(tree_of(yaml), problems).has_value()) << key;
    EXPECT_EQ(lines_of(problems),
              (std::vector<std::string>{"f:2:1: error: match: '" + std::string(key) +
                                        "' is not yet supported"}));
  }
}

}  // namespace
}  // namespace faultline
