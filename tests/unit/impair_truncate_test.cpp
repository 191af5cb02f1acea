// truncate: where frames end afterwards, and what their headers say then, on random frames of every
// kind whose sums are made independently.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::FrameMaker;
using test::has_sum;
using test::MadeFrame;
using test::Offered;
using test::OneImpairment;
using test::Piece;
using test::put16;
using test::slice;
using test::word_of;

TEST(ImpairTruncate, TheDiceSayWho) {
  for (const auto& [rate, share] :
       {std::pair{"10%", test::share_of_fraction(1, 10)}, std::pair{"100%", Uint128{1} << 64}}) {
    std::vector<std::uint64_t> cut;
    std::uint64_t number = 0;
    for (const Fate& fate :
         test::in_any_bursts("truncate: {to: 60B, rate: " + std::string(rate) + "}",
                             test::alike(test::frame_of(1'000), 1'000))) {
      ++number;
      EXPECT_EQ(fate.reason, DropReason::kNone);
      EXPECT_EQ(fate.length_bytes, fate.bytes.size()) << "what stands behind it sees";
      EXPECT_TRUE(fate.bytes.size() == 60 || fate.bytes.size() == 1'000);
      if (fate.bytes.size() == 60)
        cut.push_back(number);
    }
    EXPECT_EQ(cut, test::hit_by_dice(share, 1'000)) << rate;
  }
}

TEST(ImpairTruncate, ShareOverManyPackets) {
  OneImpairment bench("truncate: {rate: 5%, to: 60B}");
  std::size_t cut = 0;
  for (const Fate& fate : bench.offer(test::alike(test::frame_of(61), 100'000)))
    cut += fate.length_bytes == 60 ? 1U : 0U;
  test::expect_share(cut, 0.05, 100'000);
}

TEST(ImpairTruncate, KeepCutsAnythingAndNothingElseChanges) {
  FrameMaker maker(41);
  for (const std::uint32_t to : {14U, 60U, 70U, 100U}) {
    OneImpairment bench("truncate: {to: " + std::to_string(to) + "B}");
    for (int turn = 0; turn < 2'000; ++turn) {
      const Bytes frame = maker.make().bytes;
      const Fate fate = bench.offer_one({frame});
      ASSERT_EQ(fate.bytes, slice(frame, 0, std::min<std::size_t>(to, frame.size())));
      ASSERT_EQ(fate.length_bytes, fate.bytes.size());
    }
  }
  // 61 bytes of ARP and its padding, and what is as long as `to` already.
  OneImpairment bench("truncate: {to: 60B}");
  EXPECT_EQ(bench.offer_one({test::ethernet(0x0806, 47)}).bytes.size(), 60U);
  EXPECT_EQ(bench.offer_one({test::ethernet(0x0806, 46)}).bytes.size(), 60U);
}

/// What `checksum: fix` has to make of a whole datagram that is cut at `to`: lengths are new, sums
/// as far off as they were.
void expect_fixed(const MadeFrame& made, const Bytes& after, std::size_t to) {
  Bytes expected = slice(made.bytes, 0, to);
  MadeFrame cut = made;
  if (to < made.end) {
    if (made.ipv4)
      put16(expected, made.l3 + 2, to - made.l3);
    else
      put16(expected, made.l3 + 4, to - made.l3 - 40);
    cut.end = to;
    if (made.protocol != 17 || to < made.sum_end)
      cut.sum_end = to;
    if (made.protocol == 17)
      put16(expected, made.l4 + 4, cut.sum_end - made.l4);
  }
  ASSERT_EQ(header_residue(cut, after), header_residue(made, made.bytes));
  ASSERT_EQ(has_sum(cut, after), has_sum(made, made.bytes));
  if (has_sum(made, made.bytes))
    ASSERT_EQ(transport_residue(cut, after), transport_residue(made, made.bytes));
  Bytes plain = after;
  for (Bytes* bytes : {&plain, &expected}) {
    if (made.ipv4)
      put16(*bytes, made.l3 + 10, 0);
    if (made.sum_at != 0)
      put16(*bytes, made.sum_at, 0);
  }
  ASSERT_EQ(plain, expected);
}

TEST(ImpairTruncate, FixMakesLengthsAndSumsFit) {
  FrameMaker maker(42);
  std::uint64_t fixed = 0;
  std::uint64_t passed = 0;
  for (int turn = 0; turn < 20'000; ++turn) {
    const MadeFrame made = maker.make();
    const std::size_t to = 14 + maker.random().below(made.bytes.size() - 13);
    OneImpairment bench("truncate: {checksum: fix, to: " + std::to_string(to) + "B}");
    const Fate fate = bench.offer_one({made.bytes});
    // A whole datagram whose transport header is known and ends by `to`; others pass untouched.
    const bool can = made.piece == Piece::kWhole && made.payload != 0 && made.payload <= to;
    ASSERT_EQ(fate.length_bytes, fate.bytes.size());
    if (!can || to == made.bytes.size()) {
      ASSERT_EQ(fate.bytes, made.bytes);
      ++passed;
      continue;
    }
    ASSERT_EQ(fate.bytes.size(), to);
    expect_fixed(made, fate.bytes, to);
    ASSERT_FALSE(HasFailure()) << turn;
    ++fixed;
  }
  EXPECT_GT(fixed, 3'000U);
  EXPECT_GT(passed, 3'000U);
}

TEST(ImpairTruncate, FixOnFramesOfEachFamily) {
  // 100 bytes of payload become 10: the datagram is as if it had been sent so.
  const test::Bytes frames[] = {
      test::with_sums(make(test::Ipv4Frame{.payload_bytes = 100})),
      test::with_sums(make(test::Ipv4Frame{.protocol = 6, .payload_bytes = 100})),
      test::with_sums(make(test::Ipv6Frame{.payload_bytes = 100})),
      test::tagged(test::with_sums(make(test::Ipv6Frame{.protocol = 6, .payload_bytes = 100})),
                   0x8100, 5)};
  const test::Bytes expected[] = {
      test::with_sums(make(test::Ipv4Frame{.payload_bytes = 10})),
      test::with_sums(make(test::Ipv4Frame{.protocol = 6, .payload_bytes = 10})),
      test::with_sums(make(test::Ipv6Frame{.payload_bytes = 10})),
      test::tagged(test::with_sums(make(test::Ipv6Frame{.protocol = 6, .payload_bytes = 10})),
                   0x8100, 5)};
  for (std::size_t turn = 0; turn < std::size(frames); ++turn) {
    OneImpairment bench("truncate: {checksum: fix, to: " + std::to_string(expected[turn].size()) +
                        "B}");
    EXPECT_EQ(bench.offer_one({frames[turn]}).bytes, expected[turn]) << turn;
  }
}

TEST(ImpairTruncate, Explains) {
  OneImpairment bench("truncate: {rate: 50%, to: 60B}");
  test::expect_draw(bench.explain({test::frame_of(100), 0, 6}), 6, 0.5);
}

TEST(ImpairTruncate, Errors) {
  const std::string range = "; a size between 14B and 65KB";
  test::expect_errors({
      {"truncate: {}", {"f:1:11: error: truncate: 'to' is missing"}},
      {"truncate: 60B", {"f:1:11: error: truncate: found '60B'; a mapping of keys to values"}},
      {"truncate: {to: 60}",
       {"f:1:16: error: '60' has no unit; a size such as 64KiB (B KB KiB MB MiB GB GiB TB TiB)"}},
      {"truncate: {to: 13B}", {"f:1:16: error: '13B' is out of range" + range}},
      {"truncate: {to: 65001B}", {"f:1:16: error: '65001B' is out of range" + range}},
      {"truncate: {to: 60B, checksum: break}", {"f:1:31: error: found 'break'; one of keep, fix"}},
      {"truncate: {to: 60B, rate: 2}",
       {"f:1:27: error: '2' is out of range; a probability between 0% and 100%, such as 1%, 0.01 "
        "or "
        "1e-7"}},
      {"truncate: {too: 60B}",
       {"f:1:11: error: truncate: 'to' is missing",
        "f:1:12: error: truncate: unknown key 'too'; known keys are rate, to, checksum; did you "
        "mean 'to'?"}},
  });
}

}  // namespace
}  // namespace faultline
