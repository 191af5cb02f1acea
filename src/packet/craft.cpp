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

/// Writes the number; what it adds to a loaded_sum.
std::uint32_t store16(std::uint8_t* at, std::uint32_t value) noexcept {
  const std::uint16_t stored = __builtin_bswap16(static_cast<std::uint16_t>(value));
  std::memcpy(at, &stored, sizeof stored);
  return stored;
}

std::uint32_t store32(std::uint8_t* at, std::uint32_t value) noexcept {
  const std::uint32_t stored = __builtin_bswap32(value);
  std::memcpy(at, &stored, sizeof stored);
  return stored;
}

/// Of words in `sum`, a loaded_sum.
void store_checksum(std::uint8_t* at, std::uint64_t sum) noexcept {
  const auto stored = static_cast<std::uint16_t>(~folded(sum));
  std::memcpy(at, &stored, sizeof stored);
}

/// Sixteen bytes or more. In steps of as many: what copies any number of bytes begins slowly.
void copy(std::uint8_t* to, const std::uint8_t* from, std::uint32_t bytes) noexcept {
  constexpr std::uint32_t kStep = 16;
  for (std::uint32_t at = 0; at + kStep < bytes; at += kStep)
    std::memcpy(to + at, from + at, kStep);
  std::memcpy(to + bytes - kStep, from + bytes - kStep, kStep);
}

std::uint32_t load32(const EditFrame& frame, std::uint32_t at) noexcept {
  return std::uint32_t{frame.word_at(at)} << 16 | frame.word_at(at + 2);
}

/// A frame that goes out: link and network header for `payload` bytes of `protocol`. Sums are made
/// of what is written and of the packet answered: to read what was written a moment ago, in other
/// pieces, would have to wait for it.
class Crafted {
 public:
  Crafted(const EditFrame& packet, Towards towards, std::uint8_t protocol, std::uint32_t payload,
          std::span<std::uint8_t> out) noexcept
      : ipv4_(packet.fields().key.kind == FlowKind::kIpv4),
        out_(out.data()),
        link_(packet.link_part().end),
        payload_(payload) {
    length_ = link_ + (ipv4_ ? kIpv4HeaderBytes : kIpv6HeaderBytes) + payload;
    fits_ = length() <= out.size();
    if (!fits_)
      return;
    // The padding: nothing that is sent is so short that it does not reach into these bytes.
    static_assert(kEthernetHeaderBytes + kIpv4HeaderBytes + kTcpHeaderBytes >= kPaddingFrom);
    std::memset(out_ + kPaddingFrom, 0, kEthernetBytesMin - kPaddingFrom);
    const bool back = towards == Towards::kSender;
    std::memcpy(out_, packet.bytes() + (back ? 6 : 0), 6);
    std::memcpy(out_ + 6, packet.bytes() + (back ? 0 : 6), 6);
    for (std::uint32_t at = 12; at < link_; at += 2) std::memcpy(out_ + at, packet.bytes() + at, 2);
    const std::uint8_t* source = packet.bytes() + packet.fields().l3_offset + (ipv4_ ? 12U : 8U);
    const std::size_t address = ipv4_ ? 4 : 16;
    const std::uint64_t addresses = loaded_sum({source, 2 * address});
    put_header(protocol, addresses);
    if (ipv4_)
      put_addresses<4>(source, back);
    else
      put_addresses<16>(source, back);
    if (!ipv4_ || protocol != kProtocolIcmp)
      pseudo_header_ = addresses + __builtin_bswap16(protocol) +
                       __builtin_bswap16(static_cast<std::uint16_t>(payload));
  }

  bool fits() const noexcept { return fits_; }
  std::uint8_t* payload() const noexcept { return out_ + length_ - payload_; }

  /// Writes the checksum at `place` of the payload, whose own words are in `sum`; the frame's
  /// length.
  std::uint32_t finish(std::uint32_t place, std::uint64_t sum) noexcept {
    store_checksum(payload() + place, sum + pseudo_header_);
    return length();
  }

 private:
  static constexpr std::uint32_t kPaddingFrom = 44;

  std::uint32_t length() const noexcept { return std::max(length_, kEthernetBytesMin); }

  void put_header(std::uint8_t protocol, std::uint64_t addresses) noexcept {
    std::uint8_t* header = out_ + link_;
    if (!ipv4_) {
      store32(header, 0x6000'0000);
      store16(header + 4, payload_);
      store16(header + 6, std::uint32_t{protocol} << 8 | kHops);
      return;
    }
    constexpr std::uint32_t kDontFragment = 0x4000;  // so an id of 0 is no one's (RFC 6864)
    std::uint64_t sum = addresses;
    sum += store32(header, 0x4500U << 16 | (kIpv4HeaderBytes + payload_));
    sum += store32(header + 4, kDontFragment);
    sum += store16(header + 8, std::uint32_t{kHops} << 8 | protocol);
    store_checksum(header + 10, sum);
  }

  /// The last of the header.
  template <std::size_t kBytes>
  void put_addresses(const std::uint8_t* source, bool back) noexcept {
    std::uint8_t* place = payload() - 2 * kBytes;
    std::memcpy(place, back ? source + kBytes : source, kBytes);
    std::memcpy(place + kBytes, back ? source : source + kBytes, kBytes);
  }

  bool ipv4_;
  std::uint8_t* out_;
  std::uint32_t link_;
  std::uint32_t payload_;  ///< bytes
  std::uint32_t length_ = 0;
  std::uint64_t pseudo_header_ = 0;  ///< its sum; 0: the checksum leaves it out
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
  const std::uint8_t* quote = packet.bytes() + first;
  std::uint64_t sum = loaded_sum({quote, quoted});
  sum += store32(icmp, std::uint32_t{error.type} << 24 | std::uint32_t{error.code} << 16);
  sum += store32(icmp + 4, error.rest);
  copy(icmp + kIcmpHeaderBytes, quote, quoted);
  return frame.finish(2, sum);
}

struct Reset {
  std::uint32_t ports = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  bool has_ack = false;
};

std::uint32_t put_reset(Crafted& frame, const Reset& reset) noexcept {
  std::uint8_t* tcp = frame.payload();
  const std::uint32_t flags = reset.has_ack ? kTcpRst | kTcpAck : kTcpRst;
  std::uint64_t sum = store32(tcp, reset.ports);
  sum += store32(tcp + 4, reset.sequence);
  sum += store32(tcp + 8, reset.acknowledgement);
  sum += store32(tcp + 12, (kTcpHeaderBytes / 4) << 28 | flags << 16);
  store32(tcp + 16, 0);
  return frame.finish(16, sum);
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
  const std::uint32_t ports = load32(packet, l4);
  const std::uint32_t asked_for = load32(packet, l4 + 8);
  const bool has_ack = (fields.tcp_flags & kTcpAck) != 0;
  Reset reset;
  if (towards == Towards::kReceiver) {
    reset = {ports, *sequence, has_ack ? asked_for : 0, has_ack};
  } else {
    reset.ports = ports << 16 | ports >> 16;
    reset.has_ack = !sequence && !has_ack;
    if (reset.has_ack)
      reset.acknowledgement = load32(packet, l4 + 4) + fields.payload_bytes +
                              ((fields.tcp_flags & kTcpSyn) != 0 ? 1U : 0U) +
                              ((fields.tcp_flags & kTcpFin) != 0 ? 1U : 0U);
    else
      reset.sequence = sequence.value_or(asked_for);
  }
  return put_reset(frame, reset);
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
