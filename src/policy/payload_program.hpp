// What a policy's `payload:` matches need to run: the patterns' database, and for each worker a
// scanner with its streams. Made off the data path; a policy with the same patterns as the one
// before goes on with the same program, so that streams go on.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "match/payload_scanner.hpp"

namespace faultline {

class PayloadProgram {
 public:
  PayloadProgram(std::shared_ptr<const PayloadDatabase> database, std::uint32_t streams_max)
      : database_(std::move(database)), streams_max_(streams_max) {}

  /// Makes scanners for workers 0 … `workers` − 1 that have none yet. Errors: no memory.
  Result<void> prepare(std::uint32_t workers);
  /// Of a worker that was prepared for.
  PayloadScanner* scanner(std::uint32_t worker) const noexcept { return scanners_[worker].get(); }

  const std::shared_ptr<const PayloadDatabase>& database() const noexcept { return database_; }
  std::uint32_t streams_max() const noexcept { return streams_max_; }
  /// What a worker's streams take; 0 where nothing asks for streams.
  std::uint64_t streams_memory_bytes() const {
    return database_->stream() == nullptr
               ? 0
               : TcpStreams::bytes_for(database_->stream_bytes(), streams_max_);
  }

 private:
  std::shared_ptr<const PayloadDatabase> database_;
  std::uint32_t streams_max_;
  std::vector<std::unique_ptr<PayloadScanner>> scanners_;  ///< by worker
};

/// The database of these queries: the one that lives already, or one made of bytes that were kept,
/// or a new one. Any thread. Errors: as PayloadDatabase::compile.
Result<std::shared_ptr<const PayloadDatabase>> payload_database_of(
    std::span<const PayloadQuery* const> queries);

}  // namespace faultline
