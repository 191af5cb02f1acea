// What `simulate` writes about packets: the capture of what was sent, one of what was dropped, and
// a journal of what rules did, one line of JSON each.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "record/capture_writer.hpp"
#include "sim/departures.hpp"

namespace faultline {

enum class Annotate : std::uint8_t {
  kNone,
  kTouched,  ///< packets that a rule changed
  kAll,      ///< every packet; one that no rule changed says so
};

struct CaptureSinkSettings {
  std::string out;
  std::string drops;    ///< empty: not asked for
  std::string journal;  ///< empty: not asked for
  Annotate annotate = Annotate::kTouched;
  std::vector<std::string> port_names;
};

class CaptureSink final : public DepartureSink {
 public:
  /// Opens all files. Errors: one cannot be opened.
  static Result<std::unique_ptr<CaptureSink>> create(const CaptureSinkSettings& settings);
  ~CaptureSink() override;

  void departed(const Departure& departure, const PacketTrail& trail) override;

  /// Flushes and closes everything and tells the first error.
  Result<void> close();

 private:
  CaptureSink(const CaptureSinkSettings& settings, CaptureWriter out);
  void comment_on(const Departure& departure, const PacketTrail& trail);
  void write_journal(const Departure& departure, const PacketTrail& trail);

  CaptureSinkSettings settings_;
  CaptureWriter out_;
  std::optional<CaptureWriter> drops_;
  std::FILE* journal_ = nullptr;
  bool journal_failed_ = false;
  std::string comment_;
};

}  // namespace faultline
