// icmp_unreachable: the packet is dropped, and its sender is told from the wire that it could not
// be delivered.
#include "impair/edits.hpp"
#include "packet/craft.hpp"

namespace faultline {
namespace {

struct IcmpUnreachable {
  Hits hits;
  Unreachable what = Unreachable::kPort;
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const IcmpUnreachable& unreachable = parameters.as<IcmpUnreachable>();
  for_each_turn(unreachable.hits.among(asked, selection), selection,
                [&](std::uint8_t i, std::uint32_t) {
                  plan_answer(asked, burst, i, true, 0);
                  burst.reason[i] = DropReason::kReject;
                });
}

std::uint32_t answer(const Parameters& parameters, const EditFrame& packet, std::uint64_t,
                     std::span<std::uint8_t> out) noexcept {
  return craft_unreachable(packet, parameters.as<IcmpUnreachable>().what, out);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return parameters.as<IcmpUnreachable>().hits.explain(asked, i);
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  IcmpUnreachable unreachable;
  MappingReader reader(node, "icmp_unreachable", problems);
  unreachable.hits = read_hits(reader, context, problems);
  if (const ConfigNode* value = reader.require("code"))
    if (const auto word = read_word(*value, {"net", "host", "protocol", "port", "admin"}, problems))
      unreachable.what = static_cast<Unreachable>(*word);
  reader.finish();
  return unless_wrong({.parameters = Parameters::from(unreachable),
                       .decide = decide,
                       .answer = answer,
                       .explain = explain,
                       .fate = unreachable.hits.dice,
                       .uses_dice = true,
                       .drops = true},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_icmp_unreachable;
const ImpairmentModel kModel_icmp_unreachable{"icmp_unreachable", "", "", true, compile};

}  // namespace faultline
