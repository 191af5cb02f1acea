// Whose state an impairment is asked with, which numbers the dice are thrown by, and what a rule
// counts.
#include <algorithm>
#include <cstring>

#include "dataplane/decide.hpp"

namespace faultline {

/// What of a flow its identity does not tell: VLANs have no part in dice, but the same addresses in
/// two VLANs are two flows, each with states of its own.
std::uint64_t vlan_spread(const FlowKey& key) noexcept {
  return ((std::uint64_t{key.outer_vlan} << 16) | key.inner_vlan) * 0xD6E8FEB86659FD93;
}

/// The identity of the scope that packet `i` belongs to: the path itself, or whom `per` names on
/// it.
std::uint64_t Decide::scope_identity(Per per, bool shared, PathId path_id, std::uint8_t i,
                                     const JudgedBurst& burst) const noexcept {
  const std::uint64_t path = shared ? kSharedIdentity : policy_->paths[path_id].identity;
  switch (per) {
    case Per::kRule:
      return path;
    case Per::kFlow:
      return burst.identity[i] ^ vlan_spread(scope_key(i));
    case Per::kSource:
      return source_identity(scope_key(i)) ^ path;
    case Per::kDestination:
      return destination_identity(scope_key(i)) ^ path;
    case Per::kPair:
      return pair_identity(scope_key(i)) ^ path;
  }
  return path;
}

/// The same for a selection, into `out` by position.
void Decide::scope_identities(Per per, bool shared, PathId path_id, const Selection& selection,
                              const JudgedBurst& burst,
                              PerPacket<std::uint64_t>& out) const noexcept {
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    out[i] = scope_identity(per, shared, path_id, i, burst);
  }
}

/// The states that `scopes` has for the packets' scopes, for turns from `first` on, into `out`.
/// Returns the turn up to which that was possible, at least one.
std::uint32_t Decide::look_up_scopes(const Scopes& scopes, const Selection& selection,
                                     std::uint32_t first, const JudgedBurst& burst,
                                     PerPacket<ScopeState*>& out) noexcept {
  const AnnexPiece* piece = piece_of(scopes, selection.position[first]);
  if (piece != nullptr) {
    for (std::uint32_t turn = first; turn < selection.count; ++turn) {
      const std::uint8_t i = selection.position[turn];
      out[i] = flows_.state(*annex_[i], *piece);
    }
    return selection.count;
  }
  const AnnexPiece* outgrown = pieces_.outgrown_by(scopes.annexed());
  const ScopeTable::Owner& owner = scopes.owner;
  PerPacket<std::uint64_t> identities;
  scope_identities(scopes.per, scopes.shared, scopes.path_id, selection, burst, identities);
  std::array<SoughtEntry, kBurstMax> sought;
  for (std::uint32_t turn = first; turn < selection.count; ++turn)
    sought[turn] = scopes_.seek(owner, identities[selection.position[turn]]);
  for (std::uint32_t turn = first; turn < selection.count; ++turn) scopes_.approach(sought[turn]);
  scopes_.begin_round();
  for (std::uint32_t turn = first; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const bool is_new = outgrown != nullptr && scopes_.known(owner, identities[i]) == nullptr;
    out[i] = scopes_.find(sought[turn], owner, identities[i], burst.arrival_ns[i]);
    if (out[i] == nullptr)
      return turn;
    if (is_new && annex_[i] != nullptr && outgrown->is_of(*annex_[i]))
      std::memcpy(out[i], outgrown->in(*annex_[i]), outgrown->bytes);
  }
  return selection.count;
}

RuleScopeState& Decide::scope_of(const RuleProgram& rule, PathId path_id, std::uint8_t i,
                                 const JudgedBurst& burst) noexcept {
  const std::size_t path = rule.shared ? 0 : path_id;
  if (!rule.counts_scopes)
    return rule_paths_[rule.slot * paths_ + path];
  return scope_again(rule, path_id, i, burst);
}

/// What a rule counts for the packet's scope, which was probably looked up just before.
RuleScopeState& Decide::scope_again(const RuleProgram& rule, PathId path_id, std::uint8_t i,
                                    const JudgedBurst& burst) noexcept {
  const Scopes scopes = scopes_of(rule, path_id);
  if (const AnnexPiece* piece = piece_of(scopes, i); piece != nullptr)
    return flows_.state(*annex_[i], *piece)->as<RuleScopeState>();
  scopes_.begin_round();
  rule_scope_[i] = scopes_.find_again(rule_scope_[i], scopes.owner,
                                      scope_identity(rule.per, rule.shared, path_id, i, burst),
                                      burst.arrival_ns[i]);
  return rule_scope_[i]->as<RuleScopeState>();
}

void Decide::count_matches(const RuleProgram& rule, PathId path_id, const Selection& matched,
                           const JudgedBurst& burst) noexcept {
  if (rule.counts_scopes) {
    const Scopes scopes = scopes_of(rule, path_id);
    for (std::uint32_t turn = 0; turn < matched.count;) {
      const std::uint32_t end = look_up_scopes(scopes, matched, turn, burst, rule_scope_);
      for (; turn < end; ++turn) {
        const std::uint8_t i = matched.position[turn];
        asked_.match_number[i] = ++rule_scope_[i]->as<RuleScopeState>().matches;
      }
    }
    return;
  }
  RuleScopeState& state = rule_paths_[rule.slot * paths_ + (rule.shared ? 0U : path_id)];
  std::uint64_t matches = state.matches;
  for (std::uint32_t turn = 0; turn < matched.count; ++turn)
    asked_.match_number[matched.position[turn]] = ++matches;
  state.matches = matches;
}

/// Fills in by which numbers the rule's dice are thrown.
void Decide::number_dice(const RuleProgram& rule, PathId path_id, const Selection& matched,
                         const JudgedBurst& burst) noexcept {
  if (rule.uses_step)
    copy_selected(rule.per == Per::kFlow ? burst.number : asked_.match_number, matched,
                  asked_.step);
  if (!rule.uses_dice)
    return;
  if (rule.draw == Draw::kArrival) {
    for (std::uint32_t turn = 0; turn < matched.count; ++turn) {
      const std::uint8_t i = matched.position[turn];
      asked_.identity[i] = policy_->paths[path_id].identity;
      asked_.number[i] = arrival_number_[i];
    }
  } else if (rule.draw == Draw::kConnection) {
    for (std::uint32_t turn = 0; turn < matched.count; ++turn) {
      const std::uint8_t i = matched.position[turn];
      asked_.identity[i] = connection_[i].identity;
      asked_.number[i] = connection_[i].number;
    }
  } else {
    copy_selected(burst.identity, matched, asked_.identity);
    copy_selected(burst.number, matched, asked_.number);
  }
  for (std::uint32_t turn = 0; salted_ && turn < matched.count; ++turn)
    asked_.identity[matched.position[turn]] ^= salt_[matched.position[turn]];
}

/// Fills in each packet's scope and, where the impairment remembers something, its state, for turns
/// from `first` on. Returns the turn up to which that was possible, at least one.
std::uint32_t Decide::find_states(const RuleStep& step, const RuleProgram& rule, PathId path_id,
                                  const Selection& selection, std::uint32_t first,
                                  const JudgedBurst& burst) noexcept {
  const bool shared = shares_state(step, rule);
  const std::uint32_t slot = step.first_state + (shared ? 0U : path_id);
  if (step.per == Per::kRule && step.impairment.state_bytes == 0)
    return selection.count;
  if (step.per == Per::kRule) {
    const std::uint64_t identity = scope_identity(step.per, shared, path_id, 0, burst);
    for (std::uint32_t turn = first; turn < selection.count; ++turn) {
      asked_.scope[selection.position[turn]] = identity;
      asked_.state[selection.position[turn]] = &states_[slot];
    }
    return selection.count;
  }
  if (step.per == Per::kFlow) [[likely]]
    copy_selected(burst.identity, selection, asked_.scope);
  else
    scope_identities(step.per, shared, path_id, selection, burst, asked_.scope);
  if (step.impairment.state_bytes == 0)
    return selection.count;
  return look_up_scopes(scopes_of(step, rule, path_id), selection, first, burst, asked_.state);
}

void Decide::count_losses(const RuleProgram& rule, PathId path_id, const Selection& judged,
                          const JudgedBurst& burst) noexcept {
  if (judged.count == 0)
    return;
  RuleCounters& counters = rule_counters_[rule.slot];
  counters.judged += judged.count;
  const auto count = [&](bool hit, RuleScopeState& state) {
    counters.lost += hit ? 1 : 0;
    counters.loss_runs += hit && !state.last_lost ? 1 : 0;
    state.last_lost = hit;
  };
  if (rule.counts_scopes) {
    for (std::uint32_t turn = 0; turn < judged.count; ++turn) {
      const std::uint8_t i = judged.position[turn];
      count(burst.reason[i] == DropReason::kLoss, scope_again(rule, path_id, i, burst));
    }
    return;
  }
  RuleScopeState& state = scope_of(rule, path_id, judged.position[0], burst);
  if (!burst.any_dropped()) [[likely]] {
    state.last_lost = false;
    return;
  }
  for (std::uint32_t turn = 0; turn < judged.count; ++turn)
    count(burst.reason[judged.position[turn]] == DropReason::kLoss, state);
}

void Decide::note_variation(const RuleProgram& rule, PathId path_id, const Selection& judged,
                            const JudgedBurst& burst) noexcept {
  for (std::uint32_t turn = 0; turn < judged.count; ++turn) {
    const std::uint8_t i = judged.position[turn];
    variations_.note(*rule.variation, path_id, burst.time_ns[i] - asked_.entered_ns[i]);
  }
}

void Decide::count_delays(const RuleProgram& rule, RuleCounters& counters, const Selection& judged,
                          const JudgedBurst& burst) noexcept {
  if (judged.count == 0)
    return;
  Histogram& delays = delays_[rule.slot];
  const auto delay_of = [&](std::uint32_t turn) {
    const std::uint8_t i = judged.position[turn];
    return burst.time_ns[i] - asked_.entered_ns[i];
  };
  const std::uint64_t first_ns = delay_of(0);
  std::uint64_t differs = 0;
  for (std::uint32_t turn = 1; turn < judged.count; ++turn) differs |= delay_of(turn) ^ first_ns;
  if (differs == 0) [[likely]] {
    counters.delayed += first_ns > 0 ? judged.count : 0;
    counters.delay_sum_ns += first_ns * judged.count;
    counters.delay_max_ns = std::max(counters.delay_max_ns, first_ns);
    delays.add(first_ns, judged.count);
    return;
  }
  std::uint64_t same_ns = 0;
  std::uint64_t same_times = 0;
  for (std::uint32_t turn = 0; turn < judged.count; ++turn) {
    const std::uint64_t delay_ns = delay_of(turn);
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

/// States of flows lie beside their flows where there is room: not those with a queue, which must
/// be found without a packet, and not those that several paths share.
void Decide::adopt_annexes(const Policy& policy) noexcept {
  for (std::size_t path = 0; path < policy.paths.size(); ++path) {
    const auto path_id = static_cast<PathId>(path);
    pieces_.assign(path_id, [&](const auto& owner) {
      for (const std::uint16_t index : policy.paths[path].rules) {
        const RuleProgram& rule = policy.rules[index];
        if (rule.shared)
          continue;
        if (rule.per == Per::kFlow && rule.counts_scopes)
          owner(scopes_of(rule, path_id).annexed());
        for (const RuleStep& step : rule.steps)
          if (step.per == Per::kFlow && step.impairment.state_bytes > 0 &&
              queue_of(step.impairment) == StateQueue::kNone)
            owner(scopes_of(step, rule, path_id).annexed());
      }
    });
  }
}

}  // namespace faultline
