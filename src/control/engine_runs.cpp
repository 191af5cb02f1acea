// Runs in the daemon: begun with a policy of their own, ended by their time, by whoever asks, by a
// lease or by what the scenario stops at, and over when what they held has left.
#include <time.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "base/wall_clock.hpp"
#include "control/engine.hpp"
#include "control/trigger_json.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;

/// From a request to time zero, at least: by then every worker has the policy.
constexpr std::uint64_t kLeadNs = 50 * kNsPerMs;
constexpr std::uint64_t kLeadMostNs = kNsPerSecond;
/// How long a run waits for what it holds.
constexpr std::uint64_t kDrainMostNs = 60 * kNsPerSecond;
constexpr std::uint64_t kWatchEveryNs = 20 * kNsPerMs;

/// Why a run that goes on ends now, by the time alone; empty: it does not.
std::string end_by_time(const Run& run, std::uint64_t now_ns) {
  if (now_ns >= run.ends_ns)
    return "duration";
  return run.lease_term != nullptr && !run.lease_term->holds_at(now_ns) ? "lease" : "";
}

/// The like, by what was counted.
std::string end_by_counts(const StopRules& stop, const StatisticsSum& sum) {
  if (stop.own_drops && sum.own_drops() >= *stop.own_drops)
    return "stop_when: own_drops";
  const auto overflow = static_cast<std::size_t>(DropReason::kOverflow);
  if (stop.full_hold && sum.total().counters.ledger.dropped[overflow] > 0)
    return "hold: on_full";
  return {};
}

tl::unexpected<ChangeFailure> refuse(Refusal refusal, std::string detail) {
  return tl::unexpected(ChangeFailure{refusal, std::move(detail), {}});
}

}  // namespace

tl::expected<Json, ChangeFailure> Engine::begin_run(const std::string& text,
                                                    const RunRequest& asked) {
  const std::lock_guard lock(mutex_);
  if (auto failed = check_may_change(std::nullopt))
    return tl::unexpected(std::move(*failed));
  if (const Run* run = runs_.current(); run != nullptr)
    return refuse(Refusal::kConflict,
                  fmt::format("run {} goes on; DELETE /v1/runs/{} ends it", run->id, run->id));
  const std::uint64_t now_unix_ns = unix_ns();
  const std::uint64_t at_ns = asked.at_unix_ns.value_or(now_unix_ns + kLeadNs);
  if (at_ns < now_unix_ns + kLeadNs / 2 || at_ns > now_unix_ns + kLeadMostNs)
    return refuse(Refusal::kInvalid,
                  fmt::format("time zero is {} ms from now; 25 to 1000 ms are allowed",
                              static_cast<std::int64_t>(at_ns - now_unix_ns) / 1'000'000));
  Run run;
  run.id = runs_.next_id();
  run.zero_unix_ns = at_ns;
  run.zero_ns = clock_.now_ns() + (at_ns - now_unix_ns);
  run.zero_uptime_ns = run.zero_ns - start_ns_;
  run.ends_ns = run.zero_ns + asked.duration_ns;
  run.lease = asked.lease;
  if (!run.lease.empty()) {
    const auto known = leases_.terms().find(run.lease);
    if (known == leases_.terms().end())
      return refuse(
          Refusal::kConflict,
          fmt::format("nobody holds the lease '{0}': PUT /v1/leases/{0} first", run.lease));
    run.lease_term = known->second;
  }
  tl::expected<Request, ChangeFailure> request = request_of_policy(text);
  if (!request)
    return tl::unexpected(std::move(request.error()));
  open_run_folder(run);
  request->what = "run " + run.id;
  request->held = HeldAction::kSend;
  request->run = run;
  if (const ChangeResult changed = change(std::move(*request)); !changed) {
    close_run_records(run);
    std::error_code ignored;
    if (!run.folder.empty())
      fs::remove_all(run.folder, ignored);
    return tl::unexpected(changed.error());
  }
  return run_json(*runs_.current());
}

tl::expected<Json, ChangeFailure> Engine::end_run(const std::string& id, const std::string& by) {
  const std::lock_guard lock(mutex_);
  Run* run = runs_.find(id);
  if (run == nullptr)
    return refuse(Refusal::kNotFound, "there is no run '" + id + "'");
  if (run->ended_by.empty() && !run->is_over()) {
    stop_run(*run, by);
    if (const ChangeResult healed = heal_now(HeldAction::kSend, "run " + id + " ended"); !healed)
      return tl::unexpected(healed.error());
  }
  return run_json(*run);
}

/// It injects nothing more, or will not in a moment.
void Engine::stop_run(Run& run, const std::string& by) {
  if (!run.ended_by.empty())
    return;
  run.ended_by = by;
  run.triggers = triggers_json(publisher_->current(), port_names());
  events_.add(uptime_ns(), "run", {{"id", run.id}, {"state", "ended"}, {"by", by}});
}

/// A folder below the daemon's own, with the journal that begins at time zero.
void Engine::open_run_folder(Run& run) {
  if (data_folder_.empty()) {
    run.unrecorded = "faultlined was started without --data";
    return;
  }
  const std::string folder =
      fmt::format("{}/runs/{}-{}", data_folder_, run.id, run.zero_unix_ns / kNsPerSecond);
  std::error_code error;
  fs::remove_all(folder, error);
  fs::create_directories(folder, error);
  if (error) {
    run.unrecorded = folder + ": " + error.message();
    return;
  }
  run.folder = folder;
  const Result<void> opened =
      recorders_->open_journal(folder + "/journal.bin", publisher_->chain());
  if (!opened) {
    run.unrecorded = opened.error().front().message;
    return;
  }
  run.has_journal = true;
  recorders_->watch_from_run();
}

Result<void> Engine::start_journal(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Result<void> opened = recorders_->open_journal(path, publisher_->chain());
  if (opened)
    recorders_->watch_now();
  return opened;
}

JournalStatus Engine::end_recorders() {
  return recorders_->end();
}

/// Captures other than those that are being written: the run's own, or those of a policy that
/// stays.
std::optional<ChangeFailure> Engine::open_captures(const std::vector<CaptureSpec>& captures,
                                                   const Run* run, const PolicyChain& chain) {
  if (run == nullptr && recorders_->captures_are(captures))
    return std::nullopt;
  if (captures.empty()) {
    recorders_->close_captures();
    return std::nullopt;
  }
  if (data_folder_.empty())
    return ChangeFailure{
        Refusal::kConflict, "the daemon has no folder for captures: faultlined --data FOLDER", {}};
  if (run != nullptr && run->folder.empty())
    return ChangeFailure{Refusal::kConflict, "nothing can be recorded: " + run->unrecorded, {}};
  const std::string folder = run != nullptr
                                 ? run->folder + "/captures"
                                 : fmt::format("{}/captures/{}-{}", data_folder_,
                                               unix_ns() / kNsPerSecond, chain.front()->generation);
  if (const Result<void> opened = recorders_->open_captures(captures, folder, chain); !opened)
    return ChangeFailure{Refusal::kConflict, "the captures cannot be written", opened.error()};
  if (run != nullptr)
    recorders_->watch_from_run();
  else
    recorders_->watch_now();
  return std::nullopt;
}

/// What the run alone has recorded.
void Engine::close_run_records(Run& run) {
  if (run.has_captures) {
    run.has_captures = false;
    run.captures = recorders_->close_captures()["captures"];
    std::erase_if(tree_.entries, [](const ConfigEntry& entry) { return entry.key == "capture"; });
  }
  if (!std::exchange(run.has_journal, false))
    return;
  const JournalStatus status = recorders_->close_journal();
  run.journal = {{"hits", status.hits},
                 {"lost", status.lost},
                 {"bytes", status.bytes},
                 {"failure", status.failure.empty() ? Json(nullptr) : Json(status.failure)}};
}

/// Its numbers are final.
void Engine::close_run(Run& run, std::uint64_t now_ns) {
  close_run_records(run);
  const Gathered gathered = gather();
  run.statistics = gathered.sum.to_json(now_ns - std::min(now_ns, run.zero_ns));
  run.statistics["triggers"] = run.triggers;
  if (!run.captures.is_null())
    run.statistics["captures"] = run.captures;
  run.delays = gathered.sum.delays_json();
  run.over_ns = now_ns;
}

void Engine::watch_run(std::uint64_t now_ns) {
  Run* run = runs_.current();
  if (run == nullptr || now_ns < next_run_watch_ns_ || now_ns < run->zero_ns)
    return;
  next_run_watch_ns_ = now_ns + kWatchEveryNs;
  std::string by = end_by_time(*run, now_ns);
  const bool by_counts = run->stop.own_drops || run->stop.full_hold;
  if (by.empty() && run->ended_by.empty() && !by_counts)
    return;
  const Gathered gathered = gather();
  if (by.empty())
    by = end_by_counts(run->stop, gathered.sum);
  if (run->ended_by.empty() && !by.empty()) {
    stop_run(*run, by);
    // At its time it has ended by itself already; here the rules come to be written as disabled.
    heal_now(by == "duration" ? HeldAction::kKeep : HeldAction::kSend, "run " + run->id + " ended");
    return;
  }
  const bool drained = gathered.sum.total().hold.packets == 0;
  if (!run->ended_by.empty() && (drained || now_ns >= run->ends_ns + kDrainMostNs))
    close_run(*run, now_ns);
}

Json Engine::run_json(const Run& run) {
  const std::uint64_t now_ns = clock_.now_ns();
  Json json = run.to_json(now_ns);
  json["generation"] = publisher_->current().generation;
  if (run.is_over()) {
    json["statistics"] = run.statistics;
    json["delays"] = run.delays;
  } else if (now_ns >= run.zero_ns) {
    const Gathered gathered = gather();
    json["statistics"] = gathered.sum.to_json(now_ns - run.zero_ns);
    json["delays"] = gathered.sum.delays_json();
  }
  return json;
}

Json Engine::files(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const Run* run = runs_.find(id);
  if (run == nullptr)
    return nullptr;
  Json files = Json::array();
  std::error_code error;
  if (run->folder.empty())
    return {{"files", files}};
  for (fs::recursive_directory_iterator entry(run->folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;  // a file that goes meanwhile is none
    if (entry->is_regular_file(gone))
      files.push_back({{"name", entry->path().lexically_relative(run->folder).string()},
                       {"bytes", entry->file_size(gone)}});
  }
  return {{"files", files}};
}

std::optional<std::string> Engine::file_part(const std::string& id, const std::string& name,
                                             std::uint64_t offset, std::size_t bytes_max) {
  const Json known = files(id);
  if (known.is_null())
    return std::nullopt;
  for (const Json& file : known["files"]) {
    if (file["name"] != name)
      continue;
    const std::lock_guard lock(mutex_);
    std::ifstream stream(runs_.find(id)->folder + "/" + name, std::ios::binary);
    std::string part(bytes_max, 0);
    stream.seekg(static_cast<std::streamoff>(offset));
    stream.read(part.data(), static_cast<std::streamsize>(bytes_max));
    part.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, stream.gcount())));
    return part;
  }
  return std::nullopt;
}

Json Engine::runs() {
  const std::lock_guard lock(mutex_);
  return runs_.to_json(clock_.now_ns());
}

Json Engine::run(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const Run* run = runs_.find(id);
  return run == nullptr ? Json(nullptr) : run_json(*run);
}

}  // namespace faultline
