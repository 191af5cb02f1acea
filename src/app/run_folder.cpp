// Writing a run's folder.
#include "app/run_folder.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "control/version.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;

/// What stands behind the colon of the first such line.
std::string line_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(key))
      continue;
    const std::size_t text = line.find_first_not_of(" \t", colon + 1);
    return text == std::string::npos ? "" : line.substr(text);
  }
  return "";
}

}  // namespace

std::string RunFolder::make(const std::string& path) {
  path_ = path;
  std::error_code error;
  if (fs::exists(path, error)) {
    if (!fs::is_directory(path, error))
      return "is there already, and is no folder";
    if (!fs::is_empty(path, error))
      return error ? error.message() : "is there already, with something in it";
    return access(path.c_str(), W_OK) == 0 ? "" : std::strerror(errno);
  }
  made_ = fs::create_directories(path, error);
  return error ? error.message() : "";
}

void RunFolder::unmake() const {
  std::error_code ignored;  // something is in it: then it stays
  if (made_)
    fs::remove(path_, ignored);
}

void RunFolder::fail(const std::string& file) {
  failures_.emplace(file, std::strerror(errno));
}

void RunFolder::write(const std::string& file, const std::string& text) {
  errno = 0;
  std::ofstream out(path_of(file), std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out)
    fail(file);
}

std::ofstream& RunFolder::growing(const std::string& file) {
  auto [entry, is_new] = growing_.try_emplace(file);
  if (is_new) {
    std::error_code ignored;
    fs::create_directories(fs::path(path_of(file)).parent_path(), ignored);
    entry->second.open(path_of(file), std::ios::binary | std::ios::trunc);
  }
  return entry->second;
}

void RunFolder::append(const std::string& file, const Json& json) {
  append_bytes(file, json.dump() + "\n");
}

void RunFolder::append_bytes(const std::string& file, const std::string& bytes) {
  errno = 0;
  std::ofstream& out = growing(file);
  out << bytes;
  out.flush();
  if (!out)
    fail(file);
}

Json environment_json(const Json& status, const Json& ports) {
  utsname system{};
  uname(&system);
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  return {{"faultline", kVersion},
          {"faultlined", status.value("version", "")},
          {"machine",
           {{"host", system.nodename},
            {"system", std::string(system.sysname) + " " + system.release},
            {"processor", line_of("/proc/cpuinfo", "model name")},
            {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
            {"memory_bytes",
             static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes)}}},
          {"workers", status.value("workers", Json::array())},
          {"calibration",
           {{"clock", status.value("clock", Json::object())},
            {"own_latency_ns", status.value("own_latency_ns", Json())}}},
          {"ports", ports.value("ports", Json::array())}};
}

Json sample_json(const Json& run) {
  const Json& statistics = run["statistics"];
  Json sample = {{"t_ns", run["elapsed_ns"]}, {"ports", Json::object()}, {"rules", Json::object()}};
  for (const auto& [name, port] : statistics["ports"].items())
    for (const char* key : {"rx_packets", "rx_bytes", "tx_packets", "tx_bytes"})
      sample["ports"][name][key] = port[key];
  for (const auto& [name, rule] : statistics["rules"].items()) {
    for (const char* key : {"matched", "dropped", "delayed", "duplicated", "edited", "delay"})
      sample["rules"][name][key] = rule[key];
    sample["rules"][name]["lost"] = rule["loss"]["lost"];
    sample["rules"][name]["judged"] = rule["loss"]["judged"];
  }
  sample["hold"] = {{"packets", statistics["hold"]["packets"]},
                    {"bytes", statistics["hold"]["bytes"]}};
  sample["lateness"] = statistics["lateness"];
  sample["ledger"] = statistics["ledger"];
  return sample;
}

}  // namespace faultline
