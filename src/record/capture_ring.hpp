// The files of one capture at one point of the way: NAME-POINT-000001.pcapng and so on, of which
// the newest are kept, so that they never take more room than they may. Where the disk is full the
// oldest goes first; where that does not help packets are lost and counted, and a second later it
// is tried again.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "record/capture_writer.hpp"

namespace faultline {

struct CaptureRingSettings {
  std::string stem;  ///< of the files' paths
  std::vector<std::string> port_names;
  std::uint64_t file_bytes = 0;  ///< kCaptureFileBytesMin or more
  std::uint32_t files = 1;
};

struct CaptureRingStatus {
  std::uint64_t packets = 0;  ///< in files, those that are gone again among them
  std::uint64_t lost = 0;     ///< that no file took
  std::uint64_t bytes = 0;    ///< of the files that are there
  std::uint64_t files = 0;    ///< likewise
  std::uint64_t removed = 0;  ///< files that made room for newer ones
  std::string failure;        ///< why the last packet that was lost was; empty: all is well
};

class CaptureRing {
 public:
  explicit CaptureRing(CaptureRingSettings settings) : settings_(std::move(settings)) {}

  /// `now_ns` of any clock that goes on: when to try again.
  void write(const CapturedPacket& packet, std::string_view comment, std::uint64_t now_ns);
  /// A packet that is to be in a file and cannot be.
  void lose() { ++status_.lost; }
  /// What was written so far can be read by others.
  void flush(std::uint64_t now_ns);
  void close();

  CaptureRingStatus status() const;

 private:
  struct File {
    std::string path;
    std::uint64_t bytes = 0;
  };

  bool open(std::uint64_t now_ns);
  void settle();
  void give_up(std::uint64_t now_ns, std::string why);
  void remove_oldest();

  CaptureRingSettings settings_;
  std::optional<CaptureWriter> writer_;  ///< of the newest file
  std::uint64_t written_ = 0;            ///< packets, into the newest file
  std::deque<File> files_;               ///< the oldest first
  std::uint64_t numbered_ = 0;
  std::uint64_t try_again_ns_ = 0;
  CaptureRingStatus status_;
};

}  // namespace faultline
