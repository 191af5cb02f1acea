// A worker between two rings, and one packet after the other through it.
#include "app/own_latency.hpp"

#include <pthread.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/check.hpp"
#include "dataplane/live_worker.hpp"
#include "drivers/driver.hpp"
#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
#include "policy/compile.hpp"

namespace faultline {
namespace {

constexpr int kRounds = 20'000;
constexpr std::uint64_t kRoundMaxNs = kNsPerSecond;
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

/// Sends the packet and waits until it has come through, to be sent again; 0 when it did not.
std::uint64_t round_trip_ns(LivePort& in, LivePort& out, OutBurst& burst, const TscClock& clock) {
  const std::uint64_t sent_ns = clock.now_ns();
  in.transmit(burst, 0);
  while (out.receive(burst.mbufs.data(), 1) == 0)
    if (clock.now_ns() > sent_ns + kRoundMaxNs)
      return 0;
  const std::uint64_t took_ns = clock.now_ns() - sent_ns;
  return took_ns;
}

Result<OwnLatency> measure(unsigned worker_core, rte_mempool* pool) {
  Result<Cable> in = lay_cable("in");
  Result<Cable> out = lay_cable("out");
  if (!in || !out)
    return failure("no memory for rings");
  const Result<ConfigNode> tree = parse_config("version: 1", "latency");
  const Result<Scenario> scenario = read_scenario(*tree, ScenarioUse::kSimulate);
  PolicySlots slots(2);
  const Result<Policy> policy = compile_policy(*scenario, {}, slots);
  TscClock clock;
  clock.calibrate(100 * kNsPerMs);
  TscTime time(clock);
  std::atomic<const Policy*> published{&*policy};
  std::atomic<bool> stop{false};
  LiveWorker worker({.hold_bytes = 1 << 20},
                    {in->worker->queues()[0].get(), out->worker->queues()[0].get()}, time, pool,
                    published);
  std::thread thread([&] {
    pin(worker_core);
    while (!stop.load(std::memory_order_relaxed)) worker.poll();
  });
  OutBurst burst{};
  burst.count = 1;
  burst.mbufs[0] = rte_pktmbuf_alloc(pool);
  FAULTLINE_CHECK(burst.mbufs[0] != nullptr);
  rte_pktmbuf_append(burst.mbufs[0], kFrameBytes);
  std::vector<std::uint64_t> times_ns;
  for (int round = 0; round < kRounds; ++round) {
    times_ns.push_back(
        round_trip_ns(*in->ours->queues()[0], *out->ours->queues()[0], burst, clock));
    if (times_ns.back() == 0)
      break;
  }
  stop.store(true);
  thread.join();
  if (times_ns.back() != 0)
    in->ours->queues()[0]->transmit(burst, 0);  // the cable gives it back to the pool
  if (times_ns.back() == 0)
    return failure("a packet did not come through within a second");
  std::sort(times_ns.begin(), times_ns.end());
  return OwnLatency{times_ns[kRounds / 2], times_ns[kRounds / 100 * 99], times_ns.back(),
                    worker_core};
}

}  // namespace

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
  Result<OwnLatency> latency = measure(cores.back(), *pool);
  stop_eal();
  return latency;
}

}  // namespace faultline
