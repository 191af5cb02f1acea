// delay: every packet's own time moves on by `time`. A constant keeps the order by itself; only a
// change of `time` could let packets overtake. So the latest time that a scope gave out before the
// change is its floor afterwards: 20 ms → 10 ms does not reorder.
#include <algorithm>

#include "base/units.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kDelayMaxNs = 24 * 3600 * kNsPerSecond;

struct ConstantDelay {
  std::uint64_t time_ns = 0;
};

/// The floor of a scope. It outlives the policy that set it.
struct Floor {
  std::uint64_t delay_ns_plus_one = 0;  ///< the delay in force, plus one; 0: none yet
  std::uint64_t latest_ns = 0;          ///< the latest time given out
  std::uint64_t floor_ns = 0;           ///< the latest time given out under an earlier delay
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const std::uint64_t delay_ns = parameters.as<ConstantDelay>().time_ns;
  std::uint64_t clamped = 0;
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    ScopeState& state = *asked.state[selection.position[first]];
    Floor floor = state.as<Floor>();
    if (floor.delay_ns_plus_one != delay_ns + 1) {
      floor.floor_ns = floor.latest_ns;
      floor.delay_ns_plus_one = delay_ns + 1;
    }
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      const std::uint64_t asked_ns = burst.time_ns[i] + delay_ns;
      clamped += asked_ns < floor.floor_ns ? 1 : 0;
      const std::uint64_t given_ns = std::max(asked_ns, floor.floor_ns);
      floor.latest_ns = std::max(floor.latest_ns, given_ns);
      burst.time_ns[i] = given_ns;
    }
    state.as<Floor>() = floor;
  });
  tally.clamped += clamped;
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext&,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  std::optional<std::uint64_t> time_ns;
  if (node.is_mapping()) {
    MappingReader reader(node, "delay", problems);
    reader.refuse_not_yet({"jitter", "shape", "max", "correlation", "correlation_time", "trace",
                           "interpolate", "loop", "distance", "file", "compensate"});
    if (const ConfigNode* value = reader.take("order"))
      if (const auto word = read_word(*value, {"keep", "free"}, problems); word && *word == 1)
        problems.push_back(problem_at(value->mark, "order: free is not yet supported", "keep"));
    if (const ConfigNode* value = reader.take("distribution"))
      if (value->text != "constant")
        problems.push_back(problem_at(
            value->mark, "distribution " + describe(*value) + " is not yet supported", "constant"));
    if (const ConfigNode* value = reader.require("time")) {
      if (value->is_mapping())
        problems.push_back(problem_at(value->mark, "a drawn time is not yet supported",
                                      "a duration such as 40ms"));
      else
        time_ns = read_duration_ns(*value, {0, kDelayMaxNs}, problems);
    }
    reader.finish();
  } else {
    time_ns = read_duration_ns(node, {0, kDelayMaxNs}, problems);
  }
  if (!time_ns || problems.size() != problems_before)
    return std::nullopt;
  return CompiledImpairment{.parameters = Parameters::from(ConstantDelay{*time_ns}),
                            .decide = decide,
                            .adds_ns = *time_ns,
                            .uses_state = true,
                            .delays = true};
}

}  // namespace

extern const ImpairmentModel kModel_delay;
const ImpairmentModel kModel_delay{"delay", "", "", true, compile};

}  // namespace faultline
