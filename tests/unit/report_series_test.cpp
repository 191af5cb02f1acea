// Columns of samples: what is kept when there are more than a page can show.
#include <gtest/gtest.h>

#include <vector>

#include "report/series_table.hpp"

namespace faultline {
namespace {

Json sample(std::uint64_t number, std::int64_t held) {
  return {{"t_ns", number * 1'000},
          {"rules", {{"wan", {{"matched", number * 10}, {"delay", {{"max_ns", held}}}}}}},
          {"hold", {{"packets", held}}}};
}

std::vector<std::int64_t> column(const Json& json, const char* path) {
  std::vector<std::int64_t> values;
  std::int64_t value = 0;
  for (const Json& difference : json["columns"][path])
    values.push_back(value += difference.get<std::int64_t>());
  return values;
}

TEST(ReportSeries, AFewSamplesAreAllThere) {
  SeriesTable table;
  for (std::uint64_t number = 1; number <= 3; ++number)
    EXPECT_TRUE(table.add(sample(number, number == 2 ? 9 : 4)));
  const Json json = table.to_json();
  EXPECT_EQ(json["samples"], 3);
  EXPECT_EQ(json["stride"], 1);
  EXPECT_EQ(column(json, "t_ns"), (std::vector<std::int64_t>{1'000, 2'000, 3'000}));
  EXPECT_EQ(column(json, "rules/wan/matched"), (std::vector<std::int64_t>{10, 20, 30}));
  EXPECT_EQ(column(json, "hold/packets"), (std::vector<std::int64_t>{4, 9, 4}));
}

TEST(ReportSeries, ManyBecomeFewAndNothingIsLost) {
  SeriesTable table;
  constexpr std::uint64_t kSamples = 1'000'001;
  constexpr std::uint64_t kPeak = 777'777;
  for (std::uint64_t number = 1; number <= kSamples; ++number)
    ASSERT_TRUE(table.add(sample(number, number == kPeak ? 1'000'000 : 5)));
  const Json json = table.to_json();
  const auto times = column(json, "t_ns");
  const auto matched = column(json, "rules/wan/matched");
  const auto held = column(json, "hold/packets");
  EXPECT_LE(times.size() * 4, SeriesTable::kNumbersMax);
  EXPECT_GE(times.size(), SeriesTable::kRowsMin);
  ASSERT_EQ(times.size(), matched.size());
  ASSERT_EQ(times.size(), held.size());
  EXPECT_EQ(times.back(), kSamples * 1'000);
  std::size_t peaks = 0;
  for (std::size_t row = 0; row < times.size(); ++row) {
    EXPECT_EQ(matched[row] * 100, times[row]) << "a counter is that of its time";
    const bool is_peak = held[row] == 1'000'000;
    peaks += is_peak ? 1 : 0;
    EXPECT_TRUE(is_peak || held[row] == 5);
    if (is_peak) {
      EXPECT_GE(times[row], kPeak * 1'000);
      EXPECT_LT(times[row - 1], kPeak * 1'000);
    }
  }
  EXPECT_EQ(peaks, 1U);
}

TEST(ReportSeries, RulesThatComeAndGo) {
  SeriesTable table;
  Json late = sample(3, 1);
  late["rules"]["late"] = {{"matched", 7}};
  for (const Json& line : {sample(1, 1), sample(2, 1), late, sample(4, 1)})
    EXPECT_TRUE(table.add(line));
  EXPECT_EQ(column(table.to_json(), "rules/late/matched"), (std::vector<std::int64_t>{0, 0, 7, 7}));
}

TEST(ReportSeries, TheSameTimeAgainTakesItsPlace) {
  SeriesTable table;
  for (Json line : {sample(1, 1), sample(2, 1), sample(2, 8)}) {
    line["rules"]["wan"]["matched"] = line["hold"]["packets"];
    EXPECT_TRUE(table.add(line));
  }
  EXPECT_EQ(table.samples(), 2U);
  EXPECT_EQ(column(table.to_json(), "rules/wan/matched"), (std::vector<std::int64_t>{1, 8}));
}

TEST(ReportSeries, WhatIsNoSampleIsRefused) {
  SeriesTable table;
  EXPECT_TRUE(table.add(sample(5, 1)));
  for (const char* line :
       {"[]", "7", "{}", R"({"t_ns":"1"})", R"({"t_ns":-1})", R"({"t_ns":4000})"})
    EXPECT_FALSE(table.add(Json::parse(line))) << line;
  EXPECT_EQ(table.samples(), 1U);
  EXPECT_EQ(SeriesTable().to_json()["columns"].size(), 1U);
}

}  // namespace
}  // namespace faultline
