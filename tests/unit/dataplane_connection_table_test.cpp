// Who opened what: SYNs, answers, flows met in their middle, ordinals and what is forgotten.
#include "dataplane/connection_table.hpp"

#include <set>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Ipv4Frame;
using test::make;

constexpr std::uint8_t kSyn = 2;
constexpr std::uint8_t kSynAck = 18;
constexpr std::uint8_t kAck = 16;
constexpr std::uint64_t kIdleNs = 1'000'000'000;

/// Two hosts, 10.0.0.1 (one) and 10.0.0.2 (two), and a table between them.
class Wire {
 public:
  explicit Wire(std::uint64_t connections_max = 1'000) : table(connections_max, kIdleNs) {}

  struct Tcp {
    std::uint16_t one_port = 40'000;
    std::uint16_t two_port = 80;
    std::uint8_t flags = kAck;
    std::uint32_t sequence = 1;
    std::uint32_t acknowledgement = 0;
  };
  ConnectionPlace from_one(const Tcp& tcp) { return send(tcp, false); }
  ConnectionPlace from_two(const Tcp& tcp) { return send(tcp, true); }

  ConnectionPlace udp(bool reverse, std::uint64_t now_ns_of_packet) {
    Ipv4Frame frame;
    if (reverse) {
      std::swap(frame.source, frame.destination);
      std::swap(frame.ports.source, frame.ports.destination);
    }
    now_ns = now_ns_of_packet;
    return note(make(frame));
  }

  ConnectionPlace note(const Bytes& bytes) {
    FrameFields fields;
    EXPECT_EQ(parse_frame(bytes, bytes.size(), fields), ParseOutcome::kParsed);
    return table.note({fields, bytes, wire, now_ns}, &place, hint);
  }
  /// The like, with what it is in its connection.
  TcpPlace follow_one(const Tcp& sent) {
    from_one(sent);
    return place;
  }
  TcpPlace follow_two(const Tcp& sent) {
    from_two(sent);
    return place;
  }

  ConnectionTable table;
  std::uint64_t now_ns = 5;
  std::uint8_t wire = 0;
  TcpPlace place;
  ConnectionHint* hint = nullptr;

 private:
  ConnectionPlace send(const Tcp& tcp, bool reverse) {
    Ipv4Frame frame{.protocol = 6, .ports = {tcp.one_port, tcp.two_port}};
    if (reverse) {
      std::swap(frame.source, frame.destination);
      std::swap(frame.ports.source, frame.ports.destination);
    }
    Bytes bytes = make(frame);
    test::put16(bytes, 38, tcp.sequence >> 16);
    test::put16(bytes, 40, tcp.sequence);
    test::put16(bytes, 42, tcp.acknowledgement >> 16);
    test::put16(bytes, 44, tcp.acknowledgement);
    bytes.at(47) = tcp.flags;
    return note(bytes);
  }
};

TEST(DataplaneConnectionTable, ASynOpensAndPacketsCountInEachDirection) {
  Wire wire;
  // The opener has the lower port: what the SYN says counts, not the ports.
  const ConnectionPlace syn =
      wire.from_one({.one_port = 80, .two_port = 40'000, .flags = kSyn, .sequence = 7});
  EXPECT_EQ(syn.role, Role::kRequest);
  EXPECT_EQ(syn.number, 1U);
  const ConnectionPlace answer =
      wire.from_two({.one_port = 80, .two_port = 40'000, .flags = kSynAck});
  EXPECT_EQ(answer.role, Role::kReply);
  EXPECT_EQ(answer.number, 1U);
  EXPECT_NE(answer.identity, syn.identity);
  for (std::uint64_t number = 2; number < 6; ++number) {
    const ConnectionPlace next = wire.from_one({.one_port = 80, .two_port = 40'000});
    EXPECT_EQ(next.role, Role::kRequest);
    EXPECT_EQ(next.number, number);
    EXPECT_EQ(next.identity, syn.identity);
  }
  EXPECT_EQ(wire.from_two({.one_port = 80, .two_port = 40'000}).number, 2U);
  EXPECT_EQ(wire.table.counters().opened, 1U);
  EXPECT_EQ(wire.table.counters().guessed, 0U);
}

TEST(DataplaneConnectionTable, ARetransmittedSynIsTheSameConnectionAnotherOneIsNew) {
  Wire wire;
  const ConnectionPlace first = wire.from_one({.flags = kSyn, .sequence = 7});
  EXPECT_EQ(wire.from_one({.flags = kSyn, .sequence = 7}).number, 2U);
  wire.from_two({.flags = kSynAck, .sequence = 9, .acknowledgement = 8});
  EXPECT_EQ(wire.from_one({.flags = kSyn, .sequence = 7}).number, 3U);
  const ConnectionPlace second = wire.from_one({.flags = kSyn, .sequence = 8});
  EXPECT_EQ(second.number, 1U);
  EXPECT_NE(second.identity, first.identity);
  EXPECT_EQ(wire.table.counters().opened, 2U);
  // Now the other side opens, on the same ports.
  const ConnectionPlace third = wire.from_two({.flags = kAck});
  EXPECT_EQ(third.role, Role::kReply);
  const ConnectionPlace turned = wire.from_two({.flags = kSyn, .sequence = 1});
  EXPECT_EQ(turned.role, Role::kRequest);
  EXPECT_EQ(turned.number, 1U);
}

TEST(DataplaneConnectionTable, BothMayOpenAtOnce) {
  Wire wire;
  EXPECT_EQ(wire.from_one({.flags = kSyn, .sequence = 7}).role, Role::kRequest);
  EXPECT_EQ(wire.from_two({.flags = kSyn, .sequence = 8}).role, Role::kReply);
  EXPECT_EQ(wire.table.counters().opened, 1U);
}

TEST(DataplaneConnectionTable, WhoAnsweredWasAsked) {
  Wire wire;
  EXPECT_EQ(wire.from_one({.one_port = 40'000, .two_port = 80, .flags = kSynAck}).role,
            Role::kReply);
  EXPECT_EQ(wire.from_two({.one_port = 40'000, .two_port = 80}).role, Role::kRequest);
  EXPECT_EQ(wire.table.counters().guessed, 0U);
  // The SYN that was answered comes once more.
  Wire late;
  late.from_two({.flags = kSynAck, .sequence = 100, .acknowledgement = 8});
  EXPECT_EQ(late.from_one({.flags = kSyn, .sequence = 7}).role, Role::kRequest);
  EXPECT_EQ(late.table.counters().opened, 1U);
}

TEST(DataplaneConnectionTable, MetInItsMiddleTheLowerPortIsTheServer) {
  Wire wire;
  EXPECT_EQ(wire.from_two({.one_port = 40'000, .two_port = 80}).role, Role::kReply);
  EXPECT_EQ(wire.from_one({.one_port = 40'000, .two_port = 80}).role, Role::kRequest);
  EXPECT_EQ(wire.from_one({.one_port = 80, .two_port = 40'001}).role, Role::kReply);
  EXPECT_EQ(wire.from_one({.one_port = 99, .two_port = 99}).role, Role::kRequest);
  EXPECT_EQ(wire.table.counters().guessed, 3U);
  EXPECT_EQ(wire.table.counters().opened, 3U);
  // A pause does not end a TCP connection.
  wire.now_ns += 10 * kIdleNs;
  wire.from_one({.one_port = 40'000, .two_port = 80});
  EXPECT_EQ(wire.table.counters().opened, 3U);
}

TEST(DataplaneConnectionTable, TheFirstDatagramOpensAndAPauseEnds) {
  Wire wire;
  const ConnectionPlace first = wire.udp(false, 0);
  EXPECT_EQ(first.role, Role::kRequest);
  EXPECT_EQ(wire.udp(true, kIdleNs).role, Role::kReply);
  EXPECT_EQ(wire.udp(false, 2 * kIdleNs).number, 2U);  // exactly idle_ns is no pause yet
  const ConnectionPlace second = wire.udp(true, 3 * kIdleNs + 1);
  EXPECT_EQ(second.role, Role::kRequest);
  EXPECT_EQ(second.number, 1U);
  EXPECT_EQ(wire.table.counters().opened, 2U);
  EXPECT_EQ(wire.table.counters().guessed, 0U);
}

TEST(DataplaneConnectionTable, EphemeralPortsDoNotMatterToTheDice) {
  std::vector<std::set<std::uint64_t>> runs;
  for (const std::uint16_t ephemeral : {std::uint16_t{40'000}, std::uint16_t{51'234}}) {
    Wire wire;
    std::set<std::uint64_t> identities;
    for (std::uint16_t connection = 0; connection < 20; ++connection) {
      const auto port = static_cast<std::uint16_t>(ephemeral + 3 * connection);
      identities.insert(wire.from_one({.one_port = port, .flags = kSyn}).identity);
      identities.insert(wire.from_two({.one_port = port, .flags = kSynAck}).identity);
    }
    EXPECT_EQ(identities.size(), 40U);
    runs.push_back(identities);
  }
  EXPECT_EQ(runs[0], runs[1]);
  // Another service, another client: other dice.
  Wire other;
  EXPECT_FALSE(runs[0].contains(other.from_one({.two_port = 81, .flags = kSyn}).identity));
  EXPECT_FALSE(runs[0].contains(
      other.from_two({.one_port = 80, .two_port = 40'000, .flags = kSyn}).identity));
}

TEST(DataplaneConnectionTable, WiresAreApartAndForgettingBeginsAnew) {
  Wire wire;
  const ConnectionPlace here = wire.from_one({.flags = kSyn});
  wire.wire = 2;
  const ConnectionPlace there = wire.from_one({.flags = kSyn});
  EXPECT_EQ(there.number, 1U);
  EXPECT_EQ(there.identity, here.identity);
  wire.table.forget();
  const ConnectionPlace again = wire.from_one({.flags = kSyn});
  EXPECT_EQ(again.number, 1U);
  EXPECT_EQ(again.identity, here.identity);
  EXPECT_EQ(wire.table.counters().lost, 0U);
}

TEST(DataplaneConnectionTable, TheSameEndsInManyVlansAreManyConnections) {
  Wire wire;
  const Bytes plain = make(Ipv4Frame{});
  for (int again = 0; again < 2; ++again)
    for (std::uint16_t vlan = 0; vlan < 500; ++vlan) {
      Bytes tagged = plain;
      tagged.insert(tagged.begin() + 12, {0x81, 0x00, static_cast<std::uint8_t>(vlan >> 8),
                                          static_cast<std::uint8_t>(vlan & 0xFF)});
      EXPECT_EQ(wire.note(tagged).number, again == 0 ? 1U : 2U);
    }
  EXPECT_EQ(wire.table.counters().opened, 500U);
  EXPECT_EQ(wire.table.counters().lost, 0U);
}

TEST(DataplaneConnectionTable, SegmentsAreFollowedInBothDirections) {
  Wire wire;  // segments bring 4 bytes
  EXPECT_EQ(wire.follow_one({.flags = kSyn, .sequence = 99}).retransmission, 0U);
  EXPECT_EQ(wire.follow_two({.flags = kSynAck, .sequence = 6, .acknowledgement = 100}).first_byte,
            1);
  EXPECT_EQ(wire.follow_one({.sequence = 104, .acknowledgement = 11}).first_byte, 5);
  const TcpPlace again = wire.follow_one({.sequence = 104, .acknowledgement = 7});
  EXPECT_EQ(again.retransmission, 1U);
  EXPECT_TRUE(again.receiver_differs);
  EXPECT_EQ(again.receiver_next, 100U);
  EXPECT_TRUE(again.sender_differs);
  EXPECT_EQ(again.sender_next, 11U) << "behind the four bytes that came with the SYN";
  EXPECT_EQ(wire.follow_two({.sequence = 7, .acknowledgement = 108}).retransmission, 1U);
  // Another SYN, another connection: nothing was sent before.
  EXPECT_EQ(wire.follow_one({.flags = kSyn, .sequence = 50}).connection, 2U);
  const TcpPlace anew = wire.follow_one({.sequence = 51});
  EXPECT_EQ(anew.retransmission, 1U) << "of the data that the SYN brought";
  EXPECT_FALSE(anew.receiver_differs);
  EXPECT_EQ(wire.follow_two({.sequence = 7}).retransmission, 0U);
}

TEST(DataplaneConnectionTable, ConnectionsOfAClientToAServiceAreNumbered) {
  Wire wire;
  for (std::uint16_t number = 1; number < 5; ++number) {
    const auto port = static_cast<std::uint16_t>(50'000 - 7 * number);
    EXPECT_EQ(wire.follow_one({.one_port = port, .flags = kSyn}).connection, number);
    EXPECT_EQ(wire.follow_two({.one_port = port, .flags = kSynAck}).connection, number);
  }
  EXPECT_EQ(wire.follow_one({.one_port = 49'993}).connection, 1U);
  EXPECT_EQ(wire.follow_one({.two_port = 81, .flags = kSyn}).connection, 1U) << "another service";
  EXPECT_EQ(wire.follow_two({.one_port = 80, .two_port = 9, .flags = kSyn}).connection, 1U)
      << "another client";
  wire.wire = 2;
  EXPECT_EQ(wire.follow_one({.flags = kSyn}).connection, 1U) << "another wire";
  wire.udp(false, 9);
  EXPECT_EQ(wire.place.connection, 0U);
  EXPECT_FALSE(wire.place.is_whole);
}

TEST(DataplaneConnectionTable, FragmentsTeachNothing) {
  Wire wire;
  wire.from_one({.sequence = 1});
  Bytes first = make(Ipv4Frame{.protocol = 6, .ports = {40'000, 80}, .fragment = 0x2000});
  first.at(47) = kAck;
  test::put16(first, 40, 1'000);
  wire.note(first);
  EXPECT_FALSE(wire.place.is_whole);
  EXPECT_EQ(wire.place.connection, 1U);
  EXPECT_EQ(wire.follow_one({.sequence = 5}).retransmission, 0U) << "1,000 was not seen";
}

TEST(DataplaneConnectionTable, WhatNobodyFollowedIsForgotten) {
  Wire wire;
  wire.from_one({.flags = kSyn, .sequence = 10});
  EXPECT_EQ(wire.follow_one({.sequence = 15}).first_byte, 5);
  wire.wire = 3;
  wire.from_one({.flags = kSyn, .sequence = 10});
  wire.table.forget_tracks(3);
  const TcpPlace anew = wire.follow_one({.sequence = 15});
  EXPECT_EQ(anew.first_byte, 1) << "met in its middle";
  EXPECT_EQ(anew.connection, 1U) << "the connection is the same";
  wire.wire = 0;
  EXPECT_EQ(wire.follow_one({.sequence = 15}).retransmission, 1U) << "the other wire's are not";
  EXPECT_EQ(wire.table.counters().opened, 2U);
}

TEST(DataplaneConnectionTable, WhatMakesRoomIsCounted) {
  Wire wire(16);
  for (std::uint16_t port = 1'000; port < 2'000; ++port)
    wire.from_one({.one_port = port, .flags = kSyn});
  EXPECT_GT(wire.table.counters().lost, 900U);
  // Datagrams after a pause would have begun anew anyway.
  Wire paused(16);
  for (std::uint8_t host = 0; host < 200; ++host) {
    paused.now_ns += 2 * kIdleNs;
    paused.note(make(Ipv4Frame{.source = {10, 1, 0, host}, .ports = {host, 53}}));
  }
  EXPECT_LE(paused.table.counters().lost, 200U - 24U);  // the counts of services still are lost
}

TEST(DataplaneConnectionTable, HintsChangeNothing) {
  // More connections than there is room for, so that hints go stale; some are opened again, and at
  // times everything is forgotten.
  Wire plain(16);
  Wire hinted(16);
  std::array<ConnectionHint, 2 * 40> hints;
  test::Random random(9);
  for (std::uint32_t packet = 0; packet < 20'000 && !HasFailure(); ++packet) {
    const std::uint64_t flow = random.below(random.below(4) == 0 ? 40 : 5);
    const bool reverse = random.below(2) == 0;
    const std::uint8_t flags = random.below(20) == 0 ? reverse ? kSynAck : kSyn : kAck;
    const Wire::Tcp tcp{.one_port = static_cast<std::uint16_t>(40'000 + flow),
                        .flags = flags,
                        .sequence = packet / 8};
    hinted.hint = &hints[flow * 2 + (reverse ? 1 : 0)];
    plain.now_ns = ++hinted.now_ns;
    const ConnectionPlace left = reverse ? plain.from_two(tcp) : plain.from_one(tcp);
    const ConnectionPlace right = reverse ? hinted.from_two(tcp) : hinted.from_one(tcp);
    EXPECT_EQ(left.role, right.role);
    EXPECT_EQ(left.identity, right.identity);
    EXPECT_EQ(left.number, right.number);
    EXPECT_EQ(plain.place.retransmission, hinted.place.retransmission);
    EXPECT_EQ(plain.place.connection, hinted.place.connection);
    if (packet % 3'000 == 2'999) {
      plain.table.forget();
      hinted.table.forget();
    }
  }
  EXPECT_GT(plain.table.counters().lost, 500U);
  EXPECT_EQ(plain.table.counters().lost, hinted.table.counters().lost);
  EXPECT_EQ(plain.table.counters().opened, hinted.table.counters().opened);
  EXPECT_EQ(plain.table.counters().forgotten, hinted.table.counters().forgotten);
}

}  // namespace
}  // namespace faultline
