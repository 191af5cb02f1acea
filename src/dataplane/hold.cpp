// The packed delay line: lines, and chunks of loose packets. Everything is allocated in the
// constructor.
#include "dataplane/hold.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace faultline {

Hold::Hold(std::uint64_t bytes) {
  chunk_count_ = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(1, std::min<std::uint64_t>(bytes / kChunkBytes, UINT32_MAX - 1)));
  const std::uint64_t size = capacity_bytes();
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  // Huge pages where the kernel has them to spare; a refusal costs speed only.
  madvise(memory, size, MADV_HUGEPAGE);
  memory_ = static_cast<std::byte*>(memory);
  free_chunks_.resize(chunk_count_);
  for (std::uint32_t index = 0; index < chunk_count_; ++index)
    free_chunks_[index] = chunk_count_ - 1 - index;
  free_chunk_count_ = chunk_count_;
  for (std::uint32_t index = 0; index < kLinesMax; ++index)
    free_lines_[index] = kLinesMax - 1 - index;
  wheel_ = std::make_unique<ReleaseWheel>(memory_, size / kLooseBytesMin, order_);
}

Hold::~Hold() {
  munmap(memory_, capacity_bytes());
}

std::byte* Hold::push_elsewhere(const HeldKey& key, Size size) noexcept {
  if (!fits(key, size))
    return nullptr;
  std::byte* place = push_line(key, size);
  return place != nullptr ? place : push_loose(key, size);
}

/// Null when no line takes it.
std::byte* Hold::push_line(const HeldKey& key, Size size) noexcept {
  // Where there are loose packets lines did not do: no more are opened, and few are searched.
  if (!wheel_->empty() && lines_in_use_ >= kLinesWithLoose &&
      LeavingOrder::key_before(key, lines_[by_tail_[kLinesWithLoose - 1]].tail))
    return nullptr;
  const std::uint32_t place = line_for(key);
  const bool opens = place == lines_in_use_;
  if (opens && !open_line())
    return nullptr;
  const std::uint32_t index = by_tail_[place];
  Line& line = lines_[index];
  if (line.tail_offset + HeldRecord::bytes(size) > kChunkBytes && !extend_line(line))
    return nullptr;
  if (opens) {
    line.head = key;
    heap_[lines_in_use_ - 1] = index;
    sift_up(lines_in_use_ - 1);
  }
  std::byte* bytes = append(line, key, size);
  if (opens)
    find_next();
  return bytes;
}

std::byte* Hold::push_loose(const HeldKey& key, Size size) noexcept {
  if (!wheel_->takes(key))
    return nullptr;
  const std::uint32_t needed = HeldRecord::bytes(size);
  if (bytes_ + needed + kEntryBytes > capacity_bytes())
    return nullptr;
  OpenChunk* room = room_for_loose(class_of(key), needed);
  if (room == nullptr)
    return nullptr;
  const std::uint64_t place = place_in(*room, needed);
  auto* record = reinterpret_cast<HeldRecord*>(memory_ + place);
  *record = HeldRecord::of(key, size.frame);
  wheel_->push(key, place);
  count_in(needed + kEntryBytes);
  if (packets_ == 1 || order_.before(key, next_key_))
    find_next();
  return reinterpret_cast<std::byte*>(record + 1);
}

/// Room for a loose packet of this class, in a new chunk or else among those of another; null when
/// there is none.
Hold::OpenChunk* Hold::room_for_loose(std::uint32_t of_class, std::uint32_t bytes) noexcept {
  const auto has_room = [bytes](const OpenChunk& open) {
    return open.chunk != kNoChunk && open.offset + bytes <= kChunkBytes;
  };
  OpenChunk& own = open_[of_class];
  if (has_room(own)) [[likely]]
    return &own;
  if (bytes > kChunkBytes - kFirstRecord)
    return nullptr;
  if (free_chunk_count_ == 0) {
    const auto other = std::ranges::find_if(open_, has_room);
    return other != open_.end() ? &*other : nullptr;
  }
  if (own.chunk != kNoChunk)
    chunk_head(own.chunk).end_or_class = kClasses;  // full: nobody's any more
  if (std::uint64_t{free_chunks_[free_chunk_count_ - 1]} * kChunkBytes >= ReleaseWheel::kPlacesEnd)
    return nullptr;
  own = {free_chunks_[--free_chunk_count_], kFirstRecord};
  chunk_head(own.chunk) = {0, of_class};
  return &own;
}

void Hold::pop_any() noexcept {
  if (next_is_loose_) {
    pop_loose();
  } else {
    const std::uint32_t index = heap_[0];
    Line& line = lines_[index];
    take_head(line, HeldRecord::bytes(head_of(line).size()));
    if (line.packets == 0)
      close_line(index);
    else
      advance_line(line);
  }
  find_next();
  if (order_.flushing)
    order_.flushing = !empty() && order_.flushed(next_key_);
}

/// Which packet leaves next.
void Hold::find_next() noexcept {
  if (lines_in_use_ > 0)
    next_key_ = lines_[heap_[0]].head;
  next_is_loose_ = false;
  if (wheel_->empty()) [[likely]]
    return;
  if (lines_in_use_ > 0 && !order_.flushing && next_key_.release_ns < wheel_->front_release_ns())
    return;
  const HeldKey loose = wheel_->front_key();
  if (lines_in_use_ > 0 && order_.before(next_key_, loose))
    return;
  next_is_loose_ = true;
  next_key_ = loose;
}

/// The line at the heap's top goes on to its next record.
void Hold::advance_line(Line& line) noexcept {
  if (ends_chunk(line, line.head_offset)) {
    const std::uint32_t next = chunk_head(line.head_chunk).next_or_packets;
    free_chunks_[free_chunk_count_++] = line.head_chunk;
    line.head_chunk = next;
    line.head_offset = kFirstRecord;
  }
  const HeldRecord& head = head_of(line);
  __builtin_prefetch(reinterpret_cast<const std::byte*>(&head) + 256);
  line.head = head.key();
  sift_down(0);
}

void Hold::begin_flush(std::uint32_t end) noexcept {
  order_ = {end, !empty()};
  for (std::uint32_t place = lines_in_use_ / 2; place-- > 0;) sift_down(place);
  wheel_->begin_flush();
  if (!empty())
    find_next();
}

/// The place in by_tail_ of the line that takes this packet: the first whose tail is not behind it.
/// lines_in_use_ when there is none.
std::uint32_t Hold::line_for(const HeldKey& key) const noexcept {
  std::uint32_t low = 0;
  std::uint32_t high = lines_in_use_;
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    if (!LeavingOrder::key_before(key, lines_[by_tail_[middle]].tail))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/// Appends a line behind all others: its first packet's key is before every tail.
bool Hold::open_line() noexcept {
  if (lines_in_use_ == kLinesMax || free_chunk_count_ == 0)
    return false;
  const std::uint32_t index = free_lines_[kLinesMax - 1 - lines_in_use_];
  const std::uint32_t first = free_chunks_[--free_chunk_count_];
  lines_[index] = Line{{}, {}, first, kFirstRecord, first, kFirstRecord, 0};
  by_tail_[lines_in_use_++] = index;
  return true;
}

bool Hold::extend_line(Line& line) noexcept {
  if (free_chunk_count_ == 0)
    return false;
  const std::uint32_t next = free_chunks_[--free_chunk_count_];
  chunk_head(line.tail_chunk) = {next, line.tail_offset};
  line.tail_chunk = next;
  line.tail_offset = kFirstRecord;
  return true;
}

/// Takes the line at the heap's top, now empty, out of use.
void Hold::close_line(std::uint32_t index) noexcept {
  Line& line = lines_[index];
  FAULTLINE_CHECK(line.head_chunk == line.tail_chunk);
  free_chunks_[free_chunk_count_++] = line.tail_chunk;
  std::uint32_t place = line_for(line.tail);
  while (by_tail_[place] != index) ++place;
  std::copy(by_tail_.begin() + place + 1, by_tail_.begin() + lines_in_use_,
            by_tail_.begin() + place);
  --lines_in_use_;
  free_lines_[kLinesMax - 1 - lines_in_use_] = index;
  heap_[0] = heap_[lines_in_use_];
  sift_down(0);
}

void Hold::sift_up(std::uint32_t place) noexcept {
  while (place > 0 && line_before(heap_[place], heap_[(place - 1) / 2])) {
    std::swap(heap_[place], heap_[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
}

void Hold::sift_down(std::uint32_t place) noexcept {
  for (;;) {
    const std::uint32_t left = 2 * place + 1;
    if (left >= lines_in_use_)
      return;
    const std::uint32_t right = left + 1;
    const std::uint32_t smaller =
        right < lines_in_use_ && line_before(heap_[right], heap_[left]) ? right : left;
    if (!line_before(heap_[smaller], heap_[place]))
      return;
    std::swap(heap_[place], heap_[smaller]);
    place = smaller;
  }
}

}  // namespace faultline
