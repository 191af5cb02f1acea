// Columns of samples.
#include "report/series_table.hpp"

#include <algorithm>

namespace faultline {
namespace {

constexpr std::size_t kColumnsMax = 4'000;

/// What goes up and down: what is held, delays and lateness. All else counts.
bool counts(const std::string& path) {
  const bool is_time = path.find("/delay/") != std::string::npos || path.starts_with("lateness/");
  return !path.starts_with("hold/") && path != "ledger/held" &&
         (!is_time || path.ends_with("/sum_ns") || path.ends_with("/early"));
}

Json differences_of(const std::vector<std::int64_t>& values) {
  Json differences = Json::array();
  std::int64_t before = 0;
  for (const std::int64_t value : values) {
    differences.push_back(value - before);
    before = value;
  }
  return differences;
}

}  // namespace

SeriesTable::Column& SeriesTable::column(const std::string& path) {
  const auto [found, is_new] = places_.try_emplace(path, columns_.size());
  if (is_new)
    columns_.push_back({path, counts(path), {}});
  return columns_[found->second];
}

void SeriesTable::flatten(const Json& json, std::string& path) {
  const std::size_t length = path.size();
  for (const auto& [key, value] : json.items()) {
    path += path.empty() ? key : "/" + key;
    if (value.is_object()) {
      flatten(value, path);
    } else if (value.is_number_integer() && path != "t_ns" &&
               (columns_.size() < kColumnsMax || places_.contains(path))) {
      Column& one = column(path);
      const auto number = value.get<std::int64_t>();
      const std::size_t row = times_ns_.size() - 1;
      // A rule that was not there before has counted nothing until then.
      if (one.values.size() <= row)
        one.values.resize(row + 1, 0);
      one.values[row] = one.is_counter ? number : std::max(one.values[row], number);
    }
    path.resize(length);
  }
}

bool SeriesTable::add(const Json& line) {
  const auto time = line.is_object() ? line.find("t_ns") : line.end();
  if (!line.is_object() || time == line.end() || !time->is_number_unsigned())
    return false;
  const auto time_ns = time->get<std::uint64_t>();
  if (time_ns > INT64_MAX || (samples_ > 0 && time_ns < last_ns_))
    return false;
  const bool is_new = samples_ == 0 || time_ns > last_ns_;
  last_ns_ = time_ns;
  if (is_new && samples_++ % stride_ == 0) {
    const std::size_t rows = std::max(kRowsMin, kNumbersMax / (columns_.size() + 1));
    if (times_ns_.size() >= rows && times_ns_.size() % 2 == 0)
      halve();
    if ((samples_ - 1) % stride_ == 0)
      times_ns_.push_back(0);
  }
  times_ns_.back() = static_cast<std::int64_t>(time_ns);
  std::string path;
  flatten(line, path);
  return true;
}

/// Each two rows become one.
void SeriesTable::halve() {
  const auto pair_up = [](std::vector<std::int64_t>& values, bool last) {
    for (std::size_t row = 0; row + 1 < values.size(); row += 2)
      values[row / 2] = last ? values[row + 1] : std::max(values[row], values[row + 1]);
    values.resize(values.size() / 2);
  };
  const std::size_t rows = times_ns_.size();
  pair_up(times_ns_, true);
  for (Column& one : columns_) {
    // A rule that went away has counted all it counted.
    one.values.resize(rows, one.values.empty() || !one.is_counter ? 0 : one.values.back());
    pair_up(one.values, one.is_counter);
  }
  stride_ *= 2;
}

Json SeriesTable::to_json() const {
  Json columns = Json::object();
  columns["t_ns"] = differences_of(times_ns_);
  for (const Column& one : columns_) {
    const auto is_zero = [](std::int64_t value) { return value == 0; };
    if (std::all_of(one.values.begin(), one.values.end(), is_zero))
      continue;
    std::vector<std::int64_t> values = one.values;
    values.resize(times_ns_.size(), one.is_counter ? one.values.back() : 0);
    columns[one.path] = differences_of(values);
  }
  return {{"samples", samples_}, {"stride", stride_}, {"columns", std::move(columns)}};
}

}  // namespace faultline
