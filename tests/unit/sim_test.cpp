// The simulator's small parts: cut frames and when they are forgotten, which port a packet enters,
// and flows that come in both ways.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/cut_frames.hpp"
#include "sim/entry.hpp"
#include "sim/two_way.hpp"

namespace faultline {
namespace {

std::vector<std::byte> bytes_of(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

// ---- cut frames

TEST(SimCutFrames, AWholeFrameLeavesAsItIs) {
  CutFrames frames;
  frames.begin(0);
  const LeavingFrame leaving = frames.leaves(0, 60);
  EXPECT_EQ(leaving.shown_bytes, 60U);
  EXPECT_EQ(leaving.original_bytes, 60U);
  EXPECT_TRUE(leaving.tail.empty());
}

TEST(SimCutFrames, LengthsAndTailsComeBack) {
  const struct {
    CutFrame frame;
    std::uint32_t length, shown, original;
    std::size_t tail;
  } kCases[] = {
      {{96, 1514, 1514, {}}, 1514, 96, 1514, 0},                // snap length
      {{20, 1514, 20, {}}, 20, 20, 1514, 0},                    // in its headers
      {{96, 4'000'000, 65'000, {}}, 65'000, 96, 4'000'000, 0},  // beyond the hold
      {{65'010, 65'010, 65'000, bytes_of("00112233445566778899")}, 65'000, 65'000, 65'010, 10},
      {{96, 1514, 1514, {}}, 1510, 96, 1510, 0},  // four bytes taken away by an edit
      {{96, 1514, 1514, {}}, 1518, 96, 1518, 0},  // four put in
      {{96, 1514, 1514, {}}, 40, 40, 40, 0},      // cut further
      {{65'010, 65'010, 65'000, bytes_of("00112233445566778899")}, 64'000, 64'000, 64'010, 0},
  };
  for (const auto& row : kCases) {
    CutFrames frames;
    frames.begin(7);
    frames.add(7, row.frame);
    frames.end(8, 1);
    const LeavingFrame leaving = frames.leaves(7, row.length);
    EXPECT_EQ(leaving.shown_bytes, row.shown);
    EXPECT_EQ(leaving.original_bytes, row.original);
    EXPECT_EQ(leaving.tail.size(), row.tail);
  }
}

/// Three batches of ten cut packets; of each, number 3 is dropped and the rest is held.
TEST(SimCutFrames, AreForgottenWhenNoneOfTheBatchIsHeldAnyMore) {
  for (const std::uint32_t start : {0U, 0xffff'fff6U}) {  // numbers wrap
    CutFrames frames;
    std::uint64_t held = 0;
    for (std::uint32_t batch = 0; batch < 3; ++batch) {
      const std::uint32_t first = start + batch * 10;
      frames.begin(first);
      for (std::uint32_t i = 0; i < 10; ++i) frames.add(first + i, {60, 100 + i, 100 + i, {}});
      held += 9;
      frames.end(first + 10, held);
    }
    EXPECT_EQ(frames.batches(), 3U);
    for (const std::uint32_t batch : {1U, 0U}) {
      for (std::uint32_t i = 0; i < 10; ++i) {
        if (i == 3)
          continue;
        const LeavingFrame leaving = frames.leaves(start + batch * 10 + i, 100 + i);
        EXPECT_EQ(leaving.shown_bytes, 60U);
        EXPECT_EQ(leaving.original_bytes, 100 + i);
        --held;
      }
      EXPECT_EQ(frames.batches(), batch == 1 ? 2U : 1U);
    }
  }
}

TEST(SimCutFrames, WhatIsSentAtOnceOrDroppedIsNotRemembered) {
  CutFrames frames;
  frames.begin(0);
  for (std::uint32_t i = 0; i < 4; ++i) frames.add(i, {60, 100, 100, {}});
  EXPECT_EQ(frames.leaves(0, 100).shown_bytes, 60U);
  frames.end(4, 1);  // one sent, one held, two dropped
  EXPECT_EQ(frames.batches(), 1U);
  frames.begin(4);
  for (std::uint32_t i = 4; i < 8; ++i) frames.add(i, {60, 100, 100, {}});
  EXPECT_EQ(frames.leaves(2, 100).shown_bytes, 60U);  // the held one leaves meanwhile
  EXPECT_EQ(frames.batches(), 1U);
  frames.end(8, 0);
  EXPECT_EQ(frames.batches(), 0U);
}

// ---- entry

const std::string kMacs =
    "020000000002"
    "020000000001";
const std::string kIpv4 = kMacs +
                          "0800"
                          "4500001400000000ff010000"
                          "0a000005"
                          "c0a80001";
const std::string kTagged = kMacs +
                            "88a80001"
                            "81000002"
                            "0800"
                            "4500001400000000ff010000"
                            "0a000005"
                            "c0a80001";
const std::string kIpv6 = kMacs +
                          "86dd"
                          "6000000000003bff"
                          "20010db8000000000000000000000005"
                          "20010db8000000000000000000000006";
const std::string kArp = kMacs +
                         "0806"
                         "0001080006040001"
                         "020000000001"
                         "0a000005"
                         "000000000000"
                         "0a000006";

TEST(SimEntry, SourcesAreReadWhereTheyStand) {
  const struct {
    const char* left;
    std::string frame;
    bool held;
  } kCases[] = {
      {"10.0.0.0/8", kIpv4, true},
      {"10.0.0.5", kIpv4, true},
      {"10.0.0.4/31", kIpv4, true},
      {"10.0.0.6/31", kIpv4, false},
      {"0.0.0.0/0", kIpv4, true},
      {"192.168.0.0/16", kIpv4, false},
      {"10.0.0.0/8", kTagged, true},
      {"10.0.0.0/8", kArp, true},
      {"10.0.0.6", kArp, false},
      {"10.0.0.0/8", kIpv6, false},
      {"2001:db8::/32", kIpv6, true},
      {"2001:db8::5", kIpv6, true},
      {"2001:db8::6", kIpv6, false},
      {"::/0", kIpv4, false},
      {"02:00:00:00:00:01", kIpv6, true},
      {"02-00-00-00-00-01", kArp, true},
      {"02:00:00:00:00:02", kIpv6, false},
      {"10.0.0.0/8", kIpv4.substr(0, 52), false},
      {"0.0.0.0/0", kMacs + "0800", false},
      {"0.0.0.0/0", kMacs.substr(0, 10), false},
      {"0.0.0.0/0", "", false},
      {"0.0.0.0/0", kMacs + "81000001", false},
  };
  for (const auto& row : kCases) {
    SourceSet left;
    ASSERT_TRUE(left.add(row.left));
    EXPECT_EQ(left.holds_source_of(bytes_of(row.frame)), row.held) << row.left << " " << row.frame;
  }
}

TEST(SimEntry, WhatIsNoAddressIsRefused) {
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "10.0.0.0/", "left", "02:00:00:00:00",
        "02:00:00:00:00:0g", "02.00.00.00.00.01", "10.0.0.0/-1", "10.0.0.0/8 "}) {
    SourceSet left;
    EXPECT_FALSE(left.add(text)) << text;
    EXPECT_TRUE(left.empty());
  }
}

TEST(SimEntry, PortsByNumberBySourceAndByInterface) {
  const std::vector<std::byte> frame = bytes_of(kIpv4);
  std::vector<CaptureInterface> interfaces{{1, "b", 0}, {1, "", 0}};
  EXPECT_EQ(Entry::at(3).port_for(frame, interfaces, 0), 3);

  SourceSet left;
  left.add("10.0.0.0/8");
  Entry by_source = Entry::by_source(left, {.first = 4, .second = 2});
  EXPECT_EQ(by_source.port_for(frame, interfaces, 0), 4);
  EXPECT_EQ(by_source.port_for(bytes_of(kIpv6), interfaces, 0), 2);

  Entry by_name = Entry::by_interface({"a", "b", "c"}, 2);
  EXPECT_EQ(by_name.port_for(frame, interfaces, 0), 1);
  EXPECT_EQ(by_name.port_for(frame, interfaces, 1), 2);
  interfaces.push_back({1, "a", 0});  // met later
  EXPECT_EQ(by_name.port_for(frame, interfaces, 2), 0);
}

// ---- both directions at one port

FlowKey flow(std::uint8_t source, std::uint8_t destination, std::uint16_t port) {
  FlowKey key;
  key.kind = FlowKind::kIpv4;
  key.protocol = kProtocolTcp;
  key.source[3] = source;
  key.destination[3] = destination;
  key.source_port = port;
  key.destination_port = port;
  return key;
}

TEST(SimTwoWay, EachFlowCountsOnceAndAtItsPort) {
  TwoWayFlows flows(2);
  for (int again = 0; again < 3; ++again) {
    flows.note(flow(1, 2, 80), 0);
    flows.note(flow(2, 1, 80), 1);  // the answer comes in at the other port
    flows.note(flow(1, 2, 81), 1);
    flows.note(flow(2, 1, 81), 1);
    flows.note(flow(3, 3, 82), 0);  // to itself
  }
  EXPECT_EQ(flows.flows(0), 0U);
  EXPECT_EQ(flows.flows(1), 1U);
  flows.note(flow(2, 1, 80), 0);
  EXPECT_EQ(flows.flows(0), 1U);
}

}  // namespace
}  // namespace faultline
