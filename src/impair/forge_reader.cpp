// One reader a kind of frame. What a kind needs and what it does not know are told by name.
#include "impair/forge_reader.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/units.hpp"

namespace faultline {
namespace {

constexpr MacAddress kBroadcast{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
constexpr std::size_t kAddressesMax = 16;
constexpr std::uint64_t kPortMax = 65'535;

std::optional<MacAddress> mac_of(const ConfigNode& node, Problems& problems) {
  const auto mac = node.is_scalar() ? parse_mac(node.text) : std::nullopt;
  if (!mac)
    problems.push_back(problem_at(node.mark, "found " + describe(node),
                                  "an address such as \"02:00:00:00:00:01\""));
  return mac;
}

/// `family`: of another address that it goes with.
std::optional<IpAddress> ip_of(const ConfigNode& node, std::optional<FlowKind> family,
                               Problems& problems) {
  const auto ip = node.is_scalar() ? parse_ip(node.text) : std::nullopt;
  if (ip && (!family || ip->kind == *family))
    return ip;
  const bool only_ipv4 = family == FlowKind::kIpv4;
  const bool only_ipv6 = family == FlowKind::kIpv6;
  problems.push_back(problem_at(node.mark, "found " + describe(node),
                                only_ipv4   ? "an IPv4 address such as 10.0.0.9"
                                : only_ipv6 ? "an IPv6 address such as fd00::9"
                                            : "an address such as 10.0.0.9 or fd00::9"));
  return std::nullopt;
}

/// The keys of one kind, with a word for each sort of value.
class Kind {
 public:
  Kind(const ConfigNode& node, std::string_view what, Problems& problems)
      : reader_(node, what, problems), problems_(problems) {}

  const ConfigNode* take(std::string_view key) { return reader_.take(key); }
  void finish() { reader_.finish(); }

  IpAddress ip(std::string_view key, std::optional<FlowKind> family) {
    const ConfigNode* value = reader_.require(key);
    return value == nullptr ? IpAddress{} : ip_of(*value, family, problems_).value_or(IpAddress{});
  }
  MacAddress mac(std::string_view key) {
    const ConfigNode* value = reader_.require(key);
    return value == nullptr ? MacAddress{} : mac_of(*value, problems_).value_or(MacAddress{});
  }
  template <typename T>
  void number(std::string_view key, Bounds bounds, T& number) {
    if (const ConfigNode* value = reader_.take(key))
      number = static_cast<T>(read_count(*value, bounds, problems_).value_or(bounds.minimum));
  }
  template <typename T>
  void required_number(std::string_view key, Bounds bounds, T& wanted) {
    reader_.require(key);
    number(key, bounds, wanted);
  }

 private:
  MappingReader reader_;
  Problems& problems_;
};

/// What is said of the link; absent: the kind says it.
struct LinkSaid {
  std::optional<MacAddress> source;
  std::optional<MacAddress> destination;
  std::optional<std::uint16_t> vlan;
};

class ForgeReader {
 public:
  ForgeReader(const ConfigNode& node, Problems& problems) : node_(node), problems_(problems) {}

  std::optional<ForgedFrame> read() {
    const std::size_t before = problems_.size();
    MappingReader reader(node_, "forge", problems_);
    LinkSaid said;
    if (const ConfigNode* value = reader.take("src_mac"))
      said.source = mac_of(*value, problems_);
    if (const ConfigNode* value = reader.take("dst_mac"))
      said.destination = mac_of(*value, problems_);
    if (const ConfigNode* value = reader.take("vlan"))
      said.vlan = static_cast<std::uint16_t>(read_count(*value, {0, 4'095}, problems_).value_or(0));
    using Read = ForgedFrame (ForgeReader::*)(const ConfigNode&, const LinkSaid&);
    constexpr std::pair<std::string_view, Read> kKinds[] = {{"arp", &ForgeReader::arp},
                                                            {"vrrp", &ForgeReader::vrrp},
                                                            {"tcp", &ForgeReader::tcp},
                                                            {"icmp", &ForgeReader::icmp},
                                                            {"announce", &ForgeReader::announce}};
    ForgedFrame frame;
    std::size_t named = 0;
    for (const auto& [key, read] : kKinds)
      if (const ConfigNode* value = reader.take(key)) {
        frame = (this->*read)(*value, said);
        ++named;
      }
    reader.finish();
    if (node_.is_mapping() && named != 1)
      problems_.push_back(problem_at(node_.mark, "forge: which frame?",
                                     "just one of arp, vrrp, tcp, icmp, announce"));
    if (problems_.size() != before)
      return std::nullopt;
    return frame;
  }

 private:
  /// Of kinds that know nothing of MAC addresses.
  ForgedLink link_of(const LinkSaid& said) {
    if (!said.source || !said.destination)
      problems_.push_back(problem_at(node_.mark, "forge: between which cards?",
                                     "src_mac and dst_mac, dst_mac being the receiver's own"));
    return {said.destination.value_or(MacAddress{}), said.source.value_or(MacAddress{}), said.vlan};
  }

  ForgedFrame arp(const ConfigNode& node, const LinkSaid& said) {
    Kind keys(node, "arp", problems_);
    ForgedArp arp;
    arp.sender = keys.ip("ip", FlowKind::kIpv4);
    arp.sender_mac = keys.mac("mac");
    bool replies = false;
    if (const ConfigNode* value = keys.take("kind"))
      replies = read_word(*value, {"gratuitous", "reply"}, problems_).value_or(0) == 1;
    ForgedLink link{kBroadcast, said.source.value_or(arp.sender_mac), said.vlan};
    if (replies) {
      arp.operation = 2;
      arp.target = keys.ip("to", FlowKind::kIpv4);
      arp.target_mac = link.destination = keys.mac("to_mac");
    } else {
      arp.target = arp.sender;  // an announcement (RFC 5227, section 3)
    }
    link.destination = said.destination.value_or(link.destination);
    keys.finish();
    return forge_arp(link, arp);
  }

  ForgedFrame vrrp(const ConfigNode& node, const LinkSaid& said) {
    Kind keys(node, "vrrp", problems_);
    ForgedVrrp vrrp;
    if (said.source || said.destination)
      problems_.push_back(problem_at(node_.mark, "src_mac or dst_mac of VRRP",
                                     "neither: the router's id and the group say them"));
    keys.required_number("vrid", {1, 255}, vrrp.router);
    keys.number("priority", {0, 255}, vrrp.priority);
    vrrp.source = keys.ip("from", std::nullopt);
    if (const ConfigNode* value = keys.take("interval"))
      vrrp.interval_cs = interval_cs(*value);
    const ConfigNode* list = keys.take("addresses");
    keys.finish();
    if (list == nullptr || !list->is_sequence() || list->items.empty() ||
        list->items.size() > kAddressesMax) {
      problems_.push_back(problem_at(list == nullptr ? node.mark : list->mark,
                                     "vrrp: whose addresses?",
                                     "addresses: a list of 1 to 16, such as [10.0.0.1]"));
      return {};
    }
    for (const ConfigNode& item : list->items)
      vrrp.addresses.push_back(
          ip_of(item, vrrp.source.kind, problems_).value_or(IpAddress{vrrp.source.kind, {}}));
    return forge_vrrp(said.vlan, vrrp);
  }

  /// In hundredths of a second, 12 bits.
  std::uint16_t interval_cs(const ConfigNode& node) {
    constexpr std::uint64_t kCentisecondNs = 10 * kNsPerMs;
    const std::uint64_t ns =
        read_duration_ns(node, {kCentisecondNs, 4'095 * kCentisecondNs}, problems_)
            .value_or(kCentisecondNs);
    if (ns % kCentisecondNs != 0)
      problems_.push_back(problem_at(node.mark, "found " + describe(node), "a multiple of 10ms"));
    return static_cast<std::uint16_t>(ns / kCentisecondNs);
  }

  ForgedFrame tcp(const ConfigNode& node, const LinkSaid& said) {
    constexpr std::uint64_t kSequenceMax = UINT32_MAX;
    Kind keys(node, "tcp", problems_);
    ForgedTcp tcp;
    tcp.source = keys.ip("src", std::nullopt);
    tcp.destination = keys.ip("dst", tcp.source.kind);
    keys.required_number("sport", {0, kPortMax}, tcp.source_port);
    keys.required_number("dport", {0, kPortMax}, tcp.destination_port);
    keys.number("seq", {0, kSequenceMax}, tcp.sequence);
    keys.number("ack", {0, kSequenceMax}, tcp.acknowledgement);
    keys.number("window", {0, 65'535}, tcp.window);
    if (const ConfigNode* value = keys.take("flags"))
      tcp.flags = flags_of(*value);
    else
      problems_.push_back(problem_at(node.mark, "tcp: 'flags' is missing", "such as [rst, ack]"));
    keys.finish();
    return forge_tcp(link_of(said), tcp);
  }

  /// One word or a list of them.
  std::uint8_t flags_of(const ConfigNode& node) {
    const auto flag_of = [this](const ConfigNode& word) {
      const auto place = read_word(word, {"fin", "syn", "rst", "psh", "ack"}, problems_);
      return static_cast<std::uint8_t>(1U << place.value_or(0));
    };
    if (!node.is_sequence())
      return flag_of(node);
    std::uint8_t flags = 0;
    for (const ConfigNode& item : node.items) flags |= flag_of(item);
    return flags;
  }

  ForgedFrame icmp(const ConfigNode& node, const LinkSaid& said) {
    constexpr std::array<std::uint8_t, 5> kCodes{0, 1, 2, 3, 13};
    Kind keys(node, "icmp", problems_);
    ForgedIcmp icmp;
    icmp.source = keys.ip("from", FlowKind::kIpv4);
    icmp.destination = keys.ip("to", FlowKind::kIpv4);
    icmp.about = keys.ip("about", FlowKind::kIpv4);
    bool redirects = false;
    if (const ConfigNode* value = keys.take("kind"))
      redirects = read_word(*value, {"unreachable", "redirect"}, problems_).value_or(0) == 1;
    if (redirects) {
      icmp.type = 5;
      icmp.code = 1;  // for the host
      icmp.rest = keys.ip("gateway", FlowKind::kIpv4);
    } else if (const ConfigNode* value = keys.take("code")) {
      icmp.code = kCodes[read_word(*value, {"net", "host", "protocol", "port", "admin"}, problems_)
                             .value_or(0)];
    } else {
      icmp.code = 1;
    }
    if (const ConfigNode* value = keys.take("protocol"))
      icmp.protocol = read_word(*value, {"udp", "tcp"}, problems_).value_or(0) == 1 ? 6 : 17;
    keys.number("sport", {0, kPortMax}, icmp.source_port);
    keys.number("dport", {0, kPortMax}, icmp.destination_port);
    keys.finish();
    return forge_icmp(link_of(said), icmp);
  }

  ForgedFrame announce(const ConfigNode& node, const LinkSaid& said) {
    Kind keys(node, "announce", problems_);
    ForgedAnnounce announce;
    if (!said.source || said.destination)
      problems_.push_back(problem_at(node_.mark, "announce: from which card?",
                                     "src_mac, and no dst_mac: it goes to PTP's group"));
    const MacAddress source = said.source.value_or(MacAddress{});
    // EUI-64 of a MAC address, as clocks have it.
    announce.identity = {source[0], source[1], source[2], 0xFF,
                         0xFE,      source[3], source[4], source[5]};
    keys.number("domain", {0, 255}, announce.domain);
    keys.number("priority1", {0, 255}, announce.priority1);
    keys.number("clock_class", {0, 255}, announce.clock_class);
    keys.number("priority2", {0, 255}, announce.priority2);
    keys.number("steps_removed", {0, 65'535}, announce.steps_removed);
    if (const ConfigNode* value = keys.take("interval"))
      announce.interval_log2 = interval_log2(*value);
    if (const ConfigNode* value = keys.take("from"))
      announce.source = ip_of(*value, std::nullopt, problems_);
    keys.finish();
    return forge_announce(source, said.vlan, announce);
  }

  /// Powers of two of a second, from 1/16 to 16.
  std::int8_t interval_log2(const ConfigNode& node) {
    const auto ns = read_duration_ns(node, {1, kDurationMaxNs}, problems_);
    for (int log2 = -4; ns && log2 <= 4; ++log2)
      if (*ns == (log2 < 0 ? kNsPerSecond >> -log2 : kNsPerSecond << log2))
        return static_cast<std::int8_t>(log2);
    if (ns)
      problems_.push_back(problem_at(node.mark, "found " + describe(node),
                                     "a power of two of a second: 62.5ms … 500ms, 1s, 2s … 16s"));
    return 0;
  }

  const ConfigNode& node_;
  Problems& problems_;
};

}  // namespace

std::optional<ForgedFrame> read_forged(const ConfigNode& node, Problems& problems) {
  return ForgeReader(node, problems).read();
}

}  // namespace faultline
