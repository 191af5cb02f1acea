// rate: a FIFO link. A packet of w bytes takes 8·w/rate; it departs at max(its own time, departure
// of the one before) + 8·w/rate (Lindley's recursion). The link's clock carries 2^-32 ns, a service
// time is cut to that, and a departure rounded up to a whole ns: never early. Links need no queue
// of their own, but a limit in packets or bytes is counted from a list of departures.
#include <algorithm>

#include "base/int128.hpp"
#include "base/units.hpp"
#include "impair/queued_stage.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kRateMinBps = 1;
constexpr std::uint64_t kRateMaxBps = 10'000'000'000'000;
constexpr std::uint64_t kBytesMax = 65'535;

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

/// A time in 2^-32 ns.
Uint128 exact(std::uint64_t whole_ns, std::uint32_t fraction) noexcept {
  return (static_cast<Uint128>(whole_ns) << 32) | fraction;
}

struct RateServer {
  std::uint64_t rate_bps = 0;
  Framing framing;

  /// Since when the link is free.
  struct Clock {
    std::uint64_t free_ns = 0;
    std::uint32_t fraction = 0;  ///< in 2^-32 ns
    std::uint32_t spare = 0;
  };

  std::uint64_t free_ns(const Clock& clock, std::uint64_t) const noexcept {
    return clock.free_ns + (clock.fraction != 0 ? 1 : 0);
  }
  std::uint64_t delay_ns(const Clock& clock, std::uint64_t instant_ns,
                         std::uint64_t) const noexcept {
    return clock.free_ns > instant_ns ? clock.free_ns - instant_ns : 0;
  }
  Uint128 service_time(std::uint32_t frame_bytes) const noexcept {
    const Uint128 bit_ns = static_cast<Uint128>(framing.bytes(frame_bytes)) * 8 * kNsPerSecond;
    return (bit_ns << 32) / rate_bps;
  }
  std::uint64_t serve(Clock& clock, std::uint64_t ready_ns, std::uint32_t frame_bytes,
                      std::uint64_t) const noexcept {
    const Uint128 start = std::max(exact(ready_ns, 0), exact(clock.free_ns, clock.fraction));
    const Uint128 end = start + service_time(frame_bytes);
    clock.fraction = static_cast<std::uint32_t>(end);
    clock.free_ns = static_cast<std::uint64_t>(end >> 32);
    return free_ns(clock, 0);
  }
  double packet_ns() const noexcept { return static_cast<double>(service_time(1'500) >> 32); }
};

using Rate = StageParameters<RateServer>;

/// The longest that a packet may stay, where a queue bounds it.
std::uint64_t longest_stay_ns(const Rate& rate) {
  const auto time_of = [&](std::uint64_t bytes) {
    return static_cast<std::uint64_t>(static_cast<Uint128>(bytes) * 8 * kNsPerSecond /
                                      rate.server.rate_bps) +
           1;
  };
  const std::uint64_t one_ns = time_of(rate.server.framing.bytes(9'618));
  switch (rate.queue.limit.unit) {
    case QueueLimit::Unit::kNone:
      return 0;
    case QueueLimit::Unit::kPackets:
      return time_of(rate.server.framing.bytes(9'618) * rate.queue.limit.value);
    case QueueLimit::Unit::kBytes:
      return time_of(rate.queue.limit.value) + one_ns;
    case QueueLimit::Unit::kTime:
      return rate.queue.limit.value + one_ns;
  }
  return 0;
}

std::optional<Rate> read_rate(const ConfigNode& node, Problems& problems) {
  const std::size_t problems_before = problems.size();
  const Bounds rate_bounds{kRateMinBps, kRateMaxBps};
  Rate rate;
  if (!node.is_mapping()) {
    rate.server.rate_bps = read_rate_bps(node, rate_bounds, problems).value_or(1);
    return problems.size() == problems_before ? std::optional(rate) : std::nullopt;
  }
  MappingReader reader(node, "rate", problems);
  if (const ConfigNode* value = reader.require("rate"))
    rate.server.rate_bps = read_rate_bps(*value, rate_bounds, problems).value_or(1);
  const auto read_bytes = [&](std::string_view key, std::uint64_t least, std::uint32_t& bytes) {
    if (const ConfigNode* value = reader.take(key))
      bytes = static_cast<std::uint32_t>(
          read_size_bytes(*value, {least, kBytesMax}, problems).value_or(least));
    return reader.has(key);
  };
  read_bytes("overhead", 0, rate.server.framing.overhead);
  read_bytes("minimum", 0, rate.server.framing.minimum);
  read_bytes("cell", 1, rate.server.framing.cell);
  if (read_bytes("cell_overhead", 0, rate.server.framing.cell_overhead) && !reader.has("cell"))
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
  rate->queue = queue_behind(context);
  rate->dice = dice_for(context, DicePurpose::kFate);
  CompiledImpairment compiled = QueuedStage<RateServer>::compiled(*rate);
  compiled.adds_ns = longest_stay_ns(*rate);
  compiled.passes_bps = rate->server.rate_bps;
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_rate;
const ImpairmentModel kModel_rate{"rate", "", "", true, compile};

}  // namespace faultline
