// faultline pause: a node on the wire stands still, or the user's own commands stop the real thing
// and let it go on, or both. The daemon runs no commands; they are run here, as the user's own.
// That what was stopped goes on again does not hang on this process: a watchdog, a child in a
// session of its own, is there before the command is run, and it is the watchdog that resumes: when
// the time is over, when this process is gone, however it went, or when the daemon is.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "app/child.hpp"
#include "app/daemon_client.hpp"
#include "base/tsc_clock.hpp"
#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLookNs = 200 * kNsPerMs;  ///< between two looks at the daemon
constexpr int kDaemonTimeoutMs = 2'000;

/// Why the watchdog resumed.
enum class Because : int { kTime, kClient, kDaemon };
constexpr std::string_view kBecauseWords[] = {"time", "client", "daemon"};

/// What the watchdog says at its end.
struct Report {
  int resume_status = 0;
  Because because = Because::kTime;
  std::uint64_t resumed_ns = 0;
};

/// The watchdog's life: waits for the end of the pause, resumes, reports.
class Watchdog {
 public:
  Watchdog(const PauseOptions& options, const std::string& socket, int from_client, int report)
      : options_(options), socket_(socket), from_client_(from_client), report_(report) {}

  [[noreturn]] void live() {
    setsid();
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT}) signal(number, SIG_IGN);
    Report said;
    said.because = wait();
    said.resume_status = run_shell(options_.resume, options_.timeout_ns);
    said.resumed_ns = monotonic_ns();
    const ssize_t written = write(report_, &said, sizeof said);
    _exit(written == sizeof said ? 0 : 1);
  }

 private:
  /// The client says "go" when the command has been run, and the pause lasts from then on.
  Because wait() {
    std::uint64_t end_ns = monotonic_ns() + 2 * options_.timeout_ns + options_.lasts_ns;
    for (;;) {
      const std::uint64_t now_ns = monotonic_ns();
      if (now_ns >= end_ns)
        return Because::kTime;
      pollfd from{from_client_, POLLIN, 0};
      const auto wait_ms =
          static_cast<int>((std::min(kLookNs, end_ns - now_ns) + kNsPerMs - 1) / kNsPerMs);
      if (poll(&from, 1, wait_ms) > 0) {
        char word = 0;
        if (read(from_client_, &word, 1) != 1)
          return Because::kClient;
        end_ns = monotonic_ns() + options_.lasts_ns;
        continue;
      }
      if (!socket_.empty() &&
          !http_call(socket_, "GET", "/v1/status", {}, {}, kDaemonTimeoutMs).connected)
        return Because::kDaemon;
    }
  }

  const PauseOptions& options_;
  std::string socket_;
  int from_client_;
  int report_;
};

int g_to_watchdog = -1;  ///< closed by a signal: the watchdog resumes at once

void let_go(int) {
  close(g_to_watchdog);
}

std::string rule_body(const PauseOptions& options) {
  std::string pause = "node: " + options.node;
  for (const auto& [key, value] : options.keys) pause += ", " + key + ": " + value;
  return fmt::format("{{optional: true, ttl: {}ns, impair: [pause: {{{}}}]}}", options.lasts_ns,
                     pause);
}

/// The wire's part: a rule that ends by itself.
Exit pause_wire(const DaemonOptions& daemon, const PauseOptions& options) {
  const std::string name = "pause." + options.node;
  return ask_daemon(daemon, call_with("PUT", "/v1/rules/" + url_part(name), rule_body(options)))
      .exit;
}

void tell_end(const DaemonOptions& daemon, const PauseOptions& options, int status,
              std::uint64_t begun_ns, const Report& report) {
  const double seconds =
      static_cast<double>(report.resumed_ns - begun_ns) / static_cast<double>(kNsPerSecond);
  const std::string_view because = kBecauseWords[static_cast<int>(report.because)];
  if (daemon.form == OutputForm::kJson) {
    fmt::print("{}\n", Json{{"kind", options.node.empty() ? "command" : "command and wire"},
                            {"command_status", status},
                            {"resume_status", report.resume_status},
                            {"resumed_because", because},
                            {"paused_ns", report.resumed_ns - begun_ns}}
                           .dump());
    return;
  }
  fmt::print(stderr, "paused by a command for {:.3f} s: command {}, resume {} ({})\n", seconds,
             status, report.resume_status, because);
}

Exit pause_by_command(const DaemonOptions& daemon, const PauseOptions& options) {
  int to_watchdog[2];
  int from_watchdog[2];
  if (pipe2(to_watchdog, O_CLOEXEC) != 0 || pipe2(from_watchdog, O_CLOEXEC) != 0) {
    tell("no pipe to be had", daemon.form);
    return Exit::kRefused;
  }
  // A daemon that answers is one whose end counts.
  const bool answers = http_call(daemon.socket, "GET", "/v1/status").connected;
  if (!answers && !options.node.empty())
    return ask_daemon(daemon, call_for("GET", "/v1/status")).exit;
  const std::string socket = answers ? daemon.socket : "";
  const pid_t child = fork();
  if (child < 0) {
    tell("no process to be had for the watchdog, and without it nothing is stopped", daemon.form);
    return Exit::kRefused;
  }
  if (child == 0) {
    close(to_watchdog[1]);
    close(from_watchdog[0]);
    Watchdog(options, socket, to_watchdog[0], from_watchdog[1]).live();
  }
  close(to_watchdog[0]);
  close(from_watchdog[1]);
  g_to_watchdog = to_watchdog[1];
  struct sigaction on_end {};
  on_end.sa_handler = let_go;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &on_end, nullptr);

  const std::uint64_t begun_ns = monotonic_ns();
  const int status = run_shell(options.command, options.timeout_ns);
  Exit exit = Exit::kDone;
  if (status == 0 && !options.node.empty())
    exit = pause_wire(daemon, options);
  const bool goes_on = status == 0 && exit == Exit::kDone;
  if (!goes_on || write(to_watchdog[1], "g", 1) != 1)
    close(to_watchdog[1]);  // nothing to wait for
  Report report;
  ssize_t got = 0;
  do got = read(from_watchdog[0], &report, sizeof report);
  while (got < 0 && errno == EINTR);
  waitpid(child, nullptr, 0);
  if (got != static_cast<ssize_t>(sizeof report)) {
    tell("the watchdog is gone; whether it resumed is not known", daemon.form);
    return Exit::kWrong;
  }
  tell_end(daemon, options, status, begun_ns, report);
  if (exit != Exit::kDone)
    return exit;
  if (report.because == Because::kDaemon)
    return Exit::kNoDaemon;
  return status == 0 && report.resume_status == 0 && report.because == Because::kTime
             ? Exit::kDone
             : Exit::kWrong;
}

}  // namespace

Exit run_pause(const DaemonOptions& daemon, const PauseOptions& options) {
  if (options.command.empty() != options.resume.empty()) {
    tell("--command and --resume go together: what is stopped must go on", daemon.form);
    return Exit::kUsage;
  }
  if (options.node.empty() && options.command.empty()) {
    tell("pause whom? a NODE of the daemon's, or --command and --resume", daemon.form);
    return Exit::kUsage;
  }
  if (!options.command.empty())
    return pause_by_command(daemon, options);
  return pause_wire(daemon, options);
}

}  // namespace faultline
