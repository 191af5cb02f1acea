// mtu: what is too large, what becomes of it, and fragments as RFC 791 has them, put together
// again.
#include <gtest/gtest.h>

#include "tests/unit/impair_answers.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::FrameMaker;
using test::MadeFrame;
using test::NamedFrame;
using test::Offered;
using test::OneImpairment;
using test::Piece;
using test::put16;
using test::slice;
using test::word_of;

Bytes udp_of(std::size_t ip_bytes) {
  return test::with_sums(make(test::Ipv4Frame{.payload_bytes = ip_bytes - 28}));
}

TEST(ImpairMtu, WhatIsTooLarge) {
  struct SizeCase {
    std::string_view name;
    Bytes frame;
    bool passes;
  };
  Bytes padded = udp_of(100);
  padded.resize(14 + 300, 0x55);
  Bytes padded_more = udp_of(101);
  padded_more.resize(14 + 300, 0x55);
  const SizeCase cases[] = {
      {"as large as the link takes", udp_of(100), true},
      {"one byte more", udp_of(101), false},
      {"tags do not count", test::tagged(test::tagged(udp_of(100), 0x8100, 1), 0x88A8, 2), true},
      {"nor do they help", test::tagged(udp_of(101), 0x8100, 1), false},
      {"IPv6", make(test::Ipv6Frame{.payload_bytes = 52}), true},
      {"IPv6, one byte more", make(test::Ipv6Frame{.payload_bytes = 53}), false},
      {"padding does not count", padded, true},
      {"padded, one byte more", padded_more, false},
      {"not IP: behind 14 bytes", test::ethernet(0x0806, 100), true},
      {"not IP, one byte more", test::ethernet(0x0806, 101), false},
  };
  for (const SizeCase& one : cases)
    for (const std::string action : {"drop", "icmp", "fragment"}) {
      const std::string yaml = "mtu: {size: 100B, action: " + action + "}";
      const Fate fate = OneImpairment(yaml).offer_one({one.frame, 9});
      const bool cut = action == "fragment" && fate.reason == DropReason::kNone && !one.passes;
      EXPECT_EQ(fate.reason == DropReason::kNone, one.passes || cut) << one.name << action;
      EXPECT_TRUE(one.passes || cut || fate.reason == DropReason::kMtu);
      EXPECT_EQ(fate.time_ns, 9U);
      if (one.passes)
        EXPECT_EQ(fate.bytes, one.frame) << one.name << action;
      if (one.passes || action == "drop")
        EXPECT_TRUE(fate.answer.empty()) << one.name << action;
    }
}

TEST(ImpairMtu, TheDefaultIsADropWithoutAWord) {
  const auto fates = test::in_any_bursts(
      "mtu: {size: 100B}", {{udp_of(100)}, {udp_of(101)}, {udp_of(1'500)}, {udp_of(60)}});
  EXPECT_EQ(fates[0].reason, DropReason::kNone);
  EXPECT_EQ(fates[1].reason, DropReason::kMtu);
  EXPECT_EQ(fates[2].reason, DropReason::kMtu);
  EXPECT_EQ(fates[3].reason, DropReason::kNone);
  for (const Fate& fate : fates) EXPECT_TRUE(fate.answer.empty());
}

TEST(ImpairMtu, IcmpTellsTheSize) {
  // RFC 1191: type 3, code 4; RFC 4443: type 2, code 0.
  OneImpairment bench("mtu: {size: 80B, action: icmp}");
  for (const NamedFrame& named : test::for_icmp()) {
    SCOPED_TRACE(named.name);
    const Fate fate = bench.offer_one({named.frame, 77});
    EXPECT_EQ(fate.reason, DropReason::kMtu);
    EXPECT_TRUE(fate.answers_back);
    EXPECT_EQ(fate.answer_ns, 77U);
    const bool ipv4 = test::parts_of(named.frame).ipv4;
    ASSERT_FALSE(fate.answer.empty());
    test::expect_icmp_error(named.frame, fate.answer, ipv4 ? 0x0304 : 0x0200, 80);
  }
  for (const NamedFrame& named : test::not_for_icmp()) {
    const Fate fate = bench.offer_one({named.frame});
    EXPECT_EQ(fate.reason, DropReason::kMtu) << named.name;
    EXPECT_TRUE(fate.answer.empty()) << named.name;
  }
}

TEST(ImpairMtu, FragmentAnswersWhatMustNotBeCut) {
  OneImpairment bench("mtu: {size: 100B, action: fragment}");
  const Bytes dont =
      test::with_sums(make(test::Ipv4Frame{.payload_bytes = 80, .fragment = 0x4000}));
  const Bytes ipv6 = test::with_sums(make(test::Ipv6Frame{.payload_bytes = 80}));
  for (const Bytes& frame : {dont, ipv6}) {
    const Fate fate = bench.offer_one({frame});
    EXPECT_EQ(fate.reason, DropReason::kMtu);
    ASSERT_FALSE(fate.answer.empty());
    test::expect_icmp_error(frame, fate.answer, frame == dont ? 0x0304 : 0x0200, 100);
  }
  const Fate arp = bench.offer_one({test::ethernet(0x0806, 101)});
  EXPECT_EQ(arp.reason, DropReason::kMtu);
  EXPECT_TRUE(arp.answer.empty());
}

/// What fragments of one datagram, or of one part of it, say together.
struct Together {
  Bytes payload;
  std::size_t first = 0;  ///< where it begins, in bytes
  bool more = false;      ///< the last one has more behind it
};

/// Each fragment is right by itself: RFC 791, section 3.2.
Together put_together(const MadeFrame& made, const std::vector<Fate>& fates, std::size_t size) {
  Together together;
  const std::size_t header = made.head_end - made.l3;
  for (std::size_t turn = 0; turn < fates.size(); ++turn) {
    const Bytes& piece = fates[turn].bytes;
    const std::size_t total = word_of(piece, made.l3 + 2);
    const std::size_t place = word_of(piece, made.l3 + 6);
    EXPECT_EQ(fates[turn].length_bytes, piece.size()) << "what stands behind it sees";
    EXPECT_LE(total, size);
    EXPECT_EQ(piece.size(), made.l3 + total) << "no padding";
    EXPECT_EQ(test::residue_of(piece, made.l3, made.head_end), header_residue(made, made.bytes));
    EXPECT_EQ(slice(piece, 0, made.l3 + 2), slice(made.bytes, 0, made.l3 + 2));
    EXPECT_EQ(word_of(piece, made.l3 + 4), word_of(made.bytes, made.l3 + 4)) << "id";
    EXPECT_EQ(slice(piece, made.l3 + 8, made.l3 + 10),
              slice(made.bytes, made.l3 + 8, made.l3 + 10));
    EXPECT_EQ(slice(piece, made.l3 + 12, made.l3 + 20),
              slice(made.bytes, made.l3 + 12, made.l3 + 20));
    if (turn == 0)
      together.first = (place & 0x1FFF) * 8;
    EXPECT_EQ((place & 0x1FFF) * 8, together.first + together.payload.size());
    if (turn + 1 < fates.size()) {
      EXPECT_NE(place & 0x2000, 0U);
      EXPECT_EQ((total - header) % 8, 0U);
      EXPECT_EQ(total - header, (size - header) / 8 * 8) << "as much as fits";
    }
    together.more = (place & 0x2000) != 0;
    const Bytes payload = slice(piece, made.head_end, piece.size());
    together.payload.insert(together.payload.end(), payload.begin(), payload.end());
  }
  return together;
}

TEST(ImpairMtu, FragmentsArePutTogetherAgain) {
  FrameMaker maker(71);
  std::uint64_t cut = 0;
  for (int turn = 0; turn < 30'000; ++turn) {
    MadeFrame made = maker.make();
    if (!made.ipv4 || (word_of(made.bytes, made.l3 + 6) & 0x4000) != 0)
      continue;
    const std::size_t size = 68 + maker.random().below(40);
    OneImpairment bench("mtu: {action: fragment, size: " + std::to_string(size) + "B}");
    const std::vector<Fate> fates = bench.offer({{made.bytes, 33}});
    const std::size_t header = made.head_end - made.l3;
    const std::size_t payload = made.end - made.head_end;
    const std::size_t each = (size - header) / 8 * 8;
    const std::size_t pieces = header + payload <= size ? 1 : (payload + each - 1) / each;
    if (pieces > 10) {
      ASSERT_EQ(fates.size(), 1U);
      ASSERT_EQ(fates[0].reason, DropReason::kMtu);
      ASSERT_TRUE(fates[0].answer.empty()) << "without a word";
      continue;
    }
    ASSERT_EQ(fates.size(), pieces);
    if (pieces == 1) {
      ASSERT_EQ(fates[0].bytes, made.bytes);
      continue;
    }
    ++cut;
    for (const Fate& fate : fates) ASSERT_EQ(fate.time_ns, 33U);
    const Together together = put_together(made, fates, size);
    const std::size_t before = word_of(made.bytes, made.l3 + 6);
    ASSERT_EQ(together.payload, slice(made.bytes, made.head_end, made.end));
    ASSERT_EQ(together.first, (before & 0x1FFF) * 8) << "what was a fragment is cut further";
    ASSERT_EQ(together.more, (before & 0x2000) != 0);
    ASSERT_FALSE(HasFailure()) << turn;
  }
  EXPECT_GT(cut, 1'000U);
}

TEST(ImpairMtu, TenFragmentsAndNoMore) {
  // 80 bytes fit behind the header of 20.
  for (const std::size_t payload : {800U, 801U}) {
    OneImpairment bench("mtu: {size: 100B, action: fragment}");
    const std::vector<Fate> fates = bench.offer({{udp_of(20 + payload)}});
    EXPECT_EQ(fates.size(), payload == 800 ? 10U : 1U);
    EXPECT_EQ(fates[0].reason, payload == 800 ? DropReason::kNone : DropReason::kMtu);
    EXPECT_TRUE(fates[0].answer.empty()) << "without a word";
  }
  const OneImpairment bench("mtu: {size: 100B, action: fragment}");
  EXPECT_EQ(bench.compiled.copies, 9U) << "counts as 10";
  EXPECT_EQ(OneImpairment("mtu: {size: 100B, action: icmp}").compiled.copies, 0U);
}

TEST(ImpairMtu, BurstsChangeNoFragments) {
  std::vector<Offered> packets;
  for (std::size_t bytes = 60; bytes < 260; ++bytes)
    packets.push_back({udp_of(bytes), bytes, bytes - 59});
  const std::vector<Fate> fates =
      test::in_any_bursts("mtu: {size: 100B, action: fragment}", packets);
  std::size_t expected = 0;
  for (std::size_t bytes = 60; bytes < 260; ++bytes)
    expected += bytes <= 100 ? 1 : (bytes - 20 + 79) / 80;
  EXPECT_EQ(fates.size(), expected);
}

TEST(ImpairMtu, OptionsThatAreNotCopiedBecomeNoOperations) {
  // Record route (7), not to be copied; no operation; router alert (148), to be copied; end.
  const Bytes options{7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0};
  const Bytes later{1, 1, 1, 1, 1, 1, 1, 1, 148, 4, 0, 0};
  Bytes frame = make(test::Ipv4Frame{.option_bytes = 12, .payload_bytes = 132});
  std::copy(options.begin(), options.end(), frame.begin() + 34);
  frame = test::with_sums(frame);
  OneImpairment bench("mtu: {size: 100B, action: fragment}");
  const std::vector<Fate> fates = bench.offer({{frame}});
  ASSERT_EQ(fates.size(), 3U);  // 64 bytes each
  EXPECT_EQ(slice(fates[0].bytes, 34, 46), options);
  EXPECT_EQ(slice(fates[1].bytes, 34, 46), later);
  EXPECT_EQ(slice(fates[2].bytes, 34, 46), later);
  for (const Fate& fate : fates) EXPECT_EQ(test::residue_of(fate.bytes, 14, 46), 0U);
}

TEST(ImpairMtu, Explains) {
  OneImpairment bench("mtu: {size: 1400B, action: icmp}");
  const Explanation why = bench.explain({test::tagged(udp_of(1'401), 0x8100, 1)});
  EXPECT_EQ(why.state, "1401 bytes of 1400");
  EXPECT_FALSE(why.draw.has_value());
}

TEST(ImpairMtu, Errors) {
  const std::string range = "; a size between 68B and 65535B";
  test::expect_errors({
      {"mtu: {}", {"f:1:6: error: mtu: 'size' is missing"}},
      {"mtu: 1400B", {"f:1:6: error: mtu: found '1400B'; a mapping of keys to values"}},
      {"mtu: {size: 1400}",
       {"f:1:13: error: '1400' has no unit; a size such as 64KiB (B KB KiB MB MiB GB GiB TB TiB)"}},
      {"mtu: {size: 67B}", {"f:1:13: error: '67B' is out of range" + range}},
      {"mtu: {size: 65536B}", {"f:1:13: error: '65536B' is out of range" + range}},
      {"mtu: {size: 100B, action: cut}",
       {"f:1:27: error: found 'cut'; one of drop, fragment, icmp"}},
      {"mtu: {size: 100B, rate: 1%}",
       {"f:1:19: error: mtu: unknown key 'rate'; known keys are size, action"}},
  });
}

}  // namespace
}  // namespace faultline
