// truncate: the end of a frame is cut off, as a broken card or cable does it. With `checksum: keep`
// its headers still promise the whole; with `fix` lengths and checksums are made to fit, so that a
// shorter payload reaches the application.
#include "impair/edits.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLeast = kEthernetHeaderBytes;
constexpr std::uint64_t kMost = 65'000;

struct Truncate {
  Hits hits;
  std::uint32_t to_bytes = 0;
  ChecksumCare care = ChecksumCare::kKeep;
};

/// Whether `checksum: fix` can be: tags that came or went since arrival have moved all headers, and
/// a fragment is no whole datagram.
bool can_fix(const Truncate& truncate, const FrameFields& fields, const JudgedBurst& burst,
             std::uint8_t i) noexcept {
  const std::int64_t to = std::int64_t{truncate.to_bytes} - burst.tag_bytes[i];
  return burst.piece[i] == Piece::kWhole && to > 0 &&
         can_cut_fixed(fields, static_cast<std::uint32_t>(to));
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Truncate& truncate = parameters.as<Truncate>();
  for_each_turn(
      truncate.hits.among(asked, selection), selection, [&](std::uint8_t i, std::uint32_t) {
        if (burst.length_bytes[i] <= truncate.to_bytes)
          return;
        if (truncate.care == ChecksumCare::kFix && !can_fix(truncate, (*asked.fields)[i], burst, i))
          return;
        burst.length_bytes[i] = truncate.to_bytes;
        plan_edit(asked, burst, i, 0);
      });
}

void edit(const Edit& edit, EditFrame& frame) noexcept {
  const Truncate& truncate = edit.impairment->parameters.as<Truncate>();
  if (truncate.care == ChecksumCare::kFix)
    frame.cut_fixed(truncate.to_bytes);
  else
    frame.cut(truncate.to_bytes);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return parameters.as<Truncate>().hits.explain(asked, i);
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Truncate truncate;
  MappingReader reader(node, "truncate", problems);
  truncate.hits = read_hits(reader, context, problems);
  if (const ConfigNode* value = reader.require("to"))
    truncate.to_bytes = read_bytes(*value, kLeast, kMost, problems);
  if (const ConfigNode* value = reader.take("checksum")) {
    const auto word = read_word(*value, {"keep", "fix"}, problems);
    truncate.care = word == 1U ? ChecksumCare::kFix : ChecksumCare::kKeep;
  }
  reader.finish();
  return unless_wrong({.parameters = Parameters::from(truncate),
                       .decide = decide,
                       .edit = edit,
                       .explain = explain,
                       .fate = truncate.hits.dice,
                       .uses_dice = true},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_truncate;
const ImpairmentModel kModel_truncate{"truncate", "", "", true, compile};

}  // namespace faultline
