// Read-copy-update of policies.
#include "control/publish.hpp"

#include <rte_keepalive.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <time.h>

#include <algorithm>
#include <iterator>

#include "base/check.hpp"
#include "base/tsc_clock.hpp"
#include "dataplane/driver_gate.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kWindDownNs = 5 * kNsPerSecond;
constexpr std::uint32_t kIdlePollsAwake = 1'000;

void nap() {
  const timespec pause{0, 50'000};
  nanosleep(&pause, nullptr);
}

}  // namespace

Publisher::Publisher(std::uint32_t workers_max)
    : readers_(static_cast<rte_rcu_qsbr*>(
          rte_zmalloc("policies", rte_rcu_qsbr_get_memsize(workers_max), RTE_CACHE_LINE_SIZE))) {
  FAULTLINE_CHECK(readers_ != nullptr && rte_rcu_qsbr_init(readers_, workers_max) == 0);
}

Publisher::~Publisher() {
  rte_free(readers_);
}

void Publisher::publish(PolicyChain chain) {
  published_.store(chain.front().get(), std::memory_order_release);
  if (!current_.empty())
    retired_.push_back({std::move(current_), chain.front()->generation, 0, false});
  current_ = std::move(chain);
}

const Policy& Publisher::in_force(std::uint64_t now_ns) const noexcept {
  const auto later = std::ranges::upper_bound(
      current_, now_ns, {}, [](const auto& policy) { return policy->active_from_ns; });
  return later == current_.begin() ? *current_.front() : **std::prev(later);
}

bool Publisher::adopted_by_all(const std::vector<LiveWorker*>& workers) const noexcept {
  for (const LiveWorker* worker : workers)
    if (worker->adopted_generation() < current().generation)
      return false;
  return true;
}

void Publisher::reclaim(const std::vector<LiveWorker*>& workers) {
  // A worker keeps pointers across its quiescent states (the policy it judges by, and the next
  // one), so a policy may go only after a newer one was adopted, and then a grace period has
  // passed.
  for (Retired& retired : retired_) {
    if (retired.has_token)
      continue;
    bool outlived = true;
    for (const LiveWorker* worker : workers)
      outlived &= worker->adopted_generation() >= retired.replaced_by;
    if (!outlived)
      break;
    retired.token = rte_rcu_qsbr_start(readers_);
    retired.has_token = true;
  }
  // Packets in a hold may have to be judged again by the policy they came in under. A worker tells
  // so before its quiescent state, so what it says is asked after that.
  while (!retired_.empty() && retired_.front().has_token &&
         rte_rcu_qsbr_check(readers_, retired_.front().token, false) == 1) {
    const std::uint64_t generation = retired_.front().chain.back()->generation;
    for (const LiveWorker* worker : workers)
      if (worker->policies_needed() <= generation)
        return;
    retired_.pop_front();
  }
}

void Publisher::run(LiveWorker& worker, const RunSettings& settings) {
  const std::uint32_t id = settings.id;
  const HeldAction on_exit = settings.on_exit;
  rte_rcu_qsbr_thread_register(readers_, id);
  rte_rcu_qsbr_thread_online(readers_, id);
  DriverGate& gate = DriverGate::instance();
  gate.enter();
  std::uint32_t idle_polls = 0;
  while (!settings.stop->load(std::memory_order_relaxed)) {
    worker.poll();
    gate.pass();
    rte_rcu_qsbr_quiescent(readers_, id);
    rte_keepalive_mark_alive(settings.keepalive);
    if (!settings.sleeps)
      continue;
    idle_polls = worker.had_work() || worker.held_packets() > 0 ? 0 : idle_polls + 1;
    if (idle_polls > kIdlePollsAwake)
      nap();
  }
  const std::uint64_t give_up_ns = monotonic_ns() + kWindDownNs;
  bool done = worker.wind_down(on_exit, DropReason::kShutdown);
  while (!done && monotonic_ns() < give_up_ns) {
    gate.pass();
    done = worker.wind_down(on_exit, DropReason::kShutdown);
  }
  if (!done)
    worker.wind_down(HeldAction::kDrop, DropReason::kShutdown);
  gate.leave();
  rte_rcu_qsbr_thread_offline(readers_, id);
  rte_rcu_qsbr_thread_unregister(readers_, id);
}

}  // namespace faultline
