// The flow table: counts that survive eviction, who makes room, and what is counted as lost.
#include "dataplane/flow_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kIdleNs = 1'000'000;

FlowKey key_of(std::uint64_t flow) {
  FlowKey key;
  key.kind = FlowKind::kIpv4;
  key.ethertype = kEthertypeIpv4;
  key.protocol = kProtocolUdp;
  key.source = {10, static_cast<std::uint8_t>(flow >> 32), static_cast<std::uint8_t>(flow >> 24),
                static_cast<std::uint8_t>(flow >> 16)};
  key.destination = {10, 255, 0, 1};
  key.source_port = static_cast<std::uint16_t>(flow);
  key.destination_port = 53;
  return key;
}

/// The look-up's three steps.
Flow& find(FlowTable& table, const FlowKey& key, std::uint64_t identity, PathId path_id,
           std::uint64_t now_ns) {
  SoughtEntry sought = table.seek(key, identity, path_id);
  table.approach(sought, true);
  return table.find(key, sought, path_id, now_ns);
}

/// A table, and one way to send it a packet.
class Bench {
 public:
  /// Few ghosts, so that they collide.
  Bench(std::uint64_t flows_max, std::uint64_t idle_ns, std::uint64_t ghosts_min = 16)
      : table(flows_max, idle_ns, ghosts_min) {}

  /// The number of this packet within its flow.
  std::uint64_t packet(std::uint64_t flow, PathId path_id, std::uint64_t now_ns) {
    const FlowKey key = key_of(flow);
    const std::uint64_t identity = flow_identity(key);
    Flow& found = find(table, key, identity, path_id, now_ns);
    const SoughtEntry nowhere{table.seek(key, identity, path_id).spread, SoughtEntry::kNowhere};
    EXPECT_EQ(&table.find(key, nowhere, path_id, now_ns), &found)
        << "the same where nothing pointed to it";
    EXPECT_EQ(table.known(key, identity, path_id), &found);
    EXPECT_EQ(found.key, key);
    EXPECT_EQ(found.path_id, path_id);
    EXPECT_EQ(found.last_seen_ns, now_ns);
    return ++found.packets;
  }

  FlowTable table;
};

TEST(DataplaneFlowTable, CountsFromOneAndKnowsItsFlows) {
  Bench bench(100, kIdleNs);
  for (std::uint64_t round = 1; round <= 5; ++round)
    for (std::uint64_t flow = 0; flow < 50; ++flow)
      EXPECT_EQ(bench.packet(flow, 0, round * 50 + flow), round) << flow;
  EXPECT_EQ(bench.table.counters().created, 50U);
  EXPECT_EQ(bench.table.counters().active, 50U);
  EXPECT_EQ(bench.table.counters().evicted, 0U);
  EXPECT_EQ(bench.table.counters().expired, 0U);
}

TEST(DataplaneFlowTable, APlanBelongsToItsFlowAndIsForgottenWithIt) {
  FlowTable table(100, kIdleNs);
  const FlowKey key = key_of(1);
  Flow& flow = find(table, key, flow_identity(key), 0, 1);
  EXPECT_EQ(flow.plan, 0U) << "none";
  flow.plan = 5;
  EXPECT_EQ(find(table, key, flow_identity(key), 0, 2).plan, 5U);
  EXPECT_EQ(find(table, key_of(2), flow_identity(key_of(2)), 0, 2).plan, 0U);
  table.forget_plans();
  EXPECT_EQ(flow.plan, 0U);
}

TEST(DataplaneFlowTable, TheSameKeyOnTwoPortsIsTwoFlows) {
  Bench bench(100, kIdleNs);
  EXPECT_EQ(bench.packet(7, 0, 1), 1U);
  EXPECT_EQ(bench.packet(7, 0, 2), 2U);
  for (PathId path_id = 1; path_id < 64; ++path_id)
    EXPECT_EQ(bench.packet(7, path_id, 3), 1U) << int{path_id};
  EXPECT_EQ(bench.packet(7, 0, 4), 3U);
  EXPECT_EQ(bench.table.counters().created, 64U);
}

TEST(DataplaneFlowTable, EqualIdentitiesWithOtherKeysAreOtherFlows) {
  FlowTable table(100, kIdleNs);
  find(table, key_of(1), 77, 0, 1).packets = 5;
  find(table, key_of(2), 77, 0, 2).packets = 6;
  EXPECT_EQ(find(table, key_of(1), 77, 0, 3).packets, 5U);
  EXPECT_EQ(find(table, key_of(2), 77, 0, 3).packets, 6U);
  EXPECT_EQ(table.counters().created, 2U);
}

/// Flows that want ghosts of their own (by the promise: as many as fit are kept).
TEST(DataplaneFlowTable, CountsSurviveEviction) {
  // 5 places in one bucket and 16 ghosts: 12 flows in turn evict one another all the time.
  Bench bench(5, kIdleNs);
  std::map<std::uint64_t, std::uint64_t> sent;
  std::uint64_t now_ns = 0;
  std::uint64_t lost = 0;
  for (int round = 0; round < 200; ++round) {
    for (std::uint64_t flow = 0; flow < 12; ++flow) {
      const std::uint64_t number = bench.packet(flow, 0, ++now_ns);
      if (number != sent[flow] + 1) {
        EXPECT_EQ(number, 1U) << "a count is kept or lost, never half";
        ++lost;
      }
      sent[flow] = number;
    }
  }
  const FlowCounters& counters = bench.table.counters();
  EXPECT_GT(counters.evicted, 1'000U);
  EXPECT_EQ(counters.expired, 0U);
  EXPECT_EQ(counters.active, 5U);
  EXPECT_EQ(counters.created, counters.evicted + 5);
  EXPECT_LE(lost, counters.ghost_collisions) << "no count is lost without being counted";
}

TEST(DataplaneFlowTable, CountsWithoutACollisionAreExact) {
  // Six flows for five places whose ghosts do not collide: found by trying.
  for (std::uint64_t first = 0; first < 1'000; first += 6) {
    Bench bench(5, kIdleNs);
    std::uint64_t now_ns = 0;
    bool exact = true;
    for (std::uint64_t round = 1; round <= 100; ++round)
      for (std::uint64_t flow = first; flow < first + 6; ++flow)
        exact &= bench.packet(flow, 0, ++now_ns) == round;
    EXPECT_TRUE(exact || bench.table.counters().ghost_collisions > 0) << first;
    if (exact) {
      EXPECT_GE(bench.table.counters().evicted, 500U);
      return;
    }
  }
  FAIL() << "six flows among sixteen ghosts: more tries fit than do not";
}

TEST(DataplaneFlowTable, EveryLostCountIsACountedCollision) {
  Bench bench(8, kIdleNs);
  std::map<std::uint64_t, std::uint64_t> sent;
  test::Random random(11);
  std::uint64_t lost = 0;
  for (std::uint64_t now_ns = 1; now_ns <= 100'000; ++now_ns) {
    const std::uint64_t flow = random.below(400);
    const std::uint64_t number = bench.packet(flow, 0, now_ns);
    std::uint64_t& last = sent[flow];
    EXPECT_TRUE(number == last + 1 || number == 1) << number << " after " << last;
    lost += number != last + 1 ? 1U : 0U;
    last = number;
  }
  EXPECT_GT(lost, 1'000U);
  EXPECT_GE(bench.table.counters().ghost_collisions, lost);
  EXPECT_EQ(bench.table.counters().active, 8U);
}

TEST(DataplaneFlowTable, TheOneSeenLongestAgoMakesRoom) {
  Bench bench(5, kIdleNs);
  for (std::uint64_t flow = 0; flow < 5; ++flow) bench.packet(flow, 0, 100 + flow);
  bench.packet(0, 0, 200);  // now flow 1 is the oldest
  bench.packet(99, 0, 201);
  const std::uint64_t created = bench.table.counters().created;
  EXPECT_EQ(created, 6U);
  for (const std::uint64_t flow : {0U, 2U, 3U, 4U, 99U}) bench.packet(flow, 0, 300);
  EXPECT_EQ(bench.table.counters().created, created) << "all of them were still there";
  bench.packet(1, 0, 301);
  EXPECT_EQ(bench.table.counters().created, created + 1) << "only flow 1 was gone";
}

TEST(DataplaneFlowTable, WhatIsBesideAFlowIsForgottenWithItAndCounted) {
  Bench bench(1, kIdleNs);
  const AnnexPiece piece{.stamp = 7, .owner = 2, .offset = 8, .bytes = 24};
  const auto state_of = [&](std::uint64_t flow, std::uint64_t now_ns) -> std::uint64_t& {
    const FlowKey key = key_of(flow);
    Flow& found = find(bench.table, key, flow_identity(key), 0, now_ns);
    return bench.table.state(bench.table.annex(found), piece)->as<std::uint64_t>();
  };
  state_of(1, 1) = 42;
  EXPECT_EQ(state_of(1, 2), 42U);
  EXPECT_EQ(bench.table.states().active, 1U);
  EXPECT_EQ(state_of(2, 3), 0U) << "another flow's, all new";
  EXPECT_EQ(bench.table.states().active, 1U);
  EXPECT_EQ(bench.table.states().lost, 1U);
  EXPECT_EQ(state_of(1, 4), 0U) << "forgotten";
}

TEST(DataplaneFlowTable, AFlowOfTheBurstThatHasToGoLeavesWhatItKnew) {
  Bench bench(1, kIdleNs);
  const AnnexPiece piece{.stamp = 7, .owner = 0, .offset = 0, .bytes = 8};
  const FlowKey key = key_of(1);
  bench.table.begin_burst(100);
  Flow& flow = find(bench.table, key, flow_identity(key), 0, 100);
  FlowAnnex& annex = bench.table.annex(flow);
  bench.table.state(annex, piece)->as<std::uint64_t>() = 42;
  bench.packet(2, 0, 101);
  ASSERT_EQ(bench.table.displaced_count(), 1U);
  EXPECT_EQ(bench.table.displaced(0).from, &annex);
  EXPECT_EQ(bench.table.state(bench.table.displaced(0).to, piece)->as<std::uint64_t>(), 42U);
  bench.table.begin_burst(200);
  bench.packet(3, 0, 200);
  EXPECT_EQ(bench.table.displaced_count(), 0U) << "flow 2 was not of this burst";
}

struct IdleCase {
  std::uint64_t waited_ns;
  std::uint64_t expired;
  std::uint64_t evicted;
};

TEST(DataplaneFlowTable, IdleFlowsExpireAndBusyOnesAreEvicted) {
  for (const IdleCase& one : {IdleCase{kIdleNs, 0, 1}, IdleCase{kIdleNs + 1, 1, 0},
                              IdleCase{5, 0, 1}, IdleCase{100 * kIdleNs, 1, 0}}) {
    Bench bench(5, kIdleNs);
    for (std::uint64_t flow = 0; flow < 5; ++flow) bench.packet(flow, 0, 1'000);
    bench.packet(99, 0, 1'000 + one.waited_ns);
    EXPECT_EQ(bench.table.counters().expired, one.expired) << one.waited_ns;
    EXPECT_EQ(bench.table.counters().evicted, one.evicted) << one.waited_ns;
    EXPECT_EQ(bench.table.counters().active, 5U);
  }
}

TEST(DataplaneFlowTable, AnIdleFlowThatNobodyPushedOutKeepsItsCount) {
  Bench bench(1, kIdleNs);
  EXPECT_EQ(bench.packet(1, 0, 0), 1U);
  EXPECT_EQ(bench.packet(1, 0, 1'000 * kIdleNs), 2U);
  EXPECT_EQ(bench.table.counters().expired, 0U);
}

TEST(DataplaneFlowTable, NeverFails) {
  for (const std::uint64_t flows_max : {1U, 2U, 7U, 8U, 9U, 100U}) {
    Bench bench(flows_max, kIdleNs);
    for (std::uint64_t flow = 0; flow < 20'000; ++flow)
      EXPECT_EQ(bench.packet(flow, static_cast<std::uint8_t>(flow % 3), flow), 1U);
    const FlowCounters& counters = bench.table.counters();
    EXPECT_EQ(counters.created, 20'000U);
    EXPECT_EQ(counters.created, counters.active + counters.evicted + counters.expired);
    EXPECT_EQ(counters.active, flows_max);
  }
}

TEST(DataplaneFlowTable, TurnsNobodyAwayUpToItsSize) {
  for (const std::uint64_t flows_max : {1'000U, 1'360U, 1'632U, 5'456U, 6'547U, 21'840U, 26'208U,
                                        43'685U, 52'422U, 65'536U, 87'376U, 104'851U}) {
    Bench bench(flows_max, kIdleNs * 1'000'000);
    for (std::uint64_t flow = 0; flow < flows_max; ++flow) bench.packet(flow, 0, flow);
    EXPECT_EQ(bench.table.counters().evicted, 0U) << flows_max;
  }
}

}  // namespace
}  // namespace faultline
