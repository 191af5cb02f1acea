// Memory, counted before packets come.
#include "policy/capacity.hpp"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

namespace faultline {
namespace {

/// Ethernet at line rate in 64-byte frames is the hold's worst case: 60 bytes without FCS plus a
/// 24-byte record head, in whole 8 bytes, while the wire spends 84 (IEEE 802.3: preamble, FCS,
/// gap). Where packets overtake each other they are loose, with a link each.
constexpr std::uint64_t kWireBytes = 84;
constexpr std::uint64_t kFrameBytes = 60;
constexpr std::uint64_t kRecordBytes = 88;
constexpr std::uint64_t kLooseRecordBytes = 96;
constexpr std::uint64_t kHoldLeast = std::uint64_t{256} << 20;

std::uint64_t memory_bytes() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
}

/// What a path's packets need while they wait. A link lets no more through than its rate, which
/// bounds what waits for it and behind it in its rule.
struct Stay {
  std::uint64_t stay_ns = 0;  ///< of packets that come as fast as the port
  std::uint64_t bytes = 0;    ///< of the hold, all together
};

std::uint64_t bytes_in(std::uint64_t speed_bps, std::uint64_t frame_bytes, std::uint64_t time_ns,
                       bool loose) {
  const double frames = static_cast<double>(speed_bps) / 8.0 / static_cast<double>(frame_bytes) *
                        static_cast<double>(time_ns) / static_cast<double>(kNsPerSecond);
  return static_cast<std::uint64_t>(frames) * (loose ? kLooseRecordBytes : kRecordBytes);
}

/// Adds what packets stay for the rule.
void add_stay(const RuleProgram& rule, std::uint64_t speed_bps, bool loose, Stay& stay) {
  std::uint64_t link_bps = 0;
  for (const RuleStep& step : rule.steps) {
    const CompiledImpairment& impairment = step.impairment;
    const std::uint64_t added_ns = impairment.usual_ns.value_or(impairment.adds_ns);
    if (impairment.passes_bps != 0 && rule.per == Per::kRule)
      link_bps = impairment.passes_bps;
    const bool slower = link_bps != 0 && link_bps / kFrameBytes < speed_bps / kWireBytes;
    if (slower)
      stay.bytes += bytes_in(link_bps, kFrameBytes, added_ns, loose);
    else
      stay.stay_ns += added_ns;
  }
}

Stay stay_of(const PathProgram& path, const Policy& policy, std::uint64_t speed_bps) {
  Stay stay;
  Stay before;  // the rule, of whose variants a packet meets one
  for (const std::uint16_t index : path.rules) {
    const RuleProgram& rule = policy.rules[index];
    if (rule.variant == 0)
      before = stay;
    Stay own = before;
    add_stay(rule, speed_bps, path.breaks_order, own);
    stay = {std::max(stay.stay_ns, own.stay_ns), std::max(stay.bytes, own.bytes)};
  }
  stay.bytes += bytes_in(speed_bps, kWireBytes, stay.stay_ns, path.breaks_order);
  return stay;
}

std::string speed_text(std::uint64_t speed_bps) {
  return speed_bps % 1'000'000'000 == 0
             ? fmt::format("{} Gbit/s", speed_bps / 1'000'000'000)
             : fmt::format("{} Mbit/s", static_cast<double>(speed_bps) / 1e6);
}

std::string misfit_of(const Capacity& capacity) {
  if (capacity.hold_needed > capacity.hold && capacity.stay_ns == 0)
    return fmt::format("the hold has {} bytes, but what waits for links and behind them needs {}",
                       capacity.hold, capacity.hold_needed);
  if (capacity.hold_needed > capacity.hold)
    return fmt::format("the hold has {} bytes, but {} in 64-byte frames for {} need {}",
                       capacity.hold, speed_text(capacity.speed_bps),
                       format_duration(capacity.stay_ns), capacity.hold_needed);
  if (capacity.streams_memory > capacity.memory / 2)
    return fmt::format(
        "{} streams that payloads are searched in, {} bytes of state each, need {} bytes; the "
        "machine has {}",
        capacity.streams, capacity.stream_state, capacity.streams_memory, capacity.memory);
  if (capacity.flows_memory + capacity.hold_needed > capacity.memory)
    return fmt::format("{} flows need {} bytes and packets that wait {}; the machine has {}",
                       capacity.flows, capacity.flows_memory, capacity.hold_needed,
                       capacity.memory);
  return {};
}

}  // namespace

Capacity capacity_of(const Scenario& scenario, const Policy& policy, std::uint64_t flows_memory,
                     const WorkerLayout& layout) {
  Capacity capacity;
  capacity.memory = memory_bytes();
  capacity.flows = scenario.flows_max;
  capacity.flows_memory = flows_memory * layout.workers;
  capacity.mbufs = kMbufs;
  if (policy.payload != nullptr) {
    capacity.patterns = policy.payload->database()->bytes();
    capacity.stream_state = policy.payload->database()->stream_bytes();
    capacity.streams_memory = policy.payload->streams_memory_bytes() * layout.workers;
    capacity.streams = capacity.streams_memory > 0 ? policy.payload->streams_max() : 0;
  }
  std::uint64_t most = 0;
  std::vector<std::uint64_t> needs(layout.workers, 0);
  // What comes in by a port takes one path of many: that where it stays longest.
  std::vector<std::uint64_t> port_needs(scenario.ports.size(), 0);
  for (const PathProgram& path : policy.paths) {
    if (!path.exists)
      continue;
    const PortSpec& spec = scenario.ports[path.ingress];
    const std::uint64_t speed_bps = spec.speed_bps.value_or(kSpeedAssumedBps);
    const auto [stay_ns, needed] = stay_of(path, policy, speed_bps);
    port_needs[path.ingress] = std::max(port_needs[path.ingress], needed);
    if (needed <= most)
      continue;
    most = needed;
    capacity.speed_bps = speed_bps;
    capacity.stay_ns = stay_ns;
    capacity.speed_known = spec.speed_bps.has_value() || spec.settings.driver != Driver::kSim;
  }
  for (std::size_t port = 0; port < port_needs.size(); ++port)
    for (const std::size_t worker : layout.queues[port])
      needs[worker] += port_needs[port] / layout.queues[port].size();
  capacity.hold_needed = *std::max_element(needs.begin(), needs.end()) * layout.workers;
  const std::uint64_t usual = std::max(kHoldLeast, capacity.memory / 4);
  capacity.hold = scenario.hold_bytes.value_or(
      std::clamp(capacity.hold_needed, usual, std::max(usual, capacity.memory / 4 * 3)));
  capacity.misfit = misfit_of(capacity);
  return capacity;
}

}  // namespace faultline
