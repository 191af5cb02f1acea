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

 private:
  static std::uint32_t bucket_of(std::uint64_t value) noexcept {
    if (value < (1U << kSubBits))
      return static_cast<std::uint32_t>(value);
    const auto top = static_cast<std::uint32_t>(63 - std::countl_zero(value));
    const auto sub =
        static_cast<std::uint32_t>((value >> (top - kSubBits)) & ((1U << kSubBits) - 1));
    return ((top - kSubBits + 1) << kSubBits) + sub;
  }

  static std::uint64_t middle_of(std::uint32_t index) noexcept {
    const std::uint32_t row = index >> kSubBits;
    const std::uint64_t sub = index & ((1U << kSubBits) - 1);
    if (row == 0)
      return sub;
    const std::uint32_t shift = row - 1;
    return (((std::uint64_t{1} << kSubBits) + sub) << shift) + ((std::uint64_t{1} << shift) >> 1);
  }

  std::array<std::uint64_t, kBuckets> buckets_{};
};

}  // namespace faultline
