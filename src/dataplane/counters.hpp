// What a worker counts. Plain numbers written by one thread; readers get copies made by the worker
// between two bursts (see snapshot.hpp), so that the law of the ledger holds in every copy.
#pragma once

#include <array>
#include <cstdint>

#include "impair/burst.hpp"

namespace faultline {

/// received + copies + injected = sent + held + Σ dropped, whenever the worker is between bursts.
/// `held` is the hold's own count.
struct Ledger {
  std::uint64_t received = 0;
  std::uint64_t copies = 0;
  std::uint64_t injected = 0;
  std::uint64_t sent = 0;
  std::array<std::uint64_t, kDropReasons> dropped{};

  std::uint64_t dropped_total() const noexcept {
    std::uint64_t total = 0;
    for (const std::uint64_t count : dropped) total += count;
    return total;
  }
  void add(const Ledger& part) noexcept {
    received += part.received;
    copies += part.copies;
    injected += part.injected;
    sent += part.sent;
    for (std::size_t reason = 0; reason < kDropReasons; ++reason)
      dropped[reason] += part.dropped[reason];
  }
  bool balances(std::uint64_t held) const noexcept {
    return received + copies + injected == sent + held + dropped_total();
  }
};

struct PortCounters {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t tx_full = 0;
  std::uint64_t tx_errors = 0;
  std::uint64_t tx_reordered = 0;   ///< left behind one that came later, where that is measured
  std::uint64_t tx_extent_sum = 0;  ///< how many places behind the first such one, of all of them
  std::uint64_t tx_extent_max = 0;
};

struct RuleCounters {
  std::uint64_t matched = 0;
  std::uint64_t dropped = 0;
  std::uint64_t delayed = 0;
  std::uint64_t clamped = 0;
  std::uint64_t undecided = 0;
  std::uint64_t cut = 0;        ///< delays that came out negative and became zero
  std::uint64_t edited = 0;     ///< changes of packets that went on
  std::uint64_t corrupted = 0;  ///< those of them that were damage
  std::uint64_t duplicated = 0;
  std::uint64_t injected = 0;
  std::uint64_t reordered = 0;     ///< sent early or late on purpose
  std::uint64_t unrewritable = 0;  ///< could not be changed validly, and passed
  std::uint64_t judged = 0;        ///< where a `loss` is: those that its dice were thrown for
  std::uint64_t lost = 0;          ///< by the rule's own dice
  std::uint64_t loss_runs = 0;     ///< runs of consecutive losses, in the order of a path's matches
  std::uint64_t delay_sum_ns = 0;
  std::uint64_t delay_max_ns = 0;
};

struct WorkerCounters {
  Ledger ledger;
  std::uint64_t unparsed = 0;
  std::uint64_t flushed = 0;
  std::uint64_t early = 0;  ///< released before their time without being flushed: never
  std::uint64_t lateness_max_ns = 0;
};

}  // namespace faultline
