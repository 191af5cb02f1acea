// Keeping runs.
#include "control/runs.hpp"

#include <algorithm>
#include <filesystem>

namespace faultline {

std::string_view Run::state_at(std::uint64_t now_ns) const {
  if (is_over())
    return "over";
  if (now_ns < zero_ns)
    return "waiting";
  return ended_by.empty() && now_ns < ends_ns ? "running" : "draining";
}

Json Run::to_json(std::uint64_t now_ns) const {
  const std::uint64_t until_ns = over_ns.value_or(now_ns);
  return {{"id", id},
          {"name", name},
          {"seed", seed},
          {"state", state_at(now_ns)},
          {"zero_unix_ns", zero_unix_ns},
          {"zero_uptime_ns", zero_uptime_ns},
          {"duration_ns", ends_ns - zero_ns},
          {"elapsed_ns", until_ns - std::min(until_ns, zero_ns)},
          {"lease", lease.empty() ? Json(nullptr) : Json(lease)},
          {"journal", journal},
          {"captures", captures},
          {"unrecorded", unrecorded.empty() ? Json(nullptr) : Json(unrecorded)},
          {"ended_by", ended_by.empty() ? Json(nullptr) : Json(ended_by)}};
}

Run* Runs::current() {
  return runs_.empty() || runs_.back().is_over() ? nullptr : &runs_.back();
}

Run& Runs::begin(Run run) {
  ++begun_;
  runs_.push_back(std::move(run));
  if (runs_.size() > kKept) {
    std::error_code ignored;
    if (!runs_.front().folder.empty())
      std::filesystem::remove_all(runs_.front().folder, ignored);
    runs_.pop_front();
  }
  return runs_.back();
}

Run* Runs::find(const std::string& id) {
  const auto found = std::ranges::find(runs_, id, &Run::id);
  return found == runs_.end() ? nullptr : &*found;
}

Json Runs::to_json(std::uint64_t now_ns) const {
  Json all = Json::array();
  for (const Run& run : runs_) all.push_back(run.to_json(now_ns));
  return {{"runs", all}};
}

}  // namespace faultline
