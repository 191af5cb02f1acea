// Triggers as workers see them: what a timeline waits for. A worker that judges the packet that
// completes one fires it there and then; the others see it at their next poll. The management plane
// fires those that wait for links and calls.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <type_traits>
#include <vector>

#include "packet/flow_key.hpp"
#include "policy/scenario.hpp"

namespace faultline {

/// The packet that fired a trigger; all zero where none did.
struct FiringPacket {
  bool is_known = false;
  PathId path_id = 0;
  FlowKey flow;
  std::uint64_t packet_in_flow = 0;  ///< from 1
  std::uint32_t length_bytes = 0;
};

struct Firing {
  std::uint64_t at_ns = 0;  ///< on the data path's clock
  FiringPacket packet;
};
static_assert(std::is_trivially_copyable_v<Firing>);

/// Counts packets and fires, once or again and again. Many threads may do so; one at a time fires.
class Trigger {
 public:
  static constexpr std::uint64_t kNotYet = UINT64_MAX;
  /// Of so many firings the packets are known: the last ones.
  static constexpr std::uint64_t kKept = 16;

  explicit Trigger(TriggerRepeats repeats) : repeats_(repeats) {}

  /// When it fired last; kNotYet.
  std::uint64_t fired_ns() const noexcept { return fired_ns_.load(std::memory_order_acquire); }
  /// When it fired first; kNotYet.
  std::uint64_t first_ns() const noexcept { return first_ns_.load(std::memory_order_acquire); }
  bool has_fired() const noexcept { return fired_ns() != kNotYet; }
  std::uint64_t firings() const noexcept { return firings_.load(std::memory_order_acquire); }
  /// From when on it waits again; kNotYet: it does not. Before its first firing 0.
  std::uint64_t waits_from_ns() const noexcept {
    return waits_from_ns_.load(std::memory_order_acquire);
  }
  bool waits_at(std::uint64_t now_ns) const noexcept {
    const std::uint64_t from_ns = waits_from_ns();
    return from_ns != kNotYet && now_ns >= from_ns;
  }

  /// The firing `number`, from 0; nothing where that is not kept any more, or has not come.
  std::optional<Firing> firing(std::uint64_t number) const noexcept {
    if (number >= firings())
      return std::nullopt;
    std::array<std::uint64_t, kWords> words;
    const Slot& slot = slots_[number % kKept];
    for (std::size_t at = 0; at < kWords; ++at)
      words[at] = slot[at].load(std::memory_order_acquire);
    // Whoever wrote a word that was read had said before that it would.
    if (begun_.load(std::memory_order_relaxed) > number + kKept)
      return std::nullopt;
    Firing firing;
    std::memcpy(static_cast<void*>(&firing), words.data(), sizeof firing);
    return firing;
  }
  /// The last one.
  std::optional<Firing> last() const noexcept {
    const std::uint64_t count = firings();
    return count == 0 ? std::nullopt : firing(count - 1);
  }

  /// Counts a packet, anew after each firing. Whether it completes `wanted`.
  bool count(std::uint64_t wanted) noexcept {
    return counted_[firings() % 2].fetch_add(1, std::memory_order_relaxed) + 1 >= wanted;
  }
  /// Fires it; false when it does not wait, or fires at this moment for someone else.
  bool fire(std::uint64_t now_ns, const FiringPacket& packet) noexcept {
    if (!waits_at(now_ns) || claimed_.exchange(true, std::memory_order_acq_rel))
      return false;
    const bool waits = waits_at(now_ns);
    if (waits)
      note({now_ns, packet});
    claimed_.store(false, std::memory_order_release);
    return waits;
  }

 private:
  static constexpr std::size_t kWords = (sizeof(Firing) + 7) / 8;
  using Slot = std::array<std::atomic<std::uint64_t>, kWords>;

  void note(const Firing& firing) noexcept {
    const std::uint64_t number = firings_.load(std::memory_order_relaxed);
    std::array<std::uint64_t, kWords> words{};
    std::memcpy(words.data(), &firing, sizeof firing);
    begun_.store(number + 1, std::memory_order_relaxed);
    for (std::size_t at = 0; at < kWords; ++at)
      slots_[number % kKept][at].store(words[at], std::memory_order_release);
    // Who still counts for this firing must not count for the next one.
    counted_[(number + 1) % 2].store(0, std::memory_order_relaxed);
    const bool again = number + 1 < repeats_.firings_max;
    waits_from_ns_.store(again ? firing.at_ns + repeats_.rests_ns : kNotYet,
                         std::memory_order_release);
    if (number == 0)
      first_ns_.store(firing.at_ns, std::memory_order_release);
    fired_ns_.store(firing.at_ns, std::memory_order_release);
    firings_.store(number + 1, std::memory_order_release);
  }

  TriggerRepeats repeats_;
  std::array<std::atomic<std::uint64_t>, 2> counted_{};  ///< by firings so far, odd or even
  std::atomic<bool> claimed_{false};
  std::atomic<std::uint64_t> firings_{0};
  std::atomic<std::uint64_t> begun_{0};  ///< firings whose slot is written to, or was
  std::atomic<std::uint64_t> first_ns_{kNotYet};
  std::atomic<std::uint64_t> fired_ns_{kNotYet};
  std::atomic<std::uint64_t> waits_from_ns_{0};
  std::array<Slot, kKept> slots_{};
};

/// All triggers of a timeline, in the order in which they are written. It outlives changes of
/// policy.
class TriggerBoard {
 public:
  explicit TriggerBoard(const std::vector<TriggerSpec>& specs) {
    for (const TriggerSpec& spec : specs) triggers_.emplace_back(spec.repeats);
  }

  std::size_t size() const noexcept { return triggers_.size(); }
  Trigger& trigger(std::size_t index) noexcept { return triggers_[index]; }
  const Trigger& trigger(std::size_t index) const noexcept { return triggers_[index]; }
  /// How often any has fired so far.
  std::uint64_t firings() const noexcept { return firings_.load(std::memory_order_acquire); }

  /// When one did last.
  std::uint64_t newest_ns() const noexcept { return newest_ns_.load(std::memory_order_relaxed); }

  bool fire(std::size_t index, std::uint64_t now_ns, const FiringPacket& packet = {}) noexcept {
    if (!triggers_[index].fire(now_ns, packet))
      return false;
    newest_ns_.store(now_ns, std::memory_order_relaxed);
    firings_.fetch_add(1, std::memory_order_release);
    return true;
  }

 private:
  std::deque<Trigger> triggers_;
  std::atomic<std::uint64_t> newest_ns_{0};
  std::atomic<std::uint64_t> firings_{0};
};

}  // namespace faultline
