// Resets and ICMP errors made from random frames, field by field: headers from RFC 791, 8200, 9293,
// 792 and 4443, sums from edit_frames.hpp, and whom no answer is due.
#include "packet/craft.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/edit_frames.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::FrameMaker;
using test::MadeFrame;
using test::Piece;
using test::residue_of;
using test::word_of;

EditFrame frame_of(Bytes& bytes) {
  FrameFields fields;
  parse_frame(bytes, bytes.size(), fields);
  return {bytes, {}, fields};
}

std::size_t long_of(const Bytes& bytes, std::size_t at) {
  return word_of(bytes, at) << 16 | word_of(bytes, at + 2);
}

Bytes slice(const Bytes& bytes, std::size_t first, std::size_t end) {
  return {bytes.begin() + static_cast<std::ptrdiff_t>(first),
          bytes.begin() + static_cast<std::ptrdiff_t>(end)};
}

struct Expected {
  Towards towards = Towards::kSender;
  std::uint8_t protocol = 0;
  std::size_t payload = 0;
  std::size_t sum_at = 0;  ///< in the payload
};

/// Everything up to the transport header, the transport's sum, and the padding. Returns where the
/// transport header begins.
std::size_t expect_headers(const MadeFrame& made, const Bytes& out, const Expected& expected) {
  const Bytes& in = made.bytes;
  const bool back = expected.towards == Towards::kSender;
  EXPECT_EQ(slice(out, 0, 6), back ? slice(in, 6, 12) : slice(in, 0, 6));
  EXPECT_EQ(slice(out, 6, 12), back ? slice(in, 0, 6) : slice(in, 6, 12));
  EXPECT_EQ(slice(out, 12, made.l3), slice(in, 12, made.l3)) << "tags and labels";
  const std::size_t header = made.ipv4 ? 20 : 40;
  const std::size_t address = made.ipv4 ? 4 : 16;
  const std::size_t source = made.l3 + (made.ipv4 ? 12 : 8);
  const std::size_t end = made.l3 + header + expected.payload;
  EXPECT_EQ(out.size(), std::max<std::size_t>(end, 60));
  EXPECT_EQ(slice(out, end, out.size()), Bytes(out.size() - end, 0)) << "padding";
  EXPECT_EQ(slice(out, source, source + address),
            slice(in, source + (back ? address : 0), source + (back ? 2 * address : address)));
  EXPECT_EQ(slice(out, source + address, source + 2 * address),
            slice(in, source + (back ? 0 : address), source + (back ? address : 2 * address)));
  if (made.ipv4) {
    EXPECT_EQ(word_of(out, made.l3), 0x4500U);
    EXPECT_EQ(word_of(out, made.l3 + 2), header + expected.payload);
    EXPECT_EQ(long_of(out, made.l3 + 4), 0x4000U) << "no id, DF";
    EXPECT_EQ(word_of(out, made.l3 + 8), 64U << 8 | expected.protocol);
    EXPECT_EQ(residue_of(out, made.l3, made.l3 + 20), 0U);
  } else {
    EXPECT_EQ(long_of(out, made.l3), 0x60000000U);
    EXPECT_EQ(word_of(out, made.l3 + 4), expected.payload);
    EXPECT_EQ(word_of(out, made.l3 + 6), std::size_t{expected.protocol} << 8 | 64);
  }
  MadeFrame answer;
  answer.ipv4 = made.ipv4;
  answer.l3 = made.l3;
  answer.l4 = made.l3 + header;
  answer.sum_at = answer.l4 + expected.sum_at;
  answer.sum_end = end;
  answer.destination = source + address;
  answer.next_header = made.l3 + (made.ipv4 ? 9 : 6);
  answer.protocol = expected.protocol;
  EXPECT_EQ(transport_residue(answer, out), 0U);
  return answer.l4;
}

void expect_reset_back(const MadeFrame& made, const Bytes& out, std::size_t l4) {
  const Bytes& in = made.bytes;
  const std::uint8_t flags = in[made.l4 + 13];
  EXPECT_EQ(word_of(out, l4), word_of(in, made.l4 + 2));
  EXPECT_EQ(word_of(out, l4 + 2), word_of(in, made.l4));
  // RFC 9293, section 3.10.7.1: by the ACK it carries, or acknowledging all of it.
  if ((flags & 16) != 0) {
    EXPECT_EQ(long_of(out, l4 + 4), long_of(in, made.l4 + 8));
    EXPECT_EQ(long_of(out, l4 + 8), 0U);
    EXPECT_EQ(word_of(out, l4 + 12), 0x5004U);
  } else {
    const std::size_t length = made.end - made.payload + (flags >> 1 & 1U) + (flags & 1U);
    EXPECT_EQ(long_of(out, l4 + 4), 0U);
    EXPECT_EQ(long_of(out, l4 + 8), (long_of(in, made.l4 + 4) + length) & 0xFFFFFFFF);
    EXPECT_EQ(word_of(out, l4 + 12), 0x5014U);
  }
}

void expect_reset_on(const MadeFrame& made, const Bytes& out, std::size_t l4) {
  const Bytes& in = made.bytes;
  const bool acknowledges = (in[made.l4 + 13] & 16) != 0;
  EXPECT_EQ(long_of(out, l4), long_of(in, made.l4)) << "ports";
  EXPECT_EQ(long_of(out, l4 + 4), 0x89ABCDEFU);
  EXPECT_EQ(long_of(out, l4 + 8), acknowledges ? long_of(in, made.l4 + 8) : 0);
  EXPECT_EQ(word_of(out, l4 + 12), acknowledges ? 0x5014U : 0x5004U);
}

/// With a number of one's own it needs no acknowledgement.
void expect_reset_at(const MadeFrame& made, const EditFrame& frame, std::size_t l4) {
  Bytes out(1'518, 0xEE);
  out.resize(craft_reset_back(frame, 0x12345678, out));
  ASSERT_GE(out.size(), l4 + 20);
  EXPECT_EQ(word_of(out, l4), word_of(made.bytes, made.l4 + 2)) << "from port";
  EXPECT_EQ(word_of(out, l4 + 2), word_of(made.bytes, made.l4)) << "to port";
  EXPECT_EQ(long_of(out, l4 + 4), 0x12345678U);
  const bool acknowledges = (made.bytes[made.l4 + 13] & 16) != 0;
  if (acknowledges)
    EXPECT_EQ(word_of(out, l4 + 12), 0x5004U);
}

/// Neither end is a group, everybody or nobody.
bool is_between_hosts(const MadeFrame& made) {
  const auto first = [&](std::size_t at) { return made.bytes[made.l3 + at]; };
  if ((made.bytes[0] & 1) != 0)
    return false;
  if (made.ipv4)
    return first(12) > 0 && first(12) != 127 && first(12) < 224 && first(16) > 0 &&
           first(16) != 127 && first(16) < 224;
  bool nobody = true;
  for (std::size_t at = 8; at < 24; ++at) nobody = nobody && first(at) == 0;
  return !nobody && first(8) != 0xFF && first(24) != 0xFF;
}

TEST(PacketCraft, Resets) {
  FrameMaker maker(11);
  int made_count = 0;
  for (int turn = 0; turn < 50'000; ++turn) {
    MadeFrame made = maker.make();
    const bool wanted = made.protocol == 6 && made.l4 != 0 && (made.bytes[made.l4 + 13] & 4) == 0 &&
                        is_between_hosts(made);
    for (const Towards towards : {Towards::kSender, Towards::kReceiver}) {
      Bytes out(1'518, 0xEE);
      const EditFrame frame = frame_of(made.bytes);
      const std::uint32_t length = craft_reset(frame, towards, 0x89ABCDEF, out);
      ASSERT_EQ(length != 0, wanted) << turn;
      if (length == 0)
        continue;
      ++made_count;
      out.resize(length);
      const std::size_t l4 = expect_headers(made, out, {towards, 6, 20, 16});
      EXPECT_EQ(word_of(out, l4 + 14), 0U) << "window";
      EXPECT_EQ(word_of(out, l4 + 18), 0U) << "urgent";
      towards == Towards::kSender ? expect_reset_back(made, out, l4)
                                  : expect_reset_on(made, out, l4);
      Bytes small(length - 1, 0);
      EXPECT_EQ(craft_reset(frame, towards, 0, small), 0U) << "no room";
      if (towards == Towards::kSender)
        expect_reset_at(made, frame, l4);
      ASSERT_FALSE(HasFailure()) << turn;
    }
  }
  EXPECT_GT(made_count, 5'000);
}

/// Whether the standards allow an error about the packet (RFC 1122, RFC 4443).
bool may_be_told(const MadeFrame& made) {
  const Bytes& in = made.bytes;
  if (made.piece == Piece::kLater || (in[0] & 1) != 0)
    return false;
  if (!made.ipv4) {
    if (made.protocol == 58 && (made.l4 == 0 || in[made.l4] < 128 || in[made.l4] == 137))
      return false;  // errors and redirects
    return in[made.l3 + 8] != 0xFF && in[made.l3 + 24] != 0xFF;
  }
  for (const std::size_t at : {made.l3 + 12, made.l3 + 16})
    if (in[at] == 0 || in[at] == 127 || in[at] >= 224)
      return false;
  if (made.protocol != 1)
    return true;
  constexpr std::uint8_t kQuestions[] = {0, 8, 9, 10, 13, 14, 15, 16, 17, 18};
  return std::find(std::begin(kQuestions), std::end(kQuestions), in[made.l4]) !=
         std::end(kQuestions);
}

struct ErrorCase {
  Unreachable what;
  std::uint16_t ipv4;  ///< type and code
  std::uint16_t ipv6;
};

void expect_error(const MadeFrame& made, Bytes out, std::size_t type_and_code, std::size_t rest) {
  const std::size_t quoted =
      std::min<std::size_t>(made.end - made.l3, made.ipv4 ? 576 - 28 : 1'280 - 48);
  const std::uint8_t protocol = made.ipv4 ? 1 : 58;
  const std::size_t l4 = expect_headers(made, out, {Towards::kSender, protocol, 8 + quoted, 2});
  EXPECT_EQ(word_of(out, l4), type_and_code);
  EXPECT_EQ(long_of(out, l4 + 4), rest);
  EXPECT_EQ(slice(out, l4 + 8, l4 + 8 + quoted), slice(made.bytes, made.l3, made.l3 + quoted));
}

TEST(PacketCraft, Errors) {
  const ErrorCase cases[] = {
      {Unreachable::kNet, 0x0300, 0x0100},      {Unreachable::kHost, 0x0301, 0x0103},
      {Unreachable::kProtocol, 0x0302, 0x0401}, {Unreachable::kPort, 0x0303, 0x0104},
      {Unreachable::kAdmin, 0x030D, 0x0101},
  };
  FrameMaker maker(12);
  int made_count = 0;
  for (int turn = 0; turn < 30'000; ++turn) {
    MadeFrame made = maker.make();
    const ErrorCase& one = cases[static_cast<std::size_t>(turn) % std::size(cases)];
    const EditFrame frame = frame_of(made.bytes);
    Bytes out(1'518, 0xEE);
    std::uint32_t length = craft_unreachable(frame, one.what, out);
    ASSERT_EQ(length != 0, may_be_told(made)) << turn;
    if (length == 0)
      continue;
    ++made_count;
    out.resize(length);
    const bool points = !made.ipv4 && one.what == Unreachable::kProtocol;
    expect_error(made, out, made.ipv4 ? one.ipv4 : one.ipv6,
                 points ? made.next_header - made.l3 : 0);
    Bytes too_big(1'518, 0xEE);
    length = craft_too_big(frame, 1'234, too_big);
    ASSERT_NE(length, 0U);
    too_big.resize(length);
    expect_error(made, too_big, made.ipv4 ? 0x0304 : 0x0200, 1'234);
    ASSERT_FALSE(HasFailure()) << turn;
  }
  EXPECT_GT(made_count, 10'000);
}

TEST(PacketCraft, QuotesAreCut) {
  // A datagram of 1,400 bytes: 548 of it in IPv4's 576, 1,232 in IPv6's 1,280.
  for (const bool ipv4 : {true, false}) {
    Bytes bytes = ipv4 ? make(test::Ipv4Frame{.payload_bytes = 1'372})
                       : make(test::Ipv6Frame{.payload_bytes = 1'352});
    Bytes out(1'518, 0);
    const EditFrame frame = frame_of(bytes);
    EXPECT_EQ(craft_unreachable(frame, Unreachable::kPort, out), 14U + (ipv4 ? 576 : 1'280));
  }
}

}  // namespace
}  // namespace faultline
