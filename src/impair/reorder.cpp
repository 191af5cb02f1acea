// reorder: packets leave in another order than they came.
// early: as netem does it. Of a scope's packets one in `gap` is sent at once, without the delays
// that stand before this in the rule: gap − 1 go their way, then each next one is early with
// probability `rate` until one is. Their share is 1 / (gap − 1 + 1/rate).
// late: with probability `rate` a packet waits `by` longer and so is overtaken.
#include "impair/edits.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kByMaxNs = 24 * 3600 * kNsPerSecond;

struct Early {
  Hits hits;
  std::uint64_t gap = 1;
};

struct EarlyState {
  std::uint64_t passed = 0;  ///< since the last early one
};

void decide_early(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                  const Selection& selection, ImpairmentTally& tally) noexcept {
  const Early& early = parameters.as<Early>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    std::uint64_t& passed = asked.state[i]->as<EarlyState>().passed;
    if (passed + 1 < early.gap || !early.hits.hit(asked, i)) {
      ++passed;
      continue;
    }
    passed = 0;
    tally.reordered += burst.time_ns[i] > asked.entered_ns[i] ? 1U : 0U;
    burst.time_ns[i] = asked.entered_ns[i];
  }
}

Explanation explain_early(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                          std::uint8_t i) {
  Explanation why = parameters.as<Early>().hits.explain(asked, i);
  why.state = std::to_string(asked.state[i]->as<EarlyState>().passed) + " since the last";
  return why;
}

struct Late {
  Hits hits;
  std::uint64_t by_ns = 0;
};

void decide_late(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                 const Selection& selection, ImpairmentTally& tally) noexcept {
  const Late& late = parameters.as<Late>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    if (!late.hits.hit(asked, i))
      continue;
    burst.time_ns[i] += late.by_ns;
    ++tally.reordered;
  }
}

Explanation explain_late(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                         std::uint8_t i) {
  return parameters.as<Late>().hits.explain(asked, i);
}

std::optional<CompiledImpairment> compile_early(MappingReader& reader, const ConfigNode& node,
                                                const CompileContext& context, Problems& problems) {
  const std::size_t before = problems.size();
  Early early;
  early.hits = read_hits(reader, context, problems);
  if (const ConfigNode* value = reader.take("gap"))
    early.gap = read_count(*value, {1, UINT32_MAX}, problems).value_or(1);
  reader.finish();
  if (!context.delay_before)
    problems.push_back(problem_at(node.mark,
                                  "an early packet leaves out its rule's delays, and there is none",
                                  "a delay before it in the rule, or mode: late"));
  return unless_wrong({.parameters = Parameters::from(early),
                       .decide = decide_early,
                       .explain = explain_early,
                       .uses_dice = true,
                       .uses_state = true,
                       .delays = true,
                       .owns_scope = true,
                       .breaks_order = true},
                      before, problems);
}

std::optional<CompiledImpairment> compile_late(MappingReader& reader, const CompileContext& context,
                                               Problems& problems) {
  const std::size_t before = problems.size();
  Late late;
  late.hits = read_hits(reader, context, problems);
  const ConfigNode* value = reader.require("by");
  if (value != nullptr && value->is_scalar() && value->text.ends_with('p'))
    problems.push_back(problem_at(value->mark,
                                  "by " + describe(*value) + " packets is not yet supported",
                                  "a time such as 5ms"));
  else if (value != nullptr)
    late.by_ns = read_duration_ns(*value, {1, kByMaxNs}, problems).value_or(1);
  reader.finish();
  return unless_wrong({.parameters = Parameters::from(late),
                       .decide = decide_late,
                       .explain = explain_late,
                       .adds_ns = late.by_ns,
                       .uses_dice = true,
                       .delays = true,
                       .breaks_order = true},
                      before, problems);
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  MappingReader reader(node, "reorder", problems);
  const ConfigNode* value = reader.require("mode");
  if (value == nullptr)
    return std::nullopt;
  const auto mode = read_word(*value, {"early", "late"}, problems);
  if (!mode)
    return std::nullopt;
  return *mode == 0 ? compile_early(reader, node, context, problems)
                    : compile_late(reader, context, problems);
}

}  // namespace

extern const ImpairmentModel kModel_reorder;
const ImpairmentModel kModel_reorder{"reorder", "", "", true, compile};

}  // namespace faultline
