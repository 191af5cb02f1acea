// The law of a wrong clock: f of a stamp in exact numbers, the way back, and how values are read.
#include <gtest/gtest.h>

#include "impair/clock.hpp"
#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kYears30 = std::uint64_t{10'957} * 86'400 << 32;

ClockLaw law_of(const std::string& keys) {
  Problems problems;
  const ConfigNode tree = test::tree_of("{node: x, " + keys + "}");
  const WrongClock clock = read_clock(tree, test::bench_context(), problems);
  EXPECT_TRUE(problems.empty()) << keys << (problems.empty() ? "" : to_line(problems.front()));
  return clock.ptp_law;
}

TEST(ImpairClockLaw, TheLawInNanoseconds) {
  struct LawCase {
    std::string keys;
    std::int64_t elapsed;
    std::int64_t off;
  };
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::string steps = "steps: [{at: 60s, by: -1s}, {at: 10s, by: 250ms}]";
  const std::string all = "offset: 1ms, drift: 50ppm, smear: {by: 1s, over: 24h}, " + steps;
  const LawCase cases[] = {
      {"offset: 250ms", 0, 250'000'000},
      {"offset: -250ms", 77 * kSecond, -250'000'000},
      {"offset: +1h", 0, 3'600 * kSecond},
      {"drift: 50ppm", kSecond, 50'000},
      {"drift: 50ppm", -kSecond, -50'000},
      {"drift: -50ppm", kSecond, -50'000},
      {"drift: 50ppm", 19'999, 0},
      {"drift: 50ppm", 20'000, 1},
      {"drift: 50ppm", -1, -1},
      {"drift: 20ppb", kSecond, 20},
      {"drift: 0.5ppm", 2 * kSecond, 1'000},
      {"drift: 100000ppm", kSecond, 100'000'000},
      {steps, 10 * kSecond - 1, 0},
      {steps, 10 * kSecond, 250'000'000},
      {steps, 60 * kSecond - 1, 250'000'000},
      {steps, 60 * kSecond, -750'000'000},
      {"smear: {by: 1s, over: 24h}", -kSecond, 0},
      {"smear: {by: 1s, over: 24h}", 86'400, 1},
      {"smear: {by: 1s, over: 24h}", 43'200 * kSecond, kSecond / 2},
      {"smear: {by: 1s, over: 24h}", 86'400 * kSecond, kSecond},
      {"smear: {by: 1s, over: 24h}", 90'000 * kSecond, kSecond},
      {"smear: {by: -1s, over: 24h}", 86'401 * kSecond, -kSecond},
      {all, 86'400 * kSecond, 1'000'000 + 4'320'000'000 + kSecond - 750'000'000},
  };
  for (const LawCase& one : cases)
    EXPECT_EQ(law_of(one.keys).off_by(one.elapsed), one.off) << one.keys << " " << one.elapsed;
}

TEST(ImpairClockLaw, ToldStampsAreNeverZeroUnlessTheyWere) {
  ClockLaw law;
  law.offset = -5;
  EXPECT_EQ(told(law, 0, 0), 0U);
  EXPECT_EQ(told(law, 0, 5), 1U);
  EXPECT_EQ(told(law, 0, 6), 1U);
  EXPECT_EQ(told(law, 0, 4), ~std::uint64_t{0}) << "an era back";
}

/// Whatever was told is found again while it is among the last eight, however the law goes.
TEST(ImpairClockLaw, TheWayBack) {
  test::Random random(7);
  for (int turn = 0; turn < 300; ++turn) {
    ClockLaw law;
    law.offset = static_cast<std::int64_t>(random.below(kYears30)) - (1LL << 40);
    law.drift_ppt = static_cast<std::int64_t>(random.below(200'000'000'000)) - 100'000'000'000;
    law.smear_by = static_cast<std::int64_t>(random.below(1ULL << 33)) - (1LL << 32);
    law.smear_over = 11LL << 32;
    law.step_count = 2;
    law.steps[0] = {1LL << 32, static_cast<std::int64_t>(random.below(1ULL << 36)) - (1LL << 35)};
    law.steps[1] = {3LL << 32, -(1LL << 33)};
    ClockMemory memory;
    memory.begin(1);
    const std::uint64_t start = random.below(UINT64_MAX);
    std::vector<std::uint64_t> stamps;
    std::vector<std::uint64_t> shifted;
    for (int number = 0; number < 20; ++number) {
      stamps.push_back(start + random.below(20ULL << 32));
      shifted.push_back(told(law, start, stamps.back()));
      memory.note(shifted.back(), stamps.back());
      for (int age = 0; age <= number && age < 8; ++age) {
        const std::size_t place = static_cast<std::size_t>(number - age);
        ASSERT_EQ(memory.original(law, start, shifted[place]), stamps[place]) << turn << " " << age;
      }
    }
    EXPECT_EQ(memory.original(law, start, shifted[11]), std::nullopt) << "the ninth";
    EXPECT_EQ(memory.original(law, start, shifted[19] + 1), std::nullopt);
    memory.begin(2);
    EXPECT_EQ(memory.original(law, start, shifted[19]), std::nullopt);
  }
}

// --- reading -------------------------------------------------------------------------------------

TEST(ImpairClockLaw, Errors) {
  const test::ErrorCase cases[] = {
      {"clock: {node: y, offset: 1s}",
       {"f:1:15: error: unknown node 'y'; one of the nodes n0, n1, n2, n3, n4, x"}},
      {"clock: {node: n33, offset: 1s}",
       {"f:1:15: error: unknown node 'n33'; one of the nodes n0, n1, n2, n3, n4, x; did you mean "
        "'n3'?"}},
      {"clock: {node: [x], offset: 1s}",
       {"f:1:15: error: unknown node a list; one of the nodes n0, n1, n2, n3, n4, x"}},
      {"clock: {offset: 1s}", {"f:1:8: error: clock: 'node' is missing"}},
      {"clock: {node: x}",
       {"f:1:8: error: clock: nothing is wrong with it; one of offset, drift, steps, smear, leap, "
        "stratum, kod, root_delay, root_dispersion, announce, drop_announce"}},
      {"clock: {node: x, offset: soon}",
       {"f:1:26: error: found 'soon'; a duration such as 250ms or -1s (ns us ms s m h d) of at "
        "most 21900d"}},
      {"clock: {node: x, offset: -5}",
       {"f:1:26: error: found '-5'; a duration such as 250ms or -1s (ns us ms s m h d) of at most "
        "21900d"}},
      {"clock: {node: x, offset: 21901d}",
       {"f:1:26: error: found '21901d'; a duration such as 250ms or -1s (ns us ms s m h d) of at "
        "most 21900d"}},
      {"clock: {node: x, drift: 50}",
       {"f:1:25: error: found '50'; a drift such as 50ppm, -0.5ppm or 20ppb, at most 100000ppm"}},
      {"clock: {node: x, drift: 100001ppm}",
       {"f:1:25: error: found '100001ppm'; a drift such as 50ppm, -0.5ppm or 20ppb, at most "
        "100000ppm"}},
      {"clock: {node: x, drift: 0.0000001ppm}",
       {"f:1:25: error: found '0.0000001ppm'; a drift such as 50ppm, -0.5ppm or 20ppb, at most "
        "100000ppm"}},
      {"clock: {node: x, drift: 1.ppm}",
       {"f:1:25: error: found '1.ppm'; a drift such as 50ppm, -0.5ppm or 20ppb, at most "
        "100000ppm"}},
      {"clock: {node: x, steps: []}",
       {"f:1:25: error: found a list; a list of 1 to 64 steps such as {at: 60s, by: -1s}"}},
      {"clock: {node: x, steps: [{at: 1s}]}", {"f:1:26: error: a step: 'by' is missing"}},
      {"clock: {node: x, steps: [{at: -1s, by: 1s}]}",
       {"f:1:31: error: '-1s' is negative; a duration such as 40ms (ns us ms s m h d)"}},
      {"clock: {node: x, smear: {by: 1s, over: 9s}}",
       {"f:1:25: error: a smear of more than a tenth of its time; such as {by: 1s, over: 24h}"}},
      {"clock: {node: x, smear: {by: 1s}}", {"f:1:25: error: smear: 'over' is missing"}},
      {"clock: {node: x, protocols: []}",
       {"f:1:29: error: an empty list of protocols; ntp, ptp",
        "f:1:8: error: clock: nothing is wrong with it; one of offset, drift, steps, smear, leap, "
        "stratum, kod, root_delay, root_dispersion, announce, drop_announce"}},
      {"clock: {node: x, offset: 1s, protocols: [dhcp]}",
       {"f:1:42: error: found 'dhcp'; one of ntp, ptp"}},
      {"clock: {node: x, offset: 1s, as: both}",
       {"f:1:34: error: found 'both'; one of source, victim"}},
      {"clock: {node: x, leap: maybe}",
       {"f:1:24: error: found 'maybe'; one of none, insert, delete, unsync"}},
      {"clock: {node: x, stratum: 17}",
       {"f:1:27: error: '17' is out of range; a count of at most 16"}},
      {"clock: {node: x, kod: MAYBE}",
       {"f:1:23: error: found 'MAYBE'; one of none, RATE, DENY, RSTR"}},
      {"clock: {node: x, root_delay: 18h13m}",
       {"f:1:30: error: '18h13m' has an unknown unit; a duration such as 40ms (ns us ms s m h d)"}},
      {"clock: {node: x, root_delay: 70000s}",
       {"f:1:30: error: '70000s' is out of range; a duration of at most 65535s"}},
      {"clock: {node: x, announce: {priority: 1}}",
       {"f:1:29: error: announce: unknown key 'priority'; known keys are clock_class, priority1, "
        "priority2, steps_removed, utc_offset; did you mean 'priority1'?"}},
      {"clock: {node: x, announce: {priority1: 256}}",
       {"f:1:40: error: '256' is out of range; a count of at most 255"}},
      {"clock: {node: x, drop_announce: maybe}",
       {"f:1:33: error: found 'maybe'; true or false, without quotes"}},
      {"clock: {node: x, offset: 37h, correction: true}",
       {"f:1:8: error: correction: the offset does not fit into it; an offset of at most 36h, or "
        "correction: false"}},
      {"clock: {node: x, offset: 1s, on_auth: maybe}",
       {"f:1:39: error: found 'maybe'; one of pass, drop"}},
      {"clock: {node: x, by: command, offset: 1s}",
       {"f:1:22: error: by: command is not for the daemon, which runs none; rewrite, "
        "delay-asymmetry; on a timeline, faultline run, which runs commands as its own user"}},
      {"clock: {node: x, by: hand}",
       {"f:1:22: error: found 'hand'; one of rewrite, delay-asymmetry, command"}},
      {"clock: {node: x, by: delay-asymmetry}", {"f:1:8: error: clock: 'offset' is missing"}},
      {"clock: {node: x, by: delay-asymmetry, offset: 2h}",
       {"f:1:47: error: found '2h'; a duration such as 250ms or -1s (ns us ms s m h d) of at most "
        "1h"}},
      {"clock: {node: x, by: delay-asymmetry, offset: 1s, ramp: 1ms}",
       {"f:1:57: error: found '1ms'; so much a second, such as 1ms/s"}},
      {"clock: {node: x, by: delay-asymmetry, offset: 1s, drift: 1ppm, leap: none}",
       {"f:1:58: error: by: delay-asymmetry changes no bytes, so it has no drift; offset, ramp; or "
        "by: rewrite",
        "f:1:70: error: by: delay-asymmetry changes no bytes, so it has no leap; offset, ramp; or "
        "by: rewrite"}},
      {"clock: {node: x, offset: 1s, ramp: 1ms/s}",
       {"f:1:36: error: ramp without by: delay-asymmetry; both, or steps, or a smear"}},
      {"clock: {node: x, offst: 1s}",
       {"f:1:18: error: clock: unknown key 'offst'; known keys are node, as, protocols, by, "
        "offset, drift, steps, smear, leap, stratum, root_delay, root_dispersion, kod, announce, "
        "drop_announce, correction, allow_mutable, on_auth, ramp; did you mean 'offset'?"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml, test::bench_context()), one.lines) << one.yaml;
  EXPECT_EQ(test::item_errors("clock: {node: x, offset: 1s}"),
            std::vector<std::string>{"f:1:15: error: unknown node 'x'; a node, told under nodes:"});
}

}  // namespace
}  // namespace faultline
