// One impairment by itself, offered packets with bytes. What the data path makes of its decisions
// is done here plainly: edits, copies and answers, so that a test sees all of a packet's fate at
// once.
#pragma once

#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "packet/edit.hpp"
#include "tests/unit/edit_frames.hpp"

namespace faultline::test {

inline constexpr std::uint64_t kBenchIdentity = 0x0123456789ABCDEF;
/// The dice of the first impairment of rule "uplink" with seed 42, as the benches here have them.
inline const DiceName kFateDice{42, "uplink", 0, 0};
inline const DiceName kDelayDice{42, "uplink", 0, 2};

struct Offered {
  Bytes frame;
  std::uint64_t time_ns = 0;
  std::uint64_t number = 1;   ///< in its flow, and among the matches of its scope
  NodeMask sources = 0;       ///< nodes that it comes from
  NodeMask destinations = 0;  ///< and that it goes to
};

/// Of a packet, or of a copy, which follows its packet.
struct Fate {
  DropReason reason = DropReason::kNone;
  std::uint64_t time_ns = 0;
  std::uint32_t length_bytes = 0;  ///< as a stage behind it sees it
  std::uint8_t ecn = 0;            ///< likewise
  bool marked = false;
  std::uint32_t which = 0;  ///< 0: the packet itself
  Bytes bytes;              ///< after all edits
  Bytes answer;             ///< empty: none
  std::uint64_t answer_ns = 0;
  bool answers_back = false;

  friend bool operator==(const Fate&, const Fate&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Fate& fate) {
    return out << (fate.reason == DropReason::kNone ? "passes" : drop_reason_name(fate.reason))
               << " at " << fate.time_ns << ", " << fate.length_bytes << " bytes, copy "
               << fate.which << ", answer of " << fate.answer.size();
  }
};

/// The node of the benches that is called "x". Which packets are its own is told with each.
inline constexpr std::size_t kBenchNode = 5;
inline CompileContext bench_context() {
  static const auto nodes = std::make_shared<const NodeTable>([] {
    std::vector<NodeAddresses> made(kBenchNode + 1);
    for (std::size_t index = 0; index < made.size(); ++index) {
      made[index].name = index == kBenchNode ? "x" : "n" + std::to_string(index);
      made[index].port = static_cast<std::uint8_t>(index);
    }
    return made;
  }());
  return {.seed = 42, .rule_name = "uplink", .nodes = &nodes};
}

/// "[rate: …, queue: …]" or just "loss: 1%": the first of the list, in one scope.
class OneImpairment {
 public:
  static constexpr std::size_t kRoom = 256;

  explicit OneImpairment(const std::string& yaml, std::uint64_t backlog = 1'000) : pool(backlog) {
    const ConfigNode list = tree_of("[" + yaml + "]");
    Problems problems;
    std::string_view kind;
    const CompileContext context = context_of(bench_context(), list);
    auto read = compile_impairment(list.items.at(0), context, &kind, problems);
    EXPECT_TRUE(read.has_value() && problems.empty()) << yaml << "\n" << joined(problems);
    compiled = std::move(read).value_or(CompiledImpairment{});
    guarded = std::make_unique<GuardedState>(compiled);
    asked_.fields = &fields_;
    asked_.self = &compiled;
    asked_.backlog = &pool;
  }

  /// In bursts of `burst_size`; every packet is one of those it is asked about.
  std::vector<Fate> offer(const std::vector<Offered>& packets, std::uint32_t burst_size = 64) {
    std::vector<Fate> fates;
    for (std::size_t first = 0; first < packets.size(); first += burst_size) {
      const std::size_t count = std::min<std::size_t>(burst_size, packets.size() - first);
      Selection selection;
      burst_.edits.begin();
      burst_.answer_count = 0;
      for (std::size_t turn = 0; turn < count; ++turn) take(packets[first + turn], selection);
      compiled.decide(compiled.parameters, asked_, burst_, selection, tally);
      for (std::size_t turn = 0; turn < count; ++turn)
        collect(packets[first + turn], selection.position[turn], fates);
    }
    return fates;
  }
  Fate offer_one(const Offered& packet) { return offer({packet}).at(0); }

  Explanation explain(const Offered& packet) {
    Selection selection;
    burst_.edits.begin();
    take(packet, selection);
    return compiled.explain(compiled.parameters, asked_, burst_, selection.position[0]);
  }

  CompiledImpairment compiled;
  std::unique_ptr<GuardedState> guarded;
  BacklogPool pool;
  ImpairmentTally tally;
  std::uint64_t zero_ns = 0;
  std::uint64_t begins_ns = 0;
  ScopeState common;
  std::uint64_t identity = kBenchIdentity;

 private:
  static std::string joined(const Problems& problems) {
    std::string all;
    for (const std::string& line : lines_of(problems)) all += line + "\n";
    return all;
  }

  void take(const Offered& packet, Selection& selection) {
    // Backwards through the burst: positions, not neighbours, say which packet is meant.
    const auto i = static_cast<std::uint8_t>(kBurstMax - 1 - selection.count);
    parse_frame(packet.frame, packet.frame.size(), fields_[i]);
    asked_.identity[i] = asked_.scope[i] = identity;
    asked_.number[i] = asked_.match_number[i] = asked_.step[i] = packet.number;
    asked_.entered_ns[i] = packet.time_ns;
    asked_.state[i] = &guarded->state;
    asked_.zero_ns = zero_ns;
    asked_.frames[i] = packet.frame;
    asked_.sources[i] = packet.sources;
    asked_.destinations[i] = packet.destinations;
    asked_.common = &common;
    asked_.begins_ns = begins_ns;
    burst_.arrival_ns[i] = burst_.time_ns[i] = packet.time_ns;
    burst_.length_bytes[i] = static_cast<std::uint32_t>(packet.frame.size());
    burst_.tag_bytes[i] = 0;
    burst_.piece[i] = faultline::Piece::kWhole;
    burst_.ecn[i] = fields_[i].ecn;
    burst_.marked[i] = false;
    burst_.reason[i] = DropReason::kNone;
    burst_.copies[i] = 0;
    burst_.edits.clear(i);
    selection.position[selection.count++] = i;
  }

  void collect(const Offered& packet, std::uint8_t i, std::vector<Fate>& fates) {
    fates.push_back(fate_of(packet, burst_, i, 0));
    for (std::uint32_t turn = 0; turn < burst_.answer_count; ++turn)
      if (burst_.answers[turn].of == i)
        answer(packet, burst_.answers[turn], fates.back());
    if (compiled.copies == 0 || burst_.reason[i] != DropReason::kNone)
      return;
    for (std::uint32_t which = 1; which <= burst_.copies[i]; ++which) {
      JudgedBurst with_copy = burst_;
      const auto copy = static_cast<std::uint8_t>((i + 1U) % kBurstMax);
      with_copy.time_ns[copy] = with_copy.time_ns[i];
      with_copy.length_bytes[copy] = with_copy.length_bytes[i];
      with_copy.tag_bytes[copy] = with_copy.tag_bytes[i];
      with_copy.piece[copy] = with_copy.piece[i];
      with_copy.ecn[copy] = with_copy.ecn[i];
      with_copy.marked[copy] = with_copy.marked[i];
      with_copy.reason[copy] = DropReason::kNone;
      with_copy.edits.copy(i, copy);
      const FrameFields kept = std::exchange(fields_[copy], fields_[i]);
      if (compiled.copied != nullptr)
        compiled.copied(asked_, with_copy, i, copy, which);
      fates.push_back(fate_of(packet, with_copy, copy, which));
      fields_[copy] = kept;
    }
  }

  Fate fate_of(const Offered& packet, const JudgedBurst& burst, std::uint8_t i,
               std::uint32_t which) const {
    Fate fate{burst.reason[i],       burst.time_ns[i],
              burst.length_bytes[i], burst.ecn[i],
              burst.marked[i],       which,
              packet.frame,          {}};
    if (fate.reason != DropReason::kNone)
      return fate;
    Bytes memory(packet.frame.size() + 2 * kRoom, 0xEE);
    std::copy(packet.frame.begin(), packet.frame.end(), memory.begin() + kRoom);
    EditFrame frame({memory.data() + kRoom, packet.frame.size()}, {kRoom, kRoom}, fields_[i]);
    burst.edits.visit(i, [&](const Edit& edit) { edit.impairment->edit(edit, frame); });
    if (fate.marked) {
      edit_ecn(frame, kEcnCongestionExperienced);
      frame.settle(ChecksumCare::kFix);
    }
    fate.bytes.assign(frame.bytes(), frame.bytes() + frame.length());
    return fate;
  }

  void answer(const Offered& packet, const FrameAnswer& wanted, Fate& fate) const {
    Bytes copy = packet.frame;
    const EditFrame frame(copy, {}, fields_[wanted.of]);
    Bytes out(kAnswerBytesMax, 0xEE);
    out.resize(compiled.answer(compiled.parameters, frame, wanted.what, out));
    fate.answer = out;
    fate.answer_ns = wanted.time_ns;
    fate.answers_back = wanted.back;
  }

  PerPacket<FrameFields> fields_{};
  Asked asked_{};
  JudgedBurst burst_{};
};

/// What becomes of the packets, the same in bursts of 1, 7 and 64.
inline std::vector<Fate> in_any_bursts(const std::string& yaml,
                                       const std::vector<Offered>& packets) {
  const std::vector<Fate> fates = OneImpairment(yaml).offer(packets, 1);
  EXPECT_EQ(OneImpairment(yaml).offer(packets, 7), fates) << yaml;
  EXPECT_EQ(OneImpairment(yaml).offer(packets, 64), fates) << yaml;
  return fates;
}

/// Numbers 1 to `last`, of packets that are all alike and come at once.
inline std::vector<Offered> alike(const Bytes& frame, std::uint64_t last) {
  std::vector<Offered> packets;
  for (std::uint64_t number = 1; number <= last; ++number) packets.push_back({frame, 0, number});
  return packets;
}

/// A frame of so many bytes, at least 42.
inline Bytes frame_of(std::size_t bytes) {
  return make(Ipv4Frame{.payload_bytes = bytes - 42});
}

struct Offer {
  std::uint64_t time;  ///< in what packets_of is told
  std::size_t bytes;
};

inline std::vector<Offered> packets_of(const std::vector<Offer>& offers,
                                       std::uint64_t unit_ns = 1) {
  std::vector<Offered> packets;
  for (const Offer& one : offers) packets.push_back({frame_of(one.bytes), one.time * unit_ns});
  return packets;
}

/// Which of the numbers 1 to `last` a rate hits, by the dice's layout.
inline std::vector<std::uint64_t> hit_by_dice(Uint128 share, std::uint64_t last) {
  std::vector<std::uint64_t> hits;
  for (std::uint64_t number = 1; number <= last; ++number)
    if (reference_uniform(kFateDice, kBenchIdentity, number) < share)
      hits.push_back(number);
  return hits;
}

/// Hits among `packets` independent ones are within 5 standard deviations of their mean.
inline void expect_share(std::size_t hits, double rate, double packets) {
  const double mean = rate * packets;
  const double deviation = std::sqrt(mean * (1 - rate));
  EXPECT_GT(static_cast<double>(hits), mean - 5 * deviation);
  EXPECT_LT(static_cast<double>(hits), mean + 5 * deviation);
}

/// explain says with which number the packet's dice were thrown.
inline void expect_draw(const Explanation& why, std::uint64_t number, double threshold) {
  const std::uint64_t uniform = reference_uniform(kFateDice, kBenchIdentity, number);
  ASSERT_TRUE(why.draw.has_value() && why.threshold.has_value());
  EXPECT_DOUBLE_EQ(*why.draw, std::ldexp(static_cast<double>(uniform), -64));
  EXPECT_DOUBLE_EQ(*why.threshold, threshold);
}

// --- frames whose parts are looked up ------------------------------------------------------------

/// Where the parts of a frame are that has tags, IPv4 or IPv6 without extension headers.
inline MadeFrame parts_of(const Bytes& bytes) {
  MadeFrame made;
  made.bytes = bytes;
  std::size_t at = 12;
  for (; word_of(bytes, at) == 0x8100 || word_of(bytes, at) == 0x88A8; at += 4) ++made.tags;
  made.l3 = at + 2;
  made.ipv4 = word_of(bytes, at) == 0x0800;
  made.protocol = bytes.at(made.l3 + (made.ipv4 ? 9 : 6));
  made.head_end = made.l3 + (made.ipv4 ? (bytes.at(made.l3) & 15U) * 4 : 40);
  made.end = made.ipv4 ? made.l3 + word_of(bytes, made.l3 + 2)
                       : made.head_end + word_of(bytes, made.l3 + 4);
  made.body = made.head_end;
  made.next_header = made.l3 + (made.ipv4 ? 9 : 6);
  made.destination = made.l3 + (made.ipv4 ? 16 : 24);
  if (made.ipv4 && (word_of(bytes, made.l3 + 6) & 0x1FFF) != 0) {
    made.piece = Piece::kLater;
    return made;
  }
  made.l4 = made.head_end;
  made.payload = made.l4 + l4_header_bytes(made.protocol);
  made.sum_end = made.protocol == 17 ? made.l4 + word_of(bytes, made.l4 + 4) : made.end;
  if (made.protocol == 6 || made.protocol == 17)
    made.sum_at = made.l4 + (made.protocol == 6 ? 16 : 6);
  else if (made.protocol == 1 || made.protocol == 58)
    made.sum_at = made.l4 + 2;
  return made;
}

/// The frame with the checksums it should have.
inline Bytes with_sums(Bytes bytes) {
  const MadeFrame made = parts_of(bytes);
  if (made.ipv4) {
    put16(bytes, made.l3 + 10, 0);
    put16(bytes, made.l3 + 10, 65'535 - header_residue(made, bytes));
  }
  if (made.sum_at != 0) {
    put16(bytes, made.sum_at, 0);
    put16(bytes, made.sum_at, 65'535 - transport_residue(made, bytes));
  }
  return bytes;
}

inline bool sums_are_right(const Bytes& bytes) {
  const MadeFrame made = parts_of(bytes);
  return header_residue(made, bytes) == 0 && transport_residue(made, bytes) == 0;
}

/// Behind the MAC addresses goes a tag.
inline Bytes tagged(Bytes frame, std::size_t protocol, std::size_t tag) {
  frame.insert(frame.begin() + 12, 4, 0);
  put16(frame, 12, protocol);
  put16(frame, 14, tag);
  return frame;
}

inline Bytes slice(const Bytes& bytes, std::size_t first, std::size_t end) {
  return {bytes.begin() + static_cast<std::ptrdiff_t>(first),
          bytes.begin() + static_cast<std::ptrdiff_t>(end)};
}

inline void expect_errors(const std::vector<ErrorCase>& cases) {
  for (const ErrorCase& one : cases) EXPECT_EQ(item_errors(one.yaml), one.lines) << one.yaml;
}

}  // namespace faultline::test
