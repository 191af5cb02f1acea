// Several edits of one packet: in the order in which they were decided, each on what those before
// it made of the frame, and what stands behind them sees the length that the frame will have.
#include <gtest/gtest.h>

#include "tests/unit/decide_bench.hpp"
#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::DecideBench;
using test::frame_of;
using test::FrameMaker;
using test::tagged;
using test::with_sums;

/// Entry `i` of the burst, a packet that came as `frame`, when all its edits are made.
Bytes edited(const DecideBench& bench, std::uint32_t i, const Bytes& frame) {
  constexpr std::size_t kRoom = 256;
  Bytes memory(frame.size() + 2 * kRoom, 0xEE);
  std::copy(frame.begin(), frame.end(), memory.begin() + kRoom);
  EditFrame edit_frame({memory.data() + kRoom, frame.size()}, {kRoom, kRoom},
                       bench.decide.fields(i));
  bench.burst.edits.visit(i, [&](const Edit& edit) { edit.impairment->edit(edit, edit_frame); });
  return {edit_frame.bytes(), edit_frame.bytes() + edit_frame.length()};
}

struct EditsCase {
  std::string impair;
  Bytes before;
  std::vector<Bytes> after;  ///< the packet, then its fragments
};

TEST(DataplaneEdits, InTheOrderWritten) {
  Bytes nine = frame_of(100);
  nine[22] = 9;
  const Bytes plain = with_sums(frame_of(100));
  const Bytes short_one = with_sums(frame_of(56));
  const Bytes tag = tagged(plain, 0x8100, 7);
  const EditsCase cases[] = {
      {"set: {ttl: 3}, set: {ttl: 9}", plain, {with_sums(nine)}},
      {"set: {vlan: {push: 7}}, set: {vlan: {push: 8}}", plain, {tagged(tag, 0x8100, 8)}},
      {"set: {vlan: {push: 7}}, set: {vlan: none}", plain, {plain}},
      {"set: {vlan: none}, set: {vlan: 7}", tagged(plain, 0x88A8, 5), {tag}},
      {"set: {vlan: 7}, set: {vlan: 8}", plain, {tagged(plain, 0x8100, 8)}},
      // A length counts tags, those that came with it and those that were put in.
      {"set: {vlan: {push: 7}}, truncate: {to: 60B, checksum: fix}",
       plain,
       {tagged(short_one, 0x8100, 7)}},
      {"truncate: {to: 56B, checksum: fix}, set: {vlan: {push: 7}}",
       plain,
       {tagged(short_one, 0x8100, 7)}},
      {"set: {vlan: none}, truncate: {to: 56B, checksum: fix}", tag, {short_one}},
      // The transport header ends at 42, and at 46 behind a tag.
      {"set: {vlan: {push: 7}}, truncate: {to: 45B, checksum: fix}", plain, {tag}},
      {"set: {vlan: {push: 7}}, truncate: {to: 46B, checksum: fix}",
       plain,
       {tagged(with_sums(frame_of(42)), 0x8100, 7)}},
      {"set: {vlan: none}, truncate: {to: 42B, checksum: fix}", tag, {with_sums(frame_of(42))}},
      {"truncate: {to: 80B}, set: {vlan: {push: 7}}, truncate: {to: 45B, checksum: fix}",
       plain,
       {test::slice(tag, 0, 84)}},
  };
  for (const EditsCase& one : cases) {
    DecideBench bench({"name: a, impair: [" + one.impair + "]"});
    bench.judge(one.before);
    ASSERT_EQ(bench.entries().size(), one.after.size()) << one.impair;
    for (std::size_t turn = 0; turn < one.after.size(); ++turn) {
      const std::uint32_t i = bench.entries()[turn];
      EXPECT_EQ(edited(bench, i, one.before), one.after[turn]) << one.impair;
      EXPECT_EQ(bench.burst.length_bytes[i], one.after[turn].size()) << one.impair;
    }
  }
}

TEST(DataplaneEdits, WhatStandsBehindSeesTheLengthThatWillBe) {
  const std::string kinds[] = {"set: {vlan: {push: 7}}",
                               "set: {vlan: none}",
                               "set: {vlan: 9}",
                               "truncate: {to: 60B}",
                               "truncate: {to: 75B, checksum: fix}",
                               "truncate: {to: 30B}",
                               "truncate: {to: 50B, checksum: fix}",
                               "mtu: {size: 68B, action: fragment}",
                               "mtu: {size: 90B, action: fragment}",
                               "corrupt: {bits: 3, where: payload}",
                               "set: {ttl: 3, sport: 9}"};
  test::Random random(6);
  std::uint64_t changed = 0;
  for (int turn = 0; turn < 300; ++turn) {
    std::string impair;
    bool cuts = false;
    for (std::uint64_t count = 2 + random.below(3); count > 0; --count) {
      std::string kind = kinds[random.below(std::size(kinds))];
      if (kind.starts_with("mtu") && std::exchange(cuts, true))
        kind = kinds[0];  // twice on a path is refused
      impair += (impair.empty() ? "" : ", ") + kind;
    }
    DecideBench bench({"name: a, impair: [" + impair + "]"}, {.flows_max = 16, .queued_max = 16});
    FrameMaker maker(random.below(1'000'000));
    for (int packet = 0; packet < 60; ++packet) {
      const Bytes frame = maker.make().bytes;
      bench.judge(frame);
      for (const std::uint32_t i : bench.entries()) {
        if (bench.burst.reason[i] != DropReason::kNone)
          continue;
        const Bytes after = edited(bench, i, frame);
        ASSERT_EQ(after.size(), bench.burst.length_bytes[i]) << impair << "\n" << packet;
        changed += after.size() != frame.size() ? 1U : 0U;
      }
    }
  }
  EXPECT_GT(changed, 8'000U);
}

}  // namespace
}  // namespace faultline
