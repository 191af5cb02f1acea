// Deciding fates, burst by burst.
#include "dataplane/decide.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace faultline {
namespace {

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
    : paths_(settings.paths),
      flows_(settings.flows_max, settings.flow_idle_ns),
      states_max_(scope_states_max(settings.paths)),
      pieces_(states_max_ + kRulesMax * settings.paths, settings.paths),
      connections_(settings.flows_max, settings.flow_idle_ns),
      worker_(settings.worker),
      active_(kRulesMax),
      path_rules_(paths_ * kRulesMax),
      path_plans_(paths_),
      states_(states_max_),
      state_epochs_(states_max_),
      rule_paths_(kRulesMax * paths_),
      rule_epochs_(kRulesMax),
      state_queues_(states_max_),
      arrivals_(paths_),
      rule_counters_(kRulesMax),
      delays_(new Histogram[kRulesMax]),
      variations_(settings.paths),
      plan_scratch_(kRulesMax),
      backlog_(settings.queued_max),
      served_(settings.queued_max),
      scopes_(kScopesAFlow * settings.flows_max, {backlog_, served_}),
      wakes_(settings.queued_max),
      parked_rules_(std::size_t{kBurstMax} * kRulesMax) {
  gates_.reserve(scope_states_max(settings.paths) / settings.paths);
  asked_.backlog = &backlog_;
  asked_.served = &served_;
  asked_.clocks = &clocks_;
  asked_.fields = &fields_;
  asked_.tcp = &tcp_;
}

void Decide::adopt(const Policy& policy, std::uint64_t now_ns) noexcept {
  if (policy_ != nullptr)
    adopt_connections(policy);
  adopt_clocks(policy);
  open_ended_gates(policy, now_ns);
  policy_ = &policy;
  adopt_scanner(policy);
  for (const std::uint16_t slot : policy.fresh_rules) {
    rule_counters_[slot] = {};
    delays_[slot].clear();
    for (std::size_t path = 0; path < paths_; ++path) rule_paths_[slot * paths_ + path] = {};
    ++rule_epochs_[slot];
  }
  for (const std::uint32_t state : policy.fresh_states) {
    QueuePools{backlog_, served_}.release(std::exchange(state_queues_[state], StateQueue::kNone),
                                          states_[state]);
    states_[state] = {};
    ++state_epochs_[state];
  }
  for (const RuleProgram& rule : policy.rules)
    for (const RuleStep& step : rule.steps)
      for (std::size_t path = 0; path < paths_; ++path)
        if (const StateQueue queue = queue_of(step.impairment); queue != StateQueue::kNone)
          state_queues_[step.first_state + path] = queue;
  adopt_annexes(policy);
  variations_.adopt(policy);
  asked_.zero_ns = policy.zero_ns;
  plans_.restart();
  for (std::size_t path = 0; path < policy.paths.size(); ++path) {
    std::uint16_t* rules = &path_rules_[path * kRulesMax];
    std::size_t count = 0;
    for (const std::uint16_t rule : policy.paths[path].rules)
      if (policy.rules[rule].may_apply())
        rules[count++] = rule;
    path_plans_[path] = {rules, count};
  }
  refresh(now_ns);
}

void Decide::begin_run() noexcept {
  flows_.forget();
  connections_.begin_run();
  fragments_.begin_counts();
  scopes_.begin_counts();
  payload_counters_ = {};
  if (scanner_ != nullptr)
    scanner_->begin(payload_counters_);
  std::fill(arrivals_.begin(), arrivals_.end(), 0);
}

/// Where nobody looked so far, packets went by that were not counted or followed.
void Decide::adopt_connections(const Policy& policy) noexcept {
  if (!policy_->needs_connections() && policy.needs_connections())
    connections_.forget();
  for (std::size_t path = 0; path < policy.paths.size(); ++path)
    if (policy.paths[path].follows_tcp && !policy_->paths[path].follows_tcp)
      connections_.forget_tracks(policy.paths[path].pair);
}

/// Who told whom the time is known from time zero on, or from when a clock is there.
void Decide::adopt_clocks(const Policy& policy) noexcept {
  watches_clocks_ = policy.watches_clocks();
  if (asked_.zero_ns != policy.zero_ns)
    clocks_.clear();
  for (const std::uint16_t slot : policy.fresh_rules) clocks_.forget_rule(slot);
}

/// The same patterns as before are searched on; for others every stream begins anew.
void Decide::adopt_scanner(const Policy& policy) noexcept {
  PayloadScanner* next = policy.payload != nullptr ? policy.payload->scanner(worker_) : nullptr;
  if (next == scanner_)
    return;
  if (scanner_ != nullptr)
    payload_counters_.restarted += scanner_->streams();
  if (next != nullptr)
    next->begin(payload_counters_);
  scanner_ = next;
}

std::uint64_t Decide::refresh(std::uint64_t now_ns) noexcept {
  std::uint64_t next_ns = kNever;
  // Before the rules are looked at: what fires meanwhile, in another worker, is seen later.
  triggers_seen_ = policy_->board != nullptr ? policy_->board->firings() : 0;
  for (std::size_t index = 0; index < policy_->rules.size(); ++index) {
    const RuleProgram& rule = policy_->rules[index];
    const bool leased = rule.lease == nullptr || rule.lease->holds_at(now_ns);
    active_[index] = leased && rule.active_at(now_ns) ? 1 : 0;
    if (active_[index] != 0)
      next_ns = std::min(next_ns, rule.end_ns(now_ns));
    if (!rule.gates.empty()) [[unlikely]]
      next_ns = std::min(next_ns, rule.term_at(now_ns).changes_ns);
  }
  next_ns = std::min(next_ns, arm(now_ns));
  open_ended_gates(*policy_, now_ns);
  note_gates();
  return next_ns;
}

/// While a trigger counts packets they are judged one at a time: it acts from the next one on.
/// Returns when the next one counts again.
std::uint64_t Decide::arm(std::uint64_t now_ns) noexcept {
  armed_ = false;
  std::uint64_t next_ns = kNever;
  for (std::size_t index = 0; index < policy_->triggers.size(); ++index) {
    if (!policy_->triggers[index].counts_packets)
      continue;
    const std::uint64_t from_ns = policy_->board->trigger(index).waits_from_ns();
    if (from_ns > now_ns)
      next_ns = std::min(next_ns, from_ns);
    else
      armed_ = true;
  }
  return next_ns;
}

/// Counts the packet of a rule that triggers wait for. They fire when it has been judged: the rules
/// that it meets are as they were.
void Decide::trip(const RuleProgram& rule, std::uint8_t i, const JudgedBurst& burst) noexcept {
  for (const std::uint16_t index : rule.trips) {
    Trigger& trigger = policy_->board->trigger(index);
    if (!trigger.waits_at(burst.arrival_ns[i]) || !trigger.count(policy_->triggers[index].count))
      continue;
    const auto end = tripped_.begin() + tripped_count_;
    if (std::find_if(tripped_.begin(), end,
                     [index](const Tripped& other) { return other.trigger == index; }) != end)
      continue;
    FAULTLINE_CHECK(tripped_count_ < kTrippedMax);  // trigger_reader.cpp refuses more
    tripped_[tripped_count_++] = {index, i};
  }
}

void Decide::fire_tripped(PathId path_id, const JudgedBurst& burst) noexcept {
  for (std::uint32_t at = 0; at < tripped_count_; ++at) {
    const std::uint8_t i = tripped_[at].packet;
    policy_->board->fire(tripped_[at].trigger, burst.arrival_ns[i],
                         {true, path_id, fields_[i].key, burst.number[i], burst.length_bytes[i]});
  }
  tripped_count_ = 0;
}

void Decide::begin_part(const PerPacket<FrameView>& frames, BurstPart part,
                        JudgedBurst& burst) noexcept {
  // Array by array, and whole arrays where one value does for all: nobody has use for what the
  // entries beside the part said.
  const std::uint32_t end = part.first + part.count;
  for (std::uint32_t i = part.first; i < end; ++i) burst.time_ns[i] = burst.arrival_ns[i];
  for (std::uint32_t i = part.first; i < end; ++i) burst.earliest_ns[i] = burst.arrival_ns[i];
  for (std::uint32_t i = part.first; i < end; ++i) burst.length_bytes[i] = frames[i].length;
  for (std::uint32_t i = part.first; i < end; ++i)
    arrival_number_[i] = arrivals_[part.path_id] + 1 + i - part.first;
  arrivals_[part.path_id] += part.count;
  burst.reason.fill(DropReason::kNone);
  burst.ecn.fill(kEcnNotCapable);
  burst.marked.fill(false);
  burst.copy.fill(0);
  burst.tag_bytes.fill(0);
  burst.piece.fill(Piece::kWhole);
  burst.edits.begin();
  burst.captured = 0;
  burst.answer_count = 0;
  burst.egress = policy_ != nullptr ? policy_->paths[part.path_id].egress : 0;
  copy_count_ = 0;
  asked_witness_ = false;
  reopened_ = false;
  if (set_aside_) {
    for (Resume& resume : parked_) resume.rules = 0;
    waits_.fill(0);
    set_aside_ = false;
  }
  if (salts_used_)
    salt_.fill(0);
  salted_ = salts_used_ = false;
}

void Decide::judge(PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                   WorkerCounters& counters) noexcept {
  begin_part(frames, part, burst);
  frames_ = &frames;
  if (policy_ == nullptr || (!reads_frames(part.path_id) && !wants_flows_))
    return;
  const PathProgram& path = policy_->paths[part.path_id];
  const bool by_flow =
      path.needs_flow || path.needs_connection || wants_flows_ || policy_->model.counts_losses();
  Selection all;
  if (by_flow)
    plan_by_flow(frames, part, burst, counters);
  else
    all = parse_all(frames, part, burst, counters);
  if (watches_clocks_) [[unlikely]]
    watch_clocks(frames, part, burst);
  if (arrivals_witness_ != nullptr) [[unlikely]]
    arrivals_witness_->arrived({*policy_, part.first, part.count, part.path_id, fields_,
                                connection_, tcp_, payload_, frames},
                               burst);
  if (by_flow)
    follow_plans(part, burst);
  else if (all.count > 0)
    follow_plan(path_plans_[part.path_id], 0, all, part.path_id, burst);
  if (copy_count_ > 0) [[unlikely]]
    judge_copies(part.path_id, burst);
  if (told_witness()) [[unlikely]] {
    part_ = part;
    tell_decided(false, path.ingress, burst);
  }
  if (tripped_count_ > 0) [[unlikely]]
    fire_tripped(part.path_id, burst);
}

void Decide::tell_decided(bool goes_on, std::uint8_t ingress, const JudgedBurst& burst) noexcept {
  static_assert(kBurstMax <= 64);
  std::uint64_t aside = 0;
  const auto note = [&](std::uint32_t i) {
    const bool waits = (parked_[i].rules > 0 || waits_[i] != 0) && set_aside_;
    aside |= std::uint64_t{waits && burst.reason[i] == DropReason::kNone} << i;
  };
  for (std::uint32_t i = part_.first; set_aside_ && i < part_.first + part_.count; ++i) note(i);
  for (std::uint32_t at = 0; set_aside_ && at < copy_count_; ++at) note(kFirstCopy + at);
  const bool by_connection = !goes_on && policy_->paths[part_.path_id].draws_by_connection;
  witness_->decided(
      {goes_on, ingress, aside, goes_on ? nullptr : frames_, goes_on ? nullptr : &flow_,
       by_connection ? &connection_ : nullptr, reopened_, fields_},
      burst);
}

/// Applies the packets' plans.
void Decide::follow_plans(BurstPart part, JudgedBurst& burst) noexcept {
  const auto first = plan_.begin() + part.first;
  const bool shared = std::all_of(first, first + part.count, [&](const Plan& plan) {
    return plan.data() == first->data() && plan.size() == first->size();
  });
  if (!shared) {
    apply_mixed_plans(part, burst);
    return;
  }
  if (first->empty())
    return;
  Selection all;
  for (std::uint32_t i = 0; i < part.count; ++i)
    all.position[i] = static_cast<std::uint8_t>(part.first + i);
  all.count = part.count;
  follow_plan(*first, 0, all, part.path_id, burst);
}

/// Applies the rules of a plan that all packets of `left` have, from the one at place `from` on.
void Decide::follow_plan(Plan plan, std::size_t from, Selection left, PathId path_id,
                         JudgedBurst& burst) noexcept {
  for (std::size_t place = from; place < plan.size(); ++place) {
    const std::uint16_t entry = plan[place];
    const std::uint16_t rule = entry & kRuleOfEntry;
    if (active_[rule] == 0)
      continue;
    const Selection matched = matching(entry, path_id, left, burst);
    if (matched.count == 0)
      continue;
    apply_rule(rule, path_id, matched, burst);
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
        merged(certain, matching(rule | kAskPacket, part.path_id, asked, burst));
    if (matched.count == 0)
      continue;
    apply_rule(rule, part.path_id, matched, burst);
    if (policy_->rules[rule].final)
      for (std::uint32_t turn = 0; turn < matched.count; ++turn)
        cursor[matched.position[turn]] = kPlanDone;
  }
}

void Decide::apply_rule(std::uint16_t index, PathId path_id, const Selection& matched,
                        JudgedBurst& burst) noexcept {
  const RuleProgram& rule = policy_->rules[index];
  rule_counters_[rule.slot].matched += matched.count;
  if (!rule.trips.empty() && armed_) [[unlikely]]
    for (std::uint32_t turn = 0; turn < matched.count; ++turn)
      trip(rule, matched.position[turn], burst);
  count_matches(rule, path_id, matched, burst);
  if (arrivals_witness_ != nullptr) [[unlikely]]
    arrivals_witness_->matched(rule, matched, burst);
  const Selection judged = survivors(take_with(index, matched), burst);
  number_dice(rule, path_id, judged, burst);
  copy_selected(burst.time_ns, judged, asked_.entered_ns);
  run_steps(index, 0, path_id, judged, burst);
}

/// What of `matched` can be judged now. Packets that wait for an earlier stage take the rule and
/// their count with them.
Selection Decide::take_with(std::uint16_t index, const Selection& matched) noexcept {
  if (!set_aside_) [[likely]]
    return matched;
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

/// Which of the packets leave with CE, by position.
std::uint64_t marked_of(const Selection& selection, const JudgedBurst& burst) noexcept {
  static_assert(kBurstMax <= 64);
  if (!burst.any_marked()) [[likely]]
    return 0;
  std::uint64_t marked = 0;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    marked |= std::uint64_t{burst.marked[i]} << i;
  }
  return marked;
}

/// Asks the rule's impairments from `first_step` on and counts what became of the packets.
void Decide::run_steps(std::uint16_t index, std::size_t first_step, PathId path_id,
                       const Selection& judged, JudgedBurst& burst) noexcept {
  const RuleProgram& rule = policy_->rules[index];
  RuleCounters& counters = rule_counters_[rule.slot];
  Selection alive = judged;
  ImpairmentTally tally;
  const std::uint64_t marked_before = marked_of(judged, burst);
  for (std::size_t step = first_step; step < rule.steps.size(); ++step) {
    if (rule.steps[step].parks && (step != first_step || !resuming_)) {
      park(index, step, alive, burst);
      alive.count = 0;
    }
    if (alive.count == 0)
      break;
    ask(rule, step, path_id, alive, burst, tally);
    if (rule.steps[step].impairment.copies > 0) [[unlikely]]
      make_copies(rule, step, path_id, alive, burst);
    if (rule.steps[step].impairment.drops)
      alive = survivors(alive, burst);
    if (rule.steps[step].impairment.serve != nullptr)
      alive = without_waiting(alive);
  }
  counters.clamped += tally.clamped;
  counters.undecided += tally.undecided;
  counters.cut += tally.cut;
  counters.reordered += tally.reordered;
  counters.unrewritable += tally.unrewritable;
  const Selection ended = ended_here(judged, burst);
  counters.dropped += ended.count - alive.count;
  counters.edited +=
      static_cast<std::uint32_t>(std::popcount(marked_of(alive, burst) & ~marked_before));
  if (rule.loses)
    count_losses(rule, path_id, ended, burst);
  if (rule.delays)
    count_delays(rule, counters, alive, burst);
  if (rule.variation) [[unlikely]]
    note_variation(rule, path_id, alive, burst);
}

/// Those that go on at once.
Selection Decide::without_waiting(const Selection& among) const noexcept {
  Selection left;
  for (std::uint32_t turn = 0; turn < among.count; ++turn) {
    left.position[left.count] = among.position[turn];
    left.count += waits_[among.position[turn]] == 0 ? 1U : 0U;
  }
  return left;
}

/// Those that the rule is done with: dropped or passed on, but not parked.
Selection Decide::ended_here(const Selection& judged, const JudgedBurst& burst) const noexcept {
  if (!set_aside_) [[likely]]
    return judged;
  Selection ended;
  for (std::uint32_t turn = 0; turn < judged.count; ++turn) {
    const std::uint8_t i = judged.position[turn];
    if (parked_[i].rules == 0 || burst.reason[i] != DropReason::kNone)
      ended.position[ended.count++] = i;
  }
  return ended;
}

/// Fills in which nodes the packets come from and go to, and the frames that tell.
void Decide::tell_nodes(const NodeTable& nodes, PathId path_id, const Selection& alive) noexcept {
  const PathProgram& path = policy_->paths[path_id];
  for (std::uint32_t turn = 0; turn < alive.count; ++turn) {
    const std::uint8_t i = alive.position[turn];
    const FrameView& frame = frames_ != nullptr ? (*frames_)[i] : taken_up_;
    asked_.frames[i] = {frame.bytes, frame.available};
    const FrameOnPath seen{fields_[i], asked_.frames[i], path.ingress, path.egress};
    asked_.sources[i] = nodes.sources(seen);
    asked_.destinations[i] = nodes.destinations(seen);
  }
}

/// Asks one impairment about the living packets, at once unless their scopes do not fit into the
/// table together.
void Decide::ask(const RuleProgram& rule, std::size_t index, PathId path_id, const Selection& alive,
                 JudgedBurst& burst, ImpairmentTally& tally) noexcept {
  const CompiledImpairment& impairment = rule.steps[index].impairment;
  if (impairment.decide == nullptr)
    return;
  asked_.self = &impairment;
  asked_.rule_slot = rule.slot;
  asked_.begins_ns = rule.begins_ns;
  if (!rule.gates.empty()) [[unlikely]] {
    // A packet that waited for a stage may have come before the last firing.
    const std::uint64_t arrival_ns = burst.arrival_ns[alive.position[0]];
    asked_.begins_ns = std::min(rule.term_at(arrival_ns).begins_ns, arrival_ns);
  }
  asked_.common = &states_[rule.steps[index].first_state];
  if (impairment.nodes != nullptr) [[unlikely]]
    tell_nodes(*impairment.nodes, path_id, alive);
  for (std::uint32_t first = 0; first < alive.count;) {
    const std::uint32_t end = find_states(rule.steps[index], rule, path_id, alive, first, burst);
    Selection some;
    some.count = end - first;
    if (some.count < alive.count)
      std::copy_n(alive.position.begin() + first, some.count, some.position.begin());
    const Selection& part = some.count < alive.count ? some : alive;
    if (witness_ != nullptr) [[unlikely]] {
      witness_->asks(rule, index, part, asked_, burst);
      asked_witness_ = true;
    }
    impairment.decide(impairment.parameters, asked_, burst, part, tally);
    if (impairment.serve != nullptr)
      let_wait(rule, index, path_id, part, burst);
    if (witness_ != nullptr) [[unlikely]]
      witness_->judged(rule, index, part, burst);
    first = end;
  }
}

}  // namespace faultline
