// What an answer from the wire has to look like, field by field from RFC 791, 792, 4443, 8200 and
// 9293, and which packets get none.
#pragma once

#include <string_view>
#include <vector>

#include "tests/unit/impair_bench.hpp"

namespace faultline::test {

inline std::size_t long_of(const Bytes& bytes, std::size_t at) {
  return word_of(bytes, at) << 16 | word_of(bytes, at + 2);
}

/// Headers up to the transport: turned round, tags kept, sums right. Returns the answer's parts.
inline MadeFrame expect_turned_round(const Bytes& in, const Bytes& out, std::uint8_t protocol,
                                     std::size_t payload) {
  const MadeFrame asked = parts_of(in);
  const std::size_t header = asked.ipv4 ? 20 : 40;
  EXPECT_EQ(out.size(), std::max<std::size_t>(60, asked.l3 + header + payload));
  if (out.size() < asked.l3 + header + payload)
    return asked;
  const MadeFrame made = parts_of(out);
  EXPECT_EQ(slice(out, 0, 6), slice(in, 6, 12));
  EXPECT_EQ(slice(out, 6, 12), slice(in, 0, 6));
  EXPECT_EQ(slice(out, 12, made.l3), slice(in, 12, asked.l3)) << "tags stay";
  EXPECT_EQ(made.head_end - made.l3, header);
  EXPECT_EQ(made.end - made.head_end, payload) << "the length that the header says";
  EXPECT_EQ(made.protocol, protocol);
  EXPECT_EQ(out[made.l3 + (made.ipv4 ? 8 : 7)], 64) << "TTL";
  const std::size_t address = made.ipv4 ? 4 : 16;
  const std::size_t source = made.destination - address;
  EXPECT_EQ(slice(out, source, source + address),
            slice(in, asked.destination, asked.destination + address));
  EXPECT_EQ(slice(out, made.destination, made.destination + address),
            slice(in, source, source + address));
  EXPECT_TRUE(sums_are_right(out));
  EXPECT_EQ(slice(out, made.end, out.size()), Bytes(out.size() - made.end, 0)) << "padding";
  return made;
}

/// An ICMP error about `in`, which quotes as much as fits into 576 bytes (IPv4) or 1,280.
inline void expect_icmp_error(const Bytes& in, const Bytes& out, std::size_t type_and_code,
                              std::size_t rest) {
  const MadeFrame asked = parts_of(in);
  const std::size_t quoted =
      std::min<std::size_t>(asked.end - asked.l3, asked.ipv4 ? 576 - 28 : 1'280 - 48);
  const MadeFrame made = expect_turned_round(in, out, asked.ipv4 ? 1 : 58, 8 + quoted);
  ASSERT_GE(out.size(), made.head_end + 8 + quoted);
  EXPECT_EQ(word_of(out, made.head_end), type_and_code);
  EXPECT_EQ(long_of(out, made.head_end + 4), rest);
  EXPECT_EQ(slice(out, made.head_end + 8, made.end), slice(in, asked.l3, asked.l3 + quoted));
}

struct NamedFrame {
  std::string_view name;
  Bytes frame;
};

inline Bytes ipv6_with_fragment_header(std::size_t offset_and_more) {
  Bytes frame = make(Ipv6Frame{.protocol = 44, .payload_bytes = 40});
  frame[54] = 17;
  put16(frame, 56, offset_and_more);
  put16(frame, 62, 4'242);
  put16(frame, 64, 80);
  put16(frame, 66, 40);
  return frame;
}

/// Whom ICMP may not answer: RFC 1122, section 3.2.2, and RFC 4443, section 2.4. Each frame has 82
/// bytes of IP or more.
inline std::vector<NamedFrame> not_for_icmp() {
  const auto ipv4 = [](std::size_t at, Bytes bytes) {
    Bytes frame = make(Ipv4Frame{.payload_bytes = 60});
    std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
    return frame;
  };
  const auto ipv6 = [](std::size_t at, Bytes bytes) {
    Bytes frame = make(Ipv6Frame{.payload_bytes = 60});
    std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
    return frame;
  };
  const auto icmp = [](bool is_ipv4, std::uint8_t type) {
    Bytes frame = is_ipv4 ? make(Ipv4Frame{.protocol = 1, .payload_bytes = 60})
                          : make(Ipv6Frame{.protocol = 58, .payload_bytes = 60});
    frame[is_ipv4 ? 34 : 54] = type;
    return frame;
  };
  return {
      {"ARP", ethernet(0x0806, 90)},
      {"a later fragment", make(Ipv4Frame{.payload_bytes = 60, .fragment = 0x2003})},
      {"a last fragment", make(Ipv4Frame{.payload_bytes = 60, .fragment = 0x0003})},
      {"a later fragment of IPv6", ipv6_with_fragment_header(0x0011)},
      {"destination unreachable", icmp(true, 3)},
      {"source quench", icmp(true, 4)},
      {"redirect", icmp(true, 5)},
      {"time exceeded", icmp(true, 11)},
      {"parameter problem", icmp(true, 12)},
      {"ICMPv6 destination unreachable", icmp(false, 1)},
      {"ICMPv6 packet too big", icmp(false, 2)},
      {"ICMPv6 127", icmp(false, 127)},
      {"ICMPv6 redirect", icmp(false, 137)},
      {"to a group of cards", ipv4(0, {1, 0, 0x5E, 0, 0, 1})},
      {"to all cards, IPv6", ipv6(0, {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})},
      {"to everybody", ipv4(30, {255, 255, 255, 255})},
      {"to a group", ipv4(30, {224, 0, 0, 1})},
      {"from a group", ipv4(26, {239, 1, 1, 1})},
      {"from nobody", ipv4(26, {0, 0, 0, 0})},
      {"from 0/8", ipv4(26, {0, 1, 2, 3})},
      {"from itself", ipv4(26, {127, 0, 0, 1})},
      {"to itself", ipv4(30, {127, 9, 9, 9})},
      {"to a group of IPv6", ipv6(38, {0xFF, 2})},
      {"from ::", ipv6(22, Bytes(16, 0))},
      {"to ::", ipv6(38, Bytes(16, 0))},
  };
}

/// Whom it may: questions, first fragments, whole packets; each of 82 bytes of IP or more.
inline std::vector<NamedFrame> for_icmp() {
  Bytes echo = make(Ipv4Frame{.protocol = 1, .payload_bytes = 60});
  echo[34] = 8;
  Bytes echo6 = make(Ipv6Frame{.protocol = 58, .payload_bytes = 60});
  echo6[54] = 128;
  const Bytes udp = with_sums(make(Ipv4Frame{.payload_bytes = 60}));
  const Bytes udp6 = with_sums(make(Ipv6Frame{.payload_bytes = 60}));
  return {
      {"UDP", udp},
      {"UDP with options", with_sums(make(Ipv4Frame{.option_bytes = 8, .payload_bytes = 60}))},
      {"a first fragment", make(Ipv4Frame{.payload_bytes = 60, .fragment = 0x2000})},
      {"SCTP", make(Ipv4Frame{.protocol = 132, .payload_bytes = 60})},
      {"echo", with_sums(echo)},
      {"IPv6", udp6},
      {"a first fragment of IPv6", ipv6_with_fragment_header(1)},
      {"echo of IPv6", with_sums(echo6)},
      {"tagged", tagged(udp, 0x8100, 7)},
      {"tagged twice", tagged(tagged(udp6, 0x8100, 7), 0x88A8, 0xE00A)},
      {"longer than IPv4 quotes", with_sums(make(Ipv4Frame{.payload_bytes = 1'400}))},
      {"longer than IPv6 quotes", with_sums(make(Ipv6Frame{.payload_bytes = 1'400}))},
  };
}

}  // namespace faultline::test
