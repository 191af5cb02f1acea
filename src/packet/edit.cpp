// Frames that may be changed, and their checksums.
#include "packet/edit.hpp"

#include <algorithm>
#include <cstring>

namespace faultline {
namespace {

constexpr std::uint32_t kIpv6HeaderBytes = 40;

std::uint16_t folded(std::uint64_t sum) noexcept {
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// Where the checksum stands in a transport header; 0: it has none that is a sum.
std::uint32_t checksum_place(std::uint8_t protocol) noexcept {
  switch (protocol) {
    case kProtocolTcp:
      return 16;
    case kProtocolUdp:
      return 6;
    case kProtocolIcmp:
    case kProtocolIcmpv6:
      return 2;
    default:
      return 0;
  }
}

std::uint32_t transport_bytes(const std::uint8_t* header, std::uint8_t protocol) noexcept {
  switch (protocol) {
    case kProtocolTcp:
      return (header[12] >> 4) * 4U;
    case kProtocolSctp:
      return 12;
    default:
      return 8;
  }
}

}  // namespace

std::uint16_t ones_sum(std::span<const std::uint8_t> bytes, std::uint32_t sum) noexcept {
  std::uint64_t total = sum;
  std::size_t at = 0;
  for (; at + 1 < bytes.size(); at += 2) total += (unsigned{bytes[at]} << 8) | bytes[at + 1];
  if (at < bytes.size())
    total += unsigned{bytes[at]} << 8;
  return folded(total);
}

std::uint16_t transport_checksum(const FlowKey& key,
                                 std::span<const std::uint8_t> segment) noexcept {
  if (key.kind == FlowKind::kIpv4 && key.protocol == kProtocolIcmp)
    return static_cast<std::uint16_t>(~ones_sum(segment));
  const std::size_t address_bytes = key.kind == FlowKind::kIpv4 ? 4 : 16;
  std::uint32_t sum = key.protocol + static_cast<std::uint32_t>(segment.size() >> 16) +
                      static_cast<std::uint32_t>(segment.size() & 0xFFFF);
  sum += ones_sum({key.source.data(), address_bytes});
  sum += ones_sum({key.destination.data(), address_bytes});
  const auto checksum = static_cast<std::uint16_t>(~ones_sum(segment, sum));
  return key.protocol == kProtocolUdp && checksum == 0 ? 0xFFFF : checksum;
}

EditFrame::EditFrame(std::span<std::uint8_t> bytes, Room room, const FrameFields& fields) noexcept
    : bytes_(bytes.data()),
      length_(static_cast<std::uint32_t>(bytes.size())),
      room_(room),
      fields_(fields) {
  measure();
}

/// Finds the parts.
void EditFrame::measure() noexcept {
  network_ = transport_ = {};
  datagram_end_ = checksum_at_ = 0;
  const std::uint32_t l3 = fields_.l3_offset;
  const std::uint32_t l4 = fields_.l4_offset;
  if (!fields_.is_ip())
    return;
  const bool ipv4 = fields_.key.kind == FlowKind::kIpv4;
  datagram_end_ =
      std::min(length_, ipv4 ? l3 + word_at(l3 + 2) : l3 + kIpv6HeaderBytes + word_at(l3 + 4));
  const std::uint32_t header_bytes = ipv4 ? (bytes_[l3] & 0x0FU) * 4 : kIpv6HeaderBytes;
  network_ = {l3, std::min(l4 != 0 ? l4 : l3 + header_bytes, datagram_end_)};
  if (l4 == 0)
    return;
  transport_ = {l4,
                std::min(l4 + transport_bytes(&bytes_[l4], fields_.key.protocol), datagram_end_)};
  const std::uint32_t place = checksum_place(fields_.key.protocol);
  if (place != 0 && l4 + place + 2 <= datagram_end_)
    checksum_at_ = l4 + place;
}

/// Everything behind the link-level header moves; `by` may be minus something, modulo 2^32.
void EditFrame::shift(std::uint32_t by) noexcept {
  length_ += by;
  changed_ = true;
  if (!fields_.is_ip())
    return;
  fields_.l3_offset = static_cast<std::uint16_t>(fields_.l3_offset + by);
  network_ = {network_.first + by, network_.end + by};
  datagram_end_ += by;
  if (fields_.l4_offset == 0)
    return;
  fields_.l4_offset = static_cast<std::uint16_t>(fields_.l4_offset + by);
  transport_ = {transport_.first + by, transport_.end + by};
  checksum_at_ += checksum_at_ != 0 ? by : 0;
}

EditFrame::Part EditFrame::link_part() const noexcept {
  return {0, fields_.is_ip() ? std::uint32_t{fields_.l3_offset} : length_};
}

EditFrame::Part EditFrame::payload_part() const noexcept {
  if (!fields_.is_ip())
    return {};
  const std::uint32_t first = fields_.l4_offset != 0 ? transport_.end : network_.end;
  return {first, datagram_end_};
}

bool EditFrame::is_checksum(std::uint32_t offset) const noexcept {
  if (checksum_at_ != 0 && (offset == checksum_at_ || offset == checksum_at_ + 1))
    return true;
  return fields_.key.kind == FlowKind::kIpv4 && fields_.l3_offset != 0 &&
         (offset == fields_.l3_offset + 10U || offset == fields_.l3_offset + 11U);
}

void EditFrame::put(std::uint32_t offset, std::uint8_t value) noexcept {
  const std::uint8_t before = bytes_[offset];
  if (before == value)
    return;
  changed_ = true;
  bytes_[offset] = value;
  if (!is_checksum(offset))
    note(offset, before, value);
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
  if (!fields_.is_ip() || offset < l3 || offset >= datagram_end_)
    return;
  if (offset < network_.end && fields_.key.kind == FlowKind::kIpv4)
    network_sum_ += change(offset - l3);
  if (checksum_at_ == 0)
    return;
  if (offset >= fields_.l4_offset) {
    transport_sum_ += change(offset - fields_.l4_offset);
    return;
  }
  // The pseudo-header: the addresses, and of IPv4 the protocol (its low byte).
  const bool ipv4 = fields_.key.kind == FlowKind::kIpv4;
  if (ipv4 && fields_.key.protocol == kProtocolIcmp)
    return;
  const std::uint32_t first = ipv4 ? 12 : 8;
  const std::uint32_t end = ipv4 ? 20 : 40;
  if (offset - l3 >= first && offset - l3 < end)
    transport_sum_ += change(offset - l3);
  else if (ipv4 && offset - l3 == 9)
    transport_sum_ += change(1);
}

void EditFrame::settle(ChecksumCare care) noexcept {
  if (care == ChecksumCare::kFix)
    fix();
  else if (care == ChecksumCare::kBreak)
    spoil();
  network_sum_ = 0;
  transport_sum_ = 0;
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
  const bool udp = fields_.key.protocol == kProtocolUdp;
  if (udp && word_at(checksum_at_) == 0)
    return;  // the sender made none (RFC 768; IPv6: RFC 6936)
  const std::uint16_t checksum = update(checksum_at_, transport_sum_);
  write(checksum_at_, udp && checksum == 0 ? 0xFFFF : checksum);
}

/// First what would be right, then one bit of it turned: a change that the sums cannot see, such as
/// two words that changed places, is seen all the same. The innermost checksum there is.
void EditFrame::spoil() noexcept {
  fix();
  const bool ipv4 = fields_.key.kind == FlowKind::kIpv4 && fields_.is_ip();
  const std::uint32_t at = checksum_at_ != 0 ? checksum_at_ : ipv4 ? fields_.l3_offset + 10U : 0;
  if (at == 0)
    return;
  bytes_[at + 1] ^= 1;
  // Of UDP neither may zero stand there, which means none.
  if (fields_.key.protocol == kProtocolUdp && word_at(at) == 0)
    bytes_[at] ^= 1;
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
  // What no longer is there cannot be edited: the frame is read again as far as it goes.
  parse_frame({bytes_, length_}, length_, fields_);
  measure();
}

bool EditFrame::cut_fixed(std::uint32_t length) noexcept {
  if (length >= length_)
    return true;
  if (!can_cut_fixed(fields_, length))
    return false;
  if (length < datagram_end_) {
    const std::uint32_t l3 = fields_.l3_offset;
    const bool ipv4 = fields_.key.kind == FlowKind::kIpv4;
    // What goes leaves the sum, and so does its length, once in the pseudo-header and, of UDP, once
    // in its own.
    for (std::uint32_t offset = length; offset < datagram_end_; ++offset) put(offset, 0);
    const std::uint32_t gone = datagram_end_ - length;
    const auto fewer = [gone](std::uint16_t value) {
      return static_cast<std::uint16_t>(value - gone);
    };
    put_word(ipv4 ? l3 + 2 : l3 + 4, fewer(word_at(ipv4 ? l3 + 2 : l3 + 4)));
    const bool plain_icmp = ipv4 && fields_.key.protocol == kProtocolIcmp;
    if (!plain_icmp && checksum_at_ != 0) {
      const std::uint32_t before = datagram_end_ - fields_.l4_offset;
      transport_sum_ += (before - gone) + (0xFFFFU - before);
    }
    if (fields_.key.protocol == kProtocolUdp)
      put_word(fields_.l4_offset + 4U, fewer(word_at(fields_.l4_offset + 4U)));
    settle(ChecksumCare::kFix);
  }
  cut(length);
  return true;
}

}  // namespace faultline
