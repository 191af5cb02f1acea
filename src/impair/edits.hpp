// What impairments that change, answer or end packets share.
#pragma once

#include <optional>

#include "base/units.hpp"
#include "impair/hits.hpp"

namespace faultline {

/// The packet's bytes will be changed by the impairment asked, as `draw` says.
inline void plan_edit(const Asked& asked, JudgedBurst& burst, std::uint8_t i, std::uint64_t draw,
                      std::uint64_t first = 0) noexcept {
  burst.edits.add(i, *asked.self, asked.rule_slot, draw, first);
}

/// A frame will be made because of the packet, to leave at its own time: `back` to where it came
/// from, or on to where it was going. Later fragments are not answered (RFC 1122, section 3.2.2).
inline void plan_answer(const Asked& asked, JudgedBurst& burst, std::uint8_t i, bool back,
                        std::uint64_t what) noexcept {
  if (burst.piece[i] == Piece::kLater)
    return;
  burst.answers[burst.answer_count++] = {asked.self,      what, burst.time_ns[i],
                                         asked.rule_slot, i,    back};
}

/// The dice of one purpose.
inline Dice dice_for(const CompileContext& context, DicePurpose purpose) noexcept {
  return {context.seed, context.rule_name, context.index, purpose};
}

/// `rate:`; every packet where it is left out.
inline Hits read_hits(MappingReader& reader, const CompileContext& context, Problems& problems) {
  Hits hits{dice_for(context, DicePurpose::kFate)};
  if (const ConfigNode* value = reader.take("rate"))
    hits.rate = read_probability(*value, problems).value_or(Threshold::never());
  return hits;
}

/// `checksum: keep | fix | break`.
inline ChecksumCare read_care(MappingReader& reader, ChecksumCare otherwise, Problems& problems) {
  const ConfigNode* value = reader.take("checksum");
  if (value == nullptr)
    return otherwise;
  const auto word = read_word(*value, {"keep", "fix", "break"}, problems);
  return word ? static_cast<ChecksumCare>(*word) : otherwise;
}

/// A count of bytes written with its unit, from `least` to `most`.
inline std::uint32_t read_bytes(const ConfigNode& node, std::uint64_t least, std::uint64_t most,
                                Problems& problems) {
  return static_cast<std::uint32_t>(read_size_bytes(node, {least, most}, problems).value_or(least));
}

/// Compiled, unless something was wrong since `problems_before`.
inline std::optional<CompiledImpairment> unless_wrong(CompiledImpairment compiled,
                                                      std::size_t problems_before,
                                                      const Problems& problems) {
  if (problems.size() != problems_before)
    return std::nullopt;
  return compiled;
}

}  // namespace faultline
