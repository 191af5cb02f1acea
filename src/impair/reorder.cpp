// reorder: packets leave in another order than they came.
// early: as netem does it. Of a scope's packets one in `gap` is sent at once, without the delays
// that stand before this in the rule: gap − 1 go their way, then each next one is early with
// probability `rate` until one is. Their share is 1 / (gap − 1 + 1/rate).
// late: with probability `rate` a packet waits `by` longer and so is overtaken; or until it has
// been overtaken by so many packets of its scope, in a served queue.
#include <algorithm>

#include "base/units.hpp"
#include "impair/edits.hpp"
#include "impair/served_pool.hpp"

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
  const Turns hit = early.hits.among(asked, selection);
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    std::uint64_t& passed = asked.state[i]->as<EarlyState>().passed;
    if (passed + 1 < early.gap || (hit >> turn & 1) == 0) {
      ++passed;
      continue;
    }
    passed = 0;
    const std::uint64_t early_ns = std::max(asked.entered_ns[i], burst.earliest_ns[i]);
    tally.reordered += burst.time_ns[i] > early_ns ? 1U : 0U;
    burst.time_ns[i] = early_ns;
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
  for_each_turn(late.hits.among(asked, selection), selection, [&](std::uint8_t i, std::uint32_t) {
    burst.time_ns[i] += late.by_ns;
    ++tally.reordered;
  });
}

Explanation explain_late(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                         std::uint8_t i) {
  return parameters.as<Late>().hits.explain(asked, i);
}

// --- late by packets -----------------------------------------------------------------------------

constexpr std::uint64_t kPacketsMax = 1'000'000;

struct LateByPackets {
  Hits hits;
  std::uint32_t packets = 1;
  std::uint64_t max_ns = kNsPerSecond;
};

/// A node of the queue carries, for its bytes, the value of `passed` at which it leaves.
struct PassingState {
  ServedQueue queue;
  std::uint32_t passed = 0;   ///< packets that were not late; wraps
  std::uint64_t last_ns = 0;  ///< when the last late one leaves: nobody may still pass it
};

/// What has waited for the most it may leaves. Returns when the first one is to leave.
std::uint64_t serve_late(ScopeState& state, ServedPool& pool, std::uint64_t,
                         std::uint64_t now_ns) noexcept {
  ServedQueue& queue = state.as<PassingState>().queue;
  for (;;) {
    if (queue.head == 0)
      return UINT64_MAX;
    if (queue.undecided == 0)
      return pool.node(queue.head).departure_ns;
    const ServedPool::Node& first = pool.node(queue.undecided);
    const std::uint64_t end_ns =
        first.time_ns + first.impairment->parameters.as<LateByPackets>().max_ns;
    if (end_ns > now_ns)
      return queue.head == queue.undecided ? end_ns : pool.node(queue.head).departure_ns;
    pool.decide(queue, Verdict::kSent, end_ns);
  }
}

/// A packet passes: those for which it is the last to do so follow it. Packets of one instant are
/// told apart by a nanosecond, so that none more passes.
void pass(PassingState& state, ServedPool& pool, std::uint64_t& time_ns) noexcept {
  time_ns = std::max(time_ns, state.last_ns);
  ++state.passed;
  while (state.queue.undecided != 0) {
    const ServedPool::Node& first = pool.node(state.queue.undecided);
    if (static_cast<std::int32_t>(state.passed - first.bytes) < 0)
      return;
    state.last_ns = time_ns + 1;
    pool.decide(state.queue, Verdict::kSent, state.last_ns);
  }
}

void decide_late_by_packets(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                            const Selection& selection, ImpairmentTally& tally) noexcept {
  const LateByPackets& late = parameters.as<LateByPackets>();
  ServedPool& pool = *asked.served;
  const Turns hit = late.hits.among(asked, selection);
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    PassingState& state = asked.state[i]->as<PassingState>();
    pool.meet(state.queue);
    serve_late(*asked.state[i], pool, asked.zero_ns, burst.time_ns[i]);
    burst.waits[i] = 0;
    if ((hit >> turn & 1) == 0) {
      pass(state, pool, burst.time_ns[i]);
      continue;
    }
    burst.waits[i] = pool.push(state.queue, burst.time_ns[i], state.passed + late.packets,
                               burst.ecn[i], *asked.self);
    if (burst.waits[i] == 0)
      burst.reason[i] = DropReason::kOverflow;
    else
      ++tally.reordered;
  }
}

Explanation explain_late_by_packets(const Parameters& parameters, const Asked& asked,
                                    const JudgedBurst&, std::uint8_t i) {
  Explanation why = parameters.as<LateByPackets>().hits.explain(asked, i);
  why.state = std::to_string(asked.state[i]->as<PassingState>().queue.packets) + " are late";
  return why;
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
                       .fate = early.hits.dice,
                       .uses_dice = true,
                       .state_bytes = sizeof(EarlyState),
                       .delays = true,
                       .owns_scope = true,
                       .breaks_order = true,
                       .counts_in_order = early.gap > 1},
                      before, problems);
}

/// How long a link would take for as many of the smallest frames as wait on average: one packet in
/// 1/rate is late, and waits while packets/(1 − rate) come. By the slowest link that has a name.
std::uint64_t usual_stay_ns(const LateByPackets& late) {
  constexpr double kFrameNs = 672;  // 84 bytes at 1 Gbit/s
  const double rate = late.hits.rate.approximate();
  if (rate >= 1)
    return late.max_ns;
  const double waiting = static_cast<double>(late.packets) * rate / (1 - rate) + 1;
  return static_cast<std::uint64_t>(std::min(waiting * kFrameNs, static_cast<double>(late.max_ns)));
}

std::optional<CompiledImpairment> compile_late_by_packets(MappingReader& reader, const Hits& hits,
                                                          const ConfigNode& by, std::size_t before,
                                                          Problems& problems) {
  LateByPackets late{hits};
  const auto packets = parse_count(by.text.substr(0, by.text.size() - 1));
  if (!packets || *packets == 0 || *packets > kPacketsMax)
    problems.push_back(problem_at(
        by.mark, "found " + describe(by),
        "a time such as 5ms, or 1p to " + std::to_string(kPacketsMax) + "p for packets"));
  else
    late.packets = static_cast<std::uint32_t>(*packets);
  if (const ConfigNode* value = reader.take("max"))
    late.max_ns = read_duration_ns(*value, {1, kByMaxNs}, problems).value_or(1);
  reader.finish();
  return unless_wrong({.parameters = Parameters::from(late),
                       .decide = decide_late_by_packets,
                       .serve = serve_late,
                       .explain = explain_late_by_packets,
                       .adds_ns = late.max_ns,
                       .uses_dice = true,
                       .state_bytes = sizeof(PassingState),
                       .delays = true,
                       .drops = true,
                       .owns_scope = true,
                       .breaks_order = true,
                       .needs_order = true,
                       .releases_on_arrival = true,
                       .usual_ns = usual_stay_ns(late)},
                      before, problems);
}

std::optional<CompiledImpairment> compile_late(MappingReader& reader, const CompileContext& context,
                                               Problems& problems) {
  const std::size_t before = problems.size();
  const Hits hits = read_hits(reader, context, problems);
  const ConfigNode* value = reader.require("by");
  if (value != nullptr && value->is_scalar() && value->text.ends_with('p'))
    return compile_late_by_packets(reader, hits, *value, before, problems);
  Late late{hits};
  if (value != nullptr)
    late.by_ns = read_duration_ns(*value, {1, kByMaxNs}, problems).value_or(1);
  reader.finish();
  return unless_wrong({.parameters = Parameters::from(late),
                       .decide = decide_late,
                       .explain = explain_late,
                       .fate = late.hits.dice,
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
