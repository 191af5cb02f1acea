// Reading the files of a run folder.
#include "report/run_record.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "base/file.hpp"

namespace faultline {
namespace {

constexpr std::size_t kObjectBytesMax = 256U << 20;
constexpr std::size_t kScenarioBytesMax = 16U << 20;
constexpr std::size_t kEventsMax = 5'000;

bool is_there(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0;
}

class FolderReader {
 public:
  explicit FolderReader(std::string path) : path_(std::move(path)) {}

  RunRecord read() {
    folder_.scenario = text("scenario.yaml", kScenarioBytesMax);
    folder_.verdict = object("verdict.json");
    folder_.statistics = object("stats.json");
    lines("series.jsonl", [this](const Json& line) { return folder_.series.add(line); });
    lines("events.jsonl", [this](const Json& line) {
      if (!line.is_object())
        return false;
      if (folder_.events.size() < kEventsMax)
        folder_.events.push_back(line);
      else
        ++folder_.events_left_out;
      return true;
    });
    folder_.environment = object("environment.json");
    // Not of every run.
    if (is_there(path_ + "/flows.json"))
      folder_.flows = object("flows.json");
    return std::move(folder_);
  }

 private:
  std::string text(const std::string& name, std::size_t bytes_max) {
    FolderFile& file =
        folder_.files.emplace_back(FolderFile{name, is_there(path_ + "/" + name), {}});
    if (!file.is_there)
      return {};
    FileText read = read_file(path_ + "/" + name, bytes_max);
    if (!read.readable)
      file.trouble = read.why;
    else if (read.text.size() > bytes_max)
      file.trouble = fmt::format("more than {} bytes", bytes_max);
    return file.trouble.empty() ? std::move(read.text) : std::string();
  }

  Json object(const std::string& name) {
    const std::string read = text(name, kObjectBytesMax);
    FolderFile& file = folder_.files.back();
    if (!file.is_there || !file.trouble.empty())
      return nullptr;
    Json json = Json::parse(read, nullptr, false);
    if (json.is_object())
      return json;
    file.trouble = "no JSON object";
    return nullptr;
  }

  /// A line that cannot be used is counted: a run that was cut off leaves half a one.
  template <typename Take>
  void lines(const std::string& name, const Take& take) {
    FolderFile& file =
        folder_.files.emplace_back(FolderFile{name, is_there(path_ + "/" + name), {}});
    std::ifstream in(path_ + "/" + name, std::ios::binary);
    if (file.is_there && !in)
      file.trouble = std::strerror(errno);
    std::size_t number = 0;
    std::size_t bad = 0;
    std::size_t first_bad = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      if (line.empty())
        continue;
      const Json json = Json::parse(line, nullptr, false);
      if (!json.is_discarded() && take(json))
        continue;
      first_bad = bad++ == 0 ? number : first_bad;
    }
    if (bad > 0)
      file.trouble = fmt::format("{} of {} lines could not be used, the first is line {}", bad,
                                 number, first_bad);
  }

  std::string path_;
  RunRecord folder_;
};

}  // namespace

bool RunRecord::is_empty() const {
  return std::none_of(files.begin(), files.end(),
                      [](const FolderFile& file) { return file.is_there; });
}

RunRecord read_run_record(const std::string& path) {
  return FolderReader(path).read();
}

}  // namespace faultline
