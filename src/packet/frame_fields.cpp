// Parsing, outermost header first. Each step gets what lies behind the header before it.
#include "packet/frame_fields.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace faultline {
namespace {

constexpr std::size_t kIpv4HeaderBytes = 20;
constexpr std::size_t kIpv6HeaderBytes = 40;
constexpr std::size_t kUdpHeaderBytes = 8;
constexpr std::size_t kTcpHeaderBytes = 20;
constexpr std::size_t kSctpHeaderBytes = 12;
constexpr std::size_t kIcmpHeaderBytes = 4;
constexpr std::size_t kMplsLabelBytes = 4;
constexpr std::uint16_t kEthertypeMpls = 0x8847;
constexpr std::uint16_t kEthertypeMplsMulticast = 0x8848;
/// Below it the field is a length (IEEE 802.3).
constexpr std::uint16_t kEthertypeMin = 0x0600;

std::uint16_t load_be16(const std::uint8_t* bytes) noexcept {
  std::uint16_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return __builtin_bswap16(word);
}

std::uint32_t load_be32(const std::uint8_t* bytes) noexcept {
  return (std::uint32_t{load_be16(bytes)} << 16) | load_be16(bytes + 2);
}

/// An address of 4 or 6 bytes and the zeros behind it in one piece: who reads the key as words at
/// once would wait for a store of fewer bytes.
template <std::size_t kBytes>
void put_address(std::array<std::uint8_t, 16>& address, const std::uint8_t* bytes) noexcept {
  static_assert(std::endian::native == std::endian::little && (kBytes == 4 || kBytes == 6));
  std::uint32_t low = 0;
  std::memcpy(&low, bytes, sizeof low);
  std::uint64_t word = low;
  if constexpr (kBytes == 6) {
    std::uint16_t high = 0;
    std::memcpy(&high, bytes + 4, sizeof high);
    word |= std::uint64_t{high} << 32;
  }
  std::memcpy(address.data(), &word, sizeof word);
}

// What most frames are: untagged IPv4 without options, whole, with TCP or UDP. Read without a
// detour, and written in whole words; the parser below says the same of them.

constexpr std::size_t kPlainTransport = kEthernetHeaderBytes + kIpv4HeaderBytes;

// FrameFields from its first byte on, in words of eight.
static_assert(sizeof(FrameFields) == 84 && offsetof(FlowKey, destination) == 16 &&
              offsetof(FlowKey, source_port) == 32 && offsetof(FlowKey, destination_port) == 34 &&
              offsetof(FlowKey, ethertype) == 36 && offsetof(FlowKey, protocol) == 38 &&
              offsetof(FlowKey, kind) == 39 && offsetof(FlowKey, outer_vlan) == 40 &&
              offsetof(FrameFields, length) == 44 && offsetof(FrameFields, datagram_bytes) == 48 &&
              offsetof(FrameFields, source_port) == 56 && offsetof(FrameFields, l3_offset) == 60 &&
              offsetof(FrameFields, vlan_tags) == 62 &&
              offsetof(FrameFields, l3_header_bytes) == 63 &&
              offsetof(FrameFields, body_offset) == 64 && offsetof(FrameFields, l4_offset) == 66 &&
              offsetof(FrameFields, payload_offset) == 68 &&
              offsetof(FrameFields, payload_bytes) == 70 && offsetof(FrameFields, fragment) == 72 &&
              offsetof(FrameFields, shows_ports) == 73 &&
              offsetof(FrameFields, dont_fragment) == 74 && offsetof(FrameFields, dscp) == 75 &&
              offsetof(FrameFields, ecn) == 76 && offsetof(FrameFields, ttl) == 77 &&
              offsetof(FrameFields, tcp_flags) == 78 && offsetof(FrameFields, icmp_type) == 79);

struct PlainFrame {
  bool is_plain = false;
  std::size_t total = 0;    ///< of the datagram, as all these in bytes
  std::size_t header = 0;   ///< of TCP or UDP
  std::size_t payload = 0;  ///< behind it
};

[[gnu::always_inline]] inline PlainFrame plain_frame(std::span<const std::uint8_t> bytes,
                                                     std::size_t frame_length) noexcept {
  if (bytes.size() < kPlainTransport + kUdpHeaderBytes)
    return {};
  const std::uint8_t* ip = bytes.data() + kEthernetHeaderBytes;
  const std::uint8_t* transport = bytes.data() + kPlainTransport;
  const std::size_t total = load_be16(ip + 2);
  if (load_be16(bytes.data() + 12) != kEthertypeIpv4 || ip[0] != 0x45 ||
      (load_be16(ip + 6) & 0x3FFF) != 0 || kEthernetHeaderBytes + total > frame_length)
    return {};
  if (ip[9] == kProtocolUdp) {
    const std::size_t size = load_be16(transport + 4);
    return {size >= kUdpHeaderBytes && kIpv4HeaderBytes + size <= total, total, kUdpHeaderBytes,
            size - kUdpHeaderBytes};
  }
  if (ip[9] != kProtocolTcp || bytes.size() < kPlainTransport + kTcpHeaderBytes)
    return {};
  const std::size_t header = static_cast<std::size_t>(transport[12] >> 4) * 4;
  return {header >= kTcpHeaderBytes && kIpv4HeaderBytes + header <= total, total, header,
          total - kIpv4HeaderBytes - header};
}

/// False when the frame is no plain one: nothing was written then.
[[gnu::always_inline]] inline bool parse_plain(std::span<const std::uint8_t> bytes,
                                               std::size_t frame_length,
                                               FrameFields& fields) noexcept {
  const PlainFrame plain = plain_frame(bytes, frame_length);
  if (!plain.is_plain)
    return false;
  const std::uint8_t* ip = bytes.data() + kEthernetHeaderBytes;
  const std::uint8_t* transport = bytes.data() + kPlainTransport;
  const std::uint64_t flags = ip[9] == kProtocolTcp ? transport[13] : 0;
  const std::uint64_t fragment = load_be16(ip + 6);
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::memcpy(&source, ip + 12, sizeof source);
  std::memcpy(&destination, ip + 16, sizeof destination);
  const std::uint64_t ports = load_be16(transport) | std::uint64_t{load_be16(transport + 2)} << 16;
  // One by one: who gathers them first would wait for his own stores.
  const auto put = [&fields](std::size_t number, std::uint64_t word) {
    std::memcpy(reinterpret_cast<std::byte*>(&fields) + 8 * number, &word, sizeof word);
  };
  put(0, source);
  put(1, 0);
  put(2, destination);
  put(3, 0);
  put(4, ports | std::uint64_t{kEthertypeIpv4} << 32 | std::uint64_t{ip[9]} << 48 |
             static_cast<std::uint64_t>(FlowKind::kIpv4) << 56);
  put(5, static_cast<std::uint64_t>(frame_length) << 32);
  put(6, plain.total);
  put(7, ports | std::uint64_t{kEthernetHeaderBytes} << 32 | std::uint64_t{kIpv4HeaderBytes} << 56);
  put(8, kPlainTransport | kPlainTransport << 16 | (kPlainTransport + plain.header) << 32 |
             plain.payload << 48);
  put(9, 1U << 8 | (fragment & 0x4000U) << 2 | std::uint64_t{ip[1]} >> 2 << 24 |
             std::uint64_t{ip[1] & 3U} << 32 | std::uint64_t{ip[8]} << 40 | flags << 48);
  fields.icmp_code = 0;
  return true;
}

class Parser {
 public:
  Parser(std::span<const std::uint8_t> bytes, std::size_t frame_length,
         FrameFields& fields) noexcept
      : bytes_(bytes), end_(frame_length), fields_(fields) {}

  ParseOutcome parse() noexcept {
    if (bytes_.size() < kEthernetHeaderBytes)
      return ParseOutcome::kUnparsed;
    std::size_t offset = 12;
    if (!skip_tags(offset))
      return link(ParseOutcome::kUnparsed);
    const std::uint16_t ethertype = load_be16(&bytes_[offset]);
    fields_.key.ethertype = ethertype < kEthertypeMin ? 0 : ethertype;
    offset += 2;
    if (ethertype == kEthertypeIpv4)
      return ip(offset, 4);
    if (ethertype == kEthertypeIpv6)
      return ip(offset, 6);
    if (ethertype == kEthertypeMpls || ethertype == kEthertypeMplsMulticast)
      return mpls(offset);
    put_link_addresses(fields_.key);
    return ParseOutcome::kParsed;
  }

 private:
  bool has(std::size_t offset, std::size_t count) const noexcept {
    return offset + count <= bytes_.size();
  }

  /// Leaves `offset` at the ethertype behind the tags. False when the frame ends within them.
  bool skip_tags(std::size_t& offset) noexcept {
    for (int depth = 0; depth < kVlanDepth && is_vlan_tag(load_be16(&bytes_[offset])); ++depth) {
      if (!has(offset, 6))
        return false;
      const auto vlan =
          static_cast<std::uint16_t>((load_be16(&bytes_[offset + 2]) & 0x0FFF) | kVlanPresent);
      if (depth == 0)
        fields_.key.outer_vlan = vlan;
      else if (depth == 1)
        fields_.key.inner_vlan = vlan;
      ++fields_.vlan_tags;
      offset += 4;
    }
    return true;
  }

  void put_link_addresses(FlowKey& key) const noexcept {
    put_address<6>(key.destination, bytes_.data());
    put_address<6>(key.source, bytes_.data() + 6);
  }

  /// A flow of MAC addresses and ethertype, whatever was read of the frame already.
  ParseOutcome link(ParseOutcome outcome) noexcept {
    FlowKey key;
    key.ethertype = fields_.key.ethertype;
    key.outer_vlan = fields_.key.outer_vlan;
    key.inner_vlan = fields_.key.inner_vlan;
    put_link_addresses(key);
    const FrameFields before = fields_;
    fields_ = FrameFields{};
    fields_.key = key;
    fields_.length = before.length;
    fields_.vlan_tags = before.vlan_tags;
    return outcome;
  }

  /// IP behind the bottom of the label stack is told by its version; anything else stays a link.
  ParseOutcome mpls(std::size_t offset) noexcept {
    for (int depth = 0; depth < kMplsDepth; ++depth) {
      if (!has(offset, kMplsLabelBytes))
        return link(ParseOutcome::kUnparsed);
      const bool bottom = (bytes_[offset + 2] & 1) != 0;
      offset += kMplsLabelBytes;
      if (!bottom)
        continue;
      const int version = has(offset, 1) ? bytes_[offset] >> 4 : 0;
      if (version == 4 || version == 6) {
        const std::uint16_t ethertype = version == 4 ? kEthertypeIpv4 : kEthertypeIpv6;
        const std::uint16_t labelled = fields_.key.ethertype;
        fields_.key.ethertype = ethertype;
        if (ip(offset, version) == ParseOutcome::kParsed)
          return ParseOutcome::kParsed;
        // No IP after all (a pseudowire, say): what a label carries is its ends' affair.
        fields_.key.ethertype = labelled;
      }
      return link(ParseOutcome::kParsed);
    }
    return link(ParseOutcome::kParsed);
  }

  ParseOutcome ip(std::size_t offset, int version) noexcept {
    const ParseOutcome outcome = version == 4 ? ipv4(offset) : ipv6(offset);
    if (outcome == ParseOutcome::kUnparsed)
      return link(ParseOutcome::kUnparsed);
    fields_.l3_offset = static_cast<std::uint16_t>(offset);
    const std::uint8_t* header = &bytes_[offset];
    fields_.l3_header_bytes =
        static_cast<std::uint8_t>(version == 4 ? (header[0] & 0x0F) * 4U : kIpv6HeaderBytes);
    return outcome;
  }

  /// RFC 791, section 3.1.
  ParseOutcome ipv4(std::size_t offset) noexcept {
    if (!has(offset, kIpv4HeaderBytes))
      return ParseOutcome::kUnparsed;
    const std::uint8_t* header = &bytes_[offset];
    const std::size_t header_length = static_cast<std::size_t>(header[0] & 0x0F) * 4;
    const std::size_t total_length = load_be16(header + 2);
    if ((header[0] >> 4) != 4 || header_length < kIpv4HeaderBytes || total_length < header_length ||
        offset + total_length > end_ || !has(offset, header_length))
      return ParseOutcome::kUnparsed;
    fields_.datagram_bytes = static_cast<std::uint32_t>(total_length);
    FlowKey& key = fields_.key;
    key.kind = FlowKind::kIpv4;
    key.protocol = header[9];
    put_address<4>(key.source, header + 12);
    put_address<4>(key.destination, header + 16);
    fields_.dscp = header[1] >> 2;
    fields_.ecn = header[1] & 3;
    fields_.ttl = header[8];
    const std::uint16_t fragment = load_be16(header + 6);
    fields_.dont_fragment = (fragment & 0x4000) != 0;
    if ((fragment & 0x3FFF) != 0) {  // MF set, or an offset
      fields_.fragment_id = load_be16(header + 4);
      fields_.fragment = (fragment & 0x1FFF) == 0 ? FragmentKind::kFirst : FragmentKind::kLater;
    }
    return transport(offset + header_length, offset + total_length);
  }

  /// RFC 8200, section 3.
  ParseOutcome ipv6(std::size_t offset) noexcept {
    if (!has(offset, kIpv6HeaderBytes))
      return ParseOutcome::kUnparsed;
    const std::uint8_t* header = &bytes_[offset];
    const std::size_t end = offset + kIpv6HeaderBytes + load_be16(header + 4);
    if ((header[0] >> 4) != 6 || end > end_)
      return ParseOutcome::kUnparsed;
    fields_.datagram_bytes = static_cast<std::uint32_t>(end - offset);
    FlowKey& key = fields_.key;
    key.kind = FlowKind::kIpv6;
    key.protocol = header[6];
    std::memcpy(key.source.data(), header + 8, 16);
    std::memcpy(key.destination.data(), header + 24, 16);
    const int traffic_class = (load_be16(header) >> 4) & 0xFF;
    fields_.dscp = static_cast<std::uint8_t>(traffic_class >> 2);
    fields_.ecn = traffic_class & 3;
    fields_.ttl = header[7];
    return extensions(offset + kIpv6HeaderBytes, end);
  }

  enum class Extension : std::uint8_t { kNone, kOptions, kFragment, kAuthentication };

  static Extension extension_of(std::uint8_t next_header) noexcept {
    switch (next_header) {
      case 0:    // hop-by-hop
      case 43:   // routing
      case 60:   // destination options
      case 135:  // mobility (RFC 6275)
        return Extension::kOptions;
      case 44:
        return Extension::kFragment;
      case 51:
        return Extension::kAuthentication;
      default:
        return Extension::kNone;
    }
  }

  /// Walks the extension headers; the protocol becomes that of what stands behind them.
  ParseOutcome extensions(std::size_t offset, std::size_t end) noexcept {
    std::uint8_t& protocol = fields_.key.protocol;
    for (int depth = 0; depth < kExtensionDepth; ++depth) {
      const Extension extension = extension_of(protocol);
      if (extension == Extension::kNone)
        return transport(offset, end);
      constexpr std::size_t kSmallest = 8;
      if (offset + kSmallest > end || !has(offset, kSmallest))
        return ParseOutcome::kUnparsed;
      const std::uint8_t* header = &bytes_[offset];
      std::size_t size = kSmallest;
      if (extension == Extension::kOptions)
        size = (std::size_t{header[1]} + 1) * 8;
      else if (extension == Extension::kAuthentication)
        size = (std::size_t{header[1]} + 2) * 4;
      else
        note_fragment(header);
      if (offset + size > end)
        return ParseOutcome::kUnparsed;
      protocol = header[0];
      offset += size;
      fields_.body_offset = static_cast<std::uint16_t>(offset);
      if (fields_.fragment == FragmentKind::kLater)
        return ParseOutcome::kParsed;  // what follows is a part of some datagram's middle
    }
    return ParseOutcome::kParsed;
  }

  void note_fragment(const std::uint8_t* header) noexcept {
    const std::uint16_t place = load_be16(header + 2);
    if ((place & 0xFFF9) == 0)
      return;  // an atomic fragment (RFC 6946) is a whole datagram
    fields_.fragment_id = load_be32(header + 4);
    fields_.fragment = (place & 0xFFF8) == 0 ? FragmentKind::kFirst : FragmentKind::kLater;
  }

  /// The transport header at `offset` of a datagram, or a part of one, that ends at `end`.
  ParseOutcome transport(std::size_t offset, std::size_t end) noexcept {
    fields_.body_offset = static_cast<std::uint16_t>(offset);
    if (fields_.fragment == FragmentKind::kLater)
      return ParseOutcome::kParsed;
    const std::size_t wanted = header_bytes(fields_.key.protocol);
    if (wanted == 0)
      return ParseOutcome::kParsed;
    if (offset + wanted > end || !has(offset, wanted)) {
      // A first fragment may be shorter than its header; it just shows no ports.
      return fields_.fragment == FragmentKind::kFirst ? ParseOutcome::kParsed
                                                      : ParseOutcome::kUnparsed;
    }
    const std::uint8_t* header = &bytes_[offset];
    const std::size_t available = end - offset;
    if (!read_transport(header, available))
      return ParseOutcome::kUnparsed;
    fields_.l4_offset = static_cast<std::uint16_t>(offset);
    const bool tcp = fields_.key.protocol == kProtocolTcp;
    const std::size_t size = tcp ? (header[12] >> 4) * 4U : std::max<std::size_t>(wanted, 8);
    fields_.payload_offset = static_cast<std::uint16_t>(std::min(offset + size, end));
    if (has_ports(fields_.key.protocol)) {
      fields_.source_port = load_be16(header);
      fields_.destination_port = load_be16(header + 2);
      fields_.shows_ports = true;
      if (fields_.fragment == FragmentKind::kNone) {
        fields_.key.source_port = fields_.source_port;
        fields_.key.destination_port = fields_.destination_port;
      }
    }
    return ParseOutcome::kParsed;
  }

  static std::size_t header_bytes(std::uint8_t protocol) noexcept {
    switch (protocol) {
      case kProtocolTcp:
        return kTcpHeaderBytes;
      case kProtocolUdp:
        return kUdpHeaderBytes;
      case kProtocolSctp:
        return kSctpHeaderBytes;
      case kProtocolIcmp:
      case kProtocolIcmpv6:
        return kIcmpHeaderBytes;
      default:
        return 0;
    }
  }

  /// What a header says of itself. False when it contradicts the datagram's length.
  bool read_transport(const std::uint8_t* header, std::size_t available) noexcept {
    const bool whole = fields_.fragment == FragmentKind::kNone;
    switch (fields_.key.protocol) {
      case kProtocolTcp: {
        const std::size_t size = static_cast<std::size_t>(header[12] >> 4) * 4;
        if (size < kTcpHeaderBytes || (whole && size > available))
          return false;
        fields_.tcp_flags = header[13];
        fields_.payload_bytes = static_cast<std::uint16_t>(available - std::min(size, available));
        return true;
      }
      case kProtocolUdp: {
        const std::size_t size = load_be16(header + 4);
        if (size < kUdpHeaderBytes || (whole && size > available))
          return false;
        fields_.payload_bytes =
            static_cast<std::uint16_t>(std::min(size, available) - kUdpHeaderBytes);
        return true;
      }
      case kProtocolIcmp:
      case kProtocolIcmpv6:
        fields_.icmp_type = header[0];
        fields_.icmp_code = header[1];
        return true;
      default:
        return true;
    }
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t end_;  ///< where the frame ends, captured or not
  FrameFields& fields_;
};

[[gnu::noinline]] ParseOutcome parse_any(std::span<const std::uint8_t> bytes,
                                         std::size_t frame_length, FrameFields& fields) noexcept {
  fields = FrameFields{};
  fields.length = static_cast<std::uint32_t>(frame_length);
  const std::size_t looked_at = std::min(bytes.size(), kParseBytesMax);
  return Parser(bytes.first(looked_at), frame_length, fields).parse();
}

}  // namespace

ParseOutcome parse_frame(std::span<const std::uint8_t> bytes, std::size_t frame_length,
                         FrameFields& fields) noexcept {
  return parse_plain(bytes, frame_length, fields) ? ParseOutcome::kParsed
                                                  : parse_any(bytes, frame_length, fields);
}

ParseOutcome parse_ecn(std::span<const std::uint8_t> bytes, std::size_t frame_length,
                       std::uint8_t& ecn) noexcept {
  if (plain_frame(bytes, frame_length).is_plain) {
    ecn = bytes[kEthernetHeaderBytes + 1] & 3U;
    return ParseOutcome::kParsed;
  }
  ecn = 0;
  if (bytes.size() >= kEthernetHeaderBytes) {
    const std::uint16_t ethertype = load_be16(&bytes[12]);
    const bool holds_more = is_vlan_tag(ethertype) || ethertype == kEthertypeIpv4 ||
                            ethertype == kEthertypeIpv6 || ethertype == kEthertypeMpls ||
                            ethertype == kEthertypeMplsMulticast;
    if (!holds_more)
      return ParseOutcome::kParsed;
  }
  FrameFields fields;
  const ParseOutcome outcome = parse_any(bytes, frame_length, fields);
  ecn = fields.ecn;
  return outcome;
}

}  // namespace faultline
