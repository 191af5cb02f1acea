// stop_after: the first N packets of a scope pass, everything behind them is dropped: a session
// that breaks off, always at the same packet.
#include <fmt/format.h>

#include "impair/edits.hpp"

namespace faultline {
namespace {

struct StopAfter {
  std::uint64_t packets = 0;
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const std::uint64_t packets = parameters.as<StopAfter>().packets;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    if (asked.match_number[i] > packets)
      burst.reason[i] = DropReason::kFiltered;
  }
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return {
      {},
      {},
      fmt::format("packet {} of {}", asked.match_number[i], parameters.as<StopAfter>().packets)};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext&,
                                          Problems& problems) {
  const auto packets = read_count(node, {0, UINT64_MAX}, problems);
  if (!packets)
    return std::nullopt;
  return CompiledImpairment{.parameters = Parameters::from(StopAfter{*packets}),
                            .decide = decide,
                            .explain = explain,
                            .uses_match_number = true,
                            .drops = true,
                            .owns_scope = true};
}

}  // namespace

extern const ImpairmentModel kModel_stop_after;
const ImpairmentModel kModel_stop_after{"stop_after", "", "", true, compile, true};

}  // namespace faultline
