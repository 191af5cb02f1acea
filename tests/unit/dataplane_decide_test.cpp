// Decide, from YAML to fates: rules in file order, the same fates however packets come in bursts,
// what is counted, and thousands of different plans.
#include "dataplane/decide.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "policy/compile.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Ipv4Frame;
using test::make;

/// One packet to be judged.
struct Packet {
  Bytes frame;
  std::uint64_t arrival_ns = 0;
  PathId path_id = 0;
};

struct Fate {
  DropReason reason = DropReason::kNone;
  std::uint64_t delay_ns = 0;

  friend bool operator==(const Fate&, const Fate&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Fate& fate) {
    return out << (fate.reason == DropReason::kNone ? "passes" : drop_reason_name(fate.reason))
               << "+" << fate.delay_ns;
  }
};

/// Remembers which numbers the packets had among the matches of the rule asked last.
class MatchNumbers final : public Witness {
 public:
  bool wants_flows() const noexcept override { return false; }
  void arrived(const Arrivals&, const JudgedBurst&) noexcept override {}
  void matched(const RuleProgram&, const Selection&, const JudgedBurst&) noexcept override {}
  void asks(const RuleProgram&, std::size_t, const Selection& selection, const Asked& asked,
            const JudgedBurst&) noexcept override {
    for (std::uint32_t turn = 0; turn < selection.count; ++turn)
      match_number[selection.position[turn]] = asked.match_number[selection.position[turn]];
  }
  void judged(const RuleProgram&, std::size_t, const Selection&,
              const JudgedBurst&) noexcept override {}
  void dropped(const HoldKey&, const rte_mbuf*, DropReason) noexcept override {}

  PerPacket<std::uint64_t> match_number{};
};

/// A worker's deciding half, its policies and nothing else.
class Bench {
 public:
  explicit Bench(std::string_view yaml, const CompileRequest& request = {.seed = 42})
      : decide(Decide::Settings{}), slots_(2) {
    adopt(yaml, request);
    decide.set_witness(&numbers);
  }

  void adopt(std::string_view yaml, const CompileRequest& request = {.seed = 42}) {
    Result<Scenario> scenario = read_scenario(test::tree_of(yaml), ScenarioUse::kSimulate);
    ASSERT_TRUE(scenario.has_value()) << to_line(scenario.error().front());
    Result<Policy> compiled = compile_policy(*scenario, request, slots_);
    ASSERT_TRUE(compiled.has_value()) << to_line(compiled.error().front());
    adopt(std::move(*compiled), request.active_from_ns);
  }

  void adopt(Policy policy, std::uint64_t now_ns) {
    policies_.push_back(std::make_unique<Policy>(std::move(policy)));
    decide.adopt(*policies_.back(), now_ns);
  }

  /// Judges in bursts of at most `burst_size` packets of one port.
  std::vector<Fate> judge(const std::vector<Packet>& packets, std::uint32_t burst_size) {
    std::vector<Fate> fates;
    std::size_t first = 0;
    while (first < packets.size()) {
      const std::size_t before = first;
      // Not from 0: what a part means is [first, first + count).
      BurstPart part{(kBurstMax - burst_size) / 2, 0, packets[first].path_id};
      for (; first < packets.size() && part.count < burst_size &&
             packets[first].path_id == part.path_id;
           ++first, ++part.count) {
        const Packet& packet = packets[first];
        const std::uint32_t i = part.first + part.count;
        frames_[i] = {packet.frame.data(), static_cast<std::uint32_t>(packet.frame.size()),
                      static_cast<std::uint32_t>(packet.frame.size())};
        burst.arrival_ns[i] = packet.arrival_ns;
        burst.time_ns[i] = 99;
        burst.reason[i] = DropReason::kTxError;
      }
      decide.judge(frames_, part, burst, counters);
      for (std::uint32_t i = part.first; i < part.first + part.count; ++i) {
        EXPECT_EQ(burst.length_bytes[i], packets[before + i - part.first].frame.size());
        fates.push_back({burst.reason[i], burst.time_ns[i] - burst.arrival_ns[i]});
      }
    }
    return fates;
  }

  Fate judge_one(const Packet& packet) { return judge({packet}, 1).front(); }

  const RuleCounters& counted(std::size_t rule) const {
    return decide.rule_counters().at(policies_.back()->rules.at(rule).slot);
  }
  const Policy& policy() const { return *policies_.back(); }

  Decide decide;
  MatchNumbers numbers;
  WorkerCounters counters;
  JudgedBurst burst{};

 private:
  PolicySlots slots_;
  std::vector<std::unique_ptr<Policy>> policies_;
  PerPacket<FrameView> frames_{};
};

std::string rules(const std::vector<std::string>& lines) {
  std::string yaml = "version: 1\nrules:\n";
  for (const std::string& line : lines) yaml += "  - {" + line + "}\n";
  return yaml;
}

Packet udp_to(std::uint16_t port, PathId path_id = 0, std::uint64_t arrival_ns = 0) {
  return {make(Ipv4Frame{.ports = {4'242, port}}), arrival_ns, path_id};
}

constexpr Fate kPasses{};
constexpr Fate kLost{DropReason::kLoss, 0};

Fate delayed(std::uint64_t delay_ns) {
  return {DropReason::kNone, delay_ns};
}

TEST(DataplaneDecide, WithoutAPolicyEverythingPasses) {
  Decide decide({.flows_max = 16, .flow_idle_ns = kNsPerSecond});
  EXPECT_FALSE(decide.reads_frames(0));
  PerPacket<FrameView> frames{};
  frames[0].length = 60;  // no bytes: nobody may look at them
  JudgedBurst burst{};
  burst.arrival_ns[0] = 5;
  burst.reason[0] = DropReason::kTxError;
  WorkerCounters counters;
  decide.judge(frames, {0, 1, 0}, burst, counters);
  EXPECT_EQ(burst.reason[0], DropReason::kNone);
  EXPECT_EQ(burst.time_ns[0], 5U);
  EXPECT_EQ(burst.length_bytes[0], 60U);
}

TEST(DataplaneDecide, FramesAreReadWhereARuleIs) {
  Bench bench(rules({"name: r, from: left, impair: [delay: 1us]"}));
  EXPECT_TRUE(bench.decide.reads_frames(0));
  EXPECT_FALSE(bench.decide.reads_frames(1));
  EXPECT_EQ(bench.judge_one(udp_to(80, 0)), delayed(1'000));
  EXPECT_EQ(bench.judge_one(udp_to(80, 1)), kPasses);
  EXPECT_EQ(bench.judge_one({Bytes(13), 0, 1}), kPasses);
  EXPECT_EQ(bench.counters.unparsed, 0U) << "nobody looked at port 1";
}

struct FateCase {
  std::string_view name;
  std::vector<std::string> rules;
  Fate to_53;
  Fate to_80;
  Fate arp;
};

TEST(DataplaneDecide, RulesInFileOrderImpairmentsInTheOrderWritten) {
  const std::string match_53 = ", match: {dport: 53}";
  const FateCase cases[] = {
      {"no rule", {}, kPasses, kPasses, kPasses},
      {"everything",
       {"name: a, impair: [delay: 1us]"},
       delayed(1'000),
       delayed(1'000),
       delayed(1'000)},
      {"an empty match",
       {"name: a, impair: [delay: 1us], match: {}"},
       delayed(1'000),
       delayed(1'000),
       delayed(1'000)},
      {"one port", {"name: a, impair: [delay: 1us]" + match_53}, delayed(1'000), kPasses, kPasses},
      {"delays add up",
       {"name: a, impair: [delay: 1us, delay: 20us]", "name: b, impair: [delay: 300us]" + match_53},
       delayed(321'000),
       delayed(21'000),
       delayed(21'000)},
      {"lost after a delay",
       {"name: a, impair: [delay: 1us, loss: 100%]" + match_53},
       {DropReason::kLoss, 1'000},
       kPasses,
       kPasses},
      {"no delay after a loss",
       {"name: a, impair: [loss: 100%, delay: 1us]" + match_53},
       kLost,
       kPasses,
       kPasses},
      {"a later rule does not touch the dead",
       {"name: a, impair: [loss: 100%]" + match_53, "name: b, impair: [delay: 2us]"},
       kLost,
       delayed(2'000),
       delayed(2'000)},
      {"an earlier rule's delay stays",
       {"name: b, impair: [delay: 2us]", "name: a, impair: [loss: 100%]" + match_53},
       {DropReason::kLoss, 2'000},
       delayed(2'000),
       delayed(2'000)},
      {"a rule that is off",
       {"name: a, enabled: false, impair: [loss: 100%]"},
       kPasses,
       kPasses,
       kPasses},
      {"a rule that is off and one that is on",
       {"name: a, enabled: false, impair: [loss: 100%]" + match_53,
        "name: b, impair: [delay: 2us]" + match_53},
       delayed(2'000),
       kPasses,
       kPasses},
      {"the other way", {"name: a, from: right, impair: [loss: 100%]"}, kPasses, kPasses, kPasses},
      {"a lawful loss",
       {"name: a, impair: [loss: {model: gilbert, p: 100%, r: 0%}]"},
       kLost,
       kLost,
       kLost},
  };
  for (const FateCase& one : cases) {
    const Packet arp{test::ethernet(0x0806, 28), 0, 0};
    for (const std::uint32_t burst_size : {1U, 3U}) {
      Bench bench(rules(one.rules));
      EXPECT_EQ(bench.judge({udp_to(53), udp_to(80), arp}, burst_size),
                (std::vector<Fate>{one.to_53, one.to_80, one.arp}))
          << one.name << " in bursts of " << burst_size;
      EXPECT_EQ(bench.counters.unparsed, 0U);
    }
  }
}

/// Traffic of many flows, some of it unparsed, in both directions.
std::vector<Packet> mixed_traffic(std::size_t packets) {
  std::vector<Packet> traffic;
  test::Random random(9);
  std::uint64_t now_ns = 0;
  PathId path_id = 0;
  for (std::size_t packet = 0; packet < packets; ++packet) {
    now_ns += random.below(2'000);
    if (packet % 64 == 0)
      path_id = static_cast<std::uint8_t>(1 - path_id);
    Ipv4Frame frame;
    frame.protocol = random.below(4) == 0 ? 6 : random.below(9) == 0 ? 1 : 17;
    frame.source[3] = static_cast<std::uint8_t>(random.below(5));
    frame.ports.destination = static_cast<std::uint16_t>(50 + random.below(8));
    frame.payload_bytes = random.below(100);
    Bytes bytes = make(frame);
    if (random.below(20) == 0)
      bytes.resize(20);
    traffic.push_back({bytes, now_ns, path_id});
  }
  return traffic;
}

const std::vector<std::string> kMixedRules = {
    "name: udp, match: {proto: udp}, impair: [delay: 1us, loss: 10%]",
    "name: chain, impair: [loss: {model: gilbert-elliott, p: 5%, r: 20%, loss_bad: 80%}]",
    "name: some, match: {dport: [50, 53-55]}, impair: [loss: 5%, delay: 20us]",
    "name: tcp, from: left, match: {proto: tcp, src: 10.0.0.0/31}, impair: [loss: 30%]",
    "name: later, match: {src: [10.0.0.1, 10.0.0.4]}, impair: [loss: {model: gilbert, p: 2%, r: "
    "30%}, delay: 300us]",
};

TEST(DataplaneDecide, BurstSizeDoesNotMatter) {
  const std::vector<Packet> traffic = mixed_traffic(6'000);
  Bench alone(rules(kMixedRules));
  const std::vector<Fate> expected = alone.judge(traffic, 1);
  EXPECT_GT(std::count_if(expected.begin(), expected.end(),
                          [](const Fate& fate) { return fate.reason == DropReason::kLoss; }),
            1'000);
  for (const std::uint32_t burst_size : {2U, 3U, 7U, 32U, 63U, 64U}) {
    Bench bench(rules(kMixedRules));
    EXPECT_TRUE(bench.judge(traffic, burst_size) == expected) << burst_size;
    EXPECT_EQ(bench.counters.unparsed, alone.counters.unparsed) << burst_size;
    for (std::size_t rule = 0; rule < kMixedRules.size(); ++rule) {
      const RuleCounters& one = bench.counted(rule);
      const RuleCounters& other = alone.counted(rule);
      EXPECT_EQ(one.matched, other.matched) << rule;
      EXPECT_EQ(one.dropped, other.dropped) << rule;
      EXPECT_EQ(one.lost, other.lost) << rule;
      EXPECT_EQ(one.loss_runs, other.loss_runs) << rule;
      EXPECT_EQ(one.delayed, other.delayed) << rule;
      EXPECT_EQ(one.delay_sum_ns, other.delay_sum_ns) << rule;
      EXPECT_EQ(one.delay_max_ns, other.delay_max_ns) << rule;
    }
  }
}

TEST(DataplaneDecide, ARuleMoreDoesNotMoveAnothersDice) {
  // Numbers are counted at arrival, before any rule: an earlier drop shifts nobody's dice.
  const std::vector<Packet> traffic = mixed_traffic(4'000);
  Bench alone(rules({"name: r, impair: [loss: 10%]"}));
  Bench both(rules({"name: before, impair: [loss: 50%]", "name: r, impair: [loss: 10%]"}));
  Bench matching(rules(
      {"name: before, match: {proto: udp}, impair: [loss: 50%]", "name: r, impair: [loss: 10%]"}));
  const std::vector<Fate> one = alone.judge(traffic, 32);
  for (Bench* other : {&both, &matching}) {
    const std::vector<Fate> two = other->judge(traffic, 32);
    for (std::size_t packet = 0; packet < traffic.size(); ++packet)
      EXPECT_TRUE(one[packet] == kPasses || two[packet] == kLost) << packet;
  }
}

TEST(DataplaneDecide, MatchNumbersCountWhatWasDroppedBefore) {
  // The chain of the second rule is indexed by its matches, dropped before or not.
  const std::vector<Packet> traffic = mixed_traffic(4'000);
  const std::string chain =
      "name: chain, match: {proto: udp}, impair: [loss: {model: gilbert, p: "
      "10%, r: 30%}]";
  Bench alone(rules({chain}));
  Bench behind(rules({"name: before, impair: [loss: 50%]", chain}));
  const std::vector<Fate> one = alone.judge(traffic, 16);
  const std::vector<Fate> two = behind.judge(traffic, 16);
  std::uint64_t lost_by_chain = 0;
  for (std::size_t packet = 0; packet < traffic.size(); ++packet) {
    EXPECT_TRUE(one[packet] == kPasses || two[packet] == kLost) << packet;
    lost_by_chain += one[packet] == kLost ? 1U : 0U;
  }
  EXPECT_EQ(alone.counted(0).lost, lost_by_chain);
  EXPECT_EQ(behind.counted(1).matched, alone.counted(0).matched);
  EXPECT_LT(behind.counted(1).lost, lost_by_chain) << "half of them were dead already";
}

TEST(DataplaneDecide, NumbersOfFlowsAndMatches) {
  Bench bench(rules({"name: r, match: {dport: 53}, impair: [loss: 1e-12]"}));
  bench.judge({udp_to(53), udp_to(80), udp_to(53), udp_to(54), udp_to(80), udp_to(53)}, 6);
  const std::uint32_t first = (kBurstMax - 6) / 2;
  const std::uint64_t numbers[] = {1, 1, 2, 1, 2, 3};
  for (std::uint32_t i = 0; i < 6; ++i) EXPECT_EQ(bench.burst.number[first + i], numbers[i]) << i;
  EXPECT_EQ(bench.numbers.match_number[first + 0], 1U);
  EXPECT_EQ(bench.numbers.match_number[first + 2], 2U);
  EXPECT_EQ(bench.numbers.match_number[first + 5], 3U);
  EXPECT_EQ(bench.burst.identity[first + 0], bench.burst.identity[first + 2]);
  EXPECT_NE(bench.burst.identity[first + 0], bench.burst.identity[first + 1]);
  // The other direction counts for itself.
  bench.judge({udp_to(53, 1), udp_to(53, 1)}, 2);
  EXPECT_EQ(bench.burst.number[(kBurstMax - 2) / 2 + 1], 2U);
  EXPECT_EQ(bench.numbers.match_number[(kBurstMax - 2) / 2 + 1], 2U);
  EXPECT_EQ(bench.counted(0).matched, 5U);
}

TEST(DataplaneDecide, SegmentsThatNobodyFollowedAreNotKnown) {
  constexpr std::string_view kAsks =
      "version: 1\nrules: [{name: r, match: {tcp: {retransmission: true}}, impair: [loss: all]}]";
  const auto segment = [](std::uint8_t number) {
    Packet packet{make(Ipv4Frame{.protocol = 6})};
    packet.frame.at(41) = number;
    packet.frame.at(47) = 16;
    return packet;
  };
  Bench bench(kAsks);
  EXPECT_EQ(bench.judge_one(segment(100)).reason, DropReason::kNone);
  EXPECT_EQ(bench.judge_one(segment(100)).reason, DropReason::kLoss);
  bench.adopt(kAsks);
  EXPECT_EQ(bench.judge_one(segment(100)).reason, DropReason::kLoss) << "a new policy knows";
  bench.adopt("version: 1\nrules: [{name: r, match: {role: reply}, impair: [loss: all]}]");
  bench.judge_one(segment(104));
  bench.adopt(kAsks);
  EXPECT_EQ(bench.judge_one(segment(104)).reason, DropReason::kNone) << "met in its middle";
  EXPECT_EQ(bench.judge_one(segment(104)).reason, DropReason::kLoss);
  EXPECT_EQ(bench.decide.connection_counters().opened, 1U);
}

TEST(DataplaneDecide, UnparsedFramesPassUntouchedAndAreCounted) {
  const std::vector<std::vector<std::string>> policies = {
      {"name: r, impair: [delay: 1us, loss: {model: gilbert, p: 100%, r: 0%}]"},
      {"name: r, impair: [loss: 100%]"},
      {"name: r, match: {}, impair: [loss: 100%]"},
  };
  Bytes cut = make(Ipv4Frame{});
  cut.resize(40);
  for (const auto& lines : policies) {
    Bench bench(rules(lines));
    EXPECT_EQ(bench.judge({{cut, 0, 0}, udp_to(80), {Bytes(13), 0, 0}, udp_to(80), {Bytes(), 0, 0}},
                          5)[0],
              kPasses);
    const std::vector<Fate> fates = bench.judge({udp_to(80), {cut, 0, 0}, udp_to(80)}, 64);
    EXPECT_EQ(fates[0].reason, DropReason::kLoss) << lines[0];
    EXPECT_EQ(fates[1], kPasses) << lines[0];
    EXPECT_EQ(fates[2].reason, DropReason::kLoss) << lines[0];
    EXPECT_EQ(bench.counters.unparsed, 4U) << lines[0];
    EXPECT_EQ(bench.counted(0).matched, 4U) << lines[0];
  }
}

TEST(DataplaneDecide, Counters) {
  Bench bench(rules({"name: half, match: {dport: 53}, impair: [loss: 50%, delay: 3us]",
                     "name: none, impair: [delay: 0, delay: 2us]"}));
  std::vector<Packet> traffic;
  for (int packet = 0; packet < 1'000; ++packet)
    traffic.push_back(udp_to(packet % 2 == 0 ? 53 : 80));
  const std::vector<Fate> fates = bench.judge(traffic, 32);
  std::uint64_t lost = 0;
  std::uint64_t runs = 0;
  bool last_lost = false;
  for (std::size_t packet = 0; packet < fates.size(); packet += 2) {
    const bool hit = fates[packet].reason == DropReason::kLoss;
    lost += hit ? 1U : 0U;
    runs += hit && !last_lost ? 1U : 0U;
    last_lost = hit;
  }
  ASSERT_GT(lost, 200U);
  const RuleCounters& half = bench.counted(0);
  EXPECT_EQ(half.matched, 500U);
  EXPECT_EQ(half.dropped, lost);
  EXPECT_EQ(half.lost, lost);
  EXPECT_EQ(half.loss_runs, runs) << "runs among the rule's own packets, across bursts";
  EXPECT_EQ(half.delayed, 500U - lost);
  EXPECT_EQ(half.delay_sum_ns, (500 - lost) * 3'000);
  EXPECT_EQ(half.delay_max_ns, 3'000U);
  EXPECT_EQ(half.clamped, 0U);
  EXPECT_EQ(half.undecided, 0U);
  const RuleCounters& none = bench.counted(1);
  EXPECT_EQ(none.matched, 1'000U) << "the dead are matched too";
  EXPECT_EQ(none.dropped, 0U);
  EXPECT_EQ(none.lost, 0U);
  EXPECT_EQ(none.loss_runs, 0U);
  EXPECT_EQ(none.delayed, 1'000U - lost);
  EXPECT_EQ(none.delay_sum_ns, (1'000 - lost) * 2'000);
  const Histogram& delays = bench.decide.delays_of(bench.policy().rules[1].slot);
  EXPECT_NEAR(static_cast<double>(delays.percentile(0.0)), 2'000.0, 60.0);
  EXPECT_NEAR(static_cast<double>(delays.percentile(1.0)), 2'000.0, 60.0);
  EXPECT_EQ(bench.decide.flow_counters().created, 2U);
}

TEST(DataplaneDecide, DelaysAreCountedOfWhatLivesAndOnlyIfThereIsOne) {
  Bench bench(
      rules({"name: late, impair: [delay: 3us, loss: 50%]", "name: zero, impair: [delay: 0]",
             "name: dead, match: {dport: 80}, impair: [delay: 7us, loss: 100%]"}));
  std::vector<Packet> traffic(200, udp_to(53));
  traffic.resize(230, udp_to(80));
  const std::vector<Fate> fates = bench.judge(traffic, 32);
  const auto alive =
      static_cast<std::uint64_t>(std::count(fates.begin(), fates.end(), delayed(3'000)));
  ASSERT_GT(alive, 50U);
  ASSERT_LT(alive, 150U);
  EXPECT_LT(bench.counted(0).dropped, 230U - alive) << "some lived to meet the third rule";
  EXPECT_EQ(bench.counted(0).delayed, 230U - bench.counted(0).dropped);
  EXPECT_EQ(bench.counted(0).delay_sum_ns, bench.counted(0).delayed * 3'000);
  EXPECT_EQ(bench.counted(1).matched, 230U);
  EXPECT_EQ(bench.counted(1).delayed, 0U) << "a delay of nothing delays nobody";
  EXPECT_EQ(bench.counted(1).delay_max_ns, 0U);
  EXPECT_EQ(bench.counted(2).matched, 30U);
  EXPECT_EQ(bench.counted(2).dropped, 230U - alive - bench.counted(0).dropped);
  EXPECT_EQ(bench.counted(2).delayed, 0U);
  EXPECT_EQ(bench.counted(2).delay_sum_ns, 0U);
}

TEST(DataplaneDecide, LossRunsAreThoseOfAPath) {
  // Two directions in turn, every packet lost: one run each, not one a burst or a packet.
  Bench bench(rules({"name: r, impair: [loss: 100%]"}));
  for (int round = 0; round < 10; ++round) {
    bench.judge({udp_to(53, 0), udp_to(53, 0)}, 2);
    bench.judge({udp_to(53, 1)}, 1);
  }
  EXPECT_EQ(bench.counted(0).lost, 30U);
  EXPECT_EQ(bench.counted(0).loss_runs, 2U);
}

TEST(DataplaneDecide, ClampedAndUndecidedAreCounted) {
  Bench bench(rules({"name: r, from: left, impair: [delay: 20us]",
                     "name: c, from: left, impair: [loss: {model: gilbert, p: 1e-12, r: 1e-3}]"}));
  bench.judge({udp_to(1, 0, 1'000)}, 1);
  bench.adopt(rules({"name: r, from: left, impair: [delay: 5us]",
                     "name: c, from: left, impair: [loss: {model: gilbert, p: 1e-12, r: 1e-12}]"}));
  EXPECT_EQ(bench.judge({udp_to(1, 0, 2'000), udp_to(1, 0, 17'000)}, 2).front().delay_ns, 19'000U);
  EXPECT_EQ(bench.counted(0).clamped, 1U);
  EXPECT_EQ(bench.counted(1).undecided, 1U);
  EXPECT_EQ(bench.counted(0).matched, 3U) << "the counters of a name go on";
  EXPECT_EQ(bench.counted(0).delay_max_ns, 20'000U);
  EXPECT_EQ(bench.counted(0).delay_sum_ns, 20'000U + 19'000U + 5'000U);
}

TEST(DataplaneDecide, EachDirectionHasAScopeOfItsOwn) {
  Bench bench(rules({"name: r, impair: [delay: 20us]"}));
  bench.judge({udp_to(1, 0, 1'000'000)}, 1);
  bench.adopt(rules({"name: r, impair: [delay: 5us]"}));
  EXPECT_EQ(bench.judge_one(udp_to(1, 1, 1'001'000)), delayed(5'000)) << "no floor on this way";
  EXPECT_EQ(bench.judge_one(udp_to(1, 0, 1'001'000)), delayed(19'000)) << "but on that one";
  EXPECT_EQ(bench.counted(0).clamped, 1U);
}

TEST(DataplaneDecide, ASlotHandedOutAgainRemembersNothing) {
  Bench bench(rules({"name: r, impair: [loss: {model: gilbert, p: 100%, r: 0%}]",
                     "name: d, impair: [delay: 20us]"}));
  Bench other(rules({"name: e, impair: [loss: {model: gilbert, p: 100%, r: 0%}]",
                     "name: f, impair: [delay: 5us]"}));
  bench.judge({udp_to(1, 0, 1'000'000), udp_to(1, 0, 1'000'000)}, 2);
  // The rules of another table, whose fresh slots are the very ones used here.
  ASSERT_EQ(other.policy().fresh_rules, (std::vector<std::uint16_t>{0, 1}));
  ASSERT_EQ(other.policy().fresh_states, (std::vector<std::uint32_t>{0, 1, 2, 3}));
  bench.adopt(other.policy(), 0);
  EXPECT_EQ(bench.counted(0).matched, 0U);
  EXPECT_EQ(bench.counted(1).matched, 0U);
  bench.judge({udp_to(1, 0, 1'001'000)}, 1);
  EXPECT_EQ(bench.numbers.match_number[(kBurstMax - 1) / 2], 1U);
  EXPECT_EQ(bench.counted(0).loss_runs, 1U) << "a run of its own, not the one before going on";
}

TEST(DataplaneDecide, ASlotHandedOutAgainHasNoDelays) {
  Bench bench(rules({"name: d, impair: [delay: 20us]"}));
  Bench other(rules({"name: f, impair: [delay: 31ns]"}));
  bench.judge({udp_to(1), udp_to(1), udp_to(1)}, 3);
  ASSERT_EQ(other.policy().fresh_rules, std::vector<std::uint16_t>{0});
  ASSERT_EQ(bench.policy().rules[0].slot, 0U);
  bench.adopt(other.policy(), 0);
  EXPECT_EQ(bench.decide.delays_of(0).percentile(1.0), 0U) << "empty";
  bench.judge({udp_to(1)}, 1);
  EXPECT_EQ(bench.decide.delays_of(0).percentile(1.0), 31U);
}

TEST(DataplaneDecide, AScopeHandedOutAgainHasNoFloor) {
  Bench bench(rules({"name: d, impair: [delay: 20us]"}));
  Bench other(rules({"name: f, impair: [delay: 5us]"}));
  bench.judge({udp_to(1, 0, 1'000'000)}, 1);
  ASSERT_EQ(other.policy().fresh_states, (std::vector<std::uint32_t>{0, 1}));
  bench.adopt(other.policy(), 0);
  EXPECT_EQ(bench.judge_one(udp_to(1, 0, 1'001'000)), delayed(5'000));
  EXPECT_EQ(bench.counted(0).clamped, 0U);
}

TEST(DataplaneDecide, RulesEndAtTheirTime) {
  const std::string yaml = rules({"name: a, ttl: 1ms, impair: [delay: 1us]",
                                  "name: b, ttl: 2ms, match: {dport: 53}, impair: [delay: 20us]",
                                  "name: c, ttl: none, impair: [delay: 300us]",
                                  "name: d, enabled: false, ttl: 1ms, impair: [delay: 1ms]"});
  Bench bench(yaml, {.seed = 42, .active_from_ns = 5'000'000});
  EXPECT_EQ(bench.decide.refresh(5'000'000), 6'000'000U);
  EXPECT_EQ(bench.judge_one(udp_to(53)), delayed(321'000));
  EXPECT_EQ(bench.decide.refresh(5'999'999), 6'000'000U);
  EXPECT_EQ(bench.judge_one(udp_to(53)), delayed(321'000));
  EXPECT_EQ(bench.decide.refresh(6'000'000), 7'000'000U);
  EXPECT_EQ(bench.judge_one(udp_to(53)), delayed(320'000));
  EXPECT_EQ(bench.decide.refresh(7'000'000), kNever);
  EXPECT_EQ(bench.judge_one(udp_to(53)), delayed(300'000));
  EXPECT_EQ(bench.judge({udp_to(53), udp_to(80)}, 2),
            (std::vector<Fate>{delayed(300'000), delayed(300'000)}));
  EXPECT_EQ(bench.counted(0).matched, 2U) << "a rule that is over matches nothing";
}

TEST(DataplaneDecide, AdoptionMeetsTimesThatAreOver) {
  Bench bench(rules({"name: a, ttl: 1ms, impair: [delay: 1us]"}));
  bench.decide.adopt(bench.policy(), 1'000'000);
  EXPECT_EQ(bench.judge_one(udp_to(1)), kPasses);
}

TEST(DataplaneDecide, FreshSlotsStartFromNothingOthersGoOn) {
  const std::string loss = "impair: [loss: {model: gilbert, p: 100%, r: 0%}]";
  Bench bench(rules({"name: a, " + loss, "name: b, impair: [delay: 1us]"}));
  bench.judge({udp_to(1), udp_to(1), udp_to(1)}, 3);
  bench.adopt(rules({"name: b, impair: [delay: 1us]"}));
  EXPECT_EQ(bench.judge_one(udp_to(1)), delayed(1'000));
  EXPECT_EQ(bench.counted(0).matched, 4U) << "b goes on";
  EXPECT_EQ(bench.counted(0).delayed, 1U);
  bench.adopt(rules({"name: b, impair: [delay: 1us]", "name: a, " + loss}));
  EXPECT_EQ(bench.counted(1).matched, 0U) << "a was away";
  bench.judge({udp_to(1), udp_to(1)}, 2);
  EXPECT_EQ(bench.numbers.match_number[(kBurstMax - 2) / 2], 1U) << "of a, the last rule";
  EXPECT_EQ(bench.counted(1).loss_runs, 1U);
  EXPECT_EQ(bench.counted(0).matched, 6U);
}

TEST(DataplaneDecide, FlowsAreNumberedOnAcrossPolicies) {
  Bench bench(rules({"name: a, impair: [loss: 1e-12]"}));
  for (int packet = 0; packet < 5; ++packet) bench.judge_one(udp_to(53));
  bench.adopt(rules({"name: b, match: {dport: 53}, impair: [loss: 1e-12]"}));
  bench.judge_one(udp_to(53));
  EXPECT_EQ(bench.burst.number[(kBurstMax - 1) / 2], 6U);
  EXPECT_EQ(bench.counted(0).matched, 1U) << "and planned by the new rules";
}

TEST(DataplaneDecide, KnownFlowsArePlannedAnewByEveryPolicy) {
  // The rule keeps its name, its slot and its index; only whom it matches changes.
  const auto to = [](int port) {
    return rules({"name: r, match: {dport: " + std::to_string(port) + "}, impair: [delay: 1us]"});
  };
  const std::vector<Packet> both = {udp_to(53), udp_to(80)};
  Bench bench(to(53));
  EXPECT_EQ(bench.judge(both, 2), (std::vector<Fate>{delayed(1'000), kPasses}));
  bench.adopt(to(80));
  EXPECT_EQ(bench.judge(both, 2), (std::vector<Fate>{kPasses, delayed(1'000)}));
  bench.adopt(to(53));
  EXPECT_EQ(bench.judge(both, 2), (std::vector<Fate>{delayed(1'000), kPasses}));
  EXPECT_EQ(bench.counted(0).matched, 3U);
  EXPECT_EQ(bench.decide.flow_counters().created, 2U) << "the same two flows all the time";
}

/// Rules of which bit k of a port decides whether rule k applies, so that every port has a plan of
/// its own: the ports with bit k set, as ranges.
std::vector<std::string> rules_by_bits(std::uint32_t bits) {
  std::vector<std::string> lines;
  for (std::uint32_t bit = 0; bit < bits; ++bit) {
    std::string ranges;
    const std::uint32_t size = 1U << bit;
    for (std::uint32_t first = size; first < (1U << bits); first += 2 * size)
      ranges += (ranges.empty() ? "" : ", ") + std::to_string(first) + "-" +
                std::to_string(first + size - 1);
    lines.push_back("name: bit" + std::to_string(bit) + ", from: left, match: {dport: [" + ranges +
                    "]}, impair: [delay: " + std::to_string(1U << bit) + "ns]");
  }
  return lines;
}

TEST(DataplaneDecide, MorePlansThanTheCacheHolds) {
  // 2^14 flows with 2^14 different plans; the cache holds 2^13. The delay names the plan.
  constexpr std::uint32_t kBits = 14;
  Bench bench(rules(rules_by_bits(kBits)));
  // Each round in another order, so that a plan that was forgotten comes back under another number.
  for (const std::uint32_t stride : {5'003U, 5'003U, 7'919U, 11'003U, 1U, 5'003U}) {
    for (std::uint32_t first = 0; first < (1U << kBits); first += 64) {
      std::vector<Packet> packets;
      // 64 flows from all over, so that bursts cross the moment at which the cache starts afresh.
      for (std::uint32_t turn = first; turn < first + 64; ++turn)
        packets.push_back(udp_to(static_cast<std::uint16_t>(turn * stride % (1U << kBits))));
      const std::vector<Fate> fates = bench.judge(packets, 64);
      for (std::uint32_t turn = 0; turn < 64; ++turn)
        ASSERT_EQ(fates[turn].delay_ns, (first + turn) * stride % (1U << kBits)) << stride;
    }
  }
}

TEST(DataplaneDecide, APathWithoutFlowsSurvivesAFullPlanCache) {
  // The way back needs no flow: its plan must still be its own after the way there has filled the
  // cache several times.
  constexpr std::uint32_t kBits = 14;
  std::vector<std::string> lines = rules_by_bits(kBits);
  lines.push_back("name: back, from: right, impair: [delay: 1ms]");
  Bench bench(rules(lines));
  EXPECT_EQ(bench.judge_one(udp_to(1, 1)), delayed(1'000'000));
  for (std::uint32_t port = 0; port < (1U << kBits); ++port) {
    ASSERT_EQ(bench.judge_one(udp_to(static_cast<std::uint16_t>(port))).delay_ns, port);
    if (port % 64 == 63) {
      ASSERT_EQ(bench.judge_one(udp_to(1, 1)), delayed(1'000'000)) << "after " << port << " flows";
    }
  }
}

TEST(DataplaneDecide, AsManyRulesAsThereMayBe) {
  // 1024 rules, one in two for everybody: the flow's plan holds 512 or 513 of them.
  std::vector<std::string> lines;
  for (std::size_t rule = 0; rule < kRulesMax; ++rule)
    lines.push_back("name: r" + std::to_string(rule) +
                    (rule % 2 == 0 ? "" : ", match: {dport: " + std::to_string(rule) + "}") +
                    ", impair: [delay: 1ns]");
  Bench bench(rules(lines));
  std::vector<Packet> packets;
  std::vector<Fate> expected;
  for (std::uint16_t port = 900; port < 964; ++port) {
    packets.push_back(udp_to(port));
    expected.push_back(delayed(port % 2 == 0 ? 512 : 513));
  }
  for (const std::uint32_t burst_size : {64U, 1U, 64U})
    EXPECT_EQ(bench.judge(packets, burst_size), expected);
  EXPECT_EQ(bench.counted(0).matched, 3U * 64U);
  EXPECT_EQ(bench.counted(901).matched, 3U);
  EXPECT_EQ(bench.counted(1'023).matched, 0U);
}

TEST(DataplaneDecide, PlansOfAThousandRulesFillTheCacheByTheirLength) {
  // 1024 rules of which each flow misses just one: 131,072 places hold 128 such plans.
  std::vector<std::string> lines;
  for (std::size_t rule = 0; rule < kRulesMax; ++rule) {
    const std::size_t port = rule + 1;
    std::string ranges = port == 1 ? "" : "1-" + std::to_string(port - 1) + ", ";
    lines.push_back("name: r" + std::to_string(rule) + ", match: {dport: [" + ranges +
                    std::to_string(port + 1) + "-65535]}, impair: [delay: " + std::to_string(port) +
                    "ns]");
  }
  Bench bench(rules(lines));
  const std::uint64_t sum = kRulesMax * (kRulesMax + 1) / 2;
  for (std::uint32_t first = 1; first + 64 <= kRulesMax; first += 64) {
    std::vector<Packet> packets;
    for (std::uint32_t port = first; port < first + 64; ++port)
      packets.push_back(udp_to(static_cast<std::uint16_t>(port)));
    const std::vector<Fate> fates = bench.judge(packets, 64);
    for (std::uint32_t turn = 0; turn < 64; ++turn)
      ASSERT_EQ(fates[turn].delay_ns, sum - (first + turn)) << first + turn;
  }
}

/// Judges 64 packets of 64 known flows by `rule_count` rules, of which each flow has one, over and
/// over. The best time of many, in ns a packet.
std::int64_t known_flow_ns(int rule_count) {
  std::vector<std::string> lines;
  for (int rule = 0; rule < rule_count; ++rule)
    lines.push_back("name: r" + std::to_string(rule) + ", match: {proto: udp, dport: " +
                    std::to_string(1'000 + rule) + "}, impair: [loss: 1%, delay: 1ms]");
  Bench bench(rules(lines));
  std::vector<Packet> packets;
  for (std::uint8_t host = 0; host < 64; ++host)
    packets.push_back({make(Ipv4Frame{.source = {10, 0, 1, host}, .ports = {9, 1'000}}), 0, 0});
  auto best = std::chrono::nanoseconds::max();
  for (int run = 0; run < 2'000; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    bench.judge(packets, 64);
    best = std::min(best, (std::chrono::steady_clock::now() - begin) / 64);
  }
  EXPECT_EQ(bench.counted(0).matched, 2'000U * 64);
  return best.count();
}

TEST(DataplaneDecide, ANewFlowAmongAThousandRules) {
  std::vector<std::string> lines;
  for (int rule = 0; rule < 1'000; ++rule)
    lines.push_back("name: r" + std::to_string(rule) + ", match: {proto: udp, dport: " +
                    std::to_string(1'000 + rule) + "}, impair: [loss: 1%, delay: 1ms]");
  Bench bench(rules(lines));
  auto best = std::chrono::nanoseconds::max();
  for (std::uint16_t run = 0; run < 500; ++run) {
    std::vector<Packet> packets;
    for (std::uint8_t host = 0; host < 64; ++host)
      packets.push_back(
          {make(Ipv4Frame{.source = {10, 0, static_cast<std::uint8_t>(run >> 8), host},
                          .ports = {static_cast<std::uint16_t>(run & 0xFF), 1'777}}),
           0, 0});
    const auto begin = std::chrono::steady_clock::now();
    bench.judge(packets, 64);
    best = std::min(best, (std::chrono::steady_clock::now() - begin) / 64);
  }
  EXPECT_EQ(bench.decide.flow_counters().created, 500U * 64);
  EXPECT_LT(best.count(), 5'000);
  RecordProperty("new_flow_ns", static_cast<int>(best.count()));
}

TEST(DataplaneDecide, AThousandRulesCostAKnownFlowWhatOneCosts) {
  const std::int64_t one = known_flow_ns(1);
  const std::int64_t thousand = known_flow_ns(1'000);
  // A loop over the rules would cost a hundred times as much; what is left is the machine's noise.
  EXPECT_LT(thousand, 2 * one + 20);
  RecordProperty("one_ns", static_cast<int>(one));
  RecordProperty("thousand_ns", static_cast<int>(thousand));
}

}  // namespace
}  // namespace faultline
