// Bit-error: tables for a seed, from the reference model in tests/model; long frames more often.
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

TEST(ImpairLossBitError, TablesForASeed) {
  EXPECT_EQ(first_20(lost_in_any_bursts("loss: {model: bit-error, ber: 1e-4}", kIdentity, 400)),
            (Numbers{4,   9,   25,  38,  61,  68,  89,  99,  102, 107,
                     119, 230, 249, 255, 267, 270, 313, 339, 361, 364}));
  ImpairmentBench bench("loss: {model: bit-error, ber: 1e-4}", {42, "uplink", 0}, kIdentity);
  bench.length_bytes = 1'514;
  EXPECT_EQ(first_20(bench.lost(test::numbers_to(400), 64)),
            (Numbers{1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 18, 22, 23, 24, 25, 26, 28}));
}

TEST(ImpairLossBitError, FramesArePaddedTo64Bytes) {
  const auto lost = [](std::uint32_t length_bytes) {
    ImpairmentBench bench("loss: {model: bit-error, ber: 1e-3}", {42, "uplink", 0}, kIdentity);
    bench.length_bytes = length_bytes;
    return bench.lost(test::numbers_to(2'000), 64);
  };
  EXPECT_EQ(lost(14), lost(60));
  EXPECT_NE(lost(60), lost(100));
}

TEST(ImpairLossBitError, Corners) {
  EXPECT_EQ(lost_in_any_bursts("loss: {model: bit-error, ber: 0}", kIdentity, 500), Numbers{});
  EXPECT_EQ(lost_in_any_bursts("loss: {model: bit-error, ber: 100%}", kIdentity, 500),
            test::numbers_to(500));
}

TEST(ImpairLossBitError, Errors) {
  expect_errors({{"loss: {model: bit-error}", {"f:1:7: error: loss: 'ber' is missing"}},
                 {"loss: {model: bit-error, ber: 2}",
                  {std::string("f:1:31: error: '2' is out of range") + kProbability}}});
}

}  // namespace
}  // namespace faultline
