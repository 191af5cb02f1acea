// The engine's life: made, attached to workers, and what it looks after between requests.
#include "control/engine.hpp"

#include <algorithm>
#include <utility>

#include "base/seed.hpp"
#include "control/trigger_json.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kReclaimEveryNs = 100 * kNsPerMs;
constexpr std::uint64_t kRefineEveryNs = kNsPerSecond;
constexpr std::uint64_t kWatchEveryNs = 50 * kNsPerMs;
/// Of one trigger, as events.
constexpr std::uint32_t kFiringsToldASecond = 10;
constexpr std::uint64_t kBusyEveryNs = kNsPerSecond;

// Who changes a link, in events.
constexpr std::string_view kFlap = "flap";
constexpr std::string_view kMirror = "mirror";
constexpr std::string_view kOutside = "outside";

}  // namespace

Engine::Engine(Scenario scenario, WorkerLayout layout, TscClock& clock,
               std::optional<std::uint64_t> own_latency_ns)
    : base_(std::move(scenario)),
      layout_(std::move(layout)),
      slots_(base_.ports.size()),
      clock_(clock),
      own_latency_ns_(own_latency_ns),
      start_ns_(clock.now_ns()) {
  recorders_ = std::make_unique<Recorders>(events_, clock_, start_ns_);
}

Result<std::unique_ptr<Engine>> Engine::create(Scenario scenario, WorkerLayout layout,
                                               TscClock& clock,
                                               std::optional<std::uint64_t> own_latency_ns) {
  std::unique_ptr<Engine> engine(
      new Engine(std::move(scenario), std::move(layout), clock, own_latency_ns));
  if (!engine->base_.seed) {
    engine->base_.seed = draw_seed();
    engine->base_.tree.set(
        "seed", scalar_node(std::to_string(*engine->base_.seed), engine->base_.tree.mark));
  }
  engine->tree_ = engine->base_.tree;
  disable_all(engine->tree_);
  const Result<Scenario> pass_through = read_scenario(engine->tree_, ScenarioUse::kLive);
  if (!pass_through)
    return tl::unexpected(pass_through.error());
  CompileRequest request;
  request.seed = *engine->base_.seed;
  request.own_latency_ns = own_latency_ns;
  Result<Policy> policy = compile_policy(*pass_through, request, engine->slots_);
  if (!policy)
    return tl::unexpected(policy.error());
  if (policy->payload != nullptr)
    if (auto prepared =
            policy->payload->prepare(static_cast<std::uint32_t>(engine->layout_.workers));
        !prepared)
      return tl::unexpected(prepared.error());
  engine->publisher_ = std::make_unique<Publisher>(kWorkersMax);
  engine->generation_ = policy->generation;
  PolicyChain chain;
  chain.push_back(std::make_unique<Policy>(std::move(*policy)));
  engine->publisher_->publish(std::move(chain));
  engine->watched_ = &engine->publisher_->current();
  return engine;
}

void Engine::attach(std::vector<EngineWorker> workers, std::unique_ptr<Wiring> wiring) {
  workers_ = std::move(workers);
  wiring_ = std::move(wiring);
  recorders_->attach(worker_pointers(), port_names());
  mirror_ = std::make_unique<LinkMirror>(base_.wires, *wiring_);
  flaps_ = std::make_unique<LinkFlaps>(base_, *wiring_);
  flaps_->read(publisher_->current());
  flaps_->let_up();
  watchdog_ = std::make_unique<Watchdog>(static_cast<std::uint32_t>(workers_.size()));
  busy_marks_.resize(workers_.size());
  busy_ = std::make_unique<std::atomic<double>[]>(workers_.size());
  stalls_.resize(workers_.size());
  for (std::size_t port = 0; port < wiring_->ports(); ++port)
    links_.push_back({wiring_->device(port).carrier_state(), kOutside});
}

std::vector<LiveWorker*> Engine::worker_pointers() const {
  std::vector<LiveWorker*> pointers;
  for (const EngineWorker& worker : workers_) pointers.push_back(worker.worker.get());
  return pointers;
}

void Engine::housekeeping(std::uint64_t now_ns) {
  watch_ports(now_ns);
  if (now_ns >= next_refine_ns_) {
    clock_.refine();
    next_refine_ns_ = now_ns + kRefineEveryNs;
  }
  if (now_ns >= next_watch_ns_) {
    watch_workers(now_ns);
    next_watch_ns_ = now_ns + kWatchEveryNs;
  }
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock)
    return;
  watch_timeline(now_ns);
  watch_triggers(now_ns);
  watch_ends(now_ns);
  watch_run(now_ns);
  recorders_->watch(now_ns);
  if (flaps_read_ != watched_->generation) {
    flaps_->read(*watched_);
    flaps_read_ = watched_->generation;
  }
  if (now_ns >= next_reclaim_ns_) {
    publisher_->reclaim(worker_pointers());
    next_reclaim_ns_ = now_ns + kReclaimEveryNs;
  }
}

/// A link that comes up was let up by who had taken it down.
void Engine::watch_ports(std::uint64_t now_ns) {
  flaps_->follow(now_ns);
  for (std::size_t port = 0; port < wiring_->ports(); ++port) {
    Device& device = wiring_->device(port);
    device.watch_link();
    LinkNews& link = links_[port];
    if (device.carrier_state() == link.carrier)
      continue;
    link.carrier = device.carrier_state();
    if (link.carrier == Carrier::kTaken)
      link.by = kFlap;
    else if (link.carrier == Carrier::kDown)
      link.by = device.is_held(LinkHold::kMirror) ? kMirror : kOutside;
    events_.add(
        now_ns - start_ns_, "link",
        {{"port", base_.ports[port].name}, {"up", link.carrier == Carrier::kUp}, {"by", link.by}});
  }
  mirror_->follow(now_ns);
}

void Engine::watch_workers(std::uint64_t now_ns) {
  watchdog_->look();
  for (std::uint32_t worker = 0; worker < workers_.size(); ++worker) {
    if (watchdog_->is_stalled(worker) == stalls_[worker])
      continue;
    stalls_[worker] = !stalls_[worker];
    events_.add(now_ns - start_ns_, "worker",
                {{"core", workers_[worker].core}, {"stalled", static_cast<bool>(stalls_[worker])}});
  }
  if (now_ns < next_busy_ns_)
    return;
  next_busy_ns_ = now_ns + kBusyEveryNs;
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    const PollTimes times = workers_[index].worker->poll_times();
    BusyMark& mark = busy_marks_[index];
    if (times.now_ns > mark.now_ns)
      busy_[index].store(static_cast<double>(times.busy_ns - mark.busy_ns) /
                             static_cast<double>(times.now_ns - mark.now_ns),
                         std::memory_order_relaxed);
    mark = {times.busy_ns, times.now_ns};
  }
}

void Engine::note_active(std::uint64_t now_ns) {
  active_rules_.clear();
  for (const RuleProgram& rule : watched_->rules)
    if (rule.is_on_at(now_ns))
      active_rules_.insert(rule.name);
}

/// Workers have gone on by themselves; this is the news of it.
void Engine::watch_timeline(std::uint64_t now_ns) {
  for (const Policy* next = watched_->next; next != nullptr && next->active_from_ns <= now_ns;
       next = watched_->next) {
    watch_ends(next->active_from_ns - 1);
    watched_ = next;
    note_active(next->active_from_ns);
    events_.add(next->active_from_ns - start_ns_, "timeline",
                {{"at_ns", next->active_from_ns - next->zero_ns}, {"what", next->instant}});
  }
}

/// Fires what waits for links as they are, and tells what fired.
void Engine::watch_triggers(std::uint64_t now_ns) {
  for (std::size_t index = 0; index < triggers_.size(); ++index) {
    const TriggerSpec& spec = triggers_[index];
    TriggerNews& news = trigger_news_[index];
    if (spec.kind == TriggerSpec::Kind::kLink) {
      const bool is_so = wiring_->device(spec.port).carrier() == spec.up;
      if (is_so && !news.link_was_so)
        board_->fire(index, now_ns);
      news.link_was_so = is_so;
    }
    if (board_->trigger(index).firings() == news.firings)
      continue;
    if (tell_firings(index, now_ns))
      note_active(now_ns);
  }
}

/// A trigger that fires more often than events can bear tells some; how many it left out is said
/// with the next one. Whether one was told: only then the end of what it did is news.
bool Engine::tell_firings(std::size_t index, std::uint64_t now_ns) {
  const Trigger& trigger = board_->trigger(index);
  TriggerNews& news = trigger_news_[index];
  if (now_ns - news.second_ns >= kNsPerSecond) {
    news.second_ns = now_ns;
    news.told = 0;
  }
  const std::uint32_t told_before = news.told;
  for (const std::uint64_t end = trigger.firings(); news.firings < end; ++news.firings) {
    // What has been overwritten is not looked for one by one.
    const std::uint64_t first_kept = end - std::min(end, Trigger::kKept);
    if (news.firings < first_kept) {
      news.untold += first_kept - news.firings;
      news.firings = first_kept;
    }
    const auto firing =
        news.told < kFiringsToldASecond ? trigger.firing(news.firings) : std::nullopt;
    if (!firing) {
      ++news.untold;
      continue;
    }
    ++news.told;
    const Json what = firing_json(*watched_, firing, port_names());
    Json fields = {{"when", triggers_[index].text},
                   {"packet", what["packet"]},
                   {"at_ns", what["fired_ns"]},
                   {"firing", news.firings + 1},
                   {"untold", std::exchange(news.untold, 0)}};
    events_.add(firing->at_ns - start_ns_, "trigger", std::move(fields));
  }
  return news.told != told_before;
}

/// Rules and leases that ended by themselves since the last look. Workers have acted already; this
/// is the news of it.
void Engine::watch_ends(std::uint64_t now_ns) {
  for (const std::string& id : leases_.take_lapsed(now_ns))
    events_.add(now_ns - start_ns_, "lease", {{"id", id}, {"state", "lapsed"}});
  if (active_rules_.empty())
    return;
  for (const RuleProgram& rule : watched_->rules) {
    if (rule.is_on_at(now_ns) || active_rules_.erase(rule.name) == 0)
      continue;
    const bool by_lease = rule.lease != nullptr && !rule.lease->holds_at(now_ns);
    const char* by = now_ns >= rule.expires_ns        ? "ttl"
                     : by_lease || rule.gates.empty() ? "lease"
                                                      : "trigger";
    events_.add(now_ns - start_ns_, "end", {{"rule", rule.name}, {"by", by}});
  }
}

}  // namespace faultline
