// A policy: all rules of a scenario compiled into one immutable object. Workers read it, nobody
// edits it; a change is a new policy. Times are on the data path's clock, in ns.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dice.hpp"
#include "impair/impairment.hpp"
#include "match/rule_index.hpp"
#include "match/rule_match.hpp"
#include "policy/lease.hpp"
#include "policy/payload_program.hpp"
#include "policy/scenario.hpp"
#include "policy/system_model.hpp"
#include "policy/trigger.hpp"

namespace faultline {

inline constexpr std::uint64_t kNever = UINT64_MAX;
/// States of impairments: each takes one for every path.
constexpr std::uint32_t scope_states_max(std::size_t paths) {
  constexpr std::uint32_t kLeast = 16'384;
  return std::max(kLeast, static_cast<std::uint32_t>(paths * 256));
}
/// Schedules of frames of one's own, each counted on each of its paths.
inline constexpr std::size_t kSchedulesMax = 256;
/// The scope that a rule with `shared: true` keeps for all its paths: FNV-1a of "*".
inline constexpr std::uint64_t kSharedIdentity = hash_name("*");

struct RuleStep {
  CompiledImpairment impairment;
  std::string kind;
  Per per = Per::kRule;  ///< whose state the impairment keeps
  bool parks = false;    ///< packets come here at their own time: something before it breaks order
  std::uint8_t copy_stride = 0;           ///< copies of a packet are numbered by multiples of it
  std::optional<std::uint8_t> inject_to;  ///< of its schedule, the port; absent: all of the paths'
  std::optional<std::uint8_t> carrier;    ///< the port whose carrier goes down with its link
  /// Index of the scope's state in a worker's array, for path 0; path p has first_state + p.
  std::uint32_t first_state = 0;
};

/// A while for which a trigger switches a rule, or has other values hold.
struct RuleGate {
  const Trigger* trigger = nullptr;
  std::uint64_t after_ns = 0;       ///< from its firing on
  std::uint64_t lasts_ns = kNever;  ///< kNever: it does not end
  TimelineAction action = TimelineAction::kEnable;
  std::uint16_t variant = 0;  ///< with kSet, the one that holds
};

/// A rule as it stands at an instant.
struct RuleTerm {
  bool on = false;
  std::uint64_t begins_ns = kNever;
  std::uint64_t ends_ns = kNever;
  std::uint64_t changes_ns = kNever;  ///< when a gate begins or ends
  std::uint16_t variant = 0;          ///< whose values hold
};

struct RuleProgram {
  std::string name;
  std::uint64_t name_hash = 0;
  std::uint16_t slot = 0;  ///< index of the rule's counters; lives as long as the name
  /// 0: the rule as it is written; from 1 on the same rule by the values that a trigger sets. They
  /// stand one behind the other, have name, counters, states and gates in common, and only the one
  /// whose values hold is asked.
  std::uint16_t variant = 0;
  bool enabled = false;
  std::uint64_t begins_ns = kNever;   ///< when it was enabled; schedules count from it
  std::uint64_t expires_ns = kNever;  ///< workers stop judging by the rule from here on
  std::uint64_t ttl_ns = kNever;      ///< from when a gate switches it on
  std::uint64_t switched_ns = 0;      ///< when the timeline switched it last
  std::vector<RuleGate> gates;        ///< in the order of the timeline
  std::vector<std::uint16_t> trips;   ///< triggers, of the policy, that count its packets
  std::string lease_id;               ///< empty: it hangs on no lease
  std::shared_ptr<LeaseTerm> lease;   ///< null without one
  std::bitset<kPathsMax> paths;
  std::optional<std::uint8_t> variation{};  ///< its place among those of which it is asked
  std::optional<RuleMatch> match;  ///< absent: every packet
  std::vector<RuleStep> steps;
  Per per = Per::kRule;
  Draw draw = Draw::kFlow;
  bool shared = false;            ///< one state for all paths
  bool final = false;             ///< no later rule sees a packet that this one matched
  bool cuts_in_flight = false;    ///< `in_flight: drop`
  bool portless = false;          ///< later fragments have no ports
  bool needs_connection = false;  ///< it asks who opened what, or which connection it is
  bool follows_tcp = false;       ///< it asks for sequence numbers of TCP
  bool delays = false;
  bool uses_dice = false;                    ///< a step reads identity and number
  bool uses_step = false;                    ///< a step reads a chain's index
  bool asks_payload = false;                 ///< its match searches payloads
  bool asks_stream = false;                  ///< some of it in streams
  std::optional<std::uint16_t> needs_hit{};  ///< in the packet's stream: a payload that must hold
  bool loses = false;                        ///< has a `loss`: runs of losses are counted
  bool counts_scopes = false;  ///< matches are counted for each scope, not for the path

  /// Whether nth or first is among its match.
  bool counts_packets() const noexcept {
    return match && (match->nth() != 0 || match->first() != 0);
  }
  /// As the timeline and its triggers have it; of what switched it last that counts which began
  /// last.
  RuleTerm term_at(std::uint64_t now_ns) const noexcept;
  /// When it ends, as things stand at `now_ns`, at which it is active.
  std::uint64_t end_ns(std::uint64_t now_ns) const noexcept {
    const std::uint64_t ends_ns = gates.empty() ? expires_ns : term_at(now_ns).ends_ns;
    return lease == nullptr ? ends_ns : std::min(ends_ns, lease->end_ns());
  }
  /// Whether it is on, by whatever values.
  bool is_on_at(std::uint64_t now_ns) const noexcept {
    return (gates.empty() ? enabled : term_at(now_ns).on) && now_ns < end_ns(now_ns);
  }
  /// Whether it is on by its own.
  bool active_at(std::uint64_t now_ns) const noexcept {
    return (gates.empty() ? variant == 0 : term_at(now_ns).variant == variant) && is_on_at(now_ns);
  }
  /// Whether it is on, or a trigger may switch it on.
  bool may_apply() const noexcept {
    return enabled || std::ranges::any_of(gates, [](const RuleGate& gate) {
             return gate.action == TimelineAction::kEnable;
           });
  }

  /// Whether all of its paths have a state in common.
  bool shares_paths() const noexcept {
    if (shared)
      return true;
    for (const RuleStep& step : steps)
      if (step.impairment.shares_paths)
        return true;
    return false;
  }

  /// Whether it keeps state that several workers of a path could not share.
  bool needs_one_worker() const noexcept {
    if (needs_connection || (counts_packets() && per != Per::kFlow))
      return true;
    for (const RuleStep& step : steps)
      if (step.impairment.owns_scope && step.per != Per::kFlow)
        return true;
    return false;
  }
};

inline RuleTerm RuleProgram::term_at(std::uint64_t now_ns) const noexcept {
  const auto later = [](std::uint64_t time_ns, std::uint64_t by_ns) {
    return by_ns > kNever - time_ns ? kNever : time_ns + by_ns;
  };
  RuleTerm term{enabled, begins_ns, expires_ns, kNever};
  std::uint64_t latest_ns = switched_ns;
  std::uint64_t latest_set_ns = 0;
  for (const RuleGate& gate : gates) {
    if (!gate.trigger->has_fired())
      continue;
    const std::uint64_t from_ns = later(gate.trigger->fired_ns(), gate.after_ns);
    const std::uint64_t until_ns = later(from_ns, gate.lasts_ns);
    if (now_ns < from_ns)
      term.changes_ns = std::min(term.changes_ns, from_ns);
    if (now_ns < from_ns || now_ns >= until_ns)
      continue;
    term.changes_ns = std::min(term.changes_ns, until_ns);
    const bool sets = gate.action == TimelineAction::kSet;
    if (from_ns < (sets ? latest_set_ns : latest_ns))
      continue;
    (sets ? latest_set_ns : latest_ns) = from_ns;
    if (sets) {
      term.variant = gate.variant;
      continue;
    }
    term.on = gate.action == TimelineAction::kEnable;
    term.begins_ns = from_ns;
    term.ends_ns = std::min(until_ns, later(from_ns, ttl_ns));
  }
  return term;
}

/// What a policy's triggers wait for.
struct TriggerProgram {
  std::string text;  ///< as people read it
  bool counts_packets = false;
  std::uint64_t count = 1;  ///< which packet of the rule fires it
};

/// A path of a wire, whose number is that of its ingress port, or of a switch.
struct PathProgram {
  bool exists = false;
  std::uint8_t ingress = 0;                ///< port index
  std::uint8_t egress = 0;                 ///< likewise
  PathId back = 0;                         ///< the path the other way
  std::uint64_t identity = 0;              ///< from the ports' names
  std::vector<std::uint16_t> rules;        ///< indices into rules, in file order
  std::shared_ptr<const RuleIndex> index;  ///< over their matches, by position in `rules`
  bool needs_flow = false;                 ///< a rule matches on, or draws by, the flow
  bool needs_fields = false;               ///< a rule asks more of a frame than its length
  bool needs_connection = false;     ///< a rule on this path or the way back asks who opened what
  bool draws_by_connection = false;  ///< a rule on this path throws its dice by connection
  bool follows_tcp = false;          ///< likewise, for sequence numbers of TCP
  bool needs_payload = false;        ///< a rule looks behind the headers
  bool makes_copies = false;         ///< a rule does
  /// How many of one packet, where nothing stands behind the step that makes them; 0: something
  /// does, and packets are judged one at a time.
  std::uint32_t copies_at_the_end = 0;
  bool breaks_order = false;  ///< a rule lets packets overtake each other
  PathId pair = 0;            ///< the same for this path and the way back
};

/// Ports that are joined by MAC learning.
struct SwitchProgram {
  std::vector<std::uint8_t> ports;
  std::uint64_t mac_age_ns = 0;
  std::uint64_t macs_max = 0;
};

/// What a worker does with held packets at the moment it adopts a policy.
enum class HeldAction : std::uint8_t { kKeep, kSend, kDrop };

struct Policy {
  std::uint64_t generation = 0;
  std::uint64_t seed = 0;
  std::string name;
  std::uint64_t active_from_ns = 0;
  const Policy* next = nullptr;  ///< takes over at its own active_from_ns: a timeline
  std::string instant;           ///< of a timeline: what begins and ends with this policy
  std::vector<TriggerProgram> triggers;
  std::shared_ptr<TriggerBoard> board;  ///< of just these triggers; null: there are none
  HeldAction held = HeldAction::kKeep;
  DropReason held_drop_reason = DropReason::kHeal;  ///< with HeldAction::kDrop
  bool begins_run =
      false;  ///< from its instant on everything is counted anew, and no flow is known
  std::vector<RuleProgram> rules;
  std::uint64_t zero_ns = 0;         ///< time zero: processes in time count from it
  std::vector<PathProgram> paths;    ///< by PathId
  std::vector<PathId> path_between;  ///< by ingress · ports + egress
  std::size_t ports = 0;
  SystemModel model;                        ///< that the wire is held against
  std::shared_ptr<PayloadProgram> payload;  ///< null where no rule asks for payloads
  std::vector<std::uint16_t> fresh_rules;   ///< counters to clear on adoption
  std::vector<std::uint32_t> fresh_states;  ///< scope states to clear on adoption

  PathId path_of(std::uint8_t ingress, std::uint8_t egress) const noexcept {
    return path_between[ingress * ports + egress];
  }

  /// The rule that is the scenario's number `index`, from 0, as written.
  const RuleProgram& written(std::size_t index) const noexcept {
    std::size_t at = 0;
    for (std::size_t left = index; left > 0 || rules[at].variant != 0; ++at)
      left -= rules[at].variant == 0 ? 1U : 0U;
    return rules[at];
  }

  /// A rule whose state several workers could not share; empty when there is none.
  std::string_view rule_for_one_worker() const noexcept {
    for (const RuleProgram& rule : rules)
      if (rule.needs_one_worker())
        return rule.name;
    return {};
  }

  bool makes_copies() const noexcept {
    for (const PathProgram& path : paths)
      if (path.makes_copies)
        return true;
    return false;
  }
  /// Whether frames may leave that did not come in.
  bool makes_packets() const noexcept {
    for (const RuleProgram& rule : rules)
      for (const RuleStep& step : rule.steps)
        if (step.impairment.copies > 0 || step.impairment.answer != nullptr ||
            step.impairment.schedule != nullptr)
          return true;
    return false;
  }
  /// Whether some do that nobody's packet brings about.
  bool injects() const noexcept {
    for (const RuleProgram& rule : rules)
      for (const RuleStep& step : rule.steps)
        if (step.impairment.schedule != nullptr)
          return true;
    return false;
  }

  /// Whether who tells whom the time is watched.
  bool watches_clocks() const noexcept {
    for (const RuleProgram& rule : rules)
      for (const RuleStep& step : rule.steps)
        if (step.impairment.tells_time)
          return true;
    return false;
  }
  bool needs_connections() const noexcept {
    for (const PathProgram& path : paths)
      if (path.needs_connection)
        return true;
    return false;
  }

  bool any_active_at(std::uint64_t now_ns) const noexcept {
    for (const RuleProgram& rule : rules)
      if (rule.active_at(now_ns))
        return true;
    return false;
  }
};

}  // namespace faultline
