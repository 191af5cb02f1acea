// duplicate: which packets, how many copies, and when each begins.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::Offered;
using test::OneImpairment;

std::vector<std::uint64_t> duplicated(const std::vector<Fate>& fates) {
  std::vector<std::uint64_t> numbers;
  std::uint64_t number = 0;
  for (const Fate& fate : fates) {
    number += fate.which == 0 ? 1U : 0U;
    if (fate.which == 1)
      numbers.push_back(number);
  }
  return numbers;
}

TEST(ImpairDuplicate, TheDiceSayWho) {
  struct TableCase {
    std::string yaml;
    Uint128 share;
  };
  const TableCase cases[] = {
      {"duplicate: 10%", test::share_of_fraction(1, 10)},
      {"duplicate: {rate: 33%}", test::share_of_fraction(33, 100)},
      {"duplicate: {rate: 1%, copies: 2}", test::share_of_fraction(1, 100)},
      {"duplicate: {}", Uint128{1} << 64},
      {"duplicate: 0%", 0},
  };
  for (const TableCase& one : cases)
    EXPECT_EQ(
        duplicated(test::in_any_bursts(one.yaml, test::alike(make(test::Ipv4Frame{}), 1'000))),
        test::hit_by_dice(one.share, 1'000))
        << one.yaml;
}

TEST(ImpairDuplicate, CopiesAreBytesAndTimes) {
  struct CopyCase {
    std::string yaml;
    std::uint64_t copies;
    std::uint64_t apart_ns;
  };
  const CopyCase cases[] = {
      {"duplicate: 100%", 1, 0},
      {"duplicate: {copies: 3}", 3, 0},
      {"duplicate: {copies: 3, delay: 500us}", 3, 500'000},
      {"duplicate: {copies: 32, delay: 24h}", 32, 86'400'000'000'000},
      {"duplicate: {delay: 1ns}", 1, 1},
  };
  // Copied byte for byte: a later fragment, a tagged frame of IPv6, ARP.
  const std::vector<Offered> packets{
      {make(test::Ipv4Frame{.fragment = 0x2003}), 5, 1},
      {test::tagged(test::with_sums(make(test::Ipv6Frame{})), 0x88A8, 9), 6, 2},
      {test::ethernet(0x0806, 28), 6, 3}};
  for (const CopyCase& one : cases) {
    const std::vector<Fate> fates = test::in_any_bursts(one.yaml, packets);
    ASSERT_EQ(fates.size(), 3 * (one.copies + 1)) << one.yaml;
    for (std::size_t turn = 0; turn < fates.size(); ++turn) {
      const Offered& packet = packets[turn / (one.copies + 1)];
      EXPECT_EQ(fates[turn].which, turn % (one.copies + 1));
      EXPECT_EQ(fates[turn].time_ns, packet.time_ns + fates[turn].which * one.apart_ns) << one.yaml;
      EXPECT_EQ(fates[turn].bytes, packet.frame);
    }
  }
}

TEST(ImpairDuplicate, WhatAPathMustKnow) {
  struct KnownCase {
    std::string yaml;
    std::uint32_t copies;
    bool delays;
    std::uint64_t adds_ns;
  };
  const KnownCase cases[] = {{"duplicate: 1%", 1, false, 0},
                             {"duplicate: {copies: 7}", 7, false, 0},
                             {"duplicate: {copies: 7, delay: 2us}", 7, true, 14'000}};
  for (const KnownCase& one : cases) {
    const OneImpairment bench(one.yaml);
    EXPECT_EQ(bench.compiled.copies, one.copies) << one.yaml;
    EXPECT_EQ(bench.compiled.delays, one.delays) << one.yaml;
    EXPECT_EQ(bench.compiled.breaks_order, one.delays) << "other packets come between";
    EXPECT_EQ(bench.compiled.adds_ns, one.adds_ns) << one.yaml;
    EXPECT_FALSE(bench.compiled.drops);
  }
}

TEST(ImpairDuplicate, ShareOverManyPackets) {
  OneImpairment bench("duplicate: 2%");
  const std::vector<Fate> fates = bench.offer(test::alike(make(test::Ipv4Frame{}), 100'000), 64);
  test::expect_share(fates.size() - 100'000, 0.02, 100'000);
}

TEST(ImpairDuplicate, Explains) {
  OneImpairment bench("duplicate: {rate: 12.5%, copies: 2}");
  test::expect_draw(bench.explain({make(test::Ipv4Frame{}), 0, 31}), 31, 0.125);
}

TEST(ImpairDuplicate, Errors) {
  const std::string rates = "; a probability between 0% and 100%, such as 1%, 0.01 or 1e-7";
  const std::string copies = "; a count between 1 and 32";
  test::expect_errors({
      {"duplicate: twice", {"f:1:12: error: found 'twice'" + rates}},
      {"duplicate: {rate: 101%}", {"f:1:19: error: '101%' is out of range" + rates}},
      {"duplicate: {copies: 0}", {"f:1:21: error: '0' is out of range" + copies}},
      {"duplicate: {copies: 33}", {"f:1:21: error: '33' is out of range" + copies}},
      {"duplicate: {delay: 5}",
       {"f:1:20: error: '5' has no unit; a duration such as 40ms (ns us ms s m h d)"}},
      {"duplicate: {delay: 25h}",
       {"f:1:20: error: '25h' is out of range; a duration of at most 1d"}},
      {"duplicate: {copis: 2}",
       {"f:1:13: error: duplicate: unknown key 'copis'; known keys are rate, copies, delay; did "
        "you "
        "mean 'copies'?"}},
  });
}

}  // namespace
}  // namespace faultline
