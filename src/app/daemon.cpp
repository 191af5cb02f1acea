// Starting and ending the daemon. What is done here once; the loop below only waits and watches.
#include "app/daemon.hpp"

#include <grp.h>
#include <pthread.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <signal.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "app/own_latency.hpp"
#include "base/check.hpp"
#include "base/dice.hpp"
#include "base/file.hpp"
#include "control/api.hpp"
#include "control/engine.hpp"
#include "control/http_server.hpp"
#include "control/telemetry.hpp"
#include "dataplane/flow_table.hpp"
#include "drivers/driver.hpp"
#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
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

/// One worker's thread: what it runs, and where.
struct LaunchedWorker {
  Publisher* publisher = nullptr;
  LiveWorker* worker = nullptr;
  RunSettings settings;
  std::atomic<int>* running = nullptr;  ///< how many have not ended yet
};

int worker_main(void* argument) {
  const auto& launched = *static_cast<const LaunchedWorker*>(argument);
  launched.publisher->run(*launched.worker, launched.settings);
  launched.running->fetch_sub(1, std::memory_order_release);
  return 0;
}

/// Which cores the workers take: those written, else the last ones, with one left for management.
struct Cores {
  unsigned management = 0;
  std::vector<unsigned> workers;
};

Result<Cores> choose_cores(const Scenario& scenario, const WorkerLayout& layout) {
  const std::vector<unsigned> allowed = allowed_cores();
  Cores cores;
  cores.workers = scenario.workers.cores;
  if (cores.workers.empty())
    cores.workers.assign(allowed.end() - static_cast<std::ptrdiff_t>(layout.workers),
                         allowed.end());
  const auto taken = [&](unsigned core) {
    return std::find(cores.workers.begin(), cores.workers.end(), core) != cores.workers.end();
  };
  for (const unsigned core : cores.workers)
    if (std::find(allowed.begin(), allowed.end(), core) == allowed.end())
      return failure(fmt::format("workers: core {} is not one that this process may use ({})", core,
                                 fmt::join(allowed, ", ")));
  const auto free = std::find_if_not(allowed.begin(), allowed.end(), taken);
  cores.management = free != allowed.end() ? *free : allowed.front();
  return cores;
}

/// Why the daemon cannot keep its files in this folder; empty: it can, or needs none.
std::string why_unusable(const std::string& folder) {
  if (folder.empty())
    return {};
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0)
    return fmt::format("cannot be used: {}; a folder that exists", std::strerror(errno));
  if (!S_ISDIR(status.st_mode))
    return "is no folder";
  if ((status.st_mode & S_IWOTH) != 0)
    return "is writable by others, who could put links there; allowed is mode 0775 or less";
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    return fmt::format("cannot be written to: {}", std::strerror(errno));
  return {};
}

class Daemon {
 public:
  explicit Daemon(const DaemonSettings& settings) : settings_(settings) {}

  Exit run() {
    const sigset_t signals = block_signals();
    Loaded loaded = load_scenario(settings_.scenario, ScenarioUse::kLive, OutputForm::kHuman);
    if (!loaded.scenario)
      return loaded.exit;
    if (const Exit exit = find_groups(); exit != Exit::kDone)
      return exit;
    if (const std::string unusable = why_unusable(settings_.data); !unusable.empty()) {
      fmt::print(stderr, "faultlined: error: --data {}: {}\n", settings_.data, unusable);
      return Exit::kUnusable;
    }
    if (const Exit exit = judge(*loaded.scenario); exit != Exit::kDone)
      return exit;
    if (const Exit exit = start_machine(*loaded.scenario); exit != Exit::kDone)
      return exit;
    const Exit exit = serve(std::move(*loaded.scenario), signals);
    // Every packet's memory must have come back: a leak would end a long soak.
    FAULTLINE_CHECK(pools_.in_use() <= kept_mbufs_);
    pools_.free();
    stop_eal();
    return exit;
  }

 private:
  Exit find_groups() {
    for (const auto& [name, group] :
         {std::pair{&settings_.group, &changers_}, std::pair{&settings_.readers, &readers_}}) {
      if (name->empty())
        continue;
      const struct group* known = getgrnam(name->c_str());
      if (known == nullptr) {
        fmt::print(stderr, "faultlined: error: there is no group '{}'\n", *name);
        return Exit::kUsage;
      }
      *group = known->gr_gid;
    }
    return Exit::kDone;
  }

  /// What is wrong is told now, and not when somebody enables it.
  Exit judge(Scenario& scenario) {
    const std::size_t cores = allowed_cores().size();
    PolicySlots slots(scenario.path_count());
    CompileRequest request;
    if (cores < 2)
      request.own_latency_ns = std::nullopt;
    const Result<Policy> policy = compile_policy(scenario, request, slots);
    if (!policy) {
      tell(policy.error(), OutputForm::kHuman);
      return Exit::kWrong;
    }
    Result<WorkerLayout> layout = lay_workers(scenario, cores > 1 ? cores - 1 : 1);
    if (!layout)
      return refused(layout.error());
    layout_ = std::move(*layout);
    Result<Cores> chosen = choose_cores(scenario, layout_);
    if (!chosen)
      return refused(chosen.error());
    cores_ = std::move(*chosen);
    if (const std::string unshareable = unshareable_rule(*policy, layout_); !unshareable.empty())
      return refused(unshareable);
    const Capacity capacity =
        capacity_of(scenario, *policy, FlowTable::bytes_for(scenario.flows_max), layout_);
    if (capacity.must_refuse())
      return refused(capacity.misfit);
    scenario.hold_bytes = capacity.hold;
    return Exit::kDone;
  }

  Exit start_machine(const Scenario& scenario) {
    const PoolNeeds needs = pool_needs_of(scenario.ports);
    kept_mbufs_ = needs.kept_mbufs;
    const std::uint32_t mbufs = kMbufs + needs.mbufs;
    EalSettings eal;
    eal.main_core = cores_.management;
    eal.worker_cores = cores_.workers;
    eal.memory_mb =
        96 + static_cast<std::uint32_t>(std::uint64_t{mbufs} * (needs.frame_bytes + 512) >> 20);
    eal.huge_pages = !settings_.no_huge && huge_pages_free(std::uint64_t{eal.memory_mb} << 20);
    if (settings_.telemetry)
      eal.telemetry_prefix =
          fmt::format("faultline-{:08x}", hash_name(settings_.socket) & 0xFFFFFFFFU);
    for (const PortSpec& port : scenario.ports)
      if (port.settings.driver == Driver::kPci)
        eal.cards.push_back(port.settings.address);
    if (const auto started = start_eal(eal); !started)
      return refused(started.error());
    Result<Pools> pools = Pools::make(layout_.workers, mbufs, needs.frame_bytes);
    if (!pools)
      return refused(pools.error());
    pools_ = std::move(*pools);
    return Exit::kDone;
  }

  Result<std::unique_ptr<Wiring>> open_ports(const std::vector<PortSpec>& specs) {
    std::vector<std::unique_ptr<Device>> devices;
    for (std::size_t port = 0; port < specs.size(); ++port) {
      Result<OpenedPort> opened =
          open_port(specs[port], pools_.of_worker(layout_.queues[port].front()));
      if (!opened)
        return tl::unexpected(opened.error());
      for (const std::string& warning : opened->warnings)
        fmt::print(stderr, "faultlined: warning: {}\n", warning);
      devices.push_back(std::move(opened->device));
    }
    auto wiring = std::make_unique<Wiring>(std::move(devices), layout_);
    if (!wiring->complete())
      return failure("no memory to hand packets from worker to worker");
    return wiring;
  }

  /// Now, while the workers' cores are idle: later it would keep a worker from its packets.
  std::optional<std::uint64_t> measure_latency() {
    const auto apart = std::find_if(cores_.workers.rbegin(), cores_.workers.rend(),
                                    [&](unsigned core) { return core != cores_.management; });
    if (apart == cores_.workers.rend())
      return std::nullopt;
    const Result<OwnLatency> latency = measure_own_latency({*apart, pools_.of_worker(0), clock_});
    if (latency)
      return latency->p50_ns;
    fmt::print(stderr, "faultlined: warning: own latency: {}; no delay can compensate for it\n",
               latency.error().front().message);
    return std::nullopt;
  }

  Exit serve(Scenario scenario, const sigset_t& signals) {
    clock_.calibrate(kCalibrationNs);
    const std::optional<std::uint64_t> own_latency_ns = measure_latency();
    Result<std::unique_ptr<Wiring>> wiring = open_ports(scenario.ports);
    if (!wiring)
      return refused(wiring.error());
    WorkerSettings settings;
    settings.rx_burst = scenario.workers.rx_burst;
    settings.flows_max = scenario.flows_max;
    settings.flow_idle_ns = scenario.flow_idle_ns;
    settings.paths = scenario.path_count();
    settings.switches = switches_of(scenario);
    settings.hold_bytes = scenario.hold_bytes.value_or(0) / layout_.workers;
    sleeps_ = scenario.workers.sleeps;
    Result<std::unique_ptr<Engine>> engine =
        Engine::create(std::move(scenario), layout_, clock_, own_latency_ns);
    if (!engine)
      return refused(engine.error());
    TscTime time(clock_);
    std::vector<EngineWorker> workers;
    for (std::uint32_t worker = 0; worker < layout_.workers; ++worker) {
      settings.worker = worker;
      workers.push_back(
          {std::make_unique<LiveWorker>(settings, (*wiring)->ports_of(worker), time,
                                        pools_.of_worker(worker), (*engine)->publisher().slot()),
           cores_.workers[worker]});
    }
    (*engine)->attach(std::move(workers), std::move(*wiring));
    return run_engine(**engine, signals);
  }

  Exit run_engine(Engine& engine, const sigset_t& signals) {
    start_log();
    std::atomic<bool> stop{false};
    std::atomic<int> running{static_cast<int>(engine.workers().size())};
    std::vector<LaunchedWorker> launched;
    for (std::uint32_t id = 0; id < engine.workers().size(); ++id)
      launched.push_back({&engine.publisher(),
                          engine.workers()[id].worker.get(),
                          {id, &stop, settings_.on_exit, sleeps_, engine.watchdog().keepalive()},
                          &running});
    // Logical cores are numbered from 1 on for workers (eal.cpp).
    for (unsigned id = 0; id < launched.size(); ++id)
      rte_eal_remote_launch(worker_main, &launched[id], id + 1);
    const Exit exit = answer_until_signal(engine, signals);
    stop.store(true);
    for (unsigned id = 0; id < launched.size(); ++id) rte_eal_wait_lcore(id + 1);
    FAULTLINE_CHECK(running.load(std::memory_order_acquire) == 0);
    const JournalStatus journal = engine.end_recorders();
    if (journal.bytes > 0)
      spdlog::info("journal: {} hits, {} lost, {} bytes{}{}", journal.hits, journal.lost,
                   journal.bytes, journal.failure.empty() ? "" : ": ", journal.failure);
    if (exit == Exit::kDone)
      log_end(engine);
    spdlog::shutdown();
    return exit;
  }

  Exit answer_until_signal(Engine& engine, const sigset_t& signals) {
    Api api(engine, {geteuid(), changers_},
            [](const std::string& line) { spdlog::info("{}", line); });
    Result<std::unique_ptr<HttpServer>> server = HttpServer::start(
        settings_.socket, [&api](const HttpRequest& request) { return api.handle(request); }, {},
        readers_ ? readers_ : changers_);
    if (!server)
      return refused(server.error());
    engine.events().set_listener([raw = server->get()] { raw->wake(); });
    std::optional<TelemetryMirror> mirror;
    if (settings_.telemetry)
      mirror.emplace(engine);
    if (!settings_.data.empty())
      engine.set_data_folder(std::filesystem::absolute(settings_.data).string());
    if (settings_.journal)
      if (const auto begun = engine.start_journal(settings_.data + "/journal.bin"); !begun) {
        tell(begun.error(), OutputForm::kHuman);
        return Exit::kUnusable;
      }
    if (settings_.start) {
      if (const ChangeResult started = engine.start(); !started) {
        fmt::print(stderr, "faultlined: error: {}\n", started.error().detail);
        return Exit::kRefused;
      }
    }
    spdlog::info("{} on {} {}, socket {}", settings_.start ? "injecting" : "pass-through",
                 cores_.workers.size() == 1 ? "core" : "cores", fmt::join(cores_.workers, ", "),
                 settings_.socket);
    const timespec tick{0, 1'000'000};
    int signal_number = 0;
    std::uint64_t next_wake_ns = 0;
    while ((signal_number = sigtimedwait(&signals, nullptr, &tick)) <= 0) {
      const std::uint64_t now_ns = clock_.now_ns();
      engine.housekeeping(now_ns);
      if (now_ns >= next_wake_ns) {
        (*server)->wake();  // streams show that they live
        next_wake_ns = now_ns + kNsPerSecond;
      }
    }
    spdlog::info("{}: ending", signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
    engine.let_links_up();  // what is held is still to leave by them
    mirror.reset();
    server->reset();  // nobody adds an event any more
    engine.events().set_listener({});
    return Exit::kDone;
  }

  /// Messages are written by a thread of their own: nobody who logs ever waits for a terminal.
  static void start_log() {
    spdlog::init_thread_pool(8192, 1);
    auto logger = spdlog::create_async_nb<spdlog::sinks::stderr_sink_mt>("faultlined");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e faultlined %l: %v");
    spdlog::set_default_logger(logger);
  }

  /// The workers' threads have ended: their last figures may be read.
  static void log_end(Engine& engine) {
    Ledger sum;
    std::uint64_t held = 0;
    for (const EngineWorker& each : engine.workers()) {
      WorkerSnapshot snapshot(engine.ports().size());
      each.worker->fill(snapshot);
      sum.add(snapshot.counters.ledger);
      held += snapshot.hold.packets;
    }
    spdlog::info("received {}, sent {}, dropped {}, held {}: {}", sum.received, sum.sent,
                 sum.dropped_total(), held, sum.balances(held) ? "balanced" : "NOT BALANCED");
  }

  static Exit refused(const Problems& problems) {
    tell(problems, OutputForm::kHuman);
    return Exit::kRefused;
  }
  static Exit refused(const std::string& why) {
    fmt::print(stderr, "faultlined: error: {}\n", why);
    return Exit::kRefused;
  }

  DaemonSettings settings_;
  TscClock clock_;
  Pools pools_;
  std::uint32_t kept_mbufs_ = 0;
  WorkerLayout layout_;
  Cores cores_;
  bool sleeps_ = false;
  std::optional<gid_t> changers_;
  std::optional<gid_t> readers_;
};

}  // namespace

Exit run_daemon(const DaemonSettings& settings) {
  return Daemon(settings).run();
}

}  // namespace faultline
