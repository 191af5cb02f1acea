// Summing snapshots and giving the sums their names.
#include "control/statistics.hpp"

#include <algorithm>

#include "control/clock_report.hpp"
#include "control/trigger_json.hpp"
#include "policy/rule_links.hpp"

namespace faultline {
namespace {

void add_port(PortCounters& sum, const PortCounters& part) {
  sum.rx_packets += part.rx_packets;
  sum.rx_bytes += part.rx_bytes;
  sum.tx_packets += part.tx_packets;
  sum.tx_bytes += part.tx_bytes;
  sum.tx_full += part.tx_full;
  sum.tx_errors += part.tx_errors;
  sum.tx_reordered += part.tx_reordered;
  sum.tx_extent_sum += part.tx_extent_sum;
  sum.tx_extent_max = std::max(sum.tx_extent_max, part.tx_extent_max);
}

void add_rule(RuleCounters& sum, const RuleCounters& part) {
  sum.matched += part.matched;
  sum.dropped += part.dropped;
  sum.delayed += part.delayed;
  sum.clamped += part.clamped;
  sum.undecided += part.undecided;
  sum.cut += part.cut;
  sum.edited += part.edited;
  sum.corrupted += part.corrupted;
  sum.duplicated += part.duplicated;
  sum.injected += part.injected;
  sum.reordered += part.reordered;
  sum.unrewritable += part.unrewritable;
  sum.judged += part.judged;
  sum.lost += part.lost;
  sum.loss_runs += part.loss_runs;
  sum.delay_sum_ns += part.delay_sum_ns;
  sum.delay_max_ns = std::max(sum.delay_max_ns, part.delay_max_ns);
}

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

StatisticsSum::StatisticsSum(const Policy& policy, std::vector<std::string> port_names)
    : policy_(policy),
      port_names_(std::move(port_names)),
      total_(port_names_.size()),
      devices_(port_names_.size()),
      can_take_carrier_(port_names_.size()),
      lateness_(std::make_unique<Histogram>()),
      delays_(policy.rules.size()),
      variations_(kVariationsMax) {}

void StatisticsSum::add(const WorkerSnapshot& part) {
  total_.now_ns = std::max(total_.now_ns, part.now_ns);
  WorkerCounters& sum = total_.counters;
  sum.ledger.add(part.counters.ledger);
  sum.unparsed += part.counters.unparsed;
  sum.flushed += part.counters.flushed;
  sum.early += part.counters.early;
  sum.lateness_max_ns = std::max(sum.lateness_max_ns, part.counters.lateness_max_ns);
  for (std::size_t port = 0; port < total_.ports.size(); ++port)
    add_port(total_.ports[port], part.ports[port]);
  for (const RuleProgram& rule : policy_.rules)
    if (rule.variant == 0)
      add_rule(total_.rules[rule.slot], part.rules[rule.slot]);
  total_.flows.active += part.flows.active;
  total_.flows.created += part.flows.created;
  total_.flows.expired += part.flows.expired;
  total_.flows.evicted += part.flows.evicted;
  total_.flows.ghost_collisions += part.flows.ghost_collisions;
  total_.scopes.active += part.scopes.active;
  total_.scopes.lost += part.scopes.lost;
  total_.fragments.followed += part.fragments.followed;
  total_.fragments.unknown += part.fragments.unknown;
  total_.fragments.lost += part.fragments.lost;
  total_.connections.opened += part.connections.opened;
  total_.connections.guessed += part.connections.guessed;
  total_.connections.lost += part.connections.lost;
  total_.connections.forgotten += part.connections.forgotten;
  total_.payload.scanned += part.payload.scanned;
  total_.payload.streams += part.payload.streams;
  total_.payload.evicted += part.payload.evicted;
  total_.payload.resynchronised += part.payload.resynchronised;
  total_.payload.restarted += part.payload.restarted;
  total_.stations.learned += part.stations.learned;
  total_.stations.moved += part.stations.moved;
  total_.stations.evicted += part.stations.evicted;
  total_.clocks.add(part.clocks);
  const ModelBreaches& breaches = part.model;
  const std::uint64_t count = total_.model.count + breaches.count;
  if (breaches.count > 0 &&
      (total_.model.count == 0 || breaches.arrival_ns < total_.model.arrival_ns))
    total_.model = breaches;
  total_.model.count = count;
  total_.hold.packets += part.hold.packets;
  total_.hold.bytes += part.hold.bytes;
  total_.hold.capacity_bytes += part.hold.capacity_bytes;
  total_.hold.peak_bytes += part.hold.peak_bytes;
}

std::uint64_t StatisticsSum::own_drops() const {
  std::uint64_t drops = 0;
  for (const DropReason reason :
       {DropReason::kOverflow, DropReason::kNoMbuf, DropReason::kTxFull, DropReason::kTxError})
    drops += total_.counters.ledger.dropped[static_cast<std::size_t>(reason)];
  for (const DeviceCounters& device : devices_)
    drops += device.rx_missed + device.rx_errors + device.rx_no_mbuf;
  return drops;
}

std::uint64_t StatisticsSum::memories_lost() const {
  return total_.flows.ghost_collisions + total_.scopes.lost + total_.fragments.lost +
         total_.connections.lost + total_.payload.evicted + total_.payload.resynchronised;
}

Json StatisticsSum::ports_json() const {
  Json ports = Json::object();
  for (std::size_t port = 0; port < port_names_.size(); ++port) {
    const PortCounters& counters = total_.ports[port];
    ports[port_names_[port]] = {
        {"rx_packets", counters.rx_packets},       {"rx_bytes", counters.rx_bytes},
        {"tx_packets", counters.tx_packets},       {"tx_bytes", counters.tx_bytes},
        {"rx_missed", devices_[port].rx_missed},   {"rx_errors", devices_[port].rx_errors},
        {"rx_no_mbuf", devices_[port].rx_no_mbuf}, {"tx_full", counters.tx_full},
        {"tx_errors", counters.tx_errors},         {"tx_reordered", counters.tx_reordered},
        {"tx_extent_sum", counters.tx_extent_sum}, {"tx_extent_max", counters.tx_extent_max}};
  }
  return ports;
}

Json StatisticsSum::rules_json() const {
  Json rules = Json::object();
  for (std::size_t index = 0; index < policy_.rules.size(); ++index) {
    if (policy_.rules[index].variant != 0)
      continue;
    const RuleCounters& counters = total_.rules[policy_.rules[index].slot];
    const Histogram& delays = delays_[index];
    const auto bounded = [&](double share) {
      return std::min(delays.percentile(share), counters.delay_max_ns);
    };
    const std::uint64_t judged = counters.matched;
    const std::uint64_t mean_ns =
        counters.delayed == 0 ? 0 : counters.delay_sum_ns / counters.delayed;
    // A constant delay is known exactly; a percentile is within its histogram's 3 %.
    const bool constant = mean_ns == counters.delay_max_ns;
    rules[policy_.rules[index].name] = {
        {"matched", judged},
        {"dropped", counters.dropped},
        {"delayed", counters.delayed},
        {"duplicated", counters.duplicated},
        {"corrupted", counters.corrupted},
        {"reordered", counters.reordered},
        {"edited", counters.edited},
        {"injected", counters.injected},
        {"clamped", counters.clamped},
        {"undecided", counters.undecided},
        {"cut", counters.cut},
        {"unrewritable", counters.unrewritable},
        {"loss",
         {{"rate", ratio(counters.lost, judged + counters.duplicated)},
          {"mean_run", ratio(counters.lost, counters.loss_runs)},
          {"judged", counters.judged},
          {"lost", counters.lost}}},
        {"delay",
         {{"sum_ns", counters.delay_sum_ns},
          {"mean_ns", mean_ns},
          {"p50_ns", constant ? mean_ns : bounded(0.50)},
          {"p99_ns", constant ? mean_ns : bounded(0.99)},
          {"max_ns", counters.delay_max_ns}}}};
    if (policy_.rules[index].variation)
      rules[policy_.rules[index].name]["ipdv"] = variation_json(policy_.rules[index]);
    if (Json flap = flap_json(policy_.rules[index]); !flap.is_null())
      rules[policy_.rules[index].name]["flap"] = std::move(flap);
  }
  return rules;
}

/// Sizes of the steps from one packet's delay to the next one's.
Json StatisticsSum::variation_json(const RuleProgram& rule) const {
  const Histogram& counts = variations_[*rule.variation];
  std::uint64_t steps = 0;
  counts.for_each([&](std::uint64_t, std::uint64_t, std::uint64_t times) { steps += times; });
  return {{"steps", steps},
          {"p50_ns", counts.percentile(0.50)},
          {"p90_ns", counts.percentile(0.90)},
          {"p99_ns", counts.percentile(0.99)}};
}

Json StatisticsSum::delays_json() const {
  Json rules = Json::object();
  for (std::size_t index = 0; index < policy_.rules.size(); ++index) {
    if (policy_.rules[index].variant != 0)
      continue;
    Json buckets = Json::array();
    delays_[index].for_each(
        [&](std::uint64_t least_ns, std::uint64_t most_ns, std::uint64_t packets) {
          buckets.push_back({least_ns, most_ns, packets});
        });
    if (!buckets.empty())
      rules[policy_.rules[index].name] = std::move(buckets);
  }
  return rules;
}

Json StatisticsSum::flap_json(const RuleProgram& rule) const {
  const std::optional<FlappedLink> link = flapped_link_of(rule);
  if (!link)
    return nullptr;
  return {{"link", link->name}, {"carrier", link->carrier && can_take_carrier_[*link->carrier]}};
}

Json StatisticsSum::ledger_json() const {
  const Ledger& ledger = total_.counters.ledger;
  Json dropped = Json::object();
  for (std::size_t reason = 1; reason < kDropReasons; ++reason)
    dropped[std::string(drop_reason_name(static_cast<DropReason>(reason)))] =
        ledger.dropped[reason];
  return {{"received", ledger.received}, {"copies", ledger.copies},
          {"injected", ledger.injected}, {"sent", ledger.sent},
          {"held", total_.hold.packets}, {"dropped", dropped},
          {"balanced", balanced()}};
}

/// Whether the wire stayed within the scenario's model, and which packet left it first.
Json StatisticsSum::model_json() const {
  if (!policy_.model.is_watched())
    return nullptr;
  const ModelBreaches& breaches = total_.model;
  Json broken_by;
  if (breaches.count > 0) {
    constexpr std::string_view kWords[] = {"",        "dropped", "late",  "duplicated",
                                           "changed", "created", "unfair"};
    broken_by = {
        {"what", kWords[static_cast<std::size_t>(breaches.what)]},
        {"reason",
         breaches.reason == DropReason::kNone ? Json() : Json(drop_reason_name(breaches.reason))},
        {"took_ns", breaches.what == Breach::kLate ? Json(breaches.took_ns) : Json()},
        {"t_ns", breaches.arrival_ns},
        {"port", port_names_[breaches.ingress]},
        {"to", port_names_[breaches.egress]},
        {"flow", to_text(breaches.flow)}};
  }
  return {{"name", policy_.model.name},
          {"holds", breaches.count == 0},
          {"breaches", breaches.count},
          {"broken_by", broken_by}};
}

Json StatisticsSum::to_json(std::uint64_t uptime_ns) const {
  const WorkerCounters& counters = total_.counters;
  return {{"name", policy_.name},
          {"seed", policy_.seed},
          {"generation", policy_.generation},
          {"uptime_ns", uptime_ns},
          {"ports", ports_json()},
          {"rules", rules_json()},
          {"flows",
           {{"active", total_.flows.active},
            {"created", total_.flows.created},
            {"expired", total_.flows.expired},
            {"evicted", total_.flows.evicted},
            {"ghost_collisions", total_.flows.ghost_collisions}}},
          {"scopes", {{"active", total_.scopes.active}, {"lost", total_.scopes.lost}}},
          {"fragments",
           {{"followed", total_.fragments.followed},
            {"unknown", total_.fragments.unknown},
            {"lost", total_.fragments.lost}}},
          {"connections",
           {{"opened", total_.connections.opened},
            {"guessed", total_.connections.guessed},
            {"lost", total_.connections.lost},
            {"forgotten", total_.connections.forgotten}}},
          {"payload",
           {{"scanned", total_.payload.scanned},
            {"streams", total_.payload.streams},
            {"evicted", total_.payload.evicted},
            {"resynchronised", total_.payload.resynchronised},
            {"restarted", total_.payload.restarted}}},
          {"stations",
           {{"learned", total_.stations.learned},
            {"moved", total_.stations.moved},
            {"evicted", total_.stations.evicted}}},
          {"triggers", triggers_json(policy_, port_names_)},
          {"reproducible", memories_lost() == 0},
          {"hold",
           {{"packets", total_.hold.packets},
            {"bytes", total_.hold.bytes},
            {"capacity_bytes", total_.hold.capacity_bytes},
            {"peak_bytes", total_.hold.peak_bytes}}},
          {"lateness",
           {{"p50_ns", std::min(lateness_->percentile(0.50), counters.lateness_max_ns)},
            {"p99_ns", std::min(lateness_->percentile(0.99), counters.lateness_max_ns)},
            {"max_ns", counters.lateness_max_ns},
            {"early", counters.early}}},
          {"model", model_json()},
          {"clocks", clocks_json(total_.clocks, policy_)},
          {"unparsed", counters.unparsed},
          {"flushed", counters.flushed},
          {"ledger", ledger_json()}};
}

}  // namespace faultline
