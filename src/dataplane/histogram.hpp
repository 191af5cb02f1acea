// A log-linear histogram of durations: 32 buckets to every power of two, so that a percentile is
// within 3 % of the truth. One writer; any thread may read while it counts.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace faultline {

class Histogram {
 public:
  static constexpr std::uint32_t kSubBits = 5;
  static constexpr std::uint32_t kBuckets = (64 - kSubBits + 1) << kSubBits;

  void add(std::uint64_t value, std::uint64_t times = 1) noexcept {
    std::uint64_t& bucket = buckets_[bucket_of(value)];
    const std::atomic_ref<std::uint64_t> shared(bucket);
    shared.store(bucket + times, std::memory_order_relaxed);
  }

  void clear() noexcept {
    for (std::uint64_t& bucket : buckets_)
      std::atomic_ref<std::uint64_t>(bucket).store(0, std::memory_order_relaxed);
  }

  /// Adds what `other` counted, read while its owner may go on counting.
  void add_all(const Histogram& other) noexcept {
    for (std::uint32_t index = 0; index < kBuckets; ++index) {
      auto& bucket = const_cast<std::uint64_t&>(other.buckets_[index]);
      buckets_[index] += std::atomic_ref<std::uint64_t>(bucket).load(std::memory_order_relaxed);
    }
  }

  /// The middle of the bucket in which the `share` of all values (0 … 1) lies; 0 when empty.
  std::uint64_t percentile(double share) const noexcept {
    std::uint64_t total = 0;
    for (const std::uint64_t count : buckets_) total += count;
    if (total == 0)
      return 0;
    auto rank = static_cast<std::uint64_t>(share * static_cast<double>(total));
    if (rank >= total)
      rank = total - 1;
    std::uint64_t seen = 0;
    for (std::uint32_t index = 0; index < kBuckets; ++index) {
      seen += buckets_[index];
      if (seen > rank)
        return middle_of(index);
    }
    return 0;
  }

  /// Calls `visit(least, most, count)` for each bucket in which something is, values ascending.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (std::uint32_t index = 0; index < kBuckets; ++index)
      if (buckets_[index] > 0)
        visit(least_of(index), least_of(index) + (width_of(index) - 1), buckets_[index]);
  }

 private:
  static std::uint64_t width_of(std::uint32_t index) noexcept {
    const std::uint32_t row = index >> kSubBits;
    return row == 0 ? 1 : std::uint64_t{1} << (row - 1);
  }
  static std::uint64_t least_of(std::uint32_t index) noexcept {
    const std::uint64_t sub = index & ((1U << kSubBits) - 1);
    const std::uint32_t row = index >> kSubBits;
    return row == 0 ? sub : ((std::uint64_t{1} << kSubBits) + sub) << (row - 1);
  }
  static std::uint64_t middle_of(std::uint32_t index) noexcept {
    return least_of(index) + width_of(index) / 2;
  }

  static std::uint32_t bucket_of(std::uint64_t value) noexcept {
    if (value < (1U << kSubBits))
      return static_cast<std::uint32_t>(value);
    const auto top = static_cast<std::uint32_t>(63 - std::countl_zero(value));
    const auto sub =
        static_cast<std::uint32_t>((value >> (top - kSubBits)) & ((1U << kSubBits) - 1));
    return ((top - kSubBits + 1) << kSubBits) + sub;
  }

  std::array<std::uint64_t, kBuckets> buckets_{};
};

}  // namespace faultline
