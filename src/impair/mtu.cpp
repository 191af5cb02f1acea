// mtu: a link that takes IP packets of `size` at most. What is larger is dropped without a word (a
// black hole for path MTU discovery, RFC 2923), answered from the wire (`icmp`), or cut into
// fragments (`fragment`) as a router does with IPv4 packets that allow it; what must not be
// fragmented is answered then.
#include <algorithm>

#include "impair/edits.hpp"
#include "packet/craft.hpp"

namespace faultline {
namespace {

enum class MtuAction : std::uint8_t { kDrop, kFragment, kIcmp };

/// RFC 791: every link takes this much.
constexpr std::uint64_t kMtuMin = 68;
constexpr std::uint64_t kMtuMax = 65'535;
/// Pieces of one packet, itself among them. A packet that would make more is dropped.
constexpr std::uint32_t kFragmentsMax = 10;

struct Mtu {
  std::uint32_t size = 0;
  MtuAction action = MtuAction::kDrop;
};

/// Where the packet begins in its frame, tags put in or taken out counted.
std::uint32_t header_at(const FrameFields& fields, const JudgedBurst& burst,
                        std::uint8_t i) noexcept {
  const std::uint32_t arrived = fields.is_ip() ? fields.l3_offset : kEthernetHeaderBytes;
  return arrived + static_cast<std::uint32_t>(burst.tag_bytes[i]);
}

/// The packet as the link sees it, in bytes: padding is none of it, and what was cut off is gone.
/// Of a frame that is not IP, what is behind its header.
std::uint32_t packet_bytes(const FrameFields& fields, const JudgedBurst& burst,
                           std::uint8_t i) noexcept {
  const std::uint32_t frame_bytes = burst.length_bytes[i];
  const std::uint32_t header = header_at(fields, burst, i);
  const std::uint32_t there = frame_bytes - std::min(header, frame_bytes);
  return fields.is_ip() ? std::min(there, fields.datagram_bytes) : there;
}

/// Pieces of the datagram; what pads the frame behind it is in none of them.
void fragment(const Mtu& mtu, const Asked& asked, JudgedBurst& burst, std::uint8_t i) noexcept {
  const FrameFields& fields = (*asked.fields)[i];
  const std::uint32_t at = header_at(fields, burst, i);
  const std::uint32_t head = at + fields.l3_header_bytes;
  const std::uint32_t end = std::min(at + fields.datagram_bytes, burst.length_bytes[i]);
  const std::uint32_t piece = (mtu.size - fields.l3_header_bytes) & ~7U;
  const std::uint32_t payload = end - head;
  const std::uint32_t pieces = std::max(1U, (payload + piece - 1) / piece);
  if (pieces > kFragmentsMax) {
    burst.reason[i] = DropReason::kMtu;
    return;
  }
  burst.copies[i] = static_cast<std::uint8_t>(pieces - 1);
  if (pieces > 1)
    burst.piece[i] = Piece::kFirst;
  plan_edit(asked, burst, i, std::uint64_t{end} << 32);
  burst.length_bytes[i] = head + std::min(piece, payload);
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Mtu& mtu = parameters.as<Mtu>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const FrameFields& fields = (*asked.fields)[i];
    burst.copies[i] = 0;
    if (packet_bytes(fields, burst, i) <= mtu.size)
      continue;
    const bool divisible = fields.key.kind == FlowKind::kIpv4 && !fields.dont_fragment;
    if (mtu.action == MtuAction::kFragment && divisible) {
      fragment(mtu, asked, burst, i);
      continue;
    }
    if (mtu.action != MtuAction::kDrop)
      plan_answer(asked, burst, i, true, 0);
    burst.reason[i] = DropReason::kMtu;
  }
}

/// The `which`th piece behind the first.
void copied(const Asked& asked, JudgedBurst& burst, std::uint8_t of, std::uint8_t copy,
            std::uint32_t which) noexcept {
  const Mtu& mtu = asked.self->parameters.as<Mtu>();
  const FrameFields& fields = (*asked.fields)[copy];
  const std::uint32_t head = header_at(fields, burst, copy) + fields.l3_header_bytes;
  const std::uint32_t piece = (mtu.size - fields.l3_header_bytes) & ~7U;
  const std::uint64_t end = burst.edits.last_draw(of) >> 32;
  const auto rest = static_cast<std::uint32_t>(end) - head - which * piece;
  burst.edits.set_last_draw(copy, (end << 32) | which);
  burst.length_bytes[copy] = head + std::min(piece, rest);
  burst.piece[copy] = Piece::kLater;
}

void edit(const Edit& edit, EditFrame& frame) noexcept {
  const Mtu& mtu = edit.impairment->parameters.as<Mtu>();
  edit_fragment(frame, mtu.size, static_cast<std::uint32_t>(edit.draw));
}

std::uint32_t answer(const Parameters& parameters, const EditFrame& packet, std::uint64_t,
                     std::span<std::uint8_t> out) noexcept {
  return craft_too_big(packet, parameters.as<Mtu>().size, out);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  return {{},
          {},
          std::to_string(packet_bytes((*asked.fields)[i], burst, i)) + " bytes of " +
              std::to_string(parameters.as<Mtu>().size)};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext&,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Mtu mtu;
  MappingReader reader(node, "mtu", problems);
  if (const ConfigNode* value = reader.require("size"))
    mtu.size = read_bytes(*value, kMtuMin, kMtuMax, problems);
  if (const ConfigNode* value = reader.take("action"))
    if (const auto word = read_word(*value, {"drop", "fragment", "icmp"}, problems))
      mtu.action = static_cast<MtuAction>(*word);
  reader.finish();
  const bool fragments = mtu.action == MtuAction::kFragment;
  return unless_wrong({.parameters = Parameters::from(mtu),
                       .decide = decide,
                       .edit = fragments ? edit : nullptr,
                       .answer = mtu.action != MtuAction::kDrop ? answer : nullptr,
                       .copied = fragments ? copied : nullptr,
                       .explain = explain,
                       .copies = fragments ? kFragmentsMax - 1 : 0,
                       .drops = true},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_mtu;
const ImpairmentModel kModel_mtu{"mtu", "", "", true, compile};

}  // namespace faultline
