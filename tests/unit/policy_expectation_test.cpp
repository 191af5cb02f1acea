// Expectations: how they are written, what a rule loses in the long run, and how many packets tell.
#include <gtest/gtest.h>

#include <cmath>

#include "policy/compile.hpp"
#include "policy/expectation.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

Result<Scenario> read(const std::string& expect, const std::string& impair = "loss: 1%") {
  return read_scenario(test::tree_of("version: 1\nrules: [{name: r, impair: [" + impair +
                                     "]}]\nexpect: [" + expect + "]\n"),
                       ScenarioUse::kSimulate);
}

std::optional<LossShare> loss_for(const std::string& impair) {
  const Result<Scenario> scenario = read("", impair);
  if (!scenario) {
    ADD_FAILURE() << to_line(scenario.error().front());
    return std::nullopt;
  }
  PolicySlots slots(2);
  const Result<Policy> policy = compile_policy(*scenario, {}, slots);
  return loss_of(policy->rules[0]);
}

struct Written {
  const char* text;
  double least;
  double most;
  bool two_sided;
};

TEST(PolicyExpectation, Spellings) {
  const Written cases[] = {
      {"4.76% ± 0.5%", 0.0426, 0.0526, true},
      {"'1% +- 0.2%'", 0.008, 0.012, true},
      {"0.01±1e-3", 0.009, 0.011, true},
      {"1%", 0.01, 0.01, true},
      {"'<= 2%'", 0, 0.02, false},
      {"'>=0.5%'", 0.005, 1, false},
      {"1% ± 5%", 0, 0.06, true},
      {"99% ± 5%", 0.94, 1, true},
  };
  for (const Written& one : cases) {
    const Result<Scenario> scenario = read(std::string("{rule: r, loss: ") + one.text + "}");
    ASSERT_TRUE(scenario) << one.text;
    const Expectation& expectation = scenario->expectations.at(0);
    EXPECT_NEAR(expectation.least, one.least, 1e-12) << one.text;
    EXPECT_NEAR(expectation.most, one.most, 1e-12) << one.text;
    EXPECT_EQ(expectation.wanted.has_value(), one.two_sided) << one.text;
  }
  for (const char* wrong : {"often", "2", "'1% ±'", "'± 1%'", "'< 1%'", "'<='", "101%", "[1%]",
                            "'1% ± 1ms'", "'1% ± 1% ± 1%'", "''"})
    EXPECT_FALSE(read(std::string("{rule: r, loss: ") + wrong + "}")) << wrong;
}

TEST(PolicyExpectation, LossInTheLongRun) {
  const auto expect = [](const std::string& impair, double rate, double factor) {
    const auto loss = loss_for(impair);
    ASSERT_TRUE(loss) << impair;
    EXPECT_NEAR(loss->rate, rate, 1e-9) << impair;
    EXPECT_NEAR(loss->variance_factor, factor, 1e-6 * std::max(1.0, factor)) << impair;
  };
  expect("loss: 1%", 0.01, 1);
  expect("loss: all", 1, 0);
  expect("delay: 1ms", 0, 0);
  expect("loss: {model: every, n: 8}", 0.125, 0);
  expect("loss: {model: correlated, rate: 5%, correlation: 25%}", 0.05, 1.25 / 0.75);
  // ρ = 1 − p − r = 0.79.
  expect("loss: {model: gilbert-elliott, p: 1%, r: 20%}", 1 / 21.0, 1.79 / 0.21);
  expect("loss: {model: gilbert-elliott, p: 60%, r: 60%}", 0.5, 0.8 / 1.2);
  // The chain without its states 2 and 4 is that of Gilbert.
  expect("loss: {model: markov4, p13: 1%, p31: 20%}", 1 / 21.0, 1.79 / 0.21);
  // All five, by 10^5 powers of the matrix; and one that hardly moves.
  expect("loss: {model: markov4, p13: 1%, p31: 20%, p32: 10%, p23: 30%, p14: 0.1%}",
         0.047767717764596, 8.068576549);
  expect("loss: {model: markov4, p13: 1e-9, p31: 1e-8}", 1 / 11.0, (2 - 1.1e-8) / 1.1e-8);
  // Two in a row: kept by 0.99 · 0.95.
  expect("loss: 1%, loss: 5%", 1 - 0.99 * 0.95,
         (0.01 / 0.99 + 0.05 / 0.95) * 0.9405 / (1 - 0.9405));
  for (const char* depends :
       {"loss: {model: bit-error, ber: 1e-6}", "rate: 1Mbit",
        "loss: {model: outage, up: 1s, down: 1s}", "loss: {model: burst, length: 5, every: 2s}",
        "loss: {model: list, packets: [1]}", "loss: {model: bernoulli, rate: 1%, action: mark-ce}",
        "loss: {model: gilbert-elliott, p: 1%, r: 2%, clock: time, slot: 1ms}"})
    EXPECT_FALSE(loss_for(depends)) << depends;
}

TEST(PolicyExpectation, LossyStatesWeakenTheCorrelation) {
  const auto loss = loss_for("loss: {model: gilbert-elliott, p: 10%, r: 30%, loss_bad: 50%}");
  ASSERT_TRUE(loss);
  EXPECT_NEAR(loss->rate, 0.125, 1e-9);
  // Cov_k = π_G·π_B·h²·0.6ᵏ = 0.75·0.25·0.25·0.6ᵏ; Σ 0.6ᵏ = 1.5.
  EXPECT_NEAR(loss->variance_factor, 1 + 2 * 0.046875 * 1.5 / (0.125 * 0.875), 1e-9);
}

TEST(PolicyExpectation, PowerOfATest) {
  const Result<Scenario> scenario = read("{rule: r, loss: 10%}");
  ASSERT_TRUE(scenario);
  const Expectation& expectation = scenario->expectations[0];
  // σ at 10^5: √(0.09/10^5) = 0.000949, so 1 % more is 10.54 σ away; at 10^4 only 3.33 σ.
  const auto independent = power_of(expectation, {0.1, 1}, 0.999);
  ASSERT_TRUE(independent);
  EXPECT_EQ(independent->packets_log10, 5);
  EXPECT_NEAR(independent->deviation, 0.1, 1e-12);
  EXPECT_GT(independent->chance, 0.999);
  // With f = 4 the 10.54 σ are 5.27, less z = 3.2905: Φ(1.980) = 0.9761.
  const auto correlated = power_of(expectation, {0.1, 4}, 0.999);
  ASSERT_TRUE(correlated);
  EXPECT_EQ(correlated->packets_log10, 5);
  EXPECT_NEAR(correlated->chance, 0.9761, 5e-4);
  // A lower confidence tells sooner: z = 1.96, 3.33 − 1.96 = 1.374, Φ = 0.9153.
  const auto sooner = power_of(expectation, {0.1, 1}, 0.95);
  ASSERT_TRUE(sooner);
  EXPECT_EQ(sooner->packets_log10, 4);
  EXPECT_NEAR(sooner->chance, 0.9153, 5e-4);
}

TEST(PolicyExpectation, ToleranceIsPartOfWhatIsDetected) {
  const Result<Scenario> scenario = read("{rule: r, loss: 1% ± 0.2%}, {rule: r, loss: '<= 1%'}");
  ASSERT_TRUE(scenario);
  const auto power = power_of(scenario->expectations[0], {0.01, 1}, 0.999);
  ASSERT_TRUE(power);
  EXPECT_NEAR(power->deviation, 0.3, 1e-9);
  EXPECT_FALSE(power_of(scenario->expectations[1], {0.01, 1}, 0.999)) << "nothing to deviate from";
  const Result<Scenario> rare = read("{rule: r, loss: 1e-12}");
  ASSERT_TRUE(rare);
  EXPECT_FALSE(power_of(rare->expectations[0], {1e-12, 1}, 0.999)) << "no run is long enough";
}

}  // namespace
}  // namespace faultline
