// What a scenario needs of the machine, and when that is too much.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "policy/capacity.hpp"
#include "policy/compile.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

const std::uint64_t kMemory = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                              static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
const std::uint64_t kUsual = std::max(std::uint64_t{256} << 20, kMemory / 4);

Capacity capacity_for(const std::string& rules, const std::string& rest = "",
                      std::uint64_t flows_memory = 0) {
  Result<Scenario> scenario = read_scenario(
      test::tree_of("version: 1\nrules: [" + rules + "]\n" + rest), ScenarioUse::kSimulate);
  if (!scenario) {
    ADD_FAILURE() << to_line(scenario.error().front());
    return {};
  }
  PolicySlots slots(scenario->path_count());
  const Result<Policy> policy = compile_policy(*scenario, {}, slots);
  const Result<WorkerLayout> layout = least_layout(*scenario);
  return policy && layout ? capacity_of(*scenario, *policy, flows_memory, *layout) : Capacity{};
}

std::string ports(const std::string& left, const std::string& right) {
  return "ports: {left: {" + left + "}, right: {" + right + "}}\nwires: {w: [left, right]}\n";
}

TEST(PolicyCapacity, RateTimesDelay) {
  // 10 Gbit/s in frames that take 84 bytes of wire, for 40 ms: 595,238 of 88 bytes, each way.
  EXPECT_EQ(capacity_for("").hold_needed, 0U);
  EXPECT_EQ(capacity_for("{name: a, impair: [delay: 40ms]}").hold_needed, 2U * 595'238 * 88);
  // Where packets overtake each other each takes 8 more; 999 of 1,000 wait less than 39.98 ms.
  EXPECT_EQ(capacity_for("{name: a, impair: [delay: {time: 30ms, jitter: 10ms, distribution: "
                         "uniform, order: free}]}")
                .hold_needed,
            2U * 594'940 * 96);
  EXPECT_EQ(capacity_for("{name: a, from: left, impair: [delay: 30ms, delay: 5ms]}, "
                         "{name: b, from: left, impair: [delay: 5ms]}")
                .hold_needed,
            595'238U * 88);
  const Capacity slow = capacity_for("{name: a, impair: [delay: 40ms]}",
                                     ports("driver: sim, speed: 1Gbit", "driver: sim"));
  EXPECT_EQ(slow.hold_needed, (59'523U + 595'238U) * 88);
  EXPECT_EQ(slow.stay_ns, 40 * kNsPerMs);
  EXPECT_EQ(slow.speed_bps, 10'000'000'000U);
  EXPECT_FALSE(slow.speed_known) << "of the port that needs most";
}

TEST(PolicyCapacity, ALinkBoundsWhatWaitsForItAndBehindIt) {
  const std::string ends = "{name: a, from: left, impair: [";
  // A full queue of the largest frames leaves in 7.6944 s; a megabit is 16,030 frames of 60 bytes
  // in that time and 2,083 in the second behind it.
  EXPECT_EQ(capacity_for(ends + "rate: 1Mbit, queue: {limit: 100p}]}").hold_needed, 16'030U * 88);
  EXPECT_EQ(capacity_for(ends + "rate: 1Mbit, queue: {limit: 100p}, delay: 1s]}").hold_needed,
            (16'030U + 2'083U) * 88);
  // Before it, and in another rule, whose packets may be others, as fast as they come.
  EXPECT_EQ(capacity_for(ends + "delay: 40ms, rate: 1Mbit, queue: {limit: 100p}]}").hold_needed,
            (595'238U + 16'030U) * 88);
  EXPECT_EQ(capacity_for(ends + "rate: 1Mbit, queue: {limit: 100p}]}, {name: b, from: left, "
                                "impair: [delay: 40ms]}")
                .hold_needed,
            (595'238U + 16'030U) * 88);
  // A link each flow: nobody knows how many.
  EXPECT_GT(capacity_for("{name: a, from: left, per: flow, impair: [rate: 1Mbit, queue: {limit: "
                         "100p}]}")
                .hold_needed,
            std::uint64_t{10'000'000'000});
  const Capacity capacity = capacity_for(ends + "rate: 1Gbit, queue: {limit: 1000p}, delay: 1h]}");
  EXPECT_EQ(capacity.stay_ns, 0U);
  EXPECT_EQ(capacity.misfit.substr(0, 12), "the hold has");
  EXPECT_NE(capacity.misfit.find("what waits for links and behind them"), std::string::npos);
}

TEST(PolicyCapacity, HeavyTailsCountByTheirUsualDelay) {
  // A Pareto law's longest delay would be minutes; one packet in a thousand stays longer than this.
  const Capacity capacity = capacity_for(
      "{name: a, from: left, impair: [delay: {time: 40ms, jitter: 5ms, distribution: pareto, "
      "shape: 3, order: free}]}");
  // (x − mean)/sd at 1 − 10^-3: (10 − 1.5)/0.866 = 9.815.
  EXPECT_NEAR(static_cast<double>(capacity.stay_ns), 40e6 + 9.815 * 5e6, 1e5);
  EXPECT_TRUE(capacity.fits());
}

TEST(PolicyCapacity, TheHoldIsAsWrittenOrAsNeeded) {
  EXPECT_EQ(capacity_for("").hold, kUsual);
  EXPECT_EQ(capacity_for("", "hold: {memory: 2GB}\n").hold, 2'000'000'000U);
  // A second of 10 Gbit/s needs 14,880,952 · 88 bytes.
  const std::uint64_t seconds = kMemory / 2 / 1'309'523'776;
  const Capacity half =
      capacity_for("{name: a, from: left, impair: [delay: " + std::to_string(seconds) + "s]}");
  EXPECT_GT(half.hold, kUsual);
  EXPECT_EQ(half.hold, half.hold_needed);
  EXPECT_TRUE(half.fits());
}

TEST(PolicyCapacity, WhatDoesNotFitIsRefusedWithTheNumbers) {
  const std::string rule = "{name: a, impair: [delay: 40ms]}";
  const std::string speeds = ports("driver: sim, speed: 10Gbit", "driver: sim, speed: 10Gbit");
  EXPECT_TRUE(capacity_for(rule, speeds + "hold: {memory: 104761888B}\n").fits());
  const Capacity small = capacity_for(rule, speeds + "hold: {memory: 104761887B}\n");
  EXPECT_TRUE(small.must_refuse());
  EXPECT_EQ(small.misfit,
            "the hold has 104761887 bytes, but 10 Gbit/s in 64-byte frames for 40ms need "
            "104761888");
  const Capacity guessed = capacity_for(rule, "hold: {memory: 104761887B}\n");
  EXPECT_FALSE(guessed.fits());
  EXPECT_FALSE(guessed.must_refuse()) << "nobody knows what a simulated port brings";
  EXPECT_TRUE(capacity_for(rule, ports("driver: af_packet, interface: a", "driver: 'null'") +
                                     "hold: {memory: 2MB}\n")
                  .must_refuse())
      << "a real port";
  EXPECT_EQ(capacity_for(rule, ports("driver: sim, speed: 2.5Gbit", "driver: sim, speed: 1kbit") +
                                   "hold: {memory: 2MB}\n")
                .misfit,
            "the hold has 2000000 bytes, but 2500 Mbit/s in 64-byte frames for 40ms need "
            "13095192");
}

TEST(PolicyCapacity, FlowsTakeMemoryToo) {
  const std::string rule = "{name: a, impair: [delay: 40ms]}";
  const std::string speeds = ports("driver: sim, speed: 10Gbit", "driver: sim, speed: 10Gbit");
  EXPECT_TRUE(capacity_for(rule, speeds, kMemory - 104'761'888).fits());
  const Capacity capacity = capacity_for(rule, speeds, kMemory);
  EXPECT_TRUE(capacity.must_refuse());
  EXPECT_EQ(capacity.misfit, "65536 flows need " + std::to_string(kMemory) +
                                 " bytes and packets that wait 104761888; the machine has " +
                                 std::to_string(kMemory));
}

}  // namespace
}  // namespace faultline
