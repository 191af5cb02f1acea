// Triggers as workers see them: what a timeline waits for. A worker that judges the packet that
// completes one fires it there and then; the others see it at their next poll. The management plane
// fires those that wait for links and calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>

#include "packet/flow_key.hpp"

namespace faultline {

/// The packet that fired a trigger; all zero where none did.
struct FiringPacket {
  bool is_known = false;
  PathId path_id = 0;
  FlowKey flow;
  std::uint64_t packet_in_flow = 0;  ///< from 1
  std::uint32_t length_bytes = 0;
};

class Trigger {
 public:
  static constexpr std::uint64_t kNotYet = UINT64_MAX;

  /// When it fired, on the data path's clock; kNotYet.
  std::uint64_t fired_ns() const noexcept { return fired_ns_.load(std::memory_order_acquire); }
  bool has_fired() const noexcept { return fired_ns() != kNotYet; }
  /// Once it has fired.
  const FiringPacket& packet() const noexcept { return packet_; }

  /// Counts a packet. Whether it is the one that completes `wanted`.
  bool count(std::uint64_t wanted) noexcept {
    return counted_.fetch_add(1, std::memory_order_relaxed) + 1 == wanted;
  }
  /// Fires it; false when it has fired already.
  bool fire(std::uint64_t now_ns, const FiringPacket& packet) noexcept {
    if (claimed_.exchange(true, std::memory_order_acq_rel))
      return false;
    packet_ = packet;
    fired_ns_.store(now_ns, std::memory_order_release);
    return true;
  }

 private:
  std::atomic<std::uint64_t> counted_{0};
  std::atomic<bool> claimed_{false};
  std::atomic<std::uint64_t> fired_ns_{kNotYet};
  FiringPacket packet_;
};

/// All triggers of a timeline, in the order in which they are written. It outlives changes of
/// policy.
class TriggerBoard {
 public:
  explicit TriggerBoard(std::size_t count) : triggers_(count) {}

  std::size_t size() const noexcept { return triggers_.size(); }
  Trigger& trigger(std::size_t index) noexcept { return triggers_[index]; }
  const Trigger& trigger(std::size_t index) const noexcept { return triggers_[index]; }
  /// How many have fired so far.
  std::uint32_t fired() const noexcept { return fired_.load(std::memory_order_acquire); }

  /// When the last one did.
  std::uint64_t newest_ns() const noexcept { return newest_ns_.load(std::memory_order_relaxed); }

  bool fire(std::size_t index, std::uint64_t now_ns, const FiringPacket& packet = {}) noexcept {
    if (!triggers_[index].fire(now_ns, packet))
      return false;
    newest_ns_.store(now_ns, std::memory_order_relaxed);
    fired_.fetch_add(1, std::memory_order_release);
    return true;
  }

 private:
  std::deque<Trigger> triggers_;
  std::atomic<std::uint64_t> newest_ns_{0};
  std::atomic<std::uint32_t> fired_{0};
};

}  // namespace faultline
