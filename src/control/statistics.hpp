// The statistics object of `simulate --json`, `stats --json` and GET /v1/stats: workers' snapshots
// summed up and named. Its keys are fixed; fields may be added.
#pragma once

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

#include "control/event_log.hpp"
#include "dataplane/device.hpp"
#include "dataplane/histogram.hpp"
#include "dataplane/snapshot.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// Sums what several workers counted.
class StatisticsSum {
 public:
  StatisticsSum(const Policy& policy, std::vector<std::string> port_names);

  void add(const WorkerSnapshot& snapshot);
  void add_lateness(const Histogram& lateness) { lateness_->add_all(lateness); }
  /// `rule` is the index of the rule in the policy.
  void add_delays(std::size_t rule, const Histogram& delays) { delays_[rule].add_all(delays); }
  /// Likewise, of a rule of which it is asked.
  void add_variations(std::size_t rule, const Histogram& counts) {
    variations_[*policy_.rules[rule].variation].add_all(counts);
  }
  /// Of a port on the real world, and whether a fault can take its carrier down.
  void set_device(std::size_t port, const DeviceCounters& counters, bool can_take_carrier) {
    devices_[port] = counters;
    can_take_carrier_[port] = can_take_carrier;
  }

  const WorkerSnapshot& total() const { return total_; }
  bool balanced() const { return total_.counters.ledger.balances(total_.hold.packets); }
  /// What the tool itself lost: overflow, no_mbuf, tx_full, tx_error and what ports missed.
  std::uint64_t own_drops() const;
  /// Counts and states of flows, scopes, datagrams and connections that were forgotten to make
  /// room: above 0, packets may have met other dice than in a run with more room.
  std::uint64_t memories_lost() const;

  Json to_json(std::uint64_t uptime_ns) const;
  /// By rule that delays, what it added to the packets that went on: [least, most, packets] for
  /// each bucket of its histogram, ns, ascending.
  Json delays_json() const;

 private:
  Json ports_json() const;
  Json rules_json() const;
  Json variation_json(const RuleProgram& rule) const;
  /// What the rule's flap takes down; null: it has none.
  Json flap_json(const RuleProgram& rule) const;
  Json ledger_json() const;
  Json model_json() const;

  const Policy& policy_;
  std::vector<std::string> port_names_;
  WorkerSnapshot total_;
  std::vector<DeviceCounters> devices_;
  std::vector<bool> can_take_carrier_;  ///< by port; never in virtual time
  std::unique_ptr<Histogram> lateness_;
  std::vector<Histogram> delays_;
  std::vector<Histogram> variations_;  ///< by RuleProgram::variation
};

}  // namespace faultline
