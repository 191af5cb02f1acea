// Deciding fates, burst by burst.
#include "dataplane/decide.hpp"

#include <algorithm>

namespace faultline {

Decide::Decide(std::uint64_t flows_max, std::uint64_t flow_idle_ns, std::size_t ports)
    : ports_(ports),
      flows_(flows_max, flow_idle_ns),
      active_(kRulesMax),
      path_rules_(ports * kRulesMax),
      path_plans_(ports),
      states_(kScopeStatesMax),
      rule_paths_(kRulesMax * ports),
      rule_counters_(kRulesMax),
      delays_(new Histogram[kRulesMax]),
      plan_scratch_(kRulesMax) {}

void Decide::adopt(const Policy& policy, std::uint64_t now_ns) noexcept {
  policy_ = &policy;
  for (const std::uint16_t slot : policy.fresh_rules) {
    rule_counters_[slot] = {};
    delays_[slot].clear();
    for (std::size_t port = 0; port < ports_; ++port) rule_paths_[slot * ports_ + port] = {};
  }
  for (const std::uint32_t state : policy.fresh_states) states_[state] = {};
  plans_.restart();
  for (std::size_t port = 0; port < policy.paths.size(); ++port) {
    std::uint16_t* rules = &path_rules_[port * kRulesMax];
    std::size_t count = 0;
    for (const std::uint16_t rule : policy.paths[port].rules)
      if (policy.rules[rule].enabled)
        rules[count++] = rule;
    path_plans_[port] = {rules, count};
  }
  refresh(now_ns);
}

std::uint64_t Decide::refresh(std::uint64_t now_ns) noexcept {
  std::uint64_t next_ns = kNever;
  for (std::size_t index = 0; index < policy_->rules.size(); ++index) {
    const RuleProgram& rule = policy_->rules[index];
    active_[index] = rule.active_at(now_ns) ? 1 : 0;
    if (active_[index] != 0)
      next_ns = std::min(next_ns, rule.expires_ns);
  }
  return next_ns;
}

void Decide::judge(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                   WorkerCounters& counters) noexcept {
  for (std::uint32_t i = part.first; i < part.first + part.count; ++i) {
    burst.time_ns[i] = burst.arrival_ns[i];
    burst.reason[i] = DropReason::kNone;
    burst.length_bytes[i] = frames[i].length;
  }
  if (!reads_frames(part.ingress))
    return;
  if (policy_->paths[part.ingress].needs_flow)
    plan_by_flow(frames, part, burst, counters);
  else
    plan_by_path(frames, part, counters);
  const auto first = plan_.begin() + part.first;
  const bool shared = std::all_of(first, first + part.count, [&](const Plan& plan) {
    return plan.data() == first->data() && plan.size() == first->size();
  });
  if (shared)
    apply_shared_plan(part, burst);
  else
    apply_mixed_plans(part, burst);
}

void Decide::plan_by_flow(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                          WorkerCounters& counters) noexcept {
  PerPacket<ParseOutcome> outcome;
  const std::uint32_t end = part.first + part.count;
  for (std::uint32_t i = part.first; i < end; ++i) {
    const FrameView& frame = frames[i];
    outcome[i] = parse_flow_key({frame.bytes, frame.available}, frame.length, keys_[i]);
    burst.identity[i] = flow_identity(keys_[i]);
    flows_.prefetch(burst.identity[i], part.ingress);
  }
  const PathProgram& path = policy_->paths[part.ingress];
  for (std::uint32_t i = part.first; i < end; ++i) {
    if (outcome[i] == ParseOutcome::kUnparsed) {
      ++counters.unparsed;
      plan_[i] = {};
      continue;
    }
    Flow& flow = flows_.find(keys_[i], burst.identity[i], part.ingress, burst.arrival_ns[i]);
    burst.number[i] = ++flow.packets;
    plan_[i] = plan_of(flow, path);
  }
}

/// Where no rule of the path looks at flows, a frame is still judged only if it can be parsed: what
/// befalls it must not depend on which other rules there are.
void Decide::plan_by_path(const PerPacket<FrameView>& frames, BurstPart part,
                          WorkerCounters& counters) noexcept {
  const Plan plan = path_plans_[part.ingress];
  FlowKey key;
  for (std::uint32_t i = part.first; i < part.first + part.count; ++i) {
    const FrameView& frame = frames[i];
    const ParseOutcome outcome = parse_flow_key({frame.bytes, frame.available}, frame.length, key);
    const bool parsed = outcome == ParseOutcome::kParsed;
    counters.unparsed += parsed ? 0 : 1;
    plan_[i] = parsed ? plan : Plan{};
  }
}

Plan Decide::plan_of(Flow& flow, const PathProgram& path) noexcept {
  if (flow.plan_generation != plans_.epoch()) {
    std::size_t count = 0;
    for (const std::uint16_t index : path.rules) {
      const RuleProgram& rule = policy_->rules[index];
      if (rule.enabled && (!rule.match || rule.match->matches(flow.key)))
        plan_scratch_[count++] = index;
    }
    flow.plan = plans_.intern({plan_scratch_.data(), count});
    flow.plan_generation = plans_.epoch();
  }
  return plans_.plan(flow.plan);
}

void Decide::apply_shared_plan(BurstPart part, JudgedBurst& burst) noexcept {
  Selection all;
  for (std::uint32_t i = 0; i < part.count; ++i)
    all.position[i] = static_cast<std::uint8_t>(part.first + i);
  all.count = part.count;
  for (const std::uint16_t rule : plan_[part.first])
    if (active_[rule] != 0)
      apply_rule(policy_->rules[rule], part.ingress, all, burst);
}

/// Merges the packets' plans, which are ascending, rule by rule.
void Decide::apply_mixed_plans(BurstPart part, JudgedBurst& burst) noexcept {
  PerPacket<std::uint16_t> cursor{};
  const std::uint32_t end = part.first + part.count;
  for (;;) {
    std::uint32_t next = UINT32_MAX;
    for (std::uint32_t i = part.first; i < end; ++i)
      if (cursor[i] < plan_[i].size())
        next = std::min<std::uint32_t>(next, plan_[i][cursor[i]]);
    if (next == UINT32_MAX)
      return;
    Selection matched;
    for (std::uint32_t i = part.first; i < end; ++i) {
      if (cursor[i] < plan_[i].size() && plan_[i][cursor[i]] == next) {
        ++cursor[i];
        matched.position[matched.count++] = static_cast<std::uint8_t>(i);
      }
    }
    if (active_[next] != 0)
      apply_rule(policy_->rules[next], part.ingress, matched, burst);
  }
}

namespace {

Selection survivors(const Selection& among, const JudgedBurst& burst) noexcept {
  Selection alive;
  for (std::uint32_t turn = 0; turn < among.count; ++turn) {
    alive.position[alive.count] = among.position[turn];
    alive.count += burst.reason[among.position[turn]] == DropReason::kNone ? 1U : 0U;
  }
  return alive;
}

}  // namespace

void Decide::apply_rule(const RuleProgram& rule, std::uint8_t ingress, const Selection& matched,
                        JudgedBurst& burst) noexcept {
  RuleCounters& counters = rule_counters_[rule.slot];
  RulePathState& state = rule_paths_[rule.slot * ports_ + ingress];
  counters.matched += matched.count;
  for (std::uint32_t turn = 0; turn < matched.count; ++turn)
    burst.match_number[matched.position[turn]] = ++state.matches;
  const Selection judged = survivors(matched, burst);
  PerPacket<std::uint64_t> before_ns;
  if (rule.delays)
    before_ns = burst.time_ns;
  Selection alive = judged;
  ImpairmentTally tally;
  const std::uint64_t scope_identity = policy_->paths[ingress].identity;
  for (const RuleStep& step : rule.steps) {
    const CompiledImpairment& impairment = step.impairment;
    impairment.decide(impairment.parameters, {states_[step.first_state + ingress], scope_identity},
                      burst, alive, tally);
    if (impairment.drops)
      alive = survivors(alive, burst);
  }
  counters.clamped += tally.clamped;
  counters.undecided += tally.undecided;
  counters.dropped += judged.count - alive.count;
  count_losses(counters, state, judged, burst);
  if (rule.delays)
    count_delays(rule, counters, alive, before_ns, burst);
}

void Decide::count_losses(RuleCounters& counters, RulePathState& state, const Selection& judged,
                          const JudgedBurst& burst) noexcept {
  std::uint64_t lost = 0;
  std::uint64_t runs = 0;
  bool last = state.last_lost;
  for (std::uint32_t turn = 0; turn < judged.count; ++turn) {
    const bool hit = burst.reason[judged.position[turn]] == DropReason::kLoss;
    lost += hit ? 1 : 0;
    runs += hit && !last ? 1 : 0;
    last = hit;
  }
  state.last_lost = last;
  counters.lost += lost;
  counters.loss_runs += runs;
}

void Decide::count_delays(const RuleProgram& rule, RuleCounters& counters, const Selection& judged,
                          const PerPacket<std::uint64_t>& before_ns,
                          const JudgedBurst& burst) noexcept {
  Histogram& delays = delays_[rule.slot];
  std::uint64_t same_ns = 0;
  std::uint64_t same_times = 0;
  for (std::uint32_t turn = 0; turn < judged.count; ++turn) {
    const std::uint8_t i = judged.position[turn];
    const std::uint64_t delay_ns = burst.time_ns[i] - before_ns[i];
    counters.delayed += delay_ns > 0 ? 1 : 0;
    counters.delay_sum_ns += delay_ns;
    counters.delay_max_ns = std::max(counters.delay_max_ns, delay_ns);
    if (delay_ns != same_ns && same_times > 0) {
      delays.add(same_ns, same_times);
      same_times = 0;
    }
    same_ns = delay_ns;
    ++same_times;
  }
  if (same_times > 0)
    delays.add(same_ns, same_times);
}

}  // namespace faultline
