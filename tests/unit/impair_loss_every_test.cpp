// Every: numbers in a row.
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

TEST(ImpairLossEvery, Numbers) {
  EXPECT_EQ(lost_in_any_bursts("loss: {model: every, n: 10}", 1, 35), (Numbers{10, 20, 30}));
  EXPECT_EQ(lost_in_any_bursts("loss: {model: every, n: 10, offset: 3}", 1, 35),
            (Numbers{3, 13, 23, 33}));
  EXPECT_EQ(lost_in_any_bursts("loss: {model: every, n: 1}", 1, 5), test::numbers_to(5));
  ImpairmentBench far("loss: {model: every, n: 18446744073709551615}", {42, "uplink", 0}, 1);
  EXPECT_EQ(far.lost({1, UINT64_MAX}, 2), Numbers{UINT64_MAX});
}

TEST(ImpairLossEvery, Errors) {
  expect_errors({{"loss: {model: every}", {"f:1:7: error: loss: 'n' is missing"}},
                 {"loss: {model: every, n: 0}",
                  {"f:1:25: error: '0' is out of range; a count of at least 1"}},
                 {"loss: {model: every, n: 5, offset: 6}",
                  {"f:1:36: error: '6' is out of range; a count between 1 and 5"}}});
}

}  // namespace
}  // namespace faultline
