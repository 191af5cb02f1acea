// TCP streams of a worker, searched in the order of their bytes: what comes in order is put off
// till all of a burst is searched in one go, what comes twice is skipped, what comes early waits in
// a bounded store until the gap before it is filled. A stream that has been without a segment
// longest, or nearly so, makes room. Everything is allocated by open(), nothing afterwards.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "match/payload_database.hpp"
#include "match/payload_hits.hpp"
#include "packet/flow_key.hpp"

struct hs_scratch;
struct hs_stream;

namespace faultline {

/// What tells a stream beside its flow's key.
struct StreamName {
  std::uint64_t identity = 0;  ///< flow_identity() of the key
  PathId path_id = 0;          ///< the one it takes
};

/// Where a flow's stream is, for as long as it is the same one.
struct StreamPlace {
  std::uint32_t place = 0;
  std::uint32_t ticket = 0;  ///< of each stream another; 0: of none
};

/// A whole segment of a directed flow.
struct TcpSegment {
  const FlowKey& key;
  StreamName name;
  std::uint8_t flags = 0;      ///< as in FrameFields
  std::uint32_t sequence = 0;  ///< of its first byte, or of its SYN
  std::span<const std::uint8_t> data;
};

class TcpStreams {
 public:
  /// Bytes that came early: in all streams of a worker, and of one of them.
  static constexpr std::uint32_t kPieceBytes = 2'048;
  static constexpr std::uint32_t kPiecesMax = 4'096;
  static constexpr std::uint32_t kPiecesOfOneMax = 1'024;
  /// Farther ahead nothing is waited for.
  static constexpr std::uint32_t kAheadMaxBytes = 1U << 26;

  /// `streams_max` streams of a database that has streams; bytes_for() of memory.
  TcpStreams(const PayloadDatabase& database, std::uint32_t streams_max);
  ~TcpStreams();
  TcpStreams(const TcpStreams&) = delete;
  TcpStreams& operator=(const TcpStreams&) = delete;

  /// Takes the memory; searches with `scratch`. False when there is none.
  bool open(hs_scratch* scratch);
  /// What that many streams take.
  static std::uint64_t bytes_for(std::size_t stream_bytes, std::uint32_t streams_max);

  /// Forgets all streams.
  void forget() noexcept;
  std::uint32_t active() const noexcept { return used_; }

  /// Puts off the search of `data` if it goes on where the stream that is `known` ended, without
  /// SYN or RST; otherwise does nothing and is false.
  bool proceed(const StreamPlace& known, std::uint8_t flags, std::uint32_t sequence,
               std::span<const std::uint8_t> data, PayloadHits& hits) noexcept {
    if (!is_there(known))
      return false;
    Stream& stream = streams_[known.place];
    const std::uint32_t turn = put_off_count_;
    if ((flags & (kSyn | kRst)) != 0 || sequence != stream.next_sequence || data.empty() ||
        stream.first_piece != kNone || turn == kPutOffMax)
      return false;
    touch(known.place);
    __builtin_prefetch(stream.search);
    put_off_[turn] = {&hits, stream.begins_at, stream.search, data};
    put_off_count_ = turn + 1;
    stream.next_sequence += static_cast<std::uint32_t>(data.size());
    stream.searched += data.size();
    return true;
  }
  /// Searches what the segment adds to its stream, by finish() at the latest. Sets the hits of the
  /// queries of which a match ends in it, or in what has waited for it. `known` is where the flow's
  /// stream was; then where it is, if it has one.
  void accept(const TcpSegment& segment, StreamPlace& known, PayloadHits& hits,
              PayloadCounters& counters) noexcept;
  /// Searches what was put off: data and hits of segments accepted before are needed no longer.
  void finish(PayloadCounters& counters) noexcept;
  void prefetch(const StreamPlace& known) const noexcept {
    if (known.place < streams_max_)
      __builtin_prefetch(&streams_[known.place]);
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::uint8_t kSyn = 2;
  static constexpr std::uint8_t kRst = 4;

  /// What a segment in order needs is in the first 64 bytes.
  struct alignas(64) Stream {
    hs_stream* search = nullptr;      ///< its own as long as there is memory
    std::uint32_t ticket = 0;         ///< above 0 once there is a stream
    std::uint32_t touched = 0;        ///< the count of segments when it was last made the newest
    std::uint64_t begins_at = 0;      ///< bytes of the stream before the search was begun anew
    std::uint64_t searched = 0;       ///< bytes since then
    std::uint32_t next_sequence = 0;  ///< of the first byte not searched yet, nor put off
    std::uint32_t first_piece = kNone;
    std::uint32_t last_piece = kNone;
    std::uint32_t pieces = 0;
    std::uint32_t newer = kNone;
    std::uint32_t older = kNone;
    std::uint32_t initial_sequence = 0;  ///< of the SYN, where there was one
    bool begun_by_syn = false;
    PathId path_id = 0;
    std::uint32_t bucket = 0;
    std::uint32_t next_of_bucket = kNone;
    FlowKey key;
  };
  static_assert(sizeof(Stream) == 128);
  /// Bytes that came early. Those of a stream are in order and do not overlap.
  struct Piece {
    std::uint32_t sequence;
    std::uint32_t bytes;
    std::uint32_t next;
    std::uint8_t data[kPieceBytes];
  };
  /// A search that was put off.
  struct Search {
    PayloadHits* hits;
    std::uint64_t begins_at;
    hs_stream* stream;
    std::span<const std::uint8_t> data;
  };
  struct Found;
  void run(const Search& search) noexcept;
  static constexpr std::uint32_t kPutOffMax = 64;
  /// Whose segment it is, for what is searched at once.
  struct Segment {
    PayloadHits& hits;
    PayloadCounters& counters;
  };

  bool is_there(const StreamPlace& known) const noexcept {
    return known.place < used_ && streams_[known.place].ticket == known.ticket;
  }
  std::uint32_t bucket_of(const TcpSegment& segment) const noexcept;
  std::uint32_t find(const TcpSegment& segment, std::uint32_t bucket) const noexcept;
  std::uint32_t claim(const TcpSegment& segment, std::uint32_t bucket,
                      PayloadCounters& counters) noexcept;
  std::uint32_t evict_oldest() noexcept;
  /// Streams are in order but for what came among the last segments, an eighth as many as there is
  /// room for streams: putting each in its place every time would cost as much as finding it.
  void touch(std::uint32_t place) noexcept {
    ++segments_;
    if (segments_ - streams_[place].touched >= streams_max_ / 8)
      make_newest(place);
  }
  void make_newest(std::uint32_t place) noexcept;
  void link_newest(std::uint32_t place) noexcept;
  void unlink(std::uint32_t place) noexcept;
  void begin(std::uint32_t place, std::uint32_t sequence) noexcept;
  void offer(std::uint32_t place, std::uint32_t sequence, std::span<const std::uint8_t> data,
             const Segment& of) noexcept;
  void scan(std::uint32_t place, std::span<const std::uint8_t> data, const Segment& of) noexcept;
  void take_up_waiting(std::uint32_t place, const Segment& of) noexcept;
  void resynchronise(std::uint32_t place, std::uint32_t sequence, const Segment& of) noexcept;
  bool keep(Stream& stream, std::uint32_t sequence, std::span<const std::uint8_t> data) noexcept;
  bool put(Stream& stream, std::uint32_t after, std::uint32_t sequence,
           std::span<const std::uint8_t> data, std::uint32_t& last) noexcept;
  void drop_pieces(Stream& stream) noexcept;
  void drop_first_piece(Stream& stream) noexcept;

  const PayloadDatabase& database_;
  std::uint32_t streams_max_;
  std::unique_ptr<Stream[]> streams_;
  hs_scratch* scratch_ = nullptr;
  std::vector<std::uint32_t> buckets_;
  std::unique_ptr<Piece[]> pieces_;
  std::uint32_t used_ = 0;
  std::uint32_t segments_ = 0;     ///< modulo 2^32
  std::uint32_t last_ticket_ = 0;  ///< modulo 2^32
  std::uint32_t put_off_count_ = 0;
  std::uint32_t newest_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint32_t pieces_used_ = 0;
  std::uint32_t free_piece_ = kNone;
  std::array<Search, kPutOffMax> put_off_;  ///< in the order in which their bytes came
};

}  // namespace faultline
