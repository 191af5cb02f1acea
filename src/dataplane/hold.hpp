// The hold: where packets wait for their release time. Bytes only, packed into a log of chunks, so
// that memory is the bandwidth-delay product and the mbuf pool stays small and warm. Owns no mbuf.
//
// The log is a set of lines, each a FIFO whose keys never fall. A packet joins the line with the
// latest end that is not behind its own key (binary search); if none fits, a line is opened. This
// greedy choice opens as few lines as any could (patience sorting; Aldous & Diaconis, 1999): one
// for a constant delay, k for k constant delays mixed, however they interleave. A heap over the
// lines' heads gives the next release. A chunk belongs to one line and is freed when its last
// record has left, so one packet held for a minute pins one chunk and not a minute of traffic.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.hpp"

namespace faultline {

/// Packets leave in the order (release, arrival, ingress, sequence, copy).
struct HoldKey {
  std::uint64_t release_ns = 0;
  std::uint64_t arrival_ns =
      0;                       ///< not after release_ns, and less than 2^48 ns (78 hours) before it
  std::uint32_t sequence = 0;  ///< of the packet at its worker; wraps
  std::uint8_t ingress = 0;    ///< below 64, as the egress
  std::uint8_t egress = 0;
  std::uint8_t copy = 0;  ///< 0: the packet itself; then its copies; from kFirstAnswer on what was
                          ///< made because of one of them; kOwnFrame: of nobody's packet
};
inline constexpr std::uint8_t kFirstAnswer = 64;
inline constexpr std::uint8_t kOwnFrame = 255;

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
  static constexpr std::uint32_t kLinesMax = 8'192;
  static constexpr std::uint32_t kFrameBytesMax = 65'000;

  /// Reserves `bytes` of memory, at least one chunk. Pages are taken when first used and then
  /// reused.
  explicit Hold(std::uint64_t bytes);
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  /// How long a packet may wait at most.
  static constexpr std::uint64_t kWaitMaxNs = (std::uint64_t{1} << 48) - 1;

  /// Bytes of one packet: a record to go on with (a multiple of 8), and the frame behind it.
  struct Size {
    std::uint32_t resume = 0;
    std::uint32_t frame = 0;
  };
  /// Makes room for one packet and returns where its bytes go; null when the hold is full,
  /// or the packet too large or its wait too long for a record.
  std::byte* push(const HoldKey& key, Size size) noexcept;

  bool empty() const noexcept { return lines_in_use_ == 0; }
  /// The release time of the packet that is next to leave: 0 for one that is flushed, UINT64_MAX
  /// when the hold is empty.
  std::uint64_t next_release_ns() const noexcept {
    if (empty())
      return UINT64_MAX;
    const HoldKey& head = lines_[heap_[0]].head;
    return flushed(head) ? 0 : head.release_ns;
  }
  /// The packet that is next to leave. The hold must not be empty.
  HeldPacket front() const noexcept;
  void pop() noexcept;

  /// Every packet whose sequence is before `end` leaves first, in arrival order, whatever its
  /// release time; packets from `end` on are not touched.
  void begin_flush(std::uint32_t end) noexcept;

  std::uint64_t packets() const noexcept { return packets_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  std::uint64_t peak_bytes() const noexcept { return peak_bytes_; }
  std::uint64_t capacity_bytes() const noexcept {
    return std::uint64_t{chunk_count_} * kChunkBytes;
  }
  std::uint32_t lines() const noexcept { return lines_in_use_; }

 private:
  /// As it lies in the log, in front of the frame's bytes, eight-byte aligned.
  struct Record {
    std::uint64_t release_ns;
    std::uint64_t waited_and_length;  ///< (release − arrival) << 16 | length
    std::uint32_t sequence;
    std::uint32_t ingress : 6;
    std::uint32_t egress : 6;
    std::uint32_t copy : 8;
    std::uint32_t resume_words : 12;  ///< of eight bytes each, between record and frame
  };
  static_assert(sizeof(Record) == 24);

  struct ChunkHead {
    std::uint32_t next = 0;
    std::uint32_t end = 0;  ///< where its records end, once the line has moved on
  };
  static constexpr std::uint32_t kFirstRecord = 8;
  static_assert(sizeof(ChunkHead) == kFirstRecord);

  struct Line {
    HoldKey head;
    HoldKey tail;
    std::uint32_t head_chunk = 0;
    std::uint32_t head_offset = 0;
    std::uint32_t tail_chunk = 0;
    std::uint32_t tail_offset = 0;
    std::uint64_t packets = 0;
  };

  std::byte* chunk(std::uint32_t index) const noexcept {
    return memory_ + std::uint64_t{index} * kChunkBytes;
  }
  ChunkHead& chunk_head(std::uint32_t index) const noexcept {
    return *reinterpret_cast<ChunkHead*>(chunk(index));
  }
  const Record& record_at(std::uint32_t chunk_index, std::uint32_t offset) const noexcept {
    return *reinterpret_cast<const Record*>(chunk(chunk_index) + offset);
  }
  static HoldKey key_of(const Record& record) noexcept;
  static std::uint32_t record_bytes(Size size) noexcept {
    return (static_cast<std::uint32_t>(sizeof(Record)) + size.resume + size.frame + 7) & ~7U;
  }
  static Size size_of(const Record& record) noexcept {
    return {std::uint32_t{record.resume_words} * 8,
            static_cast<std::uint32_t>(record.waited_and_length & 0xFFFF)};
  }

  bool flushed(const HoldKey& key) const noexcept {
    return flushing_ && static_cast<std::int32_t>(key.sequence - flush_end_) < 0;
  }
  bool leaves_before(const HoldKey& left, const HoldKey& right) const noexcept;
  bool line_before(std::uint32_t left, std::uint32_t right) const noexcept {
    return leaves_before(lines_[left].head, lines_[right].head);
  }
  std::uint32_t line_for(const HoldKey& key) const noexcept;
  bool open_line() noexcept;
  bool extend_line(Line& line) noexcept;
  void advance_line(Line& line) noexcept;
  void close_line(std::uint32_t index) noexcept;
  void sift_up(std::uint32_t place) noexcept;
  void sift_down(std::uint32_t place) noexcept;

  std::byte* memory_ = nullptr;
  std::uint32_t chunk_count_ = 0;
  std::vector<std::uint32_t> free_chunks_;  ///< a stack: the chunk freed last is the warmest
  std::vector<Line> lines_;
  std::vector<std::uint32_t> free_lines_;
  std::vector<std::uint32_t> heap_;     ///< line indices, by head
  std::vector<std::uint32_t> by_tail_;  ///< line indices, latest tail first
  std::uint32_t lines_in_use_ = 0;
  std::uint32_t free_chunk_count_ = 0;
  std::uint64_t packets_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t peak_bytes_ = 0;
  std::uint32_t flush_end_ = 0;
  bool flushing_ = false;
};

}  // namespace faultline
