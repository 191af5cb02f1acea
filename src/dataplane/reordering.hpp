// How far packets were overtaken, measured where they leave: RFC 4737, sections 4.1 and 4.2.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace faultline {

/// A packet is reordered when one that came later left before it (4.1). Its extent is how many
/// places before it the first of those left (4.2.2).
class ReorderingMeter {
 public:
  static constexpr std::uint32_t kLeadersMax = 4'096;

  /// The next packet leaves: the number in which it came, modulo 2^32. Its extent; 0: it is not
  /// reordered. Exact unless the first that came later was followed by kLeadersMax more that were
  /// the latest so far: then at least.
  std::uint32_t note(std::uint32_t number) noexcept {
    const std::uint32_t place = places_++;
    if (leaders_ == 0 || later(number, latest_)) {
      lead(number, place);
      return 0;
    }
    return place - at(first_later(number)).place;
  }

 private:
  /// A packet that came later than all that left before it. Both rise from one to the next.
  struct Leader {
    std::uint32_t number = 0;
    std::uint32_t place = 0;  ///< among those that left
  };
  /// Leaders are found by spans of numbers: which is the first whose number is not before the span.
  static constexpr std::uint32_t kSpanBits = 5;
  static constexpr std::uint32_t kSpans = 4'096;

  static bool later(std::uint32_t left, std::uint32_t right) noexcept {
    return static_cast<std::int32_t>(left - right) > 0;
  }
  /// How many spans `number` is before the latest.
  std::uint32_t spans_before(std::uint32_t number) const noexcept {
    return ((latest_ >> kSpanBits) - (number >> kSpanBits)) & (UINT32_MAX >> kSpanBits);
  }
  std::uint32_t& span_of(std::uint32_t number) noexcept {
    return spans_[(number >> kSpanBits) % kSpans];
  }
  const Leader& at(std::uint64_t leader) const noexcept {
    return leaders_at_[leader % kLeadersMax];
  }

  void lead(std::uint32_t number, std::uint32_t place) noexcept {
    const std::uint32_t before = latest_;
    latest_ = number;
    if (leaders_ > 0)
      for (std::uint32_t back = std::min(spans_before(before), kSpans); back-- > 0;)
        span_of(number - (back << kSpanBits)) = static_cast<std::uint32_t>(leaders_);
    leaders_at_[leaders_++ % kLeadersMax] = {number, place};
  }

  /// The first leader that came later. The last one did.
  std::uint64_t first_later(std::uint32_t number) noexcept {
    std::uint64_t first = leaders_ - std::min<std::uint64_t>(leaders_, kLeadersMax);
    if (spans_before(number) < kSpans) [[likely]] {
      const std::uint32_t ago = static_cast<std::uint32_t>(leaders_) - span_of(number);
      first = std::max(first, leaders_ - ago);
      while (!later(at(first).number, number)) ++first;
      return first;
    }
    std::uint64_t end = leaders_ - 1;
    while (first < end) {
      const std::uint64_t middle = (first + end) / 2;
      if (later(at(middle).number, number))
        end = middle;
      else
        first = middle + 1;
    }
    return first;
  }

  std::array<Leader, kLeadersMax> leaders_at_{};
  std::array<std::uint32_t, kSpans> spans_{};  ///< modulo 2^32
  std::uint64_t leaders_ = 0;
  std::uint32_t latest_ = 0;  ///< number of the last leader
  std::uint32_t places_ = 0;
};

}  // namespace faultline
