// link_trace: opportunities of 1,500 bytes, worked by hand: what shares one, what takes several,
// what is lost, the file's end, limits, and how a file is read.
#include <gtest/gtest.h>

#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Fate;
using test::frame_of;
using test::Offer;
using test::Offered;
using test::OneImpairment;
using test::packets_of;

/// In ms; -1: dropped for want of a link or of room.
std::vector<std::int64_t> departures_ms(const std::vector<Fate>& fates) {
  std::vector<std::int64_t> times;
  for (const Fate& fate : fates) {
    EXPECT_TRUE(fate.reason == DropReason::kNone || fate.reason == DropReason::kQueue);
    EXPECT_TRUE(fate.reason != DropReason::kNone || fate.time_ns % kNsPerMs == 0);
    times.push_back(
        fate.reason == DropReason::kNone ? static_cast<std::int64_t>(fate.time_ns / kNsPerMs) : -1);
  }
  return times;
}

struct TraceCase {
  std::string_view name;
  std::string yaml;
  std::vector<Offer> offers;
  std::vector<std::int64_t> leave_ms;
};

std::string trace(std::string_view lines, std::string_view more = "") {
  return "link_trace: {file: t, contents: \"" + std::string(lines) + "\"" + std::string(more) + "}";
}

TEST(ImpairLinkTrace, Opportunities) {
  const TraceCase cases[] = {
      {"each by itself", trace("1\\n2\\n5\\n"), {{0, 1'500}, {0, 1'500}, {0, 1'500}}, {1, 2, 5}},
      {"at its instant", trace("1\\n2\\n5\\n"), {{1'000, 1'500}, {1'001, 60}}, {1, 2}},
      {"several share one",
       trace("1\\n2\\n5\\n"),
       {{0, 700}, {0, 700}, {0, 100}, {0, 60}},
       {1, 1, 1, 2}},
      {"a packet leaves with its last byte",
       trace("1\\n2\\n5\\n"),
       {{0, 1'400}, {0, 1'500}, {0, 200}},
       {1, 2, 5}},
      {"one takes several",
       trace("1\\n2\\n5\\n9\\n"),
       {{0, 3'001}, {0, 1'499}, {0, 60}},
       {5, 5, 9}},
      // 100 bytes are left at 1 ms, but nobody waits: the next packet begins with that of 2 ms.
      {"what is over is lost", trace("1\\n2\\n5\\n"), {{0, 1'400}, {1'001, 1'500}}, {1, 2}},
      {"what is over is not lost at its instant",
       trace("1\\n2\\n5\\n"),
       {{0, 1'400}, {1'000, 100}},
       {1, 1}},
      {"the same time twice",
       trace("1\\n1\\n5\\n"),
       {{0, 1'500}, {0, 1'500}, {0, 1'500}},
       {1, 1, 5}},
      {"and what fits into both", trace("1\\n1\\n5\\n"), {{0, 3'000}, {0, 60}}, {1, 5}},
  };
  for (const TraceCase& one : cases)
    EXPECT_EQ(departures_ms(test::in_any_bursts(one.yaml, packets_of(one.offers, kNsPerUs))),
              one.leave_ms)
        << one.name;
}

TEST(ImpairLinkTrace, TheEnd) {
  const std::vector<Offer> five(5, Offer{0, 1'500});
  const TraceCase cases[] = {
      // Its next round begins at its last time: 4, then 4 + 1, 4 + 4, 8 + 1.
      {"looped", trace("1\\n4\\n"), five, {1, 4, 5, 8, 9}},
      // A time 0 comes together with the last of the round before.
      {"looped from 0", trace("0\\n3\\n"), five, {0, 3, 3, 6, 6}},
      {"far behind", trace("1\\n4\\n"), {{4'000'100, 60}, {4'001'001, 60}}, {4'001, 4'004}},
      {"on the seam", trace("1\\n4\\n"), {{4'000'000, 1'500}, {4'000'000, 60}}, {4'000, 4'001}},
      {"once", trace("1\\n4\\n", ", loop: false"), five, {1, 4, -1, -1, -1}},
      {"once, and what does not fit any more is not sent in part",
       trace("1\\n4\\n", ", loop: false"),
       {{0, 1'400}, {0, 1'700}, {0, 1'600}, {0, 100}},
       {1, -1, 4, -1}},
      {"once, from behind its end", trace("1\\n4\\n", ", loop: false"), {{4'001, 60}}, {-1}},
  };
  for (const TraceCase& one : cases)
    EXPECT_EQ(departures_ms(test::in_any_bursts(one.yaml, packets_of(one.offers, kNsPerUs))),
              one.leave_ms)
        << one.name;
}

TEST(ImpairLinkTrace, TimeZero) {
  OneImpairment bench(trace("1\\n4\\n"));
  bench.zero_ns = 700'000'300;
  const std::vector<Fate> fates = bench.offer(
      {{frame_of(60), 700'000'300}, {frame_of(60), 701'000'301}, {frame_of(60), 704'500'000}});
  EXPECT_EQ(fates[0].time_ns, 701'000'300U);
  EXPECT_EQ(fates[1].time_ns, 704'000'300U);
  EXPECT_EQ(fates[2].time_ns, 705'000'300U);
}

TEST(ImpairLinkTrace, AgainstBytesOneByOne) {
  // Every opportunity is 1,500 slots for a byte; each packet's bytes take the next free ones that
  // are not before it came.
  const std::vector<std::uint64_t> lines{0, 1, 1, 3, 8, 8, 8, 9, 15};
  test::Random random(3);
  std::vector<Offered> packets;
  std::vector<std::int64_t> expected;
  std::size_t line = 0;
  std::size_t left = 1'500;
  const auto time_us = [&](std::size_t n) {
    return (n / lines.size() * lines.back() + lines[n % lines.size()]) * 1'000;
  };
  for (std::uint64_t now_us = 0; packets.size() < 2'000; now_us += random.below(2'400)) {
    const std::size_t bytes = 60 + random.below(2'000);
    packets.push_back({frame_of(bytes), now_us * kNsPerUs});
    while (time_us(line) < now_us) {
      ++line;
      left = 1'500;
    }
    for (std::size_t byte = 0; byte < bytes; ++byte) {
      if (left == 0) {
        ++line;
        left = 1'500;
      }
      --left;
    }
    expected.push_back(static_cast<std::int64_t>(time_us(line) / 1'000));
  }
  EXPECT_EQ(
      departures_ms(test::in_any_bursts(trace("0\\n1\\n1\\n3\\n8\\n8\\n8\\n9\\n15\\n"), packets)),
      expected);
}

TEST(ImpairLinkTrace, AQueueBoundsIt) {
  const std::vector<Offer> four(4, Offer{0, 1'500});
  const TraceCase cases[] = {
      {"packets", trace("1\\n4\\n") + ", queue: {limit: 2p}", four, {1, 4, -1, -1}},
      {"room again when one has left",
       trace("1\\n4\\n") + ", queue: {limit: 1p}",
       {{0, 60}, {999, 60}, {1'000, 1'500}, {3'999, 60}, {4'000, 60}},
       {1, -1, 4, -1, 4}},
      {"bytes", trace("1\\n4\\n") + ", queue: {limit: 3KB}", four, {1, 4, -1, -1}},
  };
  for (const TraceCase& one : cases)
    EXPECT_EQ(departures_ms(test::in_any_bursts(one.yaml, packets_of(one.offers, kNsPerUs))),
              one.leave_ms)
        << one.name;
  const OneImpairment bench(trace("1\\n4\\n"));
  EXPECT_TRUE(bench.compiled.needs_order);
  EXPECT_TRUE(bench.compiled.delays);
}

TEST(ImpairLinkTrace, Files) {
  // Empty lines, comments and line ends of other systems.
  for (const std::string lines : {"1\\n4\\n", "1\\n4", "# an LTE drive\\n\\n1\\r\\n\\n4 \\n# end"})
    EXPECT_EQ(departures_ms(
                  OneImpairment(trace(lines)).offer(packets_of({{0, 60}, {1'001, 60}}, kNsPerUs))),
              (std::vector<std::int64_t>{1, 4}))
        << lines;
}

TEST(ImpairLinkTrace, Explains) {
  OneImpairment bench(trace("1\\n4\\n"));
  EXPECT_EQ(bench.explain({frame_of(60)}).state, "waits 0s, takes 1ms");
  bench.offer_one({frame_of(1'500)});
  EXPECT_EQ(bench.explain({frame_of(2'000), 200'000}).state, "waits 3.8ms, takes 1ms");
  OneImpairment once(trace("1\\n4\\n", ", loop: false"));
  EXPECT_EQ(once.offer_one({frame_of(60)}).time_ns, kNsPerMs) << "asking sends nothing";
}

TEST(ImpairLinkTrace, Errors) {
  const auto at = [](std::string_view lines) {
    return "link_trace: {file: t, contents: \"" + std::string(lines) + "\"}";
  };
  const std::string whole = "; a time in whole ms";
  const std::string none =
      "f:1:33: error: trace t: a trace without an opportunity behind 0; lines with times in whole "
      "ms";
  struct FileCase {
    std::string yaml;
    std::vector<std::string> lines;
  };
  const FileCase cases[] = {
      {"link_trace: {}", {"f:1:13: error: link_trace: 'file' is missing"}},
      {"link_trace: {file: lte.trace}",
       {"f:1:20: error: the text of file 'lte.trace' did not come along; contents: with the file's "
        "text"}},
      {at(""), {none}},
      {at("# nothing"), {none}},
      {at("0\\n0"), {none}},
      {at("1\\nx"), {"f:1:33: error: trace t: line 2: found 'x'" + whole}},
      {at("1.5"), {"f:1:33: error: trace t: line 1: found '1.5'" + whole}},
      {at("-1"), {"f:1:33: error: trace t: line 1: found '-1'" + whole}},
      {at("\\n1 2"), {"f:1:33: error: trace t: line 2: found '1 2'" + whole}},
      {at("31622400001"), {"f:1:33: error: trace t: line 1: found '31622400001'" + whole}},
      {at("5\\n4"), {"f:1:33: error: trace t: line 2: a time that falls; times that do not fall"}},
      {"link_trace: {file: t, contents: \"1\", lop: false}",
       {"f:1:38: error: link_trace: unknown key 'lop'; known keys are file, contents, loop; did "
        "you mean 'loop'?"}},
      {"link_trace: {file: t, contents: \"1\", loop: often}",
       {"f:1:44: error: found 'often'; true or false, without quotes"}},
  };
  for (const FileCase& one : cases) EXPECT_EQ(test::item_errors(one.yaml), one.lines) << one.yaml;
}

TEST(ImpairLinkTrace, AMillionLinesAndNoMore) {
  // Too long for a scenario: the text of a file beside it.
  ConfigNode item = test::tree_of("link_trace: {file: t, contents: \"\"}");
  std::string& contents = item.entries.front().value.entries.at(1).value.text;
  for (int line = 0; line < 1'000'000; ++line) contents += "1\n";
  const CompileContext context{.seed = 1, .rule_name = "r"};
  std::string_view kind;
  Problems problems;
  EXPECT_TRUE(compile_impairment(item, context, &kind, problems).has_value());
  contents += "1";
  EXPECT_FALSE(compile_impairment(item, context, &kind, problems).has_value());
  EXPECT_EQ(
      test::lines_of(problems),
      std::vector<std::string>{"f:1:33: error: trace t: more than 1000000 lines; a shorter trace"});
}

}  // namespace
}  // namespace faultline
