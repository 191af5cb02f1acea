// Decide: the fate of every packet of a burst. Parse → flow → plan → rules in file order →
// impairments in the order written. Reads frames' bytes and fills a JudgedBurst; owns no packet,
// reads no clock. Everything is allocated in the constructor.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/connection_table.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/flow_table.hpp"
#include "dataplane/fragment_table.hpp"
#include "dataplane/frame_view.hpp"
#include "dataplane/histogram.hpp"
#include "dataplane/hold.hpp"
#include "dataplane/plan_cache.hpp"
#include "dataplane/resume.hpp"
#include "dataplane/scope_table.hpp"
#include "dataplane/variation.hpp"
#include "dataplane/wake_heap.hpp"
#include "dataplane/witness.hpp"
#include "impair/clock_pairs.hpp"
#include "packet/frame_fields.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// Packets [first, first + count) of a burst, all on one path, arrivals filled in.
struct BurstPart {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  PathId path_id = 0;
};

/// A rule's memory for one scope: how many packets matched there, and whether the last was lost.
struct RuleScopeState {
  std::uint64_t matches = 0;
  std::uint64_t candidates = 0;  ///< packets for which all of the match but nth and first held
  bool last_lost = false;
};
static_assert(sizeof(RuleScopeState) == 24);

/// Those of `among` that still live.
inline Selection survivors(const Selection& among, const JudgedBurst& burst) noexcept {
  if (!burst.any_dropped()) [[likely]]
    return among;
  Selection alive;
  for (std::uint32_t turn = 0; turn < among.count; ++turn) {
    alive.position[alive.count] = among.position[turn];
    alive.count += burst.reason[among.position[turn]] == DropReason::kNone ? 1U : 0U;
  }
  return alive;
}

/// Copies the entries of the selected packets, and of those between them.
template <typename T>
void copy_selected(const PerPacket<T>& from, const Selection& selection,
                   PerPacket<T>& to) noexcept {
  if (selection.count == 0)
    return;
  const std::size_t first = selection.position[0];
  const std::size_t end = selection.position[selection.count - 1] + std::size_t{1};
  std::copy(from.begin() + first, from.begin() + end, to.begin() + first);
}

class Decide {
 public:
  struct Settings {
    std::uint64_t flows_max = 65'536;
    std::uint64_t flow_idle_ns = 60 * kNsPerSecond;
    std::uint64_t queued_max = 1U << 20;  ///< packets in all queues together
    std::size_t paths = 2;
    std::uint32_t worker = 0;  ///< which scanner of a policy is its own
  };
  explicit Decide(const Settings& settings);

  /// Who is told about every judgement from now on; null for nobody.
  void set_witness(Witness* witness) noexcept {
    witness_ = witness;
    wants_flows_ = witness != nullptr && witness->wants_flows();
    arrivals_witness_ = witness != nullptr && witness->wants_arrivals() ? witness : nullptr;
    if (witness == nullptr)
      return;
    witness->begins(flows_);
    if (policy_ != nullptr)
      witness->adopted(*policy_);
  }
  /// Whether packets' flows are to be known whatever rules ask.
  bool wants_flows() const noexcept { return wants_flows_; }
  /// Whether a witness was told of the packets that were judged last. One that is not told what
  /// came in need not know either that nothing befell it.
  bool told_witness() const noexcept { return asked_witness_ || arrivals_witness_ != nullptr; }

  /// Judges by `policy` from now on. The policy must stay alive until another one is adopted.
  void adopt(const Policy& policy, std::uint64_t now_ns) noexcept;

  /// A run begins: no flow, connection or stream is known, and everything is counted anew.
  void begin_run() noexcept;

  /// Ends rules whose time is over. Returns the next instant at which one ends.
  std::uint64_t refresh(std::uint64_t now_ns) noexcept;

  /// Whether a trigger has fired, here or in another worker, since the rules were looked at.
  bool is_triggered() const noexcept {
    return policy_ != nullptr && policy_->board != nullptr &&
           policy_->board->firings() != triggers_seen_;
  }

  /// Fills time_ns and reason of the part's packets, at most part_max() of them. `frames` and
  /// `burst` are indexed alike. Where copies may be made the part is in the lower half of the
  /// burst, and copies are in the upper half, see copies().
  void judge(PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
             WorkerCounters& counters) noexcept;
  /// How many packets may be judged at once. What stands behind a step that makes copies must see
  /// each between its packet and the next.
  std::uint32_t part_max(PathId path_id) const noexcept {
    if (armed_) [[unlikely]]
      return 1;
    if (policy_ == nullptr || !policy_->paths[path_id].makes_copies)
      return kBurstMax;
    const std::uint32_t copies = policy_->paths[path_id].copies_at_the_end;
    return copies > 0 ? kCopiesMax / copies : 1;
  }
  /// The copies of the packets judged last: entries of the burst from kFirstCopy on, in the order
  /// of their packets.
  static constexpr std::uint32_t kFirstCopy = kBurstMax / 2;
  static constexpr std::uint32_t kCopiesMax = kBurstMax - kFirstCopy;
  std::uint32_t copies() const noexcept { return copy_count_; }
  /// The packet that entry kFirstCopy + `at` is a copy of.
  std::uint8_t copied_from(std::uint32_t at) const noexcept { return pending_[at].packet; }

  /// How many packets of packet `i`'s flow were lost one after the other, it among them. To be
  /// asked once a packet, where the policy's model counts them.
  std::uint32_t losses_in_a_row(std::uint32_t i, PathId path_id, const JudgedBurst& burst) noexcept;

  /// Whether of the packets judged last some wait for a stage, or must be judged again.
  bool sets_aside() const noexcept { return set_aside_; }
  /// Whether packet `i` of the last burst must be judged again at burst.time_ns[i], and then how
  /// many bytes it takes with it for that.
  std::uint32_t resume_bytes(std::uint32_t i) const noexcept {
    return parked_[i].rules == 0
               ? 0
               : static_cast<std::uint32_t>(sizeof(Resume) + parked_[i].rules * sizeof(ResumeRule));
  }
  /// Writes them.
  void write_resume(std::uint32_t i, std::byte* place) const noexcept;
  /// Goes on with a packet that was parked: fills entry 0 of the burst, of which nothing else is
  /// used. `resume` is followed by its rules.
  void resume(const Resume& resume, const HoldKey& key, const FrameView& frame,
              JudgedBurst& burst) noexcept;

  // Served queues: whose turn it is, and what becomes of it.

  WakeHeap& wakes() noexcept { return wakes_; }
  const WakeHeap& wakes() const noexcept { return wakes_; }
  ServedPool& served() noexcept { return served_; }
  /// Whether a packet may be to leave right behind one that was judged just now.
  bool chases() const noexcept { return chases_ > 0; }
  /// Where packet `i` of the last burst waits to be served, as a place in served(); 0: it does not.
  std::uint32_t waits(std::uint32_t i) const noexcept { return waits_[i]; }
  /// The first wake's queue is served: moves to `due` what leaves it at that instant, and lays the
  /// next wake.
  void serve_next(ServedQueue& due) noexcept;
  /// Everything in the first wake's queue goes to `all`, served or not.
  void empty_next(ServedQueue& all) noexcept;
  /// As resume, for a packet that was served: it goes on behind its stage, or was dropped there.
  void resume_served(const Resume& resume, const HoldKey& key, const ServedPool::Node& node,
                     const FrameView& frame, JudgedBurst& burst) noexcept;
  /// Queues that stand still until their rule ends are let go, at `now_ns`.
  void open_gates(std::uint64_t now_ns) noexcept;
  /// Whether packets wait for the end of a rule.
  bool waits_for_ends() noexcept;
  /// All served queues are empty from now on.
  void forget_queues() noexcept {
    served_.clear();
    wakes_.clear();
    chases_ = 0;
  }

  /// What packet `i` of the last burst said of itself on arrival, or when it was taken up again.
  const FrameFields& fields(std::uint32_t i) const noexcept { return fields_[i]; }

  /// Whether anything would read the frames of this port: if not, nobody needs to touch them.
  bool reads_frames(PathId path_id) const noexcept {
    return policy_ != nullptr && (!policy_->paths[path_id].rules.empty() ||
                                  policy_->paths[path_id].needs_connection || watches_clocks_);
  }

  const std::vector<RuleCounters>& rule_counters() const noexcept { return rule_counters_; }
  RuleCounters& counters_of(std::uint16_t slot) noexcept { return rule_counters_[slot]; }
  const Histogram& delays_of(std::uint16_t slot) const noexcept { return delays_[slot]; }
  /// By RuleProgram::variation.
  const Histogram& variations_of(std::uint32_t which) const noexcept {
    return variations_.counts(which);
  }
  const FlowTable& flows() const noexcept { return flows_; }
  const FlowCounters& flow_counters() const noexcept { return flows_.counters(); }
  const FragmentCounters& fragment_counters() const noexcept { return fragments_.counters(); }
  const ConnectionCounters& connection_counters() const noexcept { return connections_.counters(); }
  const PayloadCounters& payload_counters() const noexcept { return payload_counters_; }
  const ClockPairs& clocks() const noexcept { return clocks_; }
  /// Wherever they are kept.
  ScopeCounters scope_counters() const noexcept {
    return {scopes_.counters().active + flows_.states().active,
            scopes_.counters().lost + flows_.states().lost};
  }
  const Policy* policy() const noexcept { return policy_; }

 private:
  /// Tells the witness how the packets were judged.
  void tell_decided(bool goes_on, std::uint8_t ingress, const JudgedBurst& burst) noexcept;
  void plan_by_flow(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                    WorkerCounters& counters) noexcept;
  Selection parse_all(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                      WorkerCounters& counters) noexcept;
  void watch_clocks(const PerPacket<FrameView>& frames, BurstPart part,
                    const JudgedBurst& burst) noexcept;
  void follow_connection(Flow& flow, const ConnectionPlace& connection) noexcept;
  void look_further(const FrameView& frame, std::uint32_t i, const PathProgram& path, Flow& flow,
                    const JudgedBurst& burst) noexcept;
  void follow_plans(BurstPart part, JudgedBurst& burst) noexcept;
  /// By which the packet belongs to scopes: edits do not move it into another.
  const FlowKey& scope_key(std::uint32_t i) const noexcept {
    return scope_key_ != nullptr ? *scope_key_ : fields_[i].key;
  }
  void search_streams(const PerPacket<FrameView>& frames, PathId path_id,
                      const JudgedBurst& burst) noexcept;
  Plan plan_of(Flow& flow, const PathProgram& path) noexcept {
    if (!plans_.knows(flow.plan)) [[unlikely]]
      plan_anew(flow, path);
    return plans_.plan(flow.plan);
  }
  void plan_anew(Flow& flow, const PathProgram& path) noexcept;
  std::uint64_t arm(std::uint64_t now_ns) noexcept;
  void trip(const RuleProgram& rule, std::uint8_t i, const JudgedBurst& burst) noexcept;
  void fire_tripped(PathId path_id, const JudgedBurst& burst) noexcept;
  void adopt_scanner(const Policy& policy) noexcept;
  void adopt_connections(const Policy& policy) noexcept;
  void adopt_annexes(const Policy& policy) noexcept;
  void adopt_clocks(const Policy& policy) noexcept;
  void follow_displaced(FlowTable::Displaced& displaced, std::uint32_t from,
                        std::uint32_t until) noexcept;
  Selection matching(std::uint16_t entry, PathId path_id, const Selection& among,
                     const JudgedBurst& burst) noexcept;
  void begin_part(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst) noexcept;
  void follow_plan(Plan plan, std::size_t from, Selection left, PathId path_id,
                   JudgedBurst& burst) noexcept;
  void apply_mixed_plans(BurstPart part, JudgedBurst& burst) noexcept;
  void apply_rule(std::uint16_t index, PathId path_id, const Selection& matched,
                  JudgedBurst& burst) noexcept;
  void run_steps(std::uint16_t index, std::size_t first_step, PathId path_id,
                 const Selection& judged, JudgedBurst& burst) noexcept;
  void make_copies(const RuleProgram& rule, std::size_t step, PathId path_id,
                   const Selection& alive, JudgedBurst& burst) noexcept;
  void copy_for_judging(const RuleProgram& rule, std::size_t step, std::uint8_t of,
                        std::uint32_t which, std::uint8_t copy) noexcept;
  std::uint8_t make_copy(const RuleProgram& rule, std::size_t step, std::uint8_t of,
                         std::uint32_t which, JudgedBurst& burst) noexcept;
  void judge_copies(PathId path_id, JudgedBurst& burst) noexcept;
  void judge_copy(std::uint32_t at, PathId path_id, const Selection& one,
                  JudgedBurst& burst) noexcept;
  void judge_resumed(const Resume& resume, std::uint32_t turn, std::size_t step, std::uint8_t i,
                     PathId path_id, JudgedBurst& burst) noexcept;
  void park(std::uint16_t index, std::size_t step, const Selection& alive,
            const JudgedBurst& burst) noexcept;
  void let_wait(const RuleProgram& rule, std::size_t step, PathId path_id, const Selection& asked,
                JudgedBurst& burst) noexcept;
  ScopeState* state_of(const Wake& wake) noexcept;
  void lay(const Wake& wake, ScopeState& state) noexcept;
  void prune_wakes() noexcept;
  ScopeState* take_wake(Wake& wake) noexcept;
  void take_up(const Resume& resume, const HoldKey& key, const FrameView& frame,
               JudgedBurst& burst) noexcept;
  void go_on(const Resume& resume, PathId path_id, JudgedBurst& burst) noexcept;
  Selection without_waiting(const Selection& among) const noexcept;
  Selection ended_here(const Selection& judged, const JudgedBurst& burst) const noexcept;
  Selection take_with(std::uint16_t index, const Selection& matched) noexcept;
  void append_rule(std::uint8_t i, std::uint16_t index) noexcept;
  void count_matches(const RuleProgram& rule, PathId path_id, const Selection& matched,
                     const JudgedBurst& burst) noexcept;
  void number_dice(const RuleProgram& rule, PathId path_id, const Selection& matched,
                   const JudgedBurst& burst) noexcept;
  void ask(const RuleProgram& rule, std::size_t index, PathId path_id, const Selection& alive,
           JudgedBurst& burst, ImpairmentTally& tally) noexcept;
  void open_gate(std::uint32_t slot, std::uint64_t now_ns) noexcept;
  void open_ended_gates(const Policy& next, std::uint64_t now_ns) noexcept;
  void note_gates() noexcept;
  void tell_nodes(const NodeTable& nodes, PathId path_id, const Selection& alive) noexcept;
  std::uint32_t find_states(const RuleStep& step, const RuleProgram& rule, PathId path_id,
                            const Selection& selection, std::uint32_t first,
                            const JudgedBurst& burst) noexcept;
  std::uint64_t scope_identity(Per per, bool shared, PathId path_id, std::uint8_t i,
                               const JudgedBurst& burst) const noexcept;
  void scope_identities(Per per, bool shared, PathId path_id, const Selection& selection,
                        const JudgedBurst& burst, PerPacket<std::uint64_t>& out) const noexcept;
  /// Whose states are asked for, and how they are told apart.
  struct Scopes {
    ScopeTable::Owner owner;
    std::uint32_t bytes = 0;  ///< of a state
    Per per = Per::kRule;
    bool shared = false;
    PathId path_id = 0;

    AnnexPieces::Owner annexed() const noexcept { return {owner.slot, owner.epoch, bytes}; }
  };
  /// What a rule counts.
  Scopes scopes_of(const RuleProgram& rule, PathId path_id) const noexcept {
    const std::size_t path = rule.shared ? 0 : path_id;
    const auto slot = static_cast<std::uint32_t>(states_max_ + rule.slot * paths_ + path);
    return {{slot, rule_epochs_[rule.slot], StateQueue::kNone},
            sizeof(RuleScopeState),
            rule.per,
            rule.shared,
            path_id};
  }
  /// What an impairment remembers.
  Scopes scopes_of(const RuleStep& step, const RuleProgram& rule, PathId path_id) const noexcept {
    const bool shared = shares_state(step, rule);
    const std::uint32_t slot = step.first_state + (shared ? 0U : path_id);
    return {{slot, state_epochs_[slot], queue_of(step.impairment)},
            step.impairment.state_bytes,
            step.per,
            shared,
            path_id};
  }
  static bool shares_state(const RuleStep& step, const RuleProgram& rule) noexcept {
    return rule.shared || step.impairment.shares_paths;
  }
  std::uint32_t look_up_scopes(const Scopes& scopes, const Selection& selection,
                               std::uint32_t first, const JudgedBurst& burst,
                               PerPacket<ScopeState*>& out) noexcept;
  /// Their piece of the annex of packet `i`'s flow, null when they are in the table of scopes.
  const AnnexPiece* piece_of(const Scopes& scopes, std::uint8_t i) const noexcept {
    return annex_[i] == nullptr ? nullptr : pieces_.piece_of(scopes.annexed());
  }
  RuleScopeState& scope_again(const RuleProgram& rule, PathId path_id, std::uint8_t i,
                              const JudgedBurst& burst) noexcept;
  RuleScopeState& scope_of(const RuleProgram& rule, PathId path_id, std::uint8_t i,
                           const JudgedBurst& burst) noexcept;
  void count_losses(const RuleProgram& rule, PathId path_id, const Selection& judged,
                    const JudgedBurst& burst) noexcept;
  void note_variation(const RuleProgram& rule, PathId path_id, const Selection& judged,
                      const JudgedBurst& burst) noexcept;
  void count_delays(const RuleProgram& rule, RuleCounters& counters, const Selection& judged,
                    const JudgedBurst& burst) noexcept;

  const Policy* policy_ = nullptr;
  std::size_t paths_;
  FlowTable flows_;
  std::uint32_t states_max_;
  AnnexPieces pieces_;
  FragmentTable fragments_;
  ConnectionTable connections_;
  PlanCache plans_;
  std::uint32_t worker_;
  std::vector<std::uint8_t> active_;  ///< by rule index
  bool armed_ = false;                ///< a trigger counts packets
  std::uint64_t triggers_seen_ = 0;   ///< firings, when active_ was filled
  /// Triggers that fire when the packet has been judged.
  struct Tripped {
    std::uint16_t trigger = 0;  ///< of the policy's
    std::uint8_t packet = 0;
  };
  static constexpr std::uint32_t kTrippedMax = 256;
  std::array<Tripped, kTrippedMax> tripped_;
  std::uint32_t tripped_count_ = 0;
  TableOf<std::uint16_t> path_rules_;        ///< by path · kRulesMax: what path_plans_ point to
  std::vector<Plan> path_plans_;             ///< by path: the plan where no flow is needed
  TableOf<ScopeState> states_;               ///< by first_state + path
  TableOf<std::uint32_t> state_epochs_;      ///< by first_state + path: how often it was cleared
  TableOf<RuleScopeState> rule_paths_;       ///< by slot · paths + path
  std::vector<std::uint32_t> rule_epochs_;   ///< by slot
  TableOf<StateQueue> state_queues_;         ///< by first_state + path
  std::vector<std::uint64_t> arrivals_;      ///< by path: packets so far
  std::vector<RuleCounters> rule_counters_;  ///< by slot
  std::unique_ptr<Histogram[]> delays_;      ///< by slot
  VariationMeter variations_;
  std::vector<std::uint16_t> plan_scratch_;
  PerPacket<Plan> plan_;
  PerPacket<Flow*> flow_{};        ///< the packet's, while one arrives; null: it is not known
  PerPacket<FlowAnnex*> annex_{};  ///< of the packet's flow; null: it is not known
  PerPacket<FrameFields> fields_;
  PerPacket<ConnectionPlace> connection_;
  bool reopened_ = false;           ///< in this part a known flow became another connection
  PerPacket<TcpPlace> tcp_;         ///< where the path's rules ask for it
  PerPacket<PayloadHits> payload_;  ///< where the path's rules ask for payloads
  /// A packet whose stream is to be searched, and where that was last.
  struct StreamAsk {
    Flow* flow = nullptr;
    StreamPlace known;
    std::uint32_t packet = 0;
  };
  PerPacket<StreamAsk> stream_asks_;
  std::uint32_t stream_ask_count_ = 0;
  PayloadScanner* scanner_ = nullptr;
  PayloadCounters payload_counters_;
  PerPacket<FrameView>* frames_ = nullptr;  ///< of the burst that is judged; null: none is
  FrameView taken_up_;                      ///< the frame taken up again last
  PerPacket<std::uint64_t> arrival_number_;
  Asked asked_;
  BacklogPool backlog_;
  ServedPool served_;
  ScopeTable scopes_;
  WakeHeap wakes_;
  ClockPairs clocks_;
  bool watches_clocks_ = false;
  std::uint64_t chases_ = 0;              ///< of the wakes
  std::vector<std::uint32_t> gates_;      ///< slots of states whose rules keep a queue closed
  bool set_aside_ = true;                 ///< some of these two are not 0
  PerPacket<std::uint32_t> waits_;        ///< place in served_; 0: not in a queue
  PerPacket<Resume> parked_;              ///< `rules` above 0: judged again later
  std::vector<ResumeRule> parked_rules_;  ///< by i · kRulesMax
  /// A copy that is to be judged from step `step` of rule `rule`.
  struct PendingCopy {
    std::uint16_t rule = 0;
    std::uint16_t step = 0;
    std::uint8_t packet = 0;       ///< position in the burst of the one that it comes from
    std::uint64_t entered_ns = 0;  ///< when that rule took up the packet it is a copy of
  };
  std::array<PendingCopy, kCopiesMax> pending_;  ///< of entry kFirstCopy + its place here
  std::uint32_t copy_count_ = 0;
  PerPacket<std::uint64_t> salt_;        ///< of a copy's dice; 0: the packet itself
  bool salted_ = false;                  ///< some are not 0
  bool salts_used_ = true;               ///< since they were cleared
  PerPacket<ScopeState*> rule_scope_{};  ///< in scopes_, of the rule that looked last
  const FlowKey* scope_key_ = nullptr;   ///< while a packet is taken up again: its key on arrival
  bool resuming_ = false;  ///< the first step asked is one that the packet has waited for
  Witness* witness_ = nullptr;
  Witness* arrivals_witness_ = nullptr;  ///< the same, if it wants to be told of arrivals
  bool wants_flows_ = false;
  bool asked_witness_ = false;  ///< it was told of an impairment that was asked in this part
  BurstPart part_{};            ///< judged last
};

}  // namespace faultline
