// The reordering of RFC 4737: which packets are reordered, and by how much, against its definition.
#include "dataplane/reordering.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace faultline {
namespace {

std::vector<std::uint32_t> extents(const std::vector<std::uint32_t>& order) {
  const auto meter = std::make_unique<ReorderingMeter>();
  std::vector<std::uint32_t> found;
  for (const std::uint32_t number : order) found.push_back(meter->note(number));
  return found;
}

TEST(DataplaneReordering, InOrderThereIsNone) {
  std::vector<std::uint32_t> order(20'000);
  std::iota(order.begin(), order.end(), UINT32_MAX - 10'000);  // over the end of 32 bits
  EXPECT_EQ(extents(order), std::vector<std::uint32_t>(order.size(), 0));
}

TEST(DataplaneReordering, CountsPlacesBackToTheFirstThatCameLater) {
  EXPECT_EQ(extents({1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11}),
            (std::vector<std::uint32_t>{0, 0, 0, 0, 0, 0, 0, 4, 5, 6, 0}));
}

TEST(DataplaneReordering, AsDefined) {
  std::mt19937_64 random(7);
  std::vector<std::uint32_t> order(3'000);
  std::iota(order.begin(), order.end(), UINT32_MAX - 1'000);
  for (std::size_t at = 0; at + 60 < order.size(); at += 1 + random() % 40)
    std::swap(order[at], order[at + random() % 60]);
  const auto came = [&](std::size_t at) { return order[at] - (UINT32_MAX - 1'000); };
  const auto found = extents(order);
  std::uint32_t reordered = 0;
  for (std::size_t at = 0; at < order.size(); ++at) {
    std::size_t first = 0;
    while (first < at && came(first) < came(at)) ++first;
    EXPECT_EQ(found[at], at - first) << at;
    reordered += found[at] > 0 ? 1U : 0U;
  }
  EXPECT_GT(reordered, 100U);
}

TEST(DataplaneReordering, FarBehindItIsAtLeastWhatIsRemembered) {
  std::vector<std::uint32_t> order(10'000);
  std::iota(order.begin(), order.end(), 1U);
  order.push_back(0);
  EXPECT_EQ(extents(order).back(), ReorderingMeter::kLeadersMax);
}

}  // namespace
}  // namespace faultline
