// Outage: up and down in time; exponential times from the reference model in tests/model.
#include <gtest/gtest.h>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::first_20;
using test::ImpairmentBench;
using test::lost_in_any_bursts;
using Numbers = std::vector<std::uint64_t>;

[[maybe_unused]] constexpr std::uint64_t kIdentity = 0x1234567890ABCDEF;
[[maybe_unused]] constexpr const char* kProbability =
    "; a probability between 0% and 100%, such as 1%, 0.01 or 1e-7";

void expect_errors(const std::vector<test::ErrorCase>& cases) {
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

TEST(ImpairLossOutage, Constant) {
  ImpairmentBench bench("loss: {model: outage, up: 3ms, down: 2ms}", {42, "uplink", 0}, kIdentity);
  bench.spacing_ns = 1'000'000;
  EXPECT_EQ(bench.lost(test::numbers_to(16), 5), (Numbers{4, 5, 9, 10, 14, 15}));
}

/// While it is down a packet is lost by its own number, as bernoulli would lose it.
TEST(ImpairLossOutage, AShareWhileItIsDown) {
  const std::uint64_t half = std::uint64_t{1} << 63;
  Numbers expected;
  for (std::uint64_t number = 1; number <= 1'000; ++number)
    if ((number - 1) % 5 >= 3 &&
        test::reference_uniform({42, "uplink", 0, 0}, kIdentity, number) < half)
      expected.push_back(number);
  for (const std::uint32_t burst_size : {1U, 7U, 64U}) {
    ImpairmentBench bench("loss: {model: outage, up: 3ms, down: 2ms, rate: 50%}", {42, "uplink", 0},
                          kIdentity);
    bench.spacing_ns = 1'000'000;
    EXPECT_EQ(bench.lost(test::numbers_to(1'000), burst_size), expected);
  }
  // The same packets as without a rate, less those that the dice spare.
  const std::string random = "loss: {model: outage, up: 3ms, down: 2ms, distribution: exponential";
  ImpairmentBench all(random + "}", {42, "uplink", 0}, kIdentity);
  ImpairmentBench some(random + ", rate: 50%}", {42, "uplink", 0}, kIdentity);
  all.spacing_ns = some.spacing_ns = 1'000'000;
  expected.clear();
  for (const std::uint64_t number : all.lost(test::numbers_to(1'000), 64))
    if (test::reference_uniform({42, "uplink", 0, 0}, kIdentity, number) < half)
      expected.push_back(number);
  EXPECT_EQ(some.lost(test::numbers_to(1'000), 64), expected);
}

TEST(ImpairLossOutage, TablesForASeed) {
  for (const std::uint32_t burst_size : {1U, 7U, 64U}) {
    ImpairmentBench bench("loss: {model: outage, up: 2ms, down: 1ms, distribution: exponential}",
                          {42, "uplink", 0}, kIdentity);
    bench.spacing_ns = 100'000;
    EXPECT_EQ(first_20(bench.lost(test::numbers_to(400), burst_size)),
              (Numbers{7,   8,   9,   10,  11,  12,  13,  14,  38,  86,
                       106, 107, 108, 109, 110, 111, 120, 134, 135, 136}));
  }
}

TEST(ImpairLossOutage, AnyOrderOfAccess) {
  const std::string yaml = "loss: {model: outage, up: 2ms, down: 1ms, distribution: exponential}";
  ImpairmentBench forwards(yaml, {42, "uplink", 0}, kIdentity);
  forwards.spacing_ns = 100'000;
  const Numbers all = forwards.lost(test::numbers_to(1'000), 64);
  ImpairmentBench backwards(yaml, {42, "uplink", 0}, kIdentity);
  backwards.spacing_ns = 100'000;
  for (std::uint64_t number = 1'000; number > 0; --number)
    EXPECT_EQ(!backwards.lost({number}, 1).empty(),
              std::binary_search(all.begin(), all.end(), number))
        << number;
}

TEST(ImpairLossOutage, Errors) {
  expect_errors({{"loss: {model: outage, up: 1s}", {"f:1:7: error: loss: 'down' is missing"}},
                 {"loss: {model: outage, up: 1s, down: 0s}",
                  {"f:1:37: error: '0s' is out of range; a duration between 1us and 2196h"}},
                 {"loss: {model: outage, up: 1s, down: 1s, distribution: normal}",
                  {"f:1:55: error: found 'normal'; one of constant, exponential"}},
                 {"loss: {model: outage, up: 1s, down: 1s, rate: 2}",
                  {std::string("f:1:47: error: '2' is out of range") + kProbability}}});
}

}  // namespace
}  // namespace faultline
