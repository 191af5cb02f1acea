// The folder that a run leaves behind, file by file. A file that cannot be written is told of once,
// and the others are written all the same: what a run came to must not hang on a full disk.
#pragma once

#include <fstream>
#include <map>
#include <string>

#include "control/event_log.hpp"

namespace faultline {

class RunFolder {
 public:
  /// Makes the folder, which must not be there, or be empty. Why not; empty: it is there.
  std::string make(const std::string& path);
  /// Takes it away again, if it was made here and nothing is in it.
  void unmake() const;
  const std::string& path() const { return path_; }
  std::string path_of(const std::string& file) const { return path_ + "/" + file; }

  void write(const std::string& file, const std::string& text);
  void write(const std::string& file, const Json& json) { write(file, json.dump(2) + "\n"); }
  /// More of a file in a folder of the folder.
  void append_bytes(const std::string& file, const std::string& bytes);
  /// A line more of a file that grows, which can be read meanwhile.
  void append(const std::string& file, const Json& json);
  /// By file that could not be written, why.
  const std::map<std::string, std::string>& failures() const { return failures_; }

 private:
  std::ofstream& growing(const std::string& file);
  void fail(const std::string& file);

  std::string path_;
  bool made_ = false;
  std::map<std::string, std::ofstream> growing_;
  std::map<std::string, std::string> failures_;
};

/// What was measured, and where: the machine and both programs.
Json environment_json(const Json& status, const Json& ports);

/// A sample of a run's statistics for `series.jsonl`: all counters, since time zero.
Json sample_json(const Json& run);

}  // namespace faultline
