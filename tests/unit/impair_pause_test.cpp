// pause: who waits, when the gate opens and what leaves then, and what is refused. How gates are
// opened is in tests/sim/test_sim_pause.py.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using Lines = std::vector<std::string>;

std::shared_ptr<const NodeTable> two_nodes() {
  return std::make_shared<const NodeTable>(
      std::vector<NodeAddresses>{{.name = "a", .port = 0}, {.name = "b", .port = 1}});
}

std::optional<CompiledImpairment> read(const std::string& value, Lines* lines = nullptr) {
  const auto nodes = two_nodes();
  Problems problems;
  std::string_view kind;
  auto compiled =
      compile_impairment(test::tree_of("{pause: " + value + "}"),
                         {.seed = 1, .rule_name = "r", .nodes = &nodes}, &kind, problems);
  if (lines != nullptr)
    *lines = test::lines_of(problems);
  return compiled;
}

constexpr NodeMask kA = 1;
constexpr NodeMask kB = 2;

/// One step of a pause, offered packets at instants, all of one length.
class Bench {
 public:
  explicit Bench(CompiledImpairment step, std::uint64_t room = 100)
      : step_(std::move(step)), pool_(room) {
    asked_.served = &pool_;
    asked_.self = &step_;
  }

  /// Whether it waits; it passes or is dropped otherwise, see reason().
  bool offer(std::uint64_t time_ns, NodeMask source, NodeMask destination,
             std::uint32_t bytes = 100) {
    asked_.state[0] = &state_;
    asked_.sources[0] = source;
    asked_.destinations[0] = destination;
    burst_.time_ns[0] = burst_.arrival_ns[0] = time_ns;
    burst_.length_bytes[0] = bytes;
    burst_.reason[0] = DropReason::kNone;
    Selection one;
    one.position[0] = 0;
    one.count = 1;
    ImpairmentTally tally;
    step_.decide(step_.parameters, asked_, burst_, one, tally);
    return burst_.reason[0] == DropReason::kNone && burst_.waits[0] != 0;
  }
  DropReason reason() const { return burst_.reason[0]; }

  void open(std::uint64_t now_ns) { state_.as<GatedQueue>().opens_ns = now_ns; }
  std::uint64_t serve() { return step_.serve(state_, pool_, 0, 0); }

  /// What leaves by `now_ns`: times, or UINT64_MAX for what is dropped.
  std::vector<std::uint64_t> leave_by(std::uint64_t now_ns) {
    ServedQueue due;
    pool_.detach_due(state_.as<GatedQueue>().queue, now_ns, due);
    std::vector<std::uint64_t> left;
    while (due.head != 0) {
      const ServedPool::Node node = pool_.take_head(due);
      left.push_back(node.verdict == Verdict::kDropped ? UINT64_MAX : node.departure_ns);
    }
    return left;
  }

 private:
  CompiledImpairment step_;
  ServedPool pool_;
  Asked asked_;
  JudgedBurst burst_{};
  ScopeState state_{};
};

TEST(ImpairPause, EachStepHoldsItsDirection) {
  const auto link = read("{node: b}");
  ASSERT_TRUE(link && link->reverse);
  Bench towards(*link);
  EXPECT_TRUE(towards.offer(1, kA, kB));
  EXPECT_FALSE(towards.offer(2, kB, kA));
  EXPECT_FALSE(towards.offer(3, kA, 0));
  EXPECT_EQ(towards.reason(), DropReason::kNone);
  Bench from(*link->reverse);
  EXPECT_FALSE(from.offer(1, kA, kB));
  EXPECT_TRUE(from.offer(2, kB, kA));
  EXPECT_TRUE(from.offer(3, kB, 0));
  const auto machine = read("{node: b, kind: machine}");
  Bench silent(*machine->reverse);
  EXPECT_FALSE(silent.offer(1, kB, kA));
  EXPECT_EQ(silent.reason(), DropReason::kPause);
}

TEST(ImpairPause, NothingLeavesBeforeItIsOpened) {
  Bench bench(*read("{node: b}"));
  bench.offer(10, kA, kB);
  bench.offer(20, kA, kB);
  EXPECT_EQ(bench.serve(), UINT64_MAX);
  EXPECT_TRUE(bench.leave_by(UINT64_MAX - 1).empty());
  bench.open(500);
  EXPECT_EQ(bench.serve(), 500U);
  EXPECT_TRUE(bench.leave_by(499).empty());
  EXPECT_EQ(bench.leave_by(500), (std::vector<std::uint64_t>{500, 500}));
  EXPECT_EQ(bench.serve(), UINT64_MAX);
  bench.offer(600, kA, kB);  // paused again
  EXPECT_EQ(bench.serve(), UINT64_MAX);
}

TEST(ImpairPause, ADelayedPacketLeavesNoEarlierThanItsTime) {
  Bench bench(*read("{node: b}"));
  bench.offer(10, kA, kB);
  bench.offer(900, kA, kB);
  bench.offer(20, kA, kB);
  bench.open(500);
  EXPECT_EQ(bench.serve(), 500U);
  EXPECT_EQ(bench.leave_by(1'000), (std::vector<std::uint64_t>{500, 900, 900}));
}

TEST(ImpairPause, PacedAndDropped) {
  Bench paced(*read("{node: b, release: paced 8Mbit}"));  // a byte in 1,000 ns
  for (int packet = 0; packet < 3; ++packet) paced.offer(1, kA, kB, 100);
  paced.open(1'000'000);
  EXPECT_EQ(paced.serve(), 1'100'000U);
  EXPECT_EQ(paced.leave_by(UINT64_MAX - 1),
            (std::vector<std::uint64_t>{1'100'000, 1'200'000, 1'300'000}));
  Bench dropped(*read("{node: b, release: drop}"));
  dropped.offer(1, kA, kB);
  dropped.open(7);
  dropped.serve();
  EXPECT_EQ(dropped.leave_by(7), (std::vector<std::uint64_t>{UINT64_MAX}));
}

TEST(ImpairPause, BuffersAreFullAtTheirLimit) {
  Bench packets(*read("{node: b, buffer: 3p}"));
  for (int packet = 0; packet < 3; ++packet) EXPECT_TRUE(packets.offer(1, kA, kB));
  EXPECT_FALSE(packets.offer(1, kA, kB));
  EXPECT_EQ(packets.reason(), DropReason::kPause);
  Bench bytes(*read("{node: b, buffer: 250B}"));
  EXPECT_TRUE(bytes.offer(1, kA, kB, 100));
  EXPECT_TRUE(bytes.offer(1, kA, kB, 150));
  EXPECT_FALSE(bytes.offer(1, kA, kB, 1));
  Bench pool(*read("{node: b}"), 2);
  EXPECT_TRUE(pool.offer(1, kA, kB));
  EXPECT_TRUE(pool.offer(1, kA, kB));
  EXPECT_FALSE(pool.offer(1, kA, kB));
  EXPECT_EQ(pool.reason(), DropReason::kOverflow);
}

TEST(ImpairPause, Errors) {
  const auto errors = [](const std::string& value) {
    Lines lines;
    read(value, &lines);
    return lines;
  };
  EXPECT_EQ(errors("{}"), Lines{"f:1:9: error: pause: 'node' is missing"});
  EXPECT_EQ(errors("{node: z}"), Lines{"f:1:16: error: unknown node 'z'; one of the nodes a, b"});
  EXPECT_EQ(errors("{node: a, buffer: 3s}"),
            Lines{"f:1:27: error: found '3s'; packets or bytes, such as 1000p or 1MB"});
  EXPECT_EQ(errors("{node: a, release: paced}"),
            Lines{"f:1:28: error: found 'paced'; burst, drop, or paced and a rate, such as paced "
                  "10Mbit"});
  EXPECT_EQ(errors("{node: a, release: paced 3}").size(), 1U);
  EXPECT_EQ(errors("{node: a, kind: process}").size(), 1U);
  EXPECT_EQ(errors("{node: a, command: kill}").size(), 1U);
}

}  // namespace
}  // namespace faultline
