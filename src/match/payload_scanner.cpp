// Asking Hyperscan about packets.
#include "match/payload_scanner.hpp"

#include <hs.h>

#include <algorithm>

namespace faultline {
namespace {

std::size_t number_at(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  return static_cast<std::size_t>(bytes[at]) << 8 | bytes[at + 1];
}

/// Where the IP datagram, or the part of one, ends by its own header.
std::size_t datagram_end(const FrameFields& fields, std::span<const std::uint8_t> bytes) noexcept {
  const std::size_t header = fields.l3_offset;
  return fields.key.kind == FlowKind::kIpv4
             ? header + number_at(bytes, header + 2)
             : header + fields.l3_header_bytes + number_at(bytes, header + 4);
}

struct PacketSearch {
  const PayloadDatabase& database;
  PayloadHits& hits;
};

int found_in_packet(unsigned pattern, unsigned long long, unsigned long long, unsigned,
                    void* context) noexcept {
  const auto& search = *static_cast<PacketSearch*>(context);
  search.hits.set(PayloadHits::Half::kPacket, search.database.packet_query(pattern),
                  search.database.queries());
  return 0;
}

}  // namespace

std::span<const std::uint8_t> payload_by_datagram(const FrameFields& fields,
                                                  std::span<const std::uint8_t> bytes) noexcept {
  if (!fields.is_ip() || fields.body_offset == 0)
    return {};
  const std::size_t first = fields.l4_offset != 0 ? fields.payload_offset : fields.body_offset;
  const std::size_t end = std::min(datagram_end(fields, bytes), bytes.size());
  return first < end ? bytes.subspan(first, end - first) : std::span<const std::uint8_t>{};
}

PayloadScanner::PayloadScanner(std::shared_ptr<const PayloadDatabase> database)
    : database_(std::move(database)) {}

std::unique_ptr<PayloadScanner> PayloadScanner::create(
    std::shared_ptr<const PayloadDatabase> database, std::uint32_t streams_max) {
  std::unique_ptr<PayloadScanner> made(new PayloadScanner(std::move(database)));
  const PayloadDatabase& patterns = *made->database_;
  if (hs_alloc_scratch(patterns.packet(), &made->scratch_) != HS_SUCCESS)
    return nullptr;
  if (patterns.stream() == nullptr)
    return made;
  made->streams_ = std::make_unique<TcpStreams>(patterns, streams_max);
  if (hs_alloc_scratch(patterns.stream(), &made->scratch_) != HS_SUCCESS ||
      !made->streams_->open(made->scratch_))
    return nullptr;
  return made;
}

PayloadScanner::~PayloadScanner() {
  hs_free_scratch(scratch_);
}

void PayloadScanner::begin(PayloadCounters& counters) noexcept {
  counters_ = &counters;
  if (streams_ != nullptr)
    streams_->forget();
}

void PayloadScanner::search_packet(const FrameFields& fields, std::span<const std::uint8_t> bytes,
                                   PayloadHits& hits) noexcept {
  hits.search(PayloadHits::Half::kPacket);
  const std::span<const std::uint8_t> payload = payload_of(fields, bytes);
  if (payload.empty())
    return;
  ++counters_->scanned;
  PacketSearch search{*database_, hits};
  hs_scan(database_->packet(), reinterpret_cast<const char*>(payload.data()),
          static_cast<unsigned>(payload.size()), 0, scratch_, found_in_packet, &search);
}

}  // namespace faultline
