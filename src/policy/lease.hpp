// A lease as workers see it: until when what hangs on it may go on. The management plane renews it;
// whoever first finds it run out ends it for good, so that a renewal that comes too late fails.
#pragma once

#include <atomic>
#include <cstdint>

namespace faultline {

class LeaseTerm {
 public:
  explicit LeaseTerm(std::uint64_t end_ns) : end_ns_(end_ns) {}

  /// When it ends, on the data path's clock; 0: it has.
  std::uint64_t end_ns() const noexcept { return end_ns_.load(std::memory_order_acquire); }

  /// Whether it still holds at `now_ns`. If not, it never will again.
  bool holds_at(std::uint64_t now_ns) noexcept {
    std::uint64_t end_ns = this->end_ns();
    while (end_ns != 0 && end_ns <= now_ns)
      if (end_ns_.compare_exchange_weak(end_ns, 0, std::memory_order_acq_rel))
        return false;
    return end_ns != 0;
  }

  /// Moves its end. False: it has run out.
  bool renew(std::uint64_t end_ns) noexcept {
    std::uint64_t before_ns = this->end_ns();
    while (before_ns != 0)
      if (end_ns_.compare_exchange_weak(before_ns, end_ns, std::memory_order_acq_rel))
        return true;
    return false;
  }

  void end() noexcept { end_ns_.store(0, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t> end_ns_;
};

}  // namespace faultline
