// set: each field on random frames of every kind, written plainly into bytes whose parts are known;
// tags and the lengths that stages behind see; who is hit; how values are read.
#include <gtest/gtest.h>

#include <functional>

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
using test::put16;
using test::word_of;

/// A field, and the same done to bytes whose parts are known.
struct FieldCase {
  std::string yaml;
  std::function<void(const MadeFrame&, Bytes&)> plainly;
};

void put_class(const MadeFrame& made, Bytes& bytes, std::size_t mask, std::size_t value) {
  const std::size_t shift = made.ipv4 ? 0 : 4;
  put16(bytes, made.l3, (word_of(bytes, made.l3) & ~(mask << shift)) | value << shift);
}

void put_port(const MadeFrame& made, Bytes& bytes, std::size_t place, std::size_t port) {
  if (made.l4 != 0 && (made.protocol == 6 || made.protocol == 17))
    put16(bytes, made.l4 + place, port);
}

void put_bytes(Bytes& bytes, std::size_t at, const Bytes& value) {
  std::copy(value.begin(), value.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

std::vector<FieldCase> fields() {
  const Bytes ipv6{0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};
  return {
      {"ttl: 3", [](const auto& made, Bytes& bytes) { bytes[made.l3 + (made.ipv4 ? 8 : 7)] = 3; }},
      {"dscp: 46", [](const auto& made, Bytes& bytes) { put_class(made, bytes, 0xFC, 46 << 2); }},
      {"ecn: not-ect", [](const auto& made, Bytes& bytes) { put_class(made, bytes, 3, 0); }},
      {"ecn: ect0", [](const auto& made, Bytes& bytes) { put_class(made, bytes, 3, 2); }},
      {"ecn: ect1", [](const auto& made, Bytes& bytes) { put_class(made, bytes, 3, 1); }},
      {"ecn: ce", [](const auto& made, Bytes& bytes) { put_class(made, bytes, 3, 3); }},
      {"src: 192.0.2.7",
       [](const auto& made, Bytes& bytes) {
         if (made.ipv4)
           put_bytes(bytes, made.l3 + 12, {192, 0, 2, 7});
       }},
      {"dst: 192.0.2.8",
       [](const auto& made, Bytes& bytes) {
         if (made.ipv4)
           put_bytes(bytes, made.l3 + 16, {192, 0, 2, 8});
       }},
      {"src: \"2001:db8::9\"",
       [=](const auto& made, Bytes& bytes) {
         if (!made.ipv4)
           put_bytes(bytes, made.l3 + 8, ipv6);
       }},
      {"dst: \"2001:db8::9\"",
       [=](const auto& made, Bytes& bytes) {
         if (!made.ipv4)
           put_bytes(bytes, made.l3 + 24, ipv6);
       }},
      {"sport: 53", [](const auto& made, Bytes& bytes) { put_port(made, bytes, 0, 53); }},
      {"dport: 65535", [](const auto& made, Bytes& bytes) { put_port(made, bytes, 2, 65'535); }},
      {"window: 0",
       [](const auto& made, Bytes& bytes) {
         if (made.l4 != 0 && made.protocol == 6)
           put16(bytes, made.l4 + 14, 0);
       }},
      {"src_mac: \"02:00:00:00:00:01\"",
       [](const auto&, Bytes& bytes) {
         put_bytes(bytes, 6, {2, 0, 0, 0, 0, 1});
       }},
      {"dst_mac: \"aa:BB:cc:DD:eE:0f\"",
       [](const auto&, Bytes& bytes) {
         put_bytes(bytes, 0, {0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0x0F});
       }},
      {"ttl: 255, sport: 7, dst: 192.0.2.8, dscp: 0",
       [](const auto& made, Bytes& bytes) {
         bytes[made.l3 + (made.ipv4 ? 8 : 7)] = 255;
         put_port(made, bytes, 0, 7);
         put_class(made, bytes, 0xFC, 0);
         if (made.ipv4)
           put_bytes(bytes, made.l3 + 16, {192, 0, 2, 8});
       }},
  };
}

Bytes without_sums(const MadeFrame& made, Bytes bytes) {
  if (made.ipv4)
    put16(bytes, made.l3 + 10, 0);
  if (made.sum_at != 0)
    put16(bytes, made.sum_at, 0);
  return bytes;
}

TEST(ImpairSet, FieldsAndTheirChecksums) {
  // On its way to another address than that in front, a sum may cover a place that is not known:
  // FrameMaker names it.
  for (const FieldCase& one : fields()) {
    FrameMaker maker(51);
    OneImpairment bench("set: {" + one.yaml + "}");
    int changed = 0;
    for (int turn = 0; turn < 3'000; ++turn) {
      const MadeFrame made = maker.make();
      Bytes expected = made.bytes;
      one.plainly(made, expected);
      const Fate fate = bench.offer_one({made.bytes});
      ASSERT_EQ(without_sums(made, fate.bytes), without_sums(made, expected)) << one.yaml;
      ASSERT_EQ(header_residue(made, fate.bytes), header_residue(made, made.bytes)) << one.yaml;
      ASSERT_EQ(has_sum(made, fate.bytes), has_sum(made, made.bytes)) << one.yaml;
      if (has_sum(made, fate.bytes))
        ASSERT_EQ(transport_residue(made, fate.bytes), transport_residue(made, made.bytes))
            << one.yaml << " " << turn;
      ASSERT_EQ(fate.length_bytes, made.bytes.size());
      changed += expected != made.bytes ? 1 : 0;
    }
    EXPECT_GT(changed, 300) << one.yaml;
  }
}

TEST(ImpairSet, TheDiceSayWho) {
  const Bytes frame = test::with_sums(make(test::Ipv4Frame{}));
  std::vector<std::uint64_t> changed;
  std::uint64_t number = 0;
  for (const Fate& fate :
       test::in_any_bursts("set: {rate: 20%, ttl: 9}", test::alike(frame, 1'000))) {
    ++number;
    EXPECT_TRUE(fate.bytes[22] == 9 || fate.bytes == frame);
    if (fate.bytes[22] == 9)
      changed.push_back(number);
  }
  EXPECT_EQ(changed, test::hit_by_dice(test::share_of_fraction(2, 10), 1'000));
  test::expect_share(changed.size(), 0.2, 1'000);
}

TEST(ImpairSet, TagsAndWhatStandsBehindSees) {
  const Bytes plain = test::with_sums(make(test::Ipv6Frame{}));
  const Bytes arp = test::ethernet(0x0806, 46);
  const Bytes one = test::tagged(plain, 0x8100, 0x7005);  // priority 3, drop-eligible
  const Bytes two = test::tagged(test::tagged(plain, 0x8100, 5), 0x88A8, 0x2006);
  struct TagCase {
    std::string yaml;
    Bytes before;
    Bytes after;
  };
  const TagCase cases[] = {
      {"vlan: {push: 7}", plain, test::tagged(plain, 0x8100, 7)},
      {"vlan: {push: 7, pcp: 1}", one, test::tagged(one, 0x8100, 0x2007)},
      {"vlan: {push: 4095, pcp: 7}", arp, test::tagged(arp, 0x8100, 0xEFFF)},
      {"vlan: {rewrite: 7}", plain, plain},
      {"vlan: {rewrite: 7}", one, test::tagged(plain, 0x8100, 0x7007)},
      {"vlan: {rewrite: 7, pcp: 0}", one, test::tagged(plain, 0x8100, 0x1007)},
      {"vlan: {rewrite: 7}", two, test::tagged(test::tagged(plain, 0x8100, 5), 0x88A8, 0x2007)},
      {"vlan: none", plain, plain},
      {"vlan: none", one, plain},
      {"vlan: {pop: true}", two, test::tagged(plain, 0x8100, 5)},
      {"vlan: 7", plain, test::tagged(plain, 0x8100, 7)},
      {"vlan: 7", one, test::tagged(plain, 0x8100, 0x7007)},
      {"vlan: 0", test::tagged(arp, 0x8100, 9), test::tagged(arp, 0x8100, 0)},
  };
  for (const TagCase& each : cases) {
    OneImpairment bench("set: {" + each.yaml + "}");
    const Fate fate = bench.offer_one({each.before});
    EXPECT_EQ(fate.bytes, each.after) << each.yaml;
    EXPECT_EQ(fate.length_bytes, each.after.size()) << each.yaml;
  }
  // Fields behind the tags that go are found.
  OneImpairment bench("set: {vlan: none, ttl: 9}");
  Bytes expected = test::tagged(plain, 0x8100, 5);
  expected[18 + 7] = 9;
  EXPECT_EQ(bench.offer_one({two}).bytes, expected);
}

TEST(ImpairSet, AnEcnThatWasSetIsWhatIsSeenBehind) {
  Bytes frame = make(test::Ipv4Frame{});
  frame[15] = 2;
  OneImpairment bench("set: {ecn: not-ect}");
  const Fate fate = bench.offer_one({test::with_sums(frame)});
  EXPECT_EQ(fate.ecn, 0);
  EXPECT_FALSE(fate.marked);
  EXPECT_EQ(bench.offer_one({test::ethernet(0x0806, 46)}).ecn, 0);
  OneImpairment ce("set: {ecn: ce}");
  EXPECT_EQ(ce.offer_one({frame}).ecn, 3);
  EXPECT_EQ(ce.offer_one({test::ethernet(0x0806, 46)}).ecn, 0) << "not IP";
}

TEST(ImpairSet, WhatAFrameHasNotStays) {
  const Bytes arp = test::ethernet(0x0806, 46);
  const Bytes icmp = test::with_sums(make(test::Ipv4Frame{.protocol = 1}));
  const Bytes sctp = make(test::Ipv4Frame{.protocol = 132, .payload_bytes = 20});
  for (const std::string yaml :
       {"ttl: 3", "dscp: 1", "ecn: ce", "src: 192.0.2.1", "sport: 1", "dport: 1", "window: 1"}) {
    OneImpairment bench("set: {" + yaml + "}");
    EXPECT_EQ(bench.offer_one({arp}).bytes, arp) << yaml;
  }
  OneImpairment bench("set: {sport: 1, dport: 2, window: 3, dst: \"::1\"}");
  EXPECT_EQ(bench.offer_one({icmp}).bytes, icmp);
  EXPECT_EQ(bench.offer_one({sctp}).bytes, sctp) << "its checksum is no sum";
}

TEST(ImpairSet, Explains) {
  OneImpairment bench("set: {rate: 50%, ttl: 9}");
  test::expect_draw(bench.explain({make(test::Ipv4Frame{}), 0, 12}), 12, 0.5);
}

TEST(ImpairSet, Errors) {
  const std::string address = "; an address such as 10.0.0.9 or fd00::9";
  const std::string mac = "; an address such as \"02:00:00:00:00:01\"";
  const std::string once =
      ": error: vlan: says what to do with the tag just once; one of push, "
      "rewrite, pop";
  const std::string none =
      "f:1:6: error: set: no field is named; fields such as ttl, dscp, ecn, "
      "vlan, src, dst, sport, dport, window, src_mac, dst_mac";
  test::expect_errors({
      {"set: {}", {none}},
      {"set: {rate: 1%}", {none}},
      {"set: 3", {"f:1:6: error: set: found '3'; a mapping of keys to values"}},
      {"set: {ttl: 256}", {"f:1:12: error: '256' is out of range; a count of at most 255"}},
      {"set: {dscp: 64}", {"f:1:13: error: '64' is out of range; a count of at most 63"}},
      {"set: {sport: 65536}", {"f:1:14: error: '65536' is out of range; a count of at most 65535"}},
      {"set: {dport: -1}",
       {"f:1:14: error: '-1' is negative; a count such as 10, 5k or 1M (k M G)"}},
      {"set: {ecn: 3}", {"f:1:12: error: found '3'; one of not-ect, ect0, ect1, ce"}},
      {"set: {src: 10.0.0}", {"f:1:12: error: found '10.0.0'" + address}},
      {"set: {dst: [1]}", {"f:1:12: error: found a list" + address}},
      {"set: {src_mac: \"02:00:00:00:00\"}", {"f:1:16: error: found '02:00:00:00:00'" + mac}},
      {"set: {dst_mac: \"02:00:00:00:00:0g\"}", {"f:1:16: error: found '02:00:00:00:00:0g'" + mac}},
      {"set: {dst_mac: \"02-00-00-00-00-01\"}", {"f:1:16: error: found '02-00-00-00-00-01'" + mac}},
      {"set: {vlan: 4096}", {"f:1:13: error: '4096' is out of range; a count of at most 4095"}},
      {"set: {vlan: {push: 4096}}",
       {"f:1:20: error: '4096' is out of range; a count of at most 4095"}},
      {"set: {vlan: {push: 1, pcp: 8}}",
       {"f:1:28: error: '8' is out of range; a count of at most 7"}},
      {"set: {vlan: {pcp: 1}}", {"f:1:13" + once}},
      {"set: {vlan: {push: 1, rewrite: 2}}", {"f:1:13" + once}},
      {"set: {vlan: {pop: false}}", {"f:1:19: error: found 'false'; true"}},
      {"set: {tll: 3}",
       {"f:1:7: error: set: unknown key 'tll'; known keys are rate, ttl, dscp, ecn, vlan, src, "
        "dst, "
        "sport, dport, window, src_mac, dst_mac; did you mean 'ttl'?"}},
  });
}

}  // namespace
}  // namespace faultline
