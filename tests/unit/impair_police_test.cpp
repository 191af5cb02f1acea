// police: RFC 2697's committed bucket, worked by hand, and as an exact sum over long runs.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::frame_of;
using test::Offer;
using test::Offered;
using test::OneImpairment;
using test::packets_of;

std::string passed(const std::vector<Fate>& fates) {
  std::string text;
  for (const Fate& fate : fates) {
    EXPECT_TRUE(fate.reason == DropReason::kNone || fate.reason == DropReason::kPolice);
    text += fate.reason == DropReason::kNone ? "+" : "-";
  }
  return text;
}

struct BucketCase {
  std::string yaml;
  std::vector<Offer> offers;
  std::string passes;
};

TEST(ImpairPolice, TheBucket) {
  const BucketCase cases[] = {
      // Full at first: 200 bytes. 8 Mbit/s are one byte a microsecond.
      {"police: {rate: 8Mbit, burst: 200B}",
       {{0, 100}, {0, 100}, {0, 60}, {59'999, 60}, {60'000, 60}, {60'000, 60}},
       "++--+-"},
      // What is dropped takes nothing: 100 of 150 are left for the smaller one.
      {"police: {rate: 8Mbit, burst: 250B}", {{0, 150}, {0, 101}, {0, 100}, {0, 60}}, "+-+-"},
      // It holds no more than its burst, however long nothing comes.
      {"police: {rate: 8Mbit, burst: 120B}",
       {{0, 120}, {3'600'000'000'000, 60}, {3'600'000'000'000, 60}, {3'600'000'000'000, 60}},
       "+++-"},
      // Longer than the bucket: never.
      {"police: {rate: 10Tbit, burst: 99B}", {{0, 100}, {1'000'000, 100}, {2'000'000, 99}}, "--+"},
      // 3 bit/s: a byte takes 8/3 s. 60 bytes are there after 160 s, at that very instant.
      {"police: {rate: 3bit, burst: 60B}",
       {{0, 60}, {159'999'999'999, 60}, {160'000'000'000, 60}},
       "+-+"},
      // 7 bit/s: 60 bytes take 68.571… s. Nothing is rounded in the packet's favour.
      {"police: {rate: 7bit, burst: 60B}",
       {{0, 60}, {68'571'428'571, 60}, {68'571'428'572, 60}},
       "+-+"},
  };
  for (const BucketCase& one : cases)
    EXPECT_EQ(passed(test::in_any_bursts(one.yaml, packets_of(one.offers))), one.passes)
        << one.yaml;
}

TEST(ImpairPolice, NothingIsDelayed) {
  for (const Fate& fate : test::in_any_bursts("police: {rate: 8Mbit, burst: 200B}",
                                              packets_of({{5, 100}, {7, 100}, {9, 100}})))
    EXPECT_LE(fate.time_ns, 9U);
  OneImpairment bench("police: {rate: 8Mbit, burst: 200B}");
  EXPECT_EQ(bench.offer_one({frame_of(100), 77}).time_ns, 77U);
  EXPECT_TRUE(bench.compiled.needs_order);
  EXPECT_FALSE(bench.compiled.delays);
}

TEST(ImpairPolice, NoDriftInALongRun) {
  // 60 bytes each 400 ns at 1 Gbit/s: 480 ns of tokens each, so that of 600,000 packets, in 0.24 s,
  // what passes is the bucket and what comes in: ⌊(6,000 + 0.24·10^9/8) / 60⌋ packets and not
  // one more. The last one comes at 239,999,600 ns: 29,999,950 bytes.
  OneImpairment bench("police: {rate: 1Gbit, burst: 6KB}");
  const Bytes frame = frame_of(60);
  std::vector<Offered> packets;
  for (std::uint64_t turn = 0; turn < 600'000; ++turn) packets.push_back({frame, turn * 400});
  std::uint64_t passes = 0;
  for (const Fate& fate : bench.offer(packets)) passes += fate.reason == DropReason::kNone;
  EXPECT_EQ(passes, (6'000U + 29'999'950U) / 60);
}

TEST(ImpairPolice, AgainstABucketInFractions) {
  // Tokens in units of 1/(8·10^9) byte, exactly, with a rate that divides nothing evenly.
  const std::uint64_t rate = 7'654'321;
  const Uint128 byte = Uint128{8'000'000'000};
  Uint128 tokens = 3'000 * byte;
  std::uint64_t before_ns = 0;
  std::vector<Offered> packets;
  std::string expected;
  test::Random random(5);
  for (std::uint64_t now_ns = 0; packets.size() < 3'000; now_ns += random.below(1'000'000)) {
    const std::size_t bytes = 60 + random.below(1'400);
    packets.push_back({frame_of(bytes), now_ns});
    tokens = std::min(3'000 * byte, tokens + Uint128{rate} * (now_ns - before_ns));
    before_ns = now_ns;
    const bool passes = tokens >= bytes * byte;
    tokens -= passes ? bytes * byte : 0;
    expected += passes ? "+" : "-";
  }
  EXPECT_EQ(passed(test::in_any_bursts("police: {rate: 7654321bit, burst: 3KB}", packets)),
            expected);
  EXPECT_GT(std::count(expected.begin(), expected.end(), '-'), 300);
}

TEST(ImpairPolice, MarksInsteadWhatItMay) {
  Bytes capable = frame_of(100);
  capable[15] |= 2;
  capable = test::with_sums(capable);
  Bytes marked = capable;
  marked[15] |= 3;
  marked = test::with_sums(marked);
  const auto fates = test::in_any_bursts(
      "police: {rate: 8Mbit, burst: 100B, action: mark-ce}",
      {{capable}, {capable}, {frame_of(100)}, {marked}, {test::ethernet(0x0806, 86)}});
  EXPECT_EQ(passed(fates), "++-+-") << "not-ECT and ARP cannot be marked";
  EXPECT_EQ(fates[0].bytes, capable) << "found its tokens";
  EXPECT_EQ(fates[1].bytes, marked);
  EXPECT_TRUE(fates[1].marked);
  EXPECT_FALSE(fates[3].marked) << "was marked before";
  EXPECT_EQ(fates[3].bytes, marked);
}

TEST(ImpairPolice, EachScopeHasItsBucket) {
  OneImpairment bench("police: {rate: 8Mbit, burst: 100B}");
  EXPECT_EQ(bench.offer_one({frame_of(100)}).reason, DropReason::kNone);
  EXPECT_EQ(bench.offer_one({frame_of(100)}).reason, DropReason::kPolice);
  bench.guarded->forget();
  EXPECT_EQ(bench.offer_one({frame_of(100)}).reason, DropReason::kNone) << "another scope";
}

TEST(ImpairPolice, Explains) {
  OneImpairment bench("police: {rate: 8Mbit, burst: 200B}");
  EXPECT_EQ(bench.explain({frame_of(60)}).state, "200 bytes in the bucket");
  bench.offer_one({frame_of(150)});
  EXPECT_EQ(bench.explain({frame_of(60)}).state, "50 bytes in the bucket");
  EXPECT_EQ(bench.explain({frame_of(60), 30'000}).state, "80 bytes in the bucket");
  EXPECT_EQ(bench.explain({frame_of(60), 1'000'000}).state, "200 bytes in the bucket");
  EXPECT_EQ(bench.offer_one({frame_of(60)}).reason, DropReason::kPolice) << "asking takes nothing";
}

TEST(ImpairPolice, Errors) {
  const std::string rates = "; a rate such as 10Mbit (bit kbit Mbit Gbit Tbit, per second)";
  const std::string sizes = "; a size such as 64KiB (B KB KiB MB MiB GB GiB TB TiB)";
  test::expect_errors({
      {"police: {}",
       {"f:1:9: error: police: 'rate' is missing", "f:1:9: error: police: 'burst' is missing"}},
      {"police: 1Mbit", {"f:1:9: error: police: found '1Mbit'; a mapping of keys to values"}},
      {"police: {rate: fast, burst: 1KB}", {"f:1:16: error: found 'fast'" + rates}},
      {"police: {rate: 0bit, burst: 1KB}",
       {"f:1:16: error: '0bit' is out of range; a rate between 1bit and 10Tbit"}},
      {"police: {rate: 11Tbit, burst: 1KB}",
       {"f:1:16: error: '11Tbit' is out of range; a rate between 1bit and 10Tbit"}},
      {"police: {rate: 1Mbit, burst: 10}", {"f:1:30: error: '10' has no unit" + sizes}},
      {"police: {rate: 1Mbit, burst: 0B}",
       {"f:1:30: error: '0B' is out of range; a size between 1B and 1TiB"}},
      {"police: {rate: 1Mbit, burst: 2TiB}",
       {"f:1:30: error: '2TiB' is out of range; a size between 1B and 1TiB"}},
      {"police: {rate: 1Mbit, burst: 1KB, action: mark}",
       {"f:1:43: error: found 'mark'; one of drop, mark-ce"}},
      {"police: {rate: 1Mbit, burst: 1KB, per: flow}",
       {"f:1:35: error: police: unknown key 'per'; known keys are rate, burst, action"}},
  });
}

TEST(ImpairPolice, AQueueBehindItIsRefused) {
  const ConfigNode list = test::tree_of("[police: {rate: 1Mbit, burst: 1KB}, queue: {limit: 9p}]");
  Problems problems;
  std::string_view kind;
  const CompileContext context = context_of({.seed = 1, .rule_name = "r", .index = 1}, list);
  EXPECT_FALSE(compile_impairment(list.items[1], context, &kind, problems).has_value());
  EXPECT_EQ(test::lines_of(problems),
            std::vector<std::string>{"f:1:44: error: a queue shapes the stage before it, and there "
                                     "is none; a rate, link_trace or slot right before the queue"});
}

}  // namespace
}  // namespace faultline
