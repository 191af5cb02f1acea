// Frames byte by byte.
#include "packet/craft.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace faultline {
namespace {

constexpr std::uint32_t kEthernetBytesMin = 60;  // without FCS
constexpr std::uint32_t kIpv4HeaderBytes = 20;
constexpr std::uint32_t kIpv6HeaderBytes = 40;
constexpr std::uint32_t kTcpHeaderBytes = 20;
constexpr std::uint32_t kIcmpHeaderBytes = 8;
constexpr std::uint8_t kHops = 64;

constexpr std::uint8_t kTcpFin = 1;
constexpr std::uint8_t kTcpSyn = 2;
constexpr std::uint8_t kTcpRst = 4;
constexpr std::uint8_t kTcpAck = 16;

void store16(std::uint8_t* at, std::uint32_t value) noexcept {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}

void store32(std::uint8_t* at, std::uint32_t value) noexcept {
  store16(at, value >> 16);
  store16(at + 2, value);
}

std::uint32_t load32(const EditFrame& frame, std::uint32_t at) noexcept {
  return std::uint32_t{frame.word_at(at)} << 16 | frame.word_at(at + 2);
}

/// A frame that goes out: link and network header for `payload` bytes of `protocol`.
class Crafted {
 public:
  Crafted(const EditFrame& packet, Towards towards, std::uint8_t protocol, std::uint32_t payload,
          std::span<std::uint8_t> out) noexcept
      : ipv4_(packet.fields().key.kind == FlowKind::kIpv4), out_(out) {
    link_ = packet.link_part().end;
    header_ = ipv4_ ? kIpv4HeaderBytes : kIpv6HeaderBytes;
    length_ = link_ + header_ + payload;
    fits_ = std::max(length_, kEthernetBytesMin) <= out.size();
    if (!fits_)
      return;
    std::memset(out.data(), 0, std::max(length_, kEthernetBytesMin));
    const bool back = towards == Towards::kSender;
    std::memcpy(out.data(), packet.bytes(), link_);
    if (back) {
      std::memcpy(out.data(), packet.bytes() + 6, 6);
      std::memcpy(out.data() + 6, packet.bytes(), 6);
    }
    key_.kind = packet.fields().key.kind;
    key_.protocol = protocol;
    const std::uint32_t bytes = ipv4_ ? 4 : 16;
    const std::uint8_t* source = packet.bytes() + packet.fields().l3_offset + (ipv4_ ? 12U : 8U);
    std::memcpy(key_.source.data(), back ? source + bytes : source, bytes);
    std::memcpy(key_.destination.data(), back ? source : source + bytes, bytes);
    put_header(payload);
  }

  bool fits() const noexcept { return fits_; }
  std::uint8_t* payload() const noexcept { return out_.data() + link_ + header_; }

  /// Writes the checksum at `place` of the payload; the frame's length.
  std::uint32_t finish(std::uint32_t place) noexcept {
    const std::uint32_t first = link_ + header_;
    store16(payload() + place, transport_checksum(key_, out_.subspan(first, length_ - first)));
    return std::max(length_, kEthernetBytesMin);
  }

 private:
  void put_header(std::uint32_t payload) noexcept {
    std::uint8_t* header = out_.data() + link_;
    if (ipv4_) {
      header[0] = 0x45;
      store16(header + 2, header_ + payload);
      header[6] = 0x40;  // DF: so that an id of 0 is no one's fragment (RFC 6864)
      header[8] = kHops;
      header[9] = key_.protocol;
      std::memcpy(header + 12, key_.source.data(), 4);
      std::memcpy(header + 16, key_.destination.data(), 4);
      store16(header + 10, 0xFFFFU & ~unsigned{ones_sum({header, kIpv4HeaderBytes})});
      return;
    }
    header[0] = 0x60;
    store16(header + 4, payload);
    header[6] = key_.protocol;
    header[7] = kHops;
    std::memcpy(header + 8, key_.source.data(), 16);
    std::memcpy(header + 24, key_.destination.data(), 16);
  }

  bool ipv4_;
  std::span<std::uint8_t> out_;
  FlowKey key_;
  std::uint32_t link_ = 0;
  std::uint32_t header_ = 0;
  std::uint32_t length_ = 0;
  bool fits_ = false;
};

/// Redirects count as such: they are not answered either (RFC 4443, section 2.4).
bool is_icmp_error(const FrameFields& fields) noexcept {
  constexpr std::uint8_t kRedirect6 = 137;
  if (fields.key.protocol == kProtocolIcmpv6)
    return fields.icmp_type < 128 || fields.icmp_type == kRedirect6;
  // All but echo, router discovery, time stamp and address mask.
  constexpr std::uint32_t kQueries = 1U << 0 | 1U << 8 | 1U << 9 | 1U << 10 | 1U << 13 | 1U << 14 |
                                     1U << 15 | 1U << 16 | 1U << 17 | 1U << 18;
  return fields.key.protocol == kProtocolIcmp &&
         (fields.icmp_type >= 32 || (kQueries >> fields.icmp_type & 1) == 0);
}

/// Whether one host sent the packet to one host.
bool is_between_hosts(const EditFrame& packet) noexcept {
  const FrameFields& fields = packet.fields();
  if ((packet.at(0) & 1) != 0)
    return false;  // to a group of cards
  const std::uint8_t* source =
      packet.bytes() + fields.l3_offset + (fields.key.kind == FlowKind::kIpv4 ? 12U : 8U);
  if (fields.key.kind == FlowKind::kIpv6) {
    const auto is_one_host = [](const std::uint8_t* address) {
      return address[0] != 0xFF &&
             std::any_of(address, address + 16, [](std::uint8_t part) { return part != 0; });
    };
    return is_one_host(source) && is_one_host(source + 16);
  }
  const auto is_one_host = [](std::uint8_t first) {
    return first != 0 && first != 127 && first < 224;
  };
  return is_one_host(source[0]) && is_one_host(source[4]);
}

/// Whether an error may be sent about the packet.
bool may_complain(const EditFrame& packet) noexcept {
  const FrameFields& fields = packet.fields();
  return fields.is_ip() && fields.fragment != FragmentKind::kLater && !is_icmp_error(fields) &&
         is_between_hosts(packet);
}

struct IcmpError {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t rest = 0;  ///< the four bytes behind the checksum
};

std::uint32_t craft_error(const EditFrame& packet, const IcmpError& error,
                          std::span<std::uint8_t> out) noexcept {
  if (!may_complain(packet))
    return 0;
  const bool ipv4 = packet.fields().key.kind == FlowKind::kIpv4;
  const std::uint32_t first = packet.fields().l3_offset;
  const std::uint32_t all = packet.payload_part().end - first;
  const std::uint32_t most = ipv4 ? 576 - kIpv4HeaderBytes : 1'280 - kIpv6HeaderBytes;
  const std::uint32_t quoted = std::min(all, most - kIcmpHeaderBytes);
  Crafted frame(packet, Towards::kSender, ipv4 ? kProtocolIcmp : kProtocolIcmpv6,
                kIcmpHeaderBytes + quoted, out);
  if (!frame.fits())
    return 0;
  std::uint8_t* icmp = frame.payload();
  icmp[0] = error.type;
  icmp[1] = error.code;
  store32(icmp + 4, error.rest);
  std::memcpy(icmp + kIcmpHeaderBytes, packet.bytes() + first, quoted);
  return frame.finish(2);
}

/// `sequence`: absent towards the sender, the packet's ACK asks for it.
std::uint32_t reset_of(const EditFrame& packet, Towards towards,
                       std::optional<std::uint32_t> sequence,
                       std::span<std::uint8_t> out) noexcept {
  const FrameFields& fields = packet.fields();
  if (fields.key.protocol != kProtocolTcp || fields.l4_offset == 0 ||
      (fields.tcp_flags & kTcpRst) != 0 || !is_between_hosts(packet))
    return 0;
  Crafted frame(packet, towards, kProtocolTcp, kTcpHeaderBytes, out);
  if (!frame.fits())
    return 0;
  const std::uint32_t l4 = fields.l4_offset;
  const std::uint32_t acknowledged = load32(packet, l4 + 8);
  const bool has_ack = (fields.tcp_flags & kTcpAck) != 0;
  std::uint8_t* tcp = frame.payload();
  tcp[12] = (kTcpHeaderBytes / 4) << 4;
  if (towards == Towards::kReceiver) {
    store16(tcp, packet.word_at(l4));
    store16(tcp + 2, packet.word_at(l4 + 2));
    store32(tcp + 4, *sequence);
    store32(tcp + 8, has_ack ? acknowledged : 0);
    tcp[13] = has_ack ? kTcpRst | kTcpAck : kTcpRst;
    return frame.finish(16);
  }
  store16(tcp, packet.word_at(l4 + 2));
  store16(tcp + 2, packet.word_at(l4));
  if (sequence || has_ack) {
    store32(tcp + 4, sequence.value_or(acknowledged));
    tcp[13] = kTcpRst;
  } else {
    const std::uint32_t length = fields.payload_bytes +
                                 ((fields.tcp_flags & kTcpSyn) != 0 ? 1U : 0U) +
                                 ((fields.tcp_flags & kTcpFin) != 0 ? 1U : 0U);
    store32(tcp + 8, load32(packet, l4 + 4) + length);
    tcp[13] = kTcpRst | kTcpAck;
  }
  return frame.finish(16);
}

}  // namespace

std::uint32_t craft_reset(const EditFrame& packet, Towards towards, std::uint32_t sequence,
                          std::span<std::uint8_t> out) noexcept {
  if (towards == Towards::kReceiver)
    return reset_of(packet, towards, sequence, out);
  return reset_of(packet, towards, std::nullopt, out);
}

std::uint32_t craft_reset_back(const EditFrame& packet, std::uint32_t sequence,
                               std::span<std::uint8_t> out) noexcept {
  return reset_of(packet, Towards::kSender, sequence, out);
}

std::uint32_t craft_unreachable(const EditFrame& packet, Unreachable what,
                                std::span<std::uint8_t> out) noexcept {
  if (packet.fields().key.kind == FlowKind::kIpv4) {
    constexpr std::uint8_t kCodes[] = {0, 1, 2, 3, 13};
    return craft_error(packet, {3, kCodes[static_cast<std::size_t>(what)], 0}, out);
  }
  // What IPv6 has for a protocol is a parameter problem at the field that names it.
  constexpr IcmpError kErrors[] = {{1, 0, 0}, {1, 3, 0}, {4, 1, 0}, {1, 4, 0}, {1, 1, 0}};
  IcmpError error = kErrors[static_cast<std::size_t>(what)];
  if (what == Unreachable::kProtocol)
    error.rest = packet.protocol_at() - packet.fields().l3_offset;
  return craft_error(packet, error, out);
}

std::uint32_t craft_too_big(const EditFrame& packet, std::uint32_t mtu,
                            std::span<std::uint8_t> out) noexcept {
  const bool ipv4 = packet.fields().key.kind == FlowKind::kIpv4;
  return craft_error(packet, ipv4 ? IcmpError{3, 4, mtu} : IcmpError{2, 0, mtu}, out);
}

}  // namespace faultline
