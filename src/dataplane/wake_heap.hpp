// When which served queue is to be looked at again: one entry for each queue with packets in it,
// and a second one where packets leave because others came, in a heap by time. Equal times go by
// who the queue is, so that nobody's way of asking shows.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/check.hpp"
#include "packet/flow_key.hpp"

namespace faultline {

/// A queue by name: its state may move or be forgotten.
struct Wake {
  std::uint64_t time_ns = 0;
  std::uint64_t scope = 0;    ///< the scope's identity
  std::uint64_t zero_ns = 0;  ///< time zero, for the server
  std::uint32_t slot = 0;     ///< of the impairment's state, path_id included
  std::uint32_t epoch = 0;    ///< how often the slot had been handed out
  bool chases = false;        ///< for what leaves before its queue's time, and only for that
  bool scoped = false;        ///< smaller than a path: in the table of scopes
  PathId path_id = 0;
};

class WakeHeap {
 public:
  /// Two a queue: one for its time, one that chases.
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
  bool full() const noexcept { return count_ == capacity_; }
  const Wake& front() const noexcept { return wakes_[0]; }
  void clear() noexcept { count_ = 0; }

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

  /// Calls `look(wake)` for all of them.
  template <typename Look>
  void for_each(const Look& look) const noexcept {
    for (std::uint64_t place = 0; place < count_; ++place) look(wakes_[place]);
  }
  /// Keeps those for which `keep(wake)`, asked in the order of time.
  template <typename Keep>
  void keep_if(const Keep& keep) noexcept {
    std::sort(wakes_, wakes_ + count_, before);
    const Wake* end =
        std::remove_if(wakes_, wakes_ + count_, [&](const Wake& wake) { return !keep(wake); });
    count_ = static_cast<std::uint64_t>(end - wakes_);
  }

 private:
  static bool before(const Wake& left, const Wake& right) noexcept {
    if (left.time_ns != right.time_ns)
      return left.time_ns < right.time_ns;
    if (left.path_id != right.path_id)
      return left.path_id < right.path_id;
    return left.slot != right.slot ? left.slot < right.slot : left.scope < right.scope;
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
