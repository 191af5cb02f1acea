// Any bytes as a frame, and a few impairments that change, answer or end it, decided one after the
// other and then done, as a worker does it. Nothing outside the frame may be touched, it is as long
// as was decided, sums and parts are what each impairment's page says, and answers are right.
//
// Input: how many impairments, which four, the dice (8 bytes), which piece of a packet that is
// fragmented, and the frame.
#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "base/check.hpp"
#include "base/config.hpp"
#include "impair/impairment.hpp"
#include "packet/edit.hpp"
#include "packet/frame_fields.hpp"
#include "target.hpp"

namespace faultline {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kHeadBytes = 14;
constexpr std::uint32_t kHeadroom = 128;
constexpr std::uint8_t kUntouched = 0xA5;

/// What is promised of an edit beside its length.
enum class Promise : std::uint8_t {
  kFixes,      ///< a sum that was right is right, one that was wrong as wrong as before
  kKeepsSums,  ///< sums stay as they stand: what differs is in the part named
  kBreaks,     ///< the innermost sum is wrong
  kCuts,       ///< what is left stays as it was
  kFragments,  ///< of sums, the IPv4 header's is as with kFixes
};

struct Program {
  std::string_view yaml;
  Promise promise = Promise::kFixes;
  EditFrame::Part (*part)(const EditFrame& frame) = nullptr;  ///< of kKeepsSums
};

EditFrame::Part whole(const EditFrame& frame) {
  return {0, frame.length()};
}
EditFrame::Part from_40(const EditFrame& frame) {
  return {std::min(40U, frame.length()), frame.length()};
}
EditFrame::Part link(const EditFrame& frame) {
  return frame.link_part();
}
EditFrame::Part network(const EditFrame& frame) {
  return frame.network_part();
}
EditFrame::Part transport(const EditFrame& frame) {
  return frame.transport_part();
}
EditFrame::Part payload(const EditFrame& frame) {
  return frame.payload_part();
}

constexpr Program kPrograms[] = {
    {"{corrupt: {bits: 3}}", Promise::kKeepsSums, whole},
    {"{corrupt: {bits: 64, where: l2}}", Promise::kKeepsSums, link},
    {"{corrupt: {burst: 4096, where: l3}}", Promise::kKeepsSums, network},
    {"{corrupt: {burst: 17, where: l4}}", Promise::kKeepsSums, transport},
    {"{corrupt: {swap_words: true, where: payload}}", Promise::kKeepsSums, payload},
    {"{corrupt: {bytes: \"00ff5a\", where: 40}}", Promise::kKeepsSums, from_40},
    {"{corrupt: {ber: 2%, where: payload}}", Promise::kKeepsSums, payload},
    {"{corrupt: {rate: 50%, bits: 9, checksum: fix}}"},
    {"{corrupt: {bits: 64, where: l3, checksum: fix}}"},
    {"{corrupt: {burst: 100, where: l4, checksum: fix}}"},
    {"{corrupt: {swap_words: true, checksum: fix}}"},
    {"{corrupt: {bytes: \"00112233445566778899aabbccddeeff\", checksum: fix}}"},
    {"{corrupt: {ber: 10%, checksum: fix}}"},
    {"{corrupt: {bits: 1, checksum: break}}", Promise::kBreaks},
    {"{corrupt: {swap_words: true, where: payload, checksum: break}}", Promise::kBreaks},
    {"{corrupt: {burst: 50, where: l4, checksum: break}}", Promise::kBreaks},
    {"{truncate: {to: 14B}}", Promise::kCuts},
    {"{truncate: {to: 17B}}", Promise::kCuts},
    {"{truncate: {to: 36B}}", Promise::kCuts},
    {"{truncate: {to: 52B}}", Promise::kCuts},
    {"{truncate: {to: 64B}}", Promise::kCuts},
    {"{truncate: {to: 42B, checksum: fix}}"},
    {"{truncate: {to: 61B, checksum: fix}}"},
    {"{truncate: {rate: 70%, to: 110B, checksum: fix}}"},
    {"{set: {ttl: 3, dscp: 46, ecn: ce}}"},
    {"{set: {src: 192.0.2.1, dst: \"2001:db8::1\", sport: 7}}"},
    {"{set: {src: \"fe80::1\", dst: 198.51.100.9, dport: 65535, window: 0}}"},
    {"{set: {src_mac: \"02:00:00:00:00:01\", dst_mac: \"02:00:00:00:00:02\"}}"},
    {"{set: {vlan: 7}}"},
    {"{set: {vlan: {push: 4095, pcp: 5}}}"},
    {"{set: {vlan: {rewrite: 9, pcp: 1}}}"},
    {"{set: {rate: 50%, vlan: none}}"},
    {"{tcp: {zero_window: true, clamp_mss: 500}}"},
    {"{tcp: {strip_option: [mss, window-scale, sack, timestamp, mptcp, fast-open]}}"},
    {"{tcp: {only: data, reset: both}}"},
    {"{tcp: {only: acks, reset: sender}}"},
    {"{mtu: {size: 68B, action: fragment}}", Promise::kFragments},
    {"{mtu: {size: 300B, action: fragment}}", Promise::kFragments},
    {"{mtu: {size: 90B, action: icmp}}"},
    {"{mtu: {size: 70B}}"},
    {"{reject: {rate: 50%}}"},
    {"{icmp_unreachable: {code: protocol}}"},
    {"{icmp_unreachable: {code: admin}}"},
    {"{mark_ce: 100%}"},
};

struct Compiled {
  const Program* program;
  CompiledImpairment impairment;
};

const std::vector<Compiled>& programs() {
  static const std::vector<Compiled> all = [] {
    std::vector<Compiled> made;
    for (const Program& program : kPrograms) {
      const Result<ConfigNode> tree = parse_config(program.yaml, "item.yaml");
      FAULTLINE_CHECK(tree.has_value());
      Problems problems;
      std::string_view kind;
      const CompileContext context{.seed = 7, .rule_name = "r"};
      auto impairment = compile_impairment(*tree, context, &kind, problems);
      FAULTLINE_CHECK(impairment.has_value() && problems.empty());
      made.push_back({&program, std::move(*impairment)});
    }
    return made;
  }();
  return all;
}

// --- sums, from RFC 1071 alone -------------------------------------------------------------------

struct Range {
  std::size_t first = 0;
  std::size_t end = 0;
};

/// The sum of words modulo 65535, an odd last byte being the upper half of one.
std::size_t residue(const std::uint8_t* bytes, Range range) {
  std::size_t sum = 0;
  for (std::size_t at = range.first; at < range.end; ++at)
    sum += std::size_t{bytes[at]} << ((at - range.first) % 2 == 0 ? 8 : 0);
  return sum % 65'535;
}

/// What a frame's sums come to: 0 where they are right.
struct Sums {
  std::optional<std::size_t> network;
  std::optional<std::size_t> transport;
  bool none = false;   ///< UDP without a checksum
  bool zeros = false;  ///< nothing but zeros were summed, to which no receiver agrees
};

std::size_t checksum_place(std::uint8_t protocol) {
  switch (protocol) {
    case 6:
      return 16;
    case 17:
      return 6;
    case 1:
    case 58:
      return 2;
    default:
      return 0;
  }
}

/// `udp_bytes`: what UDP's header said when the frame was read.
Sums sums_of(const EditFrame& frame, std::size_t udp_bytes) {
  const FrameFields& fields = frame.fields();
  Sums sums;
  if (!fields.is_ip())
    return sums;
  const bool ipv4 = fields.key.kind == FlowKind::kIpv4;
  const std::size_t l3 = fields.l3_offset;
  const std::size_t l4 = fields.l4_offset;
  const std::uint8_t* bytes = frame.bytes();
  if (ipv4)
    sums.network = residue(bytes, {l3, frame.network_part().end});
  const std::size_t place = checksum_place(fields.key.protocol);
  const std::size_t datagram_end = frame.payload_part().end;
  // Behind extension headers the pseudo-header's parts are elsewhere: unit tests know where.
  if (l4 == 0 || place == 0 || l4 + place + 2 > datagram_end || (!ipv4 && l4 != l3 + 40))
    return sums;
  std::size_t end = datagram_end;
  if (fields.key.protocol == 17) {
    end = std::min(end, l4 + udp_bytes);
    sums.none = bytes[l4 + 6] == 0 && bytes[l4 + 7] == 0;
  }
  sums.zeros = std::all_of(bytes + l4, bytes + end, [](std::uint8_t byte) { return byte == 0; });
  std::size_t sum = residue(bytes, {l4, end});
  if (!ipv4 || fields.key.protocol != 1)
    sum += residue(bytes, {l3 + (ipv4 ? 12 : 8), l3 + (ipv4 ? 20 : 40)}) +
           bytes[l3 + (ipv4 ? 9 : 6)] + (end - l4);
  sums.transport = sum % 65'535;
  return sums;
}

/// Of UDP, 0 where there is no such header.
std::size_t udp_bytes_of(const EditFrame& frame) {
  const FrameFields& fields = frame.fields();
  return fields.l4_offset != 0 && fields.key.protocol == 17 ? frame.word_at(fields.l4_offset + 4U)
                                                            : 0;
}

// --- one edit ------------------------------------------------------------------------------------

/// The frame before an edit, and what was known of it.
struct Before {
  Bytes bytes;
  Sums sums;
  EditFrame::Part part;
  std::uint32_t network_bytes = 0;
};

void check_unchanged(const Before& before, const EditFrame& frame, Range range) {
  FAULTLINE_CHECK(range.end <= before.bytes.size() && range.end <= frame.length());
  FAULTLINE_CHECK(range.first >= range.end ||
                  std::memcmp(before.bytes.data() + range.first, frame.bytes() + range.first,
                              range.end - range.first) == 0);
}

void check_fixed(const Sums& before, const Sums& after) {
  FAULTLINE_CHECK(before.network == after.network);
  FAULTLINE_CHECK(before.none == after.none);
  FAULTLINE_CHECK(before.none || before.transport == after.transport);
}

void check_edit(const Program& program, const Before& before, const EditFrame& frame,
                std::size_t udp_bytes) {
  const bool same = before.bytes.size() == frame.length() &&
                    (before.bytes.empty() ||
                     std::memcmp(before.bytes.data(), frame.bytes(), frame.length()) == 0);
  FAULTLINE_CHECK(frame.changed() == !same);
  if (same)
    return;
  const Sums after = sums_of(frame, udp_bytes);
  switch (program.promise) {
    case Promise::kFixes:
      check_fixed(before.sums, after);
      break;
    case Promise::kKeepsSums:
      check_unchanged(before, frame, {0, before.part.first});
      check_unchanged(before, frame, {before.part.end, before.bytes.size()});
      break;
    case Promise::kBreaks:
      if (after.transport)
        FAULTLINE_CHECK((*after.transport != 0 || after.zeros) && !after.none);
      else if (after.network && frame.fields().l4_offset == 0)
        FAULTLINE_CHECK(*after.network != 0);
      break;
    case Promise::kCuts:
      check_unchanged(before, frame, {0, frame.length()});
      break;
    case Promise::kFragments:
      // It is another packet now: what was damaged before may say something else.
      if (frame.network_part().size() != before.network_bytes || !after.network)
        break;
      FAULTLINE_CHECK(after.network == before.sums.network);
      // Its header says how much it carries, and nothing stands behind that.
      FAULTLINE_CHECK(frame.length() - frame.fields().l3_offset ==
                      frame.word_at(frame.fields().l3_offset + 2U));
      break;
  }
}

// --- the frame and its room ----------------------------------------------------------------------

/// A frame with room before it and none behind, of exactly that size, so that the address sanitizer
/// sees one byte too many.
class Bench {
 public:
  Bench(const std::uint8_t* frame, std::size_t size) : buffer_(kHeadroom + size, kUntouched) {
    std::copy(frame, frame + size, buffer_.begin() + kHeadroom);
    lowest_ = &buffer_[kHeadroom];
  }

  std::span<std::uint8_t> frame() {
    return {buffer_.data() + kHeadroom, buffer_.size() - kHeadroom};
  }

  /// Makes the decided edits of entry `i`.
  void edit(const JudgedBurst& burst, std::uint32_t i, const FrameFields& fields) {
    EditFrame frame(this->frame(), {kHeadroom, 0}, fields);
    std::size_t udp_bytes = udp_bytes_of(frame);
    burst.edits.visit(i, [&](const Edit& edit) {
      const Program& program = *programs()[edit.rule_slot].program;
      const Before before{{frame.bytes(), frame.bytes() + frame.length()},
                          sums_of(frame, udp_bytes),
                          program.part != nullptr ? program.part(frame) : EditFrame::Part{},
                          frame.network_part().size()};
      frame.forget_changes();
      edit.impairment->edit(edit, frame);
      check_place(frame);
      if (program.promise == Promise::kFragments)
        udp_bytes = udp_bytes_of(frame);
      check_edit(program, before, frame, udp_bytes);
    });
    if (burst.marked[i]) {
      const Sums before = sums_of(frame, udp_bytes);
      edit_ecn(frame, kEcnCongestionExperienced);
      frame.settle(ChecksumCare::kFix);
      check_place(frame);
      check_fixed(before, sums_of(frame, udp_bytes));
    }
    FAULTLINE_CHECK(frame.length() == burst.length_bytes[i]);
  }

 private:
  void check_place(const EditFrame& frame) {
    const std::uint8_t* first = buffer_.data();
    FAULTLINE_CHECK(frame.bytes() >= first &&
                    frame.bytes() + frame.length() <= first + buffer_.size());
    lowest_ = std::min<const std::uint8_t*>(lowest_, frame.bytes());
    FAULTLINE_CHECK(
        std::all_of(first, lowest_, [](std::uint8_t byte) { return byte == kUntouched; }));
    for (const EditFrame::Part part :
         {frame.link_part(), frame.network_part(), frame.transport_part(), frame.payload_part()})
      FAULTLINE_CHECK(part.first <= part.end && part.end <= frame.length());
  }

  Bytes buffer_;
  const std::uint8_t* lowest_;
};

/// What is answered is a whole frame with right sums, within the room it was given.
void check_answer(const FrameAnswer& answer, Bytes packet, const FrameFields& fields) {
  packet.resize(std::min<std::size_t>(packet.size(), kAnswerBytesMax));
  const Bytes quoted = packet;
  const EditFrame frame(packet, {}, fields);
  Bytes out(kAnswerBytesMax, kUntouched);
  const std::uint32_t length =
      answer.impairment->answer(answer.impairment->parameters, frame, answer.what, out);
  FAULTLINE_CHECK(packet == quoted);
  FAULTLINE_CHECK(length <= out.size());
  FAULTLINE_CHECK(std::all_of(out.begin() + length, out.end(),
                              [](std::uint8_t byte) { return byte == kUntouched; }));
  if (length == 0)
    return;
  FAULTLINE_CHECK(length >= 60);
  out.resize(length);
  FrameFields made;
  FAULTLINE_CHECK(parse_frame(out, length, made) == ParseOutcome::kParsed);
  const EditFrame view(out, {}, made);
  const Sums sums = sums_of(view, udp_bytes_of(view));
  FAULTLINE_CHECK(sums.transport == 0U && sums.network.value_or(0) == 0);
}

/// The copy that the impairment asked last wants becomes the packet, if it is that one's turn.
void take_copy(const Asked& asked, JudgedBurst& burst, std::uint8_t which) {
  if (burst.copies[0] == 0 || asked.self->copied == nullptr)
    return;
  const std::uint32_t piece = which % (burst.copies[0] + 1U);
  burst.copies[0] = 0;
  if (piece == 0)
    return;
  burst.length_bytes[1] = burst.length_bytes[0];
  burst.tag_bytes[1] = burst.tag_bytes[0];
  burst.piece[1] = burst.piece[0];
  burst.edits.copy(0, 1);
  asked.self->copied(asked, burst, 0, 1, piece);
  burst.length_bytes[0] = burst.length_bytes[1];
  burst.piece[0] = burst.piece[1];
  burst.edits.copy(1, 0);
}

}  // namespace
}  // namespace faultline

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace faultline;
  if (size < kHeadBytes)
    return 0;
  const std::uint8_t* frame = bytes + kHeadBytes;
  static PerPacket<FrameFields> fields;
  fields[0] = {};
  if (parse_frame({frame, size - kHeadBytes}, size - kHeadBytes, fields[0]) !=
      ParseOutcome::kParsed)
    return 0;  // passes untouched
  fields[1] = fields[0];
  static JudgedBurst burst;  // large; what is asked of an entry is set anew
  burst.length_bytes[0] = static_cast<std::uint32_t>(size - kHeadBytes);
  burst.tag_bytes[0] = 0;
  burst.piece[0] = Piece::kWhole;
  burst.ecn[0] = fields[0].ecn;
  burst.marked[0] = false;
  burst.reason[0] = DropReason::kNone;
  burst.copies[0] = 0;
  burst.answer_count = 0;
  burst.edits.begin();
  burst.edits.clear(0);
  static Asked asked;
  asked.fields = &fields;
  std::memcpy(&asked.identity[0], bytes + 5, sizeof asked.identity[0]);
  static PerPacket<TcpPlace> tcp;
  asked.tcp = &tcp;
  const std::uint64_t said = asked.identity[0];
  tcp[0] = {.first_byte = static_cast<std::int64_t>(said),
            .connection = 1,
            .receiver_next = static_cast<std::uint32_t>(said),
            .sender_next = static_cast<std::uint32_t>(said >> 32),
            .retransmission = bytes[12],
            .is_whole = shows_tcp(fields[0]) && fields[0].fragment == FragmentKind::kNone,
            .is_numbered = (bytes[5] & 1) != 0,
            .receiver_differs = (bytes[5] & 2) != 0,
            .sender_differs = (bytes[5] & 4) != 0};
  tcp[1] = tcp[0];
  Selection one;
  one.position[0] = 0;
  one.count = 1;
  bool fragmented = false;
  for (int turn = 0; turn < bytes[0] % 4 + 1 && burst.reason[0] == DropReason::kNone; ++turn) {
    const std::size_t index = bytes[1 + turn] % std::size(kPrograms);
    const Compiled& compiled = programs()[index];
    if (compiled.program->promise == Promise::kFragments && std::exchange(fragmented, true))
      continue;  // refused by the compiler of rules: once on a path
    asked.self = &compiled.impairment;
    asked.rule_slot = static_cast<std::uint16_t>(index);
    asked.number[0] = static_cast<std::uint64_t>(turn);
    ImpairmentTally tally;
    compiled.impairment.decide(compiled.impairment.parameters, asked, burst, one, tally);
    if (burst.reason[0] == DropReason::kNone)
      take_copy(asked, burst, bytes[13]);
  }
  for (std::uint32_t i = 0; i < burst.answer_count; ++i)
    check_answer(burst.answers[i], {frame, bytes + size}, fields[0]);
  if (burst.reason[0] == DropReason::kNone)
    Bench(frame, size - kHeadBytes).edit(burst, 0, fields[0]);
  return 0;
}
