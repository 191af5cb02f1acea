// The hold: where packets wait for their release time. Bytes only, packed into chunks, so that
// memory is the bandwidth-delay product and the mbuf pool stays small and warm. Owns no mbuf.
//
// Most packets stand in lines, each a FIFO whose keys never fall. A packet joins the line with the
// latest end that is not behind its own key; if none fits, a line is opened. This greedy choice
// opens as few lines as any could (patience sorting; Aldous & Diaconis, 1999): one for a constant
// delay, k for k constant delays mixed, however they interleave. A heap over the lines' heads gives
// the next release. Where a few lines do not do, as with random delays that let packets overtake,
// the others are loose: the release wheel keeps their order.
//
// A chunk belongs to one line, or to loose packets that wait about equally long, and is freed when
// its last record has left: one packet held for a minute pins one chunk and not a minute of
// traffic.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.hpp"
#include "dataplane/held_record.hpp"
#include "dataplane/release_wheel.hpp"

namespace faultline {

struct HeldPacket {
  HoldKey key;
  const std::byte* resume = nullptr;  ///< what push() reserved in front; null when nothing
  const std::byte* bytes = nullptr;   ///< of the frame; both valid until pop()
  std::uint32_t length = 0;
  bool flushed = false;  ///< leaves now whatever its release time says
};

class Hold {
 public:
  static constexpr std::uint32_t kChunkBytes = 65'536;
  static constexpr std::uint32_t kLinesMax = 16;
  /// So many lines, those with the latest ends, go on while there are loose packets.
  static constexpr std::uint32_t kLinesWithLoose = 2;
  static constexpr std::uint32_t kFrameBytesMax = 65'000;

  /// Reserves `bytes` of memory, at least one chunk. Pages are taken when first used and then
  /// reused.
  explicit Hold(std::uint64_t bytes);
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  /// How long a packet may wait at most.
  static constexpr std::uint64_t kWaitMaxNs = (std::uint64_t{1} << 48) - 1;

  using Size = HeldSize;
  /// Makes room for one packet and returns where its bytes go; null when the hold is full,
  /// or the packet too large or its wait too long for a record.
  std::byte* push(const HoldKey& key, Size size) noexcept {
    return push(HeldKey::of(key, size.resume), size);
  }
  /// The key's resume bytes are the size's.
  [[gnu::always_inline]] std::byte* push(const HeldKey& key, Size size) noexcept {
    FAULTLINE_CHECK(key.release_ns >= key.arrival_ns && size.frame <= kFrameBytesMax);
    if (lines_in_use_ == 1 && !LeavingOrder::key_before(key, lines_[by_tail_[0]].tail)) [[likely]] {
      Line& line = lines_[by_tail_[0]];
      if (line.tail_offset + HeldRecord::bytes(size) <= kChunkBytes && fits(key, size)) [[likely]]
        return append(line, key, size);
    }
    return push_elsewhere(key, size);
  }

  /// As push() for packets of one path one after the other, up to `most`, as far as they stand in
  /// the one line that there is and its chunk has room: `wanted(n)` gives the key of the nth,
  /// without anything to go on, and its frame's length, 0 to stop there; `write(n, place)` its
  /// bytes. Returns how many were put in.
  struct Wanted {
    HeldKey key;
    std::uint32_t length = 0;
  };
  template <typename Next, typename Write>
  std::uint32_t push_run(std::uint32_t most, const Next& wanted, const Write& write) noexcept {
    if (lines_in_use_ != 1)
      return 0;
    Line& line = lines_[by_tail_[0]];
    std::byte* const begin = chunk(line.tail_chunk) + line.tail_offset;
    const std::byte* const end = chunk(line.tail_chunk) + kChunkBytes;
    std::byte* place = begin;
    HeldKey tail = line.tail;
    std::uint32_t pushed = 0;
    for (; pushed < most; ++pushed) {
      const Wanted next = wanted(pushed);
      const Size size{0, next.length};
      // Of one path and in the order of their numbers, as they are to be, this is enough.
      const bool behind = pushed > 0 && next.key.release_ns >= tail.release_ns &&
                          next.key.arrival_ns >= tail.arrival_ns && next.key.who > tail.who;
      if (next.length == 0 || (!behind && LeavingOrder::key_before(next.key, tail)) ||
          HeldRecord::bytes(size) > end - place || !fits(next.key, size))
        break;
      *reinterpret_cast<HeldRecord*>(place) = HeldRecord::of(next.key, next.length);
      write(pushed, place + sizeof(HeldRecord));
      place += HeldRecord::bytes(size);
      tail = next.key;
    }
    const auto bytes = static_cast<std::uint32_t>(place - begin);
    line.tail = tail;
    line.tail_offset += bytes;
    line.packets += pushed;
    packets_ += pushed;
    bytes_ += bytes;
    peak_bytes_ = bytes_ > peak_bytes_ ? bytes_ : peak_bytes_;
    return pushed;
  }

  /// The same for packets that stand in no line, while there are such.
  template <typename Next, typename Write>
  std::uint32_t push_loose_run(std::uint32_t most, const Next& wanted,
                               const Write& write) noexcept {
    if (lines_in_use_ < kLinesWithLoose)
      return 0;
    const HeldKey& tail = lines_[by_tail_[kLinesWithLoose - 1]].tail;
    ReleaseWheel::Batch batch;
    std::uint32_t bytes = 0;
    while (batch.count() < most) {
      const Wanted next = wanted(batch.count());
      const Size size{0, next.length};
      if (next.length == 0 || !LeavingOrder::key_before(next.key, tail) ||
          !wheel_->stands_near(next.key.release_ns) || !fits(next.key, size))
        break;
      OpenChunk& room = open_[class_of(next.key)];
      const std::uint32_t needed = HeldRecord::bytes(size);
      if (room.chunk == kNoChunk || room.offset + needed > kChunkBytes ||
          bytes_ + bytes + needed + kEntryBytes > capacity_bytes())
        break;
      const std::uint64_t place = place_in(room, needed);
      auto* record = reinterpret_cast<HeldRecord*>(memory_ + place);
      *record = HeldRecord::of(next.key, next.length);
      write(batch.count(), reinterpret_cast<std::byte*>(record + 1));
      batch.add(next.key.release_ns, place);
      bytes += needed + kEntryBytes;
    }
    wheel_->push_near(batch);
    packets_ += batch.count();
    bytes_ += bytes;
    peak_bytes_ = bytes_ > peak_bytes_ ? bytes_ : peak_bytes_;
    return batch.count();
  }

  bool empty() const noexcept { return packets_ == 0; }
  /// The release time of the packet that is next to leave: 0 for one that is flushed, UINT64_MAX
  /// when the hold is empty.
  std::uint64_t next_release_ns() const noexcept {
    if (empty())
      return UINT64_MAX;
    const HeldKey& head = next_key_;
    return order_.flushed(head) ? 0 : head.release_ns;
  }
  /// The packet that is next to leave. The hold must not be empty.
  HeldPacket front() const noexcept {
    const HeldRecord& record = next_record();
    const Size size = record.size();
    const auto* behind = reinterpret_cast<const std::byte*>(&record + 1);
    return {record.key().open(), size.resume > 0 ? behind : nullptr, behind + size.resume,
            size.frame, order_.flushed(next_key_)};
  }

  /// As front() and pop() for packets that leave by `until_ns` and will not be judged again, up to
  /// `most` of them, as far as they stand one behind the other: `visit(record, frame)`. Returns how
  /// many there were; that none is left over is not said.
  template <typename Visit>
  std::uint32_t take_run(std::uint64_t until_ns, std::uint32_t most, const Visit& visit) noexcept {
    if (lines_in_use_ != 1 || order_.flushing || !wheel_->empty())
      return 0;
    Line& line = lines_[heap_[0]];
    const std::byte* records = chunk(line.head_chunk);
    // The last one of a chunk is left to pop().
    const std::uint32_t end = line.head_chunk == line.tail_chunk
                                  ? line.tail_offset
                                  : chunk_head(line.head_chunk).end_or_class;
    std::uint32_t offset = line.head_offset;
    std::uint32_t taken = 0;
    const HeldRecord* record = reinterpret_cast<const HeldRecord*>(records + offset);
    for (; taken < most; ++taken) {
      const std::uint32_t behind = offset + HeldRecord::bytes(record->size());
      if (record->release_ns > until_ns || record->size().resume > 0 || behind == end)
        break;
      const auto* frame = reinterpret_cast<const std::byte*>(record + 1);
      __builtin_prefetch(frame + kReadAhead);
      visit(*record, frame);
      offset = behind;
      record = reinterpret_cast<const HeldRecord*>(records + offset);
    }
    if (taken > 0) {
      packets_ -= taken;
      line.packets -= taken;
      bytes_ -= offset - line.head_offset;
      line.head_offset = offset;
      next_key_ = line.head = record->key();
    }
    return taken;
  }

  /// As take_run() for loose packets.
  template <typename Visit>
  std::uint32_t take_loose(std::uint64_t until_ns, std::uint32_t most,
                           const Visit& visit) noexcept {
    if (!next_is_loose_ || order_.flushing)
      return 0;
    const std::uint64_t line_ns = lines_in_use_ > 0 ? lines_[heap_[0]].head.release_ns : UINT64_MAX;
    std::uint32_t taken = 0;
    while (taken < most && !wheel_->empty() && wheel_->front_release_ns() <= until_ns &&
           wheel_->front_release_ns() < line_ns) {
      const HeldRecord& record = loose_record(wheel_->front());
      if (record.size().resume > 0)
        break;
      visit(record, reinterpret_cast<const std::byte*>(&record + 1));
      pop_loose();
      ++taken;
    }
    if (taken > 0)
      find_next();
    return taken;
  }

  void pop() noexcept {
    if (lines_in_use_ == 1 && !order_.flushing && wheel_->empty()) [[likely]] {
      Line& line = lines_[heap_[0]];
      const std::uint32_t size = HeldRecord::bytes(head_of(line).size());
      if (line.packets > 1 && !ends_chunk(line, line.head_offset + size)) [[likely]] {
        take_head(line, size);
        const HeldRecord& head = head_of(line);
        __builtin_prefetch(reinterpret_cast<const std::byte*>(&head) + kReadAhead);
        next_key_ = line.head = head.key();
        return;
      }
    }
    pop_any();
  }

  /// Every packet whose sequence is before `end` leaves first, in arrival order, whatever its
  /// release time; packets from `end` on are not touched.
  void begin_flush(std::uint32_t end) noexcept;

  std::uint64_t packets() const noexcept { return packets_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  std::uint64_t peak_bytes() const noexcept { return peak_bytes_; }
  void begin_peak() noexcept { peak_bytes_ = bytes_; }
  std::uint64_t capacity_bytes() const noexcept {
    return std::uint64_t{chunk_count_} * kChunkBytes;
  }
  std::uint32_t lines() const noexcept { return lines_in_use_; }
  /// Of the packets, those that stand in no line.
  std::uint64_t loose_packets() const noexcept { return wheel_->packets(); }

 private:
  static constexpr std::uint32_t kNoChunk = UINT32_MAX;
  static constexpr std::uint32_t kFirstRecord = 8;
  static constexpr std::uint32_t kReadAhead = 1024;
  /// What the wheel takes for a loose packet.
  static constexpr std::uint32_t kEntryBytes = 8;
  static constexpr std::uint32_t kLooseBytesMin = sizeof(HeldRecord) + kEntryBytes;

  /// Of a line: which chunk is next, and where this one's records end once the line has moved on.
  /// Of loose packets: how many are in it, and how long they wait, as a place in open_.
  struct ChunkHead {
    std::uint32_t next_or_packets = 0;
    std::uint32_t end_or_class = 0;
  };
  static_assert(sizeof(ChunkHead) == kFirstRecord);

  struct Line {
    HeldKey head;
    HeldKey tail;
    std::uint32_t head_chunk = 0;
    std::uint32_t head_offset = 0;
    std::uint32_t tail_chunk = 0;
    std::uint32_t tail_offset = 0;
    std::uint64_t packets = 0;
  };
  /// Where the next loose packet of a class goes.
  struct OpenChunk {
    std::uint32_t chunk = kNoChunk;
    std::uint32_t offset = 0;
  };

  std::byte* chunk(std::uint32_t index) const noexcept {
    return memory_ + std::uint64_t{index} * kChunkBytes;
  }
  ChunkHead& chunk_head(std::uint32_t index) const noexcept {
    return *reinterpret_cast<ChunkHead*>(chunk(index));
  }
  const HeldRecord& head_of(const Line& line) const noexcept {
    return *reinterpret_cast<const HeldRecord*>(chunk(line.head_chunk) + line.head_offset);
  }
  const HeldRecord& next_record() const noexcept {
    return next_is_loose_ ? loose_record(wheel_->front()) : head_of(lines_[heap_[0]]);
  }
  const HeldRecord& loose_record(std::uint64_t place) const noexcept {
    return *reinterpret_cast<const HeldRecord*>(memory_ + place);
  }
  static bool fits(const HeldKey& key, Size size) noexcept {
    return key.release_ns - key.arrival_ns <= kWaitMaxNs &&
           HeldRecord::bytes(size) <= kChunkBytes - kFirstRecord &&
           size.resume <= HeldRecord::kResumeBytesMax;
  }
  static std::uint32_t class_of(const HeldKey& key) noexcept {
    return static_cast<std::uint32_t>(std::bit_width(key.release_ns - key.arrival_ns));
  }
  /// Where `bytes` of a loose packet go, for which there is room.
  std::uint64_t place_in(OpenChunk& room, std::uint32_t bytes) noexcept {
    const std::uint64_t place = std::uint64_t{room.chunk} * kChunkBytes + room.offset;
    ++chunk_head(room.chunk).next_or_packets;
    room.offset += bytes;
    return place;
  }
  /// Behind the line's tail, where there is room.
  std::byte* append(Line& line, const HeldKey& key, Size size) noexcept {
    auto* place = chunk(line.tail_chunk) + line.tail_offset;
    const std::uint32_t needed = HeldRecord::bytes(size);
    auto* record = reinterpret_cast<HeldRecord*>(place);
    *record = HeldRecord::of(key, size.frame);
    line.tail_offset += needed;
    line.tail = key;
    ++line.packets;
    count_in(needed);
    return place + sizeof(HeldRecord);
  }
  /// Whether a record at `offset` of the line's first chunk would be behind its last.
  bool ends_chunk(const Line& line, std::uint32_t offset) const noexcept {
    return line.head_chunk != line.tail_chunk && offset == chunk_head(line.head_chunk).end_or_class;
  }
  void take_head(Line& line, std::uint32_t bytes) noexcept {
    --packets_;
    --line.packets;
    bytes_ -= bytes;
    line.head_offset += bytes;
  }
  void count_in(std::uint32_t bytes) noexcept {
    ++packets_;
    bytes_ += bytes;
    peak_bytes_ = bytes_ > peak_bytes_ ? bytes_ : peak_bytes_;
  }

  std::byte* push_elsewhere(const HeldKey& key, Size size) noexcept;
  std::byte* push_line(const HeldKey& key, Size size) noexcept;
  std::byte* push_loose(const HeldKey& key, Size size) noexcept;
  OpenChunk* room_for_loose(std::uint32_t of_class, std::uint32_t bytes) noexcept;
  void pop_any() noexcept;
  void pop_loose() noexcept {
    const std::uint64_t place = wheel_->front();
    bytes_ -= HeldRecord::bytes(loose_record(place).size()) + kEntryBytes;
    --packets_;
    wheel_->pop();
    const auto index = static_cast<std::uint32_t>(place / kChunkBytes);
    ChunkHead& head = chunk_head(index);
    if (--head.next_or_packets > 0) [[likely]]
      return;
    if (head.end_or_class < kClasses)
      open_[head.end_or_class] = {};
    free_chunks_[free_chunk_count_++] = index;
  }
  void find_next() noexcept;
  bool line_before(std::uint32_t left, std::uint32_t right) const noexcept {
    return order_.before(lines_[left].head, lines_[right].head);
  }
  std::uint32_t line_for(const HeldKey& key) const noexcept;
  bool open_line() noexcept;
  bool extend_line(Line& line) noexcept;
  void advance_line(Line& line) noexcept;
  void close_line(std::uint32_t index) noexcept;
  void sift_up(std::uint32_t place) noexcept;
  void sift_down(std::uint32_t place) noexcept;

  /// By how many bits the wait of a packet takes.
  static constexpr std::uint32_t kClasses = 49;

  std::byte* memory_ = nullptr;
  std::uint32_t chunk_count_ = 0;
  std::uint32_t lines_in_use_ = 0;
  std::uint32_t free_chunk_count_ = 0;
  bool next_is_loose_ = false;
  LeavingOrder order_;
  std::uint64_t packets_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t peak_bytes_ = 0;
  HeldKey next_key_;                                ///< of the packet that is next to leave
  std::array<std::uint32_t, kLinesMax> heap_{};     ///< line indices, by head
  std::array<std::uint32_t, kLinesMax> by_tail_{};  ///< line indices, latest tail first
  std::array<Line, kLinesMax> lines_{};
  std::array<std::uint32_t, kLinesMax> free_lines_{};
  std::vector<std::uint32_t> free_chunks_;  ///< a stack: the chunk freed last is the warmest
  std::array<OpenChunk, kClasses> open_{};
  std::unique_ptr<ReleaseWheel> wheel_;
};

}  // namespace faultline
