// faultline trigger: what the timeline waits for, and the call that it may wait for.
#include "app/daemon_client.hpp"

namespace faultline {
namespace {

void print_trigger(const Json& trigger) {
  if (trigger["fired_ns"].is_null()) {
    fmt::print("{}: waits\n", trigger["when"].get<std::string>());
    return;
  }
  std::string by;
  if (const Json& packet = trigger["packet"]; !packet.is_null())
    by = fmt::format(", by packet {} of {} on {}", packet["packet_in_flow"].get<std::uint64_t>(),
                     packet["flow"].get<std::string>(), packet["port"].get<std::string>());
  const auto firings = trigger["firings"].get<std::uint64_t>();
  fmt::print("{}: fired {}{:.6f} s after time zero{}\n", trigger["when"].get<std::string>(),
             firings > 1 ? fmt::format("{} times, last ", firings) : "",
             static_cast<double>(trigger["fired_ns"].get<std::uint64_t>()) / 1e9, by);
}

}  // namespace

Exit run_trigger(const DaemonOptions& daemon, const std::string& name) {
  if (name.empty())
    return ask_and_show(daemon, call_for("GET", "/v1/triggers"), [](const Json& answer) {
      for (const Json& trigger : answer["triggers"]) print_trigger(trigger);
    });
  return ask_and_show(daemon, call_for("POST", "/v1/triggers/" + url_part(name)), print_trigger);
}

}  // namespace faultline
