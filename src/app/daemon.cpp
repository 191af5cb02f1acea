// Starting and ending the daemon. What is done here once; the loop below only waits and watches.
#include "app/daemon.hpp"

#include <pthread.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <signal.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/file.hpp"
#include "control/api.hpp"
#include "control/engine.hpp"
#include "control/http_server.hpp"
#include "dataplane/flow_table.hpp"
#include "drivers/driver.hpp"
#include "drivers/eal.hpp"
#include "policy/capacity.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kCalibrationNs = 100 * kNsPerMs;

/// SIGTERM and SIGINT wait for the main thread, in every thread that will ever start.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

bool huge_pages_free(std::uint64_t bytes_needed) {
  const FileText file = read_file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", 64);
  return file.readable && std::strtoull(file.text.c_str(), nullptr, 10) * (2 << 20) >= bytes_needed;
}

struct LaunchedWorker {
  Publisher* publisher = nullptr;
  LiveWorker* worker = nullptr;
  const std::atomic<bool>* stop = nullptr;
  HeldAction on_exit = HeldAction::kSend;
};

int worker_main(void* argument) {
  const auto& launched = *static_cast<const LaunchedWorker*>(argument);
  launched.publisher->run(*launched.worker, 0, *launched.stop, launched.on_exit);
  return 0;
}

class Daemon {
 public:
  explicit Daemon(const DaemonSettings& settings) : settings_(settings) {}

  Exit run() {
    const sigset_t signals = block_signals();
    Loaded loaded = load_scenario(settings_.scenario, ScenarioUse::kLive, OutputForm::kHuman);
    if (!loaded.scenario)
      return loaded.exit;
    // A wrong rule is told now, and not when somebody enables it.
    PolicySlots slots(loaded.scenario->ports.size());
    const Result<Policy> policy = compile_policy(*loaded.scenario, {}, slots);
    if (!policy) {
      tell(policy.error(), OutputForm::kHuman);
      return Exit::kWrong;
    }
    const Capacity capacity = capacity_of(*loaded.scenario, *policy,
                                          FlowTable::bytes_for(loaded.scenario->flows_max));
    if (capacity.must_refuse()) {
      fmt::print(stderr, "faultlined: error: {}\n", capacity.misfit);
      return Exit::kRefused;
    }
    loaded.scenario->hold_bytes = capacity.hold;
    if (const Exit exit = start_machine(*loaded.scenario); exit != Exit::kDone)
      return exit;
    const Exit exit = serve(std::move(*loaded.scenario), signals);
    // Every packet's memory must have come back: a leak would end a long soak.
    FAULTLINE_CHECK(rte_mempool_avail_count(pool_) == kMbufs);
    rte_mempool_free(pool_);
    stop_eal();
    return exit;
  }

 private:
  Exit start_machine(const Scenario& scenario) {
    const std::vector<unsigned> cores = allowed_cores();
    worker_core_ = cores.back();
    std::uint32_t frame_bytes = 0;
    for (const PortSpec& port : scenario.ports)
      frame_bytes = std::max(frame_bytes, frame_bytes_of(port));
    EalSettings eal;
    eal.main_core = cores.front();
    eal.worker_cores = {worker_core_};
    eal.memory_mb =
        96 + static_cast<std::uint32_t>(std::uint64_t{kMbufs} * (frame_bytes + 512) >> 20);
    eal.huge_pages = !settings_.no_huge && huge_pages_free(std::uint64_t{eal.memory_mb} << 20);
    if (const auto started = start_eal(eal); !started)
      return refused(started.error());
    Result<rte_mempool*> pool = make_pool("packets", kMbufs, frame_bytes);
    if (!pool)
      return refused(pool.error());
    pool_ = *pool;
    return Exit::kDone;
  }

  Exit serve(Scenario scenario, const sigset_t& signals) {
    clock_.calibrate(kCalibrationNs);
    std::vector<std::unique_ptr<LivePort>> ports;
    for (const PortSpec& spec : scenario.ports) {
      Result<OpenedPort> opened = open_port(spec, pool_);
      if (!opened)
        return refused(opened.error());
      for (const std::string& warning : opened->warnings)
        fmt::print(stderr, "faultlined: warning: {}\n", warning);
      ports.push_back(std::move(opened->port));
    }
    WorkerSettings worker_settings;
    worker_settings.flows_max = scenario.flows_max;
    worker_settings.flow_idle_ns = scenario.flow_idle_ns;
    worker_settings.hold_bytes = scenario.hold_bytes.value_or(0);
    Result<std::unique_ptr<Engine>> engine = Engine::create(std::move(scenario), clock_);
    if (!engine)
      return refused(engine.error());
    std::vector<LivePort*> pointers;
    for (const auto& port : ports) pointers.push_back(port.get());
    TscTime time(clock_);
    std::vector<EngineWorker> workers;
    workers.push_back({std::make_unique<LiveWorker>(worker_settings, pointers, time, pool_,
                                                    (*engine)->publisher().slot()),
                       worker_core_});
    (*engine)->attach(std::move(workers), std::move(ports));
    return run_engine(**engine, signals);
  }

  Exit run_engine(Engine& engine, const sigset_t& signals) {
    start_log();
    std::atomic<bool> stop{false};
    LaunchedWorker launched{&engine.publisher(), engine.workers()[0].worker.get(), &stop,
                            settings_.on_exit};
    const unsigned lcore = rte_get_next_lcore(-1U, 1, 0);
    rte_eal_remote_launch(worker_main, &launched, lcore);
    const Exit exit = answer_until_signal(engine, signals);
    stop.store(true);
    rte_eal_wait_lcore(lcore);
    if (exit == Exit::kDone)
      log_end(engine);
    spdlog::shutdown();
    return exit;
  }

  Exit answer_until_signal(Engine& engine, const sigset_t& signals) {
    Api api(engine, [](const std::string& line) { spdlog::info("{}", line); });
    Result<std::unique_ptr<HttpServer>> server = HttpServer::start(
        settings_.socket, [&api](const HttpRequest& request) { return api.handle(request); });
    if (!server)
      return refused(server.error());
    if (settings_.start) {
      if (const ChangeResult started = engine.start(); !started) {
        fmt::print(stderr, "faultlined: error: {}\n", started.error().detail);
        return Exit::kRefused;
      }
    }
    spdlog::info("{} on core {}, socket {}", settings_.start ? "injecting" : "pass-through",
                 worker_core_, settings_.socket);
    const timespec tick{0, 1'000'000};
    int signal_number = 0;
    while ((signal_number = sigtimedwait(&signals, nullptr, &tick)) <= 0)
      engine.housekeeping(clock_.now_ns());
    spdlog::info("{}: ending", signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
    return Exit::kDone;
  }

  /// Messages are written by a thread of their own: nobody who logs ever waits for a terminal.
  static void start_log() {
    spdlog::init_thread_pool(8192, 1);
    auto logger = spdlog::create_async_nb<spdlog::sinks::stderr_sink_mt>("faultlined");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e faultlined %l: %v");
    spdlog::set_default_logger(logger);
  }

  /// The worker's thread has ended: its last figures may be read.
  static void log_end(Engine& engine) {
    WorkerSnapshot snapshot(engine.ports().size());
    engine.workers()[0].worker->fill(snapshot);
    const Ledger& ledger = snapshot.counters.ledger;
    spdlog::info("received {}, sent {}, dropped {}, held {}: {}", ledger.received, ledger.sent,
                 ledger.dropped_total(), snapshot.hold.packets,
                 ledger.balances(snapshot.hold.packets) ? "balanced" : "NOT BALANCED");
  }

  static Exit refused(const Problems& problems) {
    tell(problems, OutputForm::kHuman);
    return Exit::kRefused;
  }

  DaemonSettings settings_;
  TscClock clock_;
  rte_mempool* pool_ = nullptr;
  unsigned worker_core_ = 0;
};

}  // namespace

Exit run_daemon(const DaemonSettings& settings) {
  return Daemon(settings).run();
}

}  // namespace faultline
