// Memory of tables: taken once, all zero, given back at the end.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/check.hpp"

namespace faultline {

enum class TableMemory : std::uint8_t {
  kAtOnce,    ///< taken in the constructor
  kWhenUsed,  ///< page by page, as entries come
};

class TableBytes {
 public:
  TableBytes(std::uint64_t bytes, TableMemory memory) : bytes_(bytes) {
    place_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    FAULTLINE_CHECK(place_ != MAP_FAILED);
    if (memory == TableMemory::kAtOnce)
      take_at_once();
  }
  ~TableBytes() { munmap(place_, bytes_); }
  TableBytes(const TableBytes&) = delete;
  TableBytes& operator=(const TableBytes&) = delete;

  /// What lies `offset` bytes behind the beginning, which is that of a page.
  template <typename Entry>
  Entry* at(std::uint64_t offset) const noexcept {
    return reinterpret_cast<Entry*>(static_cast<std::byte*>(place_) + offset);
  }

 private:
  /// In large pages where the kernel has them to spare: entries are met in no order, and each
  /// small page would have to be looked up.
  void take_at_once() noexcept {
    madvise(place_, bytes_, MADV_HUGEPAGE);
    if (madvise(place_, bytes_, MADV_POPULATE_WRITE) != 0)
      std::memset(place_, 0, bytes_);
  }

  void* place_;
  std::uint64_t bytes_;
};

/// An array that is all zero bytes at first and takes memory as it is used.
template <typename Entry>
class TableOf {
  static_assert(std::is_trivially_copyable_v<Entry> && std::is_trivially_destructible_v<Entry>);

 public:
  explicit TableOf(std::size_t entries)
      : memory_(std::max<std::uint64_t>(entries, 1) * sizeof(Entry), TableMemory::kWhenUsed),
        entries_(memory_.at<Entry>(0)) {}

  Entry& operator[](std::size_t index) noexcept { return entries_[index]; }
  const Entry& operator[](std::size_t index) const noexcept { return entries_[index]; }

 private:
  TableBytes memory_;
  Entry* entries_;
};

}  // namespace faultline
