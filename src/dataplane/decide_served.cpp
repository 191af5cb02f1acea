// Packets in served queues: how they get in, whose turn it is, how they go on.
#include <algorithm>
#include <utility>

#include "dataplane/decide.hpp"

namespace faultline {
namespace {

/// Whether a wake of this kind is laid for the queue.
void set_awaited(ServedQueue& queue, const Wake& wake, bool awaited) noexcept {
  if (wake.chases)
    queue.chased = awaited ? 1 : 0;
  else
    queue.timed = awaited ? 1 : 0;
}

}  // namespace

/// Those of `asked` that the impairment put into a queue wait: they take along what it takes to go
/// on behind it. Where a queue was empty before, a wake is laid.
void Decide::let_wait(const RuleProgram& rule, std::size_t step, PathId path_id,
                      const Selection& asked, JudgedBurst& burst) noexcept {
  const RuleStep& served = rule.steps[step];
  const auto index = static_cast<std::uint16_t>(&rule - policy_->rules.data());
  const std::uint32_t slot = served.first_state + (shares_state(served, rule) ? 0U : path_id);
  Wake wake{.zero_ns = asked_.zero_ns,
            .slot = slot,
            .epoch = state_epochs_[slot],
            .scoped = served.per != Per::kRule,
            .path_id = path_id};
  Selection one;
  one.count = 1;
  for (std::uint32_t turn = 0; turn < asked.count; ++turn) {
    const std::uint8_t i = asked.position[turn];
    waits_[i] = burst.reason[i] == DropReason::kNone ? burst.waits[i] : 0;
    if (waits_[i] == 0)
      continue;
    served_.node(waits_[i]).generation = policy_->generation;
    one.position[0] = i;
    park(index, step + 1, one, burst);
    const ServedQueue& queue = asked_.state[i]->as<ServedQueue>();
    // A queue that others' coming had emptied still has its wake. Laid under a policy with a longer
    // wait it may come later than asked.
    if (queue.head != waits_[i] || queue.timed != 0)
      continue;
    wake.time_ns =
        served.impairment.serve(*asked_.state[i], served_, asked_.zero_ns, burst.time_ns[i]);
    if (wake.time_ns == UINT64_MAX)
      continue;  // it stands still until its rule ends
    wake.scope = scope_identity(served.per, shares_state(served, rule), path_id, i, burst);
    lay(wake, *asked_.state[i]);
  }
  if (!served.impairment.releases_on_arrival)
    return;
  wake.chases = true;
  for (std::uint32_t turn = 0; turn < asked.count; ++turn) {
    const std::uint8_t i = asked.position[turn];
    const ServedQueue& queue = asked_.state[i]->as<ServedQueue>();
    if (queue.head == queue.undecided || queue.chased != 0)
      continue;
    wake.time_ns = served_.node(queue.head).departure_ns;
    wake.scope = scope_identity(served.per, shares_state(served, rule), path_id, i, burst);
    lay(wake, *asked_.state[i]);
  }
}

void Decide::lay(const Wake& wake, ScopeState& state) noexcept {
  if (wakes_.full()) [[unlikely]]
    prune_wakes();
  ServedQueue& queue = state.as<ServedQueue>();
  set_awaited(queue, wake, true);
  chases_ += wake.chases ? 1U : 0U;
  wakes_.push(wake);
}

/// Forgets wakes of queues that are no more, and all but the first where one has several.
void Decide::prune_wakes() noexcept {
  wakes_.for_each([this](const Wake& wake) {
    if (ScopeState* state = state_of(wake)) {
      ServedQueue& queue = state->as<ServedQueue>();
      served_.meet(queue);
      queue.timed = queue.chased = 0;
    }
  });
  chases_ = 0;
  wakes_.keep_if([this](const Wake& wake) {
    ScopeState* state = state_of(wake);
    if (state == nullptr || state->as<ServedQueue>().head == 0)
      return false;
    ServedQueue& queue = state->as<ServedQueue>();
    if ((wake.chases ? queue.chased : queue.timed) != 0)
      return false;
    set_awaited(queue, wake, true);
    chases_ += wake.chases ? 1U : 0U;
    return true;
  });
}

/// The first wake, and the state whose queue it is for; null: there is nothing in it.
ScopeState* Decide::take_wake(Wake& wake) noexcept {
  wake = wakes_.front();
  wakes_.pop();
  chases_ -= wake.chases ? 1U : 0U;
  ScopeState* state = state_of(wake);
  if (state == nullptr)
    return nullptr;
  ServedQueue& queue = state->as<ServedQueue>();
  served_.meet(queue);
  set_awaited(queue, wake, false);
  return queue.head != 0 ? state : nullptr;
}

/// The state that begins with the wake's queue; null when its scope was forgotten.
ScopeState* Decide::state_of(const Wake& wake) noexcept {
  if (wake.epoch != state_epochs_[wake.slot])
    return nullptr;
  if (!wake.scoped)
    return &states_[wake.slot];
  return scopes_.known({wake.slot, wake.epoch, StateQueue::kServed}, wake.scope);
}

// --- gates ---------------------------------------------------------------------------------------

namespace {

bool is_gated(const RuleStep& step) noexcept {
  return step.impairment.serve != nullptr && step.impairment.shares_paths;
}

/// Gives the slot of each queue that an enabled rule of the policy keeps closed.
template <typename Visit>
void for_each_gate(const Policy& policy, const Visit& visit) noexcept {
  for (std::size_t index = 0; index < policy.rules.size(); ++index)
    if (policy.rules[index].may_apply())
      for (const RuleStep& step : policy.rules[index].steps)
        if (is_gated(step))
          visit(index, step.first_state);
}

}  // namespace

void Decide::open_gate(std::uint32_t slot, std::uint64_t now_ns) noexcept {
  auto& gate = states_[slot].as<GatedQueue>();
  served_.meet(gate.queue);
  if (gate.queue.undecided == 0)
    return;
  gate.opens_ns = now_ns;
  lay({.time_ns = now_ns, .zero_ns = asked_.zero_ns, .slot = slot, .epoch = state_epochs_[slot]},
      states_[slot]);
}

void Decide::open_gates(std::uint64_t now_ns) noexcept {
  for (const std::uint32_t slot : gates_) open_gate(slot, now_ns);
}

/// Opens those that no active rule keeps closed any more. Under another policy it must be one that
/// is enabled there; whether its time is over is seen when it is in force.
void Decide::open_ended_gates(const Policy& next, std::uint64_t now_ns) noexcept {
  std::erase_if(gates_, [&](std::uint32_t slot) {
    bool stays = false;
    for_each_gate(next, [&](std::size_t index, std::uint32_t closed) {
      stays |= closed == slot && (&next != policy_ || active_[index] != 0);
    });
    if (!stays)
      open_gate(slot, now_ns);
    return !stays;
  });
}

void Decide::note_gates() noexcept {
  for_each_gate(*policy_, [&](std::size_t index, std::uint32_t slot) {
    if (active_[index] != 0 && std::ranges::find(gates_, slot) == gates_.end())
      gates_.push_back(slot);
  });
}

bool Decide::waits_for_ends() noexcept {
  return std::ranges::any_of(gates_, [&](std::uint32_t slot) {
    auto& gate = states_[slot].as<GatedQueue>();
    served_.meet(gate.queue);
    return gate.queue.head != 0;
  });
}

// --- served --------------------------------------------------------------------------------------

void Decide::serve_next(ServedQueue& due) noexcept {
  Wake wake;
  ScopeState* state = take_wake(wake);
  if (state == nullptr)
    return;
  ServedQueue& queue = state->as<ServedQueue>();
  const ServeFunction serve = served_.node(queue.head).impairment->serve;
  serve(*state, served_, wake.zero_ns, wake.time_ns);
  served_.detach_due(queue, wake.time_ns, due);
  const std::uint64_t next_ns = serve(*state, served_, wake.zero_ns, wake.time_ns);
  if (next_ns == UINT64_MAX || (wake.chases && queue.head == queue.undecided))
    return;
  wake.time_ns = next_ns;
  lay(wake, *state);
}

void Decide::empty_next(ServedQueue& all) noexcept {
  Wake wake;
  ScopeState* state = take_wake(wake);
  if (state == nullptr)
    return;
  ServedQueue& queue = state->as<ServedQueue>();
  while (queue.undecided != 0) served_.decide(queue, Verdict::kSent, 0);
  served_.detach_due(queue, UINT64_MAX, all);
}

void Decide::resume_served(const Resume& resume, const HoldKey& key, const ServedPool::Node& node,
                           const FrameView& frame, JudgedBurst& burst) noexcept {
  take_up(resume, key, frame, burst);
  const auto* rules = reinterpret_cast<const ResumeRule*>(&resume + 1);
  const RuleProgram& rule = resume.policy->rules[rules[0].rule];
  Selection one;
  one.position[0] = 0;
  one.count = 1;
  burst.time_ns[0] = node.time_ns;
  if (witness_ != nullptr) [[unlikely]]
    witness_->served(rule, resume.step - 1U, one, burst);
  burst.time_ns[0] = key.release_ns;
  if (node.verdict == Verdict::kDropped)
    burst.reason[0] = rule.steps[resume.step - 1U].impairment.served_drop;
  if (node.verdict == Verdict::kMarked) {
    burst.marked[0] = burst.ecn[0] != kEcnCongestionExperienced;
    rule_counters_[rule.slot].edited += burst.marked[0] ? 1U : 0U;
    burst.ecn[0] = kEcnCongestionExperienced;
  }
  if (witness_ != nullptr) [[unlikely]]
    witness_->judged(rule, resume.step - 1U, one, burst);
  if (node.verdict == Verdict::kDropped) {
    ++rule_counters_[rule.slot].dropped;
  } else {
    resuming_ = true;
    go_on(resume, resume.policy->path_of(key.ingress, key.egress), burst);
  }
  if (witness_ != nullptr) [[unlikely]]
    tell_decided(true, key.ingress, burst);
}

}  // namespace faultline
