// Served queues: the pool and the heap behind them, and packets that wait in one until it is their
// turn, with fates worked by hand, however and by whom they are asked for.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "dataplane/wake_heap.hpp"
#include "impair/served_pool.hpp"
#include "tests/unit/decide_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::DecideBench;
using test::udp_to;

// --- the pool ------------------------------------------------------------------------------------

TEST(DataplaneServedPool, AQueueIsInOrderAndCountsWhatWaits) {
  ServedPool pool(4);
  const CompiledImpairment law;
  ServedQueue queue;
  pool.meet(queue);
  const std::uint32_t first = pool.push(queue, 10, 100, 2, law);
  const std::uint32_t second = pool.push(queue, 20, 200, 0, law);
  const std::uint32_t third = pool.push(queue, 30, 300, 1, law);
  EXPECT_EQ(queue.packets, 3U);
  EXPECT_EQ(queue.bytes, 600U);
  EXPECT_EQ(queue.head, first);
  EXPECT_EQ(queue.undecided, first);
  EXPECT_EQ(pool.node(second).time_ns, 20U);
  EXPECT_EQ(pool.node(third).ecn, 1);
  EXPECT_EQ(pool.node(first).impairment, &law);
  // What is decided waits no more, but has not left.
  pool.decide(queue, Verdict::kSent, 500);
  EXPECT_EQ(queue.packets, 2U);
  EXPECT_EQ(queue.bytes, 500U);
  EXPECT_EQ(queue.undecided, second);
  EXPECT_EQ(queue.head, first);
  pool.decide(queue, Verdict::kDropped, 500);
  ServedQueue due;
  pool.detach_due(queue, 499, due);
  EXPECT_EQ(due.head, 0U) << "the first leaves at 500, and nobody overtakes it";
  pool.detach_due(queue, 500, due);
  EXPECT_EQ(pool.packets(), 3U) << "until they are taken out";
  EXPECT_EQ(pool.take_head(due).departure_ns, 500U);
  EXPECT_EQ(pool.take_head(due).verdict, Verdict::kDropped);
  EXPECT_EQ(due.head, 0U);
  EXPECT_EQ(queue.head, third);
  EXPECT_EQ(pool.packets(), 1U);
  const ServedPool::Node last = pool.take_head(queue);
  EXPECT_EQ(last.verdict, Verdict::kWaits);
  EXPECT_EQ(queue.packets, 0U);
  EXPECT_EQ(queue.bytes, 0U);
  EXPECT_EQ(queue.undecided, 0U);
  EXPECT_EQ(pool.packets(), 0U);
}

TEST(DataplaneServedPool, IsBoundedAndGivesPlacesAgain) {
  ServedPool pool(3);
  const CompiledImpairment law;
  ServedQueue one;
  ServedQueue other;
  pool.meet(one);
  pool.meet(other);
  for (std::uint64_t round = 0; round < 5; ++round) {
    EXPECT_NE(pool.push(one, round, 1, 0, law), 0U);
    EXPECT_NE(pool.push(other, round, 1, 0, law), 0U);
    EXPECT_NE(pool.push(one, round, 1, 0, law), 0U);
    EXPECT_EQ(pool.push(other, round, 1, 0, law), 0U) << "full";
    EXPECT_EQ(other.packets, 1U) << "and as it was";
    EXPECT_EQ(pool.take_head(one).time_ns, round);
    EXPECT_EQ(pool.take_head(other).time_ns, round);
    EXPECT_EQ(pool.take_head(one).time_ns, round);
  }
}

TEST(DataplaneServedPool, WhatWasForgottenOrEmptiedIsNobodys) {
  ServedPool pool(8);
  const CompiledImpairment law;
  ServedQueue queues[2];
  for (ServedQueue& queue : queues) {
    pool.meet(queue);
    pool.push(queue, 1, 100, 0, law);
    pool.push(queue, 2, 100, 0, law);
    pool.abandon(queue);
    EXPECT_EQ(queue.head, 0U);
    EXPECT_EQ(queue.packets, 0U);
  }
  pool.abandon(queues[0]);  // has nothing
  int nodes = 0;
  for (; pool.abandoned().head != 0; ++nodes)
    EXPECT_EQ(pool.take_head(pool.abandoned()).verdict, Verdict::kWaits);
  EXPECT_EQ(nodes, 4);
  EXPECT_EQ(pool.packets(), 0U);
  pool.push(queues[0], 3, 100, 0, law);
  pool.clear();
  pool.meet(queues[0]);
  EXPECT_EQ(queues[0].head, 0U) << "emptied since it was looked at last";
  EXPECT_EQ(pool.packets(), 0U);
}

// --- the heap ------------------------------------------------------------------------------------

TEST(DataplaneWakeHeap, GivesThemByTimeAndThenByWhoTheyAre) {
  test::Random random(4);
  WakeHeap heap(3'000);
  EXPECT_TRUE(heap.empty());
  EXPECT_EQ(heap.next_ns(), UINT64_MAX);
  using Key = std::tuple<std::uint64_t, PathId, std::uint32_t, std::uint64_t>;
  std::vector<Key> keys;
  const auto take = [&] {
    const auto least = std::min_element(keys.begin(), keys.end());
    const Wake& wake = heap.front();
    EXPECT_EQ(heap.next_ns(), wake.time_ns);
    EXPECT_EQ((Key{wake.time_ns, wake.path_id, wake.slot, wake.scope}), *least);
    keys.erase(least);
    heap.pop();
  };
  for (int turn = 0; turn < 5'000; ++turn) {
    if (!keys.empty() && random.below(5) < 2) {
      take();
      continue;
    }
    Wake wake;
    wake.time_ns = random.below(20);
    wake.path_id = static_cast<std::uint8_t>(random.below(2));
    wake.slot = static_cast<std::uint32_t>(random.below(3));
    wake.scope = random.below(1'000'000);
    keys.emplace_back(wake.time_ns, wake.path_id, wake.slot, wake.scope);
    heap.push(wake);
  }
  while (!keys.empty()) take();
  EXPECT_TRUE(heap.empty());
}

TEST(DataplaneWakeHeap, KeepsWhatIsAskedForInOrder) {
  WakeHeap heap(4);  // and as much again
  const Wake wakes[] = {{70, 1, 0, 2}, {50, 1, 0, 2}, {60, 1, 0, 3}, {40, 9, 0, 2},
                        {30, 2, 0, 2}, {20, 9, 0, 2}, {90, 3, 0, 2}, {10, 2, 0, 2}};
  for (const Wake& wake : wakes) {
    EXPECT_FALSE(heap.full());
    heap.push(wake);
  }
  EXPECT_TRUE(heap.full());
  heap.keep_if([](const Wake& wake) { return wake.scope != 9; });
  EXPECT_FALSE(heap.full());
  std::vector<std::uint64_t> times;
  for (; !heap.empty(); heap.pop()) times.push_back(heap.next_ns());
  EXPECT_EQ(times, (std::vector<std::uint64_t>{10, 30, 50, 60, 70, 90}));
}

// --- packets that wait ---------------------------------------------------------------------------

struct Served {
  DropReason reason = DropReason::kTxError;  ///< which nobody has: not known yet
  std::uint64_t time_ns = 0;
  bool marked = false;

  friend bool operator==(const Served&, const Served&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Served& served) {
    return out << (served.reason == DropReason::kNone ? "sent" : drop_reason_name(served.reason))
               << (served.marked ? " marked" : "") << " at " << served.time_ns;
  }
};

/// When queues are asked whose turn it is.
enum class Asking : std::uint8_t { kBeforeEachPacket, kNowAndThen, kNever };

/// The worker's part in it: packets are stored while they wait, and go on when they were served.
class ServedBench : public DecideBench {
 public:
  using DecideBench::DecideBench;

  /// Packets in the order of their times, in bursts. Departures of an instant come first.
  void run(const std::vector<Arrival>& packets, std::size_t burst_size,
           Asking asking = Asking::kBeforeEachPacket) {
    test::Random random(8);
    for (std::size_t first = 0; first < packets.size(); first += burst_size) {
      if (asking == Asking::kBeforeEachPacket ||
          (asking == Asking::kNowAndThen && random.below(3) == 0))
        serve(packets[first].time_ns);
      const std::size_t end = std::min(first + burst_size, packets.size());
      judge_part({packets.begin() + static_cast<std::ptrdiff_t>(first),
                  packets.begin() + static_cast<std::ptrdiff_t>(end)});
      for (std::size_t turn = first; turn < end; ++turn) {
        fates.emplace_back();
        note(static_cast<std::uint32_t>(turn - first), fates.size() - 1, packets[turn].frame);
      }
    }
  }

  /// Everybody whose turn comes by `now_ns`.
  void serve(std::uint64_t now_ns) {
    while (decide.wakes().next_ns() <= now_ns && !decide.wakes().empty()) {
      ServedQueue due;
      decide.serve_next(due);
      while (due.head != 0) {
        const ServedPool::Node node = decide.served().take_head(due);
        Stored stored = stored_.at(node.packet);
        stored_.erase(node.packet);
        stored.parked.key.release_ns = node.departure_ns;
        decide.resume_served(stored.parked.resume(), stored.parked.key, node,
                             view_of(stored.parked.frame), burst);
        note(0, stored.number, stored.parked.frame);
      }
    }
  }
  void serve_all() { serve(UINT64_MAX - 1); }
  std::size_t waiting() const { return stored_.size(); }

  std::vector<Served> fates;  ///< by packet

 private:
  struct Stored {
    Parked parked;
    std::size_t number;
  };

  void note(std::uint32_t i, std::size_t number, const Bytes& frame) {
    if (decide.waits(i) == 0) {
      EXPECT_EQ(fates[number].reason, DropReason::kTxError) << "judged once";
      fates[number] = {burst.reason[i], burst.time_ns[i], burst.marked[i]};
      return;
    }
    decide.served().node(decide.waits(i)).packet = ++last_;
    stored_[last_] = {parked(i, frame), number};
  }

  std::map<std::uint32_t, Stored> stored_;
  std::uint32_t last_ = 0;
};

std::vector<DecideBench::Arrival> at_once(std::size_t packets, std::size_t bytes,
                                          std::uint8_t ecn = 0) {
  Bytes frame = udp_to(80, bytes);
  frame[15] = ecn;
  return std::vector<DecideBench::Arrival>(packets, {frame, 0});
}

/// The same, whoever asks and in whatever bursts.
std::vector<Served> fates_of(const std::vector<std::string>& rules,
                             const std::vector<DecideBench::Arrival>& packets) {
  std::vector<Served> first;
  for (const std::size_t burst_size : {1U, 7U, 64U})
    for (const Asking asking : {Asking::kBeforeEachPacket, Asking::kNowAndThen, Asking::kNever}) {
      ServedBench bench(rules);
      bench.run(packets, burst_size, asking);
      bench.serve_all();
      EXPECT_EQ(bench.waiting(), 0U);
      EXPECT_EQ(bench.decide.served().packets(), 0U);
      if (first.empty())
        first = bench.fates;
      EXPECT_EQ(bench.fates, first) << rules[0] << " in bursts of " << burst_size;
    }
  return first;
}

/// In us; a packet that was dropped has the time at which it was, negative.
std::vector<std::int64_t> in_us(const std::vector<Served>& fates) {
  std::vector<std::int64_t> times;
  for (const Served& one : fates) {
    EXPECT_TRUE(one.reason == DropReason::kNone || one.reason == DropReason::kQueue) << one;
    EXPECT_EQ(one.time_ns % 1'000, 0U);
    const auto time_us = static_cast<std::int64_t>(one.time_ns / 1'000);
    times.push_back(one.reason == DropReason::kNone ? time_us : -time_us);
  }
  return times;
}

std::string head_rule(const std::string& limit) {
  return "name: a, impair: [rate: 8Mbit, queue: {limit: " + limit + ", discipline: head}]";
}

TEST(DataplaneServed, HeadDropMakesRoomAtTheFront) {
  const auto at = [](std::uint64_t time_us, std::size_t bytes) {
    return DecideBench::Arrival{udp_to(80, bytes), time_us * 1'000};
  };
  struct HeadCase {
    std::string limit;
    std::vector<DecideBench::Arrival> packets;
    std::vector<std::int64_t> times_us;
  };
  // A byte takes 1 us. The packet on the link stays, the oldest that wait go when another comes.
  const HeadCase cases[] = {
      {"2p", {at(0, 100), at(1, 100), at(2, 100), at(3, 100)}, {100, -2, -3, 200}},
      {"3p",
       {at(0, 100), at(1, 100), at(2, 100), at(3, 100), at(100, 100), at(101, 100)},
       {100, -3, 200, -101, 300, 400}},
      // None waits, and the link is busy: the new one goes.
      {"1p", {at(0, 100), at(1, 100), at(100, 100)}, {100, -1, 200}},
      // Of bytes, as many of the oldest as it takes.
      {"350B",
       {at(0, 100), at(1, 100), at(2, 100), at(3, 150), at(4, 250)},
       {100, -3, -4, -4, 350}},
      // Larger than the room that there can be.
      {"350B", {at(0, 100), at(1, 100), at(2, 251)}, {100, -2, -2}},
  };
  for (const HeadCase& one : cases)
    EXPECT_EQ(in_us(fates_of({head_rule(one.limit)}, one.packets)), one.times_us) << one.limit;
}

TEST(DataplaneServed, ALimitInTimeIsOneOfWaiting) {
  // 100 us each: the third would have waited 200 us and the fourth comes to its turn then too.
  const std::vector<DecideBench::Arrival> packets{
      {udp_to(80), 0}, {udp_to(80), 0}, {udp_to(80), 0}, {udp_to(80), 0}, {udp_to(80), 60'000}};
  EXPECT_EQ(in_us(fates_of({head_rule("150us")}, packets)),
            (std::vector<std::int64_t>{100, 200, -200, -200, 300}));
  EXPECT_EQ(in_us(fates_of({head_rule("200us")}, packets)),
            (std::vector<std::int64_t>{100, 200, 300, -300, -300}));
}

/// A queue that others' coming empties and fills again has two wakes at most.
TEST(DataplaneServed, WakesDoNotPileUp) {
  ServedBench bench({"name: a, impair: [reorder: {mode: late, rate: 30%, by: 1p, max: 1h}]"});
  std::vector<DecideBench::Arrival> packets;
  for (std::uint64_t at = 1; at <= 2'000; ++at) packets.push_back({udp_to(80), at * 1'000});
  bench.run(packets, 1);
  std::size_t wakes = 0;
  bench.decide.wakes().for_each([&](const Wake&) { ++wakes; });
  EXPECT_LE(wakes, 2U);
  bench.serve_all();
  EXPECT_EQ(bench.waiting(), 0U);
}

/// 45 packets of 1,000 bytes, 1 ms each, by RFC 8289 with a target of 1 ms and an interval of 10:
/// the second is the first above the target, at 1 ms, so that dropping begins at 11 ms, and goes on
/// 10, 10/√2, 10/√3, … ms later; it ends where no more than an MTU is left.
std::string codel_rule(const std::string& more) {
  return "name: a, impair: [rate: 8Mbit, queue: {limit: 99p, discipline: codel, target: 1ms, "
         "interval: 10ms" +
         more + "}]";
}

TEST(DataplaneServed, CodelByHand) {
  // 11; 21; 28.07…; 33.84…, at the next turn.
  const std::map<std::size_t, std::int64_t> dropped{{12, 11}, {23, 21}, {32, 29}, {38, 34}};
  std::vector<std::int64_t> expected;
  std::int64_t sent_ms = 0;
  for (std::size_t packet = 1; packet <= 45; ++packet) {
    const auto found = dropped.find(packet);
    expected.push_back(found != dropped.end() ? found->second * -1'000 : ++sent_ms * 1'000);
  }
  std::vector<std::int64_t> times = in_us(fates_of({codel_rule("")}, at_once(45, 1'000)));
  EXPECT_EQ(times, expected);
  // What is not ECN-capable is dropped all the same.
  times = in_us(fates_of({codel_rule(", ecn: true")}, at_once(45, 1'000, 0)));
  EXPECT_EQ(times, expected);
}

TEST(DataplaneServed, CodelMarksInstead) {
  // Nothing is dropped, so turns come later: 11; 21; 28.07; 33.84; 38.84.
  const std::vector<std::size_t> marked{12, 22, 30, 35, 40};
  for (const std::uint8_t ecn : {std::uint8_t{2}, std::uint8_t{3}}) {
    const std::vector<Served> fates =
        fates_of({codel_rule(", ecn: true")}, at_once(45, 1'000, ecn));
    std::vector<std::size_t> found;
    for (std::size_t packet = 0; packet < fates.size(); ++packet) {
      EXPECT_EQ(fates[packet].reason, DropReason::kNone);
      EXPECT_EQ(fates[packet].time_ns, (packet + 1) * 1'000'000);
      if (fates[packet].marked)
        found.push_back(packet + 1);
    }
    EXPECT_EQ(found, ecn == 2 ? marked : std::vector<std::size_t>{}) << "CE has it already";
  }
  ServedBench bench({codel_rule(", ecn: true")});
  bench.run(at_once(45, 1'000, 1), 64);
  bench.serve_all();
  EXPECT_EQ(bench.counted(0).edited, marked.size());
  EXPECT_EQ(bench.counted(0).dropped, 0U);
}

TEST(DataplaneServed, GoOnBehindTheirStage) {
  // What stands behind, in the rule and in later ones, at the time at which they leave the link.
  const std::vector<std::string> rules{
      "name: a, impair: [rate: 8Mbit, queue: {limit: 2p, discipline: head}, delay: 7us]",
      "name: b, match: {dport: 80}, impair: [delay: 20us, stop_after: 3]",
      "name: c, match: {dport: 53}, impair: [loss: 100%]"};
  const std::vector<DecideBench::Arrival> packets{
      {udp_to(80), 0}, {udp_to(80), 1'000}, {udp_to(80), 150'000}, {udp_to(80), 250'000}};
  const std::vector<Served> fates = fates_of(rules, packets);
  EXPECT_EQ(fates[0], (Served{DropReason::kNone, 127'000}));
  EXPECT_EQ(fates[1], (Served{DropReason::kNone, 227'000}));
  EXPECT_EQ(fates[2], (Served{DropReason::kNone, 327'000}));
  EXPECT_EQ(fates[3].reason, DropReason::kFiltered) << "its number is that of its arrival";
  ServedBench bench(rules);
  bench.run(packets, 1, Asking::kNever);
  EXPECT_EQ(bench.counted(1).matched, 4U) << "counted at arrival";
  bench.serve_all();
  EXPECT_EQ(bench.counted(1).matched, 4U);
  EXPECT_EQ(bench.counted(1).dropped, 1U);
  EXPECT_EQ(bench.counted(2).matched, 0U);
  EXPECT_EQ(bench.counted(0).dropped, 0U);
}

TEST(DataplaneServed, OneStageBehindAnother) {
  // The second link is half as fast; a limit of waiting there.
  const std::vector<std::string> rules{
      head_rule("99p"), "name: b, impair: [rate: 4Mbit, queue: {limit: 150us, discipline: head}]"};
  // They come to the second one at 100, 200, 300, 400 us and take 200 us there: the third would
  // begin at 500 us, 200 after it came, the fourth 100 after.
  EXPECT_EQ(in_us(fates_of(rules, at_once(4, 100))),
            (std::vector<std::int64_t>{300, 500, -500, 700}));
}

TEST(DataplaneServed, RandomTrafficDependsOnNobodysAsking) {
  test::Random random(77);
  std::vector<DecideBench::Arrival> packets;
  std::uint64_t now_ns = 0;
  for (int packet = 0; packet < 2'000; ++packet) {
    now_ns += random.below(4) == 0 ? random.below(300'000) : 0;
    packets.push_back(
        {udp_to(static_cast<std::uint16_t>(random.below(3)), 60 + random.below(700)), now_ns});
  }
  for (const std::string per : {"rule", "flow"})
    for (const std::string queue :
         {"{limit: 5p, discipline: head}", "{limit: 3KB, discipline: head}",
          "{limit: 999p, discipline: codel, target: 200us, interval: 2ms}"}) {
      const std::vector<Served> fates = fates_of(
          {"name: a, per: " + per + ", impair: [rate: 20Mbit, queue: " + queue + ", loss: 5%]",
           "name: b, impair: [delay: 3us]"},
          packets);
      const auto dropped = std::count_if(fates.begin(), fates.end(), [](const Served& one) {
        return one.reason == DropReason::kQueue;
      });
      EXPECT_GT(dropped, 20) << per << queue;
    }
}

TEST(DataplaneServed, UnderThePolicyThatJudgedThemAtArrival) {
  // The new link is ten times as fast: those that wait take 100 us all the same, the new ones 10,
  // behind them in the same queue.
  ServedBench bench({head_rule("99p")});
  bench.run(at_once(3, 100), 1);
  bench.adopt(
      {"name: a, impair: [rate: 80Mbit, queue: {limit: 99p, discipline: head}, delay: 1us]"},
      150'000, 2);
  std::vector<DecideBench::Arrival> more(2, {udp_to(80), 150'000});
  bench.run(more, 1);
  EXPECT_EQ(bench.waiting(), 4U);
  bench.serve_all();
  EXPECT_EQ(in_us(bench.fates), (std::vector<std::int64_t>{100, 200, 300, 311, 321}));
}

TEST(DataplaneServed, OfAForgottenScopeTheyAreNobodys) {
  // Far fewer scopes than flows, of which each has a packet on its link and one that waits.
  ServedBench bench(
      {"name: a, per: flow, impair: [rate: 8kbit, queue: {limit: 9p, discipline: head}]"},
      {.flows_max = 1});
  for (std::uint16_t flow = 0; flow < 100; ++flow)
    bench.run({{udp_to(flow), flow}, {udp_to(flow), flow}}, 2, Asking::kNever);
  EXPECT_GT(bench.decide.scope_counters().lost, 0U);
  std::uint64_t abandoned = 0;
  for (; bench.decide.served().abandoned().head != 0; ++abandoned)
    bench.decide.served().take_head(bench.decide.served().abandoned());
  EXPECT_GT(abandoned, 50U);
  EXPECT_EQ(bench.decide.served().packets(), 100 - abandoned);
  bench.serve_all();
  EXPECT_EQ(bench.waiting(), abandoned) << "the others were served";
}

TEST(DataplaneServed, ForgettingScopesForeverFillsNothing) {
  // Each forgotten scope leaves the instant behind at which its queue was to be looked at. There
  // is room for 64 packets, so for as many queues; ten thousand scopes come and go, none of which
  // is served before the end.
  ServedBench bench({"name: a, per: flow, impair: [rate: 8bit, queue: {limit: 9p, discipline: "
                     "head}]"},
                    {.flows_max = 1, .queued_max = 64});
  std::uint64_t abandoned = 0;
  for (std::uint32_t flow = 0; flow < 10'000; ++flow) {
    const auto port = static_cast<std::uint16_t>(flow);
    bench.run({{udp_to(port), flow}, {udp_to(port), flow}}, 1, Asking::kNever);
    for (; bench.decide.served().abandoned().head != 0; ++abandoned)
      bench.decide.served().take_head(bench.decide.served().abandoned());
  }
  EXPECT_GT(abandoned, 9'900U);
  bench.serve_all();
  EXPECT_EQ(bench.waiting(), abandoned);
}

TEST(DataplaneServed, AFullPoolIsAnOverflow) {
  ServedBench bench({head_rule("1Mp")}, {.queued_max = 8});
  bench.run(at_once(10, 100), 1);
  bench.serve_all();
  for (std::size_t packet = 0; packet < 10; ++packet)
    EXPECT_EQ(bench.fates[packet].reason, packet < 9 ? DropReason::kNone : DropReason::kOverflow)
        << "one on the link and eight that wait";
}

TEST(DataplaneServed, AllAtOnceAtTheEnd) {
  ServedBench bench({head_rule("99p")});
  bench.run(at_once(5, 100), 1);
  ASSERT_FALSE(bench.decide.wakes().empty());
  ServedQueue all;
  bench.decide.empty_next(all);
  EXPECT_TRUE(bench.decide.wakes().empty());
  for (int packet = 0; packet < 4; ++packet)
    EXPECT_NE(bench.decide.served().take_head(all).packet, 0U);
  EXPECT_EQ(all.head, 0U);
  // Or forgotten: a queue that begins anew.
  ServedBench other({head_rule("2p")});
  other.run(at_once(2, 100), 1);
  other.decide.forget_queues();
  EXPECT_TRUE(other.decide.wakes().empty());
  EXPECT_EQ(other.decide.served().packets(), 0U);
  other.run({{udp_to(80), 50'000}, {udp_to(80), 60'000}}, 1, Asking::kNever);
  other.serve_all();
  EXPECT_EQ(other.fates[2].reason, DropReason::kQueue) << "one may wait";
  EXPECT_EQ(other.fates[3], (Served{DropReason::kNone, 200'000}));
}

}  // namespace
}  // namespace faultline
