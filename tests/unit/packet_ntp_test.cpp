// NTP in frames: what is read of each version and mode, what stands behind the header, and fields
// that are written, with their checksums.
#include "packet/ntp.hpp"

#include <gtest/gtest.h>

#include "tests/unit/clock_frames.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Carried;
using test::Carrier;
using test::ntp_message;
using test::NtpWords;

std::optional<NtpPacket> read(const Bytes& frame) {
  FrameFields fields;
  parse_frame(frame, frame.size(), fields);
  return read_ntp(frame, fields);
}

std::optional<NtpPacket> read(const NtpWords& words) {
  return read(carry(Carrier::kIpv4, {123, 123}, ntp_message(words)).frame);
}

TEST(PacketNtp, FieldsOfEachModeAndVersion) {
  for (const Carrier carrier : test::kUdpCarriers)
    for (const unsigned version : {3U, 4U})
      for (unsigned mode = 1; mode <= 5; ++mode) {
        const NtpWords words{.version = version, .mode = mode};
        const auto packet = read(carry(carrier, {123, 4'242}, ntp_message(words)).frame);
        ASSERT_TRUE(packet.has_value());
        EXPECT_EQ(static_cast<unsigned>(packet->mode), mode);
        EXPECT_EQ(packet->version, version);
        EXPECT_EQ(packet->reference, words.reference);
        EXPECT_EQ(packet->origin, words.origin);
        EXPECT_EQ(packet->receive, words.receive);
        EXPECT_EQ(packet->transmit, words.transmit);
        EXPECT_EQ(packet->trailer, NtpTrailer::kOpen);
      }
}

TEST(PacketNtp, ControlMessagesAreShort) {
  for (const unsigned mode : {6U, 7U}) {
    Bytes message(12, 0);
    message[0] = static_cast<std::uint8_t>(2U << 3 | mode);
    const auto packet = read(carry(Carrier::kIpv4, {123, 4'242}, message).frame);
    ASSERT_TRUE(packet.has_value());
    EXPECT_EQ(static_cast<unsigned>(packet->mode), mode);
  }
}

TEST(PacketNtp, WhatIsNotNtp) {
  const Bytes message = ntp_message({});
  EXPECT_TRUE(read(carry(Carrier::kIpv4, {4'242, 123}, message).frame).has_value());
  EXPECT_FALSE(read(carry(Carrier::kIpv4, {4'242, 124}, message).frame).has_value()) << "port";
  for (const unsigned version : {0U, 1U, 2U, 5U, 6U, 7U})
    EXPECT_FALSE(read(NtpWords{.version = version}).has_value()) << version;
  EXPECT_FALSE(read(NtpWords{.mode = 0}).has_value());
  const Bytes cut(message.begin(), message.end() - 1);
  EXPECT_FALSE(read(carry(Carrier::kIpv4, {123, 123}, cut).frame).has_value());
  EXPECT_FALSE(read(carry(Carrier::kIpv4, {123, 123}, {}).frame).has_value());
  Bytes tcp = test::make(test::Ipv4Frame{.protocol = 6, .ports = {123, 123}, .payload_bytes = 48});
  EXPECT_FALSE(read(tcp).has_value());
  Bytes fragment =
      test::make(test::Ipv4Frame{.ports = {123, 123}, .payload_bytes = 48, .fragment = 0x2000});
  fragment[42] = 4U << 3 | 4;
  EXPECT_FALSE(read(fragment).has_value()) << "in parts";
}

TEST(PacketNtp, NothingIsReadBehindWhatIsAtHand) {
  const Bytes frame =
      carry(Carrier::kIpv4, {123, 123}, ntp_message({.trailer = test::mac(16)})).frame;
  FrameFields fields;
  parse_frame(frame, frame.size(), fields);
  for (std::size_t bytes = 0; bytes <= frame.size(); ++bytes) {
    // In memory of its own, so that a sanitizer sees what is read beyond.
    const Bytes some(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(bytes));
    const auto packet = read_ntp(some, fields);
    EXPECT_EQ(packet.has_value(), bytes >= 42 + 48) << bytes;
    if (packet)
      EXPECT_EQ(packet->trailer, NtpTrailer::kMac) << bytes;
  }
}

TEST(PacketNtp, Trailers) {
  struct TrailerCase {
    std::string_view name;
    unsigned version;
    Bytes trailer;
    NtpTrailer expected;
  };
  const Bytes plain = test::extension(0x0002, 28);
  const TrailerCase cases[] = {
      {"none", 4, {}, NtpTrailer::kOpen},
      {"crypto-NAK", 4, Bytes(4, 0), NtpTrailer::kMac},
      {"MD5", 4, test::mac(16), NtpTrailer::kMac},
      {"SHA1, or longer and cut", 4, test::mac(20), NtpTrailer::kMac},
      {"SHA256 whole", 4, test::mac(32), NtpTrailer::kMac},
      {"SHA512 whole", 4, test::mac(64), NtpTrailer::kMac},
      {"version 3, MD5", 3, test::mac(16), NtpTrailer::kMac},
      {"version 3, long", 3, test::mac(64), NtpTrailer::kMac},
      {"version 3, MS-SNTP", 3, Bytes(20, 0), NtpTrailer::kMac},
      {"a field of another kind", 4, plain, NtpTrailer::kOpen},
      {"two of them", 4, test::joined(plain, plain), NtpTrailer::kOpen},
      {"one and a MAC", 4, test::joined(plain, test::mac(16)), NtpTrailer::kMac},
      {"one and a MAC of SHA1", 4, test::joined(plain, test::mac(20)), NtpTrailer::kMac},
      {"NTS: identifier", 4, test::extension(0x0104, 36), NtpTrailer::kNts},
      {"NTS: cookie", 4, test::extension(0x0204, 104), NtpTrailer::kNts},
      {"NTS: placeholder", 4, test::extension(0x0304, 104), NtpTrailer::kNts},
      {"NTS: authenticator", 4, test::extension(0x0404, 40), NtpTrailer::kNts},
      {"one and NTS", 4, test::joined(plain, test::extension(0x0404, 40)), NtpTrailer::kNts},
      {"a length that is none", 4, test::joined(Bytes{0, 2, 0, 30}, Bytes(26, 0)),
       NtpTrailer::kMac},
      {"a length beyond the end", 4, test::joined(Bytes{0, 2, 0, 64}, Bytes(28, 0)),
       NtpTrailer::kMac},
      {"less than a MAC", 4, Bytes(3, 0), NtpTrailer::kOpen},
      {"less than a MAC, version 3", 3, Bytes(3, 0), NtpTrailer::kOpen},
  };
  for (const TrailerCase& one : cases) {
    const auto packet = read(NtpWords{.version = one.version, .trailer = one.trailer});
    ASSERT_TRUE(packet.has_value()) << one.name;
    EXPECT_EQ(packet->trailer, one.expected) << one.name;
  }
}

TEST(PacketNtp, WhatCannotBeSeenMayVouch) {
  const Bytes trailer = test::joined(test::extension(0x0002, 400), test::mac(16));
  const Bytes frame = carry(Carrier::kIpv4, {123, 123}, ntp_message({.trailer = trailer})).frame;
  FrameFields fields;
  parse_frame(frame, frame.size(), fields);
  const auto packet = read_ntp(std::span(frame).first(kParseBytesMax), fields);
  ASSERT_TRUE(packet.has_value());
  EXPECT_EQ(packet->trailer, NtpTrailer::kMac);
}

TEST(PacketNtp, FieldsAreWrittenWithTheirSums) {
  for (const Carrier carrier : test::kUdpCarriers) {
    const Carried carried = carry(carrier, {123, 4'242}, ntp_message({}));
    Bytes frame = carried.frame;
    FrameFields fields;
    parse_frame(frame, frame.size(), fields);
    EditFrame edit(frame, {}, fields);
    put_ntp_leap(edit, NtpLeap::kUnsynchronised);
    put_ntp(edit, NtpField::kStratum, std::uint8_t{16});
    put_ntp(edit, NtpField::kRootDelay, std::uint32_t{0x00018000});
    put_ntp(edit, NtpField::kRootDispersion, std::uint32_t{0x12345678});
    put_ntp(edit, NtpField::kReferenceId, std::uint32_t{0x52415445});
    put_ntp(edit, NtpField::kReference, std::uint64_t{0x1122334455667788});
    put_ntp(edit, NtpField::kOrigin, std::uint64_t{0});
    put_ntp(edit, NtpField::kReceive, ~std::uint64_t{0});
    put_ntp(edit, NtpField::kTransmit, std::uint64_t{0x8000000000000001});
    edit.settle(ChecksumCare::kFix);
    Bytes expected = ntp_message({.leap = 3,
                                  .stratum = 16,
                                  .reference = 0x1122334455667788,
                                  .origin = 0,
                                  .receive = ~std::uint64_t{0},
                                  .transmit = 0x8000000000000001});
    test::put32(expected, 4, 0x00018000);
    test::put32(expected, 8, 0x12345678);
    test::put32(expected, 12, 0x52415445);
    EXPECT_EQ(test::slice(frame, carried.at, frame.size()), expected);
    EXPECT_TRUE(test::sums_are_right(frame));
  }
}

}  // namespace
}  // namespace faultline
