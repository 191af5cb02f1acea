// Printing tables.
#include "app/show.hpp"

#include <fmt/format.h>

namespace faultline {

std::string duration_text(std::uint64_t duration_ns) {
  return fmt::format("{:.3f} ms", static_cast<double>(duration_ns) / 1e6);
}

namespace {

/// Clients with how many of their sources lie, and each source.
void print_clocks(const Json& clocks) {
  fmt::print("\n{:<28}{:<28}{:<15}{:>8}{:>11}{:>14}{:>18}\n", "client", "source", "mode", "told",
             "rewritten", "unrewritable", "told last");
  const auto word = [](const Json& json) {
    return json.is_null() ? std::string("-") : json.get<std::string>();
  };
  for (const Json& client : clocks["clients"]) {
    fmt::print("{:<28}{} of {} shifted\n", client["client"].get<std::string>(),
               client["shifted"].get<std::uint64_t>(), client["sources"].get<std::uint64_t>());
    for (const Json& pair : client["pairs"]) {
      const bool offset = pair["shifted"].get<bool>() && !pair["last_ns"].is_null();
      fmt::print(
          "{:<28}{:<28}{:<15}{:>8}{:>11}{:>14}{:>18}\n", "", pair["source"].get<std::string>(),
          word(pair["mode"]), pair["told"].get<std::uint64_t>(),
          pair["rewritten"].get<std::uint64_t>(), pair["unrewritable"].get<std::uint64_t>(),
          offset ? fmt::format("{:+.6f} s",
                               static_cast<double>(pair["last_ns"].get<std::int64_t>()) / 1e9)
                 : std::string(pair["shifted"].get<bool>() ? "late" : "as it is"));
    }
  }
}

}  // namespace

void print_stats(const Json& stats) {
  fmt::print("{:<12}{:>14}{:>14}{:>12}{:>10}{:>10}\n", "port", "received", "sent", "rx missed",
             "tx full", "tx error");
  for (const auto& [name, port] : stats["ports"].items())
    fmt::print("{:<12}{:>14}{:>14}{:>12}{:>10}{:>10}\n", name,
               port["rx_packets"].get<std::uint64_t>(), port["tx_packets"].get<std::uint64_t>(),
               port["rx_missed"].get<std::uint64_t>(), port["tx_full"].get<std::uint64_t>(),
               port["tx_errors"].get<std::uint64_t>());
  fmt::print("\n{:<20}{:>12}{:>12}{:>12}{:>10}{:>10}{:>16}\n", "rule", "matched", "dropped",
             "delayed", "loss", "mean run", "mean delay");
  for (const auto& [name, rule] : stats["rules"].items())
    fmt::print("{:<20}{:>12}{:>12}{:>12}{:>9.3f}%{:>10.2f}{:>16}\n", name,
               rule["matched"].get<std::uint64_t>(), rule["dropped"].get<std::uint64_t>(),
               rule["delayed"].get<std::uint64_t>(), 100.0 * rule["loss"]["rate"].get<double>(),
               rule["loss"]["mean_run"].get<double>(),
               duration_text(rule["delay"]["mean_ns"].get<std::uint64_t>()));
  if (stats["clocks"].is_object())
    print_clocks(stats["clocks"]);
  const Json& ledger = stats["ledger"];
  fmt::print("\nledger: received {} + copies {} + injected {} = sent {} + held {}",
             ledger["received"].get<std::uint64_t>(), ledger["copies"].get<std::uint64_t>(),
             ledger["injected"].get<std::uint64_t>(), ledger["sent"].get<std::uint64_t>(),
             ledger["held"].get<std::uint64_t>());
  for (const auto& [reason, count] : ledger["dropped"].items())
    if (count.get<std::uint64_t>() > 0)
      fmt::print(" + {} {}", reason, count.get<std::uint64_t>());
  fmt::print("   ({})\n", ledger["balanced"].get<bool>() ? "balanced" : "NOT BALANCED");
}

void print_rates(const Json& before, const Json& after) {
  const auto count = [](const Json& json, const char* key) {
    return json[key].get<std::uint64_t>();
  };
  const double seconds =
      static_cast<double>(count(after, "uptime_ns") - count(before, "uptime_ns")) / 1e9;
  // A counter that was begun anew counts from nothing.
  const auto rate = [&](const Json& was, const Json& is, const char* key) {
    const std::uint64_t from = was.is_object() ? count(was, key) : 0;
    const std::uint64_t to = count(is, key);
    return static_cast<double>(to >= from ? to - from : to) / seconds;
  };
  fmt::print("\n{:<12}{:>12}{:>12}{:>12}{:>12}{:>10}   at {:.1f} s\n", "port", "rx pps",
             "rx Mbit/s", "tx pps", "tx Mbit/s", "lost pps",
             static_cast<double>(count(after, "uptime_ns")) / 1e9);
  for (const auto& [name, port] : after["ports"].items()) {
    const Json& was = before["ports"][name];
    fmt::print(
        "{:<12}{:>12.0f}{:>12.2f}{:>12.0f}{:>12.2f}{:>10.0f}\n", name,
        rate(was, port, "rx_packets"), 8e-6 * rate(was, port, "rx_bytes"),
        rate(was, port, "tx_packets"), 8e-6 * rate(was, port, "tx_bytes"),
        rate(was, port, "rx_missed") + rate(was, port, "tx_full") + rate(was, port, "tx_errors"));
  }
  if (after["rules"].empty())
    return;
  fmt::print("{:<20}{:>12}{:>12}{:>12}\n", "rule", "matched/s", "dropped/s", "delayed/s");
  for (const auto& [name, rule] : after["rules"].items()) {
    const Json was = before["rules"].value(name, Json());
    fmt::print("{:<20}{:>12.0f}{:>12.0f}{:>12.0f}\n", name, rate(was, rule, "matched"),
               rate(was, rule, "dropped"), rate(was, rule, "delayed"));
  }
}

}  // namespace faultline
