// Keeping TCP streams in order.
#include "match/tcp_streams.hpp"

#include <hs.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

namespace faultline {
namespace {

/// How far `sequence` is ahead of `reference`, modulo 2^32 (RFC 9293, section 3.4).
std::int32_t distance(std::uint32_t sequence, std::uint32_t reference) noexcept {
  return static_cast<std::int32_t>(sequence - reference);
}

}  // namespace

/// Where Hyperscan tells what it found.
struct TcpStreams::Found {
  const PayloadDatabase& database;
  const Search& search;

  static int tell(unsigned pattern, unsigned long long, unsigned long long to, unsigned,
                  void* context) noexcept {
    const auto& [database, search] = *static_cast<const Found*>(context);
    const std::uint16_t query = database.stream_query(pattern);
    if (search.begins_at > 0) [[unlikely]] {
      const QueryPlace& place = database.place(query);
      if (place.at_offset || search.begins_at + to > place.within_bytes)
        return 0;
    }
    search.hits->set(PayloadHits::Half::kStream, query, database.queries());
    return 0;
  }
};

TcpStreams::TcpStreams(const PayloadDatabase& database, std::uint32_t streams_max)
    : database_(database), streams_max_(streams_max) {}

TcpStreams::~TcpStreams() {
  for (std::uint32_t place = 0; streams_ != nullptr && place < streams_max_; ++place)
    if (streams_[place].search != nullptr)
      hs_close_stream(streams_[place].search, nullptr, nullptr, nullptr);
}

std::uint64_t TcpStreams::bytes_for(std::size_t stream_bytes, std::uint32_t streams_max) {
  constexpr std::uint64_t kAllocationBytes = 32;  // of malloc, and what Hyperscan puts in front
  const std::uint64_t each = stream_bytes + kAllocationBytes + sizeof(Stream);
  return streams_max * each + std::bit_ceil(streams_max) * sizeof(std::uint32_t) +
         kPiecesMax * sizeof(Piece);
}

bool TcpStreams::open(hs_scratch* scratch) {
  scratch_ = scratch;
  streams_.reset(new (std::nothrow) Stream[streams_max_]);
  pieces_.reset(new (std::nothrow) Piece[kPiecesMax]);
  if (streams_ == nullptr || pieces_ == nullptr)
    return false;
  buckets_.resize(std::bit_ceil(streams_max_));
  for (std::uint32_t place = 0; place < streams_max_; ++place)
    if (hs_open_stream(database_.stream(), 0, &streams_[place].search) != HS_SUCCESS)
      return false;
  forget();
  return true;
}

void TcpStreams::forget() noexcept {
  std::ranges::fill(buckets_, kNone);
  used_ = 0;
  newest_ = oldest_ = kNone;
  pieces_used_ = 0;
  free_piece_ = kNone;
  put_off_count_ = 0;
}

void TcpStreams::run(const Search& search) noexcept {
  Found found{database_, search};
  hs_scan_stream(search.stream, reinterpret_cast<const char*>(search.data.data()),
                 static_cast<unsigned>(search.data.size()), 0, scratch_, Found::tell, &found);
}

void TcpStreams::finish(PayloadCounters& counters) noexcept {
  const std::uint32_t count = put_off_count_;
  for (std::uint32_t turn = 0; turn < count; ++turn) run(put_off_[turn]);
  counters.scanned += count;
  put_off_count_ = 0;
}

/// What was put off comes first: it may be of the same stream.
void TcpStreams::accept(const TcpSegment& segment, StreamPlace& known, PayloadHits& hits,
                        PayloadCounters& counters) noexcept {
  const bool opens = (segment.flags & kSyn) != 0;
  if (segment.data.empty() && !opens)
    return;
  finish(counters);
  const std::uint32_t bucket = bucket_of(segment);
  std::uint32_t place = is_there(known) ? known.place : find(segment, bucket);
  const std::uint32_t first = segment.sequence + (opens ? 1 : 0);
  if (place == kNone) {
    place = claim(segment, bucket, counters);
    begin(place, first);
  } else if (opens && !(streams_[place].begun_by_syn &&
                        streams_[place].initial_sequence == segment.sequence)) {
    ++counters.streams;
    begin(place, first);
  }
  touch(place);
  known = {place, streams_[place].ticket};
  if (opens) {
    streams_[place].begun_by_syn = true;
    streams_[place].initial_sequence = segment.sequence;
  }
  if (segment.data.empty() || (segment.flags & kRst) != 0)
    return;
  ++counters.scanned;
  offer(place, first, segment.data, {hits, counters});
}

/// Bytes that continue the stream are searched, others wait or have been searched before.
void TcpStreams::offer(std::uint32_t place, std::uint32_t sequence,
                       std::span<const std::uint8_t> data, const Segment& of) noexcept {
  Stream& stream = streams_[place];
  const std::int32_t ahead = distance(sequence, stream.next_sequence);
  if (ahead <= 0) {
    const auto known = static_cast<std::uint32_t>(-std::int64_t{ahead});
    if (known >= data.size())
      return;
    scan(place, data.subspan(known), of);
    take_up_waiting(place, of);
    return;
  }
  if (static_cast<std::uint32_t>(ahead) <= kAheadMaxBytes && keep(stream, sequence, data))
    return;
  resynchronise(place, sequence, of);
  scan(place, data, of);
}

void TcpStreams::scan(std::uint32_t place, std::span<const std::uint8_t> data,
                      const Segment& of) noexcept {
  Stream& stream = streams_[place];
  run({&of.hits, stream.begins_at, stream.search, data});
  stream.next_sequence += static_cast<std::uint32_t>(data.size());
  stream.searched += data.size();
}

void TcpStreams::take_up_waiting(std::uint32_t place, const Segment& of) noexcept {
  Stream& stream = streams_[place];
  while (stream.first_piece != kNone) {
    const Piece& piece = pieces_[stream.first_piece];
    const std::int32_t ahead = distance(piece.sequence, stream.next_sequence);
    if (ahead > 0)
      return;
    const auto known = static_cast<std::uint32_t>(-ahead);
    if (known < piece.bytes)
      scan(place, {piece.data + known, piece.bytes - known}, of);
    drop_first_piece(stream);
  }
}

/// Goes on at `sequence`, as if the stream began there.
void TcpStreams::resynchronise(std::uint32_t place, std::uint32_t sequence,
                               const Segment& of) noexcept {
  Stream& stream = streams_[place];
  const std::uint64_t at = stream.begins_at + stream.searched + (sequence - stream.next_sequence);
  drop_pieces(stream);
  hs_reset_stream(stream.search, 0, nullptr, nullptr, nullptr);
  stream.begins_at = at;
  stream.searched = 0;
  stream.next_sequence = sequence;
  ++of.counters.resynchronised;
}

void TcpStreams::begin(std::uint32_t place, std::uint32_t sequence) noexcept {
  Stream& stream = streams_[place];
  drop_pieces(stream);
  hs_reset_stream(stream.search, 0, nullptr, nullptr, nullptr);
  stream.begins_at = 0;
  stream.searched = 0;
  stream.next_sequence = sequence;
  stream.begun_by_syn = false;
}

// --- bytes that came early -----------------------------------------------------------------------

/// Puts what is new of `data` among the pieces; the first to bring a byte is believed. False when
/// there is no room.
bool TcpStreams::keep(Stream& stream, std::uint32_t sequence,
                      std::span<const std::uint8_t> data) noexcept {
  std::uint32_t after = kNone;
  std::uint32_t next = stream.first_piece;
  if (stream.last_piece != kNone) {
    const Piece& last = pieces_[stream.last_piece];
    if (distance(sequence, last.sequence + last.bytes) >= 0) {
      after = stream.last_piece;
      next = kNone;
    }
  }
  while (!data.empty()) {
    std::size_t fits = data.size();
    if (next != kNone) {
      const std::int32_t gap = distance(pieces_[next].sequence, sequence);
      fits = gap <= 0 ? 0 : std::min<std::size_t>(fits, static_cast<std::uint32_t>(gap));
    }
    if (fits > 0 && !put(stream, after, sequence, data.first(fits), after))
      return false;
    sequence += static_cast<std::uint32_t>(fits);
    data = data.subspan(fits);
    if (next == kNone)
      continue;
    const std::int32_t known = distance(pieces_[next].sequence + pieces_[next].bytes, sequence);
    if (known > 0 && !data.empty()) {
      const std::size_t skipped =
          std::min<std::size_t>(data.size(), static_cast<std::uint32_t>(known));
      sequence += static_cast<std::uint32_t>(skipped);
      data = data.subspan(skipped);
    }
    after = next;
    next = pieces_[next].next;
  }
  return true;
}

/// Puts pieces of `data` behind the piece `after` (kNone: in front); `last` becomes the last of
/// them.
bool TcpStreams::put(Stream& stream, std::uint32_t after, std::uint32_t sequence,
                     std::span<const std::uint8_t> data, std::uint32_t& last) noexcept {
  while (!data.empty()) {
    std::uint32_t made = free_piece_;
    if (stream.pieces == kPiecesOfOneMax)
      return false;
    if (made != kNone)
      free_piece_ = pieces_[made].next;
    else if (pieces_used_ < kPiecesMax)
      made = pieces_used_++;
    else
      return false;
    Piece& piece = pieces_[made];
    piece.sequence = sequence;
    piece.bytes = static_cast<std::uint32_t>(std::min<std::size_t>(data.size(), kPieceBytes));
    std::memcpy(piece.data, data.data(), piece.bytes);
    std::uint32_t& link = after == kNone ? stream.first_piece : pieces_[after].next;
    piece.next = link;
    link = made;
    if (piece.next == kNone)
      stream.last_piece = made;
    ++stream.pieces;
    sequence += piece.bytes;
    data = data.subspan(piece.bytes);
    after = last = made;
  }
  return true;
}

void TcpStreams::drop_first_piece(Stream& stream) noexcept {
  const std::uint32_t dropped = stream.first_piece;
  stream.first_piece = pieces_[dropped].next;
  if (stream.first_piece == kNone)
    stream.last_piece = kNone;
  pieces_[dropped].next = free_piece_;
  free_piece_ = dropped;
  --stream.pieces;
}

void TcpStreams::drop_pieces(Stream& stream) noexcept {
  while (stream.first_piece != kNone) drop_first_piece(stream);
}

// --- which stream --------------------------------------------------------------------------------

std::uint32_t TcpStreams::bucket_of(const TcpSegment& segment) const noexcept {
  const std::uint64_t vlans =
      (std::uint64_t{segment.key.outer_vlan} << 16) | segment.key.inner_vlan;
  const std::uint64_t name =
      segment.name.identity ^ (std::rotl(std::uint64_t{segment.name.path_id}, 56)) ^ vlans;
  return static_cast<std::uint32_t>((name * 0x9E3779B97F4A7C15) >> 32) &
         static_cast<std::uint32_t>(buckets_.size() - 1);
}

std::uint32_t TcpStreams::find(const TcpSegment& segment, std::uint32_t bucket) const noexcept {
  std::uint32_t place = buckets_[bucket];
  while (place != kNone &&
         !(streams_[place].path_id == segment.name.path_id && streams_[place].key == segment.key))
    place = streams_[place].next_of_bucket;
  return place;
}

/// A stream for a flow that has none.
std::uint32_t TcpStreams::claim(const TcpSegment& segment, std::uint32_t bucket,
                                PayloadCounters& counters) noexcept {
  ++counters.streams;
  std::uint32_t place = used_;
  if (used_ < streams_max_) {
    ++used_;
  } else {
    place = evict_oldest();
    ++counters.evicted;
  }
  Stream& stream = streams_[place];
  hs_stream* const search = stream.search;
  stream = Stream{};
  stream.search = search;
  last_ticket_ += last_ticket_ == UINT32_MAX ? 2 : 1;
  stream.ticket = last_ticket_;
  stream.key = segment.key;
  stream.path_id = segment.name.path_id;
  stream.bucket = bucket;
  stream.next_of_bucket = buckets_[bucket];
  buckets_[bucket] = place;
  link_newest(place);
  return place;
}

/// Takes its place from the stream that was longest without a segment.
std::uint32_t TcpStreams::evict_oldest() noexcept {
  const std::uint32_t place = oldest_;
  Stream& stream = streams_[place];
  drop_pieces(stream);
  unlink(place);
  std::uint32_t* link = &buckets_[stream.bucket];
  while (*link != place) link = &streams_[*link].next_of_bucket;
  *link = stream.next_of_bucket;
  return place;
}

void TcpStreams::make_newest(std::uint32_t place) noexcept {
  unlink(place);
  link_newest(place);
}

void TcpStreams::link_newest(std::uint32_t place) noexcept {
  streams_[place].touched = segments_;
  streams_[place].newer = kNone;
  streams_[place].older = newest_;
  (newest_ == kNone ? oldest_ : streams_[newest_].newer) = place;
  newest_ = place;
}

void TcpStreams::unlink(std::uint32_t place) noexcept {
  const Stream& stream = streams_[place];
  (stream.newer == kNone ? newest_ : streams_[stream.newer].older) = stream.older;
  (stream.older == kNone ? oldest_ : streams_[stream.older].newer) = stream.newer;
}

}  // namespace faultline
