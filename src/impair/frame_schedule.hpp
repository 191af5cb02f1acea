// Frames of one's own and when they leave: what `inject:` asks for. Nobody decides anything about
// packets here; workers read the schedule and send.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.hpp"

namespace faultline {

struct ScheduledFrame {
  std::uint64_t offset_ns = 0;  ///< since its round began
  std::vector<std::uint8_t> bytes;
};

/// Rounds, `every_ns` apart, in each of which all frames leave.
struct FrameSchedule {
  std::vector<ScheduledFrame> frames;  ///< one at least, offsets never fall
  std::uint64_t first_ns = 0;          ///< of the first round, since the rule began
  std::uint64_t every_ns = 0;          ///< above the last frame's offset; 0: one round
  std::uint64_t rounds = 1;            ///< 0: without end
  std::string to;                      ///< the port's name; empty: every path of the rule
  Mark to_mark;
  std::uint64_t fingerprint = 0;  ///< of all the above: equal schedules have equal ones

  bool is_done(std::uint64_t sent) const noexcept {
    return rounds != 0 && sent / frames.size() >= rounds;
  }
  const ScheduledFrame& frame(std::uint64_t sent) const noexcept {
    return frames[sent % frames.size()];
  }
  /// When the frame behind the first `sent` leaves, since the rule began; UINT64_MAX behind the
  /// last one and beyond all time.
  std::uint64_t time_ns(std::uint64_t sent) const noexcept {
    const std::uint64_t base_ns = first_ns + frame(sent).offset_ns;
    const std::uint64_t round = sent / frames.size();
    if (is_done(sent) || (every_ns != 0 && round > (UINT64_MAX - base_ns) / every_ns))
      return UINT64_MAX;
    return base_ns + round * every_ns;
  }
  /// The like of the last frame of all; UINT64_MAX where there is none.
  std::uint64_t end_ns() const noexcept {
    return rounds == 0 ? UINT64_MAX : time_ns(rounds * frames.size() - 1);
  }
};

}  // namespace faultline
