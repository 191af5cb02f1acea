// What a run left in its folder, read: what is there, what is missing, and what of it cannot be
// used. Nothing here fails; the report says what it has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/event_log.hpp"
#include "report/series_table.hpp"

namespace faultline {

/// How reading one of the folder's files went.
struct FolderFile {
  std::string name;
  bool is_there = false;
  std::string trouble;  ///< empty: all of it was read
};

struct RunRecord {
  std::vector<FolderFile> files;
  std::string scenario;  ///< its text
  Json environment;      ///< null: not there; likewise the others
  Json statistics;
  Json verdict;
  Json flows;
  Json events = Json::array();
  std::uint64_t events_left_out = 0;  ///< behind the first few thousand
  SeriesTable series;

  bool is_empty() const;
};

RunRecord read_run_record(const std::string& path);

}  // namespace faultline
