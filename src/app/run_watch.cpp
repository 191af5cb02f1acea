// Watching a run.
#include "app/run_watch.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "base/tsc_clock.hpp"
#include "base/units.hpp"
#include "base/wall_clock.hpp"

namespace faultline {

volatile int g_run_interrupted = 0;

namespace {

constexpr std::uint64_t kTickNs = 20 * kNsPerMs;
constexpr std::uint64_t kRenewEveryNs = 500 * kNsPerMs;
constexpr std::uint64_t kShowEveryNs = 100 * kNsPerMs;
constexpr const char* kLeaseTtl = "ttl: 3s";
constexpr std::size_t kBarWidth = 20;

void nap(std::uint64_t time_ns) {
  const timespec pause{static_cast<time_t>(time_ns / kNsPerSecond),
                       static_cast<long>(time_ns % kNsPerSecond)};
  nanosleep(&pause, nullptr);
}

double seconds(std::uint64_t time_ns) {
  return static_cast<double>(time_ns) / 1e9;
}

HttpCall lease_call(const std::string& lease) {
  return call_with("PUT", "/v1/leases/" + url_part(lease), kLeaseTtl);
}

/// One line on a terminal, written over again and again.
class Progress {
 public:
  Progress() : shows_(isatty(STDERR_FILENO) == 1) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const Json& run) {
    if (!shows_ || !run.contains("statistics"))
      return;
    const auto elapsed_ns = run["elapsed_ns"].get<std::uint64_t>();
    const auto duration_ns = std::max<std::uint64_t>(1, run["duration_ns"].get<std::uint64_t>());
    const double share =
        std::min(1.0, static_cast<double>(elapsed_ns) / static_cast<double>(duration_ns));
    const auto done = static_cast<std::size_t>(share * kBarWidth);
    std::string line =
        fmt::format("[{}{}] {:.1f} of {:.1f} s", std::string(done, '#'),
                    std::string(kBarWidth - done, '.'), seconds(elapsed_ns), seconds(duration_ns));
    const Json& ledger = run["statistics"]["ledger"];
    line += fmt::format("  in {}  out {}", ledger["received"].dump(), ledger["sent"].dump());
    for (const auto& [name, rule] : run["statistics"]["rules"].items()) {
      if (line.size() > kLineMost)
        break;
      line += fmt::format("  {}: {}", name, rule["matched"].dump());
      if (rule["dropped"].get<std::uint64_t>() > 0)
        line += fmt::format(" -{}", rule["dropped"].dump());
    }
    fmt::print(stderr, "\r{}\033[K", line.substr(0, kLineMost + 20));
    std::fflush(stderr);
    shown_ = true;
  }
  void clear() {
    if (shown_)
      fmt::print(stderr, "\r\033[K");
    shown_ = false;
  }

 private:
  static constexpr std::size_t kLineMost = 100;
  bool shows_;
  bool shown_ = false;
};

class RunWatcher {
 public:
  RunWatcher(const DaemonOptions& daemon, const WatchSettings& settings,
             const PreparedScenario& prepared, RunFolder& folder)
      : daemon_(daemon),
        settings_(settings),
        folder_(folder),
        clock_(prepared.commands, daemon.socket),
        next_event_(settings.first_event) {
    for (const StopCommand& command : prepared.scenario->stop.commands)
      stops_.emplace_back(command);
  }

  Watched watch() {
    for (;;) {
      const std::uint64_t now_ns = monotonic_ns();
      keep_lease(now_ns);
      if (!look(now_ns))
        return std::move(watched_);
      if (watched_.run["state"] == "over")
        break;
      if (is_under_way()) {
        look_at_commands(now_ns);
        tell(clock_.look(since_zero()));
      } else {
        tell(clock_.end(since_zero()));
      }
      if (g_run_interrupted != 0)
        end("interrupted");
      nap(kTickNs);
    }
    tell(clock_.end(since_zero()));
    watched_.failures = clock_.failures();
    collect_events();
    sample();
    fetch_files();
    if (const Answer flows = ask_daemon(daemon_, call_for("GET", "/v1/flows?limit=100"));
        flows.exit == Exit::kDone)
      folder_.write("flows.json", flows.json);
    ask_quietly(call_for("DELETE", "/v1/leases/" + url_part(settings_.lease)));
    if (child_.is_running()) {
      child_.end();
      watched_.command_status = std::nullopt;
    }
    return std::move(watched_);
  }

 private:
  bool is_under_way() const { return watched_.run["state"] == "running"; }

  std::uint64_t since_zero() const {
    const std::uint64_t now_ns = unix_ns();
    return now_ns - std::min(now_ns, watched_.run["zero_unix_ns"].get<std::uint64_t>());
  }

  /// A request of whose refusal nobody is told.
  HttpResult ask_quietly(HttpCall call) const {
    call.socket_path = daemon_.socket;
    return http_call(call);
  }

  /// Events of ours, stamped as the daemon's are.
  void tell(std::vector<Json> events) {
    for (Json& event : events) {
      event["t_ns"] =
          event["t_ns"].get<std::uint64_t>() + watched_.run["zero_uptime_ns"].get<std::uint64_t>();
      folder_.append("events.jsonl", event);
    }
  }

  /// That nobody answers is told by look().
  void keep_lease(std::uint64_t now_ns) {
    if (now_ns < renew_ns_)
      return;
    renew_ns_ = now_ns + kRenewEveryNs;
    ask_quietly(lease_call(settings_.lease));
  }

  /// At the run as it is now; false: nobody answers.
  bool look(std::uint64_t now_ns) {
    const bool samples = now_ns >= sample_ns_;
    if (!samples && now_ns < show_ns_)
      return true;
    show_ns_ = now_ns + kShowEveryNs;
    Answer answer = ask_daemon(daemon_, call_for("GET", "/v1/runs/" + settings_.run_id));
    if (answer.exit != Exit::kDone) {
      watched_.exit = answer.exit;
      return false;
    }
    watched_.run = std::move(answer.json);
    progress_.show(watched_.run);
    begin_command();
    if (samples) {
      sample_ns_ = std::max(now_ns, sample_ns_ + settings_.interval_ns);
      sample();
      collect_events();
    }
    return true;
  }

  void sample() {
    if (watched_.run.contains("statistics"))
      folder_.append("series.jsonl", sample_json(watched_.run));
  }

  void collect_events() {
    const Answer answer =
        ask_daemon(daemon_, call_for("GET", fmt::format("/v1/events?from={}", next_event_)));
    if (answer.exit != Exit::kDone)
      return;
    for (const Json& event : answer.json["events"]) folder_.append("events.jsonl", event);
    next_event_ = answer.json["next"].get<std::uint64_t>();
  }

  /// What the daemon recorded of the run.
  void fetch_files() {
    const Answer answer =
        ask_daemon(daemon_, call_for("GET", "/v1/files/" + url_part(settings_.run_id)));
    if (answer.exit != Exit::kDone)
      return;
    for (const Json& file : answer.json["files"]) {
      const auto name = file["name"].get<std::string>();
      // A name is a path within the folder, as the daemon says it; one that leads out is none.
      if (name.empty() || name.front() == '/' || name.find("..") != std::string::npos)
        continue;
      const auto bytes = file["bytes"].get<std::uint64_t>();
      for (std::uint64_t offset = 0; offset < bytes;) {
        const HttpResult result =
            ask_quietly(call_for("GET", fmt::format("/v1/files/{}?name={}&offset={}",
                                                    settings_.run_id, url_part(name), offset)));
        if (!result.connected || result.response.status != 200 || result.response.body.empty()) {
          watched_.failures.push_back("the daemon's " + name + " could not be fetched");
          break;
        }
        folder_.append_bytes(name, result.response.body);
        offset += result.response.body.size();
      }
    }
  }

  /// The workload, from time zero on.
  void begin_command() {
    if (settings_.command.empty() || begun_ || !is_under_way())
      return;
    begun_ = true;
    if (!child_.start(settings_.command, folder_.path_of("command.log"),
                      {{"FAULTLINE_SOCKET", daemon_.socket},
                       {"FAULTLINE_RUN", settings_.run_id},
                       {"FAULTLINE_RUN_FOLDER", folder_.path()}})) {
      watched_.command_status = kCannotRun;
      end("command");
    }
  }

  void look_at_commands(std::uint64_t now_ns) {
    if (const std::optional<int> status = child_.take_end()) {
      watched_.command_status = status;
      if (settings_.ends_with_command)
        end("command");
    }
    for (StopWatch& stop : stops_)
      if (stop.look(now_ns))
        end("stop_when: " + stop.command());
  }

  void end(const std::string& by) {
    if (!watched_.stopped_by.empty())
      return;
    watched_.stopped_by = by;
    ask_daemon(daemon_, call_for("DELETE",
                                 fmt::format("/v1/runs/{}?by={}", settings_.run_id, url_part(by))));
  }

  const DaemonOptions& daemon_;
  const WatchSettings& settings_;
  RunFolder& folder_;
  std::deque<StopWatch> stops_;
  CommandClock clock_;
  Progress progress_;
  Child child_;
  bool begun_ = false;
  std::uint64_t renew_ns_ = 0;
  std::uint64_t sample_ns_ = 0;
  std::uint64_t show_ns_ = 0;
  std::uint64_t next_event_;
  Watched watched_;
};

}  // namespace

bool StopWatch::look(std::uint64_t now_ns) {
  if (child_.is_running()) {
    std::optional<int> status = child_.take_end();
    if (!status && now_ns < give_up_ns_)
      return false;
    if (!status)
      child_.end();
    failures_ = status == 0 ? 0 : failures_ + 1;
    return failures_ >= command_.failures;
  }
  if (now_ns < next_ns_)
    return false;
  next_ns_ = now_ns + command_.every_ns;
  give_up_ns_ = now_ns + command_.timeout_ns;
  if (child_.start(command_.command, ""))
    return false;
  return ++failures_ >= command_.failures;
}

bool hold_lease(const DaemonOptions& daemon, const std::string& lease) {
  return ask_daemon(daemon, lease_call(lease)).exit == Exit::kDone;
}

Watched watch_run(const DaemonOptions& daemon, const WatchSettings& settings,
                  const PreparedScenario& prepared, RunFolder& folder) {
  return RunWatcher(daemon, settings, prepared, folder).watch();
}

}  // namespace faultline
