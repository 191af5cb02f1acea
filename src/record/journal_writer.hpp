// Writes a journal: takes what workers put into their rings, has it encoded and appends it to the
// file, in a thread of its own where there are real workers. A file that cannot be written to ends
// the journal and nothing else.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "dataplane/journal_tap.hpp"
#include "record/journal_encoder.hpp"
#include "record/writer_thread.hpp"

namespace faultline {

struct JournalStatus {
  std::uint64_t hits = 0;   ///< in the file
  std::uint64_t lost = 0;   ///< exactly as many are not in it
  std::uint64_t bytes = 0;  ///< of the file
  std::string failure;      ///< why it ended early; empty: it did not
};

class JournalWriter {
 public:
  /// 16 MB a worker: a tenth of a second at five million hits a second.
  static constexpr std::uint64_t kRingWords = std::uint64_t{1} << 21;

  /// Makes the file. Errors: it cannot be made.
  static Result<std::unique_ptr<JournalWriter>> create(const std::string& path, std::size_t workers,
                                                       std::uint64_t ring_words = kRingWords);
  /// Ends it if nobody did.
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  /// What worker number `worker` is given as its witness. It must have let go of it before end().
  JournalTap& tap(std::size_t worker) { return ends_[worker]->tap; }
  /// What a generation's names mean; before any worker judges by it.
  void add_names(std::uint64_t generation, const JournalNames& names);
  /// From now on a thread of its own writes.
  void start();
  /// Writes what the rings hold, by whoever calls; not with start().
  void pump();
  /// Writes the rest and closes the file. Again: does nothing.
  void end();

  const std::string& path() const { return path_; }
  /// Any thread.
  JournalStatus status() const;

 private:
  struct WorkerEnd {
    WorkerEnd(std::uint64_t ring_words, JournalEncoder::NamesOf names_of)
        : ring(ring_words), tap(ring), encoder(std::move(names_of)) {}
    RecordRing ring;
    JournalTap tap;
    JournalEncoder encoder;
    std::atomic<std::uint64_t> forgotten{0};  ///< as the encoder has it
    std::uint64_t hits_told = 0;              ///< of the encoder's, those in the file
  };

  JournalWriter(std::string path, int descriptor, std::size_t workers, std::uint64_t ring_words);
  std::size_t take_all();
  bool turn();
  void write_records(std::size_t worker);
  void write_chunk(JournalChunkHead head, std::string_view bytes);
  void append(std::string_view bytes);
  const JournalNames* names_of(std::uint64_t generation) const;

  std::string path_;
  int descriptor_;
  std::vector<std::unique_ptr<WorkerEnd>> ends_;
  std::uint32_t turns_ = 0;  ///< since all records were written
  bool ended_ = false;

  mutable std::mutex mutex_;  ///< of all below
  JournalNamesByGeneration names_;
  std::uint64_t bytes_ = 0;
  std::uint64_t hits_ = 0;
  std::uint64_t unwritten_ = 0;  ///< hits encoded that the file did not take
  std::string failure_;
  WriterThread thread_;
};

}  // namespace faultline
