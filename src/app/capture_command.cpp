// faultline capture: what the daemon is capturing, and how much of it.
#include "app/daemon_client.hpp"

namespace faultline {
namespace {

void print_captures(const Json& answer) {
  const Json& captures = answer["captures"];
  if (captures.empty()) {
    fmt::print("nothing is captured (`capture:` in a scenario asks for it)\n");
    return;
  }
  fmt::print("in {}\n", answer["folder"].get<std::string>());
  for (const Json& each : captures) {
    fmt::print("{} {}: {} packets, {} bytes in {} files", each["name"].get<std::string>(),
               each["point"].get<std::string>(), each["packets"].get<std::uint64_t>(),
               each["bytes"].get<std::uint64_t>(), each["files"].get<std::uint64_t>());
    if (const auto removed = each["removed"].get<std::uint64_t>(); removed > 0)
      fmt::print(", {} files removed", removed);
    if (const auto lost = each["lost"].get<std::uint64_t>(); lost > 0)
      fmt::print(", {} packets lost", lost);
    if (!each["failure"].is_null())
      fmt::print(" ({})", each["failure"].get<std::string>());
    fmt::print("\n");
  }
  if (const auto unknown = answer["unknown"].get<std::uint64_t>(); unknown > 0)
    fmt::print("{} packets could not even be noted\n", unknown);
}

}  // namespace

Exit run_capture(const DaemonOptions& daemon) {
  return ask_and_show(daemon, call_for("GET", "/v1/captures"), print_captures);
}

}  // namespace faultline
