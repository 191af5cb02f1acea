// Deciding fates, burst by burst.
#include "dataplane/decide.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace faultline {
namespace {

Selection survivors(const Selection& among, const JudgedBurst& burst) noexcept {
  Selection alive;
  for (std::uint32_t turn = 0; turn < among.count; ++turn) {
    alive.position[alive.count] = among.position[turn];
    alive.count += burst.reason[among.position[turn]] == DropReason::kNone ? 1U : 0U;
  }
  return alive;
}

/// `all` less those in `gone`, which are among them in the same order.
Selection without(const Selection& all, const Selection& gone) noexcept {
  Selection left;
  std::uint32_t next = 0;
  for (std::uint32_t turn = 0; turn < all.count; ++turn) {
    if (next < gone.count && gone.position[next] == all.position[turn])
      ++next;
    else
      left.position[left.count++] = all.position[turn];
  }
  return left;
}

/// Both, in the order of the burst.
Selection merged(const Selection& left, const Selection& right) noexcept {
  if (right.count == 0)
    return left;
  Selection both;
  both.count = left.count + right.count;
  std::merge(left.position.begin(), left.position.begin() + left.count, right.position.begin(),
             right.position.begin() + right.count, both.position.begin());
  return both;
}

}  // namespace

Decide::Decide(const Settings& settings)
    : ports_(settings.ports),
      flows_(settings.flows_max, settings.flow_idle_ns),
      connections_(settings.flows_max, settings.flow_idle_ns),
      active_(kRulesMax),
      path_rules_(ports_ * kRulesMax),
      path_plans_(ports_),
      states_(kScopeStatesMax),
      state_epochs_(kScopeStatesMax),
      rule_paths_(kRulesMax * ports_),
      rule_epochs_(kRulesMax),
      holds_backlog_(kScopeStatesMax),
      arrivals_(ports_),
      rule_counters_(kRulesMax),
      delays_(new Histogram[kRulesMax]),
      plan_scratch_(kRulesMax),
      backlog_(settings.queued_max),
      scopes_(settings.flows_max, backlog_),
      parked_rules_(std::size_t{kBurstMax} * kRulesMax) {
  asked_.backlog = &backlog_;
}

void Decide::adopt(const Policy& policy, std::uint64_t now_ns) noexcept {
  if (policy_ != nullptr && !policy_->needs_connections() && policy.needs_connections())
    connections_.forget();
  policy_ = &policy;
  for (const std::uint16_t slot : policy.fresh_rules) {
    rule_counters_[slot] = {};
    delays_[slot].clear();
    for (std::size_t port = 0; port < ports_; ++port) rule_paths_[slot * ports_ + port] = {};
    ++rule_epochs_[slot];
  }
  for (const std::uint32_t state : policy.fresh_states) {
    if (holds_backlog_[state] != 0)
      backlog_.clear(states_[state].as<BacklogList>());
    holds_backlog_[state] = 0;
    states_[state] = {};
    ++state_epochs_[state];
  }
  for (const RuleProgram& rule : policy.rules)
    for (const RuleStep& step : rule.steps)
      for (std::size_t port = 0; step.impairment.holds_backlog && port < ports_; ++port)
        holds_backlog_[step.first_state + port] = 1;
  asked_.zero_ns = policy.zero_ns;
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
    const bool leased = rule.lease == nullptr || rule.lease->holds_at(now_ns);
    active_[index] = leased && rule.active_at(now_ns) ? 1 : 0;
    if (active_[index] != 0)
      next_ns = std::min(next_ns, rule.end_ns());
  }
  return next_ns;
}

void Decide::judge(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                   WorkerCounters& counters) noexcept {
  for (std::uint32_t i = part.first; i < part.first + part.count; ++i) {
    burst.time_ns[i] = burst.arrival_ns[i];
    burst.reason[i] = DropReason::kNone;
    burst.length_bytes[i] = frames[i].length;
    burst.ecn[i] = kEcnNotCapable;
    burst.marked[i] = false;
    parked_[i].rules = 0;
    arrival_number_[i] = ++arrivals_[part.ingress];
  }
  frames_ = &frames;
  const bool wants_flows = witness_ != nullptr && witness_->wants_flows();
  if (policy_ == nullptr || (!reads_frames(part.ingress) && !wants_flows))
    return;
  const PathProgram& path = policy_->paths[part.ingress];
  if (path.needs_flow || path.needs_connection || wants_flows)
    plan_by_flow(frames, part, burst, counters);
  else
    plan_by_path(frames, part, burst, counters);
  if (witness_ != nullptr) [[unlikely]]
    witness_->arrived({*policy_, part.first, part.count, fields_, connection_}, burst);
  const auto first = plan_.begin() + part.first;
  const bool shared = std::all_of(first, first + part.count, [&](const Plan& plan) {
    return plan.data() == first->data() && plan.size() == first->size();
  });
  if (shared)
    apply_shared_plan(part, burst);
  else
    apply_mixed_plans(part, burst);
}

void Decide::apply_shared_plan(BurstPart part, JudgedBurst& burst) noexcept {
  Selection left;
  for (std::uint32_t i = 0; i < part.count; ++i)
    left.position[i] = static_cast<std::uint8_t>(part.first + i);
  left.count = part.count;
  for (const std::uint16_t entry : plan_[part.first]) {
    const std::uint16_t rule = entry & kRuleOfEntry;
    if (active_[rule] == 0)
      continue;
    const Selection matched = matching(entry, part.ingress, left, burst);
    if (matched.count == 0)
      continue;
    apply_rule(rule, part.ingress, matched, burst);
    if (policy_->rules[rule].final)
      left = without(left, matched);
  }
}

/// A cursor behind the end of every plan.
constexpr std::uint16_t kPlanDone = UINT16_MAX;

/// Merges the packets' plans, which are ascending, rule by rule.
void Decide::apply_mixed_plans(BurstPart part, JudgedBurst& burst) noexcept {
  PerPacket<std::uint16_t> cursor{};
  const std::uint32_t end = part.first + part.count;
  for (;;) {
    std::uint32_t next = UINT32_MAX;
    for (std::uint32_t i = part.first; i < end; ++i)
      if (cursor[i] < plan_[i].size())
        next = std::min<std::uint32_t>(next, plan_[i][cursor[i]] & kRuleOfEntry);
    if (next == UINT32_MAX)
      return;
    // One rule may be certain for some flows and a question for others; each packet has one entry.
    Selection certain;
    Selection asked;
    for (std::uint32_t i = part.first; i < end; ++i) {
      if (cursor[i] >= plan_[i].size() || (plan_[i][cursor[i]] & kRuleOfEntry) != next)
        continue;
      Selection& kind = (plan_[i][cursor[i]] & kAskPacket) != 0 ? asked : certain;
      kind.position[kind.count++] = static_cast<std::uint8_t>(i);
      ++cursor[i];
    }
    if (active_[next] == 0)
      continue;
    const auto rule = static_cast<std::uint16_t>(next);
    const Selection matched =
        merged(certain, matching(rule | kAskPacket, part.ingress, asked, burst));
    if (matched.count == 0)
      continue;
    apply_rule(rule, part.ingress, matched, burst);
    if (policy_->rules[rule].final)
      for (std::uint32_t turn = 0; turn < matched.count; ++turn)
        cursor[matched.position[turn]] = kPlanDone;
  }
}

void Decide::apply_rule(std::uint16_t index, std::uint8_t ingress, const Selection& matched,
                        JudgedBurst& burst) noexcept {
  const RuleProgram& rule = policy_->rules[index];
  rule_counters_[rule.slot].matched += matched.count;
  count_matches(rule, ingress, matched, burst);
  if (witness_ != nullptr) [[unlikely]]
    witness_->matched(rule, matched, burst);
  const Selection judged = survivors(take_with(index, matched), burst);
  number_dice(rule, ingress, judged, burst);
  run_steps(index, 0, ingress, judged, burst.time_ns, burst);
}

/// What of `matched` can be judged now. Packets that wait for an earlier stage take the rule and
/// their count with them.
Selection Decide::take_with(std::uint16_t index, const Selection& matched) noexcept {
  Selection here;
  for (std::uint32_t turn = 0; turn < matched.count; ++turn) {
    const std::uint8_t i = matched.position[turn];
    if (parked_[i].rules == 0)
      here.position[here.count++] = i;
    else
      append_rule(i, index);
  }
  return here;
}

/// Asks the rule's impairments from `first_step` on and counts what became of the packets.
void Decide::run_steps(std::uint16_t index, std::size_t first_step, std::uint8_t ingress,
                       const Selection& judged, const PerPacket<std::uint64_t>& entered_ns,
                       JudgedBurst& burst) noexcept {
  const RuleProgram& rule = policy_->rules[index];
  RuleCounters& counters = rule_counters_[rule.slot];
  const PerPacket<std::uint64_t> before_ns = entered_ns;
  Selection alive = judged;
  ImpairmentTally tally;
  for (std::size_t step = first_step; step < rule.steps.size(); ++step) {
    if (rule.steps[step].parks && (step != first_step || !resuming_)) {
      park(index, step, alive, before_ns, burst);
      alive.count = 0;
    }
    if (alive.count == 0)
      break;
    ask(rule, step, ingress, alive, burst, tally);
    if (rule.steps[step].impairment.drops)
      alive = survivors(alive, burst);
  }
  counters.clamped += tally.clamped;
  counters.undecided += tally.undecided;
  counters.cut += tally.cut;
  const Selection ended = ended_here(judged, burst);
  counters.dropped += ended.count - alive.count;
  for (std::uint32_t turn = 0; turn < alive.count; ++turn)
    counters.edited += burst.marked[alive.position[turn]] ? 1U : 0U;
  count_losses(rule, ingress, ended, burst);
  if (rule.delays)
    count_delays(rule, counters, alive, before_ns, burst);
}

/// Those that the rule is done with: dropped or passed on, but not parked.
Selection Decide::ended_here(const Selection& judged, const JudgedBurst& burst) const noexcept {
  Selection ended;
  for (std::uint32_t turn = 0; turn < judged.count; ++turn) {
    const std::uint8_t i = judged.position[turn];
    if (parked_[i].rules == 0 || burst.reason[i] != DropReason::kNone)
      ended.position[ended.count++] = i;
  }
  return ended;
}

void Decide::park(std::uint16_t index, std::size_t step, const Selection& alive,
                  const PerPacket<std::uint64_t>& entered_ns, const JudgedBurst& burst) noexcept {
  for (std::uint32_t turn = 0; turn < alive.count; ++turn) {
    const std::uint8_t i = alive.position[turn];
    parked_[i] = Resume{.policy = policy_,
                        .identity = burst.identity[i],
                        .number = burst.number[i],
                        .connection_identity = connection_[i].identity,
                        .connection_number = connection_[i].number,
                        .arrival_number = arrival_number_[i],
                        .entered_ns = entered_ns[i],
                        .step = static_cast<std::uint16_t>(step),
                        .ecn = burst.ecn[i]};
    append_rule(i, index);
  }
}

void Decide::append_rule(std::uint8_t i, std::uint16_t index) noexcept {
  parked_rules_[i * kRulesMax + parked_[i].rules++] = {asked_.match_number[i], index, 0};
}

void Decide::write_resume(std::uint32_t i, std::byte* place) const noexcept {
  std::memcpy(place, &parked_[i], sizeof(Resume));
  std::memcpy(place + sizeof(Resume), &parked_rules_[i * kRulesMax],
              parked_[i].rules * sizeof(ResumeRule));
}

void Decide::resume(const Resume& resume, const HoldKey& key, const FrameView& frame,
                    JudgedBurst& burst) noexcept {
  const Policy* current = std::exchange(policy_, resume.policy);
  asked_.zero_ns = policy_->zero_ns;
  const Resume packet = resume;
  const auto* rules = reinterpret_cast<const ResumeRule*>(&resume + 1);
  burst.arrival_ns[0] = key.arrival_ns;
  burst.time_ns[0] = key.release_ns;
  burst.identity[0] = packet.identity;
  burst.number[0] = packet.number;
  burst.sequence[0] = key.sequence;
  burst.length_bytes[0] = frame.length;
  burst.ecn[0] = packet.ecn;
  burst.marked[0] = false;
  burst.reason[0] = DropReason::kNone;
  arrival_number_[0] = packet.arrival_number;
  connection_[0] = {.identity = packet.connection_identity, .number = packet.connection_number};
  parked_[0].rules = 0;
  parse_frame({frame.bytes, frame.available}, frame.length, fields_[0]);
  Selection one;
  one.position[0] = 0;
  one.count = 1;
  for (std::uint32_t turn = 0; turn < packet.rules; ++turn) {
    const auto index = static_cast<std::uint16_t>(rules[turn].rule);
    asked_.match_number[0] = rules[turn].match_number;
    const Selection judged = survivors(take_with(index, one), burst);
    number_dice(policy_->rules[index], key.ingress, judged, burst);
    PerPacket<std::uint64_t> entered_ns;
    entered_ns[0] = turn == 0 ? packet.entered_ns : burst.time_ns[0];
    resuming_ = turn == 0;
    run_steps(index, turn == 0 ? packet.step : 0, key.ingress, judged, entered_ns, burst);
  }
  resuming_ = false;
  policy_ = current;
  asked_.zero_ns = policy_->zero_ns;
}

/// Asks one impairment about the living packets, at once unless their scopes do not fit into the
/// table together.
void Decide::ask(const RuleProgram& rule, std::size_t index, std::uint8_t ingress,
                 const Selection& alive, JudgedBurst& burst, ImpairmentTally& tally) noexcept {
  const CompiledImpairment& impairment = rule.steps[index].impairment;
  if (impairment.decide == nullptr)
    return;
  for (std::uint32_t first = 0; first < alive.count;) {
    const std::uint32_t end = find_states(rule.steps[index], rule, ingress, alive, first, burst);
    Selection part;
    part.count = end - first;
    std::copy_n(alive.position.begin() + first, part.count, part.position.begin());
    if (witness_ != nullptr) [[unlikely]]
      witness_->asks(rule, index, part, asked_, burst);
    impairment.decide(impairment.parameters, asked_, burst, part, tally);
    if (witness_ != nullptr) [[unlikely]]
      witness_->judged(rule, index, part, burst);
    first = end;
  }
}

/// The identity of the scope that packet `i` belongs to: the path itself, or whom `per` names on
/// it.
std::uint64_t Decide::scope_identity(Per per, bool shared, std::uint8_t ingress, std::uint8_t i,
                                     const JudgedBurst& burst) const noexcept {
  const std::uint64_t path = shared ? kSharedIdentity : policy_->paths[ingress].identity;
  switch (per) {
    case Per::kRule:
      return path;
    case Per::kFlow:
      return burst.identity[i];
    case Per::kSource:
      return source_identity(fields_[i].key) ^ path;
    case Per::kDestination:
      return destination_identity(fields_[i].key) ^ path;
    case Per::kPair:
      return pair_identity(fields_[i].key) ^ path;
  }
  return path;
}

RuleScopeState& Decide::scope_of(const RuleProgram& rule, std::uint8_t ingress, std::uint8_t i,
                                 const JudgedBurst& burst) noexcept {
  const std::size_t path = rule.shared ? 0 : ingress;
  if (!rule.counts_scopes)
    return rule_paths_[rule.slot * ports_ + path];
  const std::uint64_t identity = scope_identity(rule.per, rule.shared, ingress, i, burst);
  const auto slot = static_cast<std::uint32_t>(kScopeStatesMax + rule.slot * ports_ + path);
  scopes_.begin_round();
  return scopes_.find({slot, rule_epochs_[rule.slot], false}, identity, burst.arrival_ns[i])
      ->as<RuleScopeState>();
}

void Decide::count_matches(const RuleProgram& rule, std::uint8_t ingress, const Selection& matched,
                           const JudgedBurst& burst) noexcept {
  if (rule.counts_scopes) {
    for (std::uint32_t turn = 0; turn < matched.count; ++turn) {
      const std::uint8_t i = matched.position[turn];
      asked_.match_number[i] = ++scope_of(rule, ingress, i, burst).matches;
    }
    return;
  }
  RuleScopeState& state = rule_paths_[rule.slot * ports_ + (rule.shared ? 0U : ingress)];
  std::uint64_t matches = state.matches;
  for (std::uint32_t turn = 0; turn < matched.count; ++turn)
    asked_.match_number[matched.position[turn]] = ++matches;
  state.matches = matches;
}

/// Fills in by which numbers the rule's dice are thrown.
void Decide::number_dice(const RuleProgram& rule, std::uint8_t ingress, const Selection& matched,
                         const JudgedBurst& burst) noexcept {
  if (rule.uses_step)
    asked_.step = rule.per == Per::kFlow ? burst.number : asked_.match_number;
  if (!rule.uses_dice)
    return;
  if (rule.draw == Draw::kArrival) {
    for (std::uint32_t turn = 0; turn < matched.count; ++turn) {
      const std::uint8_t i = matched.position[turn];
      asked_.identity[i] = policy_->paths[ingress].identity;
      asked_.number[i] = arrival_number_[i];
    }
    return;
  }
  if (rule.draw == Draw::kConnection) {
    for (std::uint32_t turn = 0; turn < matched.count; ++turn) {
      const std::uint8_t i = matched.position[turn];
      asked_.identity[i] = connection_[i].identity;
      asked_.number[i] = connection_[i].number;
    }
    return;
  }
  asked_.identity = burst.identity;
  asked_.number = burst.number;
}

/// Fills in each packet's scope and, where the impairment remembers something, its state, for turns
/// from `first` on. Returns the turn up to which that was possible, at least one.
std::uint32_t Decide::find_states(const RuleStep& step, const RuleProgram& rule,
                                  std::uint8_t ingress, const Selection& selection,
                                  std::uint32_t first, const JudgedBurst& burst) noexcept {
  const std::uint32_t slot = step.first_state + (rule.shared ? 0U : ingress);
  if (step.per == Per::kRule) {
    asked_.scope.fill(scope_identity(step.per, rule.shared, ingress, 0, burst));
    asked_.state.fill(&states_[slot]);
    return selection.count;
  }
  scopes_.begin_round();
  for (std::uint32_t turn = first; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    asked_.scope[i] = scope_identity(step.per, rule.shared, ingress, i, burst);
    if (!step.impairment.uses_state)
      continue;
    asked_.state[i] = scopes_.find({slot, state_epochs_[slot], step.impairment.holds_backlog},
                                   asked_.scope[i], burst.arrival_ns[i]);
    if (asked_.state[i] == nullptr)
      return turn;
  }
  return selection.count;
}

void Decide::count_losses(const RuleProgram& rule, std::uint8_t ingress, const Selection& judged,
                          const JudgedBurst& burst) noexcept {
  RuleCounters& counters = rule_counters_[rule.slot];
  for (std::uint32_t turn = 0; turn < judged.count; ++turn) {
    const std::uint8_t i = judged.position[turn];
    RuleScopeState& state = scope_of(rule, ingress, i, burst);
    const bool hit = burst.reason[i] == DropReason::kLoss;
    counters.lost += hit ? 1 : 0;
    counters.loss_runs += hit && !state.last_lost ? 1 : 0;
    state.last_lost = hit;
  }
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
