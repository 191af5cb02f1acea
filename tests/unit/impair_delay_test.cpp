// Delays: what a constant one adds, the floor that a change of `time` leaves behind, how its forms
// follow one another, what compensation subtracts, and what is refused.
#include <gtest/gtest.h>

#include "base/units.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

const CompileContext kContext{42, "uplink", 0};

/// One scope that is asked packet by packet or in bursts; its rule may change in between.
class DelayBench {
 public:
  explicit DelayBench(std::string_view yaml, std::uint64_t own_latency_ns = 0) {
    change(yaml, own_latency_ns);
  }

  void change(std::string_view yaml, std::uint64_t own_latency_ns = 0) {
    CompileContext context = kContext;
    context.own_latency_ns = own_latency_ns;
    compiled_ = test::compile_item(yaml, context);
  }
  std::uint64_t adds_ns() const { return compiled_.adds_ns; }

  /// The times given to packets with these times of their own, asked as one burst.
  std::vector<std::uint64_t> give(const std::vector<std::uint64_t>& times_ns) {
    JudgedBurst burst{};
    Asked asked{};
    Selection selection;
    for (const std::uint64_t time_ns : times_ns) {
      const auto i = static_cast<std::uint8_t>(kBurstMax - 1 - selection.count);
      burst.time_ns[i] = time_ns;
      burst.identity[i] = asked.identity[i] = asked.scope[i] = identity;
      asked.number[i] = asked.step[i] = next_number++;
      asked.state[i] = &state;
      selection.position[selection.count++] = i;
    }
    burst.time_ns[0] = 7;  // not selected, so not touched
    compiled_.decide(compiled_.parameters, asked, burst, selection, tally);
    EXPECT_EQ(burst.time_ns[0], 7U);
    std::vector<std::uint64_t> given_ns;
    for (std::uint32_t turn = 0; turn < selection.count; ++turn)
      given_ns.push_back(burst.time_ns[selection.position[turn]]);
    for (const DropReason reason : burst.reason) EXPECT_EQ(reason, DropReason::kNone);
    return given_ns;
  }

  ScopeState state;
  ImpairmentTally tally;
  std::uint64_t identity = 0;  ///< of the flow
  std::uint64_t next_number = 0;

 private:
  CompiledImpairment compiled_;
};

struct DelayCase {
  std::string_view yaml;
  std::uint64_t delay_ns;
};

TEST(ImpairDelay, AddsItsTime) {
  const DelayCase cases[] = {
      {"delay: 0", 0},
      {"delay: 1ns", 1},
      {"delay: 40ms", 40'000'000},
      {"delay: '40ms'", 40'000'000},
      {"delay: 24h", 24 * 3'600 * kNsPerSecond},
      {"delay: {time: 1.5us}", 1'500},
      {"delay: {time: 2s, order: keep, distribution: constant}", 2 * kNsPerSecond},
  };
  for (const DelayCase& one : cases) {
    DelayBench bench(one.yaml);
    EXPECT_EQ(bench.give({1'000, 1'000, 1'001, 9'000}),
              (std::vector<std::uint64_t>{1'000 + one.delay_ns, 1'000 + one.delay_ns,
                                          1'001 + one.delay_ns, 9'000 + one.delay_ns}))
        << one.yaml;
    EXPECT_EQ(bench.tally.clamped, 0U) << one.yaml;
    const CompiledImpairment compiled = test::compile_item(one.yaml, kContext);
    EXPECT_EQ(compiled.adds_ns, one.delay_ns);
    EXPECT_TRUE(compiled.delays);
    EXPECT_FALSE(compiled.drops);
    EXPECT_FALSE(compiled.uses_dice);
  }
}

TEST(ImpairDelay, ShorterDelayDoesNotReorder) {
  DelayBench bench("delay: 20ms");
  EXPECT_EQ(bench.give({0, 1'000'000, 2'000'000}),
            (std::vector<std::uint64_t>{20'000'000, 21'000'000, 22'000'000}));
  bench.change("delay: 10ms");
  // Until 12 ms the new delay would overtake the last packet of the old one.
  EXPECT_EQ(
      bench.give({3'000'000, 11'999'999, 12'000'000, 12'000'001, 13'000'000}),
      (std::vector<std::uint64_t>{22'000'000, 22'000'000, 22'000'000, 22'000'001, 23'000'000}));
  EXPECT_EQ(bench.tally.clamped, 2U) << "a packet that is exactly in time is not pushed back";
}

TEST(ImpairDelay, FloorIsTheLatestTimeGivenOutNotTheLast) {
  DelayBench bench("delay: 1us");
  EXPECT_EQ(bench.give({9'000, 4'000}), (std::vector<std::uint64_t>{10'000, 5'000}));
  bench.change("delay: 0");
  EXPECT_EQ(bench.give({6'000, 10'001}), (std::vector<std::uint64_t>{10'000, 10'001}));
  EXPECT_EQ(bench.tally.clamped, 1U);
}

TEST(ImpairDelay, LongerDelayNeverClamps) {
  DelayBench bench("delay: 10ms");
  bench.give({0, 5});
  bench.change("delay: 20ms");
  EXPECT_EQ(bench.give({5, 6}), (std::vector<std::uint64_t>{20'000'005, 20'000'006}));
  EXPECT_EQ(bench.tally.clamped, 0U);
}

TEST(ImpairDelay, FloorsOfSeveralChangesAddUp) {
  DelayBench bench("delay: 30ms");
  EXPECT_EQ(bench.give({0}), (std::vector<std::uint64_t>{30'000'000}));
  bench.change("delay: 20ms");
  EXPECT_EQ(bench.give({1}), (std::vector<std::uint64_t>{30'000'000}));
  bench.change("delay: 0");
  EXPECT_EQ(bench.give({2, 29'999'999, 30'000'000, 30'000'001}),
            (std::vector<std::uint64_t>{30'000'000, 30'000'000, 30'000'000, 30'000'001}));
  EXPECT_EQ(bench.tally.clamped, 3U);
  // Back and forth without a packet between: the floor stays.
  bench.change("delay: 1s");
  bench.change("delay: 0");
  EXPECT_EQ(bench.give({30'000'002}), (std::vector<std::uint64_t>{30'000'002}));
  EXPECT_EQ(bench.tally.clamped, 3U);
}

TEST(ImpairDelay, ZeroIsADelayLikeAnother) {
  DelayBench bench("delay: 0");
  bench.give({100});
  bench.change("delay: 50ns");
  EXPECT_EQ(bench.give({100}), (std::vector<std::uint64_t>{150}));
  bench.change("delay: 0");
  EXPECT_EQ(bench.give({120, 160}), (std::vector<std::uint64_t>{150, 160}));
  EXPECT_EQ(bench.tally.clamped, 1U);
}

TEST(ImpairDelay, WithoutAChangeOwnTimesMayMixFreely) {
  // An earlier rule delayed some of the packets: their own times go up and down, and this delay
  // keeps exactly that.
  DelayBench bench("delay: 3us");
  test::Random random(3);
  for (int burst = 0; burst < 1'000; ++burst) {
    std::vector<std::uint64_t> times_ns;
    std::vector<std::uint64_t> expected_ns;
    const std::uint64_t count = random.below(kBurstMax - 1);
    for (std::uint64_t turn = 0; turn < count; ++turn) {
      times_ns.push_back(random.below(1'000'000));
      expected_ns.push_back(times_ns.back() + 3'000);
    }
    ASSERT_EQ(bench.give(times_ns), expected_ns);
  }
  EXPECT_EQ(bench.tally.clamped, 0U);
}

TEST(ImpairDelay, BurstSizeDoesNotMatter) {
  std::vector<std::uint64_t> times_ns;
  for (std::uint64_t packet = 0; packet < 600; ++packet)
    times_ns.push_back(packet * 97'000 + (packet % 3) * 40'000);
  std::vector<std::vector<std::uint64_t>> results;
  std::vector<std::uint64_t> clamped;
  for (const std::size_t burst_size : {1U, 2U, 7U, 25U, 60U}) {
    DelayBench bench("delay: 20ms");
    std::vector<std::uint64_t> given_ns;
    for (std::size_t first = 0; first < times_ns.size(); first += burst_size) {
      if (first == 300)  // a multiple of every burst size here but 7
        bench.change("delay: 5ms");
      if (burst_size == 7 && first == 294) {
        for (const std::uint64_t time_ns :
             bench.give({times_ns.begin() + 294, times_ns.begin() + 300}))
          given_ns.push_back(time_ns);
        bench.change("delay: 5ms");
        for (const std::uint64_t time_ns : bench.give({times_ns[300]})) given_ns.push_back(time_ns);
        continue;
      }
      const auto begin = times_ns.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = times_ns.begin() +
                       static_cast<std::ptrdiff_t>(std::min(first + burst_size, times_ns.size()));
      for (const std::uint64_t time_ns : bench.give({begin, end})) given_ns.push_back(time_ns);
    }
    results.push_back(given_ns);
    clamped.push_back(bench.tally.clamped);
  }
  for (std::size_t index = 1; index < results.size(); ++index) {
    EXPECT_EQ(results[index], results[0]) << index;
    EXPECT_EQ(clamped[index], clamped[0]) << index;
  }
  EXPECT_GT(clamped[0], 100U) << "15 ms at 97 us a packet";
}

TEST(ImpairDelay, Errors) {
  const auto range = [](std::string place, std::string found) {
    return "f:" + place + ": error: " + found + " is out of range; a duration of at most 1d";
  };
  const std::string example = "a duration such as 40ms (ns us ms s m h d)";
  const test::ErrorCase cases[] = {
      {"delay: 40", {"f:1:8: error: '40' has no unit; " + example}},
      {"delay: 40mS",
       {"f:1:8: error: '40mS' has an unknown unit; " + example + "; did you mean '40ms'?"}},
      {"delay: -1ms", {"f:1:8: error: '-1ms' is negative; " + example}},
      {"delay: fast", {"f:1:8: error: found 'fast'; " + example}},
      {"delay: 0.5ns", {"f:1:8: error: '0.5ns' is not a whole number of nanoseconds; " + example}},
      {"delay: 25h", {range("1:8", "'25h'")}},
      {"delay:", {"f:1:7: error: found nothing; " + example}},
      {"delay: [1ms]", {"f:1:8: error: found a list; " + example}},
      {"delay: {}", {"f:1:8: error: delay: 'time' is missing"}},
      {"delay: {time: 86400001ms}", {range("1:15", "'86400001ms'")}},
      {"delay: {time: 1ms, order: kepe}",
       {"f:1:27: error: found 'kepe'; one of keep, free; did you mean 'keep'?"}},
      {"delay: {time: 1ms, distribution: normal}",
       {"f:1:34: error: a distribution without jitter; jitter: with its width"}},
      {"delay: {time: 1ms, distribution: normall, jitter: 1ms}",
       {"f:1:34: error: found 'normall'; one of constant, uniform, normal, exponential, gamma, "
        "lognormal, weibull, pareto, paretonormal, table; did you mean 'normal'?"}},
      {"delay: {time: 1ms, jitter: 1ms, distribution: constant}",
       {"f:1:28: error: jitter of a constant; a distribution such as normal"}},
      {"delay: {time: 1ms, jitter: 1ms, distribution: gamma}",
       {"f:1:8: error: gamma needs a shape; shape: with its parameter"}},
      {"delay: {time: 1ms, jitter: 1ms, shape: 3}",
       {"f:1:40: error: normal has no shape; shape with gamma, lognormal, weibull or pareto"}},
      {"delay: {time: 1ms, jitter: 1ms, distribution: pareto, shape: 2, order: free}",
       {"f:1:62: error: '2' is out of range; a number between 2.01 and 100"}},
      {"delay: {time: 1ms, jitter: 1ms, distribution: pareto, shape: 3}",
       {"f:1:8: error: pareto has so heavy a tail that keeping the order needs a bound; max: with "
        "the longest delay, or order: free"}},
      {"delay: {time: 1ms, jitter: 1ms, correlation: 25%}",
       {"f:1:46: error: correlation with order: keep; order: free; with order: keep the field has "
        "correlation_time"}},
      {"delay: {time: 1ms, jitter: 1ms, order: free, correlation: 100%}",
       {"f:1:59: error: a correlation of 1: the delay never changes; a correlation below 100%"}},
      {"delay: {time: 1ms, jitter: 1ms, order: free, correlation_time: 1ms}",
       {"f:1:64: error: correlation_time with order: free; order: keep"}},
      {"delay: {time: 1ms, correlation_time: 1ms}",
       {"f:1:38: error: correlation_time without jitter; jitter: with its width"}},
      {"delay: {time: 1ms, jitter: 1ms, distribution: table}",
       {"f:1:8: error: a table needs a file; file: with its name"}},
      {"delay: {time: 1ms, jitter: 1ms, distribution: table, file: p.dist}",
       {"f:1:60: error: the text of file 'p.dist' did not come along; contents: with the file's "
        "text"}},
      {"delay: {time: 1ms, jitter: 1ms, distribution: table, contents: '3 2'}",
       {"f:1:64: error: contents: values that fall; ascending values"}},
      {"delay: {time: 1ms, jitter: 1ms, distribution: table, contents: '1 x'}",
       {"f:1:64: error: contents: line 1: found 'x'; a number",
        "f:1:64: error: contents: 1 values; at least two"}},
      {"delay: {time: 1ms, jitter: 1ms, file: p.dist}",
       {"f:1:39: error: a file of a law that takes none; distribution: table"}},
      {"delay: {time: {draw: 'uniform(5ms, 2ms)', per: flow}}",
       {"f:1:22: error: found 'uniform(5ms, 2ms)'; \"uniform(10ms, 50ms)\", \"normal(40ms, "
        "5ms)\" or \"exponential(10ms)\", up to 24h"}},
      {"delay: {time: {draw: 'uniform(1ms, 2ms)'}}",
       {"f:1:15: error: drawn time: 'per' is missing"}},
      {"delay: {distance: 5000}",
       {"f:1:19: error: found '5000'; a distance such as 5000km, at most 1000000000km"}},
      {"delay: {trace: d.csv}",
       {"f:1:16: error: the text of trace 'd.csv' did not come along; contents: with the file's "
        "text"}},
      {"delay: {trace: d.csv, contents: '0,5'}",
       {"f:1:33: error: d.csv: 1 rows; at least two rows of time,delay in us"}},
      {"delay: {trace: d.csv, contents: \"0,5\\n0,6\\n9,x\"}",
       {"f:1:33: error: d.csv: line 2: a time that does not rise; ascending times",
        "f:1:33: error: d.csv: line 3: found '9,x'; time,delay in whole us",
        "f:1:33: error: d.csv: 1 rows; at least two rows of time,delay in us"}},
      {"delay: {time: 1ms, compensate: yes}",
       {"f:1:32: error: found 'yes'; true or false, without quotes; did you mean 'true'?"}},
      {"delay: {trace: d.csv, contents: \"0,5\\n9,6\", compensate: 250ns}",
       {"f:1:57: error: found '250ns'; true or false, without quotes"}},
      {"delay: {time: 1ms, compensat: true}",
       {"f:1:20: error: delay: unknown key 'compensat'; known keys are compensate, trace, "
        "distance, "
        "distribution, time, jitter, order, max, correlation, correlation_time, shape, file, "
        "contents; did you mean 'compensate'?"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

TEST(ImpairDelay, UnknownKeysAreToldWithTheNearest) {
  const std::vector<std::string> lines = test::item_errors("delay: {time: 1ms, jiter: 1ms}");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].find("f:1:20: error: delay: unknown key 'jiter'; known keys are "), 0U)
      << lines[0];
  EXPECT_NE(lines[0].find("; did you mean 'jitter'?"), std::string::npos) << lines[0];
}

TEST(ImpairDelay, FormsFollowOneAnotherWithoutReordering) {
  DelayBench bench("delay: 20ms");
  std::uint64_t latest_ns = 0;
  std::uint64_t now_ns = 0;
  for (const std::string_view form :
       {"delay: {time: 5ms, jitter: 1ms}", "delay: 3ms",
        "delay: {time: 4ms, jitter: 1ms, distribution: uniform}",
        "delay: {trace: t, contents: \"0,9000\\n100,1000\"}", "delay: {distance: 10km}"}) {
    for (int packet = 0; packet < 20; ++packet) {
      now_ns += 100'000;
      const std::uint64_t given_ns = bench.give({now_ns}).front();
      EXPECT_GE(given_ns, latest_ns);
      latest_ns = given_ns;
    }
    bench.change(form);
  }
  EXPECT_GT(bench.tally.clamped, 0U);
}

TEST(ImpairDelay, CompensationMakesAConstantShorter) {
  constexpr std::uint64_t kOwnNs = 250;
  const DelayCase cases[] = {
      {"delay: {time: 40ms, compensate: true}", 39'999'750},
      {"delay: {time: 40ms, compensate: false}", 40'000'000},
      {"delay: {time: 40ms}", 40'000'000},
      {"delay: 40ms", 40'000'000},
      {"delay: {time: 251ns, compensate: true}", 1},
      {"delay: {time: 250ns, compensate: true}", 0},
      {"delay: {time: 249ns, compensate: true}", 0},
      {"delay: {time: 0, compensate: true}", 0},
      {"delay: {time: 24h, compensate: true}", 24 * 3'600 * kNsPerSecond - 250},
      {"delay: {time: 40ms, max: 1ms, compensate: true}", 999'750},
      {"delay: {time: 40ms, max: 100ns, compensate: true}", 0},
      {"delay: {time: 40ms, order: free, compensate: true}", 39'999'750},
      {"delay: {time: 249ns, order: free, compensate: true}", 0},
      {"delay: {distance: 1km, compensate: true}", 4'650},
      {"delay: {distance: 0km, compensate: true}", 0},
  };
  for (const DelayCase& one : cases) {
    DelayBench bench(one.yaml, kOwnNs);
    EXPECT_EQ(bench.give({0, 1'000}),
              (std::vector<std::uint64_t>{one.delay_ns, 1'000 + one.delay_ns}))
        << one.yaml;
    EXPECT_EQ(bench.adds_ns(), one.delay_ns) << one.yaml;
  }
}

/// The forms beside a constant, with KEY where more keys may stand.
constexpr std::string_view kForms[] = {
    "delay: {time: 5ms, jitter: 1ms, KEY}",
    "delay: {time: 5ms, jitter: 3ms, distribution: exponential, max: 9ms, KEY}",
    "delay: {time: 5ms, jitter: 2ms, order: free, KEY}",
    "delay: {time: 5ms, jitter: 2ms, order: free, max: 6ms, correlation: 50%, KEY}",
    "delay: {time: {draw: 'uniform(1ms, 9ms)', per: flow}, KEY}",
    "delay: {time: {draw: 'uniform(1ms, 9ms)', per: flow}, max: 4ms, order: free, KEY}",
    "delay: {time: {draw: 'normal(2ms, 2ms)', per: flow}, jitter: 2ms, order: free, KEY}",
    "delay: {time: {draw: 'exponential(2ms)', per: flow}, jitter: 1ms, KEY}",
    "delay: {time: 5ms, jitter: {draw: 'uniform(1ms, 3ms)', per: flow}, order: free, KEY}",
    "delay: {trace: t, contents: \"0,9000\\n10000,1000\\n20000,6000\", KEY}",
    "delay: {trace: t, contents: \"0,0\\n40000,9000\\n50000,2000\", interpolate: linear, "
    "loop: true, KEY}",
};

std::string form_with(std::string_view form, std::string_view key) {
  std::string yaml(form);
  return yaml.replace(yaml.find("KEY"), 3, key);
}

TEST(ImpairDelay, CompensationSubtractsLastAndNeverBelowZero) {
  constexpr std::uint64_t kNearNs = 1'000'000;
  for (const std::string_view form : kForms) {
    // A field is linear between the points of its grid; where it comes to zero between two of them
    // it is a little later than this, by less than the grid.
    const bool is_field = form.find("jitter") != std::string_view::npos &&
                          form.find("order: free") == std::string_view::npos;
    for (const std::uint64_t own_ns : {std::uint64_t{250}, 2'345'678UL, 7'000'000UL, 20'000'000UL})
      for (std::uint64_t flow = 0; flow < 4; ++flow) {
        DelayBench plain(form_with(form, "compensate: false"), own_ns);
        DelayBench shorter(form_with(form, "compensate: true"), own_ns);
        plain.identity = shorter.identity = flow;
        EXPECT_EQ(shorter.adds_ns(), plain.adds_ns() - std::min(plain.adds_ns(), own_ns)) << form;
        for (std::uint64_t packet = 0; packet < 500; ++packet) {
          const std::uint64_t time_ns = packet * 200'000;
          const std::uint64_t delay_ns = plain.give({time_ns}).front() - time_ns;
          const std::uint64_t given_ns = shorter.give({time_ns}).front() - time_ns;
          const std::uint64_t wanted_ns = std::max(delay_ns, own_ns) - own_ns;
          const bool is_near = delay_ns < own_ns + kNearNs && own_ns < delay_ns + kNearNs;
          if (!is_field || !is_near)
            ASSERT_EQ(given_ns, wanted_ns) << form << " " << own_ns << " " << packet;
          ASSERT_GE(given_ns, wanted_ns) << form << " " << own_ns << " " << packet;
          ASSERT_LT(given_ns, wanted_ns + kNearNs) << form << " " << own_ns << " " << packet;
        }
      }
  }
}

TEST(ImpairDelay, WhatCompensationCutsIsCounted) {
  DelayBench plain("delay: {time: 5ms, jitter: 1ms, distribution: uniform, order: free}");
  DelayBench shorter(
      "delay: {time: 5ms, jitter: 1ms, distribution: uniform, order: free, compensate: true}",
      5'000'000);
  std::uint64_t zero = 0;
  for (std::uint64_t packet = 0; packet < 1'000; ++packet) {
    zero += plain.give({0}).front() < 5'000'000 ? 1U : 0U;
    shorter.give({0});
  }
  EXPECT_EQ(plain.tally.cut, 0U);
  EXPECT_EQ(shorter.tally.cut, zero);
  EXPECT_GT(zero, 400U);
}

TEST(ImpairDelay, CompensationKeepsTheOrderWhenItComesAndGoes) {
  constexpr std::uint64_t kOwnNs = 3'000'000;
  for (const std::string_view form : {std::string_view("delay: {time: 20ms, KEY}"),
                                      std::string_view("delay: {distance: 4000km, KEY}"), kForms[0],
                                      kForms[1], kForms[4], kForms[7], kForms[9], kForms[10]}) {
    DelayBench bench(form_with(form, "compensate: false"), kOwnNs);
    std::uint64_t latest_ns = 0;
    std::uint64_t now_ns = 0;
    for (const std::string_view key : {"compensate: true", "compensate: false"}) {
      for (int packet = 0; packet < 40; ++packet) {
        now_ns += 100'000;
        const std::uint64_t given_ns = bench.give({now_ns}).front();
        ASSERT_GE(given_ns, latest_ns) << form;
        latest_ns = given_ns;
      }
      const std::uint64_t clamped = bench.tally.clamped;
      bench.change(form_with(form, key), kOwnNs);
      now_ns += 1;
      const std::uint64_t given_ns = bench.give({now_ns}).front();
      ASSERT_GE(given_ns, latest_ns) << form;
      EXPECT_EQ(bench.tally.clamped > clamped, key == "compensate: true") << form << " " << key;
      latest_ns = given_ns;
    }
  }
}

TEST(ImpairDelay, CompensationNeedsAnOwnLatency) {
  CompileContext context = kContext;
  context.own_latency_ns = std::nullopt;
  const auto errors = [&](std::string_view yaml) {
    Problems problems;
    std::string_view kind;
    compile_impairment(test::tree_of(yaml), context, &kind, problems);
    return test::lines_of(problems);
  };
  for (const std::string_view form :
       {"delay: {time: 1ms, compensate: true}", "delay: {trace: t, compensate: true}"}) {
    const std::vector<std::string> lines = errors(form);
    ASSERT_GE(lines.size(), 1U);
    EXPECT_EQ(lines.front(),
              "f:1:" + std::to_string(form.find("true") + 1) +
                  ": error: the own latency could not be measured; two cores that this process may "
                  "use, or compensate: false");
  }
  EXPECT_EQ(errors("delay: {time: 1ms, compensate: false}"), std::vector<std::string>{});
  EXPECT_EQ(errors("delay: 1ms"), std::vector<std::string>{});
}

TEST(ImpairDelay, FreeConstantsMayReorder) {
  DelayBench bench("delay: {time: 20ms, order: free}");
  EXPECT_EQ(bench.give({0}), std::vector<std::uint64_t>{20'000'000});
  bench.change("delay: {time: 1ms, order: free}");
  EXPECT_EQ(bench.give({1'000}), std::vector<std::uint64_t>{1'001'000});
}

TEST(ImpairDelay, TheFieldIsAFunctionOfTime) {
  const std::string_view law = "delay: {time: 5ms, jitter: 1ms, distribution: exponential}";
  DelayBench forwards(law);
  std::vector<std::uint64_t> times_ns;
  for (std::uint64_t step = 0; step < 3'000; ++step) times_ns.push_back(step * 777'777);
  std::vector<std::uint64_t> given_ns;
  for (const std::uint64_t time_ns : times_ns) given_ns.push_back(forwards.give({time_ns}).front());
  for (std::size_t at = times_ns.size(); at-- > 0;) {
    DelayBench fresh(law);  // knows nothing, asked at any time
    EXPECT_EQ(fresh.give({times_ns[at]}).front(), given_ns[at]) << at;
  }
}

TEST(ImpairDelay, TablesForASeed) {
  // Deviations by the reference model in tests/model, to the accuracy of the tables.
  DelayBench bench("delay: {time: 10ms, jitter: 1ms, distribution: uniform, order: free}");
  const std::uint64_t first = bench.give({0}).front();
  const double drawn =
      static_cast<double>(test::reference_uniform({42, "uplink", 0, 2}, 0, 0)) * 0x1p-64;
  EXPECT_NEAR(static_cast<double>(first), 10e6 + 1e6 * (2 * drawn - 1), 2);
}

TEST(ImpairDelay, KindsThatAreUnknown) {
  const std::string kinds(test::kKinds);
  const test::ErrorCase cases[] = {
      {"dealy: 1ms",
       {"f:1:1: error: unknown impairment 'dealy'; " + kinds + "; did you mean 'delay'?"}},
      {"drop: 1%", {"f:1:1: error: unknown impairment 'drop'; " + kinds}},
      {"delay: 1ms\nloss: 1%",
       {"f:1:1: error: an impairment is one key with its value, found a mapping; for example "
        "{delay: 40ms}"}},
      {"delay",
       {"f:1:1: error: an impairment is one key with its value, found 'delay'; for example "
        "{delay: 40ms}"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

}  // namespace
}  // namespace faultline
