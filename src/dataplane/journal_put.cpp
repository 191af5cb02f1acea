// The tap's other half: what was noted of a burst, as records into the ring.
#include <algorithm>
#include <bit>

#include "dataplane/journal_tap.hpp"

namespace faultline {

void JournalTap::lose(std::uint64_t hits) noexcept {
  lost_.store(lost_.load(std::memory_order_relaxed) + hits, std::memory_order_relaxed);
}

void JournalTap::forget_burst() noexcept {
  burst_ = nullptr;
  plain_ = true;
  touched_ = 0;
  run_.count = 0;
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
  if (connections_ != nullptr) {
    const FlowConnection one =
        flow_connection((*fields_)[i], (*connections_)[i], burst_->number[i]);
    told.role = one.role;
    told.ordinal = one.ordinal;
    told.before = one.before;
  }
  if (flow != nullptr) {
    flow->journal = reopened_ ? 0 : journal_ & 7U;
    told.place = flows_->place_number(*flow);
  }
  return put_record(place, told);
}

/// What was done to one after the other, as notes say.
struct JournalTap::Noted {
  const Note* notes;

  std::uint32_t position(std::uint32_t at) const noexcept { return notes[at].i; }
  const Note& note(std::uint32_t at) const noexcept { return notes[at]; }
  bool as_before(std::uint32_t at) const noexcept {
    return at > 0 && notes[at].delay_ns == notes[at - 1].delay_ns &&
           notes[at].what() == notes[at - 1].what();
  }
};

/// The same to all.
struct JournalTap::AllAlike {
  const Run& run;
  const std::uint8_t* positions = run.position.data();

  std::uint32_t position(std::uint32_t at) const noexcept { return positions[at]; }
  const Note& note(std::uint32_t) const noexcept { return run.note; }
  bool as_before(std::uint32_t at) const noexcept { return at > 0; }
};

/// Everything the loop reads is in locals: what it writes might be any of it.
template <typename Hits>
std::uint64_t* JournalTap::put_hits(std::uint64_t* place, const Hits hits, std::uint32_t count,
                                    const PerPacket<FrameView>& frames) noexcept {
  const JudgedBurst& burst = *burst_;
  const FlowTable& flows = *flows_;
  Flow* const* const burst_flows = burst_flows_->data();
  const std::uint32_t journal = journal_;
  if (burst.egress != head_.egress || ingress_ != head_.ingress)
    head_told_ = false;
  std::uint64_t head_ns = head_told_ ? head_.arrival_ns : kNever;
  std::uint32_t head_sequence = head_.sequence;
  for (std::uint32_t at = 0; at < count; ++at) {
    const std::uint32_t i = hits.position(at);
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
    const std::uint64_t number = burst.number[i];
    const std::uint64_t hash = frame_hash(frame);
    const std::uint64_t number_of_place =
        flow != nullptr ? flows.place_number(*flow) : kNoFlowPlace;
    // Records in whole words: bytes written one by one could not be read back so soon.
    if (hits.as_before(at) && number <= UINT32_MAX) {
      place[0] = std::uint64_t{static_cast<std::uint8_t>(JournalRecord::kSame)} |
                 std::uint64_t{sequence - head_sequence} << 8 |
                 std::uint64_t{length_of(frame)} << 16 | hash << 32;
      place[1] = number_of_place | number << 32;
      place += words_of<JournalSame>();
      continue;
    }
    const Note& note = hits.note(at);
    place[0] = std::uint64_t{static_cast<std::uint8_t>(JournalRecord::kHit)} |
               std::uint64_t{sequence - head_sequence} << 8 | std::uint64_t{note.step} << 16 |
               std::uint64_t{static_cast<std::uint8_t>(note.reason)} << 24 |
               std::uint64_t{note.slot} << 32 | std::uint64_t{length_of(frame)} << 48;
    place[1] = hash | number_of_place << 32;
    place[2] = number;
    place[3] = note.delay_ns;
    place += words_of<JournalHitRecord>();
  }
  return place;
}

void JournalTap::tell_plain(const PerPacket<FrameView>& frames) noexcept {
  const std::uint32_t count = notes_used_ + run_.count;
  std::uint64_t* place = reserve(count * kNoteWords);
  if (place == nullptr)
    lose(count);
  else if (run_.count > 0)
    ring_.commit(put_hits(place, AllAlike{run_}, count, frames));
  else
    ring_.commit(put_hits(place, Noted{notes_.data()}, count, frames));
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
  if ((aside_ >> i & 1) != 0)
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
