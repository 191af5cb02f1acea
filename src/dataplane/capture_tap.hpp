// A worker's end of the captures: the witness that picks the packets that a capture wants, and puts
// them, with what rules did to them, into the ring. What finds no room there is lost and counted.
// Everything is allocated when the captures begin.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "dataplane/capture_records.hpp"
#include "dataplane/record_ring.hpp"
#include "dataplane/witness.hpp"
#include "policy/capture_spec.hpp"

namespace faultline {

class CaptureTap final : public Witness {
 public:
  CaptureTap(RecordRing& ring, const std::vector<CaptureSpec>& captures);

  /// Packets of which nothing could be written, for no room at all. Any thread.
  std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

  bool wants_flows() const noexcept override { return true; }
  bool wants_packets() const noexcept override { return true; }
  void begins(FlowTable& flows) noexcept override;
  void arrived(const Arrivals& arrivals, const JudgedBurst& burst) noexcept override;
  void matched(const RuleProgram& rule, const Selection& matched,
               const JudgedBurst& burst) noexcept override;
  void asks(const RuleProgram& rule, std::size_t step, const Selection& selection,
            const Asked& asked, const JudgedBurst& burst) noexcept override;
  void served(const RuleProgram& rule, std::size_t step, const Selection& selection,
              const JudgedBurst& burst) noexcept override;
  void judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
              const JudgedBurst& burst) noexcept override;
  void copied(const RuleProgram& rule, std::size_t step, const JudgedBurst& burst, std::uint8_t of,
              std::uint8_t copy) noexcept override;
  void adopted(const Policy& policy) noexcept override { generation_ = policy.generation; }
  void decided(const JudgedPackets& packets, const JudgedBurst& burst) noexcept override;
  void edited(const HoldKey& key, const Edit& edit, std::uint32_t i) noexcept override;
  void answered(const HoldKey& key, const HoldKey& of, const FrameAnswer& answer) noexcept override;
  void injected(const HoldKey& key, const RuleProgram& rule, std::size_t step,
                const FrameView& frame) noexcept override;
  std::uint64_t captures() noexcept override;
  void acted() noexcept override { forget_burst(); }
  bool captures_own(const RuleProgram& rule) const noexcept override;
  void seen(const HoldKey& key, const rte_mbuf* mbuf) noexcept override;
  void left(const HoldKey& key, const rte_mbuf* mbuf, std::uint64_t departs_ns) noexcept override;
  void dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept override;

 private:
  /// One impairment's doing to one packet of the burst.
  struct Note {
    CaptureTouchRecord touch;  ///< without its name
    const CompiledImpairment* impairment = nullptr;
    std::uint8_t i = 0;    ///< the packet's position
    bool perhaps = false;  ///< it does something if it edits or answers
  };
  struct Fork {
    std::uint8_t of = 0;  ///< positions
    std::uint8_t copy = 0;
  };
  static constexpr std::uint32_t kNotesMax = 1'024;

  bool wanted(std::uint32_t i, const JudgedBurst& burst) const noexcept {
    return (wanted_ >> i & 1U) != 0 || burst.wants(i);
  }
  std::uint16_t wanted_by(const RuleProgram& rule) const noexcept;
  void note(const Note& note) noexcept;
  void forget_burst() noexcept;
  template <typename Record>
  bool put(const Record& record) noexcept;
  void lose() noexcept { lost_.store(lost() + 1, std::memory_order_relaxed); }
  void put_frame(CaptureFrameRecord record, const rte_mbuf* mbuf) noexcept;
  void put_touch(const HoldKey& key, std::uint8_t flag, std::uint16_t slot,
                 const CompiledImpairment* impairment) noexcept;

  struct Wish {
    std::string rule;  ///< empty: every packet
    std::uint16_t bit = 0;
  };
  RecordRing& ring_;
  std::vector<Wish> wishes_;
  std::uint16_t all_ = 0;                      ///< captures of every packet
  std::array<std::uint32_t, 3> snap_bytes_{};  ///< by point, the longest; 0: nobody wants it
  std::atomic<std::uint64_t> lost_{0};
  std::uint64_t generation_ = 0;

  // The burst that is judged.
  const JudgedBurst* burst_ = nullptr;
  std::uint64_t wanted_ = 0;  ///< by position, since it came
  PerPacket<std::uint16_t> by_{};
  std::uint32_t notes_used_ = 0;
  std::uint32_t forks_used_ = 0;
  bool serving_ = false;
  PerPacket<std::uint64_t> before_ns_;
  PerPacket<bool> before_marked_;
  PerPacket<double> draw_;
  std::uint64_t drawn_ = 0;  ///< whose draw is known, by position
  std::array<Note, kNotesMax> notes_;
  std::array<Fork, kBurstMax> forks_;
};

}  // namespace faultline
