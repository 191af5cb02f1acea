// replay: a packet is seen again much later, as stale as `age`: a copy that the network kept for so
// long. The packet itself passes at its own time.
#include "impair/edits.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kAgeMaxNs = 24 * 3600 * kNsPerSecond;

struct Replay {
  Hits hits;
  std::uint64_t age_ns = 0;
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Replay& replay = parameters.as<Replay>();
  const Turns hit = replay.hits.among(asked, selection);
  for (std::uint32_t turn = 0; turn < selection.count; ++turn)
    burst.copies[selection.position[turn]] = hit >> turn & 1;
}

void copied(const Asked& asked, JudgedBurst& burst, std::uint8_t of, std::uint8_t copy,
            std::uint32_t) noexcept {
  burst.time_ns[copy] = burst.time_ns[of] + asked.self->parameters.as<Replay>().age_ns;
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return parameters.as<Replay>().hits.explain(asked, i);
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Replay replay;
  MappingReader reader(node, "replay", problems);
  replay.hits = read_hits(reader, context, problems);
  if (const ConfigNode* value = reader.require("age"))
    replay.age_ns = read_duration_ns(*value, {1, kAgeMaxNs}, problems).value_or(1);
  reader.finish();
  // What stays in the hold is the share that is kept.
  const auto usual_ns = static_cast<std::uint64_t>(static_cast<double>(replay.age_ns) *
                                                   replay.hits.rate.approximate());
  return unless_wrong({.parameters = Parameters::from(replay),
                       .decide = decide,
                       .copied = copied,
                       .explain = explain,
                       .fate = replay.hits.dice,
                       .adds_ns = replay.age_ns,
                       .uses_dice = true,
                       .delays = true,
                       .copies = 1,
                       .breaks_order = true,
                       .usual_ns = usual_ns},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_replay;
const ImpairmentModel kModel_replay{"replay", "", "", true, compile};

}  // namespace faultline
