// Frames field by field, in the order in which they stand.
#include "packet/forge.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "packet/ones_sum.hpp"

namespace faultline {
namespace {

constexpr std::size_t kEthernetBytesMin = 60;  // without FCS
constexpr std::uint8_t kProtocolVrrp = 112;
constexpr std::uint16_t kGeneralPort = 320;  // of PTP
constexpr std::uint8_t kHops = 64;
constexpr std::uint16_t kDontFragment = 0x4000;  // so an id of 0 is no one's (RFC 6864)

bool is_ipv4(const IpAddress& address) {
  return address.kind == FlowKind::kIpv4;
}

std::span<const std::uint8_t> bytes_of(const IpAddress& address) {
  return {address.bytes.data(), is_ipv4(address) ? std::size_t{4} : std::size_t{16}};
}

/// Bytes, one field behind the other.
class Fields {
 public:
  Fields& byte(std::uint32_t value) {
    bytes_.push_back(static_cast<std::uint8_t>(value));
    return *this;
  }
  Fields& word(std::uint32_t value) { return byte(value >> 8 & 0xFF).byte(value & 0xFF); }
  Fields& both(std::uint32_t value) { return word(value >> 16).word(value & 0xFFFF); }
  Fields& some(std::span<const std::uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Fields& address(const IpAddress& address) { return some(bytes_of(address)); }

  std::size_t size() const { return bytes_.size(); }
  std::span<const std::uint8_t> view() const { return bytes_; }
  /// The checksum of all of it, which has zero at `at`, goes there; `before`: a sum that counts
  /// too.
  Fields& summed(std::size_t at, std::uint16_t before = 0) {
    const auto sum = static_cast<std::uint16_t>(~ones_sum(bytes_, before));
    bytes_[at] = static_cast<std::uint8_t>(sum >> 8);
    bytes_[at + 1] = static_cast<std::uint8_t>(sum);
    return *this;
  }
  ForgedFrame padded() && {
    bytes_.resize(std::max(bytes_.size(), kEthernetBytesMin));
    return std::move(bytes_);
  }

 private:
  ForgedFrame bytes_;
};

Fields link_header(const ForgedLink& link, std::uint16_t ethertype) {
  Fields fields;
  fields.some(link.destination).some(link.source);
  if (link.vlan)
    fields.word(0x8100).word(*link.vlan);
  fields.word(ethertype);
  return fields;
}

struct Datagram {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  std::uint8_t hops = kHops;
};

/// RFC 791 and RFC 8200, for `payload` bytes.
Fields network_header(const Datagram& datagram, std::size_t payload) {
  Fields fields;
  const auto bytes = static_cast<std::uint32_t>(payload);
  if (is_ipv4(datagram.source))
    return fields.byte(0x45)
        .byte(0)
        .word(20 + bytes)
        .word(0)
        .word(kDontFragment)
        .byte(datagram.hops)
        .byte(datagram.protocol)
        .word(0)
        .address(datagram.source)
        .address(datagram.destination)
        .summed(10);
  return fields.both(0x6000'0000)
      .word(bytes)
      .byte(datagram.protocol)
      .byte(datagram.hops)
      .address(datagram.source)
      .address(datagram.destination);
}

/// RFC 9293, section 3.1, and RFC 8200, section 8.1: their sums are one.
std::uint16_t pseudo_sum(const Datagram& datagram, std::size_t payload) {
  Fields fields;
  fields.address(datagram.source).address(datagram.destination);
  fields.both(static_cast<std::uint32_t>(payload)).both(datagram.protocol);
  return ones_sum(fields.view());
}

ForgedFrame finish(const ForgedLink& link, const Datagram& datagram, const Fields& payload) {
  Fields frame = link_header(link, is_ipv4(datagram.source) ? 0x0800 : 0x86DD);
  frame.some(network_header(datagram, payload.size()).view()).some(payload.view());
  return std::move(frame).padded();
}

}  // namespace

ForgedFrame forge_arp(const ForgedLink& link, const ForgedArp& arp) {
  Fields frame = link_header(link, 0x0806);
  frame.word(1).word(0x0800).byte(6).byte(4).word(arp.operation);
  frame.some(arp.sender_mac).address(arp.sender).some(arp.target_mac).address(arp.target);
  return std::move(frame).padded();
}

ForgedFrame forge_vrrp(std::optional<std::uint16_t> vlan, const ForgedVrrp& vrrp) {
  const bool ipv4 = is_ipv4(vrrp.source);
  Datagram datagram{vrrp.source, {vrrp.source.kind, {}}, kProtocolVrrp, 255};
  if (ipv4)
    datagram.destination.bytes = {224, 0, 0, 18};
  else
    datagram.destination.bytes = {0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12};
  ForgedLink link;
  link.destination =
      ipv4 ? MacAddress{0x01, 0, 0x5E, 0, 0, 0x12} : MacAddress{0x33, 0x33, 0, 0, 0, 0x12};
  link.source = {0, 0, 0x5E, 0, static_cast<std::uint8_t>(ipv4 ? 1 : 2), vrrp.router};
  link.vlan = vlan;
  Fields fields;
  fields.byte(0x31).byte(vrrp.router).byte(vrrp.priority);
  fields.byte(static_cast<std::uint32_t>(vrrp.addresses.size()));
  fields.word(vrrp.interval_cs & 0x0FFFU).word(0);
  for (const IpAddress& address : vrrp.addresses) fields.address(address);
  fields.summed(6, pseudo_sum(datagram, fields.size()));
  return finish(link, datagram, fields);
}

ForgedFrame forge_tcp(const ForgedLink& link, const ForgedTcp& tcp) {
  const Datagram datagram{tcp.source, tcp.destination, kProtocolTcp};
  Fields fields;
  fields.word(tcp.source_port).word(tcp.destination_port);
  fields.both(tcp.sequence).both(tcp.acknowledgement);
  fields.byte(5U << 4).byte(tcp.flags).word(tcp.window).word(0).word(0);
  fields.summed(16, pseudo_sum(datagram, fields.size()));
  return finish(link, datagram, fields);
}

ForgedFrame forge_icmp(const ForgedLink& link, const ForgedIcmp& icmp) {
  constexpr std::size_t kQuotedBytes = 8;
  Fields fields;
  fields.byte(icmp.type).byte(icmp.code).word(0).address(icmp.rest);
  fields.some(network_header({icmp.destination, icmp.about, icmp.protocol}, kQuotedBytes).view());
  fields.word(icmp.source_port).word(icmp.destination_port);
  // UDP: its length, and no checksum. TCP: a sequence number of that.
  fields.word(kQuotedBytes).word(0);
  fields.summed(2);
  return finish(link, {icmp.source, icmp.destination, kProtocolIcmp}, fields);
}

ForgedFrame forge_announce(const MacAddress& source, std::optional<std::uint16_t> vlan,
                           const ForgedAnnounce& announce) {
  constexpr std::uint8_t kAnnounce = 0x0B;
  constexpr std::uint32_t kMessageBytes = 64;
  constexpr std::uint32_t kFlags = 0x000C;  // PTP timescale, the UTC offset is valid
  constexpr std::uint32_t kUnknownAccuracy = 0xFE;
  constexpr std::uint32_t kUnknownVariance = 0xFFFF;
  constexpr std::uint32_t kInternalOscillator = 0xA0;
  constexpr std::uint32_t kControlOfOthers = 5;
  Fields message;
  message.byte(kAnnounce).byte(2).word(kMessageBytes).byte(announce.domain).byte(0).word(kFlags);
  message.both(0).both(0).both(0);          // correction, reserved
  message.some(announce.identity).word(1);  // the port
  message.word(0).byte(kControlOfOthers);   // sequence
  message.byte(static_cast<std::uint8_t>(announce.interval_log2));
  message.both(0).both(0).word(0);  // no origin time-stamp
  message.word(static_cast<std::uint16_t>(announce.utc_offset)).byte(0).byte(announce.priority1);
  message.byte(announce.clock_class).byte(kUnknownAccuracy).word(kUnknownVariance);
  message.byte(announce.priority2).some(announce.identity).word(announce.steps_removed);
  message.byte(kInternalOscillator);
  if (!announce.source) {
    Fields frame = link_header({{0x01, 0x1B, 0x19, 0, 0, 0}, source, vlan}, 0x88F7);
    return std::move(frame.some(message.view())).padded();
  }
  const bool ipv4 = is_ipv4(*announce.source);
  Datagram datagram{*announce.source, {announce.source->kind, {}}, kProtocolUdp, 1};
  if (ipv4)
    datagram.destination.bytes = {224, 0, 1, 129};
  else
    datagram.destination.bytes = {0xFF, 0x0E, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x81};
  ForgedLink link{
      ipv4 ? MacAddress{0x01, 0, 0x5E, 0, 1, 0x81} : MacAddress{0x33, 0x33, 0, 0, 1, 0x81}, source,
      vlan};
  constexpr std::uint32_t kUdpBytes = 8;
  Fields fields;
  fields.word(kGeneralPort).word(kGeneralPort).word(kUdpBytes + kMessageBytes).word(0);
  fields.some(message.view());
  fields.summed(6, pseudo_sum(datagram, fields.size()));
  return finish(link, datagram, fields);
}

}  // namespace faultline
