// A worker between two rings, and one packet after the other through it.
#include "app/own_latency.hpp"

#include <pthread.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/units.hpp"
#include "dataplane/live_worker.hpp"
#include "drivers/driver.hpp"
#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
#include "policy/compile.hpp"

namespace faultline {
namespace {

constexpr std::size_t kRounds = 20'000;
/// Where the cores are busy with other things a round may take as long as they keep them.
constexpr std::uint64_t kMeasureMaxNs = 200 * kNsPerMs;
constexpr std::size_t kRoundsLeast = 1'000;
constexpr std::uint16_t kFrameBytes = 60;  // 64 with FCS

void pin(unsigned core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/// Both ends of a cable: the worker's first, then ours.
struct Cable {
  std::unique_ptr<Device> worker;
  std::unique_ptr<Device> ours;
};

Result<Cable> lay_cable(const std::string& name) {
  Cable cable;
  PortSpec spec;
  spec.name = name;
  spec.settings.driver = Driver::kRing;
  spec.settings.path = name;
  for (std::unique_ptr<Device>* end : {&cable.worker, &cable.ours}) {
    Result<OpenedPort> opened = open_ring(spec, nullptr);
    if (!opened)
      return tl::unexpected(opened.error());
    *end = std::move(opened->device);
  }
  return cable;
}

/// Sends one packet through and again, until there are enough times or there is no more time.
std::vector<std::uint64_t> round_trips_ns(LivePort& in, LivePort& out, rte_mempool* pool,
                                          const TscClock& clock) {
  OutBurst burst{};
  burst.count = 1;
  burst.mbufs[0] = rte_pktmbuf_alloc(pool);
  std::vector<std::uint64_t> times_ns;
  if (burst.mbufs[0] == nullptr)
    return times_ns;
  rte_pktmbuf_append(burst.mbufs[0], kFrameBytes);
  times_ns.reserve(kRounds);
  const std::uint64_t end_ns = clock.now_ns() + kMeasureMaxNs;
  while (times_ns.size() < kRounds) {
    const std::uint64_t sent_ns = clock.now_ns();
    in.transmit(burst, 0);
    while (out.receive(burst.mbufs.data(), 1) == 0)
      if (clock.now_ns() > end_ns)
        return times_ns;  // what is on its way goes back with the cable or the worker
    times_ns.push_back(clock.now_ns() - sent_ns);
  }
  in.transmit(burst, 0);  // the cable gives it back to the pool
  return times_ns;
}

}  // namespace

Result<OwnLatency> measure_own_latency(const LatencyBench& bench) {
  Result<Cable> in = lay_cable("in");
  Result<Cable> out = lay_cable("out");
  if (!in || !out)
    return failure("no memory for rings");
  const Result<ConfigNode> tree = parse_config("version: 1", "latency");
  const Result<Scenario> scenario = read_scenario(*tree, ScenarioUse::kSimulate);
  PolicySlots slots(2);
  const Result<Policy> policy = compile_policy(*scenario, {}, slots);
  TscTime time(bench.clock);
  std::atomic<const Policy*> published{&*policy};
  std::atomic<bool> stop{false};
  LiveWorker worker({.flows_max = 1'024, .hold_bytes = 1 << 20},  // no rule asks for either
                    {in->worker->queues()[0].get(), out->worker->queues()[0].get()}, time,
                    bench.pool, published);
  std::thread thread([&] {
    pin(bench.worker_core);
    while (!stop.load(std::memory_order_relaxed)) worker.poll();
  });
  std::vector<std::uint64_t> times_ns =
      round_trips_ns(*in->ours->queues()[0], *out->ours->queues()[0], bench.pool, bench.clock);
  stop.store(true);
  thread.join();
  const std::size_t rounds = times_ns.size();
  if (rounds < kRoundsLeast)
    return failure(fmt::format("{} packets came through in {}, which tells nothing", rounds,
                               format_duration(kMeasureMaxNs)));
  std::sort(times_ns.begin(), times_ns.end());
  return OwnLatency{times_ns[rounds / 2], times_ns[rounds * 99 / 100], times_ns.back(),
                    bench.worker_core};
}

Result<OwnLatency> measure_own_latency() {
  const std::vector<unsigned> cores = allowed_cores();
  if (cores.size() < 2)
    return failure("needs two cores");
  EalSettings settings;
  settings.main_core = cores.front();
  if (const auto started = start_eal(settings); !started)
    return tl::unexpected(started.error());
  const Result<rte_mempool*> pool = make_pool("latency", 8'191, 1'536, SOCKET_ID_ANY);
  if (!pool)
    return tl::unexpected(pool.error());
  TscClock clock;
  clock.calibrate(100 * kNsPerMs);
  Result<OwnLatency> latency = measure_own_latency({cores.back(), *pool, clock});
  stop_eal();
  return latency;
}

}  // namespace faultline
