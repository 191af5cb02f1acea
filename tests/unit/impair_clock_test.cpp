// clock: which packets of which mode or type change and which do not, each stamp in exact numbers,
// what cannot be changed, and one direction that is late.
#include <gtest/gtest.h>

#include "impair/clock.hpp"
#include "tests/unit/clock_frames.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::Carried;
using test::Carrier;
using test::Fate;
using test::ntp_message;
using test::NtpWords;
using test::Offered;
using test::OneImpairment;
using test::ptp_message;
using test::PtpWords;
using test::quad_of;

constexpr std::uint64_t kQuarter = 0x40000000;  // 250 ms in 2^-32 s
constexpr std::uint64_t kHour = std::uint64_t{3'600} << 32;
constexpr std::uint64_t kYears30 = std::uint64_t{10'957} * 86'400 << 32;
constexpr std::size_t kNtpAt = 14 + 20 + 8;

/// From the node that is wrong, or to it.
enum class Side : std::uint8_t { kFrom, kTo, kNeither };

Offered offered(const Bytes& frame, Side side, std::uint64_t time_ns = 0) {
  const NodeMask bit = NodeMask{1} << test::kBenchNode;
  return {.frame = frame,
          .time_ns = time_ns,
          .sources = side == Side::kFrom ? bit : ~bit,
          .destinations = side == Side::kTo ? bit : ~bit};
}

Bytes ntp_frame(const NtpWords& words, Carrier carrier = Carrier::kIpv4) {
  return carry(carrier, {123, 123}, ntp_message(words)).frame;
}

NtpWords stamps_of(const Bytes& frame, std::size_t at = kNtpAt) {
  return {.reference = quad_of(frame, at + 16),
          .origin = quad_of(frame, at + 24),
          .receive = quad_of(frame, at + 32),
          .transmit = quad_of(frame, at + 40)};
}

Bytes after(OneImpairment& bench, const Bytes& frame, Side side) {
  return bench.offer_one(offered(frame, side)).bytes;
}

std::string clock_of(const std::string& keys) {
  return "clock: {node: x, " + keys + "}";
}

// --- NTP -----------------------------------------------------------------------------------------

struct ModeCase {
  unsigned mode;
  Side side;
  bool reference;
  bool receive;
  bool transmit;
};

void expect_rows(const std::string& keys, const std::vector<ModeCase>& rows) {
  for (const Carrier carrier : test::kUdpCarriers)
    for (const ModeCase& row : rows) {
      OneImpairment bench(clock_of("offset: 250ms" + keys));
      const NtpWords words{.mode = row.mode};
      const Bytes frame = ntp_frame(words, carrier);
      const Bytes out = after(bench, frame, row.side);
      NtpWords expected = words;
      expected.reference += row.reference ? kQuarter : 0;
      expected.receive += row.receive ? kQuarter : 0;
      expected.transmit += row.transmit ? kQuarter : 0;
      EXPECT_EQ(out, ntp_frame(expected, carrier)) << row.mode << keys;
      EXPECT_EQ(bench.tally.unrewritable, 0U);
    }
}

TEST(ImpairClock, ASourceByMode) {
  expect_rows(", as: source", {{1, Side::kFrom, true, true, true},
                               {2, Side::kFrom, true, true, true},
                               {3, Side::kFrom, false, false, false},
                               {4, Side::kFrom, true, true, true},
                               {5, Side::kFrom, true, false, true},
                               {1, Side::kTo, false, false, false},
                               {2, Side::kTo, false, false, false},
                               {3, Side::kTo, false, false, false},
                               {4, Side::kTo, false, false, false},
                               {4, Side::kNeither, false, false, false}});
  for (const unsigned mode : {6U, 7U}) {
    OneImpairment bench(clock_of("offset: 250ms"));
    const Bytes frame = ntp_frame({.mode = mode});
    EXPECT_EQ(after(bench, frame, Side::kFrom), frame) << mode;
  }
}

TEST(ImpairClock, AVictimByMode) {
  expect_rows(", as: victim", {{1, Side::kTo, true, true, true},
                               {2, Side::kTo, true, true, true},
                               {3, Side::kTo, false, false, false},
                               {4, Side::kTo, true, true, true},
                               {5, Side::kTo, true, false, true},
                               {1, Side::kFrom, false, false, false},
                               {3, Side::kFrom, false, false, false},
                               {4, Side::kFrom, false, false, false}});
}

TEST(ImpairClock, OffsetsOfEverySize) {
  struct OffsetCase {
    std::string offset;
    std::uint64_t ticks;
  };
  const OffsetCase cases[] = {{"-3600s", 0 - kHour},
                              {"10957d", kYears30},
                              {"-10957d", 0 - kYears30},
                              {"1ns", 4},
                              {"-1ns", 0 - std::uint64_t{4}}};
  for (const OffsetCase& one : cases) {
    OneImpairment bench(clock_of("offset: " + one.offset));
    const NtpWords words = stamps_of(after(bench, ntp_frame({}), Side::kFrom));
    EXPECT_EQ(words.transmit, NtpWords{}.transmit + one.ticks) << one.offset;
    EXPECT_EQ(words.origin, NtpWords{}.origin);
  }
}

TEST(ImpairClock, AnEraEndsIn2036) {
  OneImpairment bench(clock_of("offset: 10s"));
  const NtpWords words{.reference = 0xFFFFFFF0'00000000,
                       .receive = 0xFFFFFFFE'00000005,
                       .transmit = 0xFFFFFFFF'80000000};
  const NtpWords out = stamps_of(after(bench, ntp_frame(words), Side::kFrom));
  EXPECT_EQ(out.reference, 0xFFFFFFFA'00000000);
  EXPECT_EQ(out.receive, 0x00000008'00000005U);
  EXPECT_EQ(out.transmit, 0x00000009'80000000U);
  OneImpairment back(clock_of("offset: -10s, drift: 50ppm"));
  const NtpWords early{.reference = 0xFFFFFFF0'00000000, .receive = 5, .transmit = 0x1'00000000};
  const NtpWords before = stamps_of(after(back, ntp_frame(early), Side::kFrom));
  EXPECT_EQ(before.transmit, 0xFFFFFFF7'00000000);
  // t0 is the transmit stamp, 17 s behind the reference: 50 ppm of that, and a floor.
  EXPECT_EQ(before.reference, 0xFFFFFFE6'00000000 - 3'650'723U);
}

TEST(ImpairClock, ZeroStampsStayZero) {
  OneImpairment bench(clock_of("offset: 250ms"));
  const NtpWords words{.reference = 0, .origin = 0, .receive = 0, .transmit = 0};
  EXPECT_EQ(after(bench, ntp_frame(words), Side::kFrom), ntp_frame(words));
  const NtpWords some{.reference = 0, .receive = 0, .transmit = 0 - kQuarter};
  EXPECT_EQ(stamps_of(after(bench, ntp_frame(some), Side::kFrom)).transmit, 1U);
}

TEST(ImpairClock, EachStampAtItsOwnValueFromTheFirstTransmit) {
  OneImpairment bench(clock_of("offset: 1s, drift: 50ppm, steps: [{at: 8s, by: -1s}]"));
  const std::uint64_t first = 0xE8000010'00000000;
  const auto ask = [&](std::uint64_t receive, std::uint64_t transmit) {
    return stamps_of(
        after(bench, ntp_frame({.receive = receive, .transmit = transmit}), Side::kFrom));
  };
  constexpr std::uint64_t kSecond = std::uint64_t{1} << 32;
  EXPECT_EQ(ask(first - 1, first).transmit, first + kSecond);
  const NtpWords later = ask(first + 8 * kSecond - 1, first + 8 * kSecond);
  const std::uint64_t drifted = 8 * kSecond * 50 / 1'000'000;
  EXPECT_EQ(later.receive, first + 8 * kSecond - 1 + kSecond + (8 * kSecond - 1) * 50 / 1'000'000);
  EXPECT_EQ(later.transmit, first + 8 * kSecond + drifted) << "the step has come";
}

TEST(ImpairClock, AnEnabledRuleBeginsAnew) {
  OneImpairment bench(clock_of("steps: [{at: 8s, by: -1s}]"));
  const std::uint64_t first = 0xE8000010'00000000;
  constexpr std::uint64_t kSecond = std::uint64_t{1} << 32;
  const auto transmitted = [&](std::uint64_t stamp) {
    return stamps_of(after(bench, ntp_frame({.transmit = stamp}), Side::kFrom)).transmit;
  };
  EXPECT_EQ(transmitted(first), first);
  EXPECT_EQ(transmitted(first + 9 * kSecond), first + 8 * kSecond);
  bench.begins_ns = 1;
  EXPECT_EQ(transmitted(first + 9 * kSecond), first + 9 * kSecond);
}

TEST(ImpairClock, InterleavedRequestsSayWhatWasReceived) {
  OneImpairment bench(clock_of("offset: 250ms, drift: 50ppm"));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> told_of;
  for (std::uint64_t number = 0; number < 10; ++number) {
    const NtpWords words{.receive = 0xE8000010'12345678 + (number << 33),
                         .transmit = 0xE8000010'22345678 + (number << 33)};
    const NtpWords out = stamps_of(after(bench, ntp_frame(words), Side::kFrom));
    told_of.emplace_back(out.receive, words.receive);
    const NtpWords basic{.mode = 3, .origin = out.transmit};
    EXPECT_EQ(after(bench, ntp_frame(basic), Side::kTo), ntp_frame(basic)) << "basic mode";
  }
  for (std::size_t number = 0; number < told_of.size(); ++number) {
    NtpWords request{.mode = 3, .origin = told_of[number].first};
    const Bytes out = after(bench, ntp_frame(request), Side::kTo);
    if (number >= 2)  // of the last eight
      request.origin = told_of[number].second;
    EXPECT_EQ(out, ntp_frame(request)) << number;
  }
}

TEST(ImpairClock, SymmetricPeersSayWhatWasSent) {
  OneImpairment bench(clock_of("offset: -3600s"));
  const NtpWords sent = stamps_of(after(bench, ntp_frame({.mode = 1}), Side::kFrom));
  for (const unsigned mode : {1U, 2U})
    for (const auto& [told_stamp, stamp] :
         {std::pair{sent.transmit, NtpWords{}.transmit}, {sent.receive, NtpWords{}.receive}}) {
      const Bytes out = after(bench, ntp_frame({.mode = mode, .origin = told_stamp}), Side::kTo);
      EXPECT_EQ(out, ntp_frame({.mode = mode, .origin = stamp}));
    }
}

TEST(ImpairClock, AVictimsQuestionsStay) {
  OneImpairment bench(clock_of("offset: 250ms, as: victim"));
  const NtpWords told_it = stamps_of(after(bench, ntp_frame({}), Side::kTo));
  const Bytes interleaved = ntp_frame({.mode = 3, .origin = told_it.receive});
  EXPECT_EQ(after(bench, interleaved, Side::kFrom), interleaved);
}

TEST(ImpairClock, AChecksumOfNoneStaysNone) {
  OneImpairment bench(clock_of("offset: 250ms"));
  Bytes frame = ntp_frame({});
  test::put16(frame, 40, 0);
  const Bytes out = after(bench, frame, Side::kFrom);
  EXPECT_EQ(test::word_of(out, 40), 0U);
  EXPECT_EQ(stamps_of(out).transmit, NtpWords{}.transmit + kQuarter);
}

TEST(ImpairClock, WhatTheHeaderSays) {
  struct HeaderCase {
    std::string keys;
    std::size_t at;
    std::vector<std::uint8_t> bytes;
  };
  const HeaderCase cases[] = {
      {"leap: none", 0, {0x24}},
      {"leap: insert", 0, {0x64}},
      {"leap: delete", 0, {0xA4}},
      {"leap: unsync", 0, {0xE4}},
      {"stratum: 16", 1, {16}},
      {"root_delay: 1500ms", 4, {0, 1, 0x80, 0}},
      {"root_dispersion: 65535s", 8, {0xFF, 0xFF, 0, 0}},
      {"kod: RATE", 12, {'R', 'A', 'T', 'E'}},
      {"kod: DENY", 12, {'D', 'E', 'N', 'Y'}},
      {"kod: RSTR", 12, {'R', 'S', 'T', 'R'}},
      {"kod: RATE", 0, {0xE4, 0}},
      {"kod: RATE, leap: none", 0, {0x24, 0}},
  };
  for (const HeaderCase& one : cases) {
    OneImpairment bench(clock_of(one.keys));
    const Bytes out = after(bench, ntp_frame({}), Side::kFrom);
    EXPECT_EQ(test::slice(out, kNtpAt + one.at, kNtpAt + one.at + one.bytes.size()), one.bytes)
        << one.keys;
    EXPECT_EQ(test::slice(out, kNtpAt + 16, kNtpAt + 48),
              test::slice(ntp_frame({}), kNtpAt + 16, kNtpAt + 48))
        << "no stamp changes";
    EXPECT_TRUE(test::sums_are_right(out));
    EXPECT_EQ(after(bench, ntp_frame({.mode = 3}), Side::kFrom), ntp_frame({.mode = 3}));
  }
}

TEST(ImpairClock, WhatIsAuthenticatedStays) {
  for (const Bytes& trailer :
       {test::mac(16), test::mac(20), test::extension(0x0104, 36), test::extension(0x0404, 40)}) {
    const Bytes frame = ntp_frame({.trailer = trailer});
    OneImpairment passes(clock_of("offset: 250ms, on_auth: pass"));
    const Fate passed = passes.offer_one(offered(frame, Side::kFrom));
    EXPECT_EQ(passed.reason, DropReason::kNone);
    EXPECT_EQ(passed.bytes, frame);
    EXPECT_EQ(passes.tally.unrewritable, 1U);
    OneImpairment drops(clock_of("offset: 250ms, on_auth: drop"));
    EXPECT_EQ(drops.offer_one(offered(frame, Side::kFrom)).reason, DropReason::kReject);
    EXPECT_EQ(drops.tally.unrewritable, 0U);
    const Bytes question = ntp_frame({.mode = 3, .trailer = trailer});
    EXPECT_EQ(drops.offer_one(offered(question, Side::kTo)).reason, DropReason::kNone);
  }
}

TEST(ImpairClock, JustTheProtocolsNamed) {
  OneImpairment ptp(clock_of("offset: 250ms, protocols: [ptp]"));
  EXPECT_EQ(after(ptp, ntp_frame({}), Side::kFrom), ntp_frame({}));
  OneImpairment ntp(clock_of("offset: 250ms, protocols: ntp"));
  const Bytes sync = carry(Carrier::kEthernet, {}, ptp_message({.seconds = 5})).frame;
  EXPECT_EQ(after(ntp, sync, Side::kFrom), sync);
  EXPECT_NE(after(ptp, sync, Side::kFrom), sync);
}

// --- PTP -----------------------------------------------------------------------------------------

Bytes ptp_frame(const PtpWords& words, Carrier carrier = Carrier::kIpv4) {
  return carry(carrier, test::ptp_ports(words.type), ptp_message(words)).frame;
}

struct TypeCase {
  PtpWords words;
  Side side;
  std::uint64_t shifted_ns;
  std::int64_t corrected_ns = 0;
};

constexpr std::uint64_t kTenMs = 10'000'000;
constexpr std::uint64_t kT1 = 1'700'000'000;

void expect_types(const std::string& keys, const std::vector<TypeCase>& rows) {
  for (const Carrier carrier : test::kCarriers)
    for (const TypeCase& row : rows) {
      OneImpairment bench(clock_of("offset: 10ms" + keys));
      PtpWords words = row.words;
      words.correction = 0x10000;
      words.nanoseconds = words.seconds == 0 ? 0 : 995'000'000;
      const Bytes out = after(bench, ptp_frame(words, carrier), row.side);
      if (row.shifted_ns != 0) {
        words.seconds += 1;
        words.nanoseconds = words.nanoseconds + row.shifted_ns - 1'000'000'000;
      }
      words.correction += static_cast<std::uint64_t>(row.corrected_ns) * 65'536;
      EXPECT_EQ(out, ptp_frame(words, carrier)) << words.type << keys;
    }
}

TEST(ImpairClock, PtpByType) {
  expect_types(", as: source", {{{.type = 8, .seconds = kT1}, Side::kFrom, kTenMs},
                                {{.type = 8, .seconds = 0}, Side::kFrom, 0},
                                {{.type = 0, .two_step = true, .seconds = 0}, Side::kFrom, 0},
                                {{.type = 0, .two_step = true, .seconds = kT1}, Side::kFrom, 0},
                                {{.type = 0, .seconds = kT1}, Side::kFrom, kTenMs},
                                {{.type = 0, .seconds = 0}, Side::kFrom, 0},
                                {{.type = 9, .seconds = kT1}, Side::kFrom, kTenMs},
                                {{.type = 1, .seconds = kT1}, Side::kFrom, 0},
                                {{.type = 2, .seconds = kT1}, Side::kFrom, 0},
                                {{.type = 3, .seconds = kT1}, Side::kFrom, 0},
                                {{.type = 10, .seconds = kT1}, Side::kFrom, 0},
                                {{.type = 11, .seconds = kT1}, Side::kFrom, 0},
                                {{.type = 8, .seconds = kT1}, Side::kTo, 0},
                                {{.type = 9, .seconds = kT1}, Side::kTo, 0}});
  expect_types(", as: victim", {{{.type = 8, .seconds = kT1}, Side::kTo, kTenMs},
                                {{.type = 9, .seconds = kT1}, Side::kTo, kTenMs},
                                {{.type = 0, .seconds = kT1}, Side::kTo, kTenMs},
                                {{.type = 8, .seconds = kT1}, Side::kFrom, 0}});
}

TEST(ImpairClock, PtpByItsCorrection) {
  constexpr std::int64_t kMore = kTenMs;
  expect_types(", correction: true",
               {{{.type = 8, .seconds = kT1}, Side::kFrom, 0, kMore},
                {{.type = 0, .two_step = true, .seconds = 0}, Side::kFrom, 0, 0},
                {{.type = 0, .two_step = true, .seconds = kT1}, Side::kFrom, 0, 0},
                {{.type = 0, .seconds = kT1}, Side::kFrom, 0, kMore},
                {{.type = 9, .seconds = kT1}, Side::kFrom, 0, -kMore},
                {{.type = 3, .seconds = kT1}, Side::kFrom, 0, 0}});
}

TEST(ImpairClock, PtpIsAuthenticatedOrMutable) {
  const PtpWords words{.type = 8, .seconds = kT1, .tlvs = test::tlv(0x8009, 20)};
  const Bytes frame = ptp_frame(words);
  for (const std::string& keys : {std::string(), std::string(", correction: true")}) {
    OneImpairment bench(clock_of("offset: 10ms" + keys));
    EXPECT_EQ(after(bench, frame, Side::kFrom), frame);
    EXPECT_EQ(bench.tally.unrewritable, 1U);
  }
  OneImpairment drops(clock_of("offset: 10ms, on_auth: drop"));
  EXPECT_EQ(drops.offer_one(offered(frame, Side::kFrom)).reason, DropReason::kReject);
  OneImpairment allowed(clock_of("offset: 10ms, correction: true, allow_mutable: true"));
  PtpWords corrected = words;
  corrected.correction = kTenMs * 65'536;
  EXPECT_EQ(after(allowed, frame, Side::kFrom), ptp_frame(corrected));
}

TEST(ImpairClock, PtpStampsThatCannotBe) {
  OneImpairment bench(clock_of("offset: -10s"));
  const Bytes early = ptp_frame({.type = 8, .seconds = 9});
  EXPECT_EQ(after(bench, early, Side::kFrom), early);
  EXPECT_EQ(bench.tally.unrewritable, 1U);
  OneImpairment corrects(clock_of("offset: 36h, correction: true"));
  const Bytes full = ptp_frame({.type = 8, .correction = 0x4000'0000'0000'0000, .seconds = kT1});
  EXPECT_EQ(after(corrects, full, Side::kFrom), full);
  EXPECT_EQ(corrects.tally.unrewritable, 1U);
}

TEST(ImpairClock, PtpBeginsWithTheFirstT1) {
  OneImpairment bench(clock_of("steps: [{at: 5s, by: 1s}]"));
  const auto second = [&](unsigned type, std::uint64_t seconds) {
    const Bytes out = after(bench, ptp_frame({.type = type, .seconds = seconds}), Side::kFrom);
    return quad_of(out, kNtpAt + 34) >> 16;
  };
  EXPECT_EQ(second(9, 90), 90U) << "T4 begins nothing";
  EXPECT_EQ(second(8, 100), 100U);
  EXPECT_EQ(second(9, 104), 104U);
  EXPECT_EQ(second(9, 105), 106U);
  EXPECT_EQ(second(8, 106), 107U);
}

TEST(ImpairClock, Announce) {
  OneImpairment bench(
      clock_of("announce: {clock_class: 248, priority1: 1, priority2: 2, steps_removed: 3, "
               "utc_offset: 38}, leap: insert"));
  const Bytes out = after(bench, ptp_frame({.type = 11}), Side::kFrom);
  Bytes expected = ptp_message({.type = 11});
  expected[7] = 0x05;
  test::put16(expected, 44, 38);
  expected[47] = 1;
  expected[48] = 248;
  expected[52] = 2;
  test::put16(expected, 61, 3);
  EXPECT_EQ(test::slice(out, kNtpAt, out.size()), expected);
  EXPECT_EQ(after(bench, ptp_frame({.type = 8, .seconds = 5}), Side::kFrom),
            ptp_frame({.type = 8, .seconds = 5}));
  OneImpairment drops(clock_of("drop_announce: true"));
  EXPECT_EQ(drops.offer_one(offered(ptp_frame({.type = 11}), Side::kFrom)).reason,
            DropReason::kReject);
  EXPECT_EQ(drops.offer_one(offered(ptp_frame({.type = 11}), Side::kTo)).reason, DropReason::kNone);
}

// --- without a change of bytes -------------------------------------------------------------------

TEST(ImpairClock, OneDirectionIsLate) {
  struct LateCase {
    std::string keys;
    Side late;
  };
  const LateCase cases[] = {{"offset: 10ms, as: source", Side::kTo},
                            {"offset: -10ms, as: source", Side::kFrom},
                            {"offset: 10ms, as: victim", Side::kFrom},
                            {"offset: -10ms, as: victim", Side::kTo}};
  const Bytes ntp = ntp_frame({.trailer = test::mac(16)});
  for (const LateCase& one : cases)
    for (const Side side : {Side::kFrom, Side::kTo}) {
      OneImpairment bench(clock_of("by: delay-asymmetry, " + one.keys));
      const std::uint64_t expected = side == one.late ? 2 * kTenMs : 0;
      for (const Bytes& frame : {ntp, ptp_frame({.type = 0}), ptp_frame({.type = 1})}) {
        const Fate fate = bench.offer_one(offered(frame, side, 5));
        EXPECT_EQ(fate.time_ns, 5 + expected) << one.keys;
        EXPECT_EQ(fate.bytes, frame);
      }
      for (const Bytes& frame :
           {ptp_frame({.type = 8}), ptp_frame({.type = 2}), test::make(test::Ipv4Frame{})})
        EXPECT_EQ(bench.offer_one(offered(frame, side, 5)).time_ns, 5U) << "not about time";
      EXPECT_EQ(bench.tally.unrewritable, 0U);
    }
}

TEST(ImpairClock, ItGetsLateByAndBy) {
  OneImpairment bench(clock_of("by: delay-asymmetry, as: source, offset: 10ms, ramp: 1ms/s"));
  const auto late_at = [&](std::uint64_t time_ns) {
    return bench.offer_one(offered(ntp_frame({.mode = 3}), Side::kTo, time_ns)).time_ns - time_ns;
  };
  EXPECT_EQ(late_at(7'000'000'000), 0U);
  EXPECT_EQ(late_at(8'000'000'000), 2'000'000U);
  EXPECT_EQ(late_at(16'999'999'999), 19'999'999U);
  EXPECT_EQ(late_at(17'000'000'000), 2 * kTenMs);
  EXPECT_EQ(late_at(70'000'000'000), 2 * kTenMs);
}

// --- source or victim ----------------------------------------------------------------------------

/// What a node without `as` does with an answer from it and one to it, behind this packet.
std::pair<bool, bool> lies_behind(const Bytes& frame, Side side, const std::string& more = "") {
  OneImpairment bench(clock_of("offset: 250ms" + more));
  bench.offer_one(offered(frame, side));
  const bool by_it = after(bench, ntp_frame({}), Side::kFrom) != ntp_frame({});
  return {by_it, after(bench, ntp_frame({}), Side::kTo) != ntp_frame({})};
}

TEST(ImpairClock, TheFirstWhoTellsTheTimeSaysWhatTheNodeIs) {
  using Both = std::pair<bool, bool>;
  const Both source{true, false};
  const Both victim{false, true};
  for (const unsigned mode : {1U, 2U, 4U, 5U})
    for (const Bytes& trailer : {Bytes{}, test::mac(16)}) {
      const Bytes frame = ntp_frame({.mode = mode, .trailer = trailer});
      EXPECT_EQ(lies_behind(frame, Side::kFrom), source) << mode;
      EXPECT_EQ(lies_behind(frame, Side::kTo), victim) << mode;
    }
  for (const unsigned type : {0U, 8U, 9U, 11U}) {
    const Bytes frame = carry(Carrier::kEthernet, {}, ptp_message({.type = type})).frame;
    EXPECT_EQ(lies_behind(frame, Side::kFrom), source) << type;
    EXPECT_EQ(lies_behind(frame, Side::kTo), victim) << type;
    EXPECT_EQ(lies_behind(frame, Side::kTo, ", protocols: ntp"), source) << "not heard: " << type;
  }
  // These tell nothing, and the answer behind them comes from the node.
  for (const unsigned mode : {3U, 6U, 7U})
    EXPECT_EQ(lies_behind(ntp_frame({.mode = mode}), Side::kTo), source) << mode;
  for (const unsigned type : {1U, 2U, 3U, 10U, 12U})
    EXPECT_EQ(
        lies_behind(carry(Carrier::kEthernet, {}, ptp_message({.type = type})).frame, Side::kTo),
        source)
        << type;
  EXPECT_EQ(lies_behind(ntp_frame({}), Side::kNeither), source);
}

TEST(ImpairClock, TheFirstOneIsRewrittenToo) {
  for (const Side side : {Side::kFrom, Side::kTo}) {
    OneImpairment bench(clock_of("offset: 250ms"));
    EXPECT_EQ(stamps_of(after(bench, ntp_frame({}), side)).transmit,
              NtpWords{}.transmit + kQuarter);
  }
}

TEST(ImpairClock, AnEnabledRuleFindsOutAnew) {
  OneImpairment bench(clock_of("offset: 250ms"));
  EXPECT_NE(after(bench, ntp_frame({}), Side::kFrom), ntp_frame({}));
  EXPECT_EQ(after(bench, ntp_frame({}), Side::kTo), ntp_frame({}));
  bench.begins_ns = 1;
  EXPECT_NE(after(bench, ntp_frame({}), Side::kTo), ntp_frame({}));
  EXPECT_EQ(after(bench, ntp_frame({}), Side::kFrom), ntp_frame({}));
}

TEST(ImpairClock, WhoIsLateIsFoundOut) {
  OneImpairment bench(clock_of("by: delay-asymmetry, offset: 10ms"));
  const Bytes question = ntp_frame({.mode = 3});
  const auto late = [&](const Bytes& frame, Side side) {
    return bench.offer_one(offered(frame, side)).time_ns;
  };
  EXPECT_EQ(late(question, Side::kTo), 0U) << "nobody has told the time so far";
  EXPECT_EQ(late(ntp_frame({}), Side::kFrom), 0U) << "a source";
  EXPECT_EQ(late(question, Side::kTo), 2 * kTenMs);
  bench.begins_ns = 1;
  EXPECT_EQ(late(question, Side::kFrom), 0U);
  EXPECT_EQ(late(ntp_frame({}), Side::kTo), 0U) << "a victim";
  EXPECT_EQ(late(question, Side::kFrom), 2 * kTenMs);
}

TEST(ImpairClock, ExplainsWhatTheNodeIs) {
  OneImpairment bench(clock_of("offset: 1s"));
  const Bytes question = ntp_frame({.mode = 3});
  EXPECT_EQ(bench.explain(offered(question, Side::kTo)).state, "NTP mode 3, goes by");
  EXPECT_EQ(bench.explain(offered(ntp_frame({}), Side::kTo)).state,
            "NTP mode 4, tells the node's time");
  EXPECT_EQ(bench.explain(offered(ntp_frame({}), Side::kFrom)).state,
            "NTP mode 4, tells the node's time")
      << "nothing was learned by that";
  bench.offer_one(offered(ntp_frame({}), Side::kFrom));
  EXPECT_EQ(bench.explain(offered(question, Side::kTo)).state, "NTP mode 3, answers the node");
}

// --- what it is to others ----------------------------------------------------------------------

TEST(ImpairClock, WhatItNeeds) {
  EXPECT_TRUE(OneImpairment(clock_of("offset: 1s")).compiled.owns_scope) << "what it told";
  EXPECT_FALSE(OneImpairment(clock_of("offset: 1s, as: victim")).compiled.owns_scope);
  const std::string ptp = "offset: 1s, protocols: ptp";
  EXPECT_TRUE(OneImpairment(clock_of(ptp)).compiled.owns_scope) << "what the node is";
  EXPECT_FALSE(OneImpairment(clock_of(ptp + ", as: source")).compiled.owns_scope);
  EXPECT_TRUE(OneImpairment(clock_of("drift: 1ppm, as: victim")).compiled.owns_scope);
  EXPECT_FALSE(OneImpairment(clock_of("offset: 1s")).compiled.drops);
  EXPECT_TRUE(OneImpairment(clock_of("offset: 1s, on_auth: drop")).compiled.drops);
  const std::string late = "by: delay-asymmetry, offset: 1s";
  EXPECT_TRUE(OneImpairment(clock_of(late)).compiled.owns_scope) << "what the node is";
  EXPECT_FALSE(OneImpairment(clock_of(late + ", as: source")).compiled.owns_scope);
  EXPECT_TRUE(OneImpairment(clock_of(late + ", ramp: 1ms/s")).compiled.owns_scope);
  EXPECT_EQ(OneImpairment(clock_of(late)).compiled.adds_ns, 2'000'000'000U);
}

TEST(ImpairClock, Explains) {
  OneImpairment bench(clock_of("offset: 1s, as: source"));
  EXPECT_EQ(bench.explain(offered(ntp_frame({}), Side::kFrom)).state,
            "NTP mode 4, tells the node's time");
  EXPECT_EQ(
      bench.explain(offered(ntp_frame({.mode = 3, .trailer = test::mac(16)}), Side::kTo)).state,
      "NTP mode 3, authenticated, answers the node");
  EXPECT_EQ(bench.explain(offered(ptp_frame({.type = 8}), Side::kNeither)).state,
            "PTP type 8, goes by");
  EXPECT_EQ(bench.explain(offered(test::make(test::Ipv4Frame{}), Side::kFrom)).state,
            "not about time");
}

}  // namespace
}  // namespace faultline
