// What rules did to each packet on its way through a simulation, kept from its arrival until it
// leaves: for comments, journals and explanations.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "dataplane/journal_records.hpp"
#include "dataplane/witness.hpp"

namespace faultline {

/// One impairment's doing to one packet.
struct Touch {
  const RuleProgram* rule = nullptr;
  std::size_t step = 0;
  std::uint64_t delay_ns = 0;
  DropReason reason = DropReason::kNone;
  bool marked = false;
  std::uint8_t copies = 0;  ///< made of the packet
  bool answered = false;    ///< it had a frame made because of the packet, or this one
  bool edited = false;      ///< it changed bytes
  Explanation explanation;  ///< with TrailDetail::kAll

  bool changed() const {
    return delay_ns > 0 || reason != DropReason::kNone || marked || copies > 0 || edited ||
           answered;
  }
};

struct PacketTrail {
  const Policy* policy = nullptr;           ///< by which it was judged; only with the number
  std::uint64_t number = 0;                 ///< in its flow, from 1; 0: not asked for, or unparsed
  FlowKey flow;                             ///< as it came in; with the number
  FlowConnection connection;                ///< likewise, where dice are thrown by it
  std::uint32_t hash = 0;                   ///< likewise: frame_hash
  std::uint32_t length_bytes = 0;           ///< likewise
  FrameFields fields;                       ///< with TrailDetail::kAll
  Role role = Role::kAny;                   ///< likewise, where a rule asks for roles
  TcpPlace tcp;                             ///< likewise, where they ask for that
  PayloadHits payload;                      ///< likewise, of its stream where rules ask for that
  std::vector<const RuleProgram*> matched;  ///< with TrailDetail::kAll
  std::vector<Touch> touches;
};

enum class TrailDetail : std::uint8_t {
  kNothing,          ///< nobody asks
  kChanges,          ///< touches that changed something
  kNumberedChanges,  ///< the like, and every packet's number in its flow
  kAll,  ///< every match and every impairment asked, explained: bursts of one packet only
};

/// Hears of drops as they happen.
class DropListener {
 public:
  virtual ~DropListener() = default;
  virtual void dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept = 0;
};

class Trail final : public Witness {
 public:
  Trail(TrailDetail detail, DropListener& listener) : detail_(detail), listener_(listener) {}

  bool wants_flows() const noexcept override { return detail_ > TrailDetail::kChanges; }
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
  void edited(const HoldKey& key, const Edit& edit, std::uint32_t i) noexcept override;
  void answered(const HoldKey& key, const HoldKey& of, const FrameAnswer& answer) noexcept override;
  void injected(const HoldKey& key, const RuleProgram& rule, std::size_t step,
                const FrameView& frame) noexcept override;
  void dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept override {
    listener_.dropped(key, mbuf, reason);
  }

  /// What befell this packet, copy or answer; it is forgotten here.
  PacketTrail take(const HoldKey& key);

 private:
  TrailDetail detail_;
  DropListener& listener_;
  static std::uint64_t name_of(std::uint32_t sequence, std::uint8_t egress, std::uint8_t copy) {
    return std::uint64_t{sequence} << 16 | std::uint64_t{egress} << 8 | copy;
  }
  static std::uint64_t name_of(const HoldKey& key) {
    return name_of(key.sequence, key.egress, key.copy);
  }
  PacketTrail& trail_of(const JudgedBurst& burst, std::uint8_t i) {
    return packets_[name_of(burst.sequence[i], burst.egress, burst.copy[i])];
  }

  std::unordered_map<std::uint64_t, PacketTrail> packets_;
  PerPacket<std::uint64_t> before_ns_;
  PerPacket<bool> before_marked_;
  PerPacket<Explanation> explanations_;
  bool serving_ = false;  ///< what is judged next waited in a queue
};

}  // namespace faultline
