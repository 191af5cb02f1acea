// Frames into flows: what each kind of frame is, every way to be cut short, and identities that
// keep flows apart.
#include "packet/frame_fields.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::ethernet;
using test::Ipv4Frame;
using test::Ipv6Frame;
using test::make;
using test::put16;

Bytes edit(Bytes frame, const std::function<void(Bytes&)>& change) {
  change(frame);
  return frame;
}

ParseOutcome parse(const Bytes& frame, FlowKey& key) {
  // A copy of exactly this size on the heap, so that a sanitizer sees one byte too many.
  const auto copy = std::make_unique<std::uint8_t[]>(frame.size());
  std::copy(frame.begin(), frame.end(), copy.get());
  return parse_flow_key({copy.get(), frame.size()}, frame.size(), key);
}

const std::string kLinkText = " b0:b1:b2:b3:b4:b5 > a0:a1:a2:a3:a4:a5";

struct FrameCase {
  std::string_view name;
  Bytes frame;
  std::string text;
};

const std::vector<FrameCase>& parsed_cases() {
  static const std::vector<FrameCase> cases{
      {"udp", make(Ipv4Frame{}), "udp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"tcp", make(Ipv4Frame{.protocol = 6}), "tcp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"icmp", make(Ipv4Frame{.protocol = 1}), "icmp 10.0.0.1 > 10.0.0.2"},
      {"gre", make(Ipv4Frame{.protocol = 47}), "proto-47 10.0.0.1 > 10.0.0.2"},
      {"ports 0 and 65535", make(Ipv4Frame{.ports = {0, 65'535}}),
       "udp 10.0.0.1:0 > 10.0.0.2:65535"},
      {"empty datagram", make(Ipv4Frame{.payload_bytes = 0}), "udp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"4 bytes of options", make(Ipv4Frame{.option_bytes = 4}), "udp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"40 bytes of options", make(Ipv4Frame{.protocol = 6, .option_bytes = 40}),
       "tcp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"don't fragment", make(Ipv4Frame{.fragment = 0x4000}), "udp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"evil bit", make(Ipv4Frame{.fragment = 0x8000}), "udp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"first fragment", make(Ipv4Frame{.fragment = 0x2000}), "udp 10.0.0.1:0 > 10.0.0.2:0"},
      {"middle fragment", make(Ipv4Frame{.fragment = 0x2001}), "udp 10.0.0.1:0 > 10.0.0.2:0"},
      {"last fragment", make(Ipv4Frame{.protocol = 6, .fragment = 0x1FFF}),
       "tcp 10.0.0.1:0 > 10.0.0.2:0"},
      {"fragment with nothing of its header",
       edit(make(Ipv4Frame{.fragment = 1}),
            [](Bytes& frame) {
              frame.resize(14 + 20);
              put16(frame, 16, 20);
            }),
       "udp 10.0.0.1:0 > 10.0.0.2:0"},
      {"padded to 60 bytes", edit(make(Ipv4Frame{}), [](Bytes& frame) { frame.resize(60); }),
       "udp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"tcp with 40 bytes of options",
       edit(make(Ipv4Frame{.protocol = 6, .payload_bytes = 40}),
            [](Bytes& frame) { frame[14 + 20 + 12] = 0xF0; }),
       "tcp 10.0.0.1:4242 > 10.0.0.2:80"},
      {"udp6", make(Ipv6Frame{}), "udp [fd00::1]:4242 > [fd00::2]:80"},
      {"tcp6", make(Ipv6Frame{.protocol = 6}), "tcp [fd00::1]:4242 > [fd00::2]:80"},
      {"icmp6", make(Ipv6Frame{.protocol = 58}), "icmpv6 fd00::1 > fd00::2"},
      {"no next header", make(Ipv6Frame{.protocol = 59, .payload_bytes = 0}),
       "proto-59 fd00::1 > fd00::2"},
      {"traffic class and flow label",
       edit(make(Ipv6Frame{}), [](Bytes& frame) { frame[14] = 0x6F, frame[15] = 0xFF; }),
       "udp [fd00::1]:4242 > [fd00::2]:80"},
      {"arp", ethernet(0x0806, 28), "0x0806" + kLinkText},
      {"802.3", ethernet(0x0026, 46), "0x0000" + kLinkText},
      {"header only", ethernet(0x88B5, 0), "0x88b5" + kLinkText},
  };
  return cases;
}

TEST(PacketFlowKey, Parses) {
  for (const FrameCase& one : parsed_cases()) {
    FlowKey key;
    EXPECT_EQ(parse(one.frame, key), ParseOutcome::kParsed) << one.name;
    EXPECT_EQ(to_text(key), one.text) << one.name;
  }
}

TEST(PacketFlowKey, KeyHoldsItsFieldsAndNothingElse) {
  FlowKey key;
  std::fill_n(reinterpret_cast<std::uint8_t*>(&key), sizeof key, std::uint8_t{0xEE});
  ASSERT_EQ(parse(make(Ipv4Frame{.protocol = 6}), key), ParseOutcome::kParsed);
  FlowKey expected;
  expected.source = {10, 0, 0, 1};
  expected.destination = {10, 0, 0, 2};
  expected.source_port = 4242;
  expected.destination_port = 80;
  expected.ethertype = kEthertypeIpv4;
  expected.protocol = kProtocolTcp;
  expected.kind = FlowKind::kIpv4;
  EXPECT_EQ(key, expected);

  ASSERT_EQ(parse(make(Ipv6Frame{}), key), ParseOutcome::kParsed);
  expected = FlowKey{};
  expected.source = {0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  expected.destination = {0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  expected.source_port = 4242;
  expected.destination_port = 80;
  expected.ethertype = kEthertypeIpv6;
  expected.protocol = kProtocolUdp;
  expected.kind = FlowKind::kIpv6;
  EXPECT_EQ(key, expected);

  ASSERT_EQ(parse(ethernet(0x0806, 28), key), ParseOutcome::kParsed);
  expected = FlowKey{};
  expected.source = {0xB0, 0xB1, 0xB2, 0xB3, 0xB4, 0xB5};
  expected.destination = {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5};
  expected.ethertype = 0x0806;
  EXPECT_EQ(key, expected);
}

struct BadCase {
  std::string_view name;
  Bytes frame;
};

/// Frames that contradict themselves.
std::vector<BadCase> bad_cases() {
  const auto ipv4 = [](std::uint8_t protocol, const std::function<void(Bytes&)>& change) {
    return edit(make(Ipv4Frame{.protocol = protocol}), change);
  };
  const auto ipv6 = [](std::uint8_t protocol, const std::function<void(Bytes&)>& change) {
    return edit(make(Ipv6Frame{.protocol = protocol}), change);
  };
  return {
      {"version 5", ipv4(17, [](Bytes& frame) { frame[14] = 0x55; })},
      {"version 6 behind 0x0800", ipv4(17, [](Bytes& frame) { frame[14] = 0x65; })},
      {"header of 16 bytes", ipv4(17, [](Bytes& frame) { frame[14] = 0x44; })},
      {"header of 0 bytes", ipv4(17, [](Bytes& frame) { frame[14] = 0x40; })},
      {"header longer than the packet", ipv4(17, [](Bytes& frame) { frame[14] = 0x4F; })},
      {"header longer than an icmp packet", ipv4(1, [](Bytes& frame) { frame[14] = 0x4F; })},
      {"total length 0", ipv4(17, [](Bytes& frame) { put16(frame, 16, 0); })},
      {"total length below the header", ipv4(1, [](Bytes& frame) { put16(frame, 16, 19); })},
      {"total length beyond the frame",
       ipv4(1, [](Bytes& frame) { put16(frame, 16, frame.size() - 14 + 1); })},
      {"total length 65535", ipv4(17, [](Bytes& frame) { put16(frame, 16, 65'535); })},
      {"udp header cut by the total length", ipv4(17, [](Bytes& frame) { put16(frame, 16, 27); })},
      {"tcp header cut by the total length", ipv4(6, [](Bytes& frame) { put16(frame, 16, 39); })},
      {"udp length 7", ipv4(17, [](Bytes& frame) { put16(frame, 38, 7); })},
      {"udp length 0", ipv4(17, [](Bytes& frame) { put16(frame, 38, 0); })},
      {"tcp offset 4", ipv4(6, [](Bytes& frame) { frame[46] = 0x40; })},
      {"tcp offset beyond the packet", ipv4(6, [](Bytes& frame) { frame[46] = 0x70; })},
      {"version 4 behind 0x86dd", ipv6(17, [](Bytes& frame) { frame[14] = 0x40; })},
      {"payload beyond the frame",
       ipv6(58, [](Bytes& frame) { put16(frame, 18, frame.size() - 54 + 1); })},
      {"udp6 header cut by the payload length",
       ipv6(17, [](Bytes& frame) { put16(frame, 18, 7); })},
      {"tcp6 header cut by the payload length",
       ipv6(6, [](Bytes& frame) { put16(frame, 18, 19); })},
      {"udp6 length 7", ipv6(17, [](Bytes& frame) { put16(frame, 58, 7); })},
      {"tcp6 offset 4", ipv6(6, [](Bytes& frame) { frame[66] = 0x4F; })},
  };
}

TEST(PacketFlowKey, ContradictionsAreUnparsed) {
  for (const BadCase& one : bad_cases()) {
    FlowKey key;
    EXPECT_EQ(parse(one.frame, key), ParseOutcome::kUnparsed) << one.name;
  }
}

TEST(PacketFlowKey, UdpLengthBeyondThePacketIsUnparsed) {
  FlowKey key;
  const auto longer = [](Bytes& frame) { put16(frame, frame[14] == 0x45 ? 38 : 58, 13); };
  EXPECT_EQ(parse(edit(make(Ipv4Frame{}), longer), key), ParseOutcome::kUnparsed);
  EXPECT_EQ(parse(edit(make(Ipv6Frame{}), longer), key), ParseOutcome::kUnparsed);
  // Shorter is lawful: the rest is padding of the datagram (RFC 768 says nothing against it).
  const auto shorter = [](Bytes& frame) { put16(frame, 38, 8); };
  EXPECT_EQ(parse(edit(make(Ipv4Frame{}), shorter), key), ParseOutcome::kParsed);
}

TEST(PacketFlowKey, UnparsedFramesAreLinkFlows) {
  for (const BadCase& one : bad_cases()) {
    FlowKey key;
    parse(one.frame, key);
    const std::string ethertype = one.frame[12] == 0x08 ? "0x0800" : "0x86dd";
    EXPECT_EQ(to_text(key), ethertype + kLinkText) << one.name;
  }
}

/// Bytes that must be there for the frame to be understood; the rest may be cut.
std::size_t bytes_needed(const Bytes& frame, const FlowKey& key) {
  if (key.kind == FlowKind::kLink)
    return 14;
  // A length field promises the rest: any cut contradicts it.
  if (key.kind == FlowKind::kIpv4)
    return 14 + static_cast<std::size_t>(frame[16] << 8 | frame[17]);
  return 54 + static_cast<std::size_t>(frame[18] << 8 | frame[19]);
}

TEST(PacketFlowKey, EveryFrameCutAtEveryByte) {
  for (const FrameCase& one : parsed_cases()) {
    FlowKey whole;
    ASSERT_EQ(parse(one.frame, whole), ParseOutcome::kParsed) << one.name;
    for (std::size_t length = 0; length <= one.frame.size(); ++length) {
      const Bytes cut(one.frame.begin(), one.frame.begin() + static_cast<std::ptrdiff_t>(length));
      FlowKey key;
      const bool enough = length >= bytes_needed(one.frame, whole);
      EXPECT_EQ(parse(cut, key), enough ? ParseOutcome::kParsed : ParseOutcome::kUnparsed)
          << one.name << " cut at " << length;
      EXPECT_EQ(key == whole, enough) << one.name << " cut at " << length;
    }
  }
}

TEST(PacketFlowKey, ContradictionsCutAtEveryByteStayUnparsed) {
  for (const BadCase& one : bad_cases()) {
    for (std::size_t length = 0; length < one.frame.size(); ++length) {
      FlowKey key;
      EXPECT_EQ(
          parse({one.frame.begin(), one.frame.begin() + static_cast<std::ptrdiff_t>(length)}, key),
          ParseOutcome::kUnparsed)
          << one.name << " cut at " << length;
    }
  }
}

/// Bytes up to the end of what a key is read from. TCP: without its options, UDP: all.
std::size_t header_bytes(const Bytes& frame, const FlowKey& key) {
  if (key.kind == FlowKind::kLink)
    return 14;
  const bool is_ipv4 = key.kind == FlowKind::kIpv4;
  const std::size_t network = 14 + (is_ipv4 ? std::size_t{frame[14] & 15U} * 4 : 40);
  const bool is_fragment = is_ipv4 && ((frame[20] << 8 | frame[21]) & 0x3FFF) != 0;
  if (!is_fragment && (key.protocol == kProtocolIcmp || key.protocol == kProtocolIcmpv6))
    return network + 4;
  if (is_fragment || (key.protocol != kProtocolTcp && key.protocol != kProtocolUdp))
    return network;
  return network + test::l4_header_bytes(key.protocol);
}

TEST(PacketFlowKey, NeverReadsBeyondItsBytes) {
  // Fewer bytes than promised of a frame whose lengths are right: refused or understood, but a
  // sanitizer sees no read behind them.
  for (const FrameCase& one : parsed_cases()) {
    FlowKey whole;
    ASSERT_EQ(parse(one.frame, whole), ParseOutcome::kParsed) << one.name;
    for (std::size_t length = 0; length < one.frame.size(); ++length) {
      const auto copy = std::make_unique<std::uint8_t[]>(length);
      std::copy_n(one.frame.begin(), length, copy.get());
      FlowKey key;
      const ParseOutcome outcome = parse_flow_key({copy.get(), length}, one.frame.size(), key);
      EXPECT_EQ(outcome == ParseOutcome::kParsed, length >= header_bytes(one.frame, whole))
          << one.name << " cut at " << length;
    }
  }
}

TEST(PacketFlowKey, TheFirst128BytesOfALongFrameAreEnough) {
  const Bytes frames[] = {
      make(Ipv4Frame{.protocol = 6, .option_bytes = 40, .payload_bytes = 9'000}),
      make(Ipv4Frame{.option_bytes = 40, .payload_bytes = 9'000}),
      make(Ipv6Frame{.protocol = 6, .payload_bytes = 9'000}), ethernet(0x0806, 9'000)};
  for (const Bytes& frame : frames) {
    FlowKey whole;
    ASSERT_EQ(parse(frame, whole), ParseOutcome::kParsed);
    const auto head = std::make_unique<std::uint8_t[]>(kParseBytesMax);
    std::copy_n(frame.begin(), kParseBytesMax, head.get());
    FlowKey key;
    EXPECT_EQ(parse_flow_key({head.get(), kParseBytesMax}, frame.size(), key),
              ParseOutcome::kParsed);
    EXPECT_EQ(key, whole);
  }
}

FlowKey reversed(const FlowKey& key) {
  FlowKey other = key;
  std::swap(other.source, other.destination);
  std::swap(other.source_port, other.destination_port);
  return other;
}

/// Keys as they come in life: neighbours in every field, counting up.
std::vector<FlowKey> structured_keys() {
  std::vector<FlowKey> keys;
  FlowKey key;
  key.kind = FlowKind::kIpv4;
  key.ethertype = kEthertypeIpv4;
  key.protocol = kProtocolUdp;
  key.source = {10, 0, 0, 1};
  key.destination = {10, 0, 0, 2};
  for (std::uint32_t port = 0; port < 65'536; ++port) {  // both ports, and both together
    key.source_port = static_cast<std::uint16_t>(port);
    for (const std::uint32_t other : {port, port + 1, port + 2, port + 256}) {
      key.destination_port = static_cast<std::uint16_t>(other);
      keys.push_back(key);
    }
  }
  key.source_port = 4242;
  key.destination_port = 80;
  for (std::uint32_t host = 0; host < 262'144;
       ++host) {  // clients of one server, servers of one client
    key.source = {10, static_cast<std::uint8_t>(host >> 16), static_cast<std::uint8_t>(host >> 8),
                  static_cast<std::uint8_t>(host)};
    key.destination = {10, 255, 0, 2};
    keys.push_back(key);
    keys.push_back(reversed(key));
  }
  key = FlowKey{};
  key.kind = FlowKind::kIpv6;
  key.ethertype = kEthertypeIpv6;
  key.protocol = kProtocolTcp;
  for (std::uint32_t host = 0; host < 131'072; ++host) {
    key.source = {0xFD, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(host & 1)};
    key.source[15] = static_cast<std::uint8_t>(host >> 1);
    key.source[14] = static_cast<std::uint8_t>(host >> 9);
    key.destination = {0xFD};
    key.destination[15] = 1;
    keys.push_back(key);
    key.destination[8] = 1;
    keys.push_back(key);
  }
  key = FlowKey{};
  for (std::uint32_t mac = 0; mac < 65'536; ++mac) {
    key.ethertype = 0x0806;
    key.source = {2, 0, 0, 0, static_cast<std::uint8_t>(mac >> 8), static_cast<std::uint8_t>(mac)};
    key.destination = {255, 255, 255, 255, 255, 255};
    keys.push_back(key);
  }
  return keys;
}

TEST(PacketFlowKey, IdentitiesOfAMillionFlowsDiffer) {
  std::vector<std::uint64_t> identities;
  for (const FlowKey& key : structured_keys()) identities.push_back(flow_identity(key));
  const std::size_t flows = identities.size();
  EXPECT_EQ(flows, 1'114'112U);
  std::sort(identities.begin(), identities.end());
  EXPECT_EQ(std::unique(identities.begin(), identities.end()) - identities.begin(),
            static_cast<std::ptrdiff_t>(flows));
}

TEST(PacketFlowKey, EveryByteOfAKeyMattersAndEveryBitOfAnIdentityMoves) {
  FlowKey key;
  parse(make(Ipv6Frame{.protocol = 6}), key);
  const std::uint64_t identity = flow_identity(key);
  std::uint64_t moved = 0;
  for (std::size_t byte = 0; byte < kFlowIdentityBytes; ++byte) {
    FlowKey other = key;
    reinterpret_cast<std::uint8_t*>(&other)[byte] ^= 1;
    EXPECT_NE(flow_identity(other), identity) << byte;
    moved |= flow_identity(other) ^ identity;
  }
  EXPECT_EQ(moved, UINT64_MAX);
}

TEST(PacketFlowKey, IdentitiesAreTheSameEverywhere) {
  // Pinned: dice are thrown with them, so a change of the hash changes every run.
  struct Pinned {
    Bytes frame;
    std::uint64_t identity;
  };
  const Pinned cases[] = {
      {make(Ipv4Frame{}), 0x555ab39b772ea1b0},
      {make(Ipv6Frame{.protocol = 6}), 0xd9b00b966f987032},
      {ethernet(0x0806, 28), 0xc4f5a74a7c794b06},
  };
  for (const Pinned& one : cases) {
    FlowKey key;
    parse(one.frame, key);
    EXPECT_EQ(flow_identity(key), one.identity) << std::hex << flow_identity(key);
  }
}

TEST(PacketFlowKey, PairHashIsSymmetric) {
  std::vector<std::uint64_t> hashes;
  FlowKey key;
  for (const FrameCase& one : parsed_cases()) {
    parse(one.frame, key);
    EXPECT_EQ(flow_pair_hash(key), flow_pair_hash(reversed(key))) << one.name;
    EXPECT_NE(flow_identity(key), flow_identity(reversed(key))) << one.name;
  }
  parse(make(Ipv4Frame{}), key);
  for (std::uint32_t port = 1'024; port < 65'536; ++port) {
    key.source_port = static_cast<std::uint16_t>(port);
    hashes.push_back(flow_pair_hash(key));
  }
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
  // Two workers share the clients of a server evenly: binomial, 6 sigma of 64512 halves is 763.
  const auto odd = std::count_if(hashes.begin(), hashes.end(),
                                 [](std::uint64_t hash) { return (hash & 1) != 0; });
  EXPECT_NEAR(static_cast<double>(odd), 32'256.0, 763.0);
}

struct AddressCase {
  std::array<std::uint8_t, 16> bytes;
  std::string_view text;
};

TEST(PacketFlowKey, Ipv6AddressesAsInRfc5952) {
  const AddressCase cases[] = {
      {{}, "::"},
      {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, "::1"},
      {{0x20, 0x01, 0x0D, 0xB8}, "2001:db8::"},
      {{0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, "2001:db8:0:1:1:1:1:1"},
      {{0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1}, "2001:db8::1:0:0:1"},
      {{0x20, 0x01, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}, "2001:0:0:1::1"},
      {{0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0xAB, 0xCD, 0, 0, 0, 0, 0, 0}, "fe80::abcd:0:0:0"},
      {{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}, "1:2:3:4:5:6:7:8"},
      {{0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7}, "0:1:2:3:4:5:6:7"},
      {{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 0, 0, 0}, "1:2:3:4:5:6::"},
  };
  for (const AddressCase& one : cases) {
    FlowKey key;
    key.kind = FlowKind::kIpv6;
    key.protocol = kProtocolIcmpv6;
    key.source = one.bytes;
    EXPECT_EQ(to_text(key), "icmpv6 " + std::string(one.text) + " > ::");
  }
}

}  // namespace
}  // namespace faultline
