// The simulator's loop: whose packet is next, who judges it, what may be written.
#include "sim/simulation.hpp"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>

#include <fmt/format.h>

#include "drivers/driver.hpp"
#include "sim/virtual_worker.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kSimulatedMbufs = 2'047;
constexpr std::uint64_t kDrainStepNs = 1'000'000;
constexpr std::uint32_t kFrameBytesMax = Hold::kFrameBytesMax;

/// One capture, read one packet ahead.
class Source {
 public:
  explicit Source(SimulationInput input)
      : port_(static_cast<std::uint8_t>(input.port)),
        path_(std::move(input.path)),
        reader_(std::move(input.reader)) {}

  Result<void> advance() {
    const Result<bool> more = reader_.next(packet_);
    if (!more)
      return tl::unexpected(more.error());
    live_ = *more;
    if (!live_)
      return {};
    if (packet_.bytes.size() > kFrameBytesMax)
      return tl::unexpected(Problems{problem_at(
          {path_, 0, 0},
          fmt::format("packet {} has {} bytes", reader_.packets_read(), packet_.bytes.size()),
          fmt::format("at most {} bytes", kFrameBytesMax))});
    cut_ += packet_.bytes.size() < packet_.original_length_bytes ? 1U : 0U;
    backwards_ += packet_.time_ns < arrival_ns_ ? 1U : 0U;
    arrival_ns_ = std::max(arrival_ns_, packet_.time_ns);
    return {};
  }

  bool live() const { return live_; }
  std::uint64_t arrival_ns() const { return arrival_ns_; }
  std::uint8_t port() const { return port_; }
  std::span<const std::byte> bytes() const { return packet_.bytes; }
  std::uint64_t backwards() const { return backwards_; }
  std::uint64_t cut() const { return cut_; }

  /// Whose packet enters first: time, then port.
  bool before(const Source& other) const {
    return std::pair(arrival_ns_, port_) < std::pair(other.arrival_ns_, other.port_);
  }

 private:
  std::uint8_t port_;
  std::string path_;
  CaptureReader reader_;
  CapturedPacket packet_;
  std::uint64_t arrival_ns_ = 0;
  std::uint64_t backwards_ = 0;
  std::uint64_t cut_ = 0;
  bool live_ = false;
};

class Simulation {
 public:
  Simulation(const Policy& policy, std::size_t ports, const SimulationSettings& settings,
             rte_mempool* pool, DepartureSink& sink)
      : policy_(policy),
        settings_(settings),
        pool_(pool),
        output_(sink, settings.detail),
        published_(&policy) {
    const WorkerSettings worker_settings{.rx_burst = settings.rx_burst,
                                         .flows_max = settings.flows_max,
                                         .flow_idle_ns = settings.flow_idle_ns,
                                         .hold_bytes = settings.hold_bytes};
    for (std::uint32_t worker = 0; worker < settings.workers; ++worker) {
      std::vector<SimPort*> pointers;
      for (std::size_t port = 0; port < ports; ++port)
        pointers.push_back(ports_.emplace_back(std::make_unique<SimPort>(output_)).get());
      workers_.push_back(
          std::make_unique<VirtualWorker>(worker_settings, pointers, time_, pool, published_));
      if (settings.detail != TrailDetail::kNothing)
        workers_.back()->set_witness(&output_.witness());
    }
    ports_a_worker_ = ports;
  }

  Result<void> run(std::vector<Source>& sources) {
    while (Source* source = packets_ < settings_.packets_max ? next_source(sources) : nullptr) {
      if (auto fed = feed(*source, sources); !fed)
        return fed;
      poll_all();
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
      for (std::size_t rule = 0; rule < policy_.rules.size(); ++rule)
        statistics.add_delays(rule, worker->delays_of(policy_.rules[rule].slot));
    }
  }

 private:
  static Source* next_source(std::vector<Source>& sources) {
    Source* first = nullptr;
    for (Source& source : sources)
      if (source.live() && (first == nullptr || source.before(*first)))
        first = &source;
    return first;
  }

  /// Puts in packets of one source as long as no other source's packet comes between them.
  Result<void> feed(Source& source, std::vector<Source>& sources) {
    std::uint32_t count = 0;
    do {
      rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
      FAULTLINE_CHECK(mbuf != nullptr);
      const auto bytes = source.bytes();
      char* place = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(bytes.size()));
      FAULTLINE_CHECK(place != nullptr);
      std::copy_n(reinterpret_cast<const char*>(bytes.data()), bytes.size(), place);
      const std::size_t worker = worker_for(bytes);
      ports_[worker * ports_a_worker_ + source.port()]->put(mbuf, source.arrival_ns(), sequence_++);
      time_.set(source.arrival_ns());
      ++packets_;
      if (auto read = source.advance(); !read)
        return read;
    } while (++count < settings_.rx_burst && packets_ < settings_.packets_max &&
             next_source(sources) == &source);
    return {};
  }

  std::size_t worker_for(std::span<const std::byte> bytes) const {
    if (workers_.size() == 1)
      return 0;
    FlowKey key;
    parse_flow_key({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                   bytes.size(), key);
    return flow_pair_hash(key) % workers_.size();
  }

  void poll_all() {
    for (const auto& worker : workers_) {
      do worker->poll();
      while (worker->next_release_ns() <= time_.now_ns());
    }
  }

  std::uint64_t next_release_ns() const {
    std::uint64_t next_ns = kNever;
    for (const auto& worker : workers_) next_ns = std::min(next_ns, worker->next_release_ns());
    return next_ns;
  }

  void drain() {
    for (std::uint64_t next_ns = next_release_ns(); next_ns != kNever;
         next_ns = next_release_ns()) {
      time_.set(std::max(time_.now_ns(), next_ns + kDrainStepNs));
      poll_all();
      output_.hand_over_until(next_release_ns());
    }
    output_.hand_over_until(kNever);
  }

  const Policy& policy_;
  SimulationSettings settings_;
  rte_mempool* pool_;
  VirtualTime time_;
  Departures output_;
  std::atomic<const Policy*> published_;
  std::vector<std::unique_ptr<SimPort>> ports_;  ///< by worker · ports + port
  std::vector<std::unique_ptr<VirtualWorker>> workers_;
  std::size_t ports_a_worker_ = 0;
  std::uint32_t sequence_ = 0;
  std::uint64_t packets_ = 0;
};

/// Reads every source's first packet and moves the policy's times to the earliest of them.
Result<void> set_time_zero(std::vector<Source>& sources, Policy& policy) {
  std::uint64_t zero_ns = kNever;
  for (Source& source : sources) {
    if (auto read = source.advance(); !read)
      return read;
    if (source.live())
      zero_ns = std::min(zero_ns, source.arrival_ns());
  }
  if (zero_ns == kNever)
    return {};
  policy.active_from_ns += zero_ns;
  policy.zero_ns += zero_ns;
  for (RuleProgram& rule : policy.rules)
    if (rule.expires_ns != kNever)
      rule.expires_ns += zero_ns;
  return {};
}

}  // namespace

Result<SimulationResult> simulate(Policy policy, const std::vector<std::string>& port_names,
                                  const SimulationSettings& settings,
                                  std::vector<SimulationInput> inputs, DepartureSink& sink) {
  const Result<rte_mempool*> made = make_pool("simulation", kSimulatedMbufs, kFrameBytesMax);
  if (!made)
    return tl::unexpected(made.error());
  rte_mempool* pool = *made;
  std::vector<Source> sources;
  for (SimulationInput& input : inputs) sources.emplace_back(std::move(input));
  if (auto zero = set_time_zero(sources, policy); !zero)
    return tl::unexpected(zero.error());
  SimulationResult result;
  {
    Simulation simulation(policy, port_names.size(), settings, pool, sink);
    if (auto ran = simulation.run(sources); !ran)
      return tl::unexpected(ran.error());
    StatisticsSum statistics(policy, port_names);
    simulation.sum(statistics);
    result.balanced = statistics.balanced();
    result.own_drops = statistics.own_drops();
    result.statistics = statistics.to_json(0);
  }
  for (const Source& source : sources) {
    result.backwards += source.backwards();
    result.cut += source.cut();
  }
  // Every packet that was made must have come back: a leak would end a long run.
  FAULTLINE_CHECK(rte_mempool_avail_count(pool) == kSimulatedMbufs);
  rte_mempool_free(pool);
  return result;
}

}  // namespace faultline
