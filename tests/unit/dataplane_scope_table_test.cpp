// The scope table: states that stay until they must make room, never within a round; queues that go
// back to their pool; and which policies packets on their way still need.
#include "dataplane/scope_table.hpp"

#include <gtest/gtest.h>

#include <map>

#include "dataplane/resume.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

constexpr ScopeTable::Owner kOwner{7, 1, StateQueue::kNone};

std::uint64_t& value_of(ScopeState* state) {
  return state->as<std::uint64_t>();
}

TEST(DataplaneScopeTable, RemembersByOwnerAndIdentity) {
  BacklogPool pool(1);
  ServedPool served(1);
  ScopeTable table(1'000, {pool, served});
  for (std::uint64_t identity = 0; identity < 1'000; ++identity) {
    table.begin_round();
    value_of(table.find(kOwner, identity * 0x9E3779B97F4A7C15, 1)) = identity + 1;
  }
  for (std::uint64_t identity = 0; identity < 1'000; ++identity) {
    table.begin_round();
    EXPECT_EQ(value_of(table.find(kOwner, identity * 0x9E3779B97F4A7C15, 2)), identity + 1);
  }
  table.begin_round();
  EXPECT_EQ(value_of(table.find({8, 1, StateQueue::kNone}, 0, 3)), 0U) << "another slot";
  EXPECT_EQ(value_of(table.find({7, 2, StateQueue::kNone}, 0, 3)), 0U)
      << "the slot handed out again";
  EXPECT_EQ(value_of(table.find({7, 1, StateQueue::kNone}, 0, 3)), 1U);
  EXPECT_EQ(table.counters().active, 1'002U);
  EXPECT_EQ(table.counters().lost, 0U);
}

TEST(DataplaneScopeTable, TheOneSeenLongestAgoMakesRoomAndIsCounted) {
  BacklogPool pool(1);
  ServedPool served(1);
  ScopeTable table(1, {pool, served});  // one bucket of eight
  for (std::uint64_t identity = 0; identity < 8; ++identity) {
    table.begin_round();
    value_of(table.find(kOwner, identity, 100 + identity)) = 5;
  }
  table.begin_round();
  value_of(table.find(kOwner, 0, 200));  // now 1 is the oldest
  table.begin_round();
  EXPECT_EQ(value_of(table.find(kOwner, 99, 201)), 0U);
  EXPECT_EQ(table.counters().lost, 1U);
  EXPECT_EQ(table.counters().active, 8U);
  for (const std::uint64_t kept : {0U, 2U, 3U, 4U, 5U, 6U, 7U}) {
    table.begin_round();
    EXPECT_EQ(value_of(table.find(kOwner, kept, 300)), 5U) << kept;
  }
}

TEST(DataplaneScopeTable, NobodyIsForgottenWithinARound) {
  BacklogPool pool(1);
  ServedPool served(1);
  ScopeTable table(1, {pool, served});
  table.begin_round();
  std::map<std::uint64_t, ScopeState*> states;
  for (std::uint64_t identity = 0; identity < 8; ++identity) {
    states[identity] = table.find(kOwner, identity, 1);
    value_of(states[identity]) = identity;
  }
  EXPECT_EQ(table.find(kOwner, 8, 1), nullptr);
  for (const auto& [identity, state] : states) EXPECT_EQ(value_of(state), identity);
  EXPECT_EQ(table.counters().lost, 0U);
  table.begin_round();
  EXPECT_NE(table.find(kOwner, 8, 1), nullptr);
  EXPECT_EQ(table.counters().lost, 1U);
}

TEST(DataplaneScopeTable, AForgottenQueueGoesBackToItsPool) {
  BacklogPool pool(8);
  ServedPool served(8);
  ScopeTable table(1, {pool, served});
  for (std::uint64_t identity = 0; identity < 100; ++identity) {
    table.begin_round();
    auto& queue = table.find({7, 1, StateQueue::kBacklog}, identity, identity)->as<BacklogList>();
    EXPECT_TRUE(pool.push(queue, 1'000, 60)) << identity;
    EXPECT_EQ(queue.packets, 1U);
    EXPECT_EQ(queue.bytes, 60U);
  }
}

TEST(DataplaneScopeTable, PacketsOfAForgottenQueueAreNotForgotten) {
  BacklogPool backlog(1);
  ServedPool pool(100);
  ScopeTable table(1, {backlog, pool});
  const CompiledImpairment impairment;
  std::uint64_t abandoned = 0;
  for (std::uint64_t identity = 0; identity < 100; ++identity) {
    table.begin_round();
    auto& queue = table.find({7, 1, StateQueue::kServed}, identity, identity)->as<ServedQueue>();
    pool.meet(queue);
    ASSERT_NE(pool.push(queue, 1'000, 60, 0, impairment), 0U) << identity;
    while (pool.abandoned().head != 0) {
      pool.take_head(pool.abandoned());
      ++abandoned;
    }
  }
  EXPECT_EQ(abandoned, table.counters().lost);
  EXPECT_EQ(pool.packets(), 100 - abandoned);
  EXPECT_GT(abandoned, 50U);
}

TEST(DataplanePolicyUse, KnowsTheOldest) {
  auto use = std::make_unique<PolicyUse>();
  EXPECT_EQ(use->oldest(), UINT64_MAX);
  use->take(5);
  use->take(5);
  use->take(7);
  EXPECT_EQ(use->oldest(), 5U);
  use->give_back(5);
  EXPECT_EQ(use->oldest(), 5U);
  use->give_back(5);
  EXPECT_EQ(use->oldest(), 7U);
  use->give_back(7);
  EXPECT_EQ(use->oldest(), UINT64_MAX);
  use->take(9);
  EXPECT_EQ(use->oldest(), 9U);
  use->clear();
  EXPECT_EQ(use->oldest(), UINT64_MAX);
}

TEST(DataplanePolicyUse, NeverSaysTooYoung) {
  // Against a plain list, with generations that run far ahead of packets that wait for long.
  auto use = std::make_unique<PolicyUse>();
  std::multimap<std::uint64_t, int> held;
  test::Random random(3);
  std::uint64_t generation = 1;
  for (int step = 0; step < 100'000; ++step) {
    if (held.empty() || random.below(2) == 0) {
      generation += random.below(200);
      use->take(generation);
      held.emplace(generation, 0);
    } else {
      auto one = held.begin();
      if (random.below(50) != 0)
        std::advance(one, static_cast<std::ptrdiff_t>(random.below(held.size())));
      use->give_back(one->first);
      held.erase(one);
    }
    ASSERT_LE(use->oldest(), held.empty() ? UINT64_MAX : held.begin()->first);
    if (held.empty())
      ASSERT_EQ(use->oldest(), UINT64_MAX);
  }
}

}  // namespace
}  // namespace faultline
