// What the forms of `delay:` share: the parameters of a jittered delay, parameters drawn once per
// flow, and the floor that a change leaves behind.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>

#include "base/dice.hpp"
#include "base/int128.hpp"
#include "base/units.hpp"
#include "impair/distribution.hpp"
#include "impair/loss.hpp"

namespace faultline {

inline constexpr std::uint64_t kDelayMaxNs = 24 * 3600 * kNsPerSecond;

/// deviation · unit, cut to whole ns.
inline std::int64_t deviation_ns(Deviation deviation, std::uint64_t unit_ns) noexcept {
  return static_cast<std::int64_t>(
      (static_cast<Int128>(deviation) * static_cast<Int128>(unit_ns)) >> 32);
}

/// A time of a rule, or one drawn for each flow.
struct FlowTime {
  std::int64_t fixed_ns = 0;                   ///< what the drawn deviation is added to
  std::uint64_t scale_ns = 0;                  ///< a deviation of one
  std::shared_ptr<const QuantileTable> drawn;  ///< null: the same for all flows
  std::int64_t least_ns = 0;                   ///< what is drawn is kept between this …
  std::int64_t longest_ns = kDelayMaxNs;       ///< … and this

  std::int64_t of(std::uint64_t uniform) const noexcept {
    if (drawn == nullptr)
      return fixed_ns;
    return std::clamp(fixed_ns + deviation_ns(drawn->at(uniform), scale_ns), least_ns, longest_ns);
  }
  std::int64_t most() const noexcept { return of(drawn == nullptr ? 0 : UINT64_MAX); }
};

/// "uniform(10ms, 50ms)", "normal(40ms, 5ms)", "exponential(10ms)": nothing where it is none of
/// them.
std::optional<FlowTime> parse_drawn_time(std::string_view text);

/// A delay with jitter. Kept by CompiledImpairment::tables.
struct DelayLaw {
  FlowTime time;
  FlowTime jitter;
  std::uint64_t max_ns = kDelayMaxNs;
  std::shared_ptr<const QuantileTable> quantiles;  ///< null: no jitter
  std::shared_ptr<const GaussianTable> gaussian;   ///< null: none needed
  Dice flow_dice;                                  ///< index 0: time, 1: jitter
  Dice draw_dice;                                  ///< of packets
  Dice knot_dice;                                  ///< of the field
  double correlation = 0;
  std::uint64_t grid_ns = 1;    ///< of the field: a 64th of the knots' spacing
  std::uint64_t look_back = 0;  ///< of the field, in steps of the grid
  std::uint64_t fingerprint = 0;

  bool per_flow() const noexcept { return time.drawn != nullptr || jitter.drawn != nullptr; }

  /// Makes every delay shorter by `own_ns`, and nothing of those that are not so long. Once, when
  /// all but the dice is known: max(0, min(x, max) − own) is min(x − own, max − own) cut at zero,
  /// so it is the parameters that move, and no packet pays for it.
  void subtract(std::uint64_t own_ns) noexcept {
    const auto by_ns = static_cast<std::int64_t>(own_ns);
    time.fixed_ns -= by_ns;
    time.longest_ns -= by_ns;
    if (quantiles != nullptr)
      time.least_ns -= by_ns;  // jitter comes on top of it before anything is cut
    max_ns -= std::min(max_ns, own_ns);
  }
};

/// The parameters of one flow.
struct FlowDelay {
  std::int64_t time_ns = 0;  ///< below zero where the own latency is more than that
  std::uint64_t jitter_ns = 0;
};
inline FlowDelay delay_of_flow(const DelayLaw& law, std::uint64_t identity) noexcept {
  if (!law.per_flow())
    return {law.time.fixed_ns, static_cast<std::uint64_t>(law.jitter.fixed_ns)};
  return {law.time.of(law.flow_dice.uniform(identity, 0)),
          static_cast<std::uint64_t>(law.jitter.of(law.flow_dice.uniform(identity, 1)))};
}
/// The largest that a flow may have.
inline FlowDelay most_of_flows(const DelayLaw& law) noexcept {
  return {law.time.most(), static_cast<std::uint64_t>(law.jitter.most())};
}

struct DelayGiven {
  std::uint64_t delay_ns = 0;
  bool cut = false;  ///< it came out negative and became zero
};
inline DelayGiven delay_with(const DelayLaw& law, const FlowDelay& flow,
                             Deviation deviation) noexcept {
  const std::int64_t sum_ns = flow.time_ns + deviation_ns(deviation, flow.jitter_ns);
  if (sum_ns < 0)
    return {0, true};
  return {std::min(static_cast<std::uint64_t>(sum_ns), law.max_ns), false};
}

/// What a delay remembers of a scope begins with a DelayFloor, in whatever form it is given, and
/// has this many bytes in most: then a change of form leaves a scope's state where it is.
inline constexpr std::uint32_t kDelayStateBytes = 40;

/// What `order: keep` remembers of a scope across changes of its parameters: the latest time given
/// out before the change is the floor afterwards. It outlives the policy that set it.
struct DelayFloor {
  std::uint64_t fingerprint_plus_one = 0;  ///< of the parameters in force, plus one; 0: none yet
  std::uint64_t latest_ns = 0;             ///< the latest time given out
  std::uint64_t floor_ns = 0;              ///< the latest given out under earlier parameters

  void meet(std::uint64_t fingerprint) noexcept {
    if (fingerprint_plus_one == fingerprint + 1)
      return;
    floor_ns = latest_ns;
    fingerprint_plus_one = fingerprint + 1;
  }
  /// The time given for `wanted_ns`.
  std::uint64_t give(std::uint64_t wanted_ns) noexcept {
    const std::uint64_t given_ns = std::max(wanted_ns, floor_ns);
    latest_ns = std::max(latest_ns, given_ns);
    return given_ns;
  }
};

using SharedLaw = std::shared_ptr<const DelayLaw>;

/// The forms. `law` is complete.
CompiledImpairment compile_per_flow_delay(SharedLaw law);
CompiledImpairment compile_free_delay(SharedLaw law);
CompiledImpairment compile_field_delay(SharedLaw law);
/// `trace:` with its text, each delay shorter by `own_ns`. Nothing when it is wrong.
std::optional<CompiledImpairment> compile_trace_delay(const ConfigNode& node, MappingReader& reader,
                                                      std::uint64_t own_ns, Problems& problems);

/// The share of time in which the field's release R(t) is later than t + d(t), measured over
/// `knots` knots from time zero. A property of the law, not of the seed.
double clamped_share(const DelayLaw& law, std::uint64_t knots);
/// The share of delays that come out negative and become zero.
double cut_share(const DelayLaw& law);

}  // namespace faultline
