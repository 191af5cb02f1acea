// Writes packets to a pcapng file: nanoseconds, one interface a port, the same bytes for the same
// packets on every machine and day. Which packets, in which order and with which words, is the
// caller's; nothing here sorts, filters or looks into a packet.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "record/capture_reader.hpp"

namespace faultline {

/// Buffered. The first write error (disk full, closed pipe) is kept: from then on write() does
/// nothing, ok() is false, and close() tells it. SIGPIPE is never raised.
class CaptureWriter {
 public:
  /// Opens `path` for writing, straight and truncated, or takes standard output for "-". Interface
  /// numbers are the positions in `interface_names` (each at most kInterfaceNameBytesMax bytes).
  static Result<CaptureWriter> create(const std::string& path,
                                      const std::vector<std::string>& interface_names);

  CaptureWriter(CaptureWriter&&) noexcept;
  CaptureWriter& operator=(CaptureWriter&&) noexcept;
  /// Flushes what is left if nobody closed; an error is lost then.
  ~CaptureWriter();

  /// `packet.interface` must be one of the names' positions and `packet.bytes` at most
  /// kCapturedBytesMax. An empty comment writes none; one over 65,535 bytes (UTF-8) is cut.
  void write(const CapturedPacket& packet, std::string_view comment = {});

  bool ok() const;

  /// What such a packet takes in the file.
  static std::uint64_t packet_bytes(const CapturedPacket& packet, std::string_view comment);
  /// Of the file, when all that was written so far is in it.
  std::uint64_t bytes() const;
  /// Packets that are in the file for certain.
  std::uint64_t packets_in_file() const;
  /// Hands over to the system what was written so far. Where that fails, the file ends with the
  /// last whole packet.
  void flush();

  /// Flushes, closes (standard output stays open) and tells the first error; again if called again.
  Result<void> close();

 private:
  class Encoder;
  explicit CaptureWriter(std::unique_ptr<Encoder> encoder);

  std::unique_ptr<Encoder> encoder_;
};

}  // namespace faultline
