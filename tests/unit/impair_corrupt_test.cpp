// corrupt: who is hit and which bits, from the layout of the dice; each kind of damage and each
// place as they are promised; and what becomes of checksums, on random frames of every kind.
#include <gtest/gtest.h>

#include <set>

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
using test::Piece;

/// The numbers from which a packet's damage is made: Philox keyed by the number drawn for it.
class ReferenceStream {
 public:
  explicit ReferenceStream(std::uint64_t draw) : draw_(draw) {}

  std::uint64_t next() {
    const test::Words4 block =
        test::reference_philox(draw_ & 0xFFFFFFFFU, draw_ >> 32, {turn_ / 2, 0, 0, 0x64726177});
    const std::uint64_t half = 2 * (turn_++ % 2);
    return block[half] << 32 | block[half + 1];
  }
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>(Uint128{next()} * bound >> 64);
  }

 private:
  std::uint64_t draw_;
  std::uint64_t turn_ = 0;
};

std::uint64_t drawn(std::uint64_t number) {
  return test::reference_uniform(test::kFateDice, test::kBenchIdentity, number);
}

/// Which bits differ, the first one of a byte being its highest.
std::vector<std::uint64_t> turned(const Bytes& before, const Bytes& after) {
  std::vector<std::uint64_t> bits;
  EXPECT_EQ(before.size(), after.size());
  for (std::size_t bit = 0; bit < before.size() * 8; ++bit)
    if (((before[bit / 8] ^ after[bit / 8]) >> (7 - bit % 8) & 1) != 0)
      bits.push_back(bit);
  return bits;
}

Bytes noise(std::size_t bytes, std::uint64_t seed) {
  Bytes frame = test::frame_of(bytes);
  test::Random random(seed);
  for (std::size_t at = 42; at < bytes; ++at)
    frame[at] = static_cast<std::uint8_t>(random.below(256));
  return test::with_sums(frame);
}

TEST(ImpairCorrupt, TheDiceSayWhoAndWhich) {
  const Bytes frame = noise(200, 1);
  struct TableCase {
    std::string yaml;
    Uint128 share;
  };
  const TableCase cases[] = {{"corrupt: {}", Uint128{1} << 64},
                             {"corrupt: {rate: 10%}", test::share_of_fraction(1, 10)},
                             {"corrupt: {rate: 0%}", 0}};
  for (const TableCase& one : cases) {
    std::uint64_t number = 0;
    for (const Fate& fate : test::in_any_bursts(one.yaml, test::alike(frame, 1'000))) {
      const std::uint64_t uniform = drawn(++number);
      EXPECT_EQ(fate.reason, DropReason::kNone);
      std::vector<std::uint64_t> expected;
      if (uniform < one.share)
        expected.push_back(ReferenceStream(uniform).below(1'600));
      EXPECT_EQ(turned(frame, fate.bytes), expected) << one.yaml << " " << number;
    }
  }
}

TEST(ImpairCorrupt, SoManyDifferentBits) {
  const Bytes frame = noise(100, 2);
  std::vector<std::uint64_t> counts(800, 0);
  for (const std::uint64_t bits : {1U, 2U, 17U, 64U}) {
    OneImpairment bench("corrupt: {bits: " + std::to_string(bits) + "}");
    for (const Fate& fate : bench.offer(test::alike(frame, 2'000))) {
      const std::vector<std::uint64_t> places = turned(frame, fate.bytes);
      ASSERT_EQ(places.size(), bits);
      for (const std::uint64_t place : places) ++counts[place];
    }
  }
  // Each place is as likely as any other: (1 + 2 + 17 + 64) · 2,000 in 800.
  for (const std::uint64_t count : counts) test::expect_share(count, 1.0 / 800, 168'000);
  // More than there are: all of them.
  OneImpairment bench("corrupt: {bits: 64, where: payload}");
  const Bytes small = test::frame_of(45);
  std::vector<std::uint64_t> all;
  for (std::uint64_t bit = 42 * 8; bit < 45 * 8; ++bit) all.push_back(bit);
  EXPECT_EQ(turned(small, bench.offer_one({small}).bytes), all);
}

TEST(ImpairCorrupt, Bursts) {
  const Bytes frame = noise(60, 3);
  for (const std::uint64_t length : {1U, 2U, 3U, 40U, 100U}) {
    const std::string yaml = "corrupt: {burst: " + std::to_string(length) + "}";
    std::vector<std::uint64_t> starts(480 - length + 1, 0);
    std::size_t inside = 0;
    std::uint64_t number = 0;
    for (const Fate& fate : OneImpairment(yaml).offer(test::alike(frame, 4'000))) {
      const std::vector<std::uint64_t> places = turned(frame, fate.bytes);
      ASSERT_FALSE(places.empty());
      ASSERT_EQ(places.back() - places.front() + 1, length) << "first and last are turned";
      ASSERT_EQ(places.front(), ReferenceStream(drawn(++number)).below(starts.size()));
      ++starts[places.front()];
      inside += places.size() - (length == 1 ? 1 : 2);
    }
    const double free = length < 3 ? 0 : static_cast<double>(length - 2) * 4'000;
    if (free > 0)
      test::expect_share(inside, 0.5, free);
    else
      EXPECT_EQ(inside, 0U);
  }
  // No room for it: as long as the part.
  OneImpairment bench("corrupt: {burst: 4096, where: l2}");
  const std::vector<std::uint64_t> places = turned(frame, bench.offer_one({frame}).bytes);
  EXPECT_EQ(places.front(), 0U);
  EXPECT_EQ(places.back(), 14U * 8 - 1);
}

TEST(ImpairCorrupt, BytesAreWritten) {
  const Bytes frame = noise(100, 4);
  Bytes expected = frame;
  expected[50] = 0x00;
  expected[51] = 0xFF;
  OneImpairment there("corrupt: {where: 50, bytes: \"00ff\"}");
  EXPECT_EQ(there.offer_one({frame}).bytes, expected);
  OneImpairment behind("corrupt: {where: 99, bytes: \"00ff\"}");
  EXPECT_EQ(behind.offer_one({frame}).bytes, frame) << "too short for them";
  OneImpairment far("corrupt: {where: 65000, bits: 9}");
  EXPECT_EQ(far.offer_one({frame}).bytes, frame);
  // At a place drawn, within the part: bytes that the frame has nowhere tell where.
  const Bytes zeros = test::with_sums(test::frame_of(62));
  std::set<std::size_t> places;
  OneImpairment drawn_place("corrupt: {where: payload, bytes: \"c1 c2 c3\"}");
  for (const Fate& fate : drawn_place.offer(test::alike(zeros, 500))) {
    const Bytes pattern{0xC1, 0xC2, 0xC3};
    const auto found =
        std::search(fate.bytes.begin(), fate.bytes.end(), pattern.begin(), pattern.end());
    const auto at = static_cast<std::size_t>(found - fate.bytes.begin());
    ASSERT_LE(at, 59U);
    Bytes plain = zeros;
    std::copy(pattern.begin(), pattern.end(), plain.begin() + static_cast<std::ptrdiff_t>(at));
    ASSERT_EQ(fate.bytes, plain);
    places.insert(at);
  }
  EXPECT_EQ(places.size(), 18U) << "42 to 59";
}

struct Part {
  std::size_t first;
  std::size_t end;
};

Part part_of(const MadeFrame& made, const std::string& where) {
  if (where == "l2")
    return {0, made.l3};
  if (where == "l3")
    return {made.l3, made.body};
  if (where == "l4")
    return {made.l4, made.payload};
  return {made.payload != 0 ? made.payload : made.body, made.end};
}

TEST(ImpairCorrupt, WordsChangePlaces) {
  FrameMaker maker(61);
  OneImpairment bench("corrupt: {swap_words: true, where: payload}");
  int swapped = 0;
  for (int turn = 0; turn < 3'000; ++turn) {
    const MadeFrame made = maker.make();
    const std::size_t first = part_of(made, "payload").first;
    const Bytes after =
        bench.offer_one({made.bytes, 0, static_cast<std::uint64_t>(turn) + 1}).bytes;
    if (after == made.bytes)
      continue;
    ++swapped;
    // Words of the part, counted from its beginning: two neighbours, each the other.
    std::size_t at = first;
    while (after[at] == made.bytes[at]) ++at;
    at -= (at - first) % 2;
    Bytes expected = made.bytes;
    std::swap(expected[at], expected[at + 2]);
    std::swap(expected[at + 1], expected[at + 3]);
    ASSERT_EQ(after, expected) << turn;
    if (at + 4 <= made.sum_end)  // and not in what a datagram has behind UDP's end
      ASSERT_EQ(transport_residue(made, after), transport_residue(made, made.bytes))
          << "Internet checksums cannot see it";
  }
  EXPECT_GT(swapped, 1'500);
  const Bytes alike = test::frame_of(100);  // 58 zeros
  EXPECT_EQ(bench.offer_one({alike}).bytes, alike) << "no two that differ";
}

TEST(ImpairCorrupt, GapsByBitErrorRate) {
  // The first wrong bit is the least g with 1 − (1 − ber)^(g+1) > u, the next ones likewise with
  // numbers of the stream.
  const Bytes frame = noise(150, 5);
  const auto gap = [](std::uint64_t uniform) {
    const long double u = std::ldexp(static_cast<long double>(uniform), -64);
    long double kept = 1;
    std::uint64_t wrong = 0;
    for (; wrong < 1'200; ++wrong) {
      kept *= 1 - 0.004L;
      if (1 - kept > u)
        break;
    }
    return wrong;
  };
  std::uint64_t number = 0;
  std::size_t all = 0;
  for (const Fate& fate : test::in_any_bursts("corrupt: {ber: 0.4%}", test::alike(frame, 2'000))) {
    const std::uint64_t uniform = drawn(++number);
    ReferenceStream stream(uniform);
    std::vector<std::uint64_t> expected;
    for (std::uint64_t bit = gap(uniform); bit < 1'200; bit += 1 + gap(stream.next()))
      expected.push_back(bit);
    ASSERT_EQ(turned(frame, fate.bytes), expected) << number;
    all += expected.size();
  }
  test::expect_share(all, 0.004, 1'200.0 * 2'000);
  OneImpairment every("corrupt: {ber: 1}");
  EXPECT_EQ(turned(frame, every.offer_one({frame}).bytes).size(), 1'200U);
  // As rare as it may be, the upper half of a number alone does not rule out what would be hit.
  OneImpairment rare("corrupt: {ber: 1e-7}");
  std::size_t hit = 0;
  for (const Fate& fate : rare.offer(test::alike(test::frame_of(1'500), 100'000)))
    hit += fate.bytes != test::frame_of(1'500) ? 1U : 0U;
  test::expect_share(hit, 1.2e-3, 100'000);
}

TEST(ImpairCorrupt, NothingElseChanges) {
  for (const std::string where : {"l2", "l3", "l4", "payload"}) {
    FrameMaker maker(62);
    OneImpairment bench("corrupt: {bits: 5, where: " + where + "}");
    for (int turn = 0; turn < 3'000; ++turn) {
      const MadeFrame made = maker.make();
      const Part part = part_of(made, where);
      const std::vector<std::uint64_t> places = turned(
          made.bytes, bench.offer_one({made.bytes, 0, 1U + static_cast<unsigned>(turn)}).bytes);
      ASSERT_EQ(places.size(), std::min<std::size_t>(5, (part.end - part.first) * 8)) << where;
      for (const std::uint64_t place : places)
        ASSERT_TRUE(place / 8 >= part.first && place / 8 < part.end) << where << " " << place;
    }
  }
  // All of a frame that is not IP is l2, and it has nothing else.
  const Bytes arp = test::ethernet(0x0806, 46);
  OneImpairment all_of_it("corrupt: {bits: 64, where: l2}");
  EXPECT_GE(turned(arp, all_of_it.offer_one({arp}).bytes).back(), 14U * 8);
  for (const std::string where : {"l3", "l4", "payload"})
    EXPECT_EQ(OneImpairment("corrupt: {where: " + where + "}").offer_one({arp}).bytes, arp);
}

TEST(ImpairCorrupt, KeepLeavesChecksums) {
  FrameMaker maker(63);
  OneImpairment bench("corrupt: {bits: 1, where: payload}");
  for (int turn = 0; turn < 3'000; ++turn) {
    const MadeFrame made = maker.make(0);
    const Bytes after = bench.offer_one({made.bytes, 0, 1U + static_cast<unsigned>(turn)}).bytes;
    if (made.sum_at == 0 || after == made.bytes)
      continue;
    ASSERT_EQ(test::word_of(after, made.sum_at), test::word_of(made.bytes, made.sum_at));
    const std::uint64_t byte = turned(made.bytes, after).front() / 8;
    if (byte < made.sum_end && has_sum(made, after))
      ASSERT_NE(transport_residue(made, after), transport_residue(made, made.bytes))
          << "the receiver notices one bit";
  }
}

TEST(ImpairCorrupt, FixHasTheDamageReachTheApplication) {
  for (const std::string how : {"bits: 3", "burst: 40", "bytes: \"0123456789\"", "ber: 1%",
                                "swap_words: true", "bits: 64, where: l3", "bits: 64, where: l4"}) {
    FrameMaker maker(64);
    OneImpairment bench("corrupt: {checksum: fix, " + how + "}");
    int damaged = 0;
    for (int turn = 0; turn < 2'000; ++turn) {
      const MadeFrame made = maker.make();
      const Bytes after = bench.offer_one({made.bytes, 0, 1U + static_cast<unsigned>(turn)}).bytes;
      if (made.piece == Piece::kLater) {
        ASSERT_EQ(after, made.bytes) << "its checksum travels in the first";
        continue;
      }
      damaged += after != made.bytes ? 1 : 0;
      ASSERT_EQ(header_residue(made, after), header_residue(made, made.bytes)) << how << turn;
      ASSERT_EQ(has_sum(made, after), has_sum(made, made.bytes)) << how << turn;
      if (has_sum(made, after))
        ASSERT_EQ(transport_residue(made, after), transport_residue(made, made.bytes))
            << how << " " << turn;
    }
    EXPECT_GT(damaged, 1'000) << how;
  }
}

TEST(ImpairCorrupt, BreakIsNoticedWhateverTheDamage) {
  for (const std::string how : {"bits: 1", "burst: 9", "swap_words: true", "ber: 1%"}) {
    FrameMaker maker(65);
    OneImpairment bench("corrupt: {checksum: break, where: payload, " + how + "}");
    int noticed = 0;
    for (int turn = 0; turn < 2'000; ++turn) {
      const MadeFrame made = maker.make(static_cast<std::uint64_t>(turn % 2));
      const Bytes after = bench.offer_one({made.bytes, 0, 1U + static_cast<unsigned>(turn)}).bytes;
      if (after == made.bytes)
        continue;
      if (made.sum_at != 0 && made.piece == Piece::kWhole)
        ASSERT_TRUE(has_sum(made, after) && transport_residue(made, after) != 0) << how << turn;
      else if (made.sum_at == 0 && made.ipv4)
        ASSERT_NE(header_residue(made, after), 0U) << how << turn;
      ++noticed;
    }
    EXPECT_GT(noticed, 1'000) << how;
  }
}

TEST(ImpairCorrupt, Explains) {
  OneImpairment bench("corrupt: {rate: 50%}");
  test::expect_draw(bench.explain({test::frame_of(100), 0, 3}), 3, 0.5);
  // That any of 800 bits is wrong.
  OneImpairment ber("corrupt: {ber: 1e-3}");
  const Explanation why = ber.explain({test::frame_of(100), 0, 3});
  EXPECT_NEAR(why.threshold.value_or(0), 1 - std::pow(0.999, 800), 1e-12);
  EXPECT_TRUE(ber.compiled.damages) << "counted as corruption";
}

TEST(ImpairCorrupt, Errors) {
  const std::string rates = "; a probability between 0% and 100%, such as 1%, 0.01 or 1e-7";
  const std::string places =
      "; anywhere, l2, l3, l4, payload, or an offset in bytes from the "
      "frame's beginning, at most 65000";
  const std::string hex = "; 1 to 32 bytes in hex, such as \"00ff\"";
  const std::string kinds =
      "f:1:10: error: corrupt: more than one kind of damage; one of ber, "
      "bits, burst, bytes, swap_words";
  const std::string long_hex(66, 'a');
  const std::string too_long = "corrupt: {bytes: " + long_hex + "}";
  test::expect_errors({
      {"corrupt: 1%", {"f:1:10: error: corrupt: found '1%'; a mapping of keys to values"}},
      {"corrupt: {rate: 2}", {"f:1:17: error: '2' is out of range" + rates}},
      {"corrupt: {ber: 0}",
       {"f:1:16: error: a bit error rate of 0 damages nothing; a rate above 0, such as 1e-7"}},
      {"corrupt: {rate: 1%, ber: 1e-7}",
       {"f:1:26: error: corrupt: both rate and ber; one of them"}},
      {"corrupt: {where: l5}", {"f:1:18: error: found 'l5'" + places}},
      {"corrupt: {where: 65001}", {"f:1:18: error: found '65001'" + places}},
      {"corrupt: {where: [l2]}", {"f:1:18: error: found a list" + places}},
      {"corrupt: {bits: 0}", {"f:1:17: error: '0' is out of range; a count between 1 and 64"}},
      {"corrupt: {bits: 65}", {"f:1:17: error: '65' is out of range; a count between 1 and 64"}},
      {"corrupt: {burst: 4097}",
       {"f:1:18: error: '4097' is out of range; a count between 1 and 4096"}},
      {"corrupt: {bytes: 0g}", {"f:1:18: error: found '0g'" + hex}},
      {"corrupt: {bytes: \"\"}", {"f:1:18: error: found ''" + hex}},
      {too_long, {"f:1:18: error: found '" + long_hex + "'" + hex}},
      {"corrupt: {bits: 1, burst: 2}", {kinds}},
      {"corrupt: {ber: 1%, swap_words: true}", {kinds}},
      {"corrupt: {bytes: 00, swap_words: true}", {kinds}},
      {"corrupt: {swap_words: yes}",
       {"f:1:23: error: found 'yes'; true or false, without quotes; did you mean 'true'?"}},
      {"corrupt: {checksum: mend}", {"f:1:21: error: found 'mend'; one of keep, fix, break"}},
      {"corrupt: {bit: 1}",
       {"f:1:11: error: corrupt: unknown key 'bit'; known keys are rate, ber, where, bits, burst, "
        "bytes, swap_words, checksum; did you mean 'bits'?"}},
  });
}

}  // namespace
}  // namespace faultline
