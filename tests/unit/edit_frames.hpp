// Random frames whose every part is known, for tests of edits: what the parser would have to find
// is written down while a frame is built, and sums are made here once more, from RFC 1071 alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/unit/support.hpp"

namespace faultline::test {

enum class Piece : std::uint8_t { kWhole, kFirst, kLater };

/// A frame and where its parts are; 0: it has no such part.
struct MadeFrame {
  Bytes bytes;
  std::size_t tags = 0;
  std::size_t l3 = 0;
  std::size_t head_end = 0;  ///< of the IPv4 header with its options, of IPv6's fixed one
  std::size_t body = 0;      ///< behind IPv6's extension headers too
  std::size_t l4 = 0;
  std::size_t payload = 0;      ///< behind the transport header
  std::size_t end = 0;          ///< of the datagram; padding follows
  std::size_t sum_at = 0;       ///< the transport's checksum
  std::size_t sum_end = 0;      ///< of what it covers
  std::size_t destination = 0;  ///< the address in its pseudo-header
  std::size_t next_header = 0;  ///< the byte that names the transport
  std::uint8_t protocol = 0;
  Piece piece = Piece::kWhole;
  bool ipv4 = true;
};

inline std::size_t word_of(const Bytes& bytes, std::size_t at) {
  return std::size_t{bytes.at(at)} * 256 + bytes.at(at + 1);
}

/// The sum of the words of [first, end) modulo 65535, an odd last byte being the upper half of one.
inline std::size_t residue_of(const Bytes& bytes, std::size_t first, std::size_t end) {
  std::size_t sum = 0;
  for (std::size_t at = first; at < end; ++at)
    sum += std::size_t{bytes.at(at)} << ((at - first) % 2 == 0 ? 8 : 0);
  return sum % 65'535;
}

/// How far the IPv4 header's checksum is from right; 0: it is right.
inline std::size_t header_residue(const MadeFrame& made, const Bytes& bytes) {
  return made.ipv4 ? residue_of(bytes, made.l3, made.head_end) : 0;
}

/// How far the transport's is, counting what this frame has of a fragmented datagram.
inline std::size_t transport_residue(const MadeFrame& made, const Bytes& bytes) {
  if (made.sum_at == 0)
    return 0;
  std::size_t sum = residue_of(bytes, made.l4, made.sum_end);
  if (!made.ipv4 || made.protocol != 1) {
    const std::size_t address = made.ipv4 ? 4 : 16;
    const std::size_t source = made.l3 + (made.ipv4 ? 12 : 8);
    sum += residue_of(bytes, source, source + address) + bytes.at(made.next_header) +
           (made.sum_end - made.l4);
    if (made.destination != 0)
      sum += residue_of(bytes, made.destination, made.destination + address);
  }
  return sum % 65'535;
}

/// Whether the sender made a sum at all: of UDP zero says no.
inline bool has_sum(const MadeFrame& made, const Bytes& bytes) {
  return made.sum_at != 0 && (made.protocol != 17 || word_of(bytes, made.sum_at) != 0);
}

/// Builds frames of every kind that edits tell apart.
class FrameMaker {
 public:
  explicit FrameMaker(std::uint64_t seed) : random_(seed) {}

  /// Checksums are right, but `wrong` in 4 are off.
  MadeFrame make(std::uint64_t wrong = 1) {
    MadeFrame made;
    for (int at = 0; at < 12; ++at) made.bytes.push_back(byte());
    made.bytes[0] &= 0xFE;
    put_link(made);
    made.l3 = made.bytes.size();
    made.piece = chance(4) ? (chance(2) ? Piece::kFirst : Piece::kLater) : Piece::kWhole;
    constexpr std::uint8_t kProtocols[] = {6, 6, 6, 17, 17, 17, 1, 132, 47};
    made.protocol = kProtocols[random_.below(std::size(kProtocols))];
    if (!made.ipv4 && made.protocol == 1)
      made.protocol = 58;
    made.ipv4 ? put_ipv4(made) : put_ipv6(made);
    put_transport(made);
    finish(made, wrong);
    for (std::uint64_t pad = random_.below(3) * random_.below(10); pad > 0; --pad)
      made.bytes.push_back(byte());
    return made;
  }

  Random& random() { return random_; }

 private:
  std::uint8_t byte() { return static_cast<std::uint8_t>(random_.below(256)); }
  bool chance(std::uint64_t in) { return random_.below(in) == 0; }
  void word(Bytes& bytes, std::size_t value) {
    bytes.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes.push_back(static_cast<std::uint8_t>(value));
  }
  void noise(Bytes& bytes, std::size_t count) {
    for (; count > 0; --count) bytes.push_back(byte());
  }

  void put_link(MadeFrame& made) {
    made.tags = chance(2) ? random_.below(4) : 0;
    for (std::size_t tag = 0; tag < made.tags; ++tag) {
      word(made.bytes, chance(3) ? 0x88A8 : 0x8100);
      word(made.bytes, random_.below(65'536));
    }
    made.ipv4 = chance(2);
    const std::size_t labels = chance(8) ? 1 + random_.below(3) : 0;
    word(made.bytes, labels > 0 ? 0x8847 : made.ipv4 ? 0x0800 : 0x86DD);
    for (std::size_t label = 1; label <= labels; ++label) {
      noise(made.bytes, 2);
      made.bytes.push_back(static_cast<std::uint8_t>((byte() & 0xFE) | (label == labels)));
      made.bytes.push_back(byte());
    }
  }

  void put_ipv4(MadeFrame& made) {
    const std::size_t options = chance(3) ? 4 * random_.below(11) : 0;
    made.bytes.push_back(static_cast<std::uint8_t>(0x45 + options / 4));
    made.bytes.push_back(byte());
    word(made.bytes, 0);
    noise(made.bytes, 2);
    const std::size_t place = 8 * random_.below(100) + 8;
    word(made.bytes, made.piece == Piece::kWhole   ? (chance(2) ? 0x4000 : 0)
                     : made.piece == Piece::kFirst ? 0x2000
                                                   : place / 8 + (chance(2) ? 0x2000 : 0));
    made.bytes.push_back(byte());
    made.bytes.push_back(made.protocol);
    word(made.bytes, 0);
    noise(made.bytes, 8 + options);
    made.head_end = made.bytes.size();
    made.destination = made.l3 + 16;
    made.next_header = made.l3 + 9;
  }

  void put_ipv6(MadeFrame& made) {
    made.bytes.push_back(static_cast<std::uint8_t>(0x60 | random_.below(16)));
    noise(made.bytes, 3);
    word(made.bytes, 0);
    made.bytes.push_back(made.protocol);
    noise(made.bytes, 33);
    made.head_end = made.bytes.size();
    made.destination = made.l3 + 24;
    made.next_header = made.l3 + 6;
    constexpr std::uint8_t kShapes[] = {0, 60, 43, 51, 135};
    for (std::uint64_t more = chance(2) ? random_.below(3) : 0; more > 0; --more)
      put_extension(made, kShapes[random_.below(std::size(kShapes))]);
    if (made.piece != Piece::kWhole || chance(8))
      put_extension(made, 44);
  }

  void put_extension(MadeFrame& made, std::uint8_t kind) {
    Bytes& bytes = made.bytes;
    const std::size_t at = bytes.size();
    bytes[made.next_header] = kind;
    made.next_header = at;
    bytes.push_back(made.protocol);
    if (kind == 44) {
      bytes.push_back(byte());
      const std::size_t offset = made.piece == Piece::kLater ? 8 * (1 + random_.below(99)) : 0;
      word(bytes, offset + (made.piece == Piece::kFirst ? 1 : 0));
      noise(bytes, 4);
      return;
    }
    if (kind == 43 && chance(2)) {  // on its way to another address than that in front
      constexpr std::uint8_t kTypes[] = {0, 2, 4};
      const std::uint8_t type = kTypes[random_.below(3)];
      const std::size_t addresses = type == 2 ? 1 : 1 + random_.below(2);
      bytes.push_back(static_cast<std::uint8_t>(2 * addresses));
      bytes.push_back(type);
      bytes.push_back(1);
      noise(bytes, 4 + 16 * addresses);
      made.destination = type == 0 ? bytes.size() - 16 : at + 8;
      return;
    }
    const std::size_t length = random_.below(3);
    bytes.push_back(static_cast<std::uint8_t>(kind == 51 ? 2 * length + 1 : length));
    bytes.push_back(byte());
    bytes.push_back(kind == 43 ? 0 : byte());
    noise(bytes, kind == 51 ? 8 * length + 8 : 8 * length + 4);
  }

  void put_transport(MadeFrame& made) {
    Bytes& bytes = made.bytes;
    const std::size_t first = bytes.size();
    made.body = first;
    const std::size_t data = made.piece == Piece::kFirst ? 8 * random_.below(8) : random_.below(70);
    const bool known = made.protocol != 47;
    if (made.piece != Piece::kLater && known) {
      made.l4 = first;
      put_header(made, data);
      made.payload = bytes.size();
    }
    noise(bytes, data);
    made.end = made.sum_end = bytes.size();
    if (made.protocol == 17 && made.l4 != 0 && made.piece == Piece::kWhole) {
      if (chance(6)) {  // the datagram goes on behind UDP's end
        noise(bytes, 1 + random_.below(9));
        made.end = bytes.size();
      }
    }
  }

  void put_header(MadeFrame& made, std::size_t data) {
    Bytes& bytes = made.bytes;
    const std::size_t at = made.l4;
    noise(bytes, 4);
    if (made.protocol == 6) {
      made.sum_at = at + 16;
      const std::size_t options = tcp_options_.size() * (chance(2) ? 1 : 0);
      noise(bytes, 8);
      bytes.push_back(static_cast<std::uint8_t>((5 + options / 4) << 4));
      noise(bytes, 7);
      for (std::size_t i = 0; i < options; ++i) bytes.push_back(tcp_options_[i]);
    } else if (made.protocol == 17) {
      made.sum_at = at + 6;
      word(bytes, 8 + data + (made.piece == Piece::kFirst ? 64 : 0));
      word(bytes, 0);
    } else if (made.protocol == 132) {
      noise(bytes, 8);
    } else {
      made.sum_at = at + 2;
      noise(bytes, 4);
    }
  }

  /// Lengths and checksums.
  void finish(MadeFrame& made, std::uint64_t wrong) {
    if (made.ipv4)
      put16(made.bytes, made.l3 + 2, made.end - made.l3);
    else
      put16(made.bytes, made.l3 + 4, made.end - made.l3 - 40);
    if (made.sum_at != 0) {
      put16(made.bytes, made.sum_at, 0);
      std::size_t sum = (65'535 - transport_residue(made, made.bytes)) % 65'535;
      if (random_.below(4) < wrong)
        sum = (sum + 1 + random_.below(65'000)) % 65'535;
      if (made.protocol == 17)
        sum = chance(4) ? 0 : sum == 0 ? 0xFFFF : sum;
      put16(made.bytes, made.sum_at, sum);
    }
    if (made.ipv4) {
      put16(made.bytes, made.l3 + 10, 0);
      std::size_t sum = (65'535 - header_residue(made, made.bytes)) % 65'535;
      if (random_.below(4) < wrong)
        sum = (sum + 1 + random_.below(65'000)) % 65'535;
      put16(made.bytes, made.l3 + 10, sum);
    }
  }

  Random random_;
  /// MSS, SACK permitted, time stamps, no-operation, window scale.
  const Bytes tcp_options_{2, 4, 5, 0xB4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7};
};

}  // namespace faultline::test
