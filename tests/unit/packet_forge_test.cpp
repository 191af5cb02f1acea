// Forged frames byte by byte: whole ones of known hosts, and sums of random ones made once more.
// Against Python's own they are in tests/sim/test_sim_forge.py.
#include "packet/forge.hpp"

#include <gtest/gtest.h>

#include "base/units.hpp"
#include "packet/frame_fields.hpp"
#include "tests/unit/edit_frames.hpp"

namespace faultline {
namespace {

using test::Bytes;

Bytes hex(std::string_view text) {
  Bytes bytes = *parse_hex(text);
  bytes.resize(std::max<std::size_t>(bytes.size(), 60));
  return bytes;
}

const ForgedLink kLink{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {}};

TEST(PacketForge, Arp) {
  ForgedArp arp{.operation = 2, .sender_mac = {2, 0, 0, 0, 0, 9}, .target_mac = {2, 0, 0, 0, 0, 1}};
  arp.sender = *parse_ip("192.0.2.9");
  arp.target = *parse_ip("192.0.2.1");
  EXPECT_EQ(forge_arp(kLink, arp),
            hex("020000000001 020000000002 0806 0001 0800 06 04 0002 020000000009 c0000209 "
                "020000000001 c0000201"));
  ForgedLink tagged = kLink;
  tagged.vlan = 7;
  EXPECT_EQ(forge_arp(tagged, arp),
            hex("020000000001 020000000002 8100 0007 0806 0001 0800 06 04 0002 020000000009 "
                "c0000209 020000000001 c0000201"));
}

TEST(PacketForge, Vrrp) {
  ForgedVrrp vrrp{.router = 51, .priority = 255, .source = *parse_ip("10.0.0.9")};
  vrrp.addresses = {*parse_ip("10.0.0.1")};
  const Bytes frame = forge_vrrp({}, vrrp);
  EXPECT_EQ(Bytes(frame.begin(), frame.begin() + 14), *parse_hex("01005e000012 00005e000133 0800"));
  EXPECT_EQ(frame[14 + 8], 255);
  EXPECT_EQ(frame[14 + 9], 112);
  EXPECT_EQ(test::residue_of(frame, 14, 34), 0U);
  EXPECT_EQ(Bytes(frame.begin() + 34, frame.begin() + 40), *parse_hex("31 33 ff 01 0064"));
  EXPECT_EQ((test::residue_of(frame, 26, 34) + 112 + 12 + test::residue_of(frame, 34, 46)) % 65'535,
            0U);
  vrrp.source = *parse_ip("fe80::9");
  vrrp.addresses = {*parse_ip("fe80::1"), *parse_ip("fd00::1")};
  const Bytes six = forge_vrrp(7, vrrp);
  EXPECT_EQ(Bytes(six.begin(), six.begin() + 18),
            *parse_hex("333300000012 00005e000233 8100 0007 86dd"));
  EXPECT_EQ(six.size(), 18U + 40 + 8 + 32);
  EXPECT_EQ((test::residue_of(six, 26, 58) + 112 + 40 + test::residue_of(six, 58, 98)) % 65'535,
            0U);
}

TEST(PacketForge, SumsAreRightAndFramesAreRead) {
  test::Random random(5);
  for (int turn = 0; turn < 1'000; ++turn) {
    ForgedTcp tcp;
    const bool ipv4 = turn % 2 == 0;
    tcp.source.kind = tcp.destination.kind = ipv4 ? FlowKind::kIpv4 : FlowKind::kIpv6;
    for (auto* address : {&tcp.source, &tcp.destination})
      for (std::size_t at = 0; at < (ipv4 ? 4U : 16U); ++at)
        address->bytes[at] = static_cast<std::uint8_t>(random.below(256));
    tcp.sequence = static_cast<std::uint32_t>(random.below(std::uint64_t{1} << 32));
    tcp.flags = static_cast<std::uint8_t>(random.below(32));
    tcp.source_port = 80;
    const Bytes frame = forge_tcp(kLink, tcp);
    FrameFields fields;
    ASSERT_EQ(parse_frame(frame, frame.size(), fields), ParseOutcome::kParsed);
    EXPECT_EQ(fields.tcp_flags, tcp.flags);
    EXPECT_EQ(fields.source_port, 80);
    EXPECT_EQ(fields.payload_bytes, 0);
    const std::size_t addresses = fields.l3_offset + (ipv4 ? 12U : 8U);
    EXPECT_EQ((test::residue_of(frame, addresses, addresses + (ipv4 ? 8 : 32)) + 6 + 20 +
               test::residue_of(frame, fields.l4_offset, fields.l4_offset + 20U)) %
                  65'535,
              0U);
    ForgedIcmp icmp{.source = *parse_ip("10.0.0.1"), .destination = *parse_ip("10.0.0.2")};
    icmp.about = {FlowKind::kIpv4, tcp.source.bytes};
    const Bytes about = forge_icmp(kLink, icmp);
    EXPECT_EQ(about.size(), 14U + 20 + 8 + 28);
    EXPECT_EQ(test::residue_of(about, 34, 70), 0U);
    EXPECT_EQ(test::residue_of(about, 42, 62), 0U) << "of the header that is quoted";
  }
}

}  // namespace
}  // namespace faultline
