// The arithmetic of the probe's checker.
#include "probe/sequence.hpp"

#include <algorithm>

namespace faultline {

void SequenceCounts::add(const SequenceCounts& other) {
  received += other.received;
  duplicated += other.duplicated;
  lost += other.lost;
  loss_runs += other.loss_runs;
  longest_run = std::max(longest_run, other.longest_run);
  late += other.late;
  reordered += other.reordered;
  extent_max = std::max(extent_max, other.extent_max);
}

SequenceChecker::SequenceChecker(std::uint32_t window)
    : window_(window), came_((window + 63) / 64, 0), leaders_(window) {}

bool SequenceChecker::has(std::uint64_t number) const {
  const std::uint64_t place = number & (window_ - 1);
  return (came_[place / 64] >> (place % 64) & 1) != 0;
}

void SequenceChecker::note(std::uint64_t number) {
  const std::uint64_t place = number & (window_ - 1);
  came_[place / 64] |= std::uint64_t{1} << (place % 64);
}

void SequenceChecker::give_up(std::uint64_t number) {
  if (has(number))
    run_ = 0;
  else
    lose(1);
}

void SequenceChecker::lose(std::uint64_t numbers) {
  if (numbers == 0)
    return;
  counts_.loss_runs += run_ == 0 ? 1 : 0;
  counts_.lost += numbers;
  run_ += numbers;
  counts_.longest_run = std::max(counts_.longest_run, run_);
}

/// Each number that enters the window takes the place of the one that leaves it.
void SequenceChecker::advance_to(std::uint64_t next) {
  if (next > next_ + window_) {
    for (std::uint64_t number = first_kept(); number < next_; ++number) give_up(number);
    lose(next - window_ - next_);
    std::fill(came_.begin(), came_.end(), 0);
    next_ = next;
  }
  for (; next_ < next; ++next_) {
    if (next_ >= window_)
      give_up(next_ - window_);
    const std::uint64_t place = next_ & (window_ - 1);
    came_[place / 64] &= ~(std::uint64_t{1} << (place % 64));
  }
}

/// From the earliest arrival with a greater number: that is always one that led.
std::uint64_t SequenceChecker::extent_of(std::uint64_t number) const {
  std::uint64_t low = leaders_count_ > window_ ? leaders_count_ - window_ : 0;
  std::uint64_t high = leaders_count_;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (leaders_[middle & (window_ - 1)].number > number)
      high = middle;
    else
      low = middle + 1;
  }
  return counts_.received - leaders_[low & (window_ - 1)].arrival;
}

void SequenceChecker::take(std::uint32_t number) {
  const auto ahead = static_cast<std::int32_t>(number - static_cast<std::uint32_t>(next_));
  if (ahead < 0 && (static_cast<std::uint64_t>(-std::int64_t{ahead}) > next_ ||
                    -std::int64_t{ahead} > std::int64_t{window_})) {
    ++counts_.late;
    return;
  }
  const std::uint64_t full = next_ + static_cast<std::uint64_t>(std::int64_t{ahead});
  if (ahead >= 0) {
    advance_to(full + 1);
    leaders_[leaders_count_++ & (window_ - 1)] = {.number = full, .arrival = counts_.received};
  } else if (has(full)) {
    ++counts_.duplicated;
    return;
  } else {
    ++counts_.reordered;
    counts_.extent_max = std::max(counts_.extent_max, extent_of(full));
  }
  note(full);
  ++counts_.received;
}

void SequenceChecker::end(std::uint64_t sent) {
  advance_to(std::max(sent, next_));
  for (std::uint64_t number = first_kept(); number < next_; ++number) give_up(number);
}

void DelayCounts::add(std::uint64_t delay_ns) {
  histogram_.add(delay_ns);
  ++packets_;
  least_ns_ = std::min(least_ns_, delay_ns);
  most_ns_ = std::max(most_ns_, delay_ns);
  sum_ns_ += delay_ns;
}

void DelayCounts::add(const DelayCounts& other) {
  histogram_.add_all(other.histogram_);
  packets_ += other.packets_;
  least_ns_ = std::min(least_ns_, other.least_ns_);
  most_ns_ = std::max(most_ns_, other.most_ns_);
  sum_ns_ += other.sum_ns_;
}

std::uint64_t DelayCounts::quantile_ns(double share) const {
  return packets_ == 0 ? 0 : std::clamp(histogram_.percentile(share), least_ns_, most_ns_);
}

}  // namespace faultline
