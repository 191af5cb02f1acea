// The commands that look at a daemon: stats, ports, flows, events; once, or for as long as wanted.
#include <time.h>

#include <algorithm>

#include "app/daemon_client.hpp"
#include "app/show.hpp"

namespace faultline {
namespace {

void print_ports(const Json& ports) {
  fmt::print("{:<12}{:<11}{:<17}{:<12}{:<7}{:<19}{:>6}{:>7}{:>8}\n", "port", "driver", "interface",
             "to", "link", "address", "MTU", "queues", "cores");
  for (const Json& port : ports["ports"])
    fmt::print("{:<12}{:<11}{:<17}{:<12}{:<7}{:<19}{:>6}{:>7}{:>8}\n",
               port["name"].get<std::string>(), port["driver"].get<std::string>(),
               port["interface"].get<std::string>(),
               port[port["peer"].is_null() ? "switch" : "peer"].get<std::string>(),
               port["link"].get<bool>() ? "up" : "DOWN", port["mac"].get<std::string>(),
               port["mtu"].get<unsigned>(), port["queues"].get<unsigned>(),
               fmt::join(port["cores"].get<std::vector<unsigned>>(), ","));
}

void print_flows(const Json& flows) {
  fmt::print("{:<60}{:<12}{:>12}{:>14}{:>6}\n", "flow", "from", "packets", "idle", "core");
  for (const Json& flow : flows["flows"])
    fmt::print("{:<60}{:<12}{:>12}{:>14}{:>6}\n", flow["flow"].get<std::string>(),
               flow["port"].get<std::string>(), flow["packets"].get<std::uint64_t>(),
               duration_text(flow["idle_ns"].get<std::uint64_t>()), flow["core"].get<unsigned>());
}

/// "12.345678 s  policy  generation=3 what="rule wan"".
void print_event(const Json& event, OutputForm form) {
  if (form == OutputForm::kJson) {
    fmt::print("{}\n", event.dump());
  } else {
    fmt::print("{:>14.6f} s  {:<8}", static_cast<double>(event["t_ns"].get<std::uint64_t>()) / 1e9,
               event["kind"].get<std::string>());
    for (const auto& [key, value] : event.items())
      if (key != "n" && key != "t_ns" && key != "kind")
        fmt::print(" {}={}", key, value.dump());
    fmt::print("\n");
  }
  std::fflush(stdout);
}

/// Takes server-sent events apart: whole lines, of which only data is of interest.
class EventLines {
 public:
  explicit EventLines(OutputForm form) : form_(form) {}

  bool take(std::string_view bytes) {
    pending_ += bytes;
    std::size_t end = 0;
    while ((end = pending_.find('\n')) != std::string::npos) {
      constexpr std::string_view kData = "data: ";
      const std::string_view line = std::string_view(pending_).substr(0, end);
      if (line.starts_with(kData))
        show(Json::parse(line.substr(kData.size()), nullptr, false));
      pending_.erase(0, end + 1);
    }
    return std::ferror(stdout) == 0;
  }

 private:
  void show(const Json& event) const {
    if (event.is_object() && event.contains("kind"))
      print_event(event, form_);
    else if (event.is_object() && event.contains("lost"))
      fmt::print(stderr, "{} events are no longer kept\n", event["lost"].dump());
  }

  OutputForm form_;
  std::string pending_;
};

void sleep_until(const timespec& when) {
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) != 0) {
  }
}

timespec plus(timespec time, std::uint64_t duration_ns) {
  const std::uint64_t nanoseconds = static_cast<std::uint64_t>(time.tv_nsec) + duration_ns;
  time.tv_sec += static_cast<time_t>(nanoseconds / 1'000'000'000);
  time.tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000);
  return time;
}

}  // namespace

Exit run_stats(const DaemonOptions& daemon, const FollowOptions& options) {
  if (!options.follow)
    return ask_and_show(daemon, call_for("GET", "/v1/stats"), print_stats);
  timespec turn{};
  clock_gettime(CLOCK_MONOTONIC, &turn);
  Json before;
  for (std::uint64_t shown = 0; options.count == 0 || shown < options.count;) {
    Answer now = ask_daemon(daemon, call_for("GET", "/v1/stats"));
    if (now.exit != Exit::kDone)
      return now.exit;
    if (daemon.form == OutputForm::kJson)
      fmt::print("{}\n", now.json.dump());
    else if (before.is_object())
      print_rates(before, now.json);
    if (daemon.form == OutputForm::kJson || before.is_object())
      ++shown;
    if (std::fflush(stdout) != 0)
      return Exit::kDone;  // nobody reads any more
    before = std::move(now.json);
    if (options.count != 0 && shown >= options.count)
      break;
    turn = plus(turn, options.interval_ns);
    sleep_until(turn);
  }
  return Exit::kDone;
}

Exit run_ports(const DaemonOptions& options) {
  return ask_and_show(options, call_for("GET", "/v1/ports"), print_ports);
}

Exit run_flows(const DaemonOptions& options, std::uint32_t limit) {
  return ask_and_show(options, call_for("GET", fmt::format("/v1/flows?limit={}", limit)),
                      print_flows);
}

Exit run_events(const DaemonOptions& daemon, const FollowOptions& options) {
  if (!options.follow) {
    const Answer answer = ask_daemon(daemon, call_for("GET", "/v1/events"));
    if (answer.exit != Exit::kDone)
      return answer.exit;
    for (const Json& event : answer.json["events"]) print_event(event, daemon.form);
    return Exit::kDone;
  }
  EventLines lines(daemon.form);
  HttpCall call = call_for("GET", "/v1/events?follow=1");
  call.socket_path = daemon.socket;
  call.follow = [&lines](std::string_view bytes) { return lines.take(bytes); };
  const HttpResult result = http_call(call);
  if (!result.connected || result.response.status >= 300)
    return tell_refusal(daemon, result, {});
  if (std::ferror(stdout) != 0)
    return Exit::kDone;
  tell("the daemon has ended", daemon.form);
  return Exit::kNoDaemon;
}

}  // namespace faultline
