// mark_ce: CE by the dice for what is ECN-capable, and nothing for what is not.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::Offered;
using test::OneImpairment;

Bytes ipv4_with_ecn(std::uint8_t ecn) {
  Bytes frame = make(test::Ipv4Frame{});
  frame[15] = static_cast<std::uint8_t>(0xB8 | ecn);  // DSCP 46
  return test::with_sums(frame);
}

Bytes ipv6_with_ecn(std::uint8_t ecn) {
  Bytes frame = make(test::Ipv6Frame{});
  test::put16(frame, 14, 0x6B80U | unsigned{ecn} << 4);
  return test::with_sums(frame);
}

TEST(ImpairMarkCe, TheDiceSayWho) {
  struct TableCase {
    std::string yaml;
    Uint128 share;
  };
  const TableCase cases[] = {
      {"mark_ce: 10%", test::share_of_fraction(1, 10)},
      {"mark_ce: {rate: 0.5}", test::share_of_fraction(1, 2)},
      {"mark_ce: {}", Uint128{1} << 64},
      {"mark_ce: 0%", 0},
  };
  for (const TableCase& one : cases) {
    std::vector<std::uint64_t> marked;
    std::uint64_t number = 0;
    for (const Fate& fate : test::in_any_bursts(one.yaml, test::alike(ipv4_with_ecn(2), 1'000))) {
      ++number;
      EXPECT_EQ(fate.reason, DropReason::kNone);
      EXPECT_EQ(fate.time_ns, 0U);
      EXPECT_EQ(fate.ecn, fate.marked ? 3 : 2);
      if (fate.marked)
        marked.push_back(number);
    }
    EXPECT_EQ(marked, test::hit_by_dice(one.share, 1'000)) << one.yaml;
  }
}

TEST(ImpairMarkCe, OnlyWhatIsEcnCapableIsMarked) {
  // not-ECT, ECT(1), ECT(0), CE (RFC 3168).
  for (std::uint8_t ecn = 0; ecn < 4; ++ecn) {
    for (const bool ipv4 : {true, false}) {
      const Bytes plain = ipv4 ? ipv4_with_ecn(ecn) : ipv6_with_ecn(ecn);
      const Bytes expected = ipv4 ? ipv4_with_ecn(3) : ipv6_with_ecn(3);
      const Bytes in = test::tagged(plain, 0x8100, 7);
      OneImpairment bench("mark_ce: 100%");
      const Fate fate = bench.offer_one({in});
      EXPECT_EQ(fate.marked, ecn == 1 || ecn == 2) << int{ecn} << " CE stays and is not counted";
      EXPECT_EQ(fate.ecn, ecn == 0 ? 0 : 3);
      EXPECT_EQ(fate.bytes, ecn == 0 ? in : test::tagged(expected, 0x8100, 7));
    }
  }
  OneImpairment bench("mark_ce: 100%");
  const Fate arp = bench.offer_one({test::ethernet(0x0806, 28)});
  EXPECT_EQ(arp.ecn, 0);
  EXPECT_FALSE(arp.marked);
}

TEST(ImpairMarkCe, ShareOverManyPackets) {
  OneImpairment bench("mark_ce: 3%");
  std::size_t marked = 0;
  for (const Fate& fate : bench.offer(test::alike(ipv4_with_ecn(1), 200'000)))
    marked += fate.marked ? 1U : 0U;
  test::expect_share(marked, 0.03, 200'000);
}

TEST(ImpairMarkCe, Explains) {
  OneImpairment bench("mark_ce: 25%");
  const Explanation capable = bench.explain({ipv4_with_ecn(2), 0, 9});
  test::expect_draw(capable, 9, 0.25);
  EXPECT_EQ(capable.state, "");
  EXPECT_EQ(bench.explain({ipv4_with_ecn(0), 0, 9}).state, "not ECN-capable");
}

TEST(ImpairMarkCe, Errors) {
  const std::string allowed = "; a probability between 0% and 100%, such as 1%, 0.01 or 1e-7";
  test::expect_errors({
      {"mark_ce: 2", {"f:1:10: error: '2' is out of range" + allowed}},
      {"mark_ce: [1%]", {"f:1:10: error: found a list" + allowed}},
      {"mark_ce: {rate: -1%}", {"f:1:17: error: '-1%' is out of range" + allowed}},
      {"mark_ce: {raet: 1%}",
       {"f:1:11: error: mark_ce: unknown key 'raet'; known keys are rate; did you mean 'rate'?"}},
  });
}

}  // namespace
}  // namespace faultline
