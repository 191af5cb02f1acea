// inject: how frames and their times are read. Who sends them is in the tests of the data path.
#include <gtest/gtest.h>

#include "impair/frame_schedule.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

const std::string kFrame = "ffffffffffff0200000000010806";

std::shared_ptr<const FrameSchedule> schedule_of(const std::string& yaml) {
  Problems problems;
  const ConfigNode item = test::tree_of("inject: " + yaml);
  std::string_view kind;
  const auto compiled =
      compile_impairment(item, {.seed = 1, .rule_name = "r", .index = 0}, &kind, problems);
  EXPECT_TRUE(compiled.has_value()) << yaml << test::lines_of(problems).front();
  return compiled ? compiled->schedule : nullptr;
}

TEST(ImpairInject, OneFrameOnce) {
  const auto schedule = schedule_of("{hex: " + kFrame + ", at: 5ms, to: right}");
  ASSERT_EQ(schedule->frames.size(), 1U);
  EXPECT_EQ(schedule->frames[0].bytes,
            (std::vector<std::uint8_t>{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6}));
  EXPECT_EQ(schedule->to, "right");
  EXPECT_EQ(schedule->time_ns(0), 5'000'000U);
  EXPECT_EQ(schedule->time_ns(1), UINT64_MAX);
  EXPECT_EQ(schedule->end_ns(), 5'000'000U);
}

TEST(ImpairInject, Rounds) {
  const auto schedule = schedule_of("{pcap: two.pcap, contents: \"0 " + kFrame + "\\n1500 " +
                                    kFrame + "00\\n\", at: 1ms, every: 10us, count: 3}");
  const std::uint64_t expected[] = {1'000'000, 1'001'500, 1'010'000,
                                    1'011'500, 1'020'000, 1'021'500};
  for (std::uint64_t sent = 0; sent < std::size(expected); ++sent) {
    EXPECT_EQ(schedule->time_ns(sent), expected[sent]);
    EXPECT_EQ(schedule->frame(sent).bytes.size(), 14 + sent % 2);
  }
  EXPECT_EQ(schedule->time_ns(6), UINT64_MAX);
  EXPECT_EQ(schedule->end_ns(), 1'021'500U);
}

TEST(ImpairInject, WithoutEnd) {
  const auto schedule = schedule_of("{hex: " + kFrame + ", every: 24h}");
  EXPECT_EQ(schedule->time_ns(200'000), 200'000 * 86'400'000'000'000ULL);
  EXPECT_EQ(schedule->time_ns(300'000), UINT64_MAX) << "beyond all time";
  EXPECT_EQ(schedule->end_ns(), UINT64_MAX);
}

TEST(ImpairInject, Forged) {
  const auto schedule = schedule_of(
      "{forge: {arp: {ip: 10.0.0.9, mac: \"02:00:00:00:00:09\"}}, every: 1s, count: 5}");
  ASSERT_EQ(schedule->frames.size(), 1U);
  EXPECT_EQ(schedule->frames[0].bytes.size(), 60U);
  EXPECT_EQ(schedule->end_ns(), 4'000'000'000U);
}

TEST(ImpairInject, ForgedErrors) {
  const auto errors = [](const std::string& value) {
    return test::item_errors("inject: {forge: " + value + "}");
  };
  using Lines = std::vector<std::string>;
  const std::string cards =
      "f:1:17: error: forge: between which cards?; src_mac and dst_mac, dst_mac being the "
      "receiver's own";
  const std::string macs = ", src_mac: \"02:00:00:00:00:01\", dst_mac: \"02:00:00:00:00:02\"}";
  EXPECT_EQ(errors("{}"), Lines{"f:1:17: error: forge: which frame?; just one of arp, vrrp, tcp, "
                                "icmp, announce"});
  EXPECT_EQ(errors("{arp: {ip: \"fd00::1\", mac: \"02:00:00:00:00:01\"}}"),
            Lines{"f:1:28: error: found 'fd00::1'; an IPv4 address such as 10.0.0.9"});
  EXPECT_EQ(errors("{arp: {ip: 10.0.0.1}}"), Lines{"f:1:23: error: arp: 'mac' is missing"});
  EXPECT_EQ(errors("{vrrp: {vrid: 1, from: 10.0.0.1}}"),
            Lines{"f:1:24: error: vrrp: whose addresses?; addresses: a list of 1 to 16, such as "
                  "[10.0.0.1]"});
  EXPECT_EQ(errors("{vrrp: {vrid: 1, from: 10.0.0.1, interval: 15ms, addresses: [10.0.0.2]}}"),
            Lines{"f:1:60: error: found '15ms'; a multiple of 10ms"});
  EXPECT_EQ(errors("{vrrp: {vrid: 1, from: 10.0.0.1, addresses: [\"fd00::1\"]}}").size(), 1U);
  EXPECT_EQ(errors("{vrrp: {vrid: 1, from: 10.0.0.1, addresses: [10.0.0.1]}" + macs).size(), 1U);
  EXPECT_EQ(errors("{tcp: {src: 10.0.0.1, dst: 10.0.0.2, sport: 1, dport: 2, flags: rst}}"),
            Lines{cards});
  EXPECT_EQ(
      errors("{tcp: {src: 10.0.0.1, dst: \"fd00::1\", sport: 1, dport: 2, flags: rst}" + macs),
      Lines{"f:1:44: error: found 'fd00::1'; an IPv4 address such as 10.0.0.9"});
  EXPECT_EQ(errors("{tcp: {src: 10.0.0.1, dst: 10.0.0.2, sport: 1, dport: 2}" + macs),
            Lines{"f:1:23: error: tcp: 'flags' is missing; such as [rst, ack]"});
  EXPECT_EQ(errors("{icmp: {kind: redirect, from: 10.0.0.1, to: 10.0.0.2, about: 10.1.0.1}" + macs),
            Lines{"f:1:24: error: icmp: 'gateway' is missing"});
  EXPECT_EQ(
      errors("{icmp: {code: far, from: 10.0.0.1, to: 10.0.0.2, about: 10.1.0.1}" + macs).size(),
      1U);
}

TEST(ImpairInject, Errors) {
  const auto line = [](std::string_view text) {
    return "contents: \"" + std::string(text) + "\"}";
  };
  const std::string capture = "inject: {pcap: a, ";
  const std::string lengths = "; 14 to 9216 bytes";
  struct InjectCase {
    std::string yaml;
    std::vector<std::string> lines;
  };
  const InjectCase cases[] = {
      {"inject: {}", {"f:1:9: error: inject: which frames?; just one of hex, pcap, forge"}},
      {"inject: {hex: 00, pcap: a}",
       {"f:1:9: error: inject: which frames?; just one of hex, pcap, forge"}},
      {"inject: {hex: 0g}", {"f:1:15: error: found '0g'; pairs of hex digits"}},
      {"inject: {hex: [1]}", {"f:1:15: error: found a list; pairs of hex digits"}},
      {"inject: {hex: 00112233445566778899aabbcc}",
       {"f:1:15: error: a frame of 13 bytes" + lengths}},
      {"inject: {pcap: a}",
       {"f:1:16: error: the frames of file 'a' did not come along; contents: with the file's "
        "frames"}},
      {capture + line(""), {"f:1:29: error: pcap a: no frame; one frame or more"}},
      {capture + line("0 00"), {"f:1:29: error: pcap a: frame 1 has 1 bytes" + lengths}},
      {capture + line("x 00"),
       {"f:1:29: error: pcap a: line 1: found 'x 00'; a time in ns and a frame in hex"}},
      {capture + line("7 " + kFrame + "\\n6 " + kFrame),
       {"f:1:29: error: pcap a: frame 2 is earlier than the one before it; times that do not "
        "fall"}},
      {"inject: {hex: " + kFrame + ", count: 3}",
       {"f:1:52: error: count without every; every: with the period"}},
      {"inject: {hex: " + kFrame + ", every: 1us}",
       {"f:1:52: error: '1us' is out of range; a duration between 10us and 366d"}},
      {capture + "every: 10us, " + line("0 " + kFrame + "\\n10000 " + kFrame),
       {"f:1:26: error: every 10us, and the capture takes 10us; longer than the capture"}},
      {"inject: {hex: " + kFrame + ", evry: 1s}",
       {"f:1:45: error: inject: unknown key 'evry'; known keys are hex, pcap, forge, contents, at, "
        "every, count, to; did you mean 'every'?"}},
  };
  for (const InjectCase& one : cases) EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

}  // namespace
}  // namespace faultline
