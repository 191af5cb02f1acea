// Figures of `faultline top`, and their three forms.
#include "app/top_figures.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "app/terminal.hpp"

namespace faultline {
namespace {

std::uint64_t count_of(const Json& json, const char* key) {
  return json.is_object() ? json.value(key, std::uint64_t{0}) : 0;
}

/// Per second of the daemon's clock.
class Rates {
 public:
  Rates(const Json& before, const Json& now) {
    const std::uint64_t from_ns = count_of(before, "uptime_ns");
    const std::uint64_t to_ns = count_of(now, "uptime_ns");
    seconds_ = to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e9 : 0;
  }
  /// A counter that was begun anew counts from nothing.
  double of(const Json& was, const Json& is, const char* key) const {
    const std::uint64_t from = count_of(was, key);
    const std::uint64_t to = count_of(is, key);
    return seconds_ > 0 ? static_cast<double>(to >= from ? to - from : to) / seconds_ : 0;
  }

 private:
  double seconds_ = 0;
};

Json part_of(const Json& json, const char* part, const std::string& name) {
  const auto found = json.find(part);
  return found == json.end() || !found->is_object() ? Json() : found->value(name, Json());
}

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

void add_ports(const TopSample& before, const TopSample& now, TopFigures& figures) {
  const Rates rates(before.stats, now.stats);
  for (const auto& [name, port] : now.stats["ports"].items()) {
    const Json was = part_of(before.stats, "ports", name);
    PortFigures one{.name = harmless(name),
                    .rx_pps = rates.of(was, port, "rx_packets"),
                    .rx_bps = 8 * rates.of(was, port, "rx_bytes"),
                    .tx_pps = rates.of(was, port, "tx_packets"),
                    .tx_bps = 8 * rates.of(was, port, "tx_bytes")};
    for (const char* key : {"rx_missed", "rx_errors", "rx_no_mbuf", "tx_full", "tx_errors"})
      one.own_losses += count_of(port, key);
    figures.ports.push_back(one);
  }
}

void add_rules(const TopSample& before, const TopSample& now, TopFigures& figures) {
  const Rates rates(before.stats, now.stats);
  for (const Json& rule : now.rules["rules"]) {
    const std::string name = text_of(rule, "name");
    const Json was = part_of(before.stats, "rules", name);
    const Json is = part_of(now.stats, "rules", name);
    RuleFigures one{.name = harmless(name),
                    .active = rule.value("active", false),
                    .enabled = rule.value("enabled", false),
                    .left_ns = {},
                    .matched_pps = rates.of(was, is, "matched"),
                    .dropped_pps = rates.of(was, is, "dropped"),
                    .delayed_pps = rates.of(was, is, "delayed"),
                    .mean_delay_ns = count_of(is.value("delay", Json()), "mean_ns"),
                    .p99_delay_ns = count_of(is.value("delay", Json()), "p99_ns")};
    if (const auto expires = rule.find("expires_ns"); expires != rule.end() && !expires->is_null())
      one.left_ns = expires->get<std::uint64_t>() -
                    std::min(expires->get<std::uint64_t>(), figures.uptime_ns);
    figures.rules.push_back(one);
  }
  std::stable_partition(figures.rules.begin(), figures.rules.end(),
                        [](const RuleFigures& rule) { return rule.active; });
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KB", "MB", "GB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::string seconds_text(std::uint64_t time_ns) {
  return fmt::format("{:.1f} s", static_cast<double>(time_ns) / 1e9);
}

std::string milliseconds_text(std::uint64_t time_ns) {
  return fmt::format("{:.3f} ms", static_cast<double>(time_ns) / 1e6);
}

/// Where it is wrong it is red.
std::string marked(bool wrong, const std::string& text) {
  return wrong ? kRed + text + kPlain : text;
}

std::string bold(const std::string& text) {
  return kBold + text + kPlain;
}

std::vector<std::string> head_lines(const TopFigures& figures) {
  std::vector<std::string> lines;
  lines.push_back(bold(fmt::format("faultline top   {}", figures.name)) + "   " +
                  marked(figures.state == "degraded", figures.state) +
                  fmt::format("   generation {}   seed {}   up {}   q quits", figures.generation,
                              figures.seed, seconds_text(figures.uptime_ns)));
  std::string workers = "workers  ";
  for (const WorkerFigures& worker : figures.workers)
    workers +=
        marked(worker.stalled, fmt::format(" core {} {:3.0f} % busy{} ", worker.core,
                                           100 * worker.busy, worker.stalled ? ", STALLED" : ""));
  lines.push_back(workers);
  lines.push_back(fmt::format("hold      {} packets, {} of {}   flows {}   lateness {} at 99 %",
                              figures.held_packets, bytes_text(figures.held_bytes),
                              bytes_text(figures.hold_bytes), figures.flows,
                              milliseconds_text(figures.lateness_p99_ns)));
  lines.push_back(
      "own drops " + marked(figures.own_drops > 0, fmt::format("{}", figures.own_drops)) +
      "   ledger " + marked(!figures.balanced, figures.balanced ? "balanced" : "NOT BALANCED"));
  return lines;
}

std::string rule_line(const RuleFigures& rule) {
  const double share = rule.matched_pps > 0 ? 100 * rule.dropped_pps / rule.matched_pps : 0;
  std::string line =
      fmt::format("{:<24}{:<9}{:>11}{:>12.0f}{:>12.0f}{:>9.2f}%{:>12.0f}{:>15}{:>15}", rule.name,
                  rule.active    ? "active"
                  : rule.enabled ? "waits"
                                 : "off",
                  rule.active && rule.left_ns ? seconds_text(*rule.left_ns) : "-", rule.matched_pps,
                  rule.dropped_pps, share, rule.delayed_pps, milliseconds_text(rule.mean_delay_ns),
                  milliseconds_text(rule.p99_delay_ns));
  return rule.active ? bold(line) : line;
}

}  // namespace

TopFigures figures_of(const TopSample& before, const TopSample& now) {
  TopFigures figures;
  figures.name = harmless(text_of(now.status, "name"));
  figures.state = harmless(text_of(now.status, "state"));
  figures.generation = count_of(now.status, "generation");
  figures.seed = count_of(now.status, "seed");
  figures.uptime_ns = count_of(now.stats, "uptime_ns");
  figures.own_drops = count_of(now.status, "own_drops");
  for (const Json& worker : now.status["workers"])
    figures.workers.push_back({.core = worker.value("core", 0U),
                               .busy = worker.value("busy", 0.0),
                               .stalled = worker.value("stalled", false)});
  const Json& hold = now.stats["hold"];
  figures.held_packets = count_of(hold, "packets");
  figures.held_bytes = count_of(hold, "bytes");
  figures.hold_bytes = count_of(hold, "capacity_bytes");
  figures.flows = count_of(now.stats["flows"], "active");
  figures.lateness_p99_ns = count_of(now.stats["lateness"], "p99_ns");
  figures.balanced = now.stats["ledger"].value("balanced", true);
  add_ports(before, now, figures);
  add_rules(before, now, figures);
  return figures;
}

std::vector<std::string> screen_lines(const TopFigures& figures, std::size_t rows) {
  std::vector<std::string> lines = head_lines(figures);
  lines.emplace_back();
  lines.push_back(bold(fmt::format("{:<24}{:>12}{:>12}{:>12}{:>12}{:>12}", "port", "rx pps",
                                   "rx Mbit/s", "tx pps", "tx Mbit/s", "own losses")));
  for (const PortFigures& port : figures.ports)
    lines.push_back(fmt::format("{:<24}{:>12.0f}{:>12.2f}{:>12.0f}{:>12.2f}", port.name,
                                port.rx_pps, port.rx_bps / 1e6, port.tx_pps, port.tx_bps / 1e6) +
                    marked(port.own_losses > 0, fmt::format("{:>12}", port.own_losses)));
  lines.emplace_back();
  lines.push_back(bold(fmt::format("{:<24}{:<9}{:>11}{:>12}{:>12}{:>10}{:>12}{:>15}{:>15}", "rule",
                                   "is", "time left", "matched/s", "dropped/s", "share",
                                   "delayed/s", "mean delay", "99 %")));
  const std::size_t room = rows > lines.size() ? rows - lines.size() : 0;
  const std::size_t shown =
      figures.rules.size() <= room ? figures.rules.size() : (room > 0 ? room - 1 : 0);
  for (std::size_t i = 0; i < shown; ++i) lines.push_back(rule_line(figures.rules[i]));
  if (shown < figures.rules.size())
    lines.push_back(fmt::format("and {} more", figures.rules.size() - shown));
  return lines;
}

std::string plain_line(const TopFigures& figures) {
  PortFigures all;
  for (const PortFigures& port : figures.ports) {
    all.rx_pps += port.rx_pps;
    all.rx_bps += port.rx_bps;
    all.tx_pps += port.tx_pps;
    all.tx_bps += port.tx_bps;
  }
  double busiest = 0;
  for (const WorkerFigures& worker : figures.workers) busiest = std::max(busiest, worker.busy);
  std::string line = fmt::format(
      "{:.1f} s  {}  rx {:.0f} pps {:.2f} Mbit/s  tx {:.0f} pps {:.2f} Mbit/s  held {}  "
      "busy {:.0f} %  own drops {}",
      static_cast<double>(figures.uptime_ns) / 1e9, figures.state, all.rx_pps, all.rx_bps / 1e6,
      all.tx_pps, all.tx_bps / 1e6, figures.held_packets, 100 * busiest, figures.own_drops);
  for (const RuleFigures& rule : figures.rules)
    if (rule.active)
      line += fmt::format("  {}: {:.0f}/s, {:.0f}/s dropped{}", rule.name, rule.matched_pps,
                          rule.dropped_pps,
                          rule.left_ns ? ", " + seconds_text(*rule.left_ns) + " left" : "");
  return line;
}

Json to_json(const TopFigures& figures) {
  Json json = {{"uptime_ns", figures.uptime_ns},
               {"state", figures.state},
               {"generation", figures.generation},
               {"own_drops", figures.own_drops},
               {"hold", {{"packets", figures.held_packets}, {"bytes", figures.held_bytes}}},
               {"workers", Json::array()},
               {"ports", Json::object()},
               {"rules", Json::object()}};
  for (const WorkerFigures& worker : figures.workers)
    json["workers"].push_back(
        {{"core", worker.core}, {"busy", worker.busy}, {"stalled", worker.stalled}});
  for (const PortFigures& port : figures.ports)
    json["ports"][port.name] = {{"rx_pps", port.rx_pps},
                                {"rx_bps", port.rx_bps},
                                {"tx_pps", port.tx_pps},
                                {"tx_bps", port.tx_bps},
                                {"own_losses", port.own_losses}};
  for (const RuleFigures& rule : figures.rules)
    json["rules"][rule.name] = {
        {"active", rule.active},
        {"left_ns", rule.active && rule.left_ns ? Json(*rule.left_ns) : Json()},
        {"matched_pps", rule.matched_pps},
        {"dropped_pps", rule.dropped_pps},
        {"delayed_pps", rule.delayed_pps}};
  return json;
}

}  // namespace faultline
