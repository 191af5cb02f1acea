// The laws of RED, PIE and CoDel.
#include "impair/aqm.hpp"

#include <algorithm>
#include <cmath>

#include "base/portable_math.hpp"
#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kPacketBytesMax = 1'514;

double in_seconds(std::uint64_t left_ns, std::uint64_t right_ns) noexcept {
  const auto difference = static_cast<std::int64_t>(left_ns - right_ns);
  return static_cast<double>(difference) / static_cast<double>(kNsPerSecond);
}

}  // namespace

// --- RED -----------------------------------------------------------------------------------------

bool red_hits(const QueueSpec& queue, RedState& red, const QueueSight& sight,
              const LawDraw& uniform) noexcept {
  constexpr double kNothing = 0x1p-40;  // of `least`: it was idle so long that nothing is left
  if (sight.idle_ns == 0) {
    red.average += queue.weight * (sight.length - red.average);
  } else if (red.average > kNothing * queue.least) {
    // As if so many packets had found it empty.
    const double packets = static_cast<double>(sight.idle_ns) / sight.packet_ns;
    red.average *= queue.weight >= 1 ? 0 : portable_exp(packets * portable_log1p(-queue.weight));
  } else {
    red.average = 0;
  }
  if (red.average < queue.least) {
    red.count = 0;
    return false;
  }
  if (red.average >= queue.most) {
    red.count = 1;
    return true;
  }
  ++red.count;
  const double rising =
      queue.probability * (red.average - queue.least) / (queue.most - queue.least);
  const double since = static_cast<double>(red.count - 1) * rising;
  if (since < 1 && uniform() * (1 - since) >= rising)
    return false;
  red.count = 1;
  return true;
}

// --- PIE -----------------------------------------------------------------------------------------

void pie_update(const QueueSpec& queue, PieState& pie, std::uint32_t& allowance_used,
                std::uint64_t delay_ns) noexcept {
  double step = queue.least * in_seconds(delay_ns, queue.target_ns) +
                queue.most * in_seconds(delay_ns, pie.delay_ns);
  struct Tuning {
    double below;
    double divisor;
  };
  constexpr Tuning kTuning[] = {{0.000001, 2'048}, {0.00001, 512}, {0.0001, 128},
                                {0.001, 32},       {0.01, 8},      {0.1, 2}};
  for (const Tuning& tuning : kTuning)
    if (pie.probability < tuning.below) {
      step /= tuning.divisor;
      break;
    }
  double probability = pie.probability + step;
  if (delay_ns == 0 && pie.delay_ns == 0)
    probability *= 0.98;
  pie.probability = std::clamp(probability, 0.0, 1.0);
  pie.delay_ns = delay_ns;
  if (allowance_used < UINT32_MAX)
    ++allowance_used;
}

bool pie_hits(const QueueSpec& queue, PieState& pie, std::uint32_t& allowance_used,
              std::uint64_t bytes, const LawDraw& uniform) noexcept {
  constexpr double kEnough = 0.85;
  constexpr double kTooMuch = 8.5;
  const bool low = 2 * pie.delay_ns < queue.target_ns;
  if (pie.probability == 0 && low)
    allowance_used = 0;
  if (std::uint64_t{allowance_used} * queue.interval_ns < queue.burst_ns)
    return false;
  if ((low && pie.probability < 0.2) || bytes <= 2 * kPacketBytesMax)
    return false;
  if (pie.probability == 0)
    pie.accumulated = 0;
  pie.accumulated += pie.probability;
  if (pie.accumulated < kEnough)
    return false;
  if (pie.accumulated < kTooMuch && uniform() >= pie.probability)
    return false;
  pie.accumulated = 0;
  return true;
}

// --- CoDel ---------------------------------------------------------------------------------------

bool codel_may_drop(const QueueSpec& queue, CodelState& codel, std::uint64_t now_ns,
                    std::uint64_t sojourn_ns, std::uint64_t bytes) noexcept {
  if (sojourn_ns < queue.target_ns || bytes <= kPacketBytesMax) {
    codel.first_above_ns = 0;
    return false;
  }
  if (codel.first_above_ns == 0) {
    codel.first_above_ns = now_ns + queue.interval_ns;
    return false;
  }
  return now_ns >= codel.first_above_ns;
}

void codel_enter(const QueueSpec& queue, CodelState& codel, std::uint64_t now_ns) noexcept {
  const std::uint32_t more = codel.count() - codel.last_count;
  const auto since = static_cast<std::int64_t>(now_ns - codel.drop_next_ns);
  const bool recent = since < 16 * static_cast<std::int64_t>(queue.interval_ns);
  const std::uint32_t count =
      codel.count() > codel.last_count && more > 1 && recent ? more : std::uint32_t{1};
  codel.set(count, true);
  codel.last_count = count;
  codel.drop_next_ns = codel_next(queue, now_ns, count);
}

std::uint64_t codel_next(const QueueSpec& queue, std::uint64_t time_ns,
                         std::uint32_t count) noexcept {
  return time_ns + static_cast<std::uint64_t>(static_cast<double>(queue.interval_ns) /
                                              std::sqrt(static_cast<double>(count)));
}

}  // namespace faultline
