// rate: a FIFO link. A packet of w bytes takes 8·w/rate; it departs at max(its own time, departure
// of the one before) + 8·w/rate (Lindley's recursion). The link's clock carries 2^-32 ns, a service
// time is cut to that, and a departure rounded up to a whole ns: never early. Links need no queue
// of their own, but a limit in packets or bytes is counted from a list of departures.
#include <algorithm>

#include "base/int128.hpp"
#include "base/units.hpp"
#include "impair/loss.hpp"
#include "impair/queue.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kRateMinBps = 1;
constexpr std::uint64_t kRateMaxBps = 10'000'000'000'000;
constexpr std::uint64_t kBytesMax = 65'535;
/// A packet that would have to wait longer is one that the hold has no room for.
constexpr std::uint64_t kStayMaxNs = 72 * 3600 * kNsPerSecond;

/// What a frame costs on the link, in bytes.
struct Framing {
  std::uint32_t overhead = 0;
  std::uint32_t minimum = 0;
  std::uint32_t cell = 0;  ///< 0: no cells
  std::uint32_t cell_overhead = 0;

  std::uint64_t bytes(std::uint32_t frame_bytes) const noexcept {
    const std::uint64_t whole = std::max<std::uint64_t>(frame_bytes + overhead, minimum);
    if (cell == 0)
      return whole;
    return (whole + cell - 1) / cell * (cell + cell_overhead);
  }
};

struct Rate {
  std::uint64_t rate_bps = 0;
  Framing framing;
  QueueLimit limit;
};

/// The link of a scope: since when it is free, and who has not departed yet.
struct Link {
  BacklogList queue;
  std::uint64_t free_ns = 0;
  std::uint32_t free_fraction = 0;  ///< in 2^-32 ns
};

/// A time in 2^-32 ns.
Uint128 exact(std::uint64_t whole_ns, std::uint32_t fraction) noexcept {
  return (static_cast<Uint128>(whole_ns) << 32) | fraction;
}

Uint128 service_time(const Rate& rate, std::uint32_t frame_bytes) noexcept {
  const Uint128 bit_ns = static_cast<Uint128>(rate.framing.bytes(frame_bytes)) * 8 * kNsPerSecond;
  return (bit_ns << 32) / rate.rate_bps;
}

bool is_full(const QueueLimit& limit, const Link& link, std::uint64_t now_ns,
             std::uint32_t frame_bytes) noexcept {
  switch (limit.unit) {
    case QueueLimit::Unit::kNone:
      return false;
    case QueueLimit::Unit::kPackets:
      return link.queue.packets >= limit.value;
    case QueueLimit::Unit::kBytes:
      return link.queue.bytes + frame_bytes > limit.value;
    case QueueLimit::Unit::kTime:
      return exact(link.free_ns, link.free_fraction) > exact(now_ns + limit.value, 0);
  }
  return false;
}

void offer(const Rate& rate, Link& link, BacklogPool& pool, JudgedBurst& burst,
           std::uint8_t i) noexcept {
  const std::uint64_t now_ns = burst.time_ns[i];
  const std::uint32_t frame_bytes = burst.length_bytes[i];
  // At equal times a departure makes room before the next packet asks for it.
  pool.depart(link.queue, now_ns);
  if (is_full(rate.limit, link, now_ns, frame_bytes)) {
    burst.reason[i] = DropReason::kQueue;
    return;
  }
  const Uint128 start = std::max(exact(now_ns, 0), exact(link.free_ns, link.free_fraction));
  const Uint128 end = start + service_time(rate, frame_bytes);
  const auto fraction = static_cast<std::uint32_t>(end);
  const auto whole_ns = static_cast<std::uint64_t>(end >> 32);
  const std::uint64_t departure_ns = whole_ns + (fraction != 0 ? 1 : 0);
  if (departure_ns - burst.arrival_ns[i] > kStayMaxNs) {
    burst.reason[i] = DropReason::kOverflow;
    return;
  }
  const bool counted =
      rate.limit.unit == QueueLimit::Unit::kPackets || rate.limit.unit == QueueLimit::Unit::kBytes;
  if (counted && !pool.push(link.queue, departure_ns, frame_bytes)) {
    burst.reason[i] = DropReason::kOverflow;
    return;
  }
  link.free_ns = whole_ns;
  link.free_fraction = fraction;
  burst.time_ns[i] = departure_ns;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Rate& rate = parameters.as<Rate>();
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    Link& link = asked.state[selection.position[first]]->as<Link>();
    for (std::uint32_t turn = first; turn < end; ++turn)
      offer(rate, link, *asked.backlog, burst, selection.position[turn]);
  });
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  const Rate& rate = parameters.as<Rate>();
  const Link& link = asked.state[i]->as<Link>();
  const std::uint64_t now_ns = burst.time_ns[i];
  const std::uint64_t waits_ns = link.free_ns > now_ns ? link.free_ns - now_ns : 0;
  const auto service_ns =
      static_cast<std::uint64_t>(service_time(rate, burst.length_bytes[i]) >> 32);
  return {{}, {}, "waits " + format_duration(waits_ns) + ", takes " + format_duration(service_ns)};
}

/// The longest that a packet may stay, where a queue bounds it.
std::uint64_t longest_stay_ns(const Rate& rate) {
  const auto time_of = [&](std::uint64_t bytes) {
    return static_cast<std::uint64_t>(static_cast<Uint128>(bytes) * 8 * kNsPerSecond /
                                      rate.rate_bps) +
           1;
  };
  const std::uint64_t one_ns = time_of(rate.framing.bytes(9'618));
  switch (rate.limit.unit) {
    case QueueLimit::Unit::kNone:
      return 0;
    case QueueLimit::Unit::kPackets:
      return time_of(rate.framing.bytes(9'618) * rate.limit.value);
    case QueueLimit::Unit::kBytes:
      return time_of(rate.limit.value) + one_ns;
    case QueueLimit::Unit::kTime:
      return rate.limit.value + one_ns;
  }
  return 0;
}

std::optional<Rate> read_rate(const ConfigNode& node, Problems& problems) {
  const std::size_t problems_before = problems.size();
  const Bounds rate_bounds{kRateMinBps, kRateMaxBps};
  Rate rate;
  if (!node.is_mapping()) {
    rate.rate_bps = read_rate_bps(node, rate_bounds, problems).value_or(1);
    return problems.size() == problems_before ? std::optional(rate) : std::nullopt;
  }
  MappingReader reader(node, "rate", problems);
  if (const ConfigNode* value = reader.require("rate"))
    rate.rate_bps = read_rate_bps(*value, rate_bounds, problems).value_or(1);
  const auto read_bytes = [&](std::string_view key, std::uint64_t least, std::uint32_t& bytes) {
    if (const ConfigNode* value = reader.take(key))
      bytes = static_cast<std::uint32_t>(
          read_size_bytes(*value, {least, kBytesMax}, problems).value_or(least));
    return reader.has(key);
  };
  read_bytes("overhead", 0, rate.framing.overhead);
  read_bytes("minimum", 0, rate.framing.minimum);
  read_bytes("cell", 1, rate.framing.cell);
  if (read_bytes("cell_overhead", 0, rate.framing.cell_overhead) && !reader.has("cell"))
    problems.push_back(
        problem_at(node.mark, "cell_overhead without cell", "both, as in cell: 48B"));
  reader.finish();
  return problems.size() == problems_before ? std::optional(rate) : std::nullopt;
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  std::optional<Rate> rate = read_rate(node, problems);
  if (!rate)
    return std::nullopt;
  if (context.queue_behind != nullptr) {
    Problems told_there;  // by the queue's own compilation
    rate->limit = read_queue(*context.queue_behind, told_there).value_or(QueueLimit{});
  }
  return CompiledImpairment{.parameters = Parameters::from(*rate),
                            .decide = decide,
                            .explain = explain,
                            .adds_ns = longest_stay_ns(*rate),
                            .uses_state = true,
                            .holds_backlog = true,
                            .delays = true,
                            .drops = true,
                            .owns_scope = true,
                            .needs_order = true,
                            .adds_unbounded = rate->limit.unit == QueueLimit::Unit::kNone};
}

}  // namespace

extern const ImpairmentModel kModel_rate;
const ImpairmentModel kModel_rate{"rate", "", "", true, compile};

}  // namespace faultline
