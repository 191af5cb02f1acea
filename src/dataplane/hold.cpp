// The packed delay line. Everything is allocated in the constructor.
#include "dataplane/hold.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace faultline {

Hold::Hold(std::uint64_t bytes) {
  chunk_count_ = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(1, std::min<std::uint64_t>(bytes / kChunkBytes, UINT32_MAX)));
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
  lines_.resize(kLinesMax);
  heap_.resize(kLinesMax);
  by_tail_.resize(kLinesMax);
  free_lines_.resize(kLinesMax);
  for (std::uint32_t index = 0; index < kLinesMax; ++index)
    free_lines_[index] = kLinesMax - 1 - index;
}

Hold::~Hold() {
  munmap(memory_, capacity_bytes());
}

std::byte* Hold::push(const HoldKey& key, Size size) noexcept {
  FAULTLINE_CHECK(key.release_ns >= key.arrival_ns && size.frame <= kFrameBytesMax);
  const std::uint32_t needed = record_bytes(size);
  if (key.release_ns - key.arrival_ns > kWaitMaxNs || needed > kChunkBytes - kFirstRecord ||
      size.resume / 8 > 0xFFF)
    return nullptr;
  std::uint32_t place = line_for(key);
  const bool opens = place == lines_in_use_;
  if (opens && !open_line())
    return nullptr;
  const std::uint32_t index = by_tail_[place];
  Line& line = lines_[index];
  if (line.tail_offset + needed > kChunkBytes && !extend_line(line))
    return nullptr;
  auto* place_of_record = chunk(line.tail_chunk) + line.tail_offset;
  const Record record{key.release_ns,
                      ((key.release_ns - key.arrival_ns) << 16) | size.frame,
                      key.sequence,
                      key.ingress & 63U,
                      key.egress & 63U,
                      key.copy,
                      (size.resume / 8) & 0xFFFU};
  std::memcpy(place_of_record, &record, sizeof record);
  line.tail_offset += needed;
  line.tail = key;
  ++line.packets;
  if (opens) {
    line.head = key;
    heap_[lines_in_use_ - 1] = index;
    sift_up(lines_in_use_ - 1);
  }
  ++packets_;
  bytes_ += needed;
  peak_bytes_ = std::max(peak_bytes_, bytes_);
  return place_of_record + sizeof(Record);
}

HeldPacket Hold::front() const noexcept {
  const Line& line = lines_[heap_[0]];
  const Record& record = record_at(line.head_chunk, line.head_offset);
  const Size size = size_of(record);
  const auto* behind = reinterpret_cast<const std::byte*>(&record) + sizeof(Record);
  return {line.head, size.resume > 0 ? behind : nullptr, behind + size.resume, size.frame,
          flushed(line.head)};
}

void Hold::pop() noexcept {
  const std::uint32_t index = heap_[0];
  Line& line = lines_[index];
  const Record& record = record_at(line.head_chunk, line.head_offset);
  const std::uint32_t size = record_bytes(size_of(record));
  --packets_;
  bytes_ -= size;
  line.head_offset += size;
  if (--line.packets == 0)
    close_line(index);
  else
    advance_line(line);
  if (flushing_)
    flushing_ = !empty() && flushed(lines_[heap_[0]].head);
}

/// The line at the heap's top goes on to its next record.
void Hold::advance_line(Line& line) noexcept {
  if (line.head_chunk != line.tail_chunk && line.head_offset == chunk_head(line.head_chunk).end) {
    const std::uint32_t next = chunk_head(line.head_chunk).next;
    free_chunks_[free_chunk_count_++] = line.head_chunk;
    line.head_chunk = next;
    line.head_offset = kFirstRecord;
  }
  const Record& head = record_at(line.head_chunk, line.head_offset);
  __builtin_prefetch(reinterpret_cast<const std::byte*>(&head) + 256);
  line.head = key_of(head);
  sift_down(0);
}

void Hold::begin_flush(std::uint32_t end) noexcept {
  flushing_ = !empty();
  flush_end_ = end;
  for (std::uint32_t place = lines_in_use_ / 2; place-- > 0;) sift_down(place);
}

HoldKey Hold::key_of(const Record& record) noexcept {
  return {record.release_ns,
          record.release_ns - (record.waited_and_length >> 16),
          record.sequence,
          static_cast<std::uint8_t>(record.ingress),
          static_cast<std::uint8_t>(record.egress),
          static_cast<std::uint8_t>(record.copy)};
}

namespace {

bool sequence_before(const HoldKey& left, const HoldKey& right) noexcept {
  return static_cast<std::int32_t>(left.sequence - right.sequence) < 0;
}

/// The order in which packets leave: (release, arrival, ingress, sequence, copy).
bool key_before(const HoldKey& left, const HoldKey& right) noexcept {
  if (left.release_ns != right.release_ns)
    return left.release_ns < right.release_ns;
  if (left.arrival_ns != right.arrival_ns)
    return left.arrival_ns < right.arrival_ns;
  if (left.ingress != right.ingress)
    return left.ingress < right.ingress;
  return left.sequence != right.sequence ? sequence_before(left, right) : left.copy < right.copy;
}

}  // namespace

bool Hold::leaves_before(const HoldKey& left, const HoldKey& right) const noexcept {
  if (flushing_) {
    const bool left_flushed = flushed(left);
    if (left_flushed != flushed(right))
      return left_flushed;
    if (left_flushed)
      return left.sequence != right.sequence ? sequence_before(left, right)
                                             : left.copy < right.copy;
  }
  return key_before(left, right);
}

/// The place in by_tail_ of the line that takes this packet: the first whose tail is not behind it.
/// lines_in_use_ when there is none.
std::uint32_t Hold::line_for(const HoldKey& key) const noexcept {
  std::uint32_t low = 0;
  std::uint32_t high = lines_in_use_;
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    if (!key_before(key, lines_[by_tail_[middle]].tail))
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
