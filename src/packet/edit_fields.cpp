// Edits of header fields, each through the frame that keeps the checksums' books.
#include <algorithm>
#include <cstring>

#include "packet/edit.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kTagBytes = 4;
constexpr std::uint32_t kTagAt = 12;
static_assert(kTagAt + kTagBytes + 2 == kTaggedBytesMin);

bool is_ipv4(const EditFrame& frame) noexcept {
  return frame.fields().key.kind == FlowKind::kIpv4;
}

bool is_tcp(const EditFrame& frame) noexcept {
  return frame.fields().key.protocol == kProtocolTcp && frame.fields().l4_offset != 0;
}

bool is_tagged(const EditFrame& frame) noexcept {
  return frame.fields().vlan_tags > 0 && frame.length() >= kTaggedBytesMin;
}

/// An even number of bytes.
void put_words(EditFrame& frame, std::uint32_t first,
               std::span<const std::uint8_t> bytes) noexcept {
  for (std::uint32_t at = 0; at < bytes.size(); at += 2)
    frame.put_word(first + at, static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]));
}

/// TOS of IPv4, traffic class of IPv6: six bits of DSCP and two of ECN (RFC 2474, RFC 3168).
void edit_class(EditFrame& frame, std::uint8_t value, std::uint8_t mask) noexcept {
  if (!frame.fields().is_ip())
    return;
  const std::uint32_t l3 = frame.fields().l3_offset;
  const auto merged = [&](unsigned before) { return (before & ~unsigned{mask}) | (value & mask); };
  if (is_ipv4(frame)) {
    frame.put(l3 + 1, static_cast<std::uint8_t>(merged(frame.at(l3 + 1))));
    return;
  }
  const std::uint16_t word = frame.word_at(l3);
  frame.put_word(l3, static_cast<std::uint16_t>((word & 0xF00F) | merged((word >> 4) & 0xFF) << 4));
}

}  // namespace

void edit_ttl(EditFrame& frame, std::uint8_t ttl) noexcept {
  if (frame.fields().is_ip())
    frame.put(frame.fields().l3_offset + (is_ipv4(frame) ? 8U : 7U), ttl);
}

void edit_dscp(EditFrame& frame, std::uint8_t dscp) noexcept {
  edit_class(frame, static_cast<std::uint8_t>(dscp << 2), 0xFC);
}

void edit_ecn(EditFrame& frame, std::uint8_t ecn) noexcept {
  edit_class(frame, ecn, 0x03);
}

void edit_address(EditFrame& frame, End end, FlowKind kind,
                  const std::array<std::uint8_t, 16>& address) noexcept {
  if (frame.fields().key.kind != kind)
    return;
  const std::uint32_t bytes = kind == FlowKind::kIpv4 ? 4 : 16;
  const std::uint32_t first = frame.fields().l3_offset + (kind == FlowKind::kIpv4 ? 12U : 8U) +
                              (end == End::kDestination ? bytes : 0);
  put_words(frame, first, {address.data(), bytes});
}

void edit_port(EditFrame& frame, End end, std::uint16_t port) noexcept {
  if (frame.fields().shows_ports && frame.fields().l4_offset != 0 &&
      frame.fields().key.protocol != kProtocolSctp)
    frame.put_word(frame.fields().l4_offset + (end == End::kDestination ? 2U : 0U), port);
}

void edit_mac(EditFrame& frame, End end, const std::array<std::uint8_t, 6>& mac) noexcept {
  if (frame.length() < kTagAt)
    return;
  put_words(frame, end == End::kSource ? 6 : 0, mac);
}

void edit_window(EditFrame& frame, std::uint16_t window) noexcept {
  if (is_tcp(frame))
    frame.put_word(frame.fields().l4_offset + 14U, window);
}

void push_vlan(EditFrame& frame, std::uint16_t tag) noexcept {
  if (frame.length() < kTagAt + 2 || !frame.insert(kTagAt, kTagBytes))
    return;
  frame.put_word(kTagAt, 0x8100);
  frame.put_word(kTagAt + 2, tag);
  frame.count_tag(1);
}

void pop_vlan(EditFrame& frame) noexcept {
  if (!is_tagged(frame))
    return;
  frame.remove(kTagAt, kTagBytes);
  frame.count_tag(-1);
}

void rewrite_vlan(EditFrame& frame, std::uint16_t tag, std::uint16_t mask) noexcept {
  if (!is_tagged(frame))
    return;
  const unsigned before = frame.word_at(kTagAt + 2);
  frame.put_word(kTagAt + 2, static_cast<std::uint16_t>((before & ~unsigned{mask}) | (tag & mask)));
}

void edit_fragment(EditFrame& frame, std::uint32_t mtu, std::uint32_t index) noexcept {
  constexpr std::uint32_t kFixedBytes = 20;
  constexpr std::uint16_t kMoreFragments = 0x2000;
  const FrameFields& fields = frame.fields();
  if (!is_ipv4(frame) || mtu < fields.l3_header_bytes + 8U)
    return;
  const std::uint32_t l3 = fields.l3_offset;
  const std::uint32_t head = l3 + fields.l3_header_bytes;
  const std::uint32_t end = frame.payload_part().end;
  const std::uint32_t piece = (mtu - fields.l3_header_bytes) & ~7U;
  const std::uint32_t first = head + index * piece;
  if (index > 0 && first >= end)
    return;
  const std::uint32_t bytes = std::min(piece, end - first);
  // The transport's checksum covers the whole: what moves is nothing to it.
  std::memmove(frame.bytes() + head, frame.bytes() + first, bytes);
  if (index > 0)
    for (std::uint32_t at = l3 + kFixedBytes; at < head;) {
      const std::uint8_t kind = frame.at(at);
      if (kind == 0)
        break;
      const std::uint32_t size = kind == 1 ? 1 : at + 1 < head ? frame.at(at + 1) : 0;
      if (size == 0 || at + size > head)
        break;
      for (std::uint32_t i = 0; (kind & 0x80) == 0 && i < size; ++i) frame.put(at + i, 1);
      at += size;
    }
  const std::uint16_t place = frame.word_at(l3 + 6);
  const bool more = (place & kMoreFragments) != 0 || first + bytes < end;
  frame.put_word(l3 + 6, static_cast<std::uint16_t>((place & 0xDFFF) + index * piece / 8 +
                                                    (more ? kMoreFragments : 0)));
  frame.put_word(l3 + 2, static_cast<std::uint16_t>(fields.l3_header_bytes + bytes));
  frame.settle(ChecksumCare::kFix);
  frame.cut(head + bytes);
  frame.read_again();
}

namespace {

constexpr std::uint32_t kTcpHeaderBytes = 20;
constexpr std::uint8_t kOptionEnd = 0;
constexpr std::uint8_t kOptionNone = 1;
constexpr std::uint8_t kOptionMss = 2;

/// Calls `visit(offset, kind, size)` for each option with a length. Stops where they make no sense.
template <typename Visit>
void for_each_option(const EditFrame& frame, const Visit& visit) noexcept {
  if (!is_tcp(frame))
    return;
  const EditFrame::Part header = frame.transport_part();
  for (std::uint32_t at = header.first + kTcpHeaderBytes; at < header.end;) {
    const std::uint8_t kind = frame.at(at);
    if (kind == kOptionEnd)
      return;
    if (kind == kOptionNone) {
      ++at;
      continue;
    }
    if (at + 1 >= header.end || frame.at(at + 1) < 2 || at + frame.at(at + 1) > header.end)
      return;
    const std::uint32_t size = frame.at(at + 1);
    visit(at, kind, size);
    at += size;
  }
}

}  // namespace

void strip_tcp_options(EditFrame& frame, std::uint64_t kinds) noexcept {
  for_each_option(frame, [&](std::uint32_t at, std::uint8_t kind, std::uint32_t size) {
    if (kind < 64 && (kinds >> kind & 1) != 0)
      for (std::uint32_t i = 0; i < size; ++i) frame.put(at + i, kOptionNone);
  });
}

void clamp_mss(EditFrame& frame, std::uint16_t mss) noexcept {
  constexpr std::uint8_t kSyn = 2;
  if ((frame.fields().tcp_flags & kSyn) == 0)
    return;
  for_each_option(frame, [&](std::uint32_t at, std::uint8_t kind, std::uint32_t size) {
    if (kind == kOptionMss && size == 4)
      frame.put_word(at + 2, std::min(frame.word_at(at + 2), mss));
  });
}

}  // namespace faultline
