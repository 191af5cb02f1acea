// The simulator's loop: whose packet is next, who judges it, what may be written.
#include "sim/simulation.hpp"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>

#include "dataplane/witness_pair.hpp"
#include "drivers/pools.hpp"
#include "impair/frame_schedule.hpp"
#include "sim/source.hpp"
#include "sim/two_way.hpp"
#include "sim/virtual_worker.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kSimulatedMbufs = 2'047;
constexpr std::uint64_t kDrainStepNs = 1'000'000;
constexpr std::uint32_t kFrameBytesMax = Hold::kFrameBytesMax;
constexpr std::uint64_t kPacketsAReport = 10'000;

class Simulation {
 public:
  Simulation(const PolicyChain& policies, std::size_t ports, const SimulationSettings& settings,
             rte_mempool* pool, DepartureSink& sink)
      : policies_(policies),
        settings_(settings),
        pool_(pool),
        output_(sink, settings.detail, cut_frames_),
        published_(policies.front().get()),
        two_way_(ports) {
    WorkerSettings worker_settings{.rx_burst = settings.rx_burst,
                                   .flows_max = settings.flows_max,
                                   .flow_idle_ns = settings.flow_idle_ns,
                                   .hold_bytes = settings.hold_bytes,
                                   .paths = settings.paths,
                                   .switches = settings.switches};
    for (std::uint32_t worker = 0; worker < settings.workers; ++worker) {
      worker_settings.worker = worker;
      std::vector<SimPort*> pointers;
      for (std::size_t port = 0; port < ports; ++port)
        pointers.push_back(ports_.emplace_back(std::make_unique<SimPort>(output_)).get());
      workers_.push_back(
          std::make_unique<VirtualWorker>(worker_settings, pointers, time_, pool, published_));
      // Also where nobody asks for trails: cut frames are forgotten by what the witness hears.
      workers_.back()->set_witness(witness_of(worker));
    }
    ports_a_worker_ = ports;
    if (!settings.switches.empty())
      cut_frames_.expect_copies();
    // What one worker's packet fires, the others see at their next poll.
    if (!policies.front()->triggers.empty())
      settings_.rx_burst = 1;
    for (const std::unique_ptr<Policy>& policy : policies) {
      if (policy->makes_copies())
        settings_.rx_burst = std::min(settings_.rx_burst, Decide::kFirstCopy);
      if (policy->makes_packets())
        cut_frames_.expect_copies();
    }
  }

  Result<void> run(std::vector<Source>& sources) {
    if (std::ranges::any_of(policies_, [](const auto& policy) { return policy->injects(); }))
      poll_all();  // so that workers know what is to come
    while (Source* source = packets_ < settings_.packets_max ? next_source(sources) : nullptr) {
      pass_until(source->arrival_ns());
      end_pauses_until(source->arrival_ns());
      cut_frames_.begin(sequence_);
      if (auto fed = feed(*source, sources); !fed)
        return fed;
      poll_all();
      cut_frames_.end(sequence_, held_packets());
      const Source* next = next_source(sources);
      output_.hand_over_until(std::min(next_release_ns(), next ? next->arrival_ns() : kNever));
    }
    drain();
    return {};
  }

  void sum(StatisticsSum& statistics) const {
    WorkerSnapshot snapshot(ports_a_worker_);
    for (const auto& worker : workers_) {
      worker->fill(snapshot);
      statistics.add(snapshot);
      statistics.add_lateness(worker->lateness());
      const std::vector<RuleProgram>& rules = last_policy().rules;
      for (std::size_t rule = 0; rule < rules.size(); ++rule) {
        statistics.add_delays(rule, worker->delays_of(rules[rule].slot));
        if (const auto which = rules[rule].variation; which && rules[rule].variant == 0)
          statistics.add_variations(rule, worker->variations_of(*which));
      }
    }
  }

  /// The one in force, by which what was counted has its names.
  const Policy& last_policy() const {
    const std::uint64_t generation = workers_.front()->adopted_generation();
    const auto adopted = std::ranges::find(policies_, generation, &Policy::generation);
    return adopted != policies_.end() ? **adopted : *policies_.front();
  }

  std::uint64_t lasted_ns() const {
    const std::uint64_t end_ns = std::max(last_arrival_ns_, output_.last_sent_ns());
    return end_ns - std::min(end_ns, policies_.front()->zero_ns);
  }

  std::vector<std::uint64_t> two_way_flows() const {
    std::vector<std::uint64_t> flows(ports_a_worker_);
    for (std::size_t port = 0; port < flows.size(); ++port) flows[port] = two_way_.flows(port);
    return flows;
  }

 private:
  Witness* witness_of(std::uint32_t worker) {
    Witness* all = &output_.witness();
    const auto add = [&](Witness& more) {
      pairs_.push_back(std::make_unique<WitnessPair>(*all, more));
      all = pairs_.back().get();
    };
    if (settings_.journal != nullptr)
      add(settings_.journal->tap(worker));
    if (settings_.captures != nullptr)
      add(settings_.captures->tap(worker));
    return all;
  }

  static Source* next_source(std::vector<Source>& sources) {
    Source* first = nullptr;
    for (Source& source : sources)
      if (source.live() && (first == nullptr || source.before(*first)))
        first = &source;
    return first;
  }

  /// Puts in packets of one source and port as long as no other's packet comes between them.
  Result<void> feed(Source& source, std::vector<Source>& sources) {
    std::uint32_t count = 0;
    const std::uint8_t port = source.port();
    const std::uint64_t own_ns = next_own_ns();
    do {
      put(source);
      ++packets_;
      if (auto read = source.advance(); !read)
        return read;
    } while (++count < settings_.rx_burst && packets_ < settings_.packets_max &&
             next_source(sources) == &source && source.port() == port &&
             source.arrival_ns() <= own_ns);
    report(sources);
    return {};
  }

  void put(const Source& source) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
    FAULTLINE_CHECK(mbuf != nullptr);
    const auto bytes = source.bytes();
    const std::uint32_t carried = source.carried_bytes();
    char* place = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(carried));
    FAULTLINE_CHECK(place != nullptr);
    const std::size_t copied = std::min<std::size_t>(bytes.size(), carried);
    std::copy_n(reinterpret_cast<const char*>(bytes.data()), copied, place);
    std::fill(place + copied, place + carried, '\0');
    if (source.is_cut())
      cut_frames_.add(sequence_, source.cut_frame());

    FlowKey key;
    if (parse_flow_key({reinterpret_cast<const std::uint8_t*>(place), carried}, carried, key) ==
        ParseOutcome::kParsed)
      two_way_.note(key, source.port());
    const std::size_t worker = workers_.size() == 1 ? 0 : flow_pair_hash(key) % workers_.size();
    ports_[worker * ports_a_worker_ + source.port()]->put(mbuf, source.arrival_ns(), sequence_++);
    time_.set(source.arrival_ns());
    last_arrival_ns_ = source.arrival_ns();
  }

  /// Tells how far it is, now and then.
  void report(const std::vector<Source>& sources) {
    if (!settings_.progress || packets_ < report_at_)
      return;
    report_at_ = packets_ + kPacketsAReport;
    std::uint64_t bytes = 0;
    for (const Source& source : sources) bytes += source.offset_bytes();
    settings_.progress({packets_, time_.now_ns() - policies_.front()->zero_ns, bytes});
  }

  std::uint64_t held_packets() const {
    std::uint64_t held = 0;
    for (const auto& worker : workers_) held += worker->held_packets();
    return held;
  }

  void poll_all() {
    for (const auto& worker : workers_) {
      do worker->poll();
      while (worker->next_release_ns() <= time_.now_ns());
    }
    if (settings_.journal != nullptr)
      settings_.journal->pump();
    if (settings_.captures != nullptr)
      settings_.captures->pump(time_.now_ns());
  }

  std::uint64_t next_release_ns() const {
    std::uint64_t next_ns = kNever;
    for (const auto& worker : workers_) next_ns = std::min(next_ns, worker->next_release_ns());
    return next_ns;
  }

  /// When a packet leaves that waits for its time, or a rule ends that packets wait for.
  std::uint64_t next_ns_of_held() const { return std::min(next_release_ns(), next_end()); }
  std::uint64_t next_end() const {
    std::uint64_t next_ns = kNever;
    for (const auto& worker : workers_) next_ns = std::min(next_ns, worker->next_end_ns());
    return next_ns;
  }

  std::uint64_t next_own_ns() const {
    std::uint64_t next_ns = kNever;
    for (const auto& worker : workers_) next_ns = std::min(next_ns, worker->next_own_ns());
    return next_ns;
  }

  /// Lets the workers do what they do of their own, at its time, before `until_ns`.
  void pass_until(std::uint64_t until_ns) {
    for (std::uint64_t next_ns = next_own_ns(); next_ns < until_ns; next_ns = next_own_ns()) {
      time_.set(std::max(time_.now_ns(), next_ns));
      poll_all();
      output_.hand_over_until(std::min({next_release_ns(), next_own_ns(), until_ns}));
    }
  }

  /// Packets that wait for the end of a rule leave at that end, whenever the next one comes.
  void end_pauses_until(std::uint64_t until_ns) {
    for (std::uint64_t next_ns = next_end(); next_ns < until_ns; next_ns = next_end()) {
      time_.set(std::max(time_.now_ns(), next_ns));
      poll_all();
    }
  }

  /// When the last frame leaves that an `inject` with an end asks for.
  std::uint64_t last_injection_ns() const {
    std::uint64_t last_ns = 0;
    for (const std::unique_ptr<Policy>& policy : policies_)
      for (const RuleProgram& rule : policy->rules)
        for (const RuleStep& step : rule.steps) {
          const std::uint64_t begins_ns = rule.term_at(time_.now_ns()).begins_ns;
          if (step.impairment.schedule == nullptr || begins_ns == kNever)
            continue;
          const std::uint64_t end_ns = step.impairment.schedule->end_ns();
          if (end_ns < kNever - begins_ns)
            last_ns = std::max(last_ns, std::min(begins_ns + end_ns, rule.end_ns(time_.now_ns())));
        }
    return last_ns;
  }

  void drain() {
    pass_until(last_injection_ns() + 1);
    for (std::uint64_t next_ns = next_ns_of_held(); next_ns != kNever;
         next_ns = next_ns_of_held()) {
      time_.set(std::max(time_.now_ns(), next_ns + kDrainStepNs));
      poll_all();
      output_.hand_over_until(next_ns_of_held());
    }
    // What waits for a rule that never ends has not come out.
    for (const auto& worker : workers_) worker->wind_down(HeldAction::kDrop, DropReason::kPause);
    output_.hand_over_until(kNever);
  }

  const PolicyChain& policies_;
  SimulationSettings settings_;
  rte_mempool* pool_;
  VirtualTime time_;
  CutFrames cut_frames_;
  Departures output_;
  std::atomic<const Policy*> published_;
  std::vector<std::unique_ptr<SimPort>> ports_;  ///< by worker · ports + port
  std::vector<std::unique_ptr<WitnessPair>> pairs_;
  std::vector<std::unique_ptr<VirtualWorker>> workers_;
  std::size_t ports_a_worker_ = 0;
  std::uint32_t sequence_ = 0;
  std::uint64_t packets_ = 0;
  std::uint64_t report_at_ = 0;
  std::uint64_t last_arrival_ns_ = 0;
  TwoWayFlows two_way_;
};

/// Reads every source's first packet and moves the policies' times to the earliest of them.
Result<void> set_time_zero(std::vector<Source>& sources, PolicyChain& policies) {
  std::uint64_t zero_ns = kNever;
  for (Source& source : sources) {
    if (auto read = source.advance(); !read)
      return read;
    if (source.live())
      zero_ns = std::min(zero_ns, source.arrival_ns());
  }
  if (zero_ns == kNever)
    return {};
  // A capture may come from the end of time.
  const auto move = [zero_ns](std::uint64_t& time_ns) {
    time_ns = time_ns > kNever - zero_ns ? kNever : time_ns + zero_ns;
  };
  for (const std::unique_ptr<Policy>& policy : policies) {
    move(policy->active_from_ns);
    move(policy->zero_ns);
    for (RuleProgram& rule : policy->rules) {
      move(rule.begins_ns);
      move(rule.expires_ns);
      move(rule.switched_ns);
    }
  }
  return {};
}

/// Made once and kept: a simulation gives everything back, and DPDK overwrites what is freed, which
/// took longer than a short simulation.
Result<rte_mempool*> simulated_packets() {
  static const Result<rte_mempool*> pool =
      make_pool("simulation", kSimulatedMbufs, kFrameBytesMax, SOCKET_ID_ANY);
  return pool;
}

}  // namespace

Result<SimulationResult> simulate(PolicyChain policies, const std::vector<std::string>& port_names,
                                  const SimulationSettings& settings,
                                  std::vector<SimulationInput> inputs, DepartureSink& sink) {
  const Result<rte_mempool*> pool = simulated_packets();
  if (!pool)
    return tl::unexpected(pool.error());
  std::vector<Source> sources;
  for (SimulationInput& input : inputs)
    sources.emplace_back(std::move(input.entry), std::move(input.reader));
  if (auto zero = set_time_zero(sources, policies); !zero)
    return tl::unexpected(zero.error());
  for (const std::unique_ptr<Policy>& policy : policies)
    if (policy->payload != nullptr)
      if (auto prepared = policy->payload->prepare(settings.workers); !prepared)
        return tl::unexpected(prepared.error());
  for (const std::unique_ptr<Policy>& policy : policies) {
    const JournalNames names = journal_names(*policy, port_names);
    if (settings.journal != nullptr)
      settings.journal->add_names(policy->generation, names);
    if (settings.captures != nullptr)
      settings.captures->add_names(policy->generation, names);
  }
  SimulationResult result;
  {
    Simulation simulation(policies, port_names.size(), settings, *pool, sink);
    if (auto ran = simulation.run(sources); !ran)
      return tl::unexpected(ran.error());
    StatisticsSum statistics(simulation.last_policy(), port_names);
    simulation.sum(statistics);
    result.balanced = statistics.balanced();
    result.own_drops = statistics.own_drops();
    result.statistics = statistics.to_json(0);
    result.delays = statistics.delays_json();
    result.lasted_ns = simulation.lasted_ns();
    result.two_way_flows = simulation.two_way_flows();
  }
  for (const Source& source : sources) {
    result.backwards += source.backwards();
    result.cut += source.shortened();
    result.oversized += source.oversized();
  }
  // Every packet that was made must have come back: a leak would end a long run.
  FAULTLINE_CHECK(rte_mempool_avail_count(*pool) == kSimulatedMbufs);
  return result;
}

}  // namespace faultline
