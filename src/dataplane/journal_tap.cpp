// Noting what befalls packets; how it gets into the ring is in journal_put.cpp.
#include "dataplane/journal_tap.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace faultline {
namespace {

constexpr std::uint64_t bit(std::uint32_t i) noexcept {
  return std::uint64_t{1} << i;
}

/// What becomes of a packet that no rule drops is decided later; this is told apart by its reason.
constexpr bool is_rules_own(DropReason reason) noexcept {
  return reason <= DropReason::kFiltered;
}

/// A loss, which never touches a packet's time.
bool leaves_time(const CompiledImpairment& impairment) noexcept {
  return impairment.loss.has_value() && !impairment.delays;
}

}  // namespace

void JournalTap::begins(FlowTable& flows) noexcept {
  flows_ = &flows;
  journal_ = flows.begin_journal();
  head_told_ = false;
  lost_told_ = lost();
  forget_burst();
}

void JournalTap::adopted(const Policy& policy) noexcept {
  policy_.generation = policy.generation;
  policy_.zero_ns = policy.zero_ns;
  policy_told_ = false;
}

// --- what befalls packets ------------------------------------------------------------------------

void JournalTap::note(const Note& note) noexcept {
  if (run_.count > 0) [[unlikely]]
    write_run_out();
  if (notes_used_ == kNotesMax) {
    lose(note.hits() ? 1 : 0);
    return;
  }
  notes_[notes_used_++] = note;
  plain_ &= (touched_ & bit(note.i)) == 0 && note.flags == 0 && note.copies == 0;
  touched_ |= bit(note.i);
}

void JournalTap::asks(const RuleProgram& rule, std::size_t step, const Selection& selection,
                      const Asked&, const JudgedBurst& burst) noexcept {
  const std::size_t first = selection.position[0];
  const std::size_t end = selection.position[selection.count - 1] + std::size_t{1};
  if (!leaves_time(rule.steps[step].impairment))
    std::copy(burst.time_ns.begin() + first, burst.time_ns.begin() + end,
              before_ns_.begin() + first);
  std::copy(burst.marked.begin() + first, burst.marked.begin() + end,
            before_marked_.begin() + first);
}

void JournalTap::served(const RuleProgram&, std::size_t, const Selection&,
                        const JudgedBurst& burst) noexcept {
  before_ns_[0] = burst.time_ns[0];
  before_marked_[0] = burst.marked[0];
  serving_ = true;
}

void JournalTap::judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
                        const JudgedBurst& burst) noexcept {
  const CompiledImpairment& impairment = rule.steps[step].impairment;
  const std::size_t first = selection.position[0];
  const std::size_t end = selection.position[selection.count - 1] + std::size_t{1};
  if (impairment.edit == nullptr && impairment.answer == nullptr && !serving_ &&
      !burst.any_dropped() && !burst.any_marked() &&
      (leaves_time(impairment) || std::equal(before_ns_.begin() + first, before_ns_.begin() + end,
                                             burst.time_ns.begin() + first)))
    return;
  if (impairment.edit == nullptr && impairment.answer == nullptr && !serving_ &&
      !burst.any_marked() && notes_used_ + run_.count + selection.count <= kNotesMax) {
    if (!note_run(rule, step, selection, burst))
      note_plain(rule, step, selection, burst);
  } else {
    note_all(rule, step, selection, burst);
  }
  serving_ = false;
}

/// Where they are the burst's first, and all of them were delayed by as much; false: they are not.
bool JournalTap::note_run(const RuleProgram& rule, std::size_t step, const Selection& selection,
                          const JudgedBurst& burst) noexcept {
  if (touched_ != 0 || burst.any_dropped() || leaves_time(rule.steps[step].impairment))
    return false;
  const std::uint8_t first = selection.position[0];
  const std::uint64_t delay_ns = burst.time_ns[first] - before_ns_[first];
  std::uint64_t differs = 0;
  std::uint64_t touched = 0;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    differs |= (burst.time_ns[i] - before_ns_[i]) ^ delay_ns;
    touched |= bit(i);
    run_.position[turn] = i;
  }
  if (differs != 0)
    return false;
  run_.note.delay_ns = delay_ns;
  run_.note.impairment = &rule.steps[step].impairment;
  run_.note.slot = rule.slot;
  run_.note.step = static_cast<std::uint8_t>(step);
  run_.count = selection.count;
  touched_ = touched;
  return true;
}

/// As notes, where more befalls the packets.
void JournalTap::write_run_out() noexcept {
  for (std::uint32_t at = 0; at < run_.count; ++at) {
    notes_[notes_used_] = run_.note;
    notes_[notes_used_++].i = run_.position[at];
  }
  run_.count = 0;
}

/// Where each packet was delayed, dropped or left as it was.
void JournalTap::note_plain(const RuleProgram& rule, std::size_t step, const Selection& selection,
                            const JudgedBurst& burst) noexcept {
  write_run_out();
  Note made;
  made.impairment = &rule.steps[step].impairment;
  made.slot = rule.slot;
  made.step = static_cast<std::uint8_t>(step);
  const bool as_before = leaves_time(rule.steps[step].impairment);
  std::uint64_t touched = 0;
  std::uint32_t used = notes_used_;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    // Member by member: read back as a whole, what was just written would have to be waited for.
    Note& noted = notes_[used];
    noted.delay_ns = as_before ? 0 : burst.time_ns[i] - before_ns_[i];
    noted.impairment = made.impairment;
    noted.slot = made.slot;
    noted.step = made.step;
    noted.i = i;
    noted.reason = burst.reason[i];
    noted.flags = 0;
    noted.copies = 0;
    const bool hits = noted.delay_ns != 0 || noted.reason != DropReason::kNone;
    used += hits ? 1U : 0U;
    touched |= std::uint64_t{hits} << i;
  }
  notes_used_ = used;
  plain_ &= (touched_ & touched) == 0;
  touched_ |= touched;
}

/// As far as anything was done to them, or may turn out to have been.
void JournalTap::note_all(const RuleProgram& rule, std::size_t step, const Selection& selection,
                          const JudgedBurst& burst) noexcept {
  const CompiledImpairment& impairment = rule.steps[step].impairment;
  const bool acts_later = impairment.edit != nullptr || impairment.answer != nullptr || serving_;
  Note made;
  made.impairment = &impairment;
  made.slot = rule.slot;
  made.step = static_cast<std::uint8_t>(step);
  plain_ &= !acts_later;
  const bool as_before = leaves_time(impairment) && !serving_;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    made.i = i;
    made.delay_ns = as_before ? 0 : burst.time_ns[i] - before_ns_[i];
    made.reason = burst.reason[i];
    made.flags = burst.marked[i] && !before_marked_[i] ? JournalTouch::kMarked : std::uint8_t{0};
    if (serving_)
      made.flags |= JournalTouch::kReplaces;
    if (acts_later || made.hits())
      note(made);
  }
}

void JournalTap::copied(const RuleProgram& rule, std::size_t step, const JudgedBurst& burst,
                        std::uint8_t of, std::uint8_t copy) noexcept {
  write_run_out();
  Note* last = nullptr;
  for (std::uint32_t at = 0; at < notes_used_; ++at)
    if (notes_[at].i == of)
      last = &notes_[at];
  if (last == nullptr || last->slot != rule.slot || last->step != step) {
    Note made;
    made.impairment = &rule.steps[step].impairment;
    made.slot = rule.slot;
    made.step = static_cast<std::uint8_t>(step);
    made.i = of;
    note(made);
    last = &notes_[notes_used_ - 1];
  }
  ++last->copies;
  plain_ = false;
  // The copy has met all that its packet has.
  const std::uint32_t noted = notes_used_;
  for (std::uint32_t at = 0; at < noted; ++at) {
    if (notes_[at].i != of)
      continue;
    Note made = notes_[at];
    made.i = copy;
    if (&notes_[at] == last) {
      made.copies = 1;
      made.delay_ns = burst.time_ns[copy] - burst.time_ns[of];
    }
    note(made);
  }
  if (forks_used_ < forks_.size())
    forks_[forks_used_++] = {of, copy};
}

void JournalTap::decided(const JudgedPackets& packets, const JudgedBurst& burst) noexcept {
  burst_ = &burst;
  ingress_ = packets.ingress;
  goes_on_ = packets.goes_on;
  aside_ = packets.aside;
  burst_flows_ = packets.flows;
  connections_ = packets.connections;
  reopened_ = packets.reopened;
  fields_ = &packets.fields;
  plain_ &= aside_ == 0 && !goes_on_;
  if (plain_) {
    // All is known already, but for what may be lost on the way out.
    if (notes_used_ + run_.count > 0)
      tell_plain(*packets.frames);
    forget_burst();
    return;
  }
  write_run_out();
  if (goes_on_)
    return;
  for (std::uint64_t left = touched_ | aside_; left != 0; left &= left - 1) {
    const auto i = static_cast<std::uint32_t>(std::countr_zero(left));
    const FrameView& frame = (*packets.frames)[i];
    hash_[i] = frame_hash(frame);
    length_[i] = length_of(frame);
  }
}

void JournalTap::edited(const HoldKey&, const Edit& edit, std::uint32_t i) noexcept {
  plain_ = false;
  for (std::uint32_t turn = 0; turn < notes_used_; ++turn) {
    const std::uint32_t at = (edited_last_ + turn) % notes_used_;
    if (notes_[at].i != i || notes_[at].impairment != edit.impairment)
      continue;
    notes_[at].flags |= JournalTouch::kEdited;
    edited_last_ = at;
  }
}

void JournalTap::answered(const HoldKey& key, const HoldKey& of,
                          const FrameAnswer& answer) noexcept {
  plain_ = false;
  for (std::uint32_t at = 0; burst_ != nullptr && at < notes_used_; ++at) {
    Note& note = notes_[at];
    if (note.impairment != answer.impairment || burst_->sequence[note.i] != of.sequence ||
        burst_->copy[note.i] != of.copy)
      continue;
    note.flags |= JournalTouch::kAnswered;
    if (answers_used_ < answers_.size())
      answers_[answers_used_++] = {key, note.slot, note.step, note.i};
    else
      lose(1);
  }
}

void JournalTap::dropped(const HoldKey& key, const rte_mbuf*, DropReason reason) noexcept {
  if (is_rules_own(reason))
    return;
  JournalGone gone;
  gone.ingress = key.ingress;
  gone.egress = key.egress;
  gone.copy = key.copy;
  gone.sequence = key.sequence;
  gone.arrival_ns = key.arrival_ns;
  gone.reason = reason;
  if (gone_used_ < gone_.size())
    gone_[gone_used_++] = gone;
  if (burst_ == nullptr || gone_used_ == gone_.size()) {
    std::uint64_t* place = reserve(gone_used_ * words_of<JournalGone>());
    if (place != nullptr)
      ring_.commit(put_gone(place));
    gone_used_ = 0;
  }
}

}  // namespace faultline
