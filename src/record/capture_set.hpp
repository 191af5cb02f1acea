// All captures of a scenario: what workers put into their rings becomes packets with comments, in
// the order of time, in the files of each capture and point. In a thread of its own where there are
// real workers. A disk that is full costs packets, which are counted, and nothing else.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.hpp"
#include "dataplane/capture_tap.hpp"
#include "record/capture_comment.hpp"
#include "record/capture_ring.hpp"
#include "record/journal_format.hpp"
#include "record/writer_thread.hpp"

namespace faultline {

struct CaptureStatus {
  std::string name;
  std::string_view point;
  CaptureRingStatus ring;
};

class CaptureSet {
 public:
  /// 16 MB a worker.
  static constexpr std::uint64_t kRingWords = std::uint64_t{1} << 21;

  struct Settings {
    std::string folder;  ///< made if it is not there; files in it are made anew
    std::vector<CaptureSpec> captures;
    std::vector<std::string> port_names;
    std::size_t workers = 1;
    std::uint64_t ring_words = kRingWords;
    /// What is added to a packet's time to have it since 1970.
    std::uint64_t unix_offset_ns = 0;
  };
  /// Errors: the folder cannot be made.
  static Result<std::unique_ptr<CaptureSet>> create(Settings settings);
  /// Ends it if nobody did.
  ~CaptureSet();
  CaptureSet(const CaptureSet&) = delete;
  CaptureSet& operator=(const CaptureSet&) = delete;

  /// What worker number `worker` is given as its witness. It must have let go of it before end().
  CaptureTap& tap(std::size_t worker) { return ends_[worker]->tap; }
  /// What a generation's names mean; before any worker judges by it.
  void add_names(std::uint64_t generation, const JournalNames& names);
  /// From now on a thread of its own writes. `now_ns` is the workers' clock.
  void start(std::function<std::uint64_t()> now_ns);
  /// Writes what the rings hold, by whoever calls, at the workers' time; not with start().
  void pump(std::uint64_t now_ns) { turn(now_ns); }
  /// Writes the rest and closes the files. Again: does nothing.
  void end();

  const std::vector<CaptureSpec>& captures() const { return settings_.captures; }
  const std::string& folder() const { return settings_.folder; }
  /// Any thread: by capture and point, of those that are asked for.
  std::vector<CaptureStatus> status() const;
  /// Packets of which not even the capture is known, for no room at all.
  std::uint64_t lost() const;

 private:
  /// A packet on its way.
  struct Packet {
    std::uint16_t captures = 0;
    std::uint64_t number = 0;
    std::vector<CaptureTouchRecord> touches;
  };
  struct WorkerEnd {
    WorkerEnd(std::uint64_t ring_words, const std::vector<CaptureSpec>& captures)
        : ring(ring_words), tap(ring, captures) {}
    RecordRing ring;
    CaptureTap tap;
    std::unordered_map<std::uint64_t, Packet> packets;
  };
  /// A frame that waits until nothing can come before it any more.
  struct Frame {
    CaptureFrameRecord record;
    std::uint16_t captures = 0;
    std::string comment;
    std::string bytes;
  };
  struct Later {
    bool operator()(const Frame& left, const Frame& right) const;
  };

  explicit CaptureSet(Settings settings);
  bool take_all();
  bool turn(std::uint64_t now_ns);
  void read(WorkerEnd& end, std::span<const std::uint64_t> words);
  void touch(Packet& packet, const CaptureTouchRecord& record) const;
  void frame(WorkerEnd& end, const CaptureFrameRecord& record, const std::uint64_t* bytes);
  std::string comment_of(const Packet& packet, const CaptureFrameRecord& record) const;
  void write_until(std::uint64_t horizon_ns);
  void write(const Frame& frame);
  void flush_files();
  CaptureRing& files(std::size_t capture, std::size_t point) {
    return *files_[capture * kCapturePointNames.size() + point];
  }
  const JournalNames* names_of(std::uint64_t generation) const;

  Settings settings_;
  std::vector<std::unique_ptr<WorkerEnd>> ends_;
  std::vector<std::unique_ptr<CaptureRing>> files_;  ///< by capture and point; null: not asked for
  std::priority_queue<Frame, std::vector<Frame>, Later> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t now_ns_ = 0;  ///< of the turn that goes on, or of the last
  std::uint64_t next_flush_ns_ = 0;
  bool ended_ = false;
  mutable std::mutex mutex_;  ///< of the files, and of:
  JournalNamesByGeneration names_;
  WriterThread thread_;
};

/// By capture and point, as the statistics have it: a list of {name, point, packets, lost, bytes,
/// files, removed, failure}.
nlohmann::ordered_json to_json(const CaptureSet& captures);

}  // namespace faultline
