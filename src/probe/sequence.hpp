// What became of a flow's numbers: which came, twice, late, out of order or not at all. Arithmetic
// only; nothing here reads a clock or a frame.
#pragma once

#include <cstdint>
#include <vector>

#include "base/int128.hpp"
#include "dataplane/histogram.hpp"

namespace faultline {

struct SequenceCounts {
  std::uint64_t received = 0;     ///< different numbers
  std::uint64_t duplicated = 0;   ///< numbers that had come before
  std::uint64_t lost = 0;         ///< numbers that did not come
  std::uint64_t loss_runs = 0;    ///< of numbers one behind the other
  std::uint64_t longest_run = 0;  ///< of them
  std::uint64_t late = 0;         ///< came when they had been given up: among the lost, or twice
  /// Came behind a greater number: type-P-reordered, RFC 4737, section 3.3.
  std::uint64_t reordered = 0;
  /// The largest reordering extent, RFC 4737, section 4.2.1: by how many places.
  std::uint64_t extent_max = 0;

  void add(const SequenceCounts& other);
};

/// One flow. A number is given up when one comes that is `window` greater.
class SequenceChecker {
 public:
  /// `window`: a power of two.
  explicit SequenceChecker(std::uint32_t window);

  void take(std::uint32_t number);
  /// No more will come of the `sent` numbers that were sent.
  void end(std::uint64_t sent);
  /// Complete after the end; before it what has been lost is known but for the window.
  const SequenceCounts& counts() const { return counts_; }

 private:
  /// A number that came behind none greater, and as which of the different ones.
  struct Leader {
    std::uint64_t number = 0;
    std::uint64_t arrival = 0;
  };

  bool has(std::uint64_t number) const;
  void note(std::uint64_t number);
  void advance_to(std::uint64_t next);
  void give_up(std::uint64_t number);
  void lose(std::uint64_t numbers);
  std::uint64_t first_kept() const { return next_ > window_ ? next_ - window_ : 0; }
  std::uint64_t extent_of(std::uint64_t number) const;

  std::uint32_t window_;
  std::vector<std::uint64_t> came_;  ///< a bit a number of the window
  std::vector<Leader> leaders_;      ///< a ring: at most one for each number of the window
  std::uint64_t leaders_count_ = 0;
  std::uint64_t next_ = 0;  ///< the greatest number that came, and 1
  std::uint64_t run_ = 0;   ///< numbers lost up to the one given up last
  SequenceCounts counts_;
};

/// Delays one way.
class DelayCounts {
 public:
  void add(std::uint64_t delay_ns);
  void add(const DelayCounts& other);

  std::uint64_t packets() const { return packets_; }
  std::uint64_t least_ns() const { return packets_ == 0 ? 0 : least_ns_; }
  std::uint64_t most_ns() const { return most_ns_; }
  std::uint64_t mean_ns() const {
    return packets_ == 0 ? 0 : static_cast<std::uint64_t>(sum_ns_ / packets_);
  }
  /// To 3 %.
  std::uint64_t quantile_ns(double share) const;
  /// The same of packet delay variation: less the least (RFC 5481, section 4.2).
  std::uint64_t variation_ns(double share) const { return quantile_ns(share) - least_ns(); }

 private:
  Histogram histogram_;
  std::uint64_t packets_ = 0;
  std::uint64_t least_ns_ = UINT64_MAX;
  std::uint64_t most_ns_ = 0;
  Uint128 sum_ns_ = 0;
};

}  // namespace faultline
