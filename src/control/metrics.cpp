// Naming metrics: base units (seconds, bytes), `_total` for what only grows.
#include "control/metrics.hpp"

#include <fmt/format.h>

#include <string_view>

namespace faultline {
namespace {

enum class Kind { kCounter, kGauge };

class Metrics {
 public:
  void family(std::string_view name, Kind kind, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP faultline_{0} {1}\n# TYPE faultline_{0} {2}\n", name, help,
                         kind == Kind::kCounter ? "counter" : "gauge");
  }
  /// `labels` are written already: port="left".
  void sample(const std::string& labels, const Json& value) {
    text_ += fmt::format("faultline_{}{} {}\n", name_, labels.empty() ? "" : "{" + labels + "}",
                         value.dump());
  }
  void one(std::string_view name, Kind kind, std::string_view help, const Json& value) {
    family(name, kind, help);
    sample("", value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

/// Names are letters, digits, '-', '_' and '.', so nothing needs escaping.
std::string label(std::string_view key, const std::string& value) {
  return fmt::format("{}=\"{}\"", key, value);
}

double seconds(const Json& duration_ns) {
  return static_cast<double>(duration_ns.get<std::uint64_t>()) / 1e9;
}

void add_ports(Metrics& metrics, const Json& stats, const Json& ports) {
  for (const auto& [key, help] :
       {std::pair{"rx_packets", "Packets received"},
        {"rx_bytes", "Bytes received"},
        {"tx_packets", "Packets sent"},
        {"tx_bytes", "Bytes sent"},
        {"rx_missed", "Packets that the device or a worker had no room for"},
        {"rx_errors", "Packets that the device refused"},
        {"rx_no_mbuf", "Packets for which the device found no memory"},
        {"tx_full", "Packets that a full device did not take"},
        {"tx_errors", "Packets that could not leave the device"},
        {"tx_reordered", "Packets that left behind one that came later"},
        {"tx_extent_sum", "Reordering extents of those packets, in packets"}}) {
    metrics.family(fmt::format("port_{}_total", key), Kind::kCounter, help);
    for (const auto& [name, port] : stats["ports"].items())
      metrics.sample(label("port", name), port[key]);
  }
  metrics.family("port_up", Kind::kGauge, "Whether the port's link is up");
  for (const Json& port : ports["ports"])
    metrics.sample(label("port", port["name"].get<std::string>()),
                   port["link"].get<bool>() ? 1 : 0);
}

void add_rules(Metrics& metrics, const Json& stats) {
  for (const auto& [key, help] :
       {std::pair{"matched", "Packets that the rule matched"},
        {"dropped", "Packets that the rule dropped"},
        {"delayed", "Packets that the rule delayed"},
        {"edited", "Packets that the rule changed"},
        {"unrewritable", "Packets that the rule could not change validly"}}) {
    metrics.family(fmt::format("rule_{}_total", key), Kind::kCounter, help);
    for (const auto& [name, rule] : stats["rules"].items())
      metrics.sample(label("rule", name), rule[key]);
  }
  metrics.family("rule_delay_mean_seconds", Kind::kGauge, "Mean delay that the rule added");
  for (const auto& [name, rule] : stats["rules"].items())
    metrics.sample(label("rule", name), seconds(rule["delay"]["mean_ns"]));
}

}  // namespace

std::string metrics_text(const Json& status, const Json& stats, const Json& ports) {
  Metrics metrics;
  metrics.family("info", Kind::kGauge, "Version and state");
  metrics.sample(label("version", status["version"].get<std::string>()) + "," +
                     label("state", status["state"].get<std::string>()),
                 1);
  metrics.one("generation", Kind::kGauge, "Of the policy in use", stats["generation"]);
  metrics.one("uptime_seconds", Kind::kGauge, "Since the start", seconds(stats["uptime_ns"]));
  metrics.one("own_drops_total", Kind::kCounter, "Packets that faultline itself lost",
              status["own_drops"]);
  metrics.family("worker_busy_ratio", Kind::kGauge, "Share of time in polls that had packets");
  for (const Json& worker : status["workers"])
    metrics.sample(label("core", worker["core"].dump()), worker["busy"]);
  metrics.family("worker_stalled", Kind::kGauge, "Whether the worker has stopped polling");
  for (const Json& worker : status["workers"])
    metrics.sample(label("core", worker["core"].dump()), worker["stalled"].get<bool>() ? 1 : 0);
  add_ports(metrics, stats, ports);
  add_rules(metrics, stats);
  metrics.one("hold_packets", Kind::kGauge, "Packets that wait", stats["hold"]["packets"]);
  metrics.one("hold_bytes", Kind::kGauge, "Memory that they take", stats["hold"]["bytes"]);
  metrics.one("hold_capacity_bytes", Kind::kGauge, "Memory that there is for them",
              stats["hold"]["capacity_bytes"]);
  metrics.one("flows", Kind::kGauge, "Flows that are known", stats["flows"]["active"]);
  metrics.one("flows_evicted_total", Kind::kCounter, "Flows that made room while in use",
              stats["flows"]["evicted"]);
  const Json& ledger = stats["ledger"];
  for (const char* key : {"received", "copies", "injected", "sent"})
    metrics.one(fmt::format("ledger_{}_total", key), Kind::kCounter, "Of the ledger", ledger[key]);
  metrics.family("ledger_dropped_total", Kind::kCounter, "Of the ledger, by reason");
  for (const auto& [reason, count] : ledger["dropped"].items())
    metrics.sample(label("reason", reason), count);
  metrics.one("ledger_balanced", Kind::kGauge, "Whether the books balance",
              ledger["balanced"].get<bool>() ? 1 : 0);
  metrics.one("lateness_p99_seconds", Kind::kGauge, "Of releases, within 3 %",
              seconds(stats["lateness"]["p99_ns"]));
  return metrics.take();
}

}  // namespace faultline
