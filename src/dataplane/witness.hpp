// Who watches a worker judge: annotations, journals and explanations. Nobody does in the daemon's
// data path; the simulator may. A witness changes nothing.
#pragma once

#include <cstddef>

#include "dataplane/connection_table.hpp"
#include "dataplane/hold.hpp"
#include "policy/policy.hpp"

struct rte_mbuf;

namespace faultline {

/// Packets [first, first + count) of a burst, read under `policy`.
struct Arrivals {
  const Policy& policy;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  const PerPacket<FrameFields>& fields;
  const PerPacket<ConnectionPlace>& connections;
};

class Witness {
 public:
  virtual ~Witness() = default;
  /// Whether every packet's flow must be known, rules that need it or not.
  virtual bool wants_flows() const noexcept = 0;
  /// Packets have come in and, where flows are known, have their numbers.
  virtual void arrived(const Arrivals& arrivals, const JudgedBurst& burst) noexcept = 0;
  /// The packets that `rule` matched, before its first impairment is asked.
  virtual void matched(const RuleProgram& rule, const Selection& matched,
                       const JudgedBurst& burst) noexcept = 0;
  /// Before impairment `step` of the rule is asked about the living packets of `selection`.
  virtual void asks(const RuleProgram& rule, std::size_t step, const Selection& selection,
                    const Asked& asked, const JudgedBurst& burst) noexcept = 0;
  /// After it was.
  virtual void judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
                      const JudgedBurst& burst) noexcept = 0;
  /// A packet is dropped, by whomever; `key.release_ns` is its own time then. The mbuf is freed
  /// after the call.
  virtual void dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept = 0;
};

}  // namespace faultline
