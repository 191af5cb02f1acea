// faultline run: a scenario from its time zero to its end on a running daemon, and what it came to,
// in a folder. What cannot work is refused before anything begins.
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include <fmt/chrono.h>

#include "app/daemon_client.hpp"
#include "app/prepare.hpp"
#include "app/run_folder.hpp"
#include "app/run_watch.hpp"
#include "base/tsc_clock.hpp"
#include "base/units.hpp"
#include "base/wall_clock.hpp"
#include "report/verdict.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kIntervalLeastNs = 100 * kNsPerMs;
constexpr std::uint64_t kSamplesMost = 5'000;
/// A run that ends with its command has this long.
constexpr std::uint64_t kCommandMostNs = 24 * 3600 * kNsPerSecond;
/// How long a daemon may take to be ready.
constexpr std::uint64_t kReadyMostNs = 3 * kNsPerSecond;
/// The daemon is told so long before time zero.
constexpr std::uint64_t kAheadNs = 500 * kNsPerMs;

void interrupt(int) {
  g_run_interrupted = 1;
}

/// "2026-11-30T12:00:00Z", seconds since 1970, or "+5s"; nothing when it is none of them.
std::optional<std::uint64_t> read_time(const std::string& word) {
  if (word.starts_with('+')) {
    const auto later_ns = parse_duration_ns(word.substr(1));
    return later_ns ? std::optional(unix_ns() + *later_ns) : std::nullopt;
  }
  if (const auto whole = parse_count(word))
    return *whole > UINT64_MAX / kNsPerSecond ? std::nullopt : std::optional(*whole * kNsPerSecond);
  std::tm parts{};
  const char* rest = strptime(word.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || std::strcmp(rest, "Z") != 0)
    return std::nullopt;
  const time_t time = timegm(&parts);
  return time < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(time) * kNsPerSecond);
}

/// What would spoil the run, in the daemon as it is; empty: nothing.
std::vector<std::string> misgivings(const Json& status, const Json& ports) {
  std::vector<std::string> found;
  if (!status.value("ready", false))
    found.emplace_back("the daemon is not ready: a worker does not answer; see `faultline status`");
  for (const Json& port : ports["ports"])
    if (!port["link"].get<bool>() && !port["taken_down"].get<bool>())
      found.push_back(
          fmt::format("port '{}' has no link: bring up {}, or the other end of its cable",
                      port["name"].get<std::string>(), port["interface"].get<std::string>()));
  if (const Json& run = status["run"]; !run.is_null())
    found.push_back(fmt::format("run {} goes on there: wait for it, or `faultline heal`",
                                run["id"].get<std::string>()));
  return found;
}

std::string folder_for(const RunOptions& options, const std::string& name) {
  if (!options.out.empty())
    return options.out;
  const std::time_t now = static_cast<std::time_t>(unix_ns() / kNsPerSecond);
  return fmt::format("runs/{}-{:%Y%m%dT%H%M%SZ}", name.empty() ? "run" : name, fmt::gmtime(now));
}

/// One run from the preflight to its folder.
class Running {
 public:
  Running(const DaemonOptions& daemon, const RunOptions& options)
      : daemon_(daemon), options_(options) {}

  Exit go() {
    if (const Exit exit = preflight(); exit != Exit::kDone)
      return exit;
    if (const Exit exit = begin(); exit != Exit::kDone) {
      folder_.unmake();
      return exit;
    }
    const Watched watched = watch_run(daemon_, settings_, prepared_, folder_);
    if (watched.exit != Exit::kDone) {
      fmt::print(stderr, "faultline: what was seen of the run is in {}\n", folder_.path());
      return watched.exit;
    }
    return close(watched);
  }

 private:
  Exit refuse(const std::string& why, Exit exit) {
    tell(why, daemon_.form);
    return exit;
  }

  Exit preflight() {
    if (!options_.at.empty()) {
      at_unix_ns_ = read_time(options_.at);
      if (!at_unix_ns_ || *at_unix_ns_ < unix_ns())
        return refuse("--at " + options_.at + (at_unix_ns_ ? " is over" : " is no time") +
                          "; for example 2026-11-30T12:00:00Z, or +5s",
                      Exit::kUsage);
    }
    prepared_ = prepare_scenario(daemon_, options_.file, options_.seed);
    if (prepared_.exit != Exit::kDone)
      return prepared_.exit;
    if (const Exit exit = settle_duration(); exit != Exit::kDone)
      return exit;
    const Answer status = status_when_ready();
    if (status.exit != Exit::kDone)
      return status.exit;
    const Answer ports = ask_daemon(daemon_, call_for("GET", "/v1/ports"));
    if (ports.exit != Exit::kDone)
      return ports.exit;
    const std::vector<std::string> found = misgivings(status.json, ports.json);
    for (const std::string& why : found)
      if (options_.force)
        fmt::print(stderr, "faultline: warning: {}\n", why);
      else
        tell(why + " (--force goes on all the same)", daemon_.form);
    if (!found.empty() && !options_.force)
      return Exit::kRefused;
    environment_ = environment_json(status.json, ports.json);
    const std::string folder = folder_for(options_, prepared_.scenario->name);
    if (const std::string why = folder_.make(folder); !why.empty()) {
      tell(Problems{problem_at({folder, 0, 0}, why)}, daemon_.form);
      return Exit::kUnusable;
    }
    return Exit::kDone;
  }

  /// A worker that shares its core with others may be slow for once.
  Answer status_when_ready() const {
    const std::uint64_t give_up_ns = monotonic_ns() + kReadyMostNs;
    for (;;) {
      Answer status = ask_daemon(daemon_, call_for("GET", "/v1/status"));
      if (status.exit != Exit::kDone || status.json.value("ready", false) ||
          monotonic_ns() >= give_up_ns)
        return status;
    }
  }

  /// As given; else as long as the timeline, or as the command.
  Exit settle_duration() {
    duration_ns_ = options_.duration_ns;
    settings_.ends_with_command = duration_ns_ == 0 && !options_.command.empty();
    if (settings_.ends_with_command)
      duration_ns_ = kCommandMostNs;
    else if (duration_ns_ == 0)
      duration_ns_ = prepared_.timeline_ends_ns;
    if (duration_ns_ == 0)
      return refuse("how long? --duration 60s, a --command that ends, or a timeline", Exit::kUsage);
    settings_.interval_ns = options_.interval_ns;
    if (settings_.interval_ns == 0)
      settings_.interval_ns =
          std::max(kIntervalLeastNs,
                   settings_.ends_with_command ? kNsPerSecond : duration_ns_ / kSamplesMost);
    return Exit::kDone;
  }

  Exit begin() {
    struct sigaction on_end {};
    on_end.sa_handler = interrupt;
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &on_end, nullptr);
    signal(SIGPIPE, SIG_IGN);
    wait_until_ahead();
    if (g_run_interrupted != 0)
      return refuse("interrupted before it began", Exit::kWrong);
    settings_.lease = fmt::format("run-{}-{:x}", getpid(), unix_ns());
    settings_.command = options_.command;
    const Answer events = ask_daemon(daemon_, call_for("GET", "/v1/events"));
    if (events.exit != Exit::kDone)
      return events.exit;
    settings_.first_event = events.json["next"].get<std::uint64_t>();
    if (!hold_lease(daemon_, settings_.lease))
      return Exit::kRefused;
    std::string path =
        fmt::format("/v1/runs?duration={}ns&lease={}", duration_ns_, settings_.lease);
    if (at_unix_ns_)
      path += fmt::format("&at={}", *at_unix_ns_);
    const Answer begun =
        ask_daemon(daemon_, call_with("POST", path, prepared_.text), options_.file);
    if (begun.exit != Exit::kDone)
      return begun.exit;
    settings_.run_id = begun.json["id"].get<std::string>();
    folder_.write("scenario.yaml", prepared_.whole_text);
    environment_["run"] = begun.json;
    environment_["run"].erase("statistics");
    environment_["run"].erase("delays");
    environment_["run"]["command"] = options_.command.empty() ? Json() : Json(options_.command);
    environment_["run"]["ends_with_command"] = settings_.ends_with_command;
    folder_.write("environment.json", environment_);
    fmt::print(
        stderr, "run {}: seed {}, {}, into {}\n", settings_.run_id, begun.json["seed"].dump(),
        settings_.ends_with_command ? "until the command ends" : format_duration(duration_ns_),
        folder_.path());
    return Exit::kDone;
  }

  void wait_until_ahead() const {
    while (at_unix_ns_ && g_run_interrupted == 0) {
      const std::uint64_t now_ns = unix_ns();
      if (now_ns + kAheadNs >= *at_unix_ns_)
        return;
      const std::uint64_t left_ns = std::min(*at_unix_ns_ - kAheadNs - now_ns, 100 * kNsPerMs);
      const timespec pause{0, static_cast<long>(left_ns)};
      nanosleep(&pause, nullptr);
    }
  }

  /// The verdict: of the wire, of the workload, and of how the run ended.
  Exit close(const Watched& watched) {
    const Json& statistics = watched.run["statistics"];
    const std::uint64_t lasted_ns = watched.run["elapsed_ns"].get<std::uint64_t>();
    RunVerdict verdict =
        judge(*prepared_.scenario, prepared_.laws, {statistics, watched.run["delays"], lasted_ns});
    weigh_end(watched, verdict);
    Json stats = statistics;
    stats["delays"] = watched.run["delays"];
    folder_.write("stats.json", stats);
    Json out = to_json(verdict);
    out["run"] = watched.run;
    out["run"].erase("statistics");
    out["run"].erase("delays");
    if (!options_.command.empty())
      out["command"] = {
          {"command", options_.command},
          {"status", watched.command_status ? Json(*watched.command_status) : Json()}};
    folder_.write("verdict.json", out);
    const std::string junit = to_junit(
        verdict, prepared_.scenario->name.empty() ? "faultline" : prepared_.scenario->name);
    if (!options_.junit.empty())
      write_junit(junit);
    run_report({folder_.path(), ""});
    show(verdict, out);
    for (const auto& [file, why] : folder_.failures())
      tell(Problems{problem_at({folder_.path_of(file), 0, 0}, "cannot be written: " + why)},
           daemon_.form);
    if (!folder_.failures().empty() || junit_failed_)
      return Exit::kUnusable;
    return verdict.outcome == Outcome::kPass ? Exit::kDone : Exit::kWrong;
  }

  void weigh_end(const Watched& watched, RunVerdict& verdict) const {
    const std::string by =
        watched.run["ended_by"].is_null() ? "" : watched.run["ended_by"].get<std::string>();
    const std::string when =
        fmt::format(" after {:.3f} s",
                    static_cast<double>(watched.run["elapsed_ns"].get<std::uint64_t>()) / 1e9);
    const bool as_meant = by == "duration" || (by == "command" && settings_.ends_with_command);
    if (by.starts_with("stop_when: ") && by != "stop_when: own_drops") {
      fail(verdict, Outcome::kFail, "ended" + when + " by " + by);
    } else if (!as_meant) {
      fail(verdict, Outcome::kInvalid, "ended by " + by + when);
    }
    if (const Json& why = watched.run["unrecorded"]; !why.is_null())
      verdict.warnings.push_back("no journal: " + why.get<std::string>());
    else if (const Json& journal = watched.run["journal"];
             !journal.is_null() && journal["lost"].get<std::uint64_t>() > 0)
      verdict.warnings.push_back(fmt::format("the journal lost {} hits of {}",
                                             journal["lost"].dump(), journal["hits"].dump()));
    for (const std::string& failure : watched.failures) fail(verdict, Outcome::kFail, failure);
    if (watched.command_status.value_or(0) != 0)
      fail(verdict, Outcome::kFail,
           fmt::format("the command ended with status {}", *watched.command_status));
    else if (!options_.command.empty() && !watched.command_status)
      verdict.warnings.emplace_back("the command had not ended, and was ended");
  }

  /// What cannot be trusted is worse than what failed.
  static void fail(RunVerdict& verdict, Outcome outcome, std::string why) {
    if (verdict.outcome != Outcome::kInvalid)
      verdict.outcome = outcome;
    verdict.reasons.push_back(std::move(why));
  }

  void write_junit(const std::string& junit) {
    std::ofstream file(options_.junit, std::ios::binary);
    file << junit;
    file.close();
    if (file)
      return;
    tell(Problems{problem_at({options_.junit, 0, 0}, "cannot be written")}, daemon_.form);
    junit_failed_ = true;
  }

  void show(const RunVerdict& verdict, const Json& json) const {
    if (daemon_.form == OutputForm::kJson)
      fmt::print("{}\n", json.dump());
    for (const std::string& line : to_lines(verdict)) fmt::print(stderr, "{}\n", line);
    for (const std::string& reason : verdict.reasons)
      if (verdict.outcome == Outcome::kFail)
        fmt::print(stderr, "fail: {}\n", reason);
    fmt::print(stderr, "verdict: {}, in {}\n", outcome_word(verdict.outcome), folder_.path());
  }

  const DaemonOptions& daemon_;
  const RunOptions& options_;
  std::optional<std::uint64_t> at_unix_ns_;
  std::uint64_t duration_ns_ = 0;
  PreparedScenario prepared_;
  RunFolder folder_;
  WatchSettings settings_;
  Json environment_;
  bool junit_failed_ = false;
};

}  // namespace

Exit run_run(const DaemonOptions& daemon, const RunOptions& options) {
  return Running(daemon, options).go();
}

}  // namespace faultline
