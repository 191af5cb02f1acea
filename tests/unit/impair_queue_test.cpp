// Queue: how a limit is written, and that it needs a stage before it. What a limit does is in the
// tests of the stage.
#include "impair/queue.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

std::vector<std::string> errors_of(std::string_view yaml) {
  Problems problems;
  const ConfigNode tree = test::tree_of(yaml);
  const bool read = read_queue(tree, problems).has_value();
  EXPECT_EQ(read, problems.empty()) << yaml;
  return test::lines_of(problems);
}

TEST(ImpairQueue, Limits) {
  struct LimitCase {
    std::string_view text;
    QueueLimit::Unit unit;
    std::uint64_t value;
  };
  const LimitCase cases[] = {
      {"100p", QueueLimit::Unit::kPackets, 100},     {"1Mp", QueueLimit::Unit::kPackets, 1'000'000},
      {"64KB", QueueLimit::Unit::kBytes, 64'000},    {"64KiB", QueueLimit::Unit::kBytes, 65'536},
      {"50ms", QueueLimit::Unit::kTime, 50'000'000}, {"0ms", QueueLimit::Unit::kTime, 0},
  };
  for (const LimitCase& one : cases) {
    Problems problems;
    const auto limit =
        read_queue(test::tree_of("{limit: " + std::string(one.text) + "}"), problems);
    ASSERT_TRUE(limit.has_value()) << one.text;
    EXPECT_EQ(limit->limit.unit, one.unit) << one.text;
    EXPECT_EQ(limit->limit.value, one.value) << one.text;
  }
}

TEST(ImpairQueue, Errors) {
  const std::string allowed = "; packets such as 100p, bytes such as 1MB or a time such as 50ms";
  const std::string others = "; limit and discipline, and what that discipline takes";
  const test::ErrorCase cases[] = {
      {"{limit: 100}", {"f:1:9: error: found '100'" + allowed}},
      {"{limit: 0}", {"f:1:9: error: found '0'" + allowed}},
      {"{limit: 0p}", {"f:1:9: error: '0p' is out of range" + allowed}},
      {"{limit: 0B}", {"f:1:9: error: '0B' is out of range" + allowed}},
      {"{limit: 2000Mp}", {"f:1:9: error: '2000Mp' is out of range" + allowed}},
      {"{limit: 25h}", {"f:1:9: error: '25h' is out of range" + allowed}},
      {"{limit: [1]}", {"f:1:9: error: found a list" + allowed}},
      {"{}", {"f:1:1: error: queue: 'limit' is missing"}},
      {"{limit: 1p, discipline: blue}",
       {"f:1:25: error: found 'blue'; one of tail, head, red, codel, pie"}},
      {"{limit: 1p, ecn: true}", {"f:1:18: error: ecn: is no key of this discipline" + others}},
      {"{limit: 1p, discipline: red, target: 1ms}",
       {"f:1:38: error: target: is no key of this discipline" + others}},
      {"{limit: 1p, discipline: codel, min: 1p}",
       {"f:1:37: error: min: is no key of this discipline" + others}},
      {"{limit: 50ms, discipline: red}",
       {"f:1:1: error: RED with a limit in time; a limit in packets or bytes"}},
      {"{limit: 9p, discipline: red, min: 5p, max: 5p}",
       {"f:1:1: error: RED: min is not below max; min below max"}},
      {"{limit: 9p, discipline: red, min: 5B}",
       {"f:1:35: error: found '5B'; the unit of limit: packets or bytes",
        "f:1:1: error: RED: min is not below max; min below max"}},
      {"{limt: 1p}",
       {"f:1:1: error: queue: 'limit' is missing",
        "f:1:2: error: queue: unknown key 'limt'; known keys are discipline, limit, target, "
        "interval, ecn, update, burst, alpha, beta, min, max, probability, weight; did you mean "
        "'limit'?"}},
  };
  for (const test::ErrorCase& one : cases) EXPECT_EQ(errors_of(one.yaml), one.lines) << one.yaml;
}

TEST(ImpairQueue, NeedsAStage) {
  EXPECT_EQ(test::item_errors("queue: {limit: 1p}"),
            std::vector<std::string>{"f:1:8: error: a queue shapes the stage before it, and there "
                                     "is none; a rate, link_trace or slot right before the queue"});
}

TEST(ImpairQueue, DisciplinesHaveTheirDefaults) {
  const auto read = [](std::string_view yaml) {
    Problems problems;
    const auto queue = read_queue(test::tree_of(yaml), problems);
    EXPECT_TRUE(queue.has_value() && problems.empty()) << yaml;
    return queue.value_or(QueueSpec{});
  };
  const QueueSpec codel = read("{limit: 9p, discipline: codel}");
  EXPECT_TRUE(codel.is_served());
  EXPECT_EQ(codel.target_ns, 5'000'000U);
  EXPECT_EQ(codel.interval_ns, 100'000'000U);
  EXPECT_FALSE(codel.ecn);
  const QueueSpec pie = read("{limit: 9p, discipline: pie, ecn: true, update: 30ms}");
  EXPECT_FALSE(pie.is_served());
  EXPECT_EQ(pie.target_ns, 15'000'000U);
  EXPECT_EQ(pie.interval_ns, 30'000'000U);
  EXPECT_EQ(pie.burst_ns, 150'000'000U);
  EXPECT_EQ(pie.least, 0.125);
  EXPECT_EQ(pie.most, 1.25);
  EXPECT_TRUE(pie.ecn);
  const QueueSpec red = read("{limit: 60p, discipline: red}");
  EXPECT_EQ(red.least, 10.0);
  EXPECT_EQ(red.most, 30.0);
  EXPECT_EQ(red.probability, 0.1);
  EXPECT_EQ(red.weight, 0.002);
  EXPECT_TRUE(read("{limit: 9p, discipline: head}").is_served());
  EXPECT_FALSE(read("{limit: 9p}").is_served());
}

}  // namespace
}  // namespace faultline
