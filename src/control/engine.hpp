// The management plane's one owner of change: it holds the scenario as it stands, compiles it,
// publishes the policy and answers for what the workers count. Requests come from api.hpp; packets
// never come here. Changes are in engine_changes.cpp, runs in engine_runs.cpp, answers in
// engine_answers.cpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/event_log.hpp"
#include "control/leases.hpp"
#include "control/link_flaps.hpp"
#include "control/link_mirror.hpp"
#include "control/publish.hpp"
#include "control/recorders.hpp"
#include "control/runs.hpp"
#include "control/scenario_tree.hpp"
#include "control/statistics.hpp"
#include "control/watchdog.hpp"
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
  kNotFound,      ///< no such rule or lease
  kConflict,      ///< other ports or wires than the daemon's, no room, no lease
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
  bool created = false;
};
using ChangeResult = tl::expected<Change, ChangeFailure>;
using IfGeneration = std::optional<std::uint64_t>;

/// The rule that PUT /v1/partition makes.
inline const std::string kPartitionRule = "partition";

class Engine {
 public:
  /// `scenario` brings the ports, which never change. All its rules are disabled: pass-through.
  /// `own_latency_ns` is what delays that compensate are shorter by; absent, they are refused.
  /// Errors: what compile_policy finds.
  static Result<std::unique_ptr<Engine>> create(Scenario scenario, WorkerLayout layout,
                                                TscClock& clock,
                                                std::optional<std::uint64_t> own_latency_ns);

  const std::vector<PortSpec>& ports() const { return base_.ports; }
  Publisher& publisher() { return *publisher_; }
  EventLog& events() { return events_; }
  /// Where journals and captures come to be: an absolute path; empty: nowhere.
  void set_data_folder(std::string path) { data_folder_ = std::move(path); }
  /// Before the workers run: hands them over, with the devices they poll.
  void attach(std::vector<EngineWorker> workers, std::unique_ptr<Wiring> wiring);
  std::vector<EngineWorker>& workers() { return workers_; }
  Watchdog& watchdog() { return *watchdog_; }

  /// About once a millisecond, from one thread: links, clocks, what has ended, and memory that may
  /// go.
  void housekeeping(std::uint64_t now_ns);
  /// After the last of these: no link stays down that a fault took down.
  void let_links_up() { flaps_->end(); }

  // --- changes: each is answered after all workers use it ----------------------------------------

  /// Replaces the whole policy by a scenario's. `text` is YAML or JSON.
  ChangeResult put_policy(const std::string& text, IfGeneration if_generation);
  /// Replaces a whole rule, or adds it behind the others.
  ChangeResult put_rule(const std::string& name, const std::string& text,
                        IfGeneration if_generation);
  /// Replaces keys of one rule.
  ChangeResult patch_rule(const std::string& name, const std::string& text,
                          IfGeneration if_generation);
  ChangeResult remove_rule(const std::string& name, IfGeneration if_generation);
  /// The rule `partition`, before all others: `text` is the value of the impairment, and the rule's
  /// ttl and lease.
  ChangeResult put_partition(const std::string& text, IfGeneration if_generation);
  /// Disables every rule; what is held is sent, kept or dropped.
  ChangeResult heal(HeldAction held, IfGeneration if_generation);
  /// Enables what the scenario given at the start enables.
  ChangeResult start();
  /// Makes or renews a lease; no policy changes by that.
  ChangeResult put_lease(const std::string& id, std::uint64_t ttl_ns);
  /// Fires what waits for this call, and tells the first of them; one that does not wait any more,
  /// or not now, stays as it is.
  tl::expected<Json, ChangeFailure> call_trigger(const std::string& name);
  /// Ends a lease, and the rules that hang on it.
  ChangeResult remove_lease(const std::string& id);
  /// Begins a run of the scenario: everything is counted anew from its time zero on, and at its end
  /// no rule is active. One at a time.
  tl::expected<Json, ChangeFailure> begin_run(const std::string& text, const RunRequest& request);
  /// Ends a run before its time; what is held is sent.
  tl::expected<Json, ChangeFailure> end_run(const std::string& id, const std::string& by);

  // --- what is recorded --------------------------------------------------------------------------

  /// Has all that rules do to packets written to `path`, which is made anew. Errors: it cannot be
  /// made, or one is being written already.
  Result<void> start_journal(const std::string& path);
  /// Ends it, and captures, when no worker runs any more. What became of it; nothing where there
  /// was none.
  JournalStatus end_recorders();

  // --- answers -----------------------------------------------------------------------------------

  Json status();
  Json statistics();
  Json rules();
  /// Null when there is no such rule.
  Json rule(const std::string& name);
  Json triggers();
  Json port_list();
  /// What is captured; its list is empty when nothing is.
  Json captures();
  /// The `most` flows with the most packets.
  Json flows(std::uint32_t most);
  /// The scenario as it stands.
  Json policy();
  Json runs();
  /// With its statistics, which are final when it is over; null when there is no such run.
  Json run(const std::string& id);
  /// What a run has recorded: paths within its folder, and sizes. Null when there is no such run.
  Json files(const std::string& id);
  /// At most `bytes_max` of such a file from `offset` on; nothing when there is none.
  std::optional<std::string> file_part(const std::string& id, const std::string& name,
                                       std::uint64_t offset, std::size_t bytes_max);
  std::uint64_t generation() const { return generation_.load(std::memory_order_relaxed); }
  std::uint64_t uptime_ns() const { return clock_.now_ns() - start_ns_; }

 private:
  Engine(Scenario scenario, WorkerLayout layout, TscClock& clock,
         std::optional<std::uint64_t> own_latency_ns);

  struct Request {
    std::string what;  ///< for the event
    ConfigNode tree;
    std::uint64_t seed = 0;
    std::set<std::string> restarted;  ///< rules whose ttl starts anew; all when `restart_all`
    bool restart_all = false;         ///< and the timeline, from its time zero
    bool stop_timeline = false;
    std::map<std::string, bool> switched;  ///< rules, and faults on the timeline: on or off
    HeldAction held = HeldAction::kKeep;
    bool created = false;
    std::optional<Run> run{};  ///< that begins with it
  };
  Request request_for(std::string what) const;
  tl::expected<Request, ChangeFailure> request_of_policy(const std::string& text);
  ChangeResult change(Request request);
  ChangeResult publish(PolicyChain chain, Request request);
  ChangeResult heal_now(HeldAction held, std::string what);
  /// Lays what requests switched over the timeline, or takes the timeline away.
  void lay_switches(Scenario& scenario, const Request& request, std::uint64_t at_ns) const;
  std::optional<ChangeFailure> check_fits(const Scenario& scenario, const PolicyChain& chain) const;
  ChangeResult switch_fault(const std::string& name, const ConfigNode& patch);
  ChangeResult wait_for_adoption(bool created);
  std::optional<ChangeFailure> check_same_machine(const Scenario& scenario) const;
  std::optional<ChangeFailure> check_may_change(IfGeneration expected) const;
  std::vector<LiveWorker*> worker_pointers() const;
  void watch_ports(std::uint64_t now_ns);
  void watch_workers(std::uint64_t now_ns);
  void watch_ends(std::uint64_t now_ns);
  void watch_timeline(std::uint64_t now_ns);
  void watch_triggers(std::uint64_t now_ns);
  bool tell_firings(std::size_t index, std::uint64_t now_ns);
  void watch_run(std::uint64_t now_ns);
  void stop_run(Run& run, const std::string& by);
  void close_run(Run& run, std::uint64_t now_ns);
  Json run_json(const Run& run);
  void open_run_folder(Run& run);
  void close_run_records(Run& run);
  std::optional<ChangeFailure> open_captures(const std::vector<CaptureSpec>& captures,
                                             const Run* run, const PolicyChain& chain);
  std::vector<std::string> port_names() const;
  void note_active(std::uint64_t now_ns);

  /// Asks every worker for a snapshot. Those that do not answer in time are marked.
  struct Gathered {
    StatisticsSum sum;
    std::vector<bool> stalled;
  };
  Gathered gather();
  Json rule_json(const RuleProgram& rule, const ConfigNode* written, std::uint64_t now_ns,
                 const RuleCounters& counters) const;
  Json timeline_json(std::uint64_t now_ns) const;

  std::mutex mutex_;
  Scenario base_;    ///< as given at the start; owns what the daemon's ports are
  ConfigNode tree_;  ///< the scenario as it stands
  WorkerLayout layout_;
  PolicySlots slots_;
  TscClock& clock_;
  std::optional<std::uint64_t> own_latency_ns_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Wiring> wiring_;  ///< outlives the workers
  std::unique_ptr<LinkMirror> mirror_;
  std::unique_ptr<LinkFlaps> flaps_;
  std::unique_ptr<Recorders> recorders_;  ///< outlives the workers
  std::vector<EngineWorker> workers_;
  std::unique_ptr<Watchdog> watchdog_;
  EventLog events_;
  Leases leases_;
  std::atomic<std::uint64_t> generation_{0};
  std::uint64_t start_ns_ = 0;

  std::set<std::string> active_rules_;  ///< whose end is news
  const Policy* watched_ = nullptr;     ///< of the current chain: the instant told last
  bool timeline_runs_ = false;
  std::vector<TriggerSpec> triggers_;
  std::shared_ptr<TriggerBoard> board_;  ///< of triggers_; null: there are none
  /// What was told of a trigger.
  struct TriggerNews {
    std::uint64_t firings = 0;    ///< that were news already, told or not
    std::uint64_t untold = 0;     ///< since the last one that was told
    std::uint64_t second_ns = 0;  ///< when the second began in which `told` were
    std::uint32_t told = 0;
    bool link_was_so = false;  ///< at the last look
  };
  std::vector<TriggerNews> trigger_news_;  ///< of triggers_
  /// By rule, what a request said of it, and when, in ns since time zero: since then that counts,
  /// until an entry of the timeline that begins later says something else.
  struct Switched {
    std::uint64_t at_ns = 0;
    bool on = false;
  };
  std::map<std::string, Switched> switched_;

  std::string data_folder_;
  Runs runs_;
  std::vector<DeviceCounters> devices_before_;  ///< by port: what is not counted any more
  std::uint64_t next_run_watch_ns_ = 0;

  // What housekeeping saw last; its thread alone uses them, but for busy_.
  struct BusyMark {
    std::uint64_t busy_ns = 0;
    std::uint64_t now_ns = 0;
  };
  std::vector<BusyMark> busy_marks_;
  std::unique_ptr<std::atomic<double>[]> busy_;  ///< share of the last second or so, by worker
  struct LinkNews {
    Carrier carrier = Carrier::kUp;
    std::string_view by;  ///< who changed it last
  };
  std::vector<LinkNews> links_;
  std::optional<std::uint64_t> flaps_read_;  ///< the generation whose flaps are followed
  std::vector<bool> stalls_;
  std::uint64_t next_reclaim_ns_ = 0;
  std::uint64_t next_refine_ns_ = 0;
  std::uint64_t next_watch_ns_ = 0;
  std::uint64_t next_busy_ns_ = 0;
};

}  // namespace faultline
