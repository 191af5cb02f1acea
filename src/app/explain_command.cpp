// faultline explain: which rules, which draws, what fate; the same simulation as `simulate`.
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>

#include "app/commands.hpp"
#include "app/inputs.hpp"
#include "drivers/eal.hpp"
#include "policy/compile.hpp"
#include "record/capture_writer.hpp"
#include "sim/explain_sink.hpp"
#include "sim/simulation.hpp"

namespace faultline {
namespace {

using Json = ExplainSink::Json;

/// One frame as a capture that lives in memory: its path, or an error.
Result<std::string> capture_of(const std::vector<std::uint8_t>& frame) {
  const int file = memfd_create("frame", MFD_CLOEXEC);
  if (file < 0)
    return failure("no memory for the frame");
  std::string path = fmt::format("/proc/self/fd/{}", file);
  Result<CaptureWriter> writer = CaptureWriter::create(path, {"frame"});
  if (!writer)
    return tl::unexpected(writer.error());
  CapturedPacket packet;
  packet.original_length_bytes = static_cast<std::uint32_t>(frame.size());
  packet.bytes = std::as_bytes(std::span(frame));
  writer->write(packet);
  if (const Result<void> closed = writer->close(); !closed)
    return tl::unexpected(closed.error());
  return path;
}

std::string number_text(const Json& impairment, const char* key) {
  return impairment.contains(key) ? fmt::format(" {} {:.10g}", key, impairment[key].get<double>())
                                  : std::string();
}

void tell_packet(const Json& packet) {
  fmt::print("packet {}: {} (packet {} of its flow)\n", packet["n"].get<std::uint64_t>(),
             packet["flow"].get<std::string>(), packet["packet_in_flow"].get<std::uint64_t>());
  for (const Json& rule : packet["rules"]) {
    fmt::print("  {} {}: {}\n", rule["matched"].get<bool>() ? "+" : "-",
               rule["rule"].get<std::string>(), rule["why"].get<std::string>());
    for (const Json& each : rule["impairments"]) {
      const std::string state = each.value("state", "");
      fmt::print("      {}:{}{}{}{} -> {}\n", each["kind"].get<std::string>(),
                 number_text(each, "draw"), number_text(each, "threshold"),
                 state.empty() ? "" : " ", state, each["result"].get<std::string>());
    }
  }
  const Json& fate = packet["fate"];
  if (fate["action"] == "drop")
    fmt::print("  fate: dropped ({})\n", fate["reason"].get<std::string>());
  else
    fmt::print("  fate: sent after {}\n", format_duration(fate["delay_ns"].get<std::uint64_t>()));
}

Result<SimulationInput> open_input(const ExplainOptions& options, std::string path, Entry entry) {
  if (options.hex) {
    const std::vector<std::uint8_t> frame =
        parse_hex(*options.hex).value_or(std::vector<std::uint8_t>{});
    if (frame.empty())
      return failure("--hex: found " + in_quotes(*options.hex), "pairs of hex digits");
    Result<std::string> made = capture_of(frame);
    if (!made)
      return tl::unexpected(made.error());
    path = std::move(*made);
  }
  Result<CaptureReader> reader = CaptureReader::open(path);
  if (!reader)
    return tl::unexpected(reader.error());
  return SimulationInput{std::move(entry), std::move(*reader)};
}

Exit explain(const ExplainOptions& options, const Scenario& scenario, PolicyChain policies,
             SimulationInput input) {
  std::vector<std::string> names;
  for (const PortSpec& port : scenario.ports) names.push_back(port.name);
  std::uint64_t told = 0;
  ExplainSink sink(
      [&](std::uint64_t number, const Json& packet) {
        if (options.packet && number != *options.packet)
          return;
        ++told;
        if (options.form == OutputForm::kJson)
          fmt::print("{}\n", packet.dump());
        else
          tell_packet(packet);
      },
      scenario.switches.empty() ? std::vector<std::string>() : names);
  SimulationSettings settings;
  settings.rx_burst = 1;
  settings.flows_max = scenario.flows_max;
  settings.flow_idle_ns = scenario.flow_idle_ns;
  settings.hold_bytes = scenario.hold_bytes.value_or(settings.hold_bytes);
  settings.paths = scenario.path_count();
  settings.switches = switches_of(scenario);
  settings.detail = TrailDetail::kAll;
  // Nothing that comes later changes the fate of a packet.
  settings.packets_max = options.packet.value_or(UINT64_MAX);
  std::vector<SimulationInput> inputs;
  inputs.push_back(std::move(input));
  const Result<SimulationResult> result =
      simulate(std::move(policies), names, settings, std::move(inputs), sink);
  if (!result) {
    tell(result.error(), options.form);
    return Exit::kUnusable;
  }
  sink.finish();
  if (options.packet && told == 0) {
    tell(fmt::format("--packet {}: the capture has fewer packets", *options.packet), options.form);
    return Exit::kUsage;
  }
  return Exit::kDone;
}

}  // namespace

Exit run_explain(const ExplainOptions& options) {
  LoadedPolicies loaded = load_policies(options.file, options.seed, options.form);
  if (!loaded.scenario)
    return loaded.exit;
  const Scenario& scenario = *loaded.scenario;
  const auto word = split_input("--pcap", options.capture, scenario);
  const auto left = read_left(options.left);
  if (!word || !left)
    return Exit::kUsage;
  Result<SimulationInput> input =
      open_input(options, word->path, entry_for(*word, *left, scenario));
  if (!input) {
    tell(input.error(), options.form);
    return options.hex ? Exit::kUsage : Exit::kUnusable;
  }
  const EalSettings eal{.main_core = allowed_cores().front(), .worker_cores = {}, .memory_mb = 224};
  if (const auto started = start_eal(eal); !started) {
    tell(started.error(), options.form);
    return Exit::kRefused;
  }
  const Exit exit = explain(options, scenario, std::move(loaded.policies), std::move(*input));
  stop_eal();
  return exit;
}

}  // namespace faultline
