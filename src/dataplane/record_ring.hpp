// A ring of eight-byte words from one worker to one thread that writes them down: a worker reserves
// room for the most it may put in, fills it and hands it over; when there is no room it is told so
// and goes on. Never grows, never waits.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>

namespace faultline {

class RecordRing {
 public:
  /// The first byte of a word that only fills up to the end of the memory.
  static constexpr std::uint8_t kFill = 0;

  /// Room for `words`, rounded up to a power of two. The memory is written to at once, so that a
  /// worker meets no page that is not there.
  explicit RecordRing(std::uint64_t words)
      : capacity_(std::bit_ceil(words)), words_(new std::uint64_t[capacity_]()) {}

  // The worker's side.

  /// Room for `count` words in one piece, less than a quarter of all; null: there is none.
  std::uint64_t* reserve(std::uint64_t count) noexcept {
    std::uint64_t place = written_ & (capacity_ - 1);
    const std::uint64_t left = capacity_ - place;
    const std::uint64_t needed = left < count ? left + count : count;
    if (written_ + needed - read_seen_ > capacity_) [[unlikely]] {
      read_seen_ = read_.load(std::memory_order_acquire);
      if (written_ + needed - read_seen_ > capacity_)
        return nullptr;
    }
    if (left < count) [[unlikely]] {
      words_[place] = kFill;
      written_ += left;
      place = 0;
    }
    reserved_ = &words_[place];
    return reserved_;
  }
  /// What was reserved last is filled up to `end`, and the reader's. The next as many words are
  /// asked for, to write: the reader has had those lines of memory. (GCC's own builtin would ask to
  /// read.)
  void commit(const std::uint64_t* end) noexcept {
    const auto words = static_cast<std::uint64_t>(end - reserved_);
    written_ += words;
    published_.store(written_, std::memory_order_release);
    for (std::uint64_t ahead = 0; ahead <= words; ahead += kLineWords)
      asm volatile("prefetchw %0" : : "m"(words_[(written_ + ahead) & (capacity_ - 1)]));
  }

  // The reader's side.

  /// Whole records that lie one behind the other, ended by a word that begins with kFill or by the
  /// last; empty when there are none. Valid until the next call.
  std::span<const std::uint64_t> take() noexcept {
    read_.store(taken_, std::memory_order_release);
    const std::uint64_t published = published_.load(std::memory_order_acquire);
    const std::uint64_t place = taken_ & (capacity_ - 1);
    const std::uint64_t count = std::min(published - taken_, capacity_ - place);
    taken_ += count;
    return {&words_[place], static_cast<std::size_t>(count)};
  }

  std::uint64_t capacity() const noexcept { return capacity_; }

 private:
  static constexpr std::uint64_t kLineWords = 8;

  std::uint64_t capacity_;
  std::unique_ptr<std::uint64_t[]> words_;

  alignas(64) std::uint64_t written_ = 0;  ///< the worker's own
  std::uint64_t read_seen_ = 0;
  std::uint64_t* reserved_ = nullptr;

  alignas(64) std::atomic<std::uint64_t> published_{0};

  alignas(64) std::atomic<std::uint64_t> read_{0};
  std::uint64_t taken_ = 0;  ///< the reader's own
};

}  // namespace faultline
