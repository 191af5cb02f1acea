// Noting hits and putting them into the ring.
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

std::uint16_t length_of(const FrameView& frame) noexcept {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(frame.length, UINT16_MAX));
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
      !burst.any_marked() && notes_used_ + selection.count <= kNotesMax)
    note_plain(rule, step, selection, burst);
  else
    note_all(rule, step, selection, burst);
  serving_ = false;
}

/// Where each packet was delayed, dropped or left as it was.
void JournalTap::note_plain(const RuleProgram& rule, std::size_t step, const Selection& selection,
                            const JudgedBurst& burst) noexcept {
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
  fields_ = &packets.fields;
  if (goes_on_) {
    plain_ = false;
    return;
  }
  plain_ &= aside_ == 0;
  if (plain_) {
    // All is known already, but for what may be lost on the way out.
    if (notes_used_ > 0)
      tell_plain(*packets.frames);
    forget_burst();
    return;
  }
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

// --- into the ring -------------------------------------------------------------------------------

void JournalTap::lose(std::uint64_t hits) noexcept {
  lost_.store(lost_.load(std::memory_order_relaxed) + hits, std::memory_order_relaxed);
}

void JournalTap::forget_burst() noexcept {
  burst_ = nullptr;
  plain_ = true;
  touched_ = 0;
  notes_used_ = answers_used_ = forks_used_ = gone_used_ = edited_last_ = 0;
}

/// With room for what goes before everything else.
std::uint64_t* JournalTap::reserve(std::uint64_t words) noexcept {
  std::uint64_t* place =
      ring_.reserve(words + words_of<JournalLost>() + words_of<JournalAdopted>());
  if (place == nullptr)
    return nullptr;
  if (lost() > lost_told_) [[unlikely]] {
    JournalLost told;
    told.hits = lost() - lost_told_;
    place = put_record(place, told);
    lost_told_ = lost();
  }
  if (!policy_told_) [[unlikely]] {
    place = put_record(place, policy_);
    policy_told_ = true;
  }
  return place;
}

void JournalTap::tell_plain(const PerPacket<FrameView>& frames) noexcept {
  std::uint64_t* place = reserve(notes_used_ * kNoteWords);
  if (place != nullptr)
    ring_.commit(put_hits(place, frames));
  else
    lose(notes_used_);
}

void JournalTap::acted() noexcept {
  if (burst_ == nullptr)
    return;
  if (notes_used_ > 0 || aside_ != 0 || goes_on_ || gone_used_ > 0) {
    const auto asides = static_cast<std::uint32_t>(std::popcount(aside_));
    const std::uint64_t records = notes_used_ + answers_used_ + 2 * forks_used_ + asides + 1;
    std::uint64_t* place = reserve(records * kNoteWords + gone_used_ * words_of<JournalGone>());
    if (place != nullptr) {
      place = put_touches(place);
      ring_.commit(gone_used_ > 0 ? put_gone(place) : place);
    } else {
      std::uint64_t hits = answers_used_;
      for (std::uint32_t at = 0; at < notes_used_; ++at) hits += notes_[at].hits() ? 1U : 0U;
      lose(hits);
    }
  }
  forget_burst();
}

HoldKey JournalTap::key_of(std::uint32_t i) const noexcept {
  return {burst_->time_ns[i], burst_->arrival_ns[i], burst_->sequence[i],
          ingress_,           burst_->egress,        burst_->copy[i]};
}

/// A head from which the packet is not far, if there is none yet.
std::uint64_t* JournalTap::put_head(std::uint64_t* place, const HoldKey& key) noexcept {
  if (head_told_ && key.arrival_ns == head_.arrival_ns && key.egress == head_.egress &&
      key.ingress == head_.ingress && key.sequence - head_.sequence <= UINT8_MAX) [[likely]]
    return place;
  head_told_ = true;
  head_ = key;
  JournalHead head;
  head.ingress = key.ingress;
  head.egress = key.egress;
  head.sequence = key.sequence;
  head.arrival_ns = key.arrival_ns;
  return put_record(place, head);
}

/// The packet's flow, if the journal does not know it yet.
std::uint64_t* JournalTap::put_flow(std::uint64_t* place, std::uint32_t i) noexcept {
  Flow* flow = (*burst_flows_)[i];
  if (flow != nullptr && flow->journal == journal_) [[likely]]
    return place;
  JournalFlow told;
  told.ingress = ingress_;
  told.egress = burst_->egress;
  told.place = kNoFlowPlace;
  told.key = (*fields_)[i].key;
  if (flow != nullptr) {
    flow->journal = journal_ & 7U;
    told.place = flows_->place_number(*flow);
  }
  return put_record(place, told);
}

/// Everything the loop reads is in locals: what it writes might be any of it.
std::uint64_t* JournalTap::put_hits(std::uint64_t* place,
                                    const PerPacket<FrameView>& frames) noexcept {
  const JudgedBurst& burst = *burst_;
  const FlowTable& flows = *flows_;
  Flow* const* const burst_flows = burst_flows_->data();
  const std::uint32_t used = notes_used_;
  const std::uint32_t journal = journal_;
  if (burst.egress != head_.egress || ingress_ != head_.ingress)
    head_told_ = false;
  std::uint64_t head_ns = head_told_ ? head_.arrival_ns : kNever;
  std::uint32_t head_sequence = head_.sequence;
  for (std::uint32_t at = 0; at < used; ++at) {
    const Note& note = notes_[at];
    const std::uint32_t i = note.i;
    const Flow* flow = burst_flows[i];
    const std::uint32_t sequence = burst.sequence[i];
    if (burst.arrival_ns[i] != head_ns || sequence - head_sequence > UINT8_MAX) [[unlikely]] {
      place = put_head(place, key_of(i));
      head_ns = head_.arrival_ns;
      head_sequence = head_.sequence;
    }
    if (flow == nullptr || flow->journal != journal) [[unlikely]]
      place = put_flow(place, i);
    const FrameView& frame = frames[i];
    const std::uint32_t number_of_place =
        flow != nullptr ? flows.place_number(*flow) : kNoFlowPlace;
    // Records in whole words: bytes written one by one could not be read back so soon.
    if (at > 0 && note.delay_ns == notes_[at - 1].delay_ns && burst.number[i] <= UINT32_MAX &&
        note.what() == notes_[at - 1].what()) {
      place[0] = std::uint64_t{static_cast<std::uint8_t>(JournalRecord::kSame)} |
                 std::uint64_t{sequence - head_sequence} << 8 |
                 std::uint64_t{length_of(frame)} << 16 | std::uint64_t{frame_hash(frame)} << 32;
      place[1] = number_of_place | burst.number[i] << 32;
      place += words_of<JournalSame>();
      continue;
    }
    place[0] = std::uint64_t{static_cast<std::uint8_t>(JournalRecord::kHit)} |
               std::uint64_t{sequence - head_sequence} << 8 | std::uint64_t{note.step} << 16 |
               std::uint64_t{static_cast<std::uint8_t>(note.reason)} << 24 |
               std::uint64_t{note.slot} << 32 | std::uint64_t{length_of(frame)} << 48;
    place[1] = frame_hash(frame) | std::uint64_t{number_of_place} << 32;
    place[2] = burst.number[i];
    place[3] = note.delay_ns;
    place += words_of<JournalHitRecord>();
  }
  return place;
}

/// Of a packet, without saying what was done to it.
JournalTouch JournalTap::touch_of(std::uint32_t i) const noexcept {
  JournalTouch touch;
  touch.hit.kind = JournalRecord::kTouch;
  touch.hit.behind = static_cast<std::uint8_t>(burst_->sequence[i] - head_.sequence);
  touch.hit.slot = kNoSlot;
  touch.hit.number = burst_->number[i];
  touch.hit.place = kNoFlowPlace;
  touch.release_ns = burst_->time_ns[i];
  touch.copy = burst_->copy[i];
  touch.fate = burst_->reason[i] != DropReason::kNone ? JournalFate::kDropped : JournalFate::kSent;
  if ((aside_ & bit(i)) != 0)
    touch.fate = JournalFate::kAside;
  if (goes_on_) {
    touch.flags = JournalTouch::kWaited;
    return touch;
  }
  if (const Flow* flow = (*burst_flows_)[i]; flow != nullptr)
    touch.hit.place = flows_->place_number(*flow);
  touch.hit.hash = hash_[i];
  touch.hit.length_bytes = length_[i];
  return touch;
}

std::uint64_t* JournalTap::put_touches(std::uint64_t* place) noexcept {
  for (std::uint32_t at = 0; goes_on_ && at < forks_used_; ++at) {
    place = put_head(place, key_of(forks_[at].of));
    JournalFork fork;
    fork.behind = static_cast<std::uint8_t>(burst_->sequence[forks_[at].of] - head_.sequence);
    fork.of = burst_->copy[forks_[at].of];
    fork.copy = burst_->copy[forks_[at].copy];
    place = put_record(place, fork);
  }
  for (std::uint32_t at = 0; at < notes_used_; ++at) {
    const Note& note = notes_[at];
    if (!note.hits() && (note.flags & JournalTouch::kReplaces) == 0)
      continue;
    place = put_head(place, key_of(note.i));
    if (!goes_on_)
      place = put_flow(place, note.i);
    JournalTouch touch = touch_of(note.i);
    touch.hit.step = note.step;
    touch.hit.slot = note.slot;
    touch.hit.reason = note.reason;
    touch.hit.delay_ns = note.delay_ns;
    touch.flags |= note.flags;
    touch.copies = note.copies;
    if (goes_on_)
      touch.fate = JournalFate::kAside;  // the record behind these tells
    place = put_record(place, touch);
  }
  place = put_answers(place);
  const auto tell = [&](std::uint32_t i) {
    place = put_head(place, key_of(i));
    if (!goes_on_)
      place = put_flow(place, i);
    place = put_record(place, touch_of(i));
  };
  if (goes_on_) {
    tell(0);
    for (std::uint32_t at = 0; at < forks_used_; ++at) tell(forks_[at].copy);
    return place;
  }
  for (std::uint64_t left = aside_; left != 0; left &= left - 1)
    tell(static_cast<std::uint32_t>(std::countr_zero(left)));
  return place;
}

std::uint64_t* JournalTap::put_answers(std::uint64_t* place) noexcept {
  for (std::uint32_t at = 0; at < answers_used_; ++at) {
    const Answer& answer = answers_[at];
    place = put_head(place, answer.key);
    if (!goes_on_)
      place = put_flow(place, answer.of);
    JournalTouch touch = touch_of(answer.of);
    touch.hit.behind = static_cast<std::uint8_t>(answer.key.sequence - head_.sequence);
    touch.hit.step = answer.step;
    touch.hit.slot = answer.slot;
    touch.hit.number = 0;
    touch.release_ns = answer.key.release_ns;
    touch.fate = JournalFate::kSent;
    touch.flags = JournalTouch::kAnswered;
    if (goes_on_)
      touch.flags |= JournalTouch::kIdentity;
    touch.from = burst_->copy[answer.of];
    touch.from_egress = burst_->egress;
    touch.copy = answer.key.copy;
    place = put_record(place, touch);
  }
  return place;
}

std::uint64_t* JournalTap::put_gone(std::uint64_t* place) noexcept {
  for (std::uint32_t at = 0; at < gone_used_; ++at) place = put_record(place, gone_[at]);
  return place;
}

void JournalTap::injected(const HoldKey& key, const RuleProgram& rule, std::size_t step,
                          const FrameView& frame) noexcept {
  std::uint64_t* place = reserve(kNoteWords);
  if (place == nullptr) {
    lose(1);
    return;
  }
  place = put_head(place, key);
  JournalFlow flow;
  flow.ingress = key.ingress;
  flow.egress = key.egress;
  flow.place = kNoFlowPlace;
  parse_flow_key({frame.bytes, frame.available}, frame.length, flow.key);
  place = put_record(place, flow);
  JournalTouch touch;
  touch.hit.kind = JournalRecord::kTouch;
  touch.hit.step = static_cast<std::uint8_t>(step);
  touch.hit.slot = rule.slot;
  touch.hit.behind = static_cast<std::uint8_t>(key.sequence - head_.sequence);
  touch.hit.length_bytes = length_of(frame);
  touch.hit.hash = frame_hash(frame);
  touch.hit.place = kNoFlowPlace;
  touch.release_ns = key.release_ns;
  touch.flags = JournalTouch::kAnswered;
  touch.copy = key.copy;
  ring_.commit(put_record(place, touch));
}

}  // namespace faultline
