// Publishing policies to workers: one atomic pointer, read-copy-update by DPDK's quiescent-state
// variable, and no call that waits for readers. A worker never sees a policy freed under it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "dataplane/live_worker.hpp"
#include "policy/timeline.hpp"

struct rte_rcu_qsbr;
struct rte_keepalive;

namespace faultline {

struct RunSettings {
  std::uint32_t id = 0;  ///< of the worker, 0 …
  const std::atomic<bool>* stop = nullptr;
  HeldAction on_exit = HeldAction::kSend;
  bool sleeps = false;  ///< between polls, once there has been nothing to do for a while
  rte_keepalive* keepalive = nullptr;  ///< marked at each poll
};

class Publisher {
 public:
  explicit Publisher(std::uint32_t workers_max);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// What workers read.
  const std::atomic<const Policy*>& slot() const noexcept { return published_; }
  /// The policy published last, of a timeline its first. Not before the first publish().
  const Policy& current() const noexcept { return *current_.front(); }
  /// The one of them whose time it is.
  const Policy& in_force(std::uint64_t now_ns) const noexcept;
  const PolicyChain& chain() const noexcept { return current_; }

  /// Makes `chain` the newest. The one before is freed by a later reclaim(), once every worker in
  /// `workers` judges by the newer one and has passed a quiescent state.
  void publish(PolicyChain chain);
  /// Whether every worker judges by the newest policy, or one behind it on its timeline.
  bool adopted_by_all(const std::vector<LiveWorker*>& workers) const noexcept;
  /// How many replaced policies are still kept for packets in flight.
  std::size_t retired() const noexcept { return retired_.size(); }
  /// Frees what no worker can hold any more. Never waits.
  void reclaim(const std::vector<LiveWorker*>& workers);

  /// The worker's thread: polls until `stop`, then winds down what is held within five seconds.
  void run(LiveWorker& worker, const RunSettings& settings);

 private:
  struct Retired {
    PolicyChain chain;
    std::uint64_t replaced_by = 0;  ///< generation
    std::uint64_t token = 0;
    bool has_token = false;
  };

  rte_rcu_qsbr* readers_;
  PolicyChain current_;
  std::atomic<const Policy*> published_{nullptr};
  std::deque<Retired> retired_;
};

}  // namespace faultline
