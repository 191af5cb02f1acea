// Packets that are judged in more than one go: those that wait for a stage and are taken up again
// when they get there, and copies, which begin in the middle of a rule.
#include <cstring>
#include <utility>

#include "dataplane/decide.hpp"

namespace faultline {

// --- copies --------------------------------------------------------------------------------------

void Decide::make_copies(const RuleProgram& rule, std::size_t step, PathId path_id,
                         const Selection& alive, JudgedBurst& burst) noexcept {
  const bool judged_on = policy_->paths[path_id].copies_at_the_end == 0 || witness_ != nullptr;
  for (std::uint32_t turn = 0; turn < alive.count; ++turn) {
    const std::uint8_t i = alive.position[turn];
    const std::uint32_t wanted = burst.reason[i] == DropReason::kNone ? burst.copies[i] : 0;
    FAULTLINE_CHECK(copy_count_ + wanted <= kCopiesMax);  // compile.cpp refuses more
    for (std::uint32_t which = 1; which <= wanted; ++which) {
      const std::uint8_t copy = make_copy(rule, step, i, which, burst);
      if (judged_on)
        copy_for_judging(rule, step, i, which, copy);
      if (rule.steps[step].impairment.copied != nullptr)
        rule.steps[step].impairment.copied(asked_, burst, i, copy, which);
      if (witness_ != nullptr) [[unlikely]]
        witness_->copied(rule, step, burst, i, copy);
    }
    rule_counters_[rule.slot].duplicated += wanted;
  }
}

/// What becomes of an entry that nobody judges any more is known.
std::uint8_t Decide::make_copy(const RuleProgram& rule, std::size_t step, std::uint8_t of,
                               std::uint32_t which, JudgedBurst& burst) noexcept {
  const RuleStep& made_by = rule.steps[step];
  const auto copy = static_cast<std::uint8_t>(kFirstCopy + copy_count_);
  pending_[copy_count_] = {.rule = static_cast<std::uint16_t>(&rule - policy_->rules.data()),
                           .step = static_cast<std::uint16_t>(step + 1),
                           .packet = of >= kFirstCopy ? pending_[of - kFirstCopy].packet : of,
                           .entered_ns = asked_.entered_ns[of]};
  ++copy_count_;
  burst.arrival_ns[copy] = burst.arrival_ns[of];
  burst.time_ns[copy] = burst.time_ns[of];
  burst.earliest_ns[copy] = burst.earliest_ns[of];
  burst.identity[copy] = burst.identity[of];
  burst.number[copy] = burst.number[of];
  burst.length_bytes[copy] = burst.length_bytes[of];
  burst.sequence[copy] = burst.sequence[of];
  burst.ecn[copy] = burst.ecn[of];
  burst.marked[copy] = burst.marked[of];
  burst.reason[copy] = DropReason::kNone;
  burst.tag_bytes[copy] = burst.tag_bytes[of];
  burst.piece[copy] = burst.piece[of];
  burst.copy[copy] = static_cast<std::uint8_t>(burst.copy[of] + which * made_by.copy_stride);
  burst.edits.copy(of, copy);
  fields_[copy] = fields_[of];
  annex_[copy] = annex_[of];
  flow_[copy] = flow_[of];
  if (set_aside_) {
    parked_[copy].rules = 0;
    waits_[copy] = 0;
  }
  return copy;
}

/// The rest of it, and dice of its own in every rule to come; who it is stays, for the states of
/// flows.
void Decide::copy_for_judging(const RuleProgram& rule, std::size_t step, std::uint8_t of,
                              std::uint32_t which, std::uint8_t copy) noexcept {
  connection_[copy] = connection_[of];
  tcp_[copy] = tcp_[of];
  if (scanner_ != nullptr)
    payload_[copy] = payload_[of];
  arrival_number_[copy] = arrival_number_[of];
  asked_.match_number[copy] = asked_.match_number[of];
  asked_.entered_ns[copy] = asked_.entered_ns[of];
  asked_.scope[copy] = asked_.scope[of];
  if (frames_ != nullptr)
    (*frames_)[copy] = (*frames_)[of];
  const std::uint64_t place = rule.name_hash ^ (std::uint64_t{step + 1} << 32) ^ which;
  std::uint64_t salt = (salt_[of] ^ place) * 0x9E3779B97F4A7C15;
  salt ^= salt >> 32;
  salt_[copy] = salt * 0xD6E8FEB86659FD93;
  salted_ = salts_used_ = true;
}

/// Judges the copies of the packets that were judged just now, and the copies made of them.
void Decide::judge_copies(PathId path_id, JudgedBurst& burst) noexcept {
  const bool done = policy_->paths[path_id].copies_at_the_end > 0;
  for (std::uint32_t at = 0; at < copy_count_; ++at) {
    Selection one;
    one.position[0] = static_cast<std::uint8_t>(kFirstCopy + at);
    one.count = 1;
    const RuleProgram& rule = policy_->rules[pending_[at].rule];
    asked_.entered_ns[one.position[0]] = pending_[at].entered_ns;
    if (!done)
      judge_copy(at, path_id, one, burst);
    else if (rule.delays) {
      count_delays(rule, rule_counters_[rule.slot], one, burst);
      if (rule.variation)
        note_variation(rule, path_id, one, burst);
    }
  }
}

/// Asks what stands behind the step that made the copy, in the plan of its packet.
void Decide::judge_copy(std::uint32_t at, PathId path_id, const Selection& one,
                        JudgedBurst& burst) noexcept {
  const PendingCopy pending = pending_[at];
  const RuleProgram& rule = policy_->rules[pending.rule];
  number_dice(rule, path_id, one, burst);
  run_steps(pending.rule, pending.step, path_id, survivors(one, burst), burst);
  if (rule.final)
    return;
  const Plan plan = plan_[pending.packet];
  std::size_t place = 0;
  while ((plan[place] & kRuleOfEntry) != pending.rule) ++place;
  follow_plan(plan, place + 1, one, path_id, burst);
}

// --- waiting for a stage -------------------------------------------------------------------------

void Decide::park(std::uint16_t index, std::size_t step, const Selection& alive,
                  const JudgedBurst& burst) noexcept {
  set_aside_ |= alive.count > 0;
  for (std::uint32_t turn = 0; turn < alive.count; ++turn) {
    const std::uint8_t i = alive.position[turn];
    parked_[i] = Resume{.policy = policy_,
                        .identity = burst.identity[i],
                        .number = burst.number[i],
                        .connection_identity = connection_[i].identity,
                        .connection_number = connection_[i].number,
                        .tcp = tcp_[i],
                        .arrival_number = arrival_number_[i],
                        .entered_ns = asked_.entered_ns[i],
                        .step = static_cast<std::uint16_t>(step),
                        .ecn = burst.ecn[i],
                        .salt = salt_[i],
                        .key = scope_key(i)};
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
  take_up(resume, key, frame, burst);
  resuming_ = true;
  go_on(resume, resume.policy->path_of(key.ingress, key.egress), burst);
  if (witness_ != nullptr) [[unlikely]]
    tell_decided(true, key.ingress, burst);
}

/// Entry 0 of the burst is the packet as it was when it began to wait.
void Decide::take_up(const Resume& resume, const HoldKey& key, const FrameView& frame,
                     JudgedBurst& burst) noexcept {
  burst.arrival_ns[0] = key.arrival_ns;
  burst.time_ns[0] = burst.earliest_ns[0] = key.release_ns;
  burst.identity[0] = resume.identity;
  burst.number[0] = resume.number;
  burst.sequence[0] = key.sequence;
  burst.length_bytes[0] = frame.length;
  burst.ecn[0] = resume.ecn;
  burst.marked[0] = false;
  burst.reason[0] = DropReason::kNone;
  burst.copy[0] = key.copy;
  burst.tag_bytes[0] = 0;
  burst.piece[0] = Piece::kWhole;  // what it is by now its bytes say
  burst.captured = key.captured ? 1 : 0;
  burst.edits.begin();
  burst.answer_count = 0;
  arrival_number_[0] = resume.arrival_number;
  connection_[0] = {.identity = resume.connection_identity, .number = resume.connection_number};
  tcp_[0] = resume.tcp;
  burst.egress = key.egress;
  taken_up_ = frame;
  parked_[0].rules = 0;
  waits_[0] = 0;
  copy_count_ = 0;
  part_ = {0, 1, 0};
  salt_[0] = resume.salt;
  salted_ = resume.salt != 0;
  salts_used_ |= salted_;
  parse_frame({frame.bytes, frame.available}, frame.length, fields_[0]);
  const PathId path_id = resume.policy->path_of(key.ingress, key.egress);
  const Flow* flow =
      pieces_.any(path_id) ? flows_.known(resume.key, resume.identity, path_id) : nullptr;
  annex_[0] = flow != nullptr ? &flows_.annex(*flow) : nullptr;
  asked_.entered_ns[0] = resume.entered_ns;
}

/// Judges entry 0 from where it waited, and its copies, under the policy that judged it at arrival.
void Decide::go_on(const Resume& resume, PathId path_id, JudgedBurst& burst) noexcept {
  const Policy* current = std::exchange(policy_, resume.policy);
  PerPacket<FrameView>* frames = std::exchange(frames_, nullptr);
  asked_.zero_ns = policy_->zero_ns;
  scope_key_ = &resume.key;
  judge_resumed(resume, 0, resume.step, 0, path_id, burst);
  const auto* rules = reinterpret_cast<const ResumeRule*>(&resume + 1);
  for (std::uint32_t at = 0; at < copy_count_; ++at) {
    std::uint32_t turn = 0;
    while (rules[turn].rule != pending_[at].rule) ++turn;
    judge_resumed(resume, turn, pending_[at].step, static_cast<std::uint8_t>(kFirstCopy + at),
                  path_id, burst);
  }
  scope_key_ = nullptr;
  frames_ = frames;
  policy_ = current;
  asked_.zero_ns = policy_->zero_ns;
}

/// Goes on with entry `i` at `step` of the `turn`th of the rules that the packet waited with.
/// Copies count as the packet they were made of: its matches were counted at arrival.
void Decide::judge_resumed(const Resume& resume, std::uint32_t turn, std::size_t step,
                           std::uint8_t i, PathId path_id, JudgedBurst& burst) noexcept {
  const auto* rules = reinterpret_cast<const ResumeRule*>(&resume + 1);
  Selection one;
  one.position[0] = i;
  one.count = 1;
  const std::uint32_t count = resume.rules;
  for (; turn < count; ++turn) {
    const auto index = static_cast<std::uint16_t>(rules[turn].rule);
    asked_.match_number[i] = rules[turn].match_number;
    const Selection judged = survivors(take_with(index, one), burst);
    number_dice(policy_->rules[index], path_id, judged, burst);
    run_steps(index, step, path_id, judged, burst);
    resuming_ = false;
    asked_.entered_ns[i] = burst.time_ns[i];
    step = 0;
  }
}

}  // namespace faultline
