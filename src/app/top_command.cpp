// faultline top: a daemon's rates and faults, ten times a second on a terminal, else a line a
// second.
#include <time.h>

#include <deque>

#include "app/daemon_client.hpp"
#include "app/terminal.hpp"
#include "app/top_figures.hpp"
#include "base/tsc_clock.hpp"
#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kScreenTurnNs = 100 * kNsPerMs;
constexpr std::uint64_t kPlainTurnNs = kNsPerSecond;
/// Rates are over a second: over a tenth of one they would jump.
constexpr std::size_t kSamples = 11;
constexpr int kTimeoutMs = 2'000;

struct Look {
  std::optional<TopSample> sample;
  std::string why_not;
  Exit exit = Exit::kDone;  ///< with why_not
};

/// The daemon's three answers, or why there are not all of them.
Look look_at(const DaemonOptions& daemon) {
  TopSample sample;
  const std::array<std::pair<const char*, Json*>, 3> parts = {
      {{"/v1/status", &sample.status}, {"/v1/rules", &sample.rules}, {"/v1/stats", &sample.stats}}};
  for (const auto& [path, json] : parts) {
    HttpCall call = call_for("GET", path);
    call.socket_path = daemon.socket;
    call.timeout_ms = kTimeoutMs;
    const HttpResult result = http_call(call);
    if (!result.connected)
      return {{},
              fmt::format("{} at {}: {}",
                          result.permission_denied ? "the daemon's socket may not be used"
                                                   : "no daemon answers",
                          daemon.socket, result.why_not),
              result.permission_denied ? Exit::kRefused : Exit::kNoDaemon};
    *json = Json::parse(result.response.body, nullptr, false);
    if (result.response.status >= 300 || !json->is_object())
      return {{},
              fmt::format("the daemon answered {} to {}", result.response.status, path),
              Exit::kRefused};
  }
  return {std::move(sample), {}, Exit::kDone};
}

/// The last second's samples.
class History {
 public:
  void add(TopSample sample) {
    const auto time_of = [](const TopSample& each) {
      return each.stats.value("uptime_ns", std::uint64_t{0});
    };
    if (!samples_.empty() && time_of(sample) < time_of(samples_.back()))
      samples_.clear();  // another daemon
    samples_.push_back(std::move(sample));
    if (samples_.size() > kSamples)
      samples_.pop_front();
  }
  bool has_rates() const { return samples_.size() > 1; }
  TopFigures over_all() const { return figures_of(samples_.front(), samples_.back()); }
  /// Over the last turn alone.
  TopFigures over_last() const {
    return figures_of(samples_[samples_.size() - 2], samples_.back());
  }

 private:
  std::deque<TopSample> samples_;
};

void sleep_ns(std::uint64_t time_ns) {
  const timespec time{.tv_sec = static_cast<time_t>(time_ns / kNsPerSecond),
                      .tv_nsec = static_cast<long>(time_ns % kNsPerSecond)};
  nanosleep(&time, nullptr);
}

std::uint64_t until(std::uint64_t when_ns) {
  return when_ns - std::min(when_ns, monotonic_ns());
}

Exit run_on_screen(const DaemonOptions& daemon) {
  Terminal terminal;
  History history;
  std::vector<std::string> lines;
  for (std::uint64_t turn_ns = monotonic_ns(); !terminal.over();) {
    Look look = look_at(daemon);
    if (look.sample) {
      history.add(std::move(*look.sample));
      lines = screen_lines(history.over_all(), terminal.size().rows);
    } else {
      // What was seen last stays, with a word that it is old.
      const std::string why = kRed + ("waiting: " + harmless(look.why_not)) + kPlain;
      if (lines.empty())
        lines.emplace_back();
      lines.front() = why;
    }
    terminal.draw(lines);
    turn_ns = std::max(turn_ns + kScreenTurnNs, monotonic_ns());
    while (!terminal.over() && until(turn_ns) > 0) {
      const char key = terminal.key(until(turn_ns));
      if (key == 'q' || key == 'Q')
        return Exit::kDone;
      if (key == 0)
        break;  // the time is over, or the screen has another size
    }
  }
  return Exit::kDone;
}

Exit run_plain(const DaemonOptions& daemon, std::uint64_t count) {
  History history;
  bool away = false;
  std::uint64_t turn_ns = monotonic_ns();
  for (std::uint64_t shown = 0; count == 0 || shown < count;) {
    Look look = look_at(daemon);
    if (!look.sample && !away)
      fmt::print(stderr, "faultline: {}; waiting\n", look.why_not);
    if (look.sample && away)
      fmt::print(stderr, "faultline: the daemon answers again\n");
    away = !look.sample;
    if (look.sample) {
      history.add(std::move(*look.sample));
      if (history.has_rates()) {
        const TopFigures figures = history.over_last();
        fmt::print("{}\n", daemon.form == OutputForm::kJson ? to_json(figures).dump()
                                                            : plain_line(figures));
        ++shown;
      }
    }
    if (std::fflush(stdout) != 0)
      return Exit::kDone;  // nobody reads any more
    if (count != 0 && shown >= count)
      break;
    turn_ns = std::max(turn_ns + kPlainTurnNs, monotonic_ns());
    sleep_ns(until(turn_ns));
  }
  return Exit::kDone;
}

}  // namespace

Exit run_top(const DaemonOptions& daemon, const TopOptions& options) {
  const Look first = look_at(daemon);
  if (!first.sample) {
    tell(first.why_not, daemon.form);
    return first.exit;
  }
  if (options.plain || options.count > 0 || daemon.form == OutputForm::kJson || !Terminal::there())
    return run_plain(daemon, options.count);
  return run_on_screen(daemon);
}

}  // namespace faultline
