// equivocate: who gets which bytes, on random frames of every kind whose parts are known; what is
// beyond the payload; and how patches are read.
#include <gtest/gtest.h>

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

constexpr NodeMask kOne = 1U << 1;
constexpr NodeMask kTwo = 1U << 2;
const std::string kPatches =
    "{to: n1, offset: 2, hex: \"0102\"}, {to: n1, offset: 3, hex: ff}, {to: n2, hex: \"0a0b0c\"}";

bool is_patched(const MadeFrame& made) {
  return made.l4 != 0 && (made.protocol == 6 || made.protocol == 17);
}

/// The payload's end by UDP's own length.
std::size_t payload_end(const MadeFrame& made) {
  return made.protocol == 17 ? std::min(made.sum_end, made.end) : made.end;
}

void put_patch(const MadeFrame& made, Bytes& bytes, std::size_t offset, const Bytes& patch) {
  const std::size_t first = made.payload + offset;
  if (is_patched(made) && first + patch.size() <= payload_end(made))
    std::copy(patch.begin(), patch.end(), bytes.begin() + static_cast<std::ptrdiff_t>(first));
}

Bytes without_sum(const MadeFrame& made, Bytes bytes) {
  if (made.sum_at != 0)
    test::put16(bytes, made.sum_at, 0);
  return bytes;
}

TEST(ImpairEquivocate, EachNodeHearsItsOwn) {
  FrameMaker maker(61);
  OneImpairment bench("equivocate: {patches: [" + kPatches + "]}");
  int changed = 0;
  for (int turn = 0; turn < 3'000; ++turn) {
    const MadeFrame made = maker.make();
    for (const NodeMask to : {NodeMask{0}, kOne, kTwo, kOne | kTwo, NodeMask{1} << 3}) {
      Bytes expected = made.bytes;
      if ((to & kOne) != 0) {
        put_patch(made, expected, 2, {1, 2});
        put_patch(made, expected, 3, {255});
      }
      if ((to & kTwo) != 0)
        put_patch(made, expected, 0, {10, 11, 12});
      const Fate fate = bench.offer_one({made.bytes, 0, 1, 8, to});
      ASSERT_EQ(without_sum(made, fate.bytes), without_sum(made, expected)) << turn;
      ASSERT_EQ(has_sum(made, fate.bytes), has_sum(made, made.bytes)) << turn;
      if (has_sum(made, fate.bytes))
        ASSERT_EQ(transport_residue(made, fate.bytes), transport_residue(made, made.bytes));
      ASSERT_EQ(fate.reason, DropReason::kNone);
      changed += expected != made.bytes ? 1 : 0;
    }
  }
  EXPECT_GT(changed, 3'000);
}

Bytes with_payload(std::string_view text, std::uint8_t protocol) {
  Bytes frame = make(test::Ipv4Frame{.protocol = protocol, .payload_bytes = text.size()});
  std::copy(text.begin(), text.end(), frame.end() - static_cast<std::ptrdiff_t>(text.size()));
  return test::with_sums(frame);
}

std::string told(OneImpairment& bench, const Bytes& frame, NodeMask to, std::size_t bytes) {
  const Bytes got = bench.offer_one({frame, 0, 1, 0, to}).bytes;
  return {got.end() - static_cast<std::ptrdiff_t>(bytes), got.end()};
}

TEST(ImpairEquivocate, TextsAreFoundWhereverTheyStand) {
  OneImpairment bench(
      "equivocate: {patches: [{to: n1, find: aa, with: ab}, {to: n2, find: \"set x\", with: \"set "
      "y\"}]}");
  for (const std::uint8_t protocol : {std::uint8_t{6}, std::uint8_t{17}}) {
    EXPECT_EQ(told(bench, with_payload("aaaaa baa", protocol), kOne, 9), "ababa bab");
    EXPECT_EQ(told(bench, with_payload("set x set X", protocol), kTwo, 11), "set y set X");
    EXPECT_EQ(told(bench, with_payload("set x", protocol), kOne, 5), "set x");
    EXPECT_EQ(told(bench, with_payload("a", protocol), kOne, 1), "a");
  }
  const Bytes frame = with_payload("set x", 17);
  EXPECT_TRUE(test::sums_are_right(bench.offer_one({frame, 0, 1, 0, kTwo}).bytes));
}

TEST(ImpairEquivocate, TheEndOfThePayload) {
  OneImpairment bench(
      "equivocate: {patches: [{to: n1, offset: 6, hex: \"3132\"}, {to: n1, offset: 0, hex: "
      "\"33\"}, "
      "{to: n2, offset: 7, hex: \"3132\"}, {to: n2, offset: 65000, hex: \"31\"}]}");
  const Bytes frame = with_payload("abcdefgh", 17);
  EXPECT_EQ(told(bench, frame, kOne, 8), "3bcdef12");
  EXPECT_EQ(told(bench, frame, kTwo, 8), "abcdefgh");
  Bytes padded = frame;
  padded.insert(padded.end(), 6, 'p');
  EXPECT_EQ(told(bench, padded, kTwo, 6), "pppppp");
  EXPECT_EQ(told(bench, with_payload("", 17), kOne, 0), "");
}

TEST(ImpairEquivocate, Checksums) {
  const Bytes frame = with_payload("abcdefgh", 6);
  const std::string patches = "equivocate: {patches: [{to: n1, hex: \"00\"}], checksum: ";
  Bytes kept = frame;
  kept[kept.size() - 8] = 0;
  OneImpairment keep(patches + "keep}");
  EXPECT_EQ(keep.offer_one({frame, 0, 1, 0, kOne}).bytes, kept);
  OneImpairment fix(patches + "fix}");
  EXPECT_TRUE(test::sums_are_right(fix.offer_one({frame, 0, 1, 0, kOne}).bytes));
  OneImpairment broken(patches + "break}");
  EXPECT_FALSE(test::sums_are_right(broken.offer_one({frame, 0, 1, 0, kOne}).bytes));
}

TEST(ImpairEquivocate, IsAboutThePacketsToItsNodes) {
  const OneImpairment bench("equivocate: {patches: [" + kPatches + "]}");
  ASSERT_TRUE(bench.compiled.links && bench.compiled.nodes);
  const LinkBundle& bundle = bench.compiled.links->bundles.at(0);
  EXPECT_TRUE(bundle.from.any);
  EXPECT_EQ(bundle.to.nodes, kOne | kTwo);
}

TEST(ImpairEquivocate, Explains) {
  OneImpairment bench("equivocate: {patches: [" + kPatches + "]}");
  const Bytes frame = with_payload("abc", 17);
  EXPECT_EQ(bench.explain({frame, 0, 1, 0, kTwo}).state, "what n2 is told");
  EXPECT_EQ(bench.explain({frame, 0, 1, 0, 1}).state, "to no node with a patch");
  EXPECT_EQ(bench.explain({test::ethernet(0x0806, 46), 0, 1, 0, kTwo}).state,
            "no payload of TCP or UDP");
}

TEST(ImpairEquivocate, Errors) {
  const auto errors = [](const std::string& value) {
    return test::item_errors("equivocate: " + value, test::bench_context());
  };
  using Lines = std::vector<std::string>;
  const std::string nodes = "; one of the nodes n0, n1, n2, n3, n4, x";
  const std::string once =
      ": error: a patch says what changes just once; offset and hex, or find and with";
  EXPECT_EQ(errors("{}"), Lines{"f:1:13: error: equivocate: 'patches' is missing"});
  EXPECT_EQ(errors("{patches: []}"),
            Lines{"f:1:23: error: found a list; a list of 1 to 64 patches such as {to: db2, "
                  "offset: 8, hex: \"01\"}"});
  EXPECT_EQ(errors("{patches: [{hex: 00}]}"), Lines{"f:1:24: error: a patch: 'to' is missing"});
  EXPECT_EQ(errors("{patches: [{to: z, hex: 00}]}"),
            Lines{"f:1:29: error: unknown node 'z'" + nodes});
  EXPECT_EQ(errors("{patches: [{to: n1}]}"), Lines{"f:1:24" + once});
  EXPECT_EQ(errors("{patches: [{to: n1, hex: 00, find: a, with: b}]}"), Lines{"f:1:24" + once});
  EXPECT_EQ(errors("{patches: [{to: n1, offset: 3, find: a, with: b}]}"), Lines{"f:1:24" + once});
  EXPECT_EQ(errors("{patches: [{to: n1, find: a}]}"),
            Lines{"f:1:39: error: find without with; with: a text as long"});
  EXPECT_EQ(errors("{patches: [{to: n1, find: ab, with: abc}]}"),
            Lines{"f:1:49: error: 3 bytes in place of 2; a text as long as the one that is found"});
  EXPECT_EQ(errors("{patches: [{to: n1, hex: 0}]}"),
            Lines{"f:1:38: error: found '0'; 1 to 64 bytes in hex, such as \"00ff\""});
  EXPECT_EQ(errors("{patches: [{to: n1, offset: 65001, hex: 00}]}"),
            Lines{"f:1:41: error: '65001' is out of range; a count of at most 65k"});
  EXPECT_EQ(errors("{patches: [{to: n1, hex: 00}], checksum: no}").size(), 1U);
}

}  // namespace
}  // namespace faultline
