// `match: {tcp: …}` beside flags and data: what it asks for, what it says, and what it refuses.
#include "match/rule_match.hpp"

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::make;
using test::tree_of;

RuleMatch compile(std::string_view yaml) {
  Problems problems;
  const auto match = RuleMatch::compile(tree_of(yaml), problems);
  EXPECT_TRUE(match.has_value() && problems.empty())
      << yaml << "\n"
      << (problems.empty() ? "" : to_line(problems.front()));
  return match.value_or(RuleMatch{});
}

/// A segment with ACK.
struct Packet {
  explicit Packet(std::size_t payload_bytes = 10, std::uint8_t flags = kAckFlag,
                  std::uint16_t fragment = 0)
      : bytes(make(
            test::Ipv4Frame{.protocol = 6, .payload_bytes = payload_bytes, .fragment = fragment})) {
    bytes.at(47) = flags;
    parse_frame(bytes, bytes.size(), fields);
  }
  bool is(std::string_view yaml) const {
    const RuleMatch match = compile(yaml);
    EXPECT_EQ(match.of_flow(fields.key), FlowVerdict::kPerPacket);
    return match.of_packet({.fields = fields, .bytes = bytes, .tcp = &place});
  }

  Bytes bytes;
  FrameFields fields;
  TcpPlace place{.is_whole = true};
};

TEST(MatchTcp, AcksArePureWithoutAnythingElse) {
  EXPECT_TRUE(Packet(0).is("tcp: {ack: pure}"));
  EXPECT_TRUE(Packet(0, kAckFlag | 8).is("tcp: {ack: pure}")) << "PSH says nothing";
  EXPECT_FALSE(Packet(1).is("tcp: {ack: pure}"));
  for (const std::uint8_t flag : {kSynFlag, kFinFlag, kRstFlag})
    EXPECT_FALSE(Packet(0, static_cast<std::uint8_t>(kAckFlag | flag)).is("tcp: {ack: pure}"));
  EXPECT_FALSE(Packet(0, 0).is("tcp: {ack: pure}"));
}

TEST(MatchTcp, RetransmissionsByTheirNumber) {
  struct Case {
    std::string_view values;
    std::string_view held;  ///< for 0, 1, 2, 3 and 255
  };
  const Case cases[] = {
      {"true", ".xxxx"},       {"false", "x...."}, {"1", ".x..."},
      {"2", "..x.."},          {"2-5", "..xx."},   {"255", "....x"},
      {"[1, 3-255]", ".x.xx"}, {"1-255", ".xxxx"}, {"[true, false]", "xxxxx"},
      {"[false, 2]", "x.x.."},
  };
  for (const Case& one : cases) {
    Packet packet;
    std::string held;
    for (const std::uint32_t times : {0U, 1U, 2U, 3U, 255U}) {
      packet.place.retransmission = static_cast<std::uint8_t>(times);
      held += packet.is("tcp: {retransmission: " + std::string(one.values) + "}") ? 'x' : '.';
    }
    EXPECT_EQ(held, one.held) << one.values;
  }
  Packet part;
  part.place.is_whole = false;
  EXPECT_FALSE(part.is("tcp: {retransmission: true}"));
  EXPECT_FALSE(part.is("tcp: {retransmission: false}"));
  EXPECT_TRUE(part.is("{not: {tcp: {retransmission: false}}}"));
}

TEST(MatchTcp, SequencesByOneOfTheirBytes) {
  Packet packet;  // of 10 bytes
  packet.place.is_numbered = true;
  packet.place.first_byte = 1'001;
  for (const std::string_view held :
       {"1001", "1010", "1-1001", "1010-2000", "1-9223372036854775807", "[5, 1003-1004]"})
    EXPECT_TRUE(packet.is("tcp: {sequence: " + std::string(held) + "}")) << held;
  for (const std::string_view other : {"1000", "1011", "1-1000", "1011-4294968306", "[5, 7-9]"})
    EXPECT_FALSE(packet.is("tcp: {sequence: " + std::string(other) + "}")) << other;
  packet.place.first_byte = 5'000'000'000;
  EXPECT_TRUE(packet.is("tcp: {sequence: 5000000000-5000000001}"));
  EXPECT_FALSE(packet.is("tcp: {sequence: 705032704-705032714}")) << "modulo 2^32";
  packet.place.first_byte = -9;
  EXPECT_FALSE(packet.is("tcp: {sequence: 1-100}")) << "before what was seen first";
  packet.place.first_byte = -8;
  EXPECT_TRUE(packet.is("tcp: {sequence: 1}"));
  packet.place.is_numbered = false;
  EXPECT_FALSE(packet.is("tcp: {sequence: 1}"));
  Packet empty(0);
  empty.place.is_numbered = true;
  empty.place.first_byte = 1;
  EXPECT_FALSE(empty.is("tcp: {sequence: 1-100}")) << "no bytes";
}

TEST(MatchTcp, ConnectionsByTheirOrdinal) {
  Packet packet;
  packet.place.connection = 2;
  EXPECT_TRUE(packet.is("tcp: {connection: 2}"));
  EXPECT_TRUE(packet.is("tcp: {connection: [7, 1-4294967295]}"));
  EXPECT_FALSE(packet.is("tcp: {connection: [1, 3-9]}"));
  // A later fragment is of the connection, as long as its ports are used.
  Packet later(10, 0, 3);
  later.place = {.connection = 2};
  EXPECT_FALSE(later.is("tcp: {connection: 2}"));
  later.fields.shows_ports = true;
  EXPECT_TRUE(later.is("tcp: {connection: 2}"));
  EXPECT_FALSE(compile("tcp: {connection: 2}")
                   .of_packet({.fields = later.fields,
                               .bytes = later.bytes,
                               .portless = true,
                               .tcp = &later.place}));
}

TEST(MatchTcp, WhatIsAskedFor) {
  struct Case {
    std::string_view yaml;
    bool connection;
    bool tcp;
  };
  const Case cases[] = {
      {"{tcp: {flags: syn, data: true, ack: pure}}", false, false},
      {"{role: reply}", true, false},
      {"{tcp: {retransmission: 1}}", false, true},
      {"{tcp: {sequence: 1}}", false, true},
      {"{tcp: {connection: 1}}", true, true},
      {"{not: {any: [{proto: udp}, {all: [{tcp: {connection: 1}}]}]}}", true, true},
      {"{any: [{tcp: {retransmission: false}}, {ttl: 1}], role: request}", true, true},
  };
  for (const Case& one : cases) {
    const RuleMatch match = compile(one.yaml);
    EXPECT_EQ(match.asks_connection(), one.connection) << one.yaml;
    EXPECT_EQ(match.asks_tcp(), one.tcp) << one.yaml;
    EXPECT_TRUE(match.per_packet()) << one.yaml;
  }
  const Packet packet;
  EXPECT_FALSE(compile("tcp: {retransmission: false}").of_packet({packet.fields, packet.bytes}))
      << "nobody followed it";
  // Of what is not TCP the flow decides.
  FlowKey udp = packet.fields.key;
  udp.protocol = kProtocolUdp;
  for (const std::string_view yaml : {"tcp: {ack: pure}", "tcp: {retransmission: false}",
                                      "tcp: {sequence: 1}", "tcp: {connection: 1}"})
    EXPECT_EQ(compile(yaml).of_flow(udp), FlowVerdict::kNever) << yaml;
}

TEST(MatchTcp, SaysWhatItIsAndWhatFails) {
  const RuleMatch match = compile(
      "tcp: {connection: [1, 3-4], ack: pure, retransmission: [true, 2], sequence: 1-9, data: "
      "false}");
  EXPECT_EQ(match.text(),
            "tcp data false, tcp ack pure, tcp retransmission true, 2, tcp sequence 1-9, tcp "
            "connection 1, 3-4");
  const Packet packet(0);
  EXPECT_EQ(match.why_not({.fields = packet.fields, .bytes = packet.bytes, .tcp = &packet.place}),
            "tcp retransmission true, 2");
}

TEST(MatchTcp, Errors) {
  const auto retransmission = [](std::string_view place, std::string_view found) {
    return "f:" + std::string(place) + ": error: no retransmission: " + std::string(found) +
           "; true, false, a number from 1 to 255 or a range such as 2-5";
  };
  const auto bytes = [](std::string_view place, std::string_view found) {
    return "f:" + std::string(place) + ": error: no bytes of a stream: " + std::string(found) +
           "; a number from 1 or a range such as 1-1000";
  };
  const auto connection = [](std::string_view place, std::string_view found) {
    return "f:" + std::string(place) + ": error: no number of a connection: " + std::string(found) +
           "; a number from 1 or a range such as 2-4";
  };
  const test::ErrorCase cases[] = {
      {"tcp: {ack: data}", {"f:1:12: error: found 'data'; one of pure"}},
      {"tcp: {retransmission: 0}", {retransmission("1:23", "'0'")}},
      {"tcp: {retransmission: [1, 256, 3-2, -1, x]}",
       {retransmission("1:27", "'256'"), retransmission("1:32", "'3-2'"),
        retransmission("1:37", "'-1'"), retransmission("1:41", "'x'")}},
      {"tcp: {retransmission: []}",
       {"f:1:23: error: an empty list matches nothing; at least one value"}},
      {"tcp: {retransmission: {a: 1}}", {retransmission("1:23", "a mapping")}},
      {"tcp: {sequence: [0, 2-1, 1-, -5, 9223372036854775808, 1KB]}",
       {bytes("1:18", "'0'"), bytes("1:21", "'2-1'"), bytes("1:26", "'1-'"), bytes("1:30", "'-5'"),
        bytes("1:34", "'9223372036854775808'"), bytes("1:55", "'1KB'")}},
      {"tcp: {connection: [0, 4294967296, first]}",
       {connection("1:20", "'0'"), connection("1:23", "'4294967296'"),
        connection("1:35", "'first'")}},
      {"tcp: {retransmissions: true}",
       {"f:1:7: error: tcp: unknown key 'retransmissions'; known keys are flags, data, ack, "
        "retransmission, sequence, connection; did you mean 'retransmission'?"}},
      {"tcp: pure", {"f:1:6: error: tcp: found 'pure'; a mapping of keys to values"}},
  };
  for (const test::ErrorCase& one : cases) {
    Problems problems;
    EXPECT_FALSE(RuleMatch::compile(tree_of(one.yaml), problems).has_value());
    EXPECT_EQ(test::lines_of(problems), one.lines) << one.yaml;
  }
}

}  // namespace
}  // namespace faultline
