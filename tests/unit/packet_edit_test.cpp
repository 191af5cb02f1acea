// Edits on random frames of every kind: the field is what was asked for, every other byte what it
// was, and each checksum as right, or as wrong, as before. Sums are made by edit_frames.hpp.
#include "packet/edit.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/unit/edit_frames.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::FrameMaker;
using test::has_sum;
using test::header_residue;
using test::MadeFrame;
using test::Piece;
using test::put16;
using test::transport_residue;
using test::word_of;

constexpr std::size_t kRoom = 64;

/// A frame in the middle of a larger piece of memory, which nobody else may touch.
class Bench {
 public:
  explicit Bench(const Bytes& bytes) : memory_(bytes.size() + 2 * kRoom, 0xEE) {
    std::copy(bytes.begin(), bytes.end(), memory_.begin() + kRoom);
    FrameFields fields;
    const std::span<std::uint8_t> place(memory_.data() + kRoom, bytes.size());
    parse_frame(place, place.size(), fields);
    frame.emplace(place, EditFrame::Room{kRoom, kRoom}, fields);
  }

  Bytes after() const { return {frame->bytes(), frame->bytes() + frame->length()}; }

  bool is_untouched_outside() const {
    const std::uint8_t* first = memory_.data();
    const bool before = std::all_of(first, std::min(first + kRoom, const_bytes()),
                                    [](std::uint8_t byte) { return byte == 0xEE; });
    return before && is_untouched_behind();
  }
  bool is_untouched_behind() const {
    return std::all_of(memory_.end() - kRoom, memory_.end(),
                       [](std::uint8_t byte) { return byte == 0xEE; });
  }

  std::optional<EditFrame> frame;

 private:
  const std::uint8_t* const_bytes() const { return frame->bytes(); }

  Bytes memory_;
};

/// The frame with zeros where checksums are.
Bytes without_sums(const MadeFrame& made, Bytes bytes) {
  if (made.ipv4)
    put16(bytes, made.l3 + 10, 0);
  if (made.sum_at != 0)
    put16(bytes, made.sum_at, 0);
  return bytes;
}

/// What becomes of the frame is `expected`, checksums aside, and those are as far off as before.
void expect_fixed(const MadeFrame& made, const Bytes& after, const Bytes& expected,
                  const std::string& what) {
  ASSERT_EQ(without_sums(made, after), without_sums(made, expected)) << what;
  ASSERT_EQ(header_residue(made, after), header_residue(made, made.bytes)) << what;
  if (made.sum_at == 0)
    return;
  ASSERT_EQ(has_sum(made, after), has_sum(made, made.bytes)) << what;
  if (has_sum(made, after))
    ASSERT_EQ(transport_residue(made, after), transport_residue(made, made.bytes)) << what;
}

/// One edit, and the same done plainly to bytes whose parts are known.
struct EditCase {
  const char* name;
  std::function<void(EditFrame&)> edit;
  std::function<void(const MadeFrame&, Bytes&)> plainly;
};

std::vector<EditCase> field_edits(test::Random& random) {
  const auto byte = static_cast<std::uint8_t>(random.below(256));
  const auto word = static_cast<std::uint16_t>(random.below(65'536));
  std::array<std::uint8_t, 16> address{};
  for (std::uint8_t& part : address) part = static_cast<std::uint8_t>(random.below(256));
  const std::array<std::uint8_t, 6> mac{2, byte, 3, 4, 5, 6};
  const auto put_class = [](const MadeFrame& made, Bytes& bytes, std::size_t mask,
                            std::size_t value) {
    const std::size_t shift = made.ipv4 ? 0 : 4;
    const std::size_t before = word_of(bytes, made.l3);
    put16(bytes, made.l3, (before & ~(mask << shift)) | value << shift);
  };
  const auto ports = [](const MadeFrame& made) {
    return made.l4 != 0 && (made.protocol == 6 || made.protocol == 17);
  };
  std::vector<EditCase> edits{
      {"ttl", [=](EditFrame& frame) { edit_ttl(frame, byte); },
       [=](const MadeFrame& made, Bytes& bytes) { bytes[made.l3 + (made.ipv4 ? 8 : 7)] = byte; }},
      {"dscp", [=](EditFrame& frame) { edit_dscp(frame, byte & 63); },
       [=](const MadeFrame& made, Bytes& bytes) {
         put_class(made, bytes, 0xFC, (byte & 63U) << 2);
       }},
      {"ecn", [=](EditFrame& frame) { edit_ecn(frame, byte & 3); },
       [=](const MadeFrame& made, Bytes& bytes) { put_class(made, bytes, 3, byte & 3U); }},
      {"window", [=](EditFrame& frame) { edit_window(frame, word); },
       [=](const MadeFrame& made, Bytes& bytes) {
         if (made.l4 != 0 && made.protocol == 6)
           put16(bytes, made.l4 + 14, word);
       }},
  };
  for (const End end : {End::kSource, End::kDestination}) {
    const std::size_t turn = end == End::kSource ? 0 : 1;
    edits.push_back({"port", [=](EditFrame& frame) { edit_port(frame, end, word); },
                     [=](const MadeFrame& made, Bytes& bytes) {
                       if (ports(made))
                         put16(bytes, made.l4 + 2 * turn, word);
                     }});
    edits.push_back({"mac", [=](EditFrame& frame) { edit_mac(frame, end, mac); },
                     [=](const MadeFrame&, Bytes& bytes) {
                       std::copy(mac.begin(), mac.end(), bytes.begin() + (turn == 0 ? 6 : 0));
                     }});
    for (const FlowKind kind : {FlowKind::kIpv4, FlowKind::kIpv6})
      edits.push_back(
          {"address", [=](EditFrame& frame) { edit_address(frame, end, kind, address); },
           [=](const MadeFrame& made, Bytes& bytes) {
             const std::size_t count = made.ipv4 ? 4 : 16;
             if (made.ipv4 == (kind == FlowKind::kIpv4))
               std::copy_n(address.begin(), count,
                           bytes.data() + made.l3 + (made.ipv4 ? 12 : 8) + turn * count);
           }});
  }
  return edits;
}

TEST(PacketEdit, FieldsOfRandomFrames) {
  FrameMaker maker(1);
  for (int turn = 0; turn < 100'000; ++turn) {
    const MadeFrame made = maker.make();
    for (const EditCase& one : field_edits(maker.random())) {
      Bench bench(made.bytes);
      ASSERT_EQ(bench.frame->fields().l3_offset, made.l3) << turn;
      ASSERT_EQ(bench.frame->fields().l4_offset, made.l4) << turn;
      one.edit(*bench.frame);
      bench.frame->settle(ChecksumCare::kFix);
      Bytes expected = made.bytes;
      one.plainly(made, expected);
      const std::string what = std::string(one.name) + " of frame " + std::to_string(turn);
      expect_fixed(made, bench.after(), expected, what);
      ASSERT_TRUE(bench.is_untouched_outside()) << what;
      if (expected == made.bytes)
        ASSERT_EQ(bench.after(), made.bytes) << what << ": nothing to do, nothing done";
    }
    if (HasFatalFailure())
      return;
  }
}

/// The parts of a frame that random damage hits: anywhere but in checksums, and not in lengths and
/// header lengths, by which a receiver would look for everything elsewhere.
std::vector<std::size_t> places_of(const MadeFrame& made) {
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < made.bytes.size(); ++at) {
    const bool header_sum = made.ipv4 && (at == made.l3 + 10 || at == made.l3 + 11);
    const bool sum = made.sum_at != 0 && (at == made.sum_at || at == made.sum_at + 1);
    if (!header_sum && !sum)
      places.push_back(at);
  }
  return places;
}

TEST(PacketEdit, DamageIsRepairedKeptOrMadeSureOf) {
  FrameMaker maker(2);
  for (int turn = 0; turn < 100'000; ++turn) {
    const MadeFrame made = maker.make();
    const std::vector<std::size_t> places = places_of(made);
    Bytes damaged = made.bytes;
    for (std::uint64_t count = 1 + maker.random().below(6); count > 0; --count)
      damaged[places[maker.random().below(places.size())]] =
          static_cast<std::uint8_t>(maker.random().below(256));
    for (const ChecksumCare care :
         {ChecksumCare::kFix, ChecksumCare::kKeep, ChecksumCare::kBreak}) {
      Bench bench(made.bytes);
      for (std::uint32_t at = 0; at < damaged.size(); ++at) bench.frame->put(at, damaged[at]);
      bench.frame->settle(care);
      const Bytes after = bench.after();
      ASSERT_TRUE(bench.is_untouched_outside());
      if (care == ChecksumCare::kFix)
        expect_fixed(made, after, damaged, "frame " + std::to_string(turn));
      else if (care == ChecksumCare::kKeep)
        ASSERT_EQ(after, damaged) << turn;
      else
        ASSERT_EQ(without_sums(made, after), without_sums(made, damaged)) << turn;
      if (care != ChecksumCare::kBreak)
        continue;
      // Whatever it was before, the innermost sum is wrong now; a fragment's nobody can know.
      if (made.sum_at != 0 && made.piece == Piece::kWhole)
        ASSERT_TRUE(has_sum(made, after) && transport_residue(made, after) != 0) << turn;
      else if (made.sum_at == 0 && made.ipv4)
        ASSERT_NE(header_residue(made, after), 0U) << turn;
    }
    if (HasFatalFailure())
      return;
  }
}

TEST(PacketEdit, BrokenIsNeverRightByChance) {
  // Each wrong checksum that a turned bit could make right, and UDP without one whose right one
  // would be 1, 2 or 3.
  FrameMaker maker(3);
  int checked = 0;
  for (int turn = 0; turn < 20'000; ++turn) {
    MadeFrame made = maker.make(0);
    if (made.sum_at == 0 || made.piece != Piece::kWhole)
      continue;
    const std::size_t right = word_of(made.bytes, made.sum_at);
    for (const std::size_t sum : {right ^ 1U, right ^ 2U, right ^ 3U, std::size_t{0}}) {
      put16(made.bytes, made.sum_at, sum);
      Bench bench(made.bytes);
      bench.frame->settle(ChecksumCare::kBreak);
      const Bytes after = bench.after();
      ASSERT_TRUE(has_sum(made, after) && transport_residue(made, after) != 0) << turn;
      ++checked;
    }
  }
  EXPECT_GT(checked, 30'000);
}

TEST(PacketEdit, TagsComeAndGo) {
  FrameMaker maker(4);
  for (int turn = 0; turn < 100'000; ++turn) {
    const MadeFrame made = maker.make();
    const auto tag = static_cast<std::uint16_t>(maker.random().below(65'536));
    Bytes pushed = made.bytes;
    const Bytes more{0x81, 0x00, static_cast<std::uint8_t>(tag >> 8),
                     static_cast<std::uint8_t>(tag)};
    pushed.insert(pushed.begin() + 12, more.begin(), more.end());
    Bytes popped = made.bytes;
    Bytes rewritten = made.bytes;
    if (made.tags > 0) {
      popped.erase(popped.begin() + 12, popped.begin() + 16);
      put16(rewritten, 14, (word_of(rewritten, 14) & 0xF000) | (tag & 0x0FFFU));
    }
    Bench bench(made.bytes);
    push_vlan(*bench.frame, tag);
    ASSERT_EQ(bench.after(), pushed) << turn;
    // Everything is found four bytes farther on: a port, and its checksum.
    edit_ttl(*bench.frame, 77);
    edit_port(*bench.frame, End::kSource, tag);
    bench.frame->settle(ChecksumCare::kFix);
    pop_vlan(*bench.frame);
    Bench plain(made.bytes);
    edit_ttl(*plain.frame, 77);
    edit_port(*plain.frame, End::kSource, tag);
    plain.frame->settle(ChecksumCare::kFix);
    ASSERT_EQ(bench.after(), plain.after()) << turn;
    ASSERT_TRUE(bench.is_untouched_behind()) << "the room before is there to be used";

    Bench pop(made.bytes);
    for (std::size_t times = 0; times < 5; ++times) {
      pop_vlan(*pop.frame);
      if (times == 0)
        ASSERT_EQ(pop.after(), popped) << turn;
    }
    ASSERT_EQ(pop.frame->length(), made.bytes.size() - 4 * made.tags) << turn << ": no tag is left";
    Bench rewrite(made.bytes);
    rewrite_vlan(*rewrite.frame, tag, kVlanIdMask);
    ASSERT_EQ(rewrite.after(), rewritten) << turn;
  }
}

TEST(PacketEdit, CutsKeepWhatIsLeft) {
  FrameMaker maker(5);
  for (int turn = 0; turn < 100'000; ++turn) {
    const MadeFrame made = maker.make();
    const std::size_t length = 14 + maker.random().below(made.bytes.size() - 13);
    Bench bench(made.bytes);
    bench.frame->cut(static_cast<std::uint32_t>(length));
    Bytes left(made.bytes.begin(), made.bytes.begin() + static_cast<std::ptrdiff_t>(length));
    ASSERT_EQ(bench.after(), left) << turn;
    // What is there whole can still be edited, and nothing else is.
    edit_ttl(*bench.frame, 9);
    edit_window(*bench.frame, 0x1234);
    edit_port(*bench.frame, End::kDestination, 0x4321);
    const std::size_t header = made.l3 + (made.ipv4 ? 20 : 40);
    if (length >= header)
      left[made.l3 + (made.ipv4 ? 8 : 7)] = 9;
    if (made.l4 != 0 && made.protocol == 6 && length >= made.l4 + 20) {
      put16(left, made.l4 + 14, 0x1234);
      put16(left, made.l4 + 2, 0x4321);
    } else if (made.l4 != 0 && made.protocol == 17 && length >= made.l4 + 8) {
      put16(left, made.l4 + 2, 0x4321);
    }
    ASSERT_EQ(bench.after(), left) << turn << " cut to " << length;
    ASSERT_TRUE(bench.is_untouched_outside());
  }
}

TEST(PacketEdit, CutsThatFit) {
  FrameMaker maker(6);
  int cut = 0;
  for (int turn = 0; turn < 100'000; ++turn) {
    MadeFrame made = maker.make();
    const std::size_t length = 14 + maker.random().below(made.bytes.size() - 13);
    const bool can = made.l4 != 0 && made.piece == Piece::kWhole && length >= made.payload;
    Bench bench(made.bytes);
    FrameFields fields = bench.frame->fields();
    if (length < made.bytes.size())
      ASSERT_EQ(can_cut_fixed(fields, static_cast<std::uint32_t>(length)), can) << turn;
    const std::size_t header = header_residue(made, made.bytes);
    const std::size_t sum = transport_residue(made, made.bytes);
    const bool summed = has_sum(made, made.bytes);
    ASSERT_EQ(bench.frame->cut_fixed(static_cast<std::uint32_t>(length)),
              can || length == made.bytes.size());
    if (!can || length == made.bytes.size()) {
      ASSERT_EQ(bench.after(), made.bytes) << turn;
      continue;
    }
    ++cut;
    const Bytes after = bench.after();
    Bytes expected(made.bytes.begin(), made.bytes.begin() + static_cast<std::ptrdiff_t>(length));
    made.end = std::min(made.end, length);
    made.sum_end = std::min(made.sum_end, length);
    if (made.ipv4)
      put16(expected, made.l3 + 2, made.end - made.l3);
    else
      put16(expected, made.l3 + 4, made.end - made.l3 - 40);
    if (made.protocol == 17)
      put16(expected, made.l4 + 4, made.sum_end - made.l4);
    ASSERT_EQ(without_sums(made, after), without_sums(made, expected)) << turn;
    ASSERT_EQ(header_residue(made, after), header) << turn;
    ASSERT_EQ(has_sum(made, after), summed) << turn;
    if (summed)
      ASSERT_EQ(transport_residue(made, after), sum) << turn;
    FrameFields again;
    ASSERT_EQ(parse_frame(after, after.size(), again), ParseOutcome::kParsed) << turn;
  }
  EXPECT_GT(cut, 10'000);
}

TEST(PacketEdit, OptionsOfTcp) {
  FrameMaker maker(7);
  for (int turn = 0; turn < 100'000; ++turn) {
    const MadeFrame made = maker.make();
    const bool options = made.l4 != 0 && made.protocol == 6 && made.payload > made.l4 + 20;
    Bytes stripped = made.bytes;
    Bytes clamped = made.bytes;
    if (options) {
      for (std::size_t at = 6; at < 16; ++at) stripped[made.l4 + 20 + at] = 1;  // time stamps
      if ((made.bytes[made.l4 + 13] & 2) != 0)
        put16(clamped, made.l4 + 22, 1'200);
    }
    Bench strip(made.bytes);
    strip_tcp_options(*strip.frame, 1U << 8);
    strip.frame->settle(ChecksumCare::kFix);
    expect_fixed(made, strip.after(), stripped, "stripped " + std::to_string(turn));
    Bench clamp(made.bytes);
    clamp_mss(*clamp.frame, 1'200);
    clamp.frame->settle(ChecksumCare::kFix);
    expect_fixed(made, clamp.after(), clamped, "clamped " + std::to_string(turn));
    if (HasFatalFailure())
      return;
  }
}

TEST(PacketEdit, MarksCongestionWithAGoodChecksum) {
  // RFC 3168, section 5: of the two bits, 10 and 01 are ECN-capable, and 11 says congestion.
  FrameMaker maker(8);
  for (int turn = 0; turn < 100'000; ++turn) {
    const MadeFrame made = maker.make(0);
    Bench bench(made.bytes);
    edit_ecn(*bench.frame, 3);
    bench.frame->settle(ChecksumCare::kFix);
    const Bytes after = bench.after();
    const std::size_t bits = made.ipv4 ? after[made.l3 + 1] : word_of(after, made.l3) >> 4;
    ASSERT_EQ(bits & 3, 3U) << turn;
    ASSERT_EQ(header_residue(made, after), 0U) << turn;
    for (std::size_t at = 0; at < after.size(); ++at) {
      const std::size_t behind = at - made.l3;
      const bool may_differ = made.ipv4 ? behind == 1 || behind == 10 || behind == 11 : behind == 1;
      ASSERT_TRUE(may_differ || after[at] == made.bytes[at]) << turn << " at " << at;
    }
  }
}

struct SumCase {
  Bytes bytes;
  std::uint16_t sum;
};

TEST(PacketEdit, OnesComplementSums) {
  const SumCase cases[] = {
      {{}, 0},
      {{0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7}, 0xDDF2},  // RFC 1071, section 3
      {{0xFF, 0xFF}, 0xFFFF},
      {{0xFF, 0xFF, 0x00, 0x01}, 1},
      {{0x12}, 0x1200},  // an odd last byte is an upper half
  };
  for (const SumCase& one : cases) EXPECT_EQ(ones_sum(one.bytes), one.sum);
}

}  // namespace
}  // namespace faultline
