// Which of the names are interfaces, what DPDK needs for the others, and their links.
#include "app/probe_ports.hpp"

#include <time.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "app/probe_device.hpp"
#include "base/config.hpp"
#include "base/units.hpp"
#include "drivers/driver.hpp"
#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
#include "probe/frame.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kProbeMbufs = 8'191;
constexpr std::uint64_t kLinkWaitNs = 10 * kNsPerSecond;

bool is_dpdk(const std::string& name) {
  return name.starts_with('{');
}

/// A port as in a scenario. What is wrong has its place in the name.
PortSpec spec_of(const std::string& name, std::uint32_t frame_bytes, Problems& problems) {
  const Result<ConfigNode> tree = parse_config(name, intern_file_name(name));
  if (!tree) {
    problems.insert(problems.end(), tree.error().begin(), tree.error().end());
    return {};
  }
  ConfigEntry entry;
  entry.key = "probe";
  entry.key_mark = tree->mark;
  entry.value = *tree;
  PortSpec spec = read_port(entry, problems);
  const std::uint32_t room = spec.settings.mtu_bytes + 14 + kFrameCheckBytes;
  if (frame_bytes > room)
    problems.push_back(problem_at(tree->mark,
                                  fmt::format("an mtu of {} is too small for frames of {} bytes",
                                              spec.settings.mtu_bytes, frame_bytes),
                                  fmt::format("frames of at most {} bytes", room)));
  if (spec.settings.queues > 1)
    problems.push_back(problem_at(tree->mark, fmt::format("{} queues", spec.settings.queues),
                                  "1: a probe polls one"));
  return spec;
}

/// Waits for the link: a shared memory's other end comes when it comes.
bool comes_up(Device& device) {
  const timespec nap{.tv_sec = 0, .tv_nsec = 10'000'000};
  const std::uint64_t give_up_ns = monotonic_ns() + kLinkWaitNs;
  for (device.watch_link(); !device.carrier(); device.watch_link()) {
    if (monotonic_ns() > give_up_ns)
      return false;
    nanosleep(&nap, nullptr);
  }
  return true;
}

/// DPDK's memory for these ports, on the first core: daemons have their workers on the last ones.
Result<rte_mempool*> start_dpdk(const std::vector<PortSpec>& specs) {
  const PoolNeeds needs = pool_needs_of(specs);
  const std::uint32_t mbufs = kProbeMbufs + needs.mbufs;
  EalSettings eal;
  eal.main_core = allowed_cores().front();
  eal.memory_mb =
      96 + static_cast<std::uint32_t>(std::uint64_t{mbufs} * (needs.frame_bytes + 512) >> 20);
  eal.huge_pages = huge_pages_free(std::uint64_t{eal.memory_mb} << 20);
  for (const PortSpec& spec : specs)
    if (spec.settings.driver == Driver::kPci)
      eal.cards.push_back(spec.settings.address);
  if (const auto started = start_eal(eal); !started)
    return tl::unexpected(started.error());
  return make_pool("probe", mbufs, needs.frame_bytes, SOCKET_ID_ANY);
}

Result<ProbePortPtr> open_device(const std::string& name, const PortSpec& spec, rte_mempool* pool) {
  Result<OpenedPort> opened = open_port(spec, pool);
  if (!opened)
    return tl::unexpected(opened.error());
  for (const std::string& warning : opened->warnings)
    fmt::print(stderr, "faultline: warning: {}\n", warning);
  if (!comes_up(*opened->device))
    return failure(
        fmt::format("port '{}' had no carrier for {}", name, format_duration(kLinkWaitNs)),
        "a cable, or another end of the memory, that is up");
  return std::make_unique<ProbeDevice>(name, std::move(opened->device), pool);
}

}  // namespace

Result<ProbePorts> ProbePorts::open(const std::vector<ProbePortWish>& wishes,
                                    std::uint32_t frame_bytes) {
  Problems problems;
  ProbePorts ports;
  std::vector<PortSpec> specs;
  for (const ProbePortWish& wish : wishes) {
    if (!is_dpdk(wish.name))
      continue;
    PortSpec spec = spec_of(wish.name, frame_bytes, problems);
    const auto same = [&](const PortSpec& other) { return other.settings == spec.settings; };
    if (problems.empty() && std::any_of(specs.begin(), specs.end(), same))
      problems.push_back(problem_at({}, fmt::format("'{}' twice", wish.name), "two ports"));
    specs.push_back(std::move(spec));
  }
  if (!problems.empty())
    return tl::unexpected(std::move(problems));
  rte_mempool* pool = nullptr;
  if (!specs.empty()) {
    const Result<rte_mempool*> started = start_dpdk(specs);
    if (!started)
      return tl::unexpected(started.error());
    pool = *started;
    ports.dpdk_ = true;
  }
  std::size_t next = 0;
  for (const ProbePortWish& wish : wishes) {
    Result<ProbePortPtr> port = is_dpdk(wish.name)
                                    ? open_device(wish.name, specs[next++], pool)
                                    : open_interface(wish.name, wish.role, frame_bytes);
    if (port)
      ports.ports_.push_back(std::move(*port));
    else
      problems.insert(problems.end(), port.error().begin(), port.error().end());
  }
  if (!problems.empty())
    return tl::unexpected(std::move(problems));
  return ports;
}

ProbePorts::ProbePorts(ProbePorts&& other) noexcept
    : ports_(std::move(other.ports_)), dpdk_(std::exchange(other.dpdk_, false)) {}

ProbePorts::~ProbePorts() {
  ports_.clear();
  if (dpdk_)
    stop_eal();
}

}  // namespace faultline
