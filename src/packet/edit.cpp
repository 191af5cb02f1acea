// Frames that may be changed, and their checksums.
#include "packet/edit.hpp"

#include <algorithm>
#include <cstring>

namespace faultline {
namespace {

constexpr std::uint32_t kIpv4HeaderBytes = 20;
constexpr std::uint32_t kIpv6HeaderBytes = 40;
// In the IPv4 header: TTL and protocol, behind which the checksum stands, and the addresses.
constexpr std::uint32_t kProtocolWord = 8;
constexpr std::uint32_t kIpv4Addresses = 12;

/// What must be there of a transport header for its fields to be.
std::uint32_t least_transport_bytes(std::uint8_t protocol) noexcept {
  switch (protocol) {
    case kProtocolTcp:
      return 20;
    case kProtocolSctp:
      return 12;
    case kProtocolIcmp:
    case kProtocolIcmpv6:
      return 4;
    default:
      return 8;
  }
}

/// Whether addresses, protocol and length are part of the transport's sum.
bool has_pseudo_header(const FlowKey& key) noexcept {
  return key.kind != FlowKind::kIpv4 || key.protocol != kProtocolIcmp;
}

}  // namespace

EditFrame::EditFrame(std::span<std::uint8_t> bytes, Room room, const FrameFields& fields) noexcept
    : bytes_(bytes.data()),
      length_(static_cast<std::uint32_t>(bytes.size())),
      room_(room),
      fields_(fields) {
  find_pseudo_header();
}

/// The pseudo-header names the transport, which the last extension header does, and the packet's
/// last destination: on the way through a routing header that is not the one in front (RFC 8200,
/// section 8.1).
void EditFrame::follow_extensions() noexcept {
  const std::uint32_t end = network_part().end;
  constexpr std::uint8_t kRouting = 43;
  constexpr std::uint8_t kFragment = 44;
  constexpr std::uint8_t kAuthentication = 51;
  constexpr std::uint32_t kOneAddress = 8 + 16;
  for (std::uint32_t at = fields_.l3_offset + kIpv6HeaderBytes; at < end;) {
    const std::uint8_t kind = bytes_[next_header_at_];
    std::uint32_t size = (bytes_[at + 1] + 1U) * 8;
    if (kind == kFragment)
      size = 8;
    else if (kind == kAuthentication)
      size = (bytes_[at + 1] + 2U) * 4;
    const std::uint8_t left = bytes_[at + 3];
    if (kind == kRouting && left != 0) {
      const std::uint8_t type = bytes_[at + 2];
      destination_at_ = 0;
      if (type == 0 && size >= kOneAddress)  // RFC 2460: the last of the list
        destination_at_ = at + size - 16;
      else if ((type == 2 || type == 4) && size >= kOneAddress)  // RFC 6275, RFC 8754: the first
        destination_at_ = at + 8;
    }
    next_header_at_ = at;
    at += size;
  }
}

/// Everything behind the link-level header moves; `by` may be minus something, modulo 2^32.
void EditFrame::shift(std::uint32_t by) noexcept {
  length_ += by;
  changed_ = true;
  if (!fields_.is_ip())
    return;
  const auto move = [by](std::uint16_t& offset) {
    offset = static_cast<std::uint16_t>(offset == 0 ? 0 : offset + by);
  };
  move(fields_.l3_offset);
  move(fields_.body_offset);
  move(fields_.l4_offset);
  move(fields_.payload_offset);
  next_header_at_ += by;
  destination_at_ += destination_at_ != 0 ? by : 0;
}

EditFrame::Part EditFrame::link_part() const noexcept {
  return {0, fields_.is_ip() ? std::uint32_t{fields_.l3_offset} : length_};
}

EditFrame::Part EditFrame::transport_part() const noexcept {
  if (fields_.l4_offset == 0)
    return {};
  return {fields_.l4_offset, std::min<std::uint32_t>(fields_.payload_offset, datagram_end())};
}

EditFrame::Part EditFrame::payload_part() const noexcept {
  if (!fields_.is_ip())
    return {};
  const std::uint32_t first = fields_.l4_offset != 0 ? fields_.payload_offset : fields_.body_offset;
  const std::uint32_t end = datagram_end();
  return {std::min(first, end), end};
}

/// Of the transport, else of the IPv4 header; 0: neither.
std::uint32_t EditFrame::innermost_checksum() const noexcept {
  if (const std::uint32_t transport = checksum_at(); transport != 0)
    return transport;
  return fields_.key.kind == FlowKind::kIpv4 ? fields_.l3_offset + 10U : 0;
}

void EditFrame::put(std::uint32_t offset, std::uint8_t value) noexcept {
  const std::uint8_t before = bytes_[offset];
  if (put_unless_checksum(offset, value) || before == value)
    return;
  put_unsummed(offset, value);
  if (offset == innermost_checksum() + 1)
    sum_turned_ ^= before ^ value;
}

bool EditFrame::put_unless_checksum(std::uint32_t offset, std::uint8_t value) noexcept {
  if (is_checksum(offset))
    return false;
  const std::uint8_t before = bytes_[offset];
  if (before != value) {
    changed_ = true;
    bytes_[offset] = value;
    note(offset, before, value);
  }
  return true;
}

/// Words of the two sums that lie as the sums take them, and are no part of both but an address.
void EditFrame::put_word(std::uint32_t offset, std::uint16_t value) noexcept {
  if (!fields_.is_ip() || offset + 2 <= fields_.l3_offset) {  // nothing sums the link's header
    put_unsummed(offset, static_cast<std::uint8_t>(value >> 8));
    put_unsummed(offset + 1, static_cast<std::uint8_t>(value));
    return;
  }
  const std::uint32_t distance = offset - fields_.l3_offset;
  const std::uint32_t transport = checksum_at();
  const bool ipv4 = fields_.key.kind == FlowKind::kIpv4;
  const bool even = offset >= fields_.l3_offset && distance % 2 == 0;
  const bool in_network = even && ipv4 && offset + 2 <= network_part().end &&
                          (distance < kProtocolWord || distance >= kIpv4Addresses);
  const bool in_transport = even && transport != 0 && offset >= fields_.l4_offset &&
                            offset + 2 <= sum_end() && offset != transport;
  const std::uint16_t before = word_at(offset);
  if (!in_network && !in_transport) {
    put(offset, static_cast<std::uint8_t>(value >> 8));
    put(offset + 1, static_cast<std::uint8_t>(value));
    return;
  }
  if (before == value)
    return;
  changed_ = true;
  bytes_[offset] = static_cast<std::uint8_t>(value >> 8);
  bytes_[offset + 1] = static_cast<std::uint8_t>(value);
  // Never 0, which says that nothing changed.
  const std::uint32_t change = value + 0x1FFFEU - before;
  network_sum_ += in_network ? change : 0;
  const bool address = in_network && distance - kIpv4Addresses < 8 && transport != 0 &&
                       has_pseudo_header(fields_.key);
  transport_sum_ += in_transport || address ? change : 0;
}

/// In ones' complement, minus a byte is its complement in a word of ones.
void EditFrame::note(std::uint32_t offset, std::uint8_t before, std::uint8_t after) noexcept {
  const auto change = [&](std::uint32_t distance) -> std::uint64_t {
    const int shift = distance % 2 == 0 ? 8 : 0;
    const std::uint32_t added = std::uint32_t{after} << shift;
    const std::uint32_t taken = 0xFFFF - (std::uint32_t{before} << shift);
    return added + taken;
  };
  const std::uint32_t l3 = fields_.l3_offset;
  if (!fields_.is_ip() || offset < l3 || offset >= datagram_end())
    return;
  const bool ipv4 = fields_.key.kind == FlowKind::kIpv4;
  if (ipv4 && offset < fields_.body_offset)
    network_sum_ += change(offset - l3);
  if (checksum_at() == 0)
    return;
  if (offset >= fields_.l4_offset) {
    if (offset < sum_end())
      transport_sum_ += change(offset - fields_.l4_offset);
    return;
  }
  if (!has_pseudo_header(fields_.key))
    return;
  const std::uint32_t source = l3 + (ipv4 ? kIpv4Addresses : 8);
  const std::uint32_t bytes = ipv4 ? 4 : 16;
  if (offset - source < bytes)
    transport_sum_ += change(offset - source);
  else if (destination_at_ != 0 && offset - destination_at_ < bytes)
    transport_sum_ += change(offset - destination_at_);
  else if (offset == next_header_at_)
    transport_sum_ += change(1);
}

void EditFrame::settle(ChecksumCare care) noexcept {
  if (care == ChecksumCare::kFix)
    fix();
  else if (care == ChecksumCare::kBreak)
    spoil();
  network_sum_ = 0;
  transport_sum_ = 0;
  sum_turned_ = 0;
}

/// RFC 1624, equation 3: the complement of the complement plus the changes.
void EditFrame::fix() noexcept {
  const auto update = [this](std::uint32_t at, std::uint64_t change) {
    const std::uint16_t sum = folded(std::uint64_t{0xFFFFU} - word_at(at) + change);
    return static_cast<std::uint16_t>(~sum);
  };
  const auto write = [this](std::uint32_t at, std::uint16_t value) {
    bytes_[at] = static_cast<std::uint8_t>(value >> 8);
    bytes_[at + 1] = static_cast<std::uint8_t>(value);
  };
  if (network_sum_ != 0)
    write(fields_.l3_offset + 10U, update(fields_.l3_offset + 10U, network_sum_));
  if (transport_sum_ == 0)
    return;
  const std::uint32_t at = checksum_at();
  const bool udp = fields_.key.protocol == kProtocolUdp;
  if (udp && word_at(at) == 0)
    return;  // the sender made none (RFC 768; IPv6: RFC 6936)
  const std::uint16_t checksum = update(at, transport_sum_);
  write(at, udp && checksum == 0 ? 0xFFFF : checksum);
}

/// Whether the innermost checksum is what the bytes ask for; of a fragment's nobody can tell.
bool EditFrame::checksum_is_right() const noexcept {
  if (checksum_at() == 0) {
    const Part network = network_part();
    return ones_sum({bytes_ + network.first, network.size()}) == 0xFFFF;
  }
  const std::uint32_t size = sum_end() - fields_.l4_offset;
  std::uint32_t sum = 0;
  if (has_pseudo_header(fields_.key)) {
    const bool ipv4 = fields_.key.kind == FlowKind::kIpv4;
    const std::size_t bytes = ipv4 ? 4 : 16;
    sum = bytes_[next_header_at_] + size;
    sum += ones_sum({bytes_ + fields_.l3_offset + (ipv4 ? 12 : 8), bytes});
    if (destination_at_ != 0)
      sum += ones_sum({bytes_ + destination_at_, bytes});
  }
  return ones_sum({bytes_ + fields_.l4_offset, size}, sum) == 0xFFFF;
}

/// First what would be right, then one bit of it turned: a change that the sums cannot see, such as
/// two words that changed places, is seen all the same. Another bit where that one makes right what
/// was wrong before, makes zero of UDP's, which means none, or turns back the damage. The innermost
/// checksum there is.
void EditFrame::spoil() noexcept {
  fix();
  const std::uint32_t at = innermost_checksum();
  if (at == 0)
    return;
  const std::uint8_t before = bytes_[at + 1];
  for (const unsigned bit : {1U, 2U, 4U, 8U}) {
    bytes_[at + 1] = static_cast<std::uint8_t>(before ^ bit);
    const bool none = fields_.key.protocol == kProtocolUdp && word_at(at) == 0;
    if (!none && bit != sum_turned_ && !checksum_is_right())
      break;
  }
  changed_ = true;
}

bool EditFrame::insert(std::uint32_t offset, std::uint32_t count) noexcept {
  if (room_.before < count || offset > length_)
    return false;
  std::memmove(bytes_ - count, bytes_, offset);
  bytes_ -= count;
  std::memset(bytes_ + offset, 0, count);
  room_.before -= count;
  shift(count);
  return true;
}

void EditFrame::remove(std::uint32_t offset, std::uint32_t count) noexcept {
  std::memmove(bytes_ + count, bytes_, offset);
  bytes_ += count;
  room_.before += count;
  shift(0U - count);
}

void EditFrame::cut(std::uint32_t length) noexcept {
  if (length >= length_)
    return;
  room_.behind += length_ - length;
  length_ = length;
  changed_ = true;
  clip();
}

/// What no longer is there cannot be edited: of a header, all of it or nothing is.
void EditFrame::clip() noexcept {
  if (!fields_.is_ip())
    return;
  const bool ipv4 = fields_.key.kind == FlowKind::kIpv4;
  if (fields_.l3_offset + (ipv4 ? kIpv4HeaderBytes : kIpv6HeaderBytes) > length_) {
    fields_.key.kind = FlowKind::kLink;
    fields_.l3_offset = fields_.body_offset = fields_.l4_offset = fields_.payload_offset = 0;
    fields_.shows_ports = false;
    find_pseudo_header();
    return;
  }
  const std::uint32_t l4 = fields_.l4_offset;
  if (l4 == 0 || l4 + least_transport_bytes(fields_.key.protocol) <= length_)
    return;
  fields_.l4_offset = fields_.payload_offset = 0;
  fields_.shows_ports = false;
}

void EditFrame::read_again() noexcept {
  const std::uint8_t tags = fields_.vlan_tags;
  parse_frame({bytes_, length_}, length_, fields_);
  fields_.vlan_tags = tags;  // damage to one makes it no less a tag
  find_pseudo_header();
}

bool EditFrame::cut_fixed(std::uint32_t length) noexcept {
  if (length >= length_)
    return true;
  if (!can_cut_fixed(fields_, length))
    return false;
  if (const std::uint32_t end = datagram_end(); length < end) {
    const bool ipv4 = fields_.key.kind == FlowKind::kIpv4;
    const auto shorten = [this](std::uint32_t at, std::uint32_t by) {
      put_word(at, static_cast<std::uint16_t>(word_at(at) - by));
    };
    // What goes leaves the sum, and so does its length, once in the pseudo-header and, of UDP, once
    // in its own. What stands behind UDP's end was never in it.
    const std::uint32_t unsummed = std::max(sum_end(), length) - length;
    for (std::uint32_t offset = length; offset < end; ++offset) put(offset, 0);
    shorten(fields_.l3_offset + (ipv4 ? 2U : 4U), end - length);
    if (checksum_at() != 0 && unsummed != 0 && has_pseudo_header(fields_.key))
      transport_sum_ += 0xFFFFU - unsummed;
    if (fields_.key.protocol == kProtocolUdp)
      shorten(fields_.l4_offset + 4U, unsummed);
    settle(ChecksumCare::kFix);
  }
  cut(length);
  return true;
}

}  // namespace faultline
