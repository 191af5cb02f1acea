// reject: TCP is answered by the reset that the other end would send, all else of IP by port
// unreachable.
#include <gtest/gtest.h>

#include "tests/unit/impair_answers.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::NamedFrame;
using test::OneImpairment;
using test::put16;
using test::word_of;

constexpr std::uint8_t kFin = 1;
constexpr std::uint8_t kSyn = 2;
constexpr std::uint8_t kRst = 4;
constexpr std::uint8_t kPsh = 8;
constexpr std::uint8_t kAck = 16;

struct Segment {
  bool ipv4 = true;
  std::uint8_t flags = kAck;
  std::uint32_t sequence = 0x11223344;
  std::uint32_t acknowledged = 0x55667788;
  std::size_t payload_bytes = 60;
};

Bytes make_segment(const Segment& wanted) {
  Bytes frame = wanted.ipv4
                    ? make(test::Ipv4Frame{.protocol = 6, .payload_bytes = wanted.payload_bytes})
                    : make(test::Ipv6Frame{.protocol = 6, .payload_bytes = wanted.payload_bytes});
  const std::size_t l4 = wanted.ipv4 ? 34 : 54;
  put16(frame, l4 + 4, wanted.sequence >> 16);
  put16(frame, l4 + 6, wanted.sequence & 0xFFFF);
  put16(frame, l4 + 8, wanted.acknowledged >> 16);
  put16(frame, l4 + 10, wanted.acknowledged & 0xFFFF);
  frame[l4 + 13] = wanted.flags;
  put16(frame, l4 + 14, 1'000);
  return test::with_sums(frame);
}

TEST(ImpairReject, TcpGetsAReset) {
  struct ResetCase {
    std::string_view name;
    Segment segment;
    std::size_t sequence;
    std::size_t acknowledged;
    std::uint8_t flags;
  };
  // RFC 9293, section 3.10.7.1: <SEQ=SEG.ACK><CTL=RST>, or <SEQ=0><ACK=SEG.SEQ+SEG.LEN>
  // <CTL=RST,ACK>; SEG.LEN counts SYN and FIN.
  const ResetCase cases[] = {
      {"data", {}, 0x55667788, 0, kRst},
      {"a FIN with its ACK", {.flags = kFin | kAck}, 0x55667788, 0, kRst},
      {"a SYN", {.flags = kSyn, .payload_bytes = 0}, 0, 0x11223345, kRst | kAck},
      {"a SYN with data", {.flags = kSyn}, 0, 0x11223345 + 60, kRst | kAck},
      {"a SYN that is answered", {.flags = kSyn | kAck}, 0x55667788, 0, kRst},
      {"data without ACK", {.flags = kPsh}, 0, 0x11223344 + 60, kRst | kAck},
      {"a FIN without ACK", {.flags = kFin}, 0, 0x11223344 + 61, kRst | kAck},
      {"numbers wrap", {.flags = kSyn | kFin, .sequence = 0xFFFFFFFF}, 0, 61, kRst | kAck},
  };
  OneImpairment bench("reject: true");
  for (const ResetCase& one : cases)
    for (const bool ipv4 : {true, false})
      for (const bool tag : {true, false}) {
        SCOPED_TRACE(one.name);
        Segment segment = one.segment;
        segment.ipv4 = ipv4;
        const Bytes in =
            tag ? test::tagged(make_segment(segment), 0x88A8, 0x3007) : make_segment(segment);
        const Fate fate = bench.offer_one({in, 77});
        EXPECT_EQ(fate.reason, DropReason::kReject);
        EXPECT_TRUE(fate.answers_back);
        EXPECT_EQ(fate.answer_ns, 77U);
        const test::MadeFrame made = test::expect_turned_round(in, fate.answer, 6, 20);
        const std::size_t l4 = made.head_end;
        ASSERT_GE(fate.answer.size(), l4 + 20);
        EXPECT_EQ(word_of(fate.answer, l4), 80U);
        EXPECT_EQ(word_of(fate.answer, l4 + 2), 4'242U);
        EXPECT_EQ(test::long_of(fate.answer, l4 + 4), one.sequence);
        EXPECT_EQ(test::long_of(fate.answer, l4 + 8), one.acknowledged);
        EXPECT_EQ(word_of(fate.answer, l4 + 12), 0x5000U | one.flags);
      }
}

TEST(ImpairReject, TheRestOfIpGetsPortUnreachable) {
  OneImpairment bench("reject: true");
  for (const NamedFrame& named : test::for_icmp()) {
    SCOPED_TRACE(named.name);
    const Fate fate = bench.offer_one({named.frame, 5});
    EXPECT_EQ(fate.reason, DropReason::kReject);
    EXPECT_TRUE(fate.answers_back);
    const bool ipv4 = test::parts_of(named.frame).ipv4;
    ASSERT_FALSE(fate.answer.empty());
    test::expect_icmp_error(named.frame, fate.answer, ipv4 ? 0x0303 : 0x0104, 0);
  }
}

TEST(ImpairReject, DroppedWithoutAnAnswer) {
  std::vector<NamedFrame> silent = test::not_for_icmp();
  silent.push_back({"a reset", make_segment({.flags = kRst})});
  silent.push_back({"a reset with ACK", make_segment({.ipv4 = false, .flags = kRst | kAck})});
  silent.push_back({"a later fragment of TCP",
                    make(test::Ipv4Frame{.protocol = 6, .payload_bytes = 60, .fragment = 0x2003})});
  Bytes to_a_group = make_segment({});
  to_a_group[30] = 224;
  silent.push_back({"TCP to a group", to_a_group});
  OneImpairment bench("reject: true");
  for (const NamedFrame& named : silent) {
    const Fate fate = bench.offer_one({named.frame});
    EXPECT_EQ(fate.reason, DropReason::kReject) << named.name;
    EXPECT_TRUE(fate.answer.empty()) << named.name;
  }
  // A first fragment shows its transport header.
  const Bytes first = make(test::Ipv4Frame{.protocol = 6, .payload_bytes = 60, .fragment = 0x2000});
  EXPECT_FALSE(bench.offer_one({first}).answer.empty());
}

TEST(ImpairReject, TheDiceSayWho) {
  const Bytes frame = make_segment({});
  std::vector<std::uint64_t> dropped;
  std::uint64_t number = 0;
  for (const Fate& fate : test::in_any_bursts("reject: {rate: 30%}", test::alike(frame, 1'000))) {
    ++number;
    EXPECT_EQ(fate.answer.empty(), fate.reason == DropReason::kNone);
    if (fate.reason == DropReason::kReject)
      dropped.push_back(number);
  }
  EXPECT_EQ(dropped, test::hit_by_dice(test::share_of_fraction(3, 10), 1'000));
  test::expect_share(dropped.size(), 0.3, 1'000);
}

TEST(ImpairReject, Explains) {
  OneImpairment bench("reject: {rate: 50%}");
  test::expect_draw(bench.explain({make_segment({}), 0, 2}), 2, 0.5);
  OneImpairment always("reject: true");
  EXPECT_EQ(always.explain({make_segment({})}).threshold, 1.0);
}

TEST(ImpairReject, Errors) {
  const std::string allowed = "; true, or {rate: 10%}";
  test::expect_errors({
      {"reject: false", {"f:1:9: error: found 'false'" + allowed}},
      {"reject: 10%", {"f:1:9: error: found '10%'" + allowed}},
      {"reject:", {"f:1:8: error: found nothing" + allowed}},
      {"reject: [true]", {"f:1:9: error: found a list" + allowed}},
      {"reject: {rate: 110%}",
       {"f:1:16: error: '110%' is out of range; a probability between 0% and 100%, such as 1%, "
        "0.01 or 1e-7"}},
      {"reject: {rat: 10%}",
       {"f:1:10: error: reject: unknown key 'rat'; known keys are rate; did you mean 'rate'?"}},
  });
}

}  // namespace
}  // namespace faultline
