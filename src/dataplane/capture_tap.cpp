// Picking packets, noting what befalls them, and copying their frames into the ring.
#include "dataplane/capture_tap.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/journal_records.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t bit(std::uint32_t i) noexcept {
  return std::uint64_t{1} << i;
}

bool did_something(const CaptureTouchRecord& touch) noexcept {
  return touch.delay_ns != 0 || touch.reason != DropReason::kNone || touch.copies > 0 ||
         (touch.flags & ~(CaptureTouchRecord::kDrawn)) != 0;
}

}  // namespace

CaptureTap::CaptureTap(RecordRing& ring, const std::vector<CaptureSpec>& captures) : ring_(ring) {
  for (std::size_t index = 0; index < captures.size(); ++index) {
    const CaptureSpec& spec = captures[index];
    const auto own = static_cast<std::uint16_t>(1U << index);
    wishes_.push_back({spec.rule, own});
    if (spec.rule.empty())
      all_ |= own;
    for (std::size_t point = 0; point < snap_bytes_.size(); ++point)
      if (spec.points[point])
        snap_bytes_[point] = std::max(snap_bytes_[point], spec.snap_bytes);
  }
}

void CaptureTap::begins(FlowTable&) noexcept {
  forget_burst();
}

void CaptureTap::forget_burst() noexcept {
  if (wanted_ != 0)
    by_.fill(0);
  wanted_ = 0;
  drawn_ = 0;
  notes_used_ = 0;
  forks_used_ = 0;
  serving_ = false;
  burst_ = nullptr;
}

template <typename Record>
bool CaptureTap::put(const Record& record) noexcept {
  std::uint64_t* place = ring_.reserve(words_of<Record>());
  if (place == nullptr)
    return false;
  ring_.commit(put_record(place, record));
  return true;
}

// --- which packets, and what befalls them --------------------------------------------------------

std::uint16_t CaptureTap::wanted_by(const RuleProgram& rule) const noexcept {
  std::uint16_t by = 0;
  for (const Wish& wish : wishes_)
    if (!wish.rule.empty() && wish.rule == rule.name)
      by |= wish.bit;
  return by;
}

void CaptureTap::arrived(const Arrivals& arrivals, const JudgedBurst&) noexcept {
  forget_burst();
  if (all_ == 0)
    return;
  for (std::uint32_t i = arrivals.first; i < arrivals.first + arrivals.count; ++i) {
    by_[i] = all_;
    wanted_ |= bit(i);
  }
}

void CaptureTap::matched(const RuleProgram& rule, const Selection& matched,
                         const JudgedBurst&) noexcept {
  const std::uint16_t by = wanted_by(rule);
  if (by == 0)
    return;
  for (std::uint32_t turn = 0; turn < matched.count; ++turn) {
    by_[matched.position[turn]] |= by;
    wanted_ |= bit(matched.position[turn]);
  }
}

void CaptureTap::asks(const RuleProgram& rule, std::size_t step, const Selection& selection,
                      const Asked& asked, const JudgedBurst& burst) noexcept {
  before_ns_ = burst.time_ns;
  before_marked_ = burst.marked;
  drawn_ = 0;
  const CompiledImpairment& impairment = rule.steps[step].impairment;
  if (!impairment.fate || (wanted_ | burst.captured) == 0)
    return;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    if (!wanted(i, burst))
      continue;
    draw_[i] = unit_interval(impairment.fate->uniform(asked.identity[i], asked.number[i]));
    drawn_ |= bit(i);
  }
}

void CaptureTap::served(const RuleProgram&, std::size_t, const Selection&,
                        const JudgedBurst& burst) noexcept {
  before_ns_[0] = burst.time_ns[0];
  before_marked_[0] = burst.marked[0];
  drawn_ = 0;
  serving_ = true;
}

void CaptureTap::note(const Note& note) noexcept {
  if (notes_used_ < kNotesMax)
    notes_[notes_used_++] = note;
}

void CaptureTap::judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
                        const JudgedBurst& burst) noexcept {
  Note made;
  made.impairment = &rule.steps[step].impairment;
  made.touch.slot = rule.slot;
  made.touch.step = static_cast<std::uint8_t>(step);
  made.perhaps = made.impairment->edit != nullptr || made.impairment->answer != nullptr ||
                 made.impairment->serve != nullptr;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    made.i = i;
    made.touch.delay_ns = burst.time_ns[i] - before_ns_[i];
    made.touch.reason = burst.reason[i];
    made.touch.flags =
        burst.marked[i] && !before_marked_[i] ? CaptureTouchRecord::kMarked : std::uint8_t{0};
    if (serving_)
      made.touch.flags |= CaptureTouchRecord::kReplaces;
    made.touch.draw = 0;
    if ((drawn_ & bit(i)) != 0) {
      made.touch.draw = draw_[i];
      made.touch.flags |= CaptureTouchRecord::kDrawn;
    }
    if (made.perhaps || did_something(made.touch))
      note(made);
  }
  serving_ = false;
}

void CaptureTap::copied(const RuleProgram& rule, std::size_t step, const JudgedBurst& burst,
                        std::uint8_t of, std::uint8_t copy) noexcept {
  Note* last = nullptr;
  for (std::uint32_t at = 0; at < notes_used_; ++at)
    if (notes_[at].i == of)
      last = &notes_[at];
  if (last == nullptr || last->touch.slot != rule.slot || last->touch.step != step) {
    Note made;
    made.impairment = &rule.steps[step].impairment;
    made.touch.slot = rule.slot;
    made.touch.step = static_cast<std::uint8_t>(step);
    made.i = of;
    note(made);
    last = &notes_[notes_used_ - 1];
  }
  ++last->touch.copies;
  by_[copy] = by_[of];
  if (wanted(of, burst))
    wanted_ |= bit(copy);
  // What waited has a past, which its copy shares; what has just come has notes, and they do.
  if (burst.wants(of) && forks_used_ < forks_.size())
    forks_[forks_used_++] = {of, copy};
  const std::uint32_t noted = notes_used_;
  for (std::uint32_t at = 0; at < noted; ++at) {
    if (notes_[at].i != of)
      continue;
    Note made = notes_[at];
    made.i = copy;
    if (&notes_[at] == last) {
      made.touch.copies = 1;
      made.touch.delay_ns = burst.time_ns[copy] - burst.time_ns[of];
    }
    note(made);
  }
}

void CaptureTap::decided(const JudgedPackets&, const JudgedBurst& burst) noexcept {
  burst_ = &burst;
}

/// Tells the writer of the packets that are wanted, before any of their frames comes.
std::uint64_t CaptureTap::captures() noexcept {
  if (burst_ == nullptr) {
    forget_burst();
    return 0;
  }
  const JudgedBurst& burst = *burst_;
  const std::uint64_t all = wanted_ | burst.captured;
  const auto name_of = [&](std::uint32_t i) {
    return capture_name(burst.sequence[i], burst.egress, burst.copy[i]);
  };
  for (std::uint32_t at = 0; at < forks_used_; ++at) {
    CaptureForkRecord fork;
    fork.of = name_of(forks_[at].of);
    fork.copy = name_of(forks_[at].copy);
    put(fork);
  }
  for (std::uint64_t left = wanted_; left != 0; left &= left - 1) {
    const auto i = static_cast<std::uint32_t>(std::countr_zero(left));
    if (by_[i] == 0)
      continue;
    CapturePacketRecord packet;
    packet.captures = by_[i];
    packet.name = name_of(i);
    packet.number = burst.number[i];
    packet.generation = generation_;
    if (!put(packet))
      lose();
  }
  for (std::uint32_t at = 0; at < notes_used_; ++at) {
    Note& note = notes_[at];
    if ((all & bit(note.i)) == 0)
      continue;
    note.touch.name = name_of(note.i);
    note.touch.generation = generation_;
    put(note.touch);
  }
  wanted_ = all;
  return all;
}

void CaptureTap::put_touch(const HoldKey& key, std::uint8_t flag, std::uint16_t slot,
                           const CompiledImpairment* impairment) noexcept {
  for (std::uint32_t at = 0; at < notes_used_; ++at) {
    if (notes_[at].impairment != impairment)
      continue;
    CaptureTouchRecord touch;
    touch.slot = slot;
    touch.step = notes_[at].touch.step;
    touch.flags = flag;
    touch.name = capture_name(key);
    touch.generation = generation_;
    put(touch);
    return;
  }
}

void CaptureTap::edited(const HoldKey& key, const Edit& edit, std::uint32_t) noexcept {
  if (key.captured)
    put_touch(key, CaptureTouchRecord::kEdited, edit.rule_slot, edit.impairment);
}

void CaptureTap::answered(const HoldKey& key, const HoldKey& of,
                          const FrameAnswer& answer) noexcept {
  if (!key.captured)
    return;
  put_touch(of, CaptureTouchRecord::kAnswered, answer.rule_slot, answer.impairment);
  CaptureForkRecord fork;
  fork.of = capture_name(of);
  fork.copy = capture_name(key);
  fork.without_past = true;
  put(fork);
  put_touch(key, CaptureTouchRecord::kMade, answer.rule_slot, answer.impairment);
}

bool CaptureTap::captures_own(const RuleProgram& rule) const noexcept {
  return all_ != 0 || wanted_by(rule) != 0;
}

void CaptureTap::injected(const HoldKey& key, const RuleProgram& rule, std::size_t step,
                          const FrameView&) noexcept {
  if (!key.captured)
    return;
  CapturePacketRecord packet;
  packet.captures = static_cast<std::uint16_t>(all_ | wanted_by(rule));
  packet.name = capture_name(key);
  packet.generation = generation_;
  if (!put(packet))
    lose();
  CaptureTouchRecord touch;
  touch.slot = rule.slot;
  touch.step = static_cast<std::uint8_t>(step);
  touch.flags = CaptureTouchRecord::kMade;
  touch.name = packet.name;
  touch.generation = generation_;
  put(touch);
}

// --- frames --------------------------------------------------------------------------------------

void CaptureTap::seen(const HoldKey& key, const rte_mbuf* mbuf) noexcept {
  CaptureFrameRecord record;
  record.point = static_cast<std::uint8_t>(CapturePoint::kBefore);
  record.ingress = key.ingress;
  record.egress = key.egress;
  record.name = capture_name(key);
  record.time_ns = record.arrival_ns = key.arrival_ns;
  if (snap_bytes_[record.point] > 0)
    put_frame(record, mbuf);
}

void CaptureTap::left(const HoldKey& key, const rte_mbuf* mbuf, std::uint64_t departs_ns) noexcept {
  CaptureFrameRecord record;
  record.point = static_cast<std::uint8_t>(CapturePoint::kAfter);
  record.ingress = key.ingress;
  record.egress = key.egress;
  record.name = capture_name(key);
  record.time_ns = departs_ns;
  record.arrival_ns = key.arrival_ns;
  put_frame(record, mbuf);
}

void CaptureTap::dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept {
  if (!key.captured)
    return;
  CaptureFrameRecord record;
  record.point = static_cast<std::uint8_t>(CapturePoint::kDrops);
  record.reason = reason;
  record.ingress = key.ingress;
  record.egress = key.egress;
  record.name = capture_name(key);
  record.time_ns = key.release_ns;
  record.arrival_ns = key.arrival_ns;
  put_frame(record, mbuf);
}

/// An eighth of the ring is kept for what is said of packets whose frames find no room.
void CaptureTap::put_frame(CaptureFrameRecord record, const rte_mbuf* mbuf) noexcept {
  const std::uint32_t wanted_bytes = snap_bytes_[record.point];
  record.wire_bytes = mbuf->pkt_len;
  record.captured_bytes = std::min(mbuf->pkt_len, wanted_bytes);
  const std::uint64_t words = words_of<CaptureFrameRecord>() + (record.captured_bytes + 7) / 8;
  std::uint64_t* place = wanted_bytes > 0 ? ring_.reserve(words + ring_.capacity() / 8) : nullptr;
  if (place == nullptr) {
    record.content = wanted_bytes > 0 ? CaptureFrameRecord::Content::kLost
                                      : CaptureFrameRecord::Content::kUnasked;
    record.captured_bytes = 0;
    if (!put(record) && record.content == CaptureFrameRecord::Content::kLost)
      lose();
    return;
  }
  auto* bytes = reinterpret_cast<std::uint8_t*>(put_record(place, record));
  if (record.captured_bytes % 8 != 0)
    place[words - 1] = 0;
  const void* from = rte_pktmbuf_read(mbuf, 0, record.captured_bytes, bytes);
  if (from != bytes)
    std::memcpy(bytes, from, record.captured_bytes);
  ring_.commit(place + words);
}

}  // namespace faultline
