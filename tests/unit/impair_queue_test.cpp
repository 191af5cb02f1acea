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
  const test::ErrorCase cases[] = {
      {"{limit: 100}", {"f:1:9: error: found '100'" + allowed}},
      {"{limit: 0}", {"f:1:9: error: found '0'" + allowed}},
      {"{limit: 0p}", {"f:1:9: error: '0p' is out of range" + allowed}},
      {"{limit: 0B}", {"f:1:9: error: '0B' is out of range" + allowed}},
      {"{limit: 2000Mp}", {"f:1:9: error: '2000Mp' is out of range" + allowed}},
      {"{limit: 25h}", {"f:1:9: error: '25h' is out of range" + allowed}},
      {"{limit: [1]}", {"f:1:9: error: found a list" + allowed}},
      {"{}", {"f:1:1: error: queue: 'limit' is missing"}},
      {"{limit: 1p, discipline: codel}",
       {"f:1:25: error: discipline 'codel' is not yet supported; tail"}},
      {"{limit: 1p, ecn: true}", {"f:1:13: error: queue: 'ecn' is not yet supported"}},
      {"{limt: 1p}",
       {"f:1:1: error: queue: 'limit' is missing",
        "f:1:2: error: queue: unknown key 'limt'; known keys are ecn, target, interval, "
        "discipline, limit; did you mean 'limit'?"}},
  };
  for (const test::ErrorCase& one : cases) EXPECT_EQ(errors_of(one.yaml), one.lines) << one.yaml;
}

TEST(ImpairQueue, NeedsAStage) {
  EXPECT_EQ(test::item_errors("queue: {limit: 1p}"),
            std::vector<std::string>{"f:1:8: error: a queue shapes the stage before it, and there "
                                     "is none; a rate right before the queue"});
}

}  // namespace
}  // namespace faultline
