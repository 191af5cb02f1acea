// reject: a firewall that says so. The packet is dropped; TCP is answered by a reset, everything
// else of IP by ICMP port unreachable.
#include "impair/edits.hpp"
#include "packet/craft.hpp"

namespace faultline {
namespace {

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Hits& hits = parameters.as<Hits>();
  for_each_turn(hits.among(asked, selection), selection, [&](std::uint8_t i, std::uint32_t) {
    plan_answer(asked, burst, i, true, 0);
    burst.reason[i] = DropReason::kReject;
  });
}

std::uint32_t answer(const Parameters&, const EditFrame& packet, std::uint64_t,
                     std::span<std::uint8_t> out) noexcept {
  if (packet.fields().key.protocol == kProtocolTcp && packet.fields().is_ip())
    return craft_reset(packet, Towards::kSender, 0, out);
  return craft_unreachable(packet, Unreachable::kPort, out);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return parameters.as<Hits>().explain(asked, i);
}

/// `reject: true`, or `reject: {rate: 10%}`.
std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Hits hits{dice_for(context, DicePurpose::kFate)};
  if (node.is_mapping()) {
    MappingReader reader(node, "reject", problems);
    hits = read_hits(reader, context, problems);
    reader.finish();
  } else if (!node.is_scalar() || node.text != "true") {
    problems.push_back(problem_at(node.mark, "found " + describe(node), "true, or {rate: 10%}"));
  }
  return unless_wrong({.parameters = Parameters::from(hits),
                       .decide = decide,
                       .answer = answer,
                       .explain = explain,
                       .fate = hits.dice,
                       .uses_dice = true,
                       .drops = true},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_reject;
const ImpairmentModel kModel_reject{"reject", "", "", true, compile};

}  // namespace faultline
