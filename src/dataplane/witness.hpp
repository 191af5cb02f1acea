// Who watches a worker judge: annotations, journals, captures and explanations. In the daemon
// nobody does unless a journal or captures are kept. A witness changes nothing, and need not care
// for what has an empty body here.
#pragma once

#include <cstddef>

#include "dataplane/connection_table.hpp"
#include "dataplane/flow_table.hpp"
#include "dataplane/frame_view.hpp"
#include "dataplane/hold.hpp"
#include "policy/policy.hpp"

struct rte_mbuf;

namespace faultline {

/// Packets [first, first + count) of a burst, read under `policy`.
struct Arrivals {
  const Policy& policy;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  PathId path_id = 0;
  const PerPacket<FrameFields>& fields;
  const PerPacket<ConnectionPlace>& connections;
  const PerPacket<TcpPlace>& tcp;         ///< where rules ask for it
  const PerPacket<PayloadHits>& payload;  ///< what ends in their streams, where rules ask for that
  const PerPacket<FrameView>& frames;
};

/// What was judged at once: of an arrival all that takes one path, or one packet that waited and
/// now goes on as entry 0 of the burst, with the copies made of it in the upper half.
struct JudgedPackets {
  bool goes_on = false;  ///< it waited
  std::uint8_t ingress = 0;
  std::uint64_t aside = 0;  ///< entries that will be judged on, by position
  /// Of a packet that came in, as it did then; null where it goes on.
  const PerPacket<FrameView>* frames = nullptr;
  /// Likewise, where flows are known; null: its place has gone to another of the burst.
  const PerPacket<Flow*>* flows = nullptr;
  /// Likewise, where dice are thrown by connection; null elsewhere.
  const PerPacket<ConnectionPlace>* connections = nullptr;
  bool reopened = false;  ///< a flow that was known has become another connection among them
  const PerPacket<FrameFields>& fields;
};

class Witness {
 public:
  virtual ~Witness() = default;
  /// Before anything else, on the worker's own thread: whose flows these will be.
  virtual void begins(FlowTable& flows) noexcept;
  /// Judges by this policy from now on; also called when it begins to watch.
  virtual void adopted(const Policy& policy) noexcept;
  /// Whether every packet's flow must be known, rules that need it or not.
  virtual bool wants_flows() const noexcept = 0;
  /// Whether it is to be told of what came in and what rules matched, arrived() and matched().
  virtual bool wants_arrivals() const noexcept { return true; }
  /// Whether it wants to see packets: captures() and what follows it.
  virtual bool wants_packets() const noexcept { return false; }
  /// Packets have come in and, where flows are known, have their numbers.
  virtual void arrived(const Arrivals& arrivals, const JudgedBurst& burst) noexcept = 0;
  /// The packets that `rule` matched, before its first impairment is asked.
  virtual void matched(const RuleProgram& rule, const Selection& matched,
                       const JudgedBurst& burst) noexcept = 0;
  /// Before impairment `step` of the rule is asked about the living packets of `selection`.
  virtual void asks(const RuleProgram& rule, std::size_t step, const Selection& selection,
                    const Asked& asked, const JudgedBurst& burst) noexcept = 0;
  /// The like, of a packet that waited in the impairment's queue and now knows its fate; its time
  /// is that at which it came there.
  virtual void served(const RuleProgram& rule, std::size_t step, const Selection& selection,
                      const JudgedBurst& burst) noexcept;
  /// After it was.
  virtual void judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
                      const JudgedBurst& burst) noexcept = 0;
  /// Impairment `step` of the rule had entry `copy` of the burst made of entry `of`.
  virtual void copied(const RuleProgram& rule, std::size_t step, const JudgedBurst& burst,
                      std::uint8_t of, std::uint8_t copy) noexcept;
  /// Packets have been judged, and nothing has been done to them yet.
  virtual void decided(const JudgedPackets& packets, const JudgedBurst& burst) noexcept;
  /// All that was decided has been done, or the packets wait for it.
  virtual void acted() noexcept;
  /// An impairment changed the bytes of the packet at position `i` of the burst.
  virtual void edited(const HoldKey& key, const Edit& edit, std::uint32_t i) noexcept;
  /// The frame `key` was made because of the packet `of`.
  virtual void answered(const HoldKey& key, const HoldKey& of, const FrameAnswer& answer) noexcept;
  /// Impairment `step` of the rule had the frame `key` made, of nobody's packet.
  virtual void injected(const HoldKey& key, const RuleProgram& rule, std::size_t step,
                        const FrameView& frame) noexcept;
  /// Which entries of the burst that was decided last it wants to see, by position.
  virtual std::uint64_t captures() noexcept;
  /// Whether it wants to see what the rule sends of its own.
  virtual bool captures_own(const RuleProgram& rule) const noexcept;
  /// A packet that it wants to see, before anything is done to it.
  virtual void seen(const HoldKey& key, const rte_mbuf* mbuf) noexcept;
  /// The like, as it leaves by its port at `departs_ns`, or is refused there and dropped.
  virtual void left(const HoldKey& key, const rte_mbuf* mbuf, std::uint64_t departs_ns) noexcept;
  /// A packet is dropped, by whomever; `key.release_ns` is its own time then. The mbuf is freed
  /// after the call.
  virtual void dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept = 0;
};

inline void Witness::served(const RuleProgram&, std::size_t, const Selection&,
                            const JudgedBurst&) noexcept {}
inline void Witness::copied(const RuleProgram&, std::size_t, const JudgedBurst&, std::uint8_t,
                            std::uint8_t) noexcept {}
inline void Witness::begins(FlowTable&) noexcept {}
inline void Witness::adopted(const Policy&) noexcept {}
inline void Witness::decided(const JudgedPackets&, const JudgedBurst&) noexcept {}
inline void Witness::acted() noexcept {}
inline std::uint64_t Witness::captures() noexcept {
  return 0;
}
inline bool Witness::captures_own(const RuleProgram&) const noexcept {
  return false;
}
inline void Witness::seen(const HoldKey&, const rte_mbuf*) noexcept {}
inline void Witness::left(const HoldKey&, const rte_mbuf*, std::uint64_t) noexcept {}
inline void Witness::edited(const HoldKey&, const Edit&, std::uint32_t) noexcept {}
inline void Witness::injected(const HoldKey&, const RuleProgram&, std::size_t,
                              const FrameView&) noexcept {}
inline void Witness::answered(const HoldKey&, const HoldKey&, const FrameAnswer&) noexcept {}

}  // namespace faultline
