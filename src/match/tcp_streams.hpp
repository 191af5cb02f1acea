// TCP streams of a worker, searched in the order of their bytes: what comes twice is skipped, what
// comes early waits in a bounded store until the gap before it is filled. A stream that
// has been without a segment longest, or nearly so, makes room. Everything is allocated by open(),
// nothing afterwards.
#pragma once

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
  std::uint8_t ingress = 0;    ///< the port it comes in on
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

  /// Takes the memory. False when there is none.
  bool open();
  /// What that many streams take.
  static std::uint64_t bytes_for(std::size_t stream_bytes, std::uint32_t streams_max);

  /// Forgets all streams.
  void forget() noexcept;
  std::uint32_t active() const noexcept { return used_; }

  /// Searches what the segment adds to its stream. Sets the bits of the queries of which a match
  /// ends in it, or in what has waited for it.
  void accept(const TcpSegment& segment, hs_scratch* scratch, PayloadBits& hits,
              PayloadCounters& counters) noexcept;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Stream {
    FlowKey key;
    std::uint32_t next_sequence = 0;     ///< of the first byte not searched yet
    std::uint32_t initial_sequence = 0;  ///< of the SYN, where there was one
    std::uint64_t begins_at = 0;         ///< bytes of the stream before the search was begun anew
    std::uint64_t searched = 0;          ///< bytes since then
    std::uint32_t newer = kNone;
    std::uint32_t older = kNone;
    std::uint32_t bucket = 0;
    std::uint32_t next_of_bucket = kNone;
    std::uint32_t touched = 0;  ///< the count of segments when it was last made the newest
    std::uint32_t first_piece = kNone;
    std::uint32_t last_piece = kNone;
    std::uint32_t pieces = 0;
    std::uint8_t ingress = 0;
    bool begun_by_syn = false;
  };
  /// Bytes that came early. Those of a stream are in order and do not overlap.
  struct Piece {
    std::uint32_t sequence;
    std::uint32_t bytes;
    std::uint32_t next;
    std::uint8_t data[kPieceBytes];
  };
  struct Search;

  std::uint32_t bucket_of(const TcpSegment& segment) const noexcept;
  std::uint32_t find(const TcpSegment& segment, std::uint32_t bucket) const noexcept;
  std::uint32_t claim(const TcpSegment& segment, std::uint32_t bucket,
                      PayloadCounters& counters) noexcept;
  std::uint32_t evict_oldest() noexcept;
  void touch(std::uint32_t place) noexcept;
  void link_newest(std::uint32_t place) noexcept;
  void unlink(std::uint32_t place) noexcept;
  void begin(std::uint32_t place, std::uint32_t sequence) noexcept;
  void offer(std::uint32_t place, std::uint32_t sequence, std::span<const std::uint8_t> data,
             Search& search) noexcept;
  void scan(std::uint32_t place, std::span<const std::uint8_t> data, Search& search) noexcept;
  void take_up_waiting(std::uint32_t place, Search& search) noexcept;
  void resynchronise(std::uint32_t place, std::uint32_t sequence, Search& search) noexcept;
  bool keep(Stream& stream, std::uint32_t sequence, std::span<const std::uint8_t> data) noexcept;
  bool put(Stream& stream, std::uint32_t after, std::uint32_t sequence,
           std::span<const std::uint8_t> data, std::uint32_t& last) noexcept;
  void drop_pieces(Stream& stream) noexcept;
  void drop_first_piece(Stream& stream) noexcept;

  const PayloadDatabase& database_;
  std::uint32_t streams_max_;
  std::unique_ptr<Stream[]> streams_;
  std::vector<hs_stream*> searches_;  ///< by stream
  std::vector<std::uint32_t> buckets_;
  std::unique_ptr<Piece[]> pieces_;
  std::uint32_t used_ = 0;
  std::uint32_t segments_ = 0;  ///< modulo 2^32
  std::uint32_t newest_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint32_t pieces_used_ = 0;
  std::uint32_t free_piece_ = kNone;
};

}  // namespace faultline
