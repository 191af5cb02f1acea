// What the benchmarks share: a worker with one policy, between ports and in a time of their choice.
#pragma once

#include <rte_mempool.h>

#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "dataplane/mbufs.hpp"
#include "dataplane/worker.hpp"
#include "policy/compile.hpp"
#include "tests/unit/support.hpp"

namespace faultline {

/// Virtual time, moved on by hand.
class BenchTime {
 public:
  static constexpr bool kInTurn = false;
  void advance(std::uint64_t by_ns) noexcept { now_ns_ += by_ns; }
  std::uint64_t now_ns() const noexcept { return now_ns_; }
  std::uint64_t departure_ns(std::uint64_t, std::uint64_t release_ns) const noexcept {
    return release_ns;
  }

 private:
  std::uint64_t now_ns_ = 1'000'000'000;
};

/// What the benchmarks' ports have in common: they swallow what is sent, and can be silent.
class BenchSink {
 public:
  [[gnu::noinline]] Transmitted transmit(const OutBurst& burst, std::uint32_t first) noexcept {
    free_mbufs(&burst.mbufs[first], burst.count - first);
    return {burst.count - first, false};
  }
  std::uint32_t frame_bytes_max(const rte_mbuf*) const noexcept { return UINT32_MAX; }
  bool carrier() const noexcept { return true; }
  bool carrier_is_taken() const noexcept { return false; }

  void turn(bool on) noexcept { on_ = on; }
  std::uint64_t received() const noexcept { return received_; }

 protected:
  std::uint64_t received_ = 0;
  bool on_ = true;
};

/// The thread's own time in ns: what others take from it does not count.
inline double used_ns() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
}

template <typename Port, typename Time>
class Bed {
 public:
  /// Ends the process when the scenario, whose ports are `left` and `right`, is not a good one.
  Bed(const std::string& yaml, const WorkerSettings& settings, std::vector<Port*> ports, Time& time,
      rte_mempool* pool)
      : slots_(ports.size()) {
    Result<Scenario> scenario = read_scenario(test::tree_of(yaml), ScenarioUse::kSimulate);
    if (!scenario.has_value())
      fail(yaml, scenario.error());
    Result<Policy> policy = compile_policy(*scenario, {.seed = 1}, slots_);
    if (!policy.has_value())
      fail(yaml, policy.error());
    policy_ = std::make_unique<Policy>(std::move(*policy));
    policy_->generation = 1;
    published_ = policy_.get();
    worker_ =
        std::make_unique<Worker<Port, Time>>(settings, std::move(ports), time, pool, published_);
  }

  Worker<Port, Time>& worker() noexcept { return *worker_; }

  /// Lets everything go.
  void end() {
    while (!worker_->wind_down(HeldAction::kDrop, DropReason::kShutdown)) {
    }
  }

 private:
  [[noreturn]] static void fail(const std::string& yaml, const Problems& problems) {
    fmt::print(stderr, "{}\n", yaml);
    for (const Problem& problem : problems)
      fmt::print(stderr, "{}; {}\n", problem.message, problem.allowed);
    std::exit(1);
  }

  PolicySlots slots_;
  std::unique_ptr<Policy> policy_;
  std::atomic<const Policy*> published_{nullptr};
  std::unique_ptr<Worker<Port, Time>> worker_;
};

}  // namespace faultline
