// All `payload:` patterns of a policy as Hyperscan's databases: one for packets, one for streams (a
// database is either). Compiled off the data path, immutable, shared by policies and workers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "match/payload_query.hpp"

struct hs_database;

namespace faultline {

/// Where a query's matches may lie, for what Hyperscan cannot know: a stream that was taken up
/// again behind a gap.
struct QueryPlace {
  std::uint64_t within_bytes = UINT64_MAX;
  bool at_offset = false;
};

class PayloadDatabase {
 public:
  /// Different queries of one policy.
  static constexpr std::size_t kQueriesMax = 1'024;

  /// Errors: too many, or a pattern that
  /// only compiling shows to be too much, at its own place.
  static Result<std::shared_ptr<const PayloadDatabase>> compile(
      std::span<const PayloadQuery* const> queries);

  /// As bytes that this process may read again; empty where Hyperscan has no memory for them.
  struct Bytes {
    std::string packet;
    std::string stream;
  };
  Bytes to_bytes() const;
  /// Null where the bytes are none of `queries`.
  static std::shared_ptr<const PayloadDatabase> from_bytes(
      const Bytes& bytes, std::span<const PayloadQuery* const> queries);

  /// For packets.
  const hs_database* packet() const noexcept { return packet_.get(); }
  /// For streams; null where no query asks for them.
  const hs_database* stream() const noexcept { return stream_.get(); }
  /// What one stream takes; 0 without streams.
  std::size_t stream_bytes() const noexcept { return stream_bytes_; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::size_t queries() const noexcept { return places_.size(); }
  /// Which query a pattern is of, by the number that Hyperscan reports.
  std::uint16_t packet_query(unsigned pattern) const noexcept { return packet_queries_[pattern]; }
  std::uint16_t stream_query(unsigned pattern) const noexcept { return stream_queries_[pattern]; }
  const QueryPlace& place(std::size_t query) const noexcept { return places_[query]; }

 private:
  using Database = std::shared_ptr<hs_database>;
  void finish(std::span<const PayloadQuery* const> queries);

  Database packet_;
  Database stream_;
  std::size_t stream_bytes_ = 0;
  std::size_t bytes_ = 0;
  std::vector<std::uint16_t> packet_queries_;
  std::vector<std::uint16_t> stream_queries_;
  std::vector<QueryPlace> places_;
};

}  // namespace faultline
