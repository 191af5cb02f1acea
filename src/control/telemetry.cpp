// Answering in DPDK telemetry's own thread. It cannot forget a command, so one that is asked when
// the engine is gone answers nothing.
#include "control/telemetry.hpp"

#include <rte_telemetry.h>

#include <mutex>

#include "control/engine.hpp"

namespace faultline {
namespace {

std::mutex guard;
Engine* mirrored = nullptr;

/// A JSON object of numbers and texts as a telemetry dictionary.
void fill(rte_tel_data* to, const Json& object) {
  rte_tel_data_start_dict(to);
  for (const auto& [key, value] : object.items()) {
    if (value.is_number_unsigned() || value.is_boolean())
      rte_tel_data_add_dict_u64(
          to, key.c_str(), value.is_boolean() ? value.get<bool>() : value.get<std::uint64_t>());
    else if (value.is_string())
      rte_tel_data_add_dict_string(to, key.c_str(), value.get<std::string>().c_str());
  }
}

/// Telemetry's keys are of letters, digits, '_' and '/'.
std::string plain(std::string name) {
  for (char& letter : name)
    if (letter == '-' || letter == '.')
      letter = '_';
  return name;
}

template <typename Ask>
int answer(rte_tel_data* to, const Ask& ask) noexcept {
  const std::lock_guard lock(guard);
  if (mirrored == nullptr)
    return -1;
  try {
    fill(to, ask(*mirrored));
    return 0;
  } catch (const std::exception&) {
    return -1;
  }
}

int status(const char*, const char*, rte_tel_data* to) {
  return answer(to, [](Engine& engine) { return engine.status(); });
}

int ledger(const char*, const char*, rte_tel_data* to) {
  return answer(to, [](Engine& engine) {
    Json ledger = engine.statistics()["ledger"];
    const Json dropped = ledger["dropped"];
    for (const auto& [reason, count] : dropped.items()) ledger["dropped_" + reason] = count;
    ledger.erase("dropped");
    return ledger;
  });
}

int rules(const char*, const char*, rte_tel_data* to) {
  return answer(to, [](Engine& engine) {
    Json figures = Json::object();
    const Json statistics = engine.statistics();
    for (const auto& [name, rule] : statistics["rules"].items())
      for (const char* key : {"matched", "dropped", "delayed"})
        figures[plain(name) + "/" + key] = rule[key];
    return figures;
  });
}

}  // namespace

TelemetryMirror::TelemetryMirror(Engine& engine) {
  {
    const std::lock_guard lock(guard);
    mirrored = &engine;
  }
  rte_telemetry_register_cmd("/faultline/status", status, "State, generation, own drops");
  rte_telemetry_register_cmd("/faultline/ledger", ledger, "The balance of packets");
  rte_telemetry_register_cmd("/faultline/rules", rules, "Matched, dropped, delayed of each rule");
}

TelemetryMirror::~TelemetryMirror() {
  const std::lock_guard lock(guard);
  mirrored = nullptr;
}

}  // namespace faultline
