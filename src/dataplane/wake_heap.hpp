// When which served queue is to be looked at again: one entry for each queue with packets in it, in
// a heap by time. Equal times go by who the queue is, so that nobody's way of asking shows. Queues
// of scopes that were forgotten leave theirs behind, which are swept out when the heap is full.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/check.hpp"

namespace faultline {

/// A queue by name: its state may move or be forgotten.
struct Wake {
  std::uint64_t time_ns = 0;
  std::uint64_t scope = 0;    ///< the scope's identity
  std::uint64_t zero_ns = 0;  ///< time zero, for the server
  std::uint32_t slot = 0;     ///< of the impairment's state, ingress included
  std::uint32_t epoch = 0;    ///< how often the slot had been handed out
  bool scoped = false;        ///< smaller than a path: in the table of scopes
  std::uint8_t ingress = 0;
};

class WakeHeap {
 public:
  /// For so many queues that have packets at one time, with as much room again for those left
  /// behind: a sweep then pays for as many pushes.
  explicit WakeHeap(std::uint64_t queues_max) : capacity_(2 * queues_max) {
    void* memory = mmap(nullptr, capacity_ * sizeof(Wake), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    FAULTLINE_CHECK(memory != MAP_FAILED);
    wakes_ = static_cast<Wake*>(memory);
  }
  ~WakeHeap() { munmap(wakes_, capacity_ * sizeof(Wake)); }
  WakeHeap(const WakeHeap&) = delete;
  WakeHeap& operator=(const WakeHeap&) = delete;

  std::uint64_t next_ns() const noexcept { return count_ == 0 ? UINT64_MAX : wakes_[0].time_ns; }
  bool empty() const noexcept { return count_ == 0; }
  const Wake& front() const noexcept { return wakes_[0]; }
  void clear() noexcept { count_ = 0; }

  bool full() const noexcept { return count_ == capacity_; }
  /// Only those stay for which `is_live` holds, and of each queue the earliest.
  template <typename IsLive>
  void sweep(const IsLive& is_live) noexcept {
    Wake* end = std::remove_if(wakes_, wakes_ + count_,
                               [&](const Wake& wake) noexcept { return !is_live(wake); });
    std::sort(wakes_, end, by_queue);
    end = std::unique(wakes_, end, [](const Wake& left, const Wake& right) noexcept {
      return left.slot == right.slot && left.scope == right.scope;
    });
    std::sort(wakes_, end, before);  // which makes a heap of them
    count_ = static_cast<std::uint64_t>(end - wakes_);
  }

  void push(const Wake& wake) noexcept {
    FAULTLINE_CHECK(count_ < capacity_);
    std::uint64_t place = count_++;
    wakes_[place] = wake;
    while (place > 0 && before(wakes_[place], wakes_[(place - 1) / 2])) {
      std::swap(wakes_[place], wakes_[(place - 1) / 2]);
      place = (place - 1) / 2;
    }
  }

  void pop() noexcept {
    wakes_[0] = wakes_[--count_];
    sink(0);
  }

 private:
  static bool before(const Wake& left, const Wake& right) noexcept {
    if (left.time_ns != right.time_ns)
      return left.time_ns < right.time_ns;
    if (left.ingress != right.ingress)
      return left.ingress < right.ingress;
    return left.slot != right.slot ? left.slot < right.slot : left.scope < right.scope;
  }

  static bool by_queue(const Wake& left, const Wake& right) noexcept {
    if (left.slot != right.slot)
      return left.slot < right.slot;
    return left.scope != right.scope ? left.scope < right.scope : before(left, right);
  }

  void sink(std::uint64_t place) noexcept {
    for (;;) {
      const std::uint64_t left = 2 * place + 1;
      if (left >= count_)
        return;
      const std::uint64_t right = left + 1;
      const std::uint64_t first =
          right < count_ && before(wakes_[right], wakes_[left]) ? right : left;
      if (!before(wakes_[first], wakes_[place]))
        return;
      std::swap(wakes_[first], wakes_[place]);
      place = first;
    }
  }

  std::uint64_t capacity_;
  std::uint64_t count_ = 0;
  Wake* wakes_ = nullptr;
};

}  // namespace faultline
