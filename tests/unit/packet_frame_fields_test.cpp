// Every header that is looked behind, what is told of it, frames cut at every byte, and edits.
#include "packet/frame_fields.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "packet/edit.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Ipv4Frame;
using test::Ipv6Frame;
using test::make;
using test::put16;

ParseOutcome parse(const Bytes& frame, std::size_t length, FrameFields& fields) {
  // A copy of exactly this size on the heap, so that a sanitizer sees one byte too many.
  const auto copy = std::make_unique<std::uint8_t[]>(frame.size());
  std::copy(frame.begin(), frame.end(), copy.get());
  return parse_frame({copy.get(), frame.size()}, length, fields);
}

FrameFields parsed(const Bytes& frame) {
  FrameFields fields;
  EXPECT_EQ(parse(frame, frame.size(), fields), ParseOutcome::kParsed);
  return fields;
}

/// `frame` with `bytes` put in at `at`.
Bytes with(Bytes frame, std::size_t at, const Bytes& bytes) {
  frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin(), bytes.end());
  return frame;
}

Bytes tagged(const Bytes& frame,
             std::initializer_list<std::pair<std::uint16_t, std::uint16_t>> tags) {
  Bytes bytes;
  for (const auto& [type, vlan] : tags)
    for (const int part : {type >> 8, type & 0xFF, vlan >> 8, vlan & 0xFF})
      bytes.push_back(static_cast<std::uint8_t>(part));
  return with(frame, 12, bytes);
}

Bytes labelled(const Bytes& frame, int labels) {
  Bytes bytes;
  for (int label = 0; label < labels; ++label)
    for (const int part : {0, 0x01, label + 1 == labels ? 1 : 0, 64})
      bytes.push_back(static_cast<std::uint8_t>(part));
  Bytes made = with(frame, 14, bytes);
  put16(made, 12, 0x8847);
  return made;
}

/// An IPv6 frame with extension headers, each {type, bytes of it whose first is filled in}.
Bytes extended(Ipv6Frame wanted, std::vector<std::pair<std::uint8_t, Bytes>> headers) {
  const std::uint8_t transport = wanted.protocol;
  Bytes frame = make(wanted);
  Bytes bytes;
  for (std::size_t at = 0; at < headers.size(); ++at) {
    headers[at].second[0] = at + 1 < headers.size() ? headers[at + 1].first : transport;
    bytes.insert(bytes.end(), headers[at].second.begin(), headers[at].second.end());
  }
  frame[20] = headers.front().first;
  put16(frame, 18, frame.size() - 54 + bytes.size());
  return with(frame, 54, bytes);
}

Bytes options(std::size_t units) {
  Bytes bytes(8 * units);
  bytes[1] = static_cast<std::uint8_t>(units - 1);
  return bytes;
}

Bytes fragment(std::uint16_t place) {
  return {0,
          0,
          static_cast<std::uint8_t>(place >> 8),
          static_cast<std::uint8_t>(place),
          0x12,
          0x34,
          0x56,
          0x78};
}

struct TextCase {
  std::string_view name;
  Bytes frame;
  std::string text;
};

std::vector<TextCase> layered() {
  const std::string udp = "udp 10.0.0.1:4242 > 10.0.0.2:80";
  const std::string udp6 = "udp [fd00::1]:4242 > [fd00::2]:80";
  const std::string link = " b0:b1:b2:b3:b4:b5 > a0:a1:a2:a3:a4:a5";
  return {
      {"802.1Q", tagged(make(Ipv4Frame{}), {{0x8100, 0xE007}}), udp + " vlan 7"},
      {"priority tag", tagged(make(Ipv4Frame{}), {{0x8100, 0x6000}}), udp + " vlan 0"},
      {"802.1ad", tagged(make(Ipv6Frame{}), {{0x88A8, 100}, {0x8100, 7}}),
       udp6 + " vlan 100 vlan 7"},
      {"four tags", tagged(make(Ipv4Frame{}), {{0x88A8, 1}, {0x88A8, 2}, {0x8100, 3}, {0x8100, 4}}),
       udp + " vlan 1 vlan 2"},
      {"five tags are a link",
       tagged(make(Ipv4Frame{}), {{0x8100, 1}, {0x8100, 2}, {0x8100, 3}, {0x8100, 4}, {0x8100, 5}}),
       "0x8100" + link + " vlan 1 vlan 2"},
      {"tagged ARP", tagged(test::ethernet(0x0806, 28), {{0x8100, 9}}),
       "0x0806" + link + " vlan 9"},
      {"one label", labelled(make(Ipv4Frame{}), 1), udp},
      {"eight labels", labelled(make(Ipv6Frame{}), 8), udp6},
      {"nine labels are a link", labelled(make(Ipv4Frame{}), 9), "0x8847" + link},
      {"a label with Ethernet behind it", labelled(test::ethernet(0x0806, 28), 1), "0x8847" + link},
      {"sctp", make(Ipv4Frame{.protocol = 132, .payload_bytes = 12}),
       "sctp 10.0.0.1:0 > 10.0.0.2:0"},
      {"hop-by-hop", extended({}, {{0, options(1)}}), udp6},
      {"all extensions",
       extended({.protocol = 6}, {{0, options(2)},
                                  {60, options(1)},
                                  {43, options(3)},
                                  {51, Bytes{0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1,
                                             9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}},
                                  {135, options(1)},
                                  {60, options(1)}}),
       "tcp [fd00::1]:4242 > [fd00::2]:80"},
      {"first fragment", extended({}, {{44, fragment(0x0001)}}), "udp [fd00::1]:0 > [fd00::2]:0"},
      {"later fragment", extended({}, {{44, fragment(0x0008)}}), "udp [fd00::1]:0 > [fd00::2]:0"},
      {"atomic fragment", extended({}, {{44, fragment(0x0000)}}), udp6},
      {"nine extensions have no transport",
       extended({}, std::vector<std::pair<std::uint8_t, Bytes>>(9, {60, options(1)})),
       "proto-60 fd00::1 > fd00::2"},
      {"no next header", extended({.protocol = 59, .payload_bytes = 0}, {{60, options(1)}}),
       "proto-59 fd00::1 > fd00::2"},
  };
}

TEST(PacketFrameFields, LooksBehindHeaders) {
  for (const TextCase& one : layered()) {
    FrameFields fields;
    EXPECT_EQ(parse(one.frame, one.frame.size(), fields), ParseOutcome::kParsed) << one.name;
    EXPECT_EQ(to_text(fields.key), one.text) << one.name;
  }
}

TEST(PacketFrameFields, CutAtEveryByteAndNeverReadBeyond) {
  for (const TextCase& one : layered()) {
    for (std::size_t length = 0; length < one.frame.size(); ++length) {
      const Bytes head(one.frame.begin(), one.frame.begin() + static_cast<std::ptrdiff_t>(length));
      FrameFields fields;
      parse(head, length, fields);
      EXPECT_TRUE(fields.key.kind == FlowKind::kLink || length > 33) << one.name;
      EXPECT_LE(fields.l3_offset, length);
      EXPECT_LE(fields.l4_offset, length);
      // The same where the frame is whole but only its beginning is to be seen.
      parse(head, one.frame.size(), fields);
    }
  }
}

TEST(PacketFrameFields, RandomBytesAreNoDanger) {
  test::Random random(7);
  const std::vector<TextCase> seeds = layered();
  std::uint64_t unparsed = 0;
  for (int round = 0; round < 200'000; ++round) {
    Bytes frame = seeds[random.below(seeds.size())].frame;
    for (std::uint64_t changes = 1 + random.below(4); changes > 0; --changes)
      frame[random.below(frame.size())] = static_cast<std::uint8_t>(random.below(256));
    FrameFields fields;
    unparsed += parse(frame, frame.size(), fields) == ParseOutcome::kUnparsed ? 1U : 0U;
    if (fields.l4_offset != 0)
      EXPECT_GT(fields.l4_offset, fields.l3_offset);
  }
  EXPECT_GT(unparsed, 1'000U);
}

/// A frame's fields as its tagged twin's would be.
FrameFields as_tagged(FrameFields fields, std::uint16_t vlan) {
  fields.key.outer_vlan = static_cast<std::uint16_t>(vlan | kVlanPresent);
  fields.vlan_tags = 1;
  fields.length += 4;
  for (std::uint16_t FrameFields::*offset : {&FrameFields::l3_offset, &FrameFields::body_offset,
                                             &FrameFields::l4_offset, &FrameFields::payload_offset})
    if (fields.*offset != 0)
      fields.*offset = static_cast<std::uint16_t>(fields.*offset + 4);
  return fields;
}

TEST(PacketFrameFields, PlainFramesSayWhatTheirTaggedTwinsSay) {
  // Plain frames are read on a way of their own, tagged ones never.
  test::Random random(11);
  std::uint64_t plain = 0;
  std::uint64_t refused = 0;
  for (int round = 0; round < 200'000 && !HasFailure(); ++round) {
    const bool tcp = random.below(2) == 0;
    Bytes frame = make(Ipv4Frame{.protocol = static_cast<std::uint8_t>(tcp ? 6 : 17),
                                 .option_bytes = random.below(8) == 0 ? 4U : 0U,
                                 .payload_bytes = random.below(40)});
    // From the version on: the ethertype is what tells the twins apart.
    for (std::uint64_t changes = random.below(4); changes > 0; --changes)
      frame[14 + random.below(34)] = static_cast<std::uint8_t>(random.below(256));
    if (random.below(4) == 0)
      frame.resize(14 + random.below(frame.size() - 13));
    frame.resize(frame.size() + random.below(3));
    const Bytes twin = tagged(frame, {{0x8100, 7}});
    FrameFields fields;
    FrameFields expected;
    const ParseOutcome outcome = parse(frame, frame.size(), fields);
    ASSERT_EQ(outcome, parse(twin, twin.size(), expected)) << round;
    fields = as_tagged(fields, 7);
    EXPECT_EQ(fields.key, expected.key);
    EXPECT_TRUE(fields == expected) << round;
    plain += outcome == ParseOutcome::kParsed && expected.l4_offset != 0 ? 1U : 0U;
    refused += outcome == ParseOutcome::kUnparsed ? 1U : 0U;
    std::uint8_t ecn = 99;
    EXPECT_EQ(parse_ecn(frame, frame.size(), ecn), outcome);
    EXPECT_EQ(ecn, expected.ecn);
    EXPECT_EQ(parse_ecn(twin, twin.size(), ecn), outcome);
    EXPECT_EQ(ecn, expected.ecn);
  }
  EXPECT_GT(plain, 50'000U);
  EXPECT_GT(refused, 10'000U);
}

TEST(PacketFrameFields, TellsThePacketsOwnFields) {
  Bytes frame = make(Ipv4Frame{.protocol = 6, .payload_bytes = 100});
  frame[15] = (46 << 2) | 2;
  frame[22] = 63;
  frame[14 + 20 + 13] = 0x18;
  const FrameFields fields = parsed(frame);
  EXPECT_EQ(fields.dscp, 46);
  EXPECT_EQ(fields.ecn, 2);
  EXPECT_EQ(fields.ttl, 63);
  EXPECT_EQ(fields.tcp_flags, 0x18);
  EXPECT_EQ(fields.payload_bytes, 100);
  EXPECT_EQ(fields.l3_offset, 14);
  EXPECT_EQ(fields.l4_offset, 34);
  EXPECT_EQ(fields.length, frame.size());
  EXPECT_EQ(fields.fragment, FragmentKind::kNone);
  EXPECT_EQ(parsed(make(Ipv4Frame{.payload_bytes = 5})).payload_bytes, 5);
}

TEST(PacketFrameFields, TellsTrafficClassAndHopLimit) {
  Bytes frame = make(Ipv6Frame{});
  frame[14] = 0x60 | (46 >> 2);
  frame[15] = static_cast<std::uint8_t>((46 << 6) | (1 << 4));
  frame[21] = 7;
  const FrameFields fields = parsed(frame);
  EXPECT_EQ(fields.dscp, 46);
  EXPECT_EQ(fields.ecn, 1);
  EXPECT_EQ(fields.ttl, 7);
}

TEST(PacketFrameFields, TellsIcmp) {
  Bytes frame = make(Ipv4Frame{.protocol = 1, .payload_bytes = 8});
  frame[34] = 11;
  frame[35] = 1;
  EXPECT_EQ(parsed(frame).icmp_type, 11);
  EXPECT_EQ(parsed(frame).icmp_code, 1);
}

TEST(PacketFrameFields, FragmentsShowWhoTheyAre) {
  Bytes frame = make(Ipv4Frame{.fragment = 0x2000});
  put16(frame, 18, 0xBEEF);
  const FrameFields first = parsed(frame);
  EXPECT_EQ(first.fragment, FragmentKind::kFirst);
  EXPECT_EQ(first.fragment_id, 0xBEEFU);
  EXPECT_EQ(first.source_port, 4242);
  EXPECT_EQ(first.key.source_port, 0);
  put16(frame, 20, 0x0005);
  const FrameFields later = parsed(frame);
  EXPECT_EQ(later.fragment, FragmentKind::kLater);
  EXPECT_EQ(later.fragment_id, 0xBEEFU);
  EXPECT_EQ(later.source_port, 0);
  const FrameFields first6 = parsed(extended({}, {{44, fragment(0x0001)}}));
  EXPECT_EQ(first6.fragment, FragmentKind::kFirst);
  EXPECT_EQ(first6.fragment_id, 0x12345678U);
  EXPECT_EQ(first6.destination_port, 80);
}

TEST(PacketFrameFields, VlansAreFlowsOfTheirOwnWithTheSameDice) {
  const FlowKey plain = parsed(make(Ipv4Frame{})).key;
  const FlowKey seven = parsed(tagged(make(Ipv4Frame{}), {{0x8100, 7}})).key;
  EXPECT_FALSE(plain == seven);
  EXPECT_EQ(flow_identity(plain), flow_identity(seven));
}

}  // namespace
}  // namespace faultline
