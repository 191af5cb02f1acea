// What is on its way when a cut begins: a rule with `in_flight: drop` takes that, too. Nothing is
// sought in the hold; a packet that leaves it and came in before the cut began is asked for, and
// only while such a cut is in force.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/counters.hpp"
#include "dataplane/hold.hpp"
#include "policy/policy.hpp"

namespace faultline {

class InFlight {
 public:
  InFlight() { cuts_.reserve(kCutsMax); }

  /// Which rules of the policy cut from `now_ns` on.
  void refresh(const Policy& policy, std::uint64_t now_ns) noexcept;
  /// What was due before a cut ended has left: their policies may go.
  void forget_ended() noexcept {
    if (before_ns_ != 0) [[unlikely]]
      drop_ended();
  }
  /// Packets that came in at this time or later met all cuts when they did.
  std::uint64_t before_ns() const noexcept { return before_ns_; }
  /// Whether a cut takes a packet that came in before that; its rule counts it then.
  bool takes(const HoldKey& key, std::span<const std::uint8_t> frame,
             std::uint32_t length) noexcept;
  /// Where rules count, by slot.
  void count_in(RuleCounters* rules) noexcept { rules_ = rules; }

 private:
  static constexpr std::size_t kCutsMax = 2 * kRulesMax;
  struct Cut {
    const RuleProgram* rule = nullptr;
    std::uint64_t begins_ns = 0;
    std::uint64_t ends_ns = kNever;
  };
  void drop_ended() noexcept;

  const Policy* policy_ = nullptr;
  std::vector<Cut> cuts_;
  std::uint64_t before_ns_ = 0;
  RuleCounters* rules_ = nullptr;
};

}  // namespace faultline
