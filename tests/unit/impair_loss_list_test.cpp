// List: exactly those packets.
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

TEST(ImpairLossList, NumbersAndRanges) {
  EXPECT_EQ(lost_in_any_bursts("loss: {model: list, packets: [7, 1, 10-12, 11-14, 3]}", 1, 30),
            (Numbers{1, 3, 7, 10, 11, 12, 13, 14}));
  EXPECT_EQ(lost_in_any_bursts("loss: {model: list, packets: []}", 1, 30), Numbers{});
  EXPECT_EQ(lost_in_any_bursts("loss: {model: list, packets: [2-18446744073709551615, 5]}", 1, 5),
            (Numbers{2, 3, 4, 5}));
  EXPECT_EQ(lost_in_any_bursts(
                "loss: {model: list, file: p.txt, contents: \"1 3\\n# no 4\\n5-6,9\"}", 1, 30),
            (Numbers{1, 3, 5, 6, 9}));
}

TEST(ImpairLossList, Errors) {
  const std::string allowed = "; packet numbers from 1, such as 5 or 10-20";
  expect_errors({{"loss: {model: list}",
                  {"f:1:7: error: loss: neither 'packets' nor 'file'; one of the two"}},
                 {"loss: {model: list, packets: 5}", {"f:1:30: error: packets is '5'; a list"}},
                 {"loss: {model: list, packets: [0, 5-4, x, [1]]}",
                  {"f:1:31: error: found '0'" + allowed, "f:1:34: error: found '5-4'" + allowed,
                   "f:1:39: error: found 'x'" + allowed, "f:1:42: error: found a list" + allowed}},
                 {"loss: {model: list, file: p.txt}",
                  {"f:1:27: error: the text of file 'p.txt' did not come along; contents: with the "
                   "file's text"}},
                 {"loss: {model: list, file: p.txt, contents: \"1\\n2 z\"}",
                  {"f:1:44: error: p.txt, line 2: found 'z'" + allowed}}});
}

}  // namespace
}  // namespace faultline
