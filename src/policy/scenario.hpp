// A scenario as written: the keys of version 1, checked one by one, with defaults filled in. What
// it means for packets is compiled elsewhere (policy/compile.hpp); what a driver needs, in
// drivers/.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.hpp"
#include "base/units.hpp"
#include "impair/impairment.hpp"
#include "packet/node_table.hpp"
#include "policy/capture_spec.hpp"
#include "policy/port_spec.hpp"
#include "policy/system_model.hpp"

namespace faultline {

inline constexpr std::size_t kPortsMax = 64;
inline constexpr std::size_t kRulesMax = 1024;
/// Rules of which inter-packet delay variation is asked.
inline constexpr std::size_t kVariationsMax = 16;

struct WireSpec {
  std::string name;
  std::size_t first = 0;   ///< index into ports
  std::size_t second = 0;  ///< index into ports
  bool mirrors = false;    ///< one end's link goes down with the other's
};

/// Ports joined by MAC learning.
struct SwitchSpec {
  std::string name;
  std::vector<std::size_t> ports{};  ///< indices, two at least
  std::uint64_t mac_age_ns = 0;      ///< how long a silent station stays known
  std::uint64_t macs_max = 0;        ///< stations known at once

  friend bool operator==(const SwitchSpec&, const SwitchSpec&) = default;
};

/// An ordered pair of ports.
struct PortPair {
  std::size_t from = 0;
  std::size_t to = 0;
};

inline constexpr std::size_t kWorkersMax = 16;

/// Who polls.
struct WorkersSpec {
  std::vector<unsigned> cores;  ///< empty: chosen by the daemon
  std::uint32_t rx_burst = 32;  ///< 1 … kBurstMax packets at once
  bool sleeps = false;          ///< idle workers sleep between polls

  friend bool operator==(const WorkersSpec&, const WorkersSpec&) = default;
};

/// Whose number the dice of memoryless models are thrown by: a rule's `draw:`.
enum class Draw : std::uint8_t { kFlow, kConnection, kArrival };

enum class TtlKind : std::uint8_t { kDefault, kNone, kTime };

struct RuleSpec {
  std::string name;
  LinkEnd from = LinkEnd::anybody();   ///< nodes that a port alone tells are ports here
  LinkEnd to = LinkEnd::anybody();     ///< likewise
  const ConfigNode* match = nullptr;   ///< into the scenario's tree; null: everything
  const ConfigNode* impair = nullptr;  ///< into the scenario's tree; a list
  bool enabled = true;
  Per per = Per::kRule;
  Draw draw = Draw::kFlow;
  bool shared = false;
  bool final = false;
  bool portless = false;          ///< `fragments: portless`
  bool cuts_in_flight = false;    ///< `in_flight: drop`: what is held when it begins is lost
  bool passes_tcp_acks = false;   ///< `tcp_acks: pass`: TCP without data is none of the rule's
  bool optional = false;          ///< it may match nothing
  std::uint64_t switched_ns = 0;  ///< when a timeline switched it last, since time zero
  TtlKind ttl = TtlKind::kDefault;
  std::uint64_t ttl_ns = 0;
  std::string lease;  ///< empty: none
  Mark mark;
  std::uint16_t variant = 0;  ///< 0: as written; else by which entry's values, see RuleProgram
};

enum class TimelineAction : std::uint8_t { kEnable, kDisable, kSet };

/// How often a trigger fires.
struct TriggerRepeats {
  std::uint64_t firings_max = 1;  ///< UINT64_MAX: without limit
  std::uint64_t rests_ns = 0;     ///< from a firing on, until it waits again
};

/// What an entry of the timeline waits for.
struct TriggerSpec {
  enum class Kind : std::uint8_t { kPackets, kLink, kCall };

  Kind kind = Kind::kPackets;
  std::string text{};       ///< as people read it
  std::size_t rule = 0;     ///< whose packets count
  std::uint64_t count = 1;  ///< which of them fires it
  bool own_rule = false;    ///< the rule stands for a match that was written in its place
  std::size_t port = 0;     ///< of the link
  bool up = false;          ///< the state that it waits for
  std::string call{};       ///< the name that is called
  TriggerRepeats repeats{};

  /// Whether one can stand for both: they wait for the same, once. The text says how that was
  /// written. One that fires again rests as long as its own entry holds.
  bool waits_as(const TriggerSpec& other) const {
    return kind == other.kind && rule == other.rule && count == other.count && port == other.port &&
           up == other.up && call == other.call && repeats.firings_max == 1 &&
           other.repeats.firings_max == 1;
  }
};

/// What happens to a rule for a while. Times count from time zero, or from when the trigger fires.
struct TimelineEntry {
  std::optional<std::size_t> trigger{};  ///< index into triggers
  std::uint64_t at_ns = 0;
  std::uint64_t until_ns = UINT64_MAX;  ///< UINT64_MAX: it does not end
  std::uint64_t over_ns = 0;            ///< of a ramp: until its values are reached
  std::size_t rule = 0;                 ///< index
  TimelineAction action = TimelineAction::kEnable;
  const ConfigNode* set = nullptr;  ///< into the scenario's tree: impairments and their new keys
};

/// What an expectation is about.
enum class Quantity : std::uint8_t {
  kLoss,           ///< share, of the packets that a rule's dice judged
  kDelayQuantile,  ///< ns, of what the rule added to those that went on
  kDelayMean,
  kDelayMin,
  kDelayMax,
  kPdvQuantile,  ///< ns, less the least (RFC 5481)
  kIpdvQuantile,  ///< ns, from one packet's delay to the next one's (RFC 5481)
  kMatched,      ///< packets, as the rule's counters have them
  kDropped,
  kDuplicated,
  kCorrupted,
  kReordered,
  kInjected,
  kOvertaken,  ///< packets, where ports send (RFC 4737)
  kRate,       ///< bit/s, likewise
  kLedger,     ///< that it balances
  kModel,      ///< that nothing broke it
};

/// What a run should come out as.
struct Expectation {
  std::string text;  ///< as written
  Quantity quantity = Quantity::kLoss;
  double quantile = 0;                ///< which one, where it is about one
  std::optional<std::size_t> rule{};  ///< index; absent: it is about a port, or about the run
  std::optional<std::size_t> port{};  ///< index
  double least = 0;                   ///< in the quantity's unit
  double most = 1;                    ///< likewise; infinite: no bound
  std::optional<double> wanted{};     ///< between them; absent with a bound on one side
  Mark mark;
};

/// A command that a run's client runs again and again: when it fails often enough, the run ends.
struct StopCommand {
  std::string command;  ///< for the shell
  std::uint64_t every_ns = 1'000'000'000;
  std::uint64_t timeout_ns = 10'000'000'000;
  std::uint64_t failures = 1;  ///< one after the other
};

/// What ends a run before its time.
struct StopRules {
  std::optional<std::uint64_t> own_drops{};  ///< so many packets, or more, lost by the injector
  bool full_hold = false;                    ///< `hold: {on_full: stop}`
  std::vector<StopCommand> commands{};
};

/// How late the injector itself may be.
struct LatenessBound {
  std::optional<std::uint64_t> p99_ns{};  ///< absent: not bounded
  bool warns = false;                     ///< beyond it a run is told of, and not invalid
};

struct Scenario {
  ConfigNode tree;              ///< RuleSpecs and TimelineEntries point into it
  std::deque<ConfigNode> made;  ///< and into what stands for parts of it
  std::string name;
  std::optional<std::uint64_t> seed;
  std::vector<PortSpec> ports;
  std::vector<WireSpec> wires;
  std::vector<SwitchSpec> switches;
  std::shared_ptr<const NodeTable> nodes;  ///< there may be none in it
  WorkersSpec workers;
  std::vector<RuleSpec> rules;
  std::vector<TriggerSpec> triggers;
  std::vector<TimelineEntry> timeline;  ///< in file order
  std::vector<Expectation> expectations;
  SystemModel model;
  LatenessBound lateness;
  StopRules stop;
  std::vector<CaptureSpec> captures;
  double confidence = 0.999;  ///< of statistical expectations
  std::uint64_t flows_max = 65'536;
  std::uint32_t streams_max = 16'384;  ///< TCP streams that a worker searches at once
  std::uint64_t flow_idle_ns = 60 * kNsPerSecond;
  std::optional<std::uint64_t> hold_bytes;

  /// Every way through wires and switches.
  std::vector<PortPair> paths() const;
  /// How many numbers of paths a policy has: one a port, and one for each path of a switch.
  std::size_t path_count() const;

  Scenario() = default;
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;
  Scenario(Scenario&&) = default;
  Scenario& operator=(Scenario&&) = default;
};

enum class ScenarioUse : std::uint8_t {
  kLive,      ///< ports must be written
  kSimulate,  ///< without `ports:` it gets left and right, joined by the wire lab
};

/// Reads a scenario's tree. All problems at once.
Result<Scenario> read_scenario(ConfigNode tree, ScenarioUse use);

/// Rules of which inter-packet delay variation is expected, by index, as they are named first.
std::vector<std::size_t> rules_of_variation(const Scenario& scenario);

/// The index of the rule that the node names; when there is none, that is told.
std::optional<std::size_t> find_rule_named(const ConfigNode& node, const Scenario& scenario,
                                           Problems& problems);

}  // namespace faultline
