// One capture on its way into the simulation, read one packet ahead. Time-stamps that run backwards
// count as the latest seen.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "record/capture_reader.hpp"
#include "sim/cut_frames.hpp"
#include "sim/entry.hpp"

namespace faultline {

class Source {
 public:
  Source(Entry entry, CaptureReader reader)
      : entry_(std::move(entry)), reader_(std::move(reader)) {}

  /// Reads the next packet; live() tells whether there was one.
  Result<void> advance();

  bool live() const { return live_; }
  std::uint64_t arrival_ns() const { return arrival_ns_; }
  /// Where the packet enters.
  std::uint8_t port() const { return port_; }
  /// The packet as captured.
  std::span<const std::byte> bytes() const { return packet_.bytes; }
  /// Whether the data path is given something else than bytes().
  bool is_cut() const {
    return packet_.bytes.size() != packet_.original_length_bytes ||
           packet_.bytes.size() != carried_bytes_;
  }
  /// The length of what the data path is given: bytes(), cut, or followed by zeros.
  std::uint32_t carried_bytes() const { return carried_bytes_; }
  CutFrame cut_frame() const;

  std::uint64_t backwards() const { return backwards_; }
  std::uint64_t shortened() const { return shortened_; }
  std::uint64_t oversized() const { return oversized_; }
  /// How far the file has been read.
  std::uint64_t offset_bytes() const { return reader_.offset_bytes(); }

  /// Whose packet enters first: time, then port.
  bool before(const Source& other) const {
    return std::pair(arrival_ns_, port_) < std::pair(other.arrival_ns_, other.port_);
  }

 private:
  std::uint32_t length_to_carry() const;

  Entry entry_;
  CaptureReader reader_;
  CapturedPacket packet_;
  std::uint64_t arrival_ns_ = 0;
  std::uint64_t backwards_ = 0;
  std::uint64_t shortened_ = 0;
  std::uint64_t oversized_ = 0;
  std::uint32_t carried_bytes_ = 0;
  std::uint8_t port_ = 0;
  bool live_ = false;
};

}  // namespace faultline
