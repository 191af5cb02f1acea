// Changing a frame in place. Every change of bytes goes through an EditFrame, which notes what the
// change does to the ones' complement sums, so that checksums are brought up to date incrementally
// (RFC 1624) at the end: a checksum that was wrong before stays as wrong as it was.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "packet/frame_fields.hpp"
#include "packet/ones_sum.hpp"

namespace faultline {

/// What becomes of the checksums over changed bytes.
enum class ChecksumCare : std::uint8_t {
  kKeep,   ///< left as they are: the receiver notices and drops
  kFix,    ///< brought up to date: the change reaches the application
  kBreak,  ///< wrong afterwards, whatever the change was
};

/// A whole frame in one piece that may be changed, with room before and behind it.
class EditFrame {
 public:
  struct Room {
    std::uint32_t before = 0;
    std::uint32_t behind = 0;
  };
  /// `fields` is what parse_frame reads from these bytes; link-level where it cannot.
  EditFrame(std::span<std::uint8_t> bytes, Room room, const FrameFields& fields) noexcept;

  std::uint8_t* bytes() const noexcept { return bytes_; }
  std::uint32_t length() const noexcept { return length_; }
  const FrameFields& fields() const noexcept { return fields_; }
  /// Whether anything differs from what the frame was, or was at the last forget_changes().
  bool changed() const noexcept { return changed_; }
  void forget_changes() noexcept { changed_ = false; }

  /// Parts of the frame as [first, end); empty where the frame has no such part.
  struct Part {
    std::uint32_t first = 0;
    std::uint32_t end = 0;
    std::uint32_t size() const noexcept { return end - first; }
  };
  Part link_part() const noexcept;  ///< MAC addresses, tags, ethertype; all of a frame not IP
  /// The IP header and, of IPv6, what stands between.
  Part network_part() const noexcept {
    if (!fields_.is_ip())
      return {};
    const std::uint32_t end = datagram_end();
    return {fields_.l3_offset, fields_.body_offset < end ? fields_.body_offset : end};
  }
  /// TCP with its options, UDP, ICMP, SCTP.
  Part transport_part() const noexcept;
  Part payload_part() const noexcept;  ///< behind that, to the end of the datagram
  /// The byte of the IP header, or of the last extension header, that names the transport.
  std::uint32_t protocol_at() const noexcept { return next_header_at_; }

  std::uint8_t at(std::uint32_t offset) const noexcept { return bytes_[offset]; }
  std::uint16_t word_at(std::uint32_t offset) const noexcept {
    return static_cast<std::uint16_t>(bytes_[offset] << 8 | bytes_[offset + 1]);
  }
  /// Writes one byte; the sums that cover it are noted.
  void put(std::uint32_t offset, std::uint8_t value) noexcept;
  void put_word(std::uint32_t offset, std::uint16_t value) noexcept;
  /// Writes one byte that no sum has, or is to follow: then settle(kKeep) comes behind it.
  void put_unsummed(std::uint32_t offset, std::uint8_t value) noexcept {
    changed_ |= bytes_[offset] != value;
    bytes_[offset] = value;
  }
  /// As put(), where no checksum of IPv4, TCP, UDP, ICMP or ICMPv6 lies; else false.
  bool put_unless_checksum(std::uint32_t offset, std::uint8_t value) noexcept;
  bool is_checksum(std::uint32_t offset) const noexcept {
    const std::uint32_t transport = checksum_at();
    if (transport != 0 && offset - transport < 2)
      return true;
    return fields_.key.kind == FlowKind::kIpv4 && offset - (fields_.l3_offset + 10U) < 2;
  }

  /// Makes the checksums say what `care` asks for, of everything put since the last call.
  void settle(ChecksumCare care) noexcept;

  /// Inserts `count` zero bytes at `offset`, or takes them out there, within the link-level header.
  /// False where there is no room.
  bool insert(std::uint32_t offset, std::uint32_t count) noexcept;
  void remove(std::uint32_t offset, std::uint32_t count) noexcept;
  /// So many 802.1Q or 802.1ad tags more are there now.
  void count_tag(int more) noexcept {
    fields_.vlan_tags = static_cast<std::uint8_t>(fields_.vlan_tags + more);
  }
  /// Cuts the frame off. Lengths and checksums stay what they were, and so do the places of what is
  /// left.
  void cut(std::uint32_t length) noexcept;
  /// Cuts the frame off and has its IP and UDP headers say so, checksums included: what is left of
  /// the payload reaches the application. Not possible, and then false, where the cut is not behind
  /// the transport header of a whole datagram.
  bool cut_fixed(std::uint32_t length) noexcept;
  /// Has the bytes say anew what they are: they have become another packet.
  void read_again() noexcept;

 private:
  /// By protocol, where the checksum stands in the transport's header; 0: it has none that is a
  /// sum.
  static constexpr std::array<std::uint8_t, 256> kChecksumPlaces = [] {
    std::array<std::uint8_t, 256> places{};
    places[kProtocolTcp] = 16;
    places[kProtocolUdp] = 6;
    places[kProtocolIcmp] = places[kProtocolIcmpv6] = 2;
    return places;
  }();

  /// IPv4's stands where it always does.
  void find_pseudo_header() noexcept {
    const std::uint32_t l3 = fields_.l3_offset;
    next_header_at_ = l3 + 9;
    destination_at_ = l3 + 16;
    if (fields_.key.kind == FlowKind::kIpv4)
      return;
    next_header_at_ = destination_at_ = 0;
    if (fields_.key.kind == FlowKind::kIpv6) {
      next_header_at_ = l3 + 6;
      destination_at_ = l3 + 24;
      follow_extensions();
    }
  }
  void follow_extensions() noexcept;
  void clip() noexcept;
  /// As the frame was read: damage to a length in it moves nothing.
  std::uint32_t datagram_end() const noexcept {
    const std::uint32_t end = fields_.l3_offset + fields_.datagram_bytes;
    return length_ < end ? length_ : end;
  }
  /// Of what the transport's checksum covers. A datagram may go on behind the end of UDP, and
  /// nothing sums what stands there.
  std::uint32_t sum_end() const noexcept {
    constexpr std::uint32_t kUdpHeaderBytes = 8;
    if (fields_.key.protocol != kProtocolUdp)
      return datagram_end();
    const std::uint32_t end = fields_.l4_offset + kUdpHeaderBytes + fields_.payload_bytes;
    return length_ < end ? length_ : end;
  }
  /// Of the transport; 0: none, or none in this fragment.
  std::uint32_t checksum_at() const noexcept {
    const std::uint32_t place = kChecksumPlaces[fields_.key.protocol];
    return fields_.l4_offset == 0 || place == 0 ? 0 : fields_.l4_offset + place;
  }
  std::uint32_t innermost_checksum() const noexcept;
  bool checksum_is_right() const noexcept;
  void shift(std::uint32_t by) noexcept;
  void note(std::uint32_t offset, std::uint8_t before, std::uint8_t after) noexcept;
  void fix() noexcept;
  void spoil() noexcept;

  std::uint8_t* bytes_;
  std::uint32_t length_;
  Room room_;
  FrameFields fields_;
  std::uint32_t next_header_at_ = 0;
  std::uint32_t destination_at_ = 0;  ///< the address in its sum; 0: none that is known
  std::uint64_t network_sum_ = 0;     ///< to be added to the sum of the IPv4 header's words
  std::uint64_t transport_sum_ = 0;
  std::uint8_t sum_turned_ = 0;  ///< bits put anew in the innermost checksum's lower byte
  bool changed_ = false;
};

/// Whether cut_fixed(length) can be, of a frame as it was read.
inline bool can_cut_fixed(const FrameFields& fields, std::uint32_t length) noexcept {
  return fields.is_ip() && fields.fragment == FragmentKind::kNone && fields.l4_offset != 0 &&
         length >= fields.payload_offset;
}

/// Edits of single fields. Where the frame has no such field they do nothing. Checksums are kept
/// right: call settle(kFix) once behind them.
void edit_ttl(EditFrame& frame, std::uint8_t ttl) noexcept;
void edit_dscp(EditFrame& frame, std::uint8_t dscp) noexcept;
void edit_ecn(EditFrame& frame, std::uint8_t ecn) noexcept;
enum class End : std::uint8_t { kSource, kDestination };
/// An IPv4 address is 4 bytes, an IPv6 address 16; of the other family the frame stays as it is.
void edit_address(EditFrame& frame, End end, FlowKind kind,
                  const std::array<std::uint8_t, 16>& address) noexcept;
void edit_port(EditFrame& frame, End end, std::uint16_t port) noexcept;
void edit_mac(EditFrame& frame, End end, const std::array<std::uint8_t, 6>& mac) noexcept;
void edit_window(EditFrame& frame, std::uint16_t window) noexcept;

/// 802.1Q (IEEE 802.1Q-2018, clause 9). `tag` is priority, drop-eligible and id: the 16 bits.
inline constexpr std::uint16_t kVlanIdMask = 0x0FFF;
/// Addresses, a whole tag, and an ethertype behind it.
inline constexpr std::uint32_t kTaggedBytesMin = 18;
void push_vlan(EditFrame& frame, std::uint16_t tag) noexcept;
void pop_vlan(EditFrame& frame) noexcept;
/// Of the outer tag. A mask says which bits are the new ones.
void rewrite_vlan(EditFrame& frame, std::uint16_t tag, std::uint16_t mask) noexcept;

/// The `index`th fragment, from 0, of an IPv4 packet for a link that takes `mtu` bytes (RFC 791).
/// Options that are not to be copied are no-operations in all but the first.
void edit_fragment(EditFrame& frame, std::uint32_t mtu, std::uint32_t index) noexcept;

/// TCP options (RFC 9293, section 3.2) of the given kinds become no-operations.
void strip_tcp_options(EditFrame& frame, std::uint64_t kinds) noexcept;
/// The MSS option of a SYN becomes at most `mss`.
void clamp_mss(EditFrame& frame, std::uint16_t mss) noexcept;

}  // namespace faultline
