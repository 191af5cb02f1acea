// One worker's searching of payloads: its scratch space and its streams. Everything is allocated by
// create(); what packets need afterwards is bounded and at hand.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "match/payload_database.hpp"
#include "match/payload_hits.hpp"
#include "match/tcp_streams.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

/// The bytes behind a packet's headers, up to the end of its datagram: behind those of TCP, UDP,
/// SCTP and ICMP, of other protocols and of later fragments behind IP. Empty where it is not IP.
/// `bytes` are the frame's, as far as they are there.
std::span<const std::uint8_t> payload_by_datagram(const FrameFields& fields,
                                                  std::span<const std::uint8_t> bytes) noexcept;
inline std::span<const std::uint8_t> payload_of(const FrameFields& fields,
                                                std::span<const std::uint8_t> bytes) noexcept {
  // Of TCP and UDP the parser has counted them.
  if (fields.l4_offset == 0 ||
      (fields.key.protocol != kProtocolTcp && fields.key.protocol != kProtocolUdp))
    return payload_by_datagram(fields, bytes);
  const std::size_t first = std::min<std::size_t>(fields.payload_offset, bytes.size());
  return bytes.subspan(first, std::min<std::size_t>(fields.payload_bytes, bytes.size() - first));
}

class PayloadScanner {
 public:
  /// Room for `streams_max` streams where the database has some. Null where there is no memory.
  static std::unique_ptr<PayloadScanner> create(std::shared_ptr<const PayloadDatabase> database,
                                                std::uint32_t streams_max);
  ~PayloadScanner();
  PayloadScanner(const PayloadScanner&) = delete;
  PayloadScanner& operator=(const PayloadScanner&) = delete;

  /// Forgets all streams and counts into `counters` from now on.
  void begin(PayloadCounters& counters) noexcept;
  std::uint32_t streams() const noexcept { return streams_ ? streams_->active() : 0; }

  /// Whether the packet's bytes belong to a stream: a whole TCP segment.
  static bool is_segment(const FrameFields& fields) noexcept {
    return fields.is_ip() && fields.key.protocol == kProtocolTcp && fields.l4_offset != 0 &&
           fields.fragment == FragmentKind::kNone;
  }
  /// Fills the packet's half.
  void search_packet(const FrameFields& fields, std::span<const std::uint8_t> bytes,
                     PayloadHits& hits) noexcept;
  /// Fills the stream's half for a segment, at finish() at the latest: frame and hits must stay
  /// until then. All segments of a flow are shown, in the order of their arrival. `known` is where
  /// the flow's stream was found last, and then where it was found now: true if that is elsewhere.
  bool search_stream(const FrameFields& fields, std::span<const std::uint8_t> bytes,
                     const StreamName& name, StreamPlace& known, PayloadHits& hits) noexcept {
    if (streams_ == nullptr || !is_segment(fields))
      return false;
    hits.search(PayloadHits::Half::kStream);
    const std::uint32_t sequence = sequence_of(fields, bytes);
    const std::span<const std::uint8_t> data = payload_of(fields, bytes);
    if (streams_->proceed(known, fields.tcp_flags, sequence, data, hits)) [[likely]]
      return false;
    const std::uint32_t ticket = known.ticket;
    streams_->accept({fields.key, name, fields.tcp_flags, sequence, data}, known, hits, *counters_);
    return known.ticket != ticket;
  }
  void finish() noexcept {
    if (streams_ != nullptr)
      streams_->finish(*counters_);
  }
  /// A flow that is known to have its stream there will come soon.
  void prefetch(const StreamPlace& known) const noexcept {
    if (streams_ != nullptr)
      streams_->prefetch(known);
  }

 private:
  static std::uint32_t sequence_of(const FrameFields& fields,
                                   std::span<const std::uint8_t> bytes) noexcept {
    std::uint32_t sequence = 0;
    std::memcpy(&sequence, &bytes[fields.l4_offset + 4U], sizeof(sequence));
    return __builtin_bswap32(sequence);
  }
  explicit PayloadScanner(std::shared_ptr<const PayloadDatabase> database);

  std::shared_ptr<const PayloadDatabase> database_;
  hs_scratch* scratch_ = nullptr;
  std::unique_ptr<TcpStreams> streams_;
  PayloadCounters* counters_ = nullptr;
};

}  // namespace faultline
