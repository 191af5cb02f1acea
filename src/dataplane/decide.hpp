// Decide: the fate of every packet of a burst. Parse → flow → plan → rules in file order →
// impairments in the order written. Reads frames' bytes and fills a JudgedBurst; owns no packet,
// reads no clock. Everything is allocated in the constructor.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/counters.hpp"
#include "dataplane/flow_table.hpp"
#include "dataplane/histogram.hpp"
#include "dataplane/plan_cache.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// A frame's first bytes in one piece: all of it, or at least kParseBytesMax.
struct FrameView {
  const std::uint8_t* bytes = nullptr;
  std::uint32_t available = 0;
  std::uint32_t length = 0;
};

/// Packets [first, first + count) of a burst, all from one port, arrivals filled in.
struct BurstPart {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint8_t ingress = 0;
};

/// A rule's memory on one path: how many packets matched there, and whether the last was lost.
struct RulePathState {
  std::uint64_t matches = 0;
  bool last_lost = false;
};

class Decide {
 public:
  Decide(std::uint64_t flows_max, std::uint64_t flow_idle_ns, std::size_t ports);

  /// Judges by `policy` from now on. The policy must stay alive until another one is adopted.
  void adopt(const Policy& policy, std::uint64_t now_ns) noexcept;

  /// Ends rules whose time is over. Returns the next instant at which one ends.
  std::uint64_t refresh(std::uint64_t now_ns) noexcept;

  /// Fills time_ns and reason of the part's packets. `frames` and `burst` are indexed alike.
  void judge(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
             WorkerCounters& counters) noexcept;

  /// Whether anything would read the frames of this port: if not, nobody needs to touch them.
  bool reads_frames(std::uint8_t ingress) const noexcept {
    return policy_ != nullptr && !policy_->paths[ingress].rules.empty();
  }

  const std::vector<RuleCounters>& rule_counters() const noexcept { return rule_counters_; }
  const Histogram& delays_of(std::uint16_t slot) const noexcept { return delays_[slot]; }
  const FlowCounters& flow_counters() const noexcept { return flows_.counters(); }
  const Policy* policy() const noexcept { return policy_; }

 private:
  void plan_by_flow(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                    WorkerCounters& counters) noexcept;
  void plan_by_path(const PerPacket<FrameView>& frames, BurstPart part,
                    WorkerCounters& counters) noexcept;
  Plan plan_of(Flow& flow, const PathProgram& path) noexcept;
  void apply_shared_plan(BurstPart part, JudgedBurst& burst) noexcept;
  void apply_mixed_plans(BurstPart part, JudgedBurst& burst) noexcept;
  void apply_rule(const RuleProgram& rule, std::uint8_t ingress, const Selection& matched,
                  JudgedBurst& burst) noexcept;
  void count_losses(RuleCounters& counters, RulePathState& state, const Selection& judged,
                    const JudgedBurst& burst) noexcept;
  void count_delays(const RuleProgram& rule, RuleCounters& counters, const Selection& judged,
                    const PerPacket<std::uint64_t>& before_ns, const JudgedBurst& burst) noexcept;

  const Policy* policy_ = nullptr;
  std::size_t ports_;
  FlowTable flows_;
  PlanCache plans_;
  std::vector<std::uint8_t> active_;         ///< by rule index
  std::vector<std::uint16_t> path_rules_;    ///< by ingress · kRulesMax: what path_plans_ point to
  std::vector<Plan> path_plans_;             ///< by ingress: the plan where no flow is needed
  std::vector<ScopeState> states_;           ///< by first_state + ingress
  std::vector<RulePathState> rule_paths_;    ///< by slot · ports + ingress
  std::vector<RuleCounters> rule_counters_;  ///< by slot
  std::unique_ptr<Histogram[]> delays_;      ///< by slot
  std::vector<std::uint16_t> plan_scratch_;
  PerPacket<Plan> plan_;
  PerPacket<FlowKey> keys_;
};

}  // namespace faultline
