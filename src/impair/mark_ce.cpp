// mark_ce: congestion is announced, not suffered. A packet that is ECN-capable gets CE (RFC 3168);
// others pass.
#include "impair/edits.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Hits& hits = parameters.as<Hits>();
  for_each_turn(hits.among(asked, selection), selection, [&](std::uint8_t i, std::uint32_t) {
    if (burst.ecn[i] != kEcnNotCapable)
      mark(burst, i);
  });
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  Explanation why = parameters.as<Hits>().explain(asked, i);
  if (burst.ecn[i] == kEcnNotCapable)
    why.state = "not ECN-capable";
  return why;
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Hits hits{dice_for(context, DicePurpose::kFate)};
  if (node.is_mapping()) {
    MappingReader reader(node, "mark_ce", problems);
    hits = read_hits(reader, context, problems);
    reader.finish();
  } else {
    hits.rate = read_probability(node, problems).value_or(Threshold::never());
  }
  return unless_wrong({.parameters = Parameters::from(hits),
                       .decide = decide,
                       .explain = explain,
                       .fate = hits.dice,
                       .uses_dice = true},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_mark_ce;
const ImpairmentModel kModel_mark_ce{"mark_ce", "", "", true, compile};

}  // namespace faultline
