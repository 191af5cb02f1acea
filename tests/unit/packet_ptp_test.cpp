// PTP in frames: types, time-stamps and corrections on every carrier, what vouches for a message,
// and fields that are written.
#include "packet/ptp.hpp"

#include <gtest/gtest.h>

#include "tests/unit/clock_frames.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Carried;
using test::Carrier;
using test::ptp_message;
using test::PtpWords;

std::optional<PtpMessage> read(const Bytes& frame) {
  FrameFields fields;
  parse_frame(frame, frame.size(), fields);
  return read_ptp(frame, fields);
}

Carried carried(Carrier carrier, const PtpWords& words) {
  return carry(carrier, test::ptp_ports(words.type), ptp_message(words));
}

TEST(PacketPtp, FieldsOfEachTypeOnEachCarrier) {
  for (const Carrier carrier : test::kCarriers)
    for (const unsigned type : {0U, 1U, 2U, 3U, 8U, 9U, 10U, 11U}) {
      const PtpWords words{.type = type,
                           .two_step = type % 2 == 0,
                           .correction = 0xFFFF'FFFF'FFFF'0000,
                           .sequence = 40'000 + type,
                           .seconds = 0x1234'5678'9ABC,
                           .nanoseconds = 999'999'999};
      const Carried made = carried(carrier, words);
      const auto message = read(made.frame);
      ASSERT_TRUE(message.has_value()) << type;
      EXPECT_EQ(static_cast<unsigned>(message->type), type);
      EXPECT_EQ(message->two_step, words.two_step);
      EXPECT_EQ(message->correction, -65'536);
      EXPECT_EQ(message->sequence, words.sequence);
      EXPECT_EQ(message->offset, made.at);
      EXPECT_EQ(message->stamp, (PtpStamp{0x1234'5678'9ABC, 999'999'999}));
      EXPECT_FALSE(message->authenticated);
    }
}

TEST(PacketPtp, MessagesWithoutStamps) {
  for (const unsigned type : {12U, 13U}) {
    const auto message = read(carried(Carrier::kIpv4, {.type = type}).frame);
    ASSERT_TRUE(message.has_value());
    EXPECT_TRUE(message->stamp.is_zero());
  }
}

TEST(PacketPtp, WhatIsNotPtp) {
  const Bytes sync = ptp_message({.seconds = 1});
  EXPECT_TRUE(read(carry(Carrier::kIpv4, {4'242, 319}, sync).frame).has_value());
  EXPECT_TRUE(read(carry(Carrier::kIpv4, {4'242, 320}, sync).frame).has_value());
  EXPECT_FALSE(read(carry(Carrier::kIpv4, {319, 318}, sync).frame).has_value()) << "port";
  Bytes version1 = sync;
  version1[1] = 1;
  EXPECT_FALSE(read(carry(Carrier::kEthernet, {}, version1).frame).has_value());
  Bytes version21 = sync;
  version21[1] = 0x12;  // minor version 1 of IEEE 1588-2019
  EXPECT_TRUE(read(carry(Carrier::kEthernet, {}, version21).frame).has_value());
  for (const unsigned type : {4U, 5U, 6U, 7U, 14U, 15U}) {
    Bytes unknown = sync;
    unknown[0] = static_cast<std::uint8_t>(type);
    EXPECT_FALSE(read(carry(Carrier::kEthernet, {}, unknown).frame).has_value()) << type;
  }
  Bytes profile = sync;
  profile[0] |= 0x10;  // gPTP
  EXPECT_TRUE(read(carry(Carrier::kEthernet, {}, profile).frame).has_value());
  Bytes other = test::ethernet(0x88F8, 60);
  EXPECT_FALSE(read(other).has_value());
  for (const std::size_t length : {0U, 43U, 45U}) {
    Bytes wrong = sync;
    test::put16(wrong, 2, length);
    EXPECT_FALSE(read(carry(Carrier::kEthernet, {}, wrong).frame).has_value()) << length;
  }
}

TEST(PacketPtp, NothingIsReadBehindWhatIsAtHand) {
  for (const Carrier carrier : {Carrier::kIpv4, Carrier::kEthernetTagged}) {
    const Carried made = carried(carrier, {.type = 9, .seconds = 5, .tlvs = test::tlv(3, 60)});
    FrameFields fields;
    parse_frame(made.frame, made.frame.size(), fields);
    for (std::size_t bytes = 0; bytes <= made.frame.size(); ++bytes) {
      const Bytes some(made.frame.begin(), made.frame.begin() + static_cast<std::ptrdiff_t>(bytes));
      EXPECT_EQ(read_ptp(some, fields).has_value(), bytes >= made.at + 54) << bytes;
    }
  }
}

TEST(PacketPtp, WhatVouchesForIt) {
  const auto vouched = [](const PtpWords& words) {
    return read(carried(Carrier::kIpv4, words).frame).value().authenticated;
  };
  EXPECT_FALSE(vouched({.type = 8, .tlvs = test::tlv(3, 20)}));
  EXPECT_TRUE(vouched({.type = 8, .tlvs = test::tlv(0x8009, 20)}));
  EXPECT_TRUE(vouched({.type = 8, .tlvs = test::tlv(0x2000, 20)}));
  EXPECT_TRUE(vouched({.type = 8, .tlvs = test::joined(test::tlv(3, 20), test::tlv(0x8009, 20))}));
  EXPECT_TRUE(vouched({.type = 11, .tlvs = test::tlv(0x8009, 20)}));
  EXPECT_TRUE(vouched({.type = 0, .security = true}));
  EXPECT_FALSE(vouched({.type = 8, .tlvs = Bytes(2, 0)})) << "less than a TLV";
}

TEST(PacketPtp, WhatCannotBeSeenMayVouch) {
  const PtpWords words{.type = 8, .tlvs = test::joined(test::tlv(3, 400), test::tlv(3, 20))};
  const Bytes frame = carried(Carrier::kIpv4, words).frame;
  FrameFields fields;
  parse_frame(frame, frame.size(), fields);
  EXPECT_FALSE(read_ptp(frame, fields).value().authenticated);
  EXPECT_TRUE(read_ptp(std::span(frame).first(kParseBytesMax), fields).value().authenticated);
}

TEST(PacketPtp, ShiftedStamps) {
  using Stamp = PtpStamp;
  EXPECT_EQ(shifted(Stamp{5, 999'999'999}, 1), (Stamp{6, 0}));
  EXPECT_EQ(shifted(Stamp{5, 0}, -1), (Stamp{4, 999'999'999}));
  EXPECT_EQ(shifted(Stamp{5, 5}, -3'000'000'001), (Stamp{2, 4}));
  EXPECT_EQ(shifted(Stamp{1, 0}, -1'000'000'000), (Stamp{0, 1})) << "zero says that there is none";
  EXPECT_EQ(shifted(Stamp{1, 0}, -1'000'000'001), std::nullopt);
  EXPECT_EQ(shifted(Stamp{kPtpSecondsEnd - 1, 999'999'999}, 0),
            (Stamp{kPtpSecondsEnd - 1, 999'999'999}));
  EXPECT_EQ(shifted(Stamp{kPtpSecondsEnd - 1, 999'999'999}, 1), std::nullopt);
  const std::int64_t years = std::int64_t{30 * 365} * 86'400 * 1'000'000'000;
  EXPECT_EQ(shifted(Stamp{1'700'000'000, 7}, years), (Stamp{2'646'080'000, 7}));
}

TEST(PacketPtp, Corrections) {
  EXPECT_EQ(corrected(0, 10'000'000), 10'000'000LL * 65'536);
  EXPECT_EQ(corrected(-65'535, 1), 1);
  EXPECT_EQ(corrected(65'536, -3), -2 * 65'536);
  EXPECT_EQ(corrected(0, std::int64_t{1} << 47), std::nullopt);
  EXPECT_EQ(corrected(-1, std::int64_t{1} << 47), std::nullopt) << "the greatest says too great";
  EXPECT_EQ(corrected(-2, std::int64_t{1} << 47), INT64_MAX - 1);
  EXPECT_EQ(corrected(0, -(std::int64_t{1} << 47)), INT64_MIN);
  EXPECT_EQ(corrected(-1, -(std::int64_t{1} << 47)), std::nullopt);
}

TEST(PacketPtp, FieldsAreWrittenWithTheirSums) {
  for (const Carrier carrier : test::kCarriers) {
    const Carried made = carried(carrier, {.type = 8, .seconds = 5, .nanoseconds = 6});
    Bytes frame = made.frame;
    FrameFields fields;
    parse_frame(frame, frame.size(), fields);
    const PtpMessage message = read_ptp(frame, fields).value();
    EditFrame edit(frame, {}, fields);
    put_ptp_stamp(edit, message, {0xABCD'0123'4567, 123'456'789});
    put_ptp_correction(edit, message, -2);
    edit.settle(ChecksumCare::kFix);
    EXPECT_TRUE(edit.changed());
    EXPECT_EQ(test::slice(frame, made.at, frame.size()),
              ptp_message({.type = 8,
                           .correction = ~std::uint64_t{1},
                           .seconds = 0xABCD'0123'4567,
                           .nanoseconds = 123'456'789}));
    if (fields.is_ip())
      EXPECT_TRUE(test::sums_are_right(frame));
  }
}

TEST(PacketPtp, WhatAnnounceSays) {
  const Carried made = carried(Carrier::kIpv6, {.type = 11});
  Bytes frame = made.frame;
  FrameFields fields;
  parse_frame(frame, frame.size(), fields);
  const PtpMessage message = read_ptp(frame, fields).value();
  frame[made.at + 7] = 0x0A;  // leap59, and a time scale
  frame = test::with_sums(frame);
  EditFrame edit(frame, {}, fields);
  put_ptp_announce(edit, message, {});
  EXPECT_FALSE(edit.changed());
  put_ptp_announce(edit, message,
                   {.clock_class = 248,
                    .priority1 = 1,
                    .priority2 = 2,
                    .steps_removed = 0x0304,
                    .utc_offset = std::int16_t{38},
                    .leap61 = true,
                    .leap59 = false});
  edit.settle(ChecksumCare::kFix);
  Bytes expected = ptp_message({.type = 11});
  expected[7] = 0x08 | 0x04 | 0x01;
  test::put16(expected, 44, 38);
  expected[47] = 1;
  expected[48] = 248;
  expected[52] = 2;
  test::put16(expected, 61, 0x0304);
  EXPECT_EQ(test::slice(frame, made.at, frame.size()), expected);
  EXPECT_TRUE(test::sums_are_right(frame));
}

}  // namespace
}  // namespace faultline
