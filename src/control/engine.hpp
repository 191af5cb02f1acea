// The management plane's one owner of change: it holds the scenario as it stands, compiles it,
// publishes the policy and answers for what the workers count. Requests come from api.hpp; packets
// never come here.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/publish.hpp"
#include "control/statistics.hpp"
#include "dataplane/wiring.hpp"
#include "policy/compile.hpp"
#include "policy/scenario.hpp"

namespace faultline {

/// A worker as the engine sees it.
struct EngineWorker {
  std::unique_ptr<LiveWorker> worker;
  unsigned core = 0;
};

/// Why a change did not happen.
enum class Refusal : std::uint8_t {
  kUnreadable,    ///< the text cannot be read
  kInvalid,       ///< read, but not valid
  kNotFound,      ///< no such rule
  kConflict,      ///< other ports or wires than the daemon's
  kPrecondition,  ///< the generation is not the one that was expected
  kNotAdopted,    ///< published, but a worker did not take it up in time
};

struct ChangeFailure {
  Refusal refusal;
  std::string detail;
  Problems problems;
};

struct Change {
  std::uint64_t generation = 0;
  std::uint64_t seed = 0;
};
using ChangeResult = tl::expected<Change, ChangeFailure>;

class Engine {
 public:
  /// `scenario` brings the ports, which never change. All its rules are disabled: pass-through.
  /// Errors: what compile_policy finds.
  static Result<std::unique_ptr<Engine>> create(Scenario scenario, WorkerLayout layout,
                                                TscClock& clock);

  const std::vector<PortSpec>& ports() const { return base_.ports; }
  Publisher& publisher() { return *publisher_; }
  /// Before the workers run: hands them over, with the devices they poll.
  void attach(std::vector<EngineWorker> workers, std::unique_ptr<Wiring> wiring);
  std::vector<EngineWorker>& workers() { return workers_; }

  /// About once a millisecond, from one thread: links, clocks and memory that may go.
  void housekeeping(std::uint64_t now_ns);

  // --- changes: each is answered after all workers use it ----------------------------------------

  /// Replaces the whole policy by a scenario's. `text` is YAML or JSON.
  ChangeResult put_policy(const std::string& text, std::optional<std::uint64_t> if_generation);
  /// Replaces keys of one rule.
  ChangeResult patch_rule(const std::string& name, const std::string& text,
                          std::optional<std::uint64_t> if_generation);
  /// Disables every rule; what is held is sent, kept or dropped.
  ChangeResult heal(HeldAction held);
  /// Enables what the scenario given at the start enables.
  ChangeResult start();

  // --- answers -----------------------------------------------------------------------------------

  Json status();
  Json statistics();
  Json rules();
  /// Null when there is no such rule.
  Json rule(const std::string& name);
  std::uint64_t generation() const { return publisher_->current().generation; }

 private:
  Engine(Scenario scenario, WorkerLayout layout, TscClock& clock);

  struct Request {
    ConfigNode tree;
    std::uint64_t seed = 0;
    std::set<std::string> restarted;  ///< rules whose ttl starts anew; all when `restart_all`
    bool restart_all = false;
    HeldAction held = HeldAction::kKeep;
  };
  ChangeResult change(Request request);
  ChangeResult wait_for_adoption();
  std::optional<ChangeFailure> check_same_machine(const Scenario& scenario) const;
  std::optional<ChangeFailure> check_may_change(std::optional<std::uint64_t> expected) const;
  std::vector<LiveWorker*> worker_pointers() const;
  /// Asks every worker for a snapshot. Those that do not answer in time are marked.
  struct Gathered {
    StatisticsSum sum;
    std::vector<bool> stalled;
    std::vector<double> busy;
  };
  Gathered gather();
  Json rule_json(const RuleProgram& rule, const ConfigNode& written, std::uint64_t now_ns,
                 const RuleCounters& counters) const;
  std::uint64_t uptime_ns() const;

  struct BusyMark {
    std::uint64_t busy_ns = 0;
    std::uint64_t now_ns = 0;
  };

  std::mutex mutex_;
  Scenario base_;    ///< as given at the start; owns what the daemon's ports are
  ConfigNode tree_;  ///< the scenario as it stands
  WorkerLayout layout_;
  PolicySlots slots_;
  TscClock& clock_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Wiring> wiring_;  ///< outlives the workers
  std::vector<EngineWorker> workers_;
  std::vector<BusyMark> busy_marks_;
  std::uint64_t start_ns_ = 0;
  std::uint64_t next_reclaim_ns_ = 0;
  std::uint64_t next_refine_ns_ = 0;
};

}  // namespace faultline
