// Later fragments and the ports of their first.
#include "dataplane/fragment_table.hpp"

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Ipv4Frame;

constexpr std::uint16_t kMore = 0x2000;

FrameFields fragment(std::uint16_t id, std::uint16_t flags_and_offset,
                     std::uint16_t destination_port = 53) {
  test::Bytes bytes =
      make(Ipv4Frame{.ports = {4242, destination_port}, .fragment = flags_and_offset});
  test::put16(bytes, 18, id);
  FrameFields fields;
  EXPECT_EQ(parse_frame(bytes, bytes.size(), fields), ParseOutcome::kParsed);
  return fields;
}

TEST(DataplaneFragmentTable, LaterFragmentsFollowTheFirstForTwoSeconds) {
  FragmentTable table;
  FrameFields first = fragment(7, kMore);
  EXPECT_TRUE(first.shows_ports);
  table.follow(first, 0, 100);
  for (const std::uint64_t now_ns : {std::uint64_t{100}, 100 + FragmentTable::kKeepNs - 1}) {
    FrameFields later = fragment(7, kMore | 3);
    EXPECT_FALSE(later.shows_ports);
    table.follow(later, 0, now_ns);
    EXPECT_TRUE(later.shows_ports);
    EXPECT_EQ(later.source_port, 4242);
    EXPECT_EQ(later.destination_port, 53);
    EXPECT_EQ(later.key.destination_port, 0);  // the dice know no ports of fragments
  }
  FrameFields too_late = fragment(7, 5);
  table.follow(too_late, 0, 100 + FragmentTable::kKeepNs);
  EXPECT_FALSE(too_late.shows_ports);
  EXPECT_EQ(table.counters().followed, 2U);
  EXPECT_EQ(table.counters().unknown, 1U);
}

TEST(DataplaneFragmentTable, OtherDatagramsAreOtherDatagrams) {
  FragmentTable table;
  FrameFields first = fragment(7, kMore);
  table.follow(first, 0, 0);
  FrameFields other_id = fragment(8, 3);
  table.follow(other_id, 0, 0);
  EXPECT_FALSE(other_id.shows_ports);
  FrameFields other_port = fragment(7, 3);
  table.follow(other_port, 1, 0);
  EXPECT_FALSE(other_port.shows_ports);
  FrameFields whole = fragment(7, 0, 99);
  table.follow(whole, 0, 0);
  EXPECT_EQ(whole.destination_port, 99);
  // The identification is used again: the newest first fragment counts.
  FrameFields again = fragment(7, kMore, 5353);
  table.follow(again, 0, 1);
  FrameFields later = fragment(7, 3);
  table.follow(later, 0, 2);
  EXPECT_EQ(later.destination_port, 5353);
  EXPECT_EQ(table.counters().lost, 0U);
}

TEST(DataplaneFragmentTable, FullIsCounted) {
  FragmentTable table;
  for (std::uint32_t id = 0; id < 60'000; ++id) {
    FrameFields first = fragment(static_cast<std::uint16_t>(id), kMore);
    table.follow(first, static_cast<std::uint8_t>(id / 32'000), 0);
  }
  EXPECT_GT(table.counters().lost, 20'000U);
  // What is too old to be followed is no loss.
  FragmentTable slow;
  for (std::uint32_t id = 0; id < 60'000; ++id) {
    FrameFields first = fragment(static_cast<std::uint16_t>(id), kMore);
    slow.follow(first, 0, std::uint64_t{id} * FragmentTable::kKeepNs);
  }
  EXPECT_EQ(slow.counters().lost, 0U);
}

}  // namespace
}  // namespace faultline
