// icmp_unreachable: who is dropped, who is told, and by which type and code.
#include <gtest/gtest.h>

#include "tests/unit/impair_answers.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::NamedFrame;
using test::OneImpairment;

struct CodeCase {
  std::string code;
  std::size_t ipv4;  ///< type and code
  std::size_t ipv6;
  bool points;  ///< at the field that names the protocol
};

/// Of IPv6: in its own header, or in the fragment header behind it.
std::size_t byte_that_names(const Bytes& frame) {
  const test::MadeFrame made = test::parts_of(frame);
  return made.protocol == 44 ? 40 : 6;
}

// The table of its page: RFC 792 and RFC 1812, RFC 4443.
const CodeCase kCodes[] = {
    {"net", 0x0300, 0x0100, false},     {"host", 0x0301, 0x0103, false},
    {"protocol", 0x0302, 0x0401, true}, {"port", 0x0303, 0x0104, false},
    {"admin", 0x030D, 0x0101, false},
};

TEST(ImpairIcmpUnreachable, AnswersByCode) {
  for (const CodeCase& one : kCodes) {
    OneImpairment bench("icmp_unreachable: {code: " + one.code + "}");
    for (const NamedFrame& named : test::for_icmp()) {
      SCOPED_TRACE(one.code + " " + std::string(named.name));
      const Fate fate = bench.offer_one({named.frame, 77});
      EXPECT_EQ(fate.reason, DropReason::kReject);
      EXPECT_TRUE(fate.answers_back);
      EXPECT_EQ(fate.answer_ns, 77U) << "at the packet's own time";
      const bool ipv4 = test::parts_of(named.frame).ipv4;
      ASSERT_FALSE(fate.answer.empty());
      test::expect_icmp_error(named.frame, fate.answer, ipv4 ? one.ipv4 : one.ipv6,
                              ipv4         ? 0
                              : one.points ? byte_that_names(named.frame)
                                           : 0);
    }
  }
}

TEST(ImpairIcmpUnreachable, QuotesWhatFits) {
  OneImpairment bench("icmp_unreachable: {code: port}");
  const Bytes ipv4 = make(test::Ipv4Frame{.payload_bytes = 1'400});
  EXPECT_EQ(bench.offer_one({ipv4}).answer.size(), 14U + 576);
  const Bytes ipv6 = make(test::Ipv6Frame{.payload_bytes = 1'400});
  EXPECT_EQ(bench.offer_one({ipv6}).answer.size(), 14U + 1'280);
  // Of a short one all, without its padding: 20 + 8 + 32 bytes.
  Bytes padded = make(test::Ipv4Frame{});
  padded.resize(60, 0x55);
  EXPECT_EQ(bench.offer_one({padded}).answer.size(), 14U + 20 + 8 + 32);
}

TEST(ImpairIcmpUnreachable, DroppedWithoutAnAnswer) {
  OneImpairment bench("icmp_unreachable: {code: host}");
  for (const NamedFrame& named : test::not_for_icmp()) {
    const Fate fate = bench.offer_one({named.frame});
    EXPECT_EQ(fate.reason, DropReason::kReject) << named.name;
    EXPECT_TRUE(fate.answer.empty()) << named.name;
  }
}

TEST(ImpairIcmpUnreachable, TheDiceSayWho) {
  const Bytes frame = make(test::Ipv4Frame{});
  std::vector<std::uint64_t> dropped;
  std::uint64_t number = 0;
  for (const Fate& fate : test::in_any_bursts("icmp_unreachable: {rate: 10%, code: host}",
                                              test::alike(frame, 1'000))) {
    ++number;
    EXPECT_EQ(fate.answer.empty(), fate.reason == DropReason::kNone);
    if (fate.reason == DropReason::kReject)
      dropped.push_back(number);
    else
      EXPECT_EQ(fate.bytes, frame);
  }
  EXPECT_EQ(dropped, test::hit_by_dice(test::share_of_fraction(1, 10), 1'000));
}

TEST(ImpairIcmpUnreachable, ShareOverManyPackets) {
  OneImpairment bench("icmp_unreachable: {rate: 20%, code: net}");
  std::size_t dropped = 0;
  for (const Fate& fate : bench.offer(test::alike(make(test::Ipv4Frame{}), 50'000)))
    dropped += fate.reason == DropReason::kReject ? 1U : 0U;
  test::expect_share(dropped, 0.2, 50'000);
}

TEST(ImpairIcmpUnreachable, Explains) {
  OneImpairment bench("icmp_unreachable: {rate: 25%, code: net}");
  test::expect_draw(bench.explain({make(test::Ipv4Frame{}), 0, 8}), 8, 0.25);
}

TEST(ImpairIcmpUnreachable, Errors) {
  const std::string missing = "f:1:19: error: icmp_unreachable: 'code' is missing";
  const std::string codes = "; one of net, host, protocol, port, admin";
  test::expect_errors({
      {"icmp_unreachable: {}", {missing}},
      {"icmp_unreachable: port",
       {"f:1:19: error: icmp_unreachable: found 'port'; a mapping of keys to values"}},
      {"icmp_unreachable: {code: 3}", {"f:1:26: error: found '3'" + codes}},
      {"icmp_unreachable: {code: prot}",
       {"f:1:26: error: found 'prot'" + codes + "; did you mean 'port'?"}},
      {"icmp_unreachable: {code: net, rate: often}",
       {"f:1:37: error: found 'often'; a probability between 0% and 100%, such as 1%, 0.01 or "
        "1e-7"}},
      {"icmp_unreachable: {cod: net}",
       {missing,
        "f:1:20: error: icmp_unreachable: unknown key 'cod'; known keys are rate, code; did you "
        "mean 'code'?"}},
  });
}

}  // namespace
}  // namespace faultline
