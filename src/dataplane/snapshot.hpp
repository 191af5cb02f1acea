// How the management plane looks at a worker: it asks, and the worker copies its counters between
// two bursts. So every copy balances, and nobody reads a number while it is written.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "dataplane/connection_table.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/flow_table.hpp"
#include "dataplane/fragment_table.hpp"
#include "dataplane/mac_table.hpp"
#include "dataplane/model_watch.hpp"
#include "dataplane/scope_table.hpp"
#include "impair/clock_pairs.hpp"
#include "match/payload_hits.hpp"
#include "policy/scenario.hpp"

namespace faultline {

struct HoldFigures {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t peak_bytes = 0;
};

struct WorkerSnapshot {
  explicit WorkerSnapshot(std::size_t port_count) : ports(port_count), rules(kRulesMax) {}

  std::uint64_t now_ns = 0;
  std::uint64_t generation = 0;
  WorkerCounters counters;
  std::vector<PortCounters> ports;
  std::vector<RuleCounters> rules;  ///< by slot; only those of the policy's rules are filled
  FlowCounters flows;
  ScopeCounters scopes;
  FragmentCounters fragments;
  ConnectionCounters connections;
  PayloadCounters payload;
  MacCounters stations;  ///< of switches
  ModelBreaches model;
  ClockPairs clocks;
  HoldFigures hold;
};

/// The exchange between one worker and the one thread that asks.
class SnapshotBox {
 public:
  explicit SnapshotBox(std::size_t port_count) : snapshot_(port_count) {}

  /// Asker: requests a copy; done() tells when get() may be read.
  void request() noexcept {
    requested_.store(requested_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  bool done() const noexcept {
    return served_.load(std::memory_order_acquire) == requested_.load(std::memory_order_relaxed);
  }
  const WorkerSnapshot& get() const noexcept { return snapshot_; }

  /// Worker: fills the snapshot if one was asked for.
  template <typename Fill>
  void serve(const Fill& fill) noexcept {
    const std::uint64_t requested = requested_.load(std::memory_order_acquire);
    if (requested == served_.load(std::memory_order_relaxed)) [[likely]]
      return;
    fill(snapshot_);
    served_.store(requested, std::memory_order_release);
  }

 private:
  std::atomic<std::uint64_t> requested_{0};
  std::atomic<std::uint64_t> served_{0};
  WorkerSnapshot snapshot_;
};

}  // namespace faultline
