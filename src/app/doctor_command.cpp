// faultline doctor: what this machine can do, what is missing, and how fast faultline is on it.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/own_latency.hpp"
#include "base/units.hpp"
#include "drivers/preconditions.hpp"

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;
using State = Precondition::State;

const char* word_of(State state) {
  switch (state) {
    case State::kGood:
      return "good";
    case State::kNote:
      return "note";
    case State::kMissing:
      return "missing";
  }
  return "";
}

Json json_of(const std::vector<Precondition>& findings) {
  Json list = Json::array();
  for (const Precondition& each : findings)
    list.push_back({{"about", each.about},
                    {"state", word_of(each.state)},
                    {"found", each.found},
                    {"advice", each.advice}});
  return list;
}

void print(const std::vector<Precondition>& findings) {
  for (const Precondition& each : findings) {
    fmt::print("{:<8} {:<18} {}\n", word_of(each.state), each.about, each.found);
    if (!each.advice.empty())
      fmt::print("{:<28}→ {}\n", "", each.advice);
  }
}

Precondition latency_finding(const Result<OwnLatency>& latency) {
  if (!latency)
    return {"own latency", State::kMissing, latency.error().front().message, {}};
  return {"own latency",
          State::kGood,
          fmt::format("{} median, {} at 99 %, {} at most: 64 bytes from ring to ring on core {}",
                      format_duration(latency->p50_ns), format_duration(latency->p99_ns),
                      format_duration(latency->max_ns), latency->core),
          {}};
}

}  // namespace

Exit run_doctor(const DoctorOptions& options) {
  std::vector<Precondition> findings = look_at_machine();
  for (Precondition& each : look_at_drivers()) findings.push_back(std::move(each));
  Exit exit = Exit::kDone;
  if (!options.file.empty()) {
    const Loaded loaded = load_scenario(options.file, ScenarioUse::kLive, options.form);
    if (!loaded.scenario)
      return loaded.exit;
    const std::vector<Precondition> drivers = look_at_drivers();
    for (const PortSpec& port : loaded.scenario->ports) {
      std::vector<Precondition> found = look_at_port(port);
      for (const Precondition& each : drivers)
        if (each.state == State::kMissing &&
            each.about == fmt::format("driver {}", driver_name(port.settings.driver)))
          found.push_back({"port " + port.name, State::kMissing, each.found, each.advice});
      for (Precondition& each : found) {
        if (each.state == State::kMissing)
          exit = Exit::kWrong;
        findings.push_back(std::move(each));
      }
    }
  }
  const Result<OwnLatency> latency = measure_own_latency();
  findings.push_back(latency_finding(latency));
  if (options.form == OutputForm::kHuman) {
    print(findings);
    return exit;
  }
  Json json = {{"ok", exit == Exit::kDone}, {"findings", json_of(findings)}, {"latency", nullptr}};
  if (latency)
    json["latency"] = {{"p50_ns", latency->p50_ns},
                       {"p99_ns", latency->p99_ns},
                       {"max_ns", latency->max_ns},
                       {"core", latency->core}};
  fmt::print("{}\n", json.dump());
  return exit;
}

}  // namespace faultline
