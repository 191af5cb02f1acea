// One direction of TCP: what was sent again and how often, numbers of bytes, keep-alives, resets.
#include "dataplane/tcp_track.hpp"

#include <gtest/gtest.h>

namespace faultline {
namespace {

constexpr std::uint8_t kData = kAckFlag;
constexpr std::uint32_t kBeforeWrap = 0xFFFFFF00;

/// Both directions of a connection.
struct Both {
  TcpTrack one;
  TcpTrack two;
  std::uint32_t forgotten = 0;

  TcpPlace from_one(const SeenSegment& segment) { return note(one, two, segment); }
  TcpPlace from_two(const SeenSegment& segment) { return note(two, one, segment); }
  /// A segment of one with data.
  std::uint32_t again(std::uint32_t sequence, std::uint32_t bytes = 100) {
    return from_one({sequence, 1, bytes, kData}).retransmission;
  }

 private:
  TcpPlace note(TcpTrack& own, const TcpTrack& peer, const SeenSegment& segment) {
    TcpPlace place;
    forgotten += own.follow(segment, peer, place) ? 1U : 0U;
    EXPECT_TRUE(place.is_whole);
    return place;
  }
};

TEST(DataplaneTcpTrack, ARetransmissionEndsNotAboveTheHighestEnd) {
  for (const std::uint32_t start : {0U, 1'000U, kBeforeWrap, 0x7FFFFF80U, 0x80000000U}) {
    Both both;
    EXPECT_EQ(both.from_one({start, 0, 0, kSynFlag}).retransmission, 0U);
    EXPECT_EQ(both.from_one({start, 0, 0, kSynFlag}).retransmission, 1U);
    EXPECT_EQ(both.again(start + 1, 100), 0U);
    EXPECT_EQ(both.again(start + 101, 200), 0U);
    EXPECT_EQ(both.again(start + 301, 0), 0U) << "takes no number";
    EXPECT_EQ(both.again(start + 101, 200), 1U);
    EXPECT_EQ(both.again(start + 101, 199), 2U) << "of a number, whatever its length";
    EXPECT_EQ(both.again(start + 101, 201), 0U) << "a byte beyond the end";
    EXPECT_EQ(both.again(start + 301, 1), 1U);
    EXPECT_EQ(both.again(start + 502, 100), 0U) << "what lies between was lost before it came";
    EXPECT_EQ(both.again(start + 302, 200), 1U) << "and is sent again";
    EXPECT_EQ(both.from_one({start + 602, 1, 0, kFinFlag | kAckFlag}).retransmission, 0U);
    EXPECT_EQ(both.from_one({start + 602, 1, 0, kFinFlag | kAckFlag}).retransmission, 1U);
    // Half of all numbers are behind the end, 2^31 among them; the others are ahead.
    const std::uint32_t end = start + 603;
    EXPECT_EQ(both.again(end - 0x80000000U, 100), 1U);
    EXPECT_EQ(both.again(end + 0x7FFFFFFFU - 50, 50), 0U);
  }
}

TEST(DataplaneTcpTrack, EightNumbersAreRemembered) {
  Both both;
  both.again(1'000, 2'000);
  for (std::uint32_t at = 0; at < 8; ++at) EXPECT_EQ(both.again(1'000 + at * 100), 1U);
  for (std::uint32_t at = 0; at < 8; ++at) EXPECT_EQ(both.again(1'000 + at * 100), 2U);
  EXPECT_EQ(both.again(1'000), 3U);  // now the second number was sent again longest ago
  EXPECT_EQ(both.forgotten, 0U);
  EXPECT_EQ(both.again(1'800), 1U);
  EXPECT_EQ(both.forgotten, 1U);
  EXPECT_EQ(both.again(1'000), 4U);
  EXPECT_EQ(both.again(1'700), 3U);
  EXPECT_EQ(both.again(1'100), 1U) << "its count was forgotten";
  EXPECT_EQ(both.forgotten, 2U);
  // What was acknowledged is not missed. 1,300 is next to go.
  both.from_two({500, 1'400, 0, kAckFlag});
  EXPECT_EQ(both.again(1'900), 1U);
  EXPECT_EQ(both.forgotten, 2U);
  for (std::uint32_t times = 2; times <= 300; ++times)
    EXPECT_EQ(both.again(1'900), std::min(times, 255U));
}

TEST(DataplaneTcpTrack, AKeepAliveIsNone) {
  Both both;
  both.again(1'000, 100);
  EXPECT_EQ(both.again(1'099, 0), 0U) << "no data";
  EXPECT_EQ(both.again(1'099, 1), 1U) << "nothing was acknowledged: the last byte again";
  both.from_two({500, 1'099, 0, kAckFlag});
  EXPECT_EQ(both.again(1'099, 1), 2U) << "not all was";
  both.from_two({500, 1'100, 0, kAckFlag});
  EXPECT_EQ(both.again(1'099, 1), 0U);
  EXPECT_EQ(both.again(1'098, 1), 1U) << "not the last";
  EXPECT_EQ(both.again(1'098, 2), 2U) << "not one byte";
  // A probe of a closed window brings the next byte, and again until it is taken.
  EXPECT_EQ(both.again(1'100, 1), 0U);
  EXPECT_EQ(both.again(1'100, 1), 1U);
}

TEST(DataplaneTcpTrack, BytesAreNumberedWithoutWrapping) {
  Both both;
  const TcpPlace syn = both.from_one({kBeforeWrap, 0, 10, kSynFlag});
  EXPECT_TRUE(syn.is_numbered);
  EXPECT_EQ(syn.first_byte, 1) << "data may come with the SYN (RFC 7413)";
  EXPECT_EQ(both.from_one({kBeforeWrap + 1, 1, 100, kData}).first_byte, 1);
  EXPECT_EQ(both.from_one({kBeforeWrap + 1'001, 1, 100, kData}).first_byte, 1'001);
  std::int64_t number = 1'101;
  for (int turn = 0; turn < 9; ++turn) {  // more than 4 GiB
    const auto sequence = static_cast<std::uint32_t>(kBeforeWrap + number);
    EXPECT_EQ(both.from_one({sequence, 1, 1'000, kData}).first_byte, number);
    EXPECT_EQ(both.from_one({sequence, 1, 1'000, kData}).retransmission, 1U);
    number += 1'000'000'000;
  }
  // Met in its middle, bytes before the first seen have no positive number.
  EXPECT_EQ(both.from_two({70, 1, 30, kData}).first_byte, 1);
  EXPECT_EQ(both.from_two({100, 1, 30, kData}).first_byte, 31);
  EXPECT_EQ(both.from_two({40, 1, 30, kData}).first_byte, -29);
}

TEST(DataplaneTcpTrack, ASynWithAnotherNumberBeginsAnewAnRstTeachesNothing) {
  Both both;
  EXPECT_FALSE(both.from_one({5, 0, 10, kRstFlag}).is_numbered);
  both.from_one({1'000, 0, 0, kSynFlag});
  both.again(1'001, 100);
  const TcpPlace reset = both.from_one({1'001, 77, 100, kRstFlag | kAckFlag});
  EXPECT_EQ(reset.retransmission, 0U);
  EXPECT_EQ(reset.first_byte, 1);
  both.from_one({9'000, 0, 0, kRstFlag});
  EXPECT_EQ(both.again(1'101, 100), 0U) << "the reset's number moved nothing";
  EXPECT_EQ(both.from_one({1'000, 0, 0, kSynFlag}).retransmission, 1U) << "that SYN again";
  EXPECT_EQ(both.from_one({400, 0, 0, kSynFlag}).retransmission, 0U);
  EXPECT_EQ(both.again(401, 100), 0U);
  EXPECT_EQ(both.again(401, 100), 1U);
}

TEST(DataplaneTcpTrack, WhatEachEndExpects) {
  Both both;
  TcpPlace place = both.from_one({100, 7, 50, kData});
  EXPECT_FALSE(place.receiver_differs) << "it acknowledged nothing yet";
  EXPECT_FALSE(place.sender_differs) << "nothing was sent to it";
  place = both.from_two({7, 100, 40, kData});
  EXPECT_TRUE(place.sender_differs) << "150 would be acknowledged";
  EXPECT_EQ(place.sender_next, 150U);
  EXPECT_FALSE(place.receiver_differs) << "it expects 7";
  place = both.from_one({150, 47, 50, kData});
  EXPECT_TRUE(place.receiver_differs);
  EXPECT_EQ(place.receiver_next, 100U);
  EXPECT_FALSE(place.sender_differs);
  // The highest ACK counts, not the last one: an older one was overtaken. A reset's does not.
  both.from_two({47, 200, 0, kAckFlag});
  both.from_two({47, 150, 0, kAckFlag});
  both.from_two({47, 999, 0, kAckFlag | kRstFlag});
  EXPECT_FALSE(both.from_one({200, 47, 50, kData}).receiver_differs);
  place = both.from_one({150, 47, 50, kData});
  EXPECT_TRUE(place.receiver_differs);
  EXPECT_EQ(place.receiver_next, 200U);
  // Without ACK nothing is known of what the sender expects; ahead of the end nothing is owed.
  EXPECT_FALSE(both.from_one({250, 0, 50, 0}).sender_differs);
  EXPECT_FALSE(both.from_one({300, 60, 50, kData}).sender_differs);
}

}  // namespace
}  // namespace faultline
