// Which flows had the most packets: the management plane asks, and the worker goes through its
// table a piece at each poll, so that no poll takes long.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/flow_table.hpp"

namespace faultline {

class FlowSurvey {
 public:
  static constexpr std::uint32_t kRowsMax = 256;

  /// Asker: wants the `rows` flows with the most packets; done() tells when they may be read.
  void request(std::uint32_t rows) noexcept {
    rows_wanted_ = std::min(rows, kRowsMax);
    requested_.store(requested_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  bool done() const noexcept {
    return served_.load(std::memory_order_acquire) == requested_.load(std::memory_order_relaxed);
  }
  /// In no order.
  const Flow* begin() const noexcept { return rows_.data(); }
  const Flow* end() const noexcept { return rows_.data() + count_; }

  /// Worker.
  void serve(const FlowTable& flows) noexcept {
    const std::uint64_t requested = requested_.load(std::memory_order_acquire);
    if (requested == served_.load(std::memory_order_relaxed)) [[likely]]
      return;
    if (next_ == 0)
      count_ = 0;
    flows.visit(next_, kPlacesAPoll, [this](const Flow& flow) { offer(flow); });
    next_ += kPlacesAPoll;
    if (next_ < flows.places())
      return;
    next_ = 0;
    served_.store(requested, std::memory_order_release);
  }

 private:
  static constexpr std::uint64_t kPlacesAPoll = 64;

  static bool busier(const Flow& left, const Flow& right) noexcept {
    return left.packets > right.packets;
  }

  /// A heap whose front is the flow with the fewest packets.
  void offer(const Flow& flow) noexcept {
    if (count_ == rows_wanted_) {
      if (count_ == 0 || !busier(flow, rows_.front()))
        return;
      std::pop_heap(rows_.begin(), rows_.begin() + count_, busier);
      --count_;
    }
    rows_[count_++] = flow;
    std::push_heap(rows_.begin(), rows_.begin() + count_, busier);
  }

  std::atomic<std::uint64_t> requested_{0};
  std::atomic<std::uint64_t> served_{0};
  std::uint32_t rows_wanted_ = 0;
  std::uint64_t next_ = 0;
  std::uint32_t count_ = 0;
  std::array<Flow, kRowsMax> rows_{};
};

}  // namespace faultline
