// Active queue management: laws that drop before a queue is full. RED and PIE judge a packet as it
// comes, from what the queue was; CoDel when it is served.
#pragma once

#include <cstdint>

#include "base/dice.hpp"
#include "impair/queue.hpp"

namespace faultline {

/// A number in [0, 1), thrown only where a law asks for it.
struct LawDraw {
  const Dice& dice;
  std::uint64_t identity = 0;
  std::uint64_t number = 0;

  double operator()() const noexcept {
    return static_cast<double>(dice.uniform(identity, number) >> 11) * 0x1p-53;
  }
};

/// RED's memory of one queue.
struct RedState {
  double average = 0;       ///< in the limit's unit
  std::uint32_t count = 0;  ///< packets since the last one hit, plus one; 0: below `least`
};

/// A queue as a packet finds it.
struct QueueSight {
  double length = 0;          ///< in the limit's unit, without the packet
  std::uint64_t idle_ns = 0;  ///< since when it has been empty
  double packet_ns = 1;       ///< what a packet takes on the link, about
};

/// Whether RED hits the packet: S. Floyd, V. Jacobson, "Random Early Detection Gateways for
/// Congestion Avoidance", IEEE/ACM ToN 1993, figure 2.
bool red_hits(const QueueSpec& queue, RedState& red, const QueueSight& sight,
              const LawDraw& uniform) noexcept;

/// PIE's memory of one queue.
struct PieState {
  double probability = 0;
  double accumulated = 0;
  std::uint64_t delay_ns = 0;  ///< at the last update
};

/// One update (RFC 8033, section 4.2), with the delay that a packet would meet now.
/// `allowance_used` counts the updates since the burst allowance was renewed.
void pie_update(const QueueSpec& queue, PieState& pie, std::uint32_t& allowance_used,
                std::uint64_t delay_ns) noexcept;
/// Whether PIE hits a packet that finds `bytes` waiting (sections 4.1 and 4.4, derandomised as in
/// 5.4).
bool pie_hits(const QueueSpec& queue, PieState& pie, std::uint32_t& allowance_used,
              std::uint64_t bytes, const LawDraw& uniform) noexcept;
/// Above this probability PIE drops what it could mark (section 5.1).
inline constexpr double kPieMarkMax = 0.1;

/// CoDel's memory of one queue (RFC 8289, section 5.2).
struct CodelState {
  std::uint64_t first_above_ns = 0;  ///< 0: not above
  std::uint64_t drop_next_ns = 0;
  std::uint32_t count_and_dropping = 0;  ///< the lowest bit: dropping
  std::uint32_t last_count = 0;

  std::uint32_t count() const noexcept { return count_and_dropping >> 1; }
  bool dropping() const noexcept { return (count_and_dropping & 1) != 0; }
  void set(std::uint32_t count, bool dropping) noexcept {
    count_and_dropping = count << 1 | (dropping ? 1U : 0U);
  }
};

/// Whether a packet that waited for `sojourn_ns` may be dropped, `bytes` waiting behind it (section
/// 5.6).
bool codel_may_drop(const QueueSpec& queue, CodelState& codel, std::uint64_t now_ns,
                    std::uint64_t sojourn_ns, std::uint64_t bytes) noexcept;
/// Begins to drop (section 5.5).
void codel_enter(const QueueSpec& queue, CodelState& codel, std::uint64_t now_ns) noexcept;
/// The control law (section 5.6).
std::uint64_t codel_next(const QueueSpec& queue, std::uint64_t time_ns,
                         std::uint32_t count) noexcept;

}  // namespace faultline
