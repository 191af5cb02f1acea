// Payload patterns: what they mean in packets, what is refused, and that in a stream each match is
// found once, at the packet that completes it, however its bytes come.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <fstream>
#include <map>
#include <numeric>

#include "match/payload_scanner.hpp"
#include "match/rule_match.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::lines_of;
using test::Random;
using test::tree_of;

constexpr std::uint8_t kSyn = 2;
constexpr std::uint8_t kAck = 16;

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

/// One or several `payload:` in the order given: query number 0, 1, ….
class Searched {
 public:
  explicit Searched(const std::vector<std::string>& payloads, std::uint32_t streams = 64) {
    Problems problems;
    for (const std::string& yaml : payloads) {
      auto query = read_payload_query(tree_of(yaml), problems);
      EXPECT_TRUE(query.has_value()) << (problems.empty() ? "" : to_line(problems.front()));
      if (query)
        queries_.push_back(std::move(*query));
    }
    std::vector<const PayloadQuery*> pointers;
    for (const PayloadQuery& query : queries_) pointers.push_back(&query);
    auto compiled = PayloadDatabase::compile(pointers);
    EXPECT_TRUE(compiled.has_value());
    database = *compiled;
    scanner = PayloadScanner::create(database, streams);
    EXPECT_NE(scanner, nullptr);
    scanner->begin(counters);
  }

  /// Whether a UDP datagram with these bytes is hit.
  bool in_datagram(const Bytes& payload, std::size_t query = 0) {
    Bytes frame = test::make(test::Ipv4Frame{.payload_bytes = payload.size()});
    std::copy(payload.begin(), payload.end(), frame.begin() + 42);
    FrameFields fields;
    EXPECT_EQ(parse_frame(frame, frame.size(), fields), ParseOutcome::kParsed);
    PayloadHits hits;
    scanner->search_packet(fields, frame, hits);
    return hits.test(PayloadHits::Half::kPacket, query);
  }

  /// Whether a segment with these bytes is hit, in the stream of this client.
  bool in_segment(std::uint32_t sequence, const Bytes& payload, std::uint8_t flags = kAck,
                  std::uint32_t client = 4242) {
    Segment segment(sequence, payload, flags, client);
    offer(segment, known_[client]);
    scanner->finish();
    EXPECT_TRUE(segment.hits.searched(PayloadHits::Half::kStream));
    return segment.hits.test(PayloadHits::Half::kStream, 0);
  }

  struct Segment {
    Segment(std::uint32_t sequence, const Bytes& payload, std::uint8_t flags, std::uint32_t client)
        : frame(test::make(
              test::Ipv4Frame{.source = {10, 1, 0, static_cast<std::uint8_t>(client >> 16)},
                              .protocol = 6,
                              .ports = {static_cast<std::uint16_t>(client), 80},
                              .payload_bytes = payload.size()})) {
      std::copy(payload.begin(), payload.end(), frame.begin() + 54);
      for (unsigned byte = 0; byte < 4; ++byte)
        frame[38 + byte] = static_cast<std::uint8_t>(sequence >> (24 - 8 * byte));
      frame[47] = flags;
      EXPECT_EQ(parse_frame(frame, frame.size(), fields), ParseOutcome::kParsed);
    }
    Bytes frame;
    FrameFields fields;
    PayloadHits hits;
  };
  /// Its hits are there when the scanner has finished.
  void offer(Segment& segment, StreamPlace& known) {
    scanner->search_stream(segment.fields, segment.frame, {flow_identity(segment.fields.key), 0},
                           known, segment.hits);
  }

  std::shared_ptr<const PayloadDatabase> database;
  std::unique_ptr<PayloadScanner> scanner;
  PayloadCounters counters;

 private:
  std::vector<PayloadQuery> queries_;
  std::map<std::uint32_t, StreamPlace> known_;
};

// --- packets -------------------------------------------------------------------------------------

TEST(MatchPayload, KindsFlagsAndPlaces) {
  struct Case {
    std::string yaml;
    std::vector<std::string> hit;
    std::vector<std::string> missed;
  };
  const Case cases[] = {
      {"{literal: a.b}", {"xa.by", "a.b"}, {"axb", "A.B", ""}},
      {"{literal: a.b, flags: i}", {"xA.by"}, {"axb"}},
      {"{literal: \"tab\\there\"}", {"tab\there"}, {"tab here"}},
      {"{regex: a.b}", {"a.b", "axb"}, {"a\nb", "ab"}},
      {"{regex: a.b, flags: s}", {"a\nb"}, {"ab"}},
      {"{regex: ^b, flags: m}", {"b", "a\nb"}, {"ab"}},
      {"{regex: ^b}", {"b"}, {"a\nb", "ab"}},
      {"{regex: b$}", {"ab"}, {"ba"}},
      {"{regex: ^.$, flags: u}", {"\xC3\xA4"}, {"ab"}},
      {"{regex: ^.$}", {"a"}, {"\xC3\xA4"}},
      {"{regex: a|b, offset: 1}", {"xa", "xb"}, {"a", "b", "xxa"}},
      {"{regex: a+b|c, offset: 2}", {"xxaab", "xxc", "\n\nab"}, {"aab", "xab", "c", "xxxc"}},
      {"{regex: ^a+, offset: 0}", {"ab"}, {"xa"}},
      {"{hex: 00ff}", {std::string("x\0\xFFy", 4)}, {"00ff"}},
      {"{literal: ab, offset: 3}", {"xxxab", "abxab"}, {"xxab", "xxxxab", "ab"}},
      {"{literal: ab, within: 4B}", {"ab", "xxab"}, {"xxxab"}},
      {"{regex: a.*b, within: 4B}", {"axxb"}, {"axxxb"}},
      {"{literal: ab, offset: 1, within: 3B}", {"xab"}, {"ab", "xxab"}},
      {"{patterns: [ab, c+d]}", {"ab", "ccd"}, {"b", "c"}},
      {"{patterns: words, contents: \"ab\\r\\n\\nc+d\"}", {"ab", "ccd"}, {"b", "c"}},
      {"{patterns: [ab, cd], flags: i, offset: 1}", {"xAB", "xCd"}, {"AB"}},
  };
  for (const Case& one : cases) {
    Searched searched({one.yaml});
    for (const std::string& text : one.hit)
      EXPECT_TRUE(searched.in_datagram(bytes_of(text))) << one.yaml << " in " << text;
    for (const std::string& text : one.missed)
      EXPECT_FALSE(searched.in_datagram(bytes_of(text))) << one.yaml << " in " << text;
  }
}

TEST(MatchPayload, QueriesAreToldApart) {
  Searched searched({"{literal: ab}", "{literal: b}", "{regex: c, stream: true}"});
  EXPECT_TRUE(searched.in_datagram(bytes_of("b"), 1));
  EXPECT_FALSE(searched.in_datagram(bytes_of("b"), 0));
  EXPECT_TRUE(searched.in_datagram(bytes_of("abc"), 0));
  EXPECT_TRUE(searched.in_datagram(bytes_of("abc"), 2));
}

TEST(MatchPayload, WhatIsWrongAndWhere) {
  const std::string place = "one of literal, regex, hex, patterns";
  const test::ErrorCase cases[] = {
      {"{}", {"f:1:1: error: a payload without a pattern; just " + place}},
      {"{literal: a, hex: 00}", {"f:1:1: error: a payload of several kinds; just " + place}},
      {"{regex: '(foo'}",
       {"f:1:9: error: pattern '(foo': Missing close parenthesis for group started at index 0; a "
        "pattern that Hyperscan takes"}},
      {"{regex: 'a*'}",
       {"f:1:9: error: pattern 'a*': Pattern matches empty buffer; use HS_FLAG_ALLOWEMPTY to "
        "enable support; a pattern that Hyperscan takes"}},
      {"{patterns: [a, '[', 'b(?=c)']}",
       {"f:1:16: error: pattern '[': Unterminated character class starting at index 0; a pattern "
        "that Hyperscan takes",
        "f:1:21: error: pattern 'b(?=c)': Zero-width assertions are not supported; a "
        "pattern that Hyperscan takes"}},
      {"{patterns: words, contents: \"a\\n\\n)\"}",
       {"f:1:29: error: words, line 3: pattern ')': Unmatched parentheses at index 0; a pattern "
        "that Hyperscan takes"}},
      {"{patterns: words}",
       {"f:1:12: error: the patterns' text is not there; a list, a file beside the scenario, or "
        "contents: with the file's text"}},
      {"{patterns: []}", {"f:1:12: error: an empty list matches nothing; at least one value"}},
      {"{hex: abc}", {"f:1:7: error: hex is 'abc'; pairs of hex digits, such as \"deadbeef\""}},
      {"{hex: ab, flags: i}", {"f:1:18: error: unknown flags 'i'; no flags with hex"}},
      {"{literal: ab, flags: s}",
       {"f:1:22: error: unknown flags 's'; with literal only i (any case)"}},
      {"{regex: ab, flags: iz}",
       {"f:1:20: error: unknown flags 'iz'; letters of i (any case), m (^ and $ at lines), s (. is "
        "any byte), u (UTF-8)"}},
      {"{literal: ''}", {"f:1:11: error: literal is ''; a text"}},
      {"{literal: a, ofset: 1}",
       {"f:1:14: error: payload: unknown key 'ofset'; known keys are offset, within, stream, "
        "literal, "
        "regex, hex, patterns, contents, flags; did you mean 'offset'?"}},
      {"{regex: 'a+', flags: u, offset: 1}",
       {"f:1:9: error: pattern 'a+': offset counts bytes, and a pattern with flag u whose length "
        "varies does not; a pattern that Hyperscan takes"}},
      {"{regex: ^a+, flags: m, offset: 2}",
       {"f:1:9: error: pattern '^a+': Embedded start anchors not supported; a pattern that "
        "Hyperscan takes"}},
      {"{literal: abc, within: 2B}",
       {"f:1:11: error: pattern 'abc': Expression has max_offset=2 but requires 3 bytes to match; "
        "a pattern that Hyperscan takes"}},
  };
  for (const test::ErrorCase& one : cases) {
    Problems problems;
    EXPECT_FALSE(read_payload_query(tree_of(one.yaml), problems).has_value()) << one.yaml;
    EXPECT_EQ(lines_of(problems), one.lines) << one.yaml;
  }
}

TEST(MatchPayload, EachPatternOfTenThousandIsFound) {
  std::string yaml = "{stream: true, patterns: [";
  for (int word = 0; word < 10'000; ++word) yaml += "word" + std::to_string(100'000 + word) + ", ";
  Searched searched({yaml + "x]}"});
  for (int word = 0; word < 10'000; word += 7)
    EXPECT_TRUE(searched.in_datagram(bytes_of("a word" + std::to_string(100'000 + word))));
  EXPECT_FALSE(searched.in_datagram(bytes_of("a word110000")));
  EXPECT_LT(searched.database->stream_bytes(), 1'000);
}

TEST(MatchPayload, OtherProtocolsAndFragments) {
  Searched searched({"{literal: needle}"});
  const auto hit = [&](Bytes frame, std::size_t at, std::size_t length) {
    const Bytes needle = bytes_of("needle");
    std::copy(needle.begin(), needle.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
    FrameFields fields;
    EXPECT_EQ(parse_frame(frame, length, fields), ParseOutcome::kParsed);
    PayloadHits hits;
    searched.scanner->search_packet(fields, frame, hits);
    return hits.test(PayloadHits::Half::kPacket, 0);
  };
  const Bytes icmp = test::make(test::Ipv4Frame{.protocol = 1, .payload_bytes = 20});
  EXPECT_TRUE(hit(icmp, 42, icmp.size()));
  EXPECT_FALSE(hit(icmp, 36, icmp.size())) << "begins in the header";
  const Bytes other = test::make(test::Ipv4Frame{.protocol = 99, .payload_bytes = 20});
  EXPECT_TRUE(hit(other, 34, other.size()));
  const Bytes later = test::make(test::Ipv4Frame{.payload_bytes = 20, .fragment = 9});
  EXPECT_TRUE(hit(later, 34, later.size()));
  const Bytes six = test::make(test::Ipv6Frame{.protocol = 99, .payload_bytes = 20});
  EXPECT_TRUE(hit(six, 54, six.size()));
  Bytes padded = test::make(test::Ipv4Frame{.payload_bytes = 4});
  padded.resize(80);
  EXPECT_FALSE(hit(padded, 60, padded.size())) << "behind the datagram's end";
  Bytes link(80, 0);
  link[12] = 0x12;
  EXPECT_FALSE(hit(link, 40, link.size()));
}

// --- streams -------------------------------------------------------------------------------------

struct Part {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
};

/// Which arrivals complete an occurrence of `needle` in `stream`, by a set of bytes that are there:
/// an occurrence is complete when everything up to its end has come.
std::vector<bool> expected_hits(const Bytes& stream, const Bytes& needle,
                                const std::vector<Part>& arrivals) {
  std::vector<bool> there(stream.size(), false);
  std::size_t told = 0;
  std::vector<bool> hits;
  for (const Part& part : arrivals) {
    for (std::uint32_t at = part.first; at < part.end; ++at) there[at] = true;
    std::size_t whole = told;
    while (whole < stream.size() && there[whole]) ++whole;
    bool hit = false;
    for (std::size_t end = told + 1; end <= whole; ++end)
      hit |= end >= needle.size() &&
             std::equal(needle.begin(), needle.end(),
                        stream.begin() + static_cast<std::ptrdiff_t>(end - needle.size()));
    hits.push_back(hit);
    told = whole;
  }
  return hits;
}

std::vector<bool> found_hits(Searched& searched, const Bytes& stream, std::uint32_t first_sequence,
                             const std::vector<Part>& arrivals, std::uint32_t client = 4242) {
  EXPECT_FALSE(searched.in_segment(first_sequence - 1, {}, kSyn, client));
  std::vector<bool> hits;
  for (const Part& part : arrivals)
    hits.push_back(searched.in_segment(first_sequence + part.first,
                                       {stream.begin() + part.first, stream.begin() + part.end},
                                       kAck, client));
  return hits;
}

TEST(MatchPayload, AStreamIsSearchedInEveryOrderOfItsSegments) {
  const Bytes stream = bytes_of("xxneexneedneedleyy");
  for (const std::size_t parts : {2U, 3U, 4U, 5U}) {
    std::vector<Part> whole;
    for (std::size_t part = 0; part < parts; ++part)
      whole.push_back({static_cast<std::uint32_t>(stream.size() * part / parts),
                       static_cast<std::uint32_t>(stream.size() * (part + 1) / parts)});
    std::vector<std::size_t> order(parts);
    std::iota(order.begin(), order.end(), 0U);
    Searched searched({"{literal: needle, stream: true}"});
    std::uint32_t sequence = 0xFFFF'FFF0;
    do {
      std::vector<Part> arrivals;
      for (const std::size_t part : order) arrivals.push_back(whole[part]);
      const auto hits = found_hits(searched, stream, sequence += 100'000, arrivals);
      EXPECT_EQ(hits, expected_hits(stream, bytes_of("needle"), arrivals));
      EXPECT_EQ(std::ranges::count(hits, true), 1);
    } while (std::ranges::next_permutation(order).found);
  }
}

TEST(MatchPayload, ASplitMatchIsFoundWhereverItIsCut) {
  const Bytes stream = bytes_of("0123456789needle0123456789");
  for (std::uint32_t cut = 1; cut < stream.size(); ++cut) {
    Searched searched({"{regex: 'ne+dle', stream: true}"});
    const std::vector<Part> arrivals = {{0, cut}, {cut, static_cast<std::uint32_t>(stream.size())}};
    EXPECT_EQ(found_hits(searched, stream, 0xFFFF'FFFA, arrivals),
              expected_hits(stream, bytes_of("needle"), arrivals));
  }
  Searched searched({"{literal: needle, stream: true}"});
  std::vector<Part> ten;
  for (std::uint32_t part = 0; part < 10; ++part)
    ten.push_back({part * 26 / 10, (part + 1) * 26 / 10});
  EXPECT_EQ(found_hits(searched, stream, 7, ten), expected_hits(stream, bytes_of("needle"), ten));
}

TEST(MatchPayload, RandomStreamsInRandomOrderRepeatedAndOverlapping) {
  Random random(11);
  Searched searched({"{literal: abab, stream: true}"}, 3);
  for (int round = 0; round < 3'000; ++round) {
    Bytes stream(20 + random.below(60));
    for (std::uint8_t& byte : stream) byte = static_cast<std::uint8_t>('a' + random.below(2));
    std::vector<Part> arrivals;
    const auto size = static_cast<std::uint32_t>(stream.size());
    for (std::uint32_t at = 0; at < size;) {
      const auto end = std::min(size, at + 1 + static_cast<std::uint32_t>(random.below(9)));
      const std::uint32_t begins =
          at - static_cast<std::uint32_t>(random.below(std::min(at, 5U) + 1));
      arrivals.push_back({begins, end});
      at = end;
    }
    const std::size_t once = arrivals.size();
    for (std::size_t extra = 0; extra < once / 2; ++extra)
      arrivals.push_back(arrivals[random.below(once)]);
    for (std::size_t at = arrivals.size() - 1; at > 0; --at)
      if (random.below(3) != 0)
        std::swap(arrivals[at], arrivals[random.below(at + 1)]);
    const auto sequence = static_cast<std::uint32_t>(0xFFFF'FFE0 + random.below(64));
    ASSERT_EQ(found_hits(searched, stream, sequence, arrivals, static_cast<std::uint32_t>(round)),
              expected_hits(stream, bytes_of("abab"), arrivals))
        << "round " << round;
  }
  EXPECT_EQ(searched.counters.resynchronised, 0U);
}

TEST(MatchPayload, AStreamMetInItsMiddleBeginsThere) {
  Searched searched({"{literal: needle, stream: true}"});
  EXPECT_FALSE(searched.in_segment(1'000, bytes_of("nee")));
  EXPECT_FALSE(searched.in_segment(990, bytes_of("needle")));
  EXPECT_TRUE(searched.in_segment(1'003, bytes_of("dle")));
  EXPECT_EQ(searched.counters.streams, 1U);
}

TEST(MatchPayload, ASynBeginsAnewUnlessItIsTheSameAgain) {
  Searched searched({"{literal: needle, stream: true}"});
  EXPECT_FALSE(searched.in_segment(99, bytes_of("nee"), kSyn));
  EXPECT_FALSE(searched.in_segment(99, bytes_of("nee"), kSyn));
  EXPECT_TRUE(searched.in_segment(103, bytes_of("dle")));
  EXPECT_FALSE(searched.in_segment(103, bytes_of("dle")));
  EXPECT_FALSE(searched.in_segment(5'000, {}, kSyn));
  EXPECT_TRUE(searched.in_segment(5'001, bytes_of("needle")));
  EXPECT_EQ(searched.counters.streams, 2U);
}

TEST(MatchPayload, PlacesInAStreamCountFromItsBeginningAlsoBehindAGap) {
  Searched within({"{literal: needle, within: 20B, stream: true}"});
  EXPECT_FALSE(within.in_segment(99, {}, kSyn));
  EXPECT_TRUE(within.in_segment(100, bytes_of("xxneedle")));
  EXPECT_TRUE(within.in_segment(108, bytes_of("xxneedle")));
  EXPECT_FALSE(within.in_segment(116, bytes_of("needle")));
  EXPECT_FALSE(within.in_segment(200 + TcpStreams::kAheadMaxBytes, bytes_of("needle")));
  EXPECT_EQ(within.counters.resynchronised, 1U);
  Searched offset({"{literal: needle, offset: 2, stream: true}"});
  EXPECT_FALSE(offset.in_segment(100 + TcpStreams::kAheadMaxBytes, bytes_of("x")));
  EXPECT_FALSE(offset.in_segment(200 + 2 * TcpStreams::kAheadMaxBytes, bytes_of("xxneedle")));
  EXPECT_EQ(offset.counters.resynchronised, 1U);
}

TEST(MatchPayload, WhatCannotWaitIsCountedAndTheStreamGoesOnBehindTheGap) {
  Searched searched({"{literal: needle, stream: true}"});
  EXPECT_FALSE(searched.in_segment(99, {}, kSyn));
  const Bytes early(1'000, 'x');
  std::uint32_t sequence = 101;
  for (std::uint32_t piece = 0; piece < TcpStreams::kPiecesOfOneMax; ++piece, sequence += 1'000)
    EXPECT_FALSE(searched.in_segment(sequence, early));
  EXPECT_EQ(searched.counters.resynchronised, 0U);
  EXPECT_TRUE(searched.in_segment(sequence, bytes_of("needle")));
  EXPECT_EQ(searched.counters.resynchronised, 1U);
  EXPECT_TRUE(searched.in_segment(sequence + 6, bytes_of("needle")));
  EXPECT_FALSE(searched.in_segment(100, bytes_of("x"))) << "long gone";
}

TEST(MatchPayload, TheStoreForEarlyBytesIsSharedAndGivenBack) {
  Searched searched({"{literal: needle, stream: true}"}, 16);
  const Bytes early(100, 'x');
  for (int round = 0; round < 3; ++round) {
    for (std::uint16_t port = 1; port <= 4; ++port) {
      EXPECT_FALSE(searched.in_segment(99, {}, kSyn, port));
      for (std::uint32_t piece = 0; piece < TcpStreams::kPiecesOfOneMax; ++piece)
        EXPECT_FALSE(searched.in_segment(101 + piece * 100, early, kAck, port));
    }
    EXPECT_EQ(searched.counters.resynchronised, static_cast<std::uint64_t>(round));
    EXPECT_FALSE(searched.in_segment(99, {}, kSyn, 5));
    EXPECT_TRUE(searched.in_segment(101, bytes_of("needle"), kAck, 5)) << "no room: it goes on";
    for (std::uint16_t port = 1; port <= 4; ++port)
      EXPECT_FALSE(searched.in_segment(100, bytes_of("x"), kAck, port));
    for (std::uint16_t port = 1; port <= 5; ++port)
      EXPECT_FALSE(searched.in_segment(5'000'000, {}, kSyn, port));
  }
}

TEST(MatchPayload, TheStreamLongestWithoutASegmentMakesRoom) {
  Searched searched({"{literal: needle, stream: true}"}, 2);
  EXPECT_FALSE(searched.in_segment(100, bytes_of("nee"), kAck, 1));
  EXPECT_FALSE(searched.in_segment(100, bytes_of("nee"), kAck, 2));
  EXPECT_FALSE(searched.in_segment(103, bytes_of("x"), kAck, 1));
  EXPECT_FALSE(searched.in_segment(100, bytes_of("nee"), kAck, 3));  // in the place of 2
  EXPECT_FALSE(searched.in_segment(103, bytes_of("dle"), kAck, 2));  // in the place of 1
  EXPECT_TRUE(searched.in_segment(103, bytes_of("dle"), kAck, 3));
  EXPECT_EQ(searched.counters.evicted, 2U);
  EXPECT_EQ(searched.counters.streams, 4U);
  EXPECT_EQ(searched.scanner->streams(), 2U);
}

/// What is put off, and found through a place that was its own once, is found where it is when each
/// segment is searched at once and its stream looked for.
TEST(MatchPayload, ABurstIsSearchedAsItsSegmentsOneByOne) {
  constexpr std::uint32_t kClients = 6;
  const std::vector<std::string> payloads = {"{literal: abab, stream: true}",
                                             "{literal: ba, within: 40B, stream: true}"};
  Searched together(payloads, 4);
  Searched single(payloads, 4);
  std::array<StreamPlace, kClients> known{};
  std::array<std::uint32_t, kClients> next{};
  std::size_t hits = 0;
  Random random(11);
  for (int burst = 0; burst < 2'000; ++burst) {
    std::deque<Searched::Segment> segments;
    const std::uint32_t clients = burst % 3 == 0 ? kClients : 3;  // too many, and few enough
    const std::size_t count = 1 + random.below(burst % 10 == 0 ? 100U : 12U);
    while (segments.size() < count) {
      const auto client = static_cast<std::uint32_t>(random.below(clients));
      Bytes bytes(random.below(7));
      for (std::uint8_t& byte : bytes) byte = random.below(2) == 0 ? 'a' : 'b';
      const auto kind = random.below(24);
      const auto back = static_cast<std::uint32_t>(kind < 3 ? random.below(9) : 0);
      const std::uint32_t sequence = next[client] - back + (kind == 3 ? 5U : 0U);
      const std::uint8_t flags = kind == 4 ? kSyn : kind == 5 ? 4 : kAck;
      segments.emplace_back(sequence, bytes, flags, client);
      if (kind == 4 || kind > 5)
        next[client] = sequence + static_cast<std::uint32_t>(bytes.size()) + (kind == 4 ? 1 : 0);
      together.offer(segments.back(), known[client]);
    }
    together.scanner->finish();
    for (Searched::Segment& segment : segments) {
      PayloadHits found = segment.hits;
      segment.hits.begin();
      StreamPlace nowhere;
      single.offer(segment, nowhere);
      single.scanner->finish();
      for (const std::size_t query : {0U, 1U}) {
        ASSERT_EQ(found.test(PayloadHits::Half::kStream, query),
                  segment.hits.test(PayloadHits::Half::kStream, query))
            << "burst " << burst;
        hits += found.test(PayloadHits::Half::kStream, query) ? 1U : 0U;
      }
    }
  }
  EXPECT_GT(hits, 1'000U);
  EXPECT_GT(single.counters.evicted, 100U);
  EXPECT_EQ(together.counters.scanned, single.counters.scanned);
  EXPECT_EQ(together.counters.streams, single.counters.streams);
  EXPECT_EQ(together.counters.evicted, single.counters.evicted);
  EXPECT_EQ(together.counters.resynchronised, single.counters.resynchronised);
}

std::uint64_t resident_bytes() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
}

TEST(MatchPayload, AHundredThousandStreamsAtOnce) {
  constexpr std::uint32_t kStreams = 100'000;
  const std::uint64_t before = resident_bytes();
  Searched searched({"{regex: 'user=[a-z]*needle', stream: true}"}, kStreams);
  EXPECT_LT(TcpStreams::bytes_for(searched.database->stream_bytes(), kStreams),
            std::uint64_t{40} << 20);
  // Each begins, each goes on, each ends: none was forgotten in between.
  for (const std::string_view part : {"user=a", "bcnee", "dle"})
    for (std::uint32_t stream = 0; stream < kStreams; ++stream)
      ASSERT_EQ(searched.in_segment(part == "user=a"  ? 1
                                    : part == "bcnee" ? 7
                                                      : 12,
                                    bytes_of(part), kAck, stream),
                part == "dle");
  EXPECT_EQ(searched.counters.streams, kStreams);
  EXPECT_EQ(searched.counters.evicted, 0U);
  EXPECT_LT(resident_bytes() - before,
            TcpStreams::bytes_for(searched.database->stream_bytes(), kStreams) +
                (std::uint64_t{4} << 20));
}

}  // namespace
}  // namespace faultline
