// The samples of a run as columns of numbers, of which never more are kept than a page can show:
// where there would be more, neighbours become one. Counters stay exact, what goes up and down
// keeps its greatest value.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/event_log.hpp"

namespace faultline {

class SeriesTable {
 public:
  /// Numbers in all columns together.
  static constexpr std::size_t kNumbersMax = std::size_t{1} << 21;
  static constexpr std::size_t kRowsMin = 4'096;

  /// A line of series.jsonl. One of the same time as the line before takes its place. False: it is
  /// none, or of an earlier time.
  bool add(const Json& line);

  std::uint64_t samples() const { return samples_; }
  /// How many samples make a row.
  std::uint64_t stride() const { return stride_; }
  std::uint64_t last_ns() const { return samples_ == 0 ? 0 : last_ns_; }

  /// `samples`, `stride` and `columns`: by path ("rules/wan/dropped"; of time "t_ns") the first
  /// number and then differences. Columns of nothing but zeros are left out.
  Json to_json() const;

 private:
  struct Column {
    std::string path;
    bool is_counter = true;
    std::vector<std::int64_t> values;
  };

  void flatten(const Json& json, std::string& path);
  Column& column(const std::string& path);
  void halve();

  std::vector<Column> columns_;
  std::unordered_map<std::string, std::size_t> places_;
  std::vector<std::int64_t> times_ns_;
  std::uint64_t samples_ = 0;
  std::uint64_t stride_ = 1;
  std::uint64_t last_ns_ = 0;
};

}  // namespace faultline
