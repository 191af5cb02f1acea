// A worker's end of the journal: the witness that notes what rules did to each packet and puts it
// into the ring. What finds no room there is lost and counted. Everything is allocated when the
// journal is begun.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "dataplane/journal_records.hpp"
#include "dataplane/record_ring.hpp"
#include "dataplane/witness.hpp"

namespace faultline {

class JournalTap final : public Witness {
 public:
  explicit JournalTap(RecordRing& ring) : ring_(ring) {}

  /// Hits that found no room. Any thread.
  std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

  bool wants_flows() const noexcept override { return true; }
  bool wants_arrivals() const noexcept override { return false; }
  void begins(FlowTable& flows) noexcept override;
  void adopted(const Policy& policy) noexcept override;
  void arrived(const Arrivals&, const JudgedBurst&) noexcept override {}
  void matched(const RuleProgram&, const Selection&, const JudgedBurst&) noexcept override {}
  void asks(const RuleProgram& rule, std::size_t step, const Selection& selection,
            const Asked& asked, const JudgedBurst& burst) noexcept override;
  void served(const RuleProgram& rule, std::size_t step, const Selection& selection,
              const JudgedBurst& burst) noexcept override;
  void judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
              const JudgedBurst& burst) noexcept override;
  void copied(const RuleProgram& rule, std::size_t step, const JudgedBurst& burst, std::uint8_t of,
              std::uint8_t copy) noexcept override;
  void decided(const JudgedPackets& packets, const JudgedBurst& burst) noexcept override;
  void edited(const HoldKey& key, const Edit& edit, std::uint32_t i) noexcept override;
  void answered(const HoldKey& key, const HoldKey& of, const FrameAnswer& answer) noexcept override;
  void injected(const HoldKey& key, const RuleProgram& rule, std::size_t step,
                const FrameView& frame) noexcept override;
  void dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept override;
  void acted() noexcept override;

 private:
  /// One impairment's doing to one packet of the burst.
  struct Note {
    std::uint64_t delay_ns = 0;
    const CompiledImpairment* impairment = nullptr;
    std::uint16_t slot = 0;
    std::uint8_t step = 0;
    std::uint8_t i = 0;  ///< the packet's position
    DropReason reason = DropReason::kNone;
    std::uint8_t flags = 0;
    std::uint8_t copies = 0;

    /// Slot, step and reason as one number.
    std::uint64_t what() const noexcept {
      return slot | std::uint64_t{step} << 16 | static_cast<std::uint64_t>(reason) << 24;
    }
    bool hits() const noexcept {
      return delay_ns != 0 || reason != DropReason::kNone || copies > 0 ||
             (flags & ~JournalTouch::kReplaces) != 0;
    }
  };
  /// The notes of one impairment that did the same to all, not written out: what most bursts of a
  /// delay are.
  struct Run {
    Note note;                ///< the packet's position aside
    std::uint32_t count = 0;  ///< 0: there is none
    PerPacket<std::uint8_t> position;
  };
  struct Noted;     ///< how put_hits() reads notes,
  struct AllAlike;  ///< and a run
  struct Answer {
    HoldKey key;
    std::uint16_t slot = 0;
    std::uint8_t step = 0;
    std::uint8_t of = 0;  ///< the packet's position
  };
  struct Fork {
    std::uint8_t of = 0;  ///< positions
    std::uint8_t copy = 0;
  };
  static constexpr std::uint32_t kNotesMax = 1'024;
  static constexpr std::uint32_t kAnswersNoted = kAnswersMax * kBurstMax;
  static constexpr std::uint32_t kGoneMax = 2 * kBurstMax;
  /// What one note may need at most: a flow, a head, itself.
  static constexpr std::uint64_t kNoteWords =
      words_of<JournalFlow>() + words_of<JournalHead>() + words_of<JournalTouch>();

  static std::uint16_t length_of(const FrameView& frame) noexcept {
    return static_cast<std::uint16_t>(std::min<std::uint32_t>(frame.length, UINT16_MAX));
  }
  void note(const Note& note) noexcept;
  bool note_run(const RuleProgram& rule, std::size_t step, const Selection& selection,
                const JudgedBurst& burst) noexcept;
  void write_run_out() noexcept;
  void note_plain(const RuleProgram& rule, std::size_t step, const Selection& selection,
                  const JudgedBurst& burst) noexcept;
  void note_all(const RuleProgram& rule, std::size_t step, const Selection& selection,
                const JudgedBurst& burst) noexcept;
  std::uint64_t* put_head(std::uint64_t* place, const HoldKey& key) noexcept;
  std::uint64_t* put_flow(std::uint64_t* place, std::uint32_t i) noexcept;
  void tell_plain(const PerPacket<FrameView>& frames) noexcept;
  template <typename Hits>
  std::uint64_t* put_hits(std::uint64_t* place, Hits hits, std::uint32_t count,
                          const PerPacket<FrameView>& frames) noexcept;
  std::uint64_t* put_touches(std::uint64_t* place) noexcept;
  std::uint64_t* put_answers(std::uint64_t* place) noexcept;
  std::uint64_t* put_gone(std::uint64_t* place) noexcept;
  std::uint64_t* reserve(std::uint64_t words) noexcept;
  void lose(std::uint64_t hits) noexcept;
  HoldKey key_of(std::uint32_t i) const noexcept;
  JournalTouch touch_of(std::uint32_t i) const noexcept;
  void forget_burst() noexcept;

  RecordRing& ring_;
  std::atomic<std::uint64_t> lost_{0};
  std::uint64_t lost_told_ = 0;
  FlowTable* flows_ = nullptr;
  std::uint32_t journal_ = 0;  ///< its mark in flows
  JournalAdopted policy_;
  bool policy_told_ = true;

  // The burst that is judged.
  const JudgedBurst* burst_ = nullptr;  ///< null: none is
  std::uint8_t ingress_ = 0;
  bool goes_on_ = false;
  bool serving_ = false;
  bool plain_ = true;          ///< each packet has one note at most, and that says all
  std::uint64_t touched_ = 0;  ///< packets with notes, by position
  std::uint64_t aside_ = 0;
  std::uint32_t notes_used_ = 0;
  std::uint32_t answers_used_ = 0;
  std::uint32_t forks_used_ = 0;
  std::uint32_t gone_used_ = 0;
  std::uint32_t edited_last_ = 0;
  const PerPacket<Flow*>* burst_flows_ = nullptr;
  const PerPacket<ConnectionPlace>* connections_ = nullptr;  ///< null: nobody draws by them
  bool reopened_ = false;  ///< flows are told with each packet: they are not one connection
  const PerPacket<FrameFields>* fields_ = nullptr;
  PerPacket<std::uint64_t> before_ns_;
  PerPacket<bool> before_marked_;
  PerPacket<std::uint32_t> hash_;
  PerPacket<std::uint16_t> length_;
  Run run_;
  std::array<Note, kNotesMax + 1> notes_;
  std::array<Answer, kAnswersNoted> answers_;
  std::array<Fork, kBurstMax> forks_;
  std::array<JournalGone, kGoneMax> gone_;

  /// The head put last; sequence and path are those of packets near it.
  HoldKey head_;
  bool head_told_ = false;
};

}  // namespace faultline
