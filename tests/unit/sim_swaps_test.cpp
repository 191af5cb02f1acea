// Policies swapped under a worker in virtual time: 10,000 of them, exact to the nanosecond. Each
// packet is judged by the policy whose time had come when it arrived, none is lost, doubled or
// overtaken, and none leaves early.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "dataplane/mbufs.hpp"
#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
#include "drivers/sim.hpp"
#include "policy/compile.hpp"
#include "sim/virtual_worker.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kPackets = 200'000;
constexpr std::uint32_t kSwaps = 10'000;
constexpr std::uint64_t kGapNs = 11'000;
constexpr std::uint64_t kStepNs = kPackets * kGapNs / kSwaps;

/// Which policy judged which packet.
class Generations final : public Witness {
 public:
  bool wants_flows() const noexcept override { return false; }
  void arrived(const Arrivals& arrivals, const JudgedBurst& burst) noexcept override {
    for (std::uint32_t i = arrivals.first; i < arrivals.first + arrivals.count; ++i)
      of[burst.sequence[i]] = arrivals.policy.generation;
  }
  void matched(const RuleProgram&, const Selection&, const JudgedBurst&) noexcept override {}
  void asks(const RuleProgram&, std::size_t, const Selection&, const Asked&,
            const JudgedBurst&) noexcept override {}
  void judged(const RuleProgram&, std::size_t, const Selection&,
              const JudgedBurst&) noexcept override {}
  void dropped(const HoldKey&, const rte_mbuf*, DropReason) noexcept override { ++drops; }

  std::vector<std::uint64_t> of = std::vector<std::uint64_t>(kPackets);
  std::uint32_t drops = 0;
};

class Sent final : public SimulatedOutput {
 public:
  void sent(const HoldKey& key, const rte_mbuf*) noexcept override {
    order.push_back(key.sequence);
    releases.push_back(key.release_ns);
  }
  std::vector<std::uint32_t> order;
  std::vector<std::uint64_t> releases;
};

rte_mempool* the_pool() {
  static rte_mempool* pool = [] {
    EalSettings settings;
    settings.main_core = allowed_cores().front();
    if (!start_eal(settings))
      return static_cast<rte_mempool*>(nullptr);
    Result<rte_mempool*> made = make_pool("swaps", 8'191, 256, SOCKET_ID_ANY);
    return made ? *made : nullptr;
  }();
  return pool;
}

Policy policy_with(const std::string& impair, const CompileRequest& request, PolicySlots& slots) {
  const Result<Scenario> scenario = read_scenario(
      test::tree_of("version: 1\nrules: [{name: line, from: left, impair: [" + impair + "]}]\n"),
      ScenarioUse::kSimulate);
  Result<Policy> policy = compile_policy(*scenario, request, slots);
  EXPECT_TRUE(policy.has_value());
  return std::move(*policy);
}

TEST(SimSwaps, TenThousandAreExact) {
  rte_mempool* pool = the_pool();
  ASSERT_NE(pool, nullptr);
  const unsigned before = rte_mempool_avail_count(pool);
  {
    Sent output;
    SimPort left(output);
    SimPort right(output);
    VirtualTime time;
    time.set(1'000'000'000);
    PolicySlots slots(2);
    CompileRequest request{.generation = 1, .seed = 7};
    request.active_from_ns = time.now_ns();
    std::vector<std::unique_ptr<const Policy>> policies;
    policies.push_back(std::make_unique<const Policy>(policy_with("delay: 3ms", request, slots)));
    std::atomic<const Policy*> published{policies.back().get()};
    VirtualWorker worker({.rx_burst = 64, .hold_bytes = 64 << 20}, {&left, &right}, time, pool,
                         published);
    Generations generations;
    worker.set_witness(&generations);

    test::Random random(11);
    std::map<std::uint64_t, std::uint64_t> active_from{{time.now_ns(), 1}};
    const std::uint64_t start_ns = time.now_ns() + 1;
    std::vector<std::uint64_t> arrivals;
    std::uint64_t next_swap_ns = start_ns + kStepNs;
    while (arrivals.size() < kPackets) {
      const std::uint64_t burst = 1 + random.below(32);
      for (std::uint64_t i = 0; i < burst && arrivals.size() < kPackets; ++i) {
        rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
        ASSERT_NE(mbuf, nullptr);
        rte_pktmbuf_append(mbuf, 60);
        arrivals.push_back(start_ns + arrivals.size() * kGapNs);
        left.put(mbuf, arrivals.back(), static_cast<std::uint32_t>(arrivals.size() - 1));
      }
      time.set(arrivals.back());
      worker.poll();
      // One change at a time, each active a while after it was published.
      const bool adopted = worker.adopted_generation() == policies.size();
      if (!adopted || time.now_ns() < next_swap_ns || policies.size() > kSwaps)
        continue;
      next_swap_ns += kStepNs;
      ++request.generation;
      request.active_from_ns = time.now_ns() + 1 + random.below(kStepNs / 4);
      request.previous = policies.back().get();
      const auto delay_us = std::to_string(random.below(20'000));
      policies.push_back(
          std::make_unique<const Policy>(policy_with("delay: " + delay_us + "us", request, slots)));
      active_from[request.active_from_ns] = request.generation;
      published.store(policies.back().get());
    }
    while (worker.next_release_ns() != kNever) {
      time.set(std::max(time.now_ns(), worker.next_release_ns()));
      worker.poll();
    }

    EXPECT_GT(policies.size(), kSwaps * 9 / 10);
    EXPECT_EQ(generations.drops, 0U);
    ASSERT_EQ(output.order.size(), kPackets);
    std::uint32_t wrong = 0;
    for (std::uint32_t packet = 0; packet < kPackets; ++packet) {
      const std::uint64_t due = std::prev(active_from.upper_bound(arrivals[packet]))->second;
      wrong += generations.of[packet] == due ? 0U : 1U;
      wrong += output.order[packet] == packet ? 0U : 1U;
      wrong += output.releases[packet] >= arrivals[packet] ? 0U : 1U;
      wrong += packet == 0 || output.releases[packet] >= output.releases[packet - 1] ? 0U : 1U;
    }
    EXPECT_EQ(wrong, 0U);
    WorkerSnapshot snapshot(2);
    worker.fill(snapshot);
    EXPECT_TRUE(snapshot.counters.ledger.balances(0));
    EXPECT_EQ(snapshot.counters.ledger.sent, kPackets);
    EXPECT_EQ(snapshot.counters.early, 0U);
  }
  EXPECT_EQ(rte_mempool_avail_count(pool), before) << "every mbuf has come back";
}

/// A lease that is renewed until it is not: packets before its end are hit, none after it, and a
/// renewal that comes too late fails.
TEST(SimSwaps, ALeaseEndsAtItsInstant) {
  rte_mempool* pool = the_pool();
  ASSERT_NE(pool, nullptr);
  Sent output;
  SimPort left(output);
  SimPort right(output);
  VirtualTime time;
  const std::uint64_t start_ns = 1'000'000'000;
  time.set(start_ns);
  PolicySlots slots(2);
  CompileRequest request{.generation = 1, .seed = 7};
  request.active_from_ns = start_ns;
  const auto term = std::make_shared<LeaseTerm>(start_ns + 1'000'000);
  request.leases["lab"] = term;
  const Result<Scenario> scenario =
      read_scenario(test::tree_of("version: 1\nrules: [{name: cut, from: left, lease: lab, impair: "
                                  "[loss: all]}]\n"),
                    ScenarioUse::kSimulate);
  const Result<Policy> policy = compile_policy(*scenario, request, slots);
  ASSERT_TRUE(policy.has_value());
  std::atomic<const Policy*> published{&*policy};
  VirtualWorker worker({.rx_burst = 64, .hold_bytes = 1 << 20}, {&left, &right}, time, pool,
                       published);
  std::uint32_t packets = 0;
  const auto send_until = [&](std::uint64_t end_ns) {
    for (; start_ns + packets * kGapNs < end_ns; ++packets) {
      rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
      ASSERT_NE(mbuf, nullptr);
      rte_pktmbuf_append(mbuf, 60);
      left.put(mbuf, start_ns + packets * kGapNs, packets);
      time.set(start_ns + packets * kGapNs);
      worker.poll();
    }
  };
  send_until(start_ns + 900'000);
  EXPECT_TRUE(term->renew(start_ns + 2'500'000));
  send_until(start_ns + 5'000'000);
  EXPECT_EQ(term->end_ns(), 0U);
  EXPECT_FALSE(term->renew(time.now_ns() + 1'000'000)) << "too late";
  send_until(start_ns + 6'000'000);
  // Number n arrives at n · 11 µs: the first at or after 2.5 ms is number 228.
  ASSERT_FALSE(output.order.empty());
  EXPECT_EQ(output.order.front(), 228U);
  EXPECT_EQ(output.order.size(), packets - 228);
  EXPECT_FALSE(policy->any_active_at(time.now_ns()));
}

/// A frame may come in pieces; payloads are searched as if it did not.
TEST(SimWorker, PayloadsAcrossThePiecesOfAFrameAreSearched) {
  rte_mempool* pool = the_pool();
  ASSERT_NE(pool, nullptr);
  const unsigned before = rte_mempool_avail_count(pool);
  Sent output;
  SimPort left(output);
  SimPort right(output);
  VirtualTime time;
  time.set(1'000);
  PolicySlots slots(2);
  const Result<Scenario> scenario = read_scenario(
      test::tree_of(
          "version: 1\nrules: [{name: r, from: left, match: {payload: {literal: needle}}, "
          "impair: [loss: all]}]\n"),
      ScenarioUse::kSimulate);
  Result<Policy> policy = compile_policy(*scenario, {.generation = 1, .seed = 7}, slots);
  ASSERT_TRUE(policy.has_value() && policy->payload->prepare(1).has_value());
  std::atomic<const Policy*> published{&*policy};
  VirtualWorker worker({.rx_burst = 64, .hold_bytes = 1 << 20}, {&left, &right}, time, pool,
                       published);
  constexpr std::size_t kPieceBytes = 200;
  for (const std::size_t at : {100U, 397U, 594U, 800U}) {
    test::Bytes frame = test::make(test::Ipv4Frame{.payload_bytes = 800 - 42});
    if (at < frame.size())
      std::memcpy(&frame[at], "needle", 6);
    rte_mbuf* whole = nullptr;
    for (std::size_t first = 0; first < frame.size(); first += kPieceBytes) {
      rte_mbuf* piece = rte_pktmbuf_alloc(pool);
      ASSERT_NE(piece, nullptr);
      std::memcpy(rte_pktmbuf_append(piece, kPieceBytes), &frame[first], kPieceBytes);
      if (whole == nullptr)
        whole = piece;
      else
        ASSERT_EQ(rte_pktmbuf_chain(whole, piece), 0);
    }
    time.set(1'000 + at);
    left.put(whole, 1'000 + at, static_cast<std::uint32_t>(at));
    worker.poll();
  }
  EXPECT_EQ(output.order, std::vector<std::uint32_t>{800});
  EXPECT_EQ(rte_mempool_avail_count(pool), before) << "every mbuf has come back";
}

TEST(Mbufs, AreOverwrittenWhenFreedInDebugBuilds) {
  rte_mempool* pool = the_pool();
  ASSERT_NE(pool, nullptr);
  rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
  ASSERT_NE(mbuf, nullptr);
  const char* bytes = rte_pktmbuf_append(mbuf, 64);
  std::memset(rte_pktmbuf_mtod(mbuf, char*), 'x', 64);
  free_mbufs(&mbuf, 1);
  EXPECT_EQ(bytes[63], kPoisonFreed ? '\xDB' : 'x');
}

}  // namespace
}  // namespace faultline
