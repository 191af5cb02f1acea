// Frames of one's own: which one a worker sends next, and when. Allocates nothing after its
// construction; owns no packet and reads no clock.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "impair/frame_schedule.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// A frame whose time has come.
struct DueFrame {
  const RuleProgram& rule;
  std::size_t step = 0;
  std::uint8_t ingress = 0;  ///< of the path whose packets it is among
  std::uint8_t egress = 0;
  std::uint64_t time_ns = 0;
  const ScheduledFrame& frame;
};

class Injector {
 public:
  Injector() {
    streams_.reserve(kSchedulesMax);
    before_.reserve(kSchedulesMax);
  }

  /// Sends by `policy` from `now_ns` on: only on paths from ports for which `is_own` says so. What
  /// goes on as it was is not begun anew; of a schedule that changed, what lies before `now_ns` is
  /// left out.
  template <typename IsOwn>
  void adopt(const Policy& policy, std::uint64_t now_ns, const IsOwn& is_own) noexcept {
    std::swap(streams_, before_);
    streams_.clear();
    for (const RuleProgram& rule : policy.rules)
      for (std::size_t step = 0; rule.may_apply() && step < rule.steps.size(); ++step) {
        if (rule.steps[step].impairment.schedule == nullptr)
          continue;
        PortMask reached = 0;  // through a switch several paths lead to a port
        for (std::size_t path_id = 0; path_id < policy.paths.size(); ++path_id) {
          const PathProgram& path = policy.paths[path_id];
          if (!rule.paths.test(path_id) || !is_own(path.ingress) ||
              (reached >> path.egress & 1U) != 0)
            continue;
          reached |= PortMask{1} << path.egress;
          add(rule, step, path.ingress, path.egress, now_ns);
        }
      }
    find_next();
  }

  /// When the next frame leaves; UINT64_MAX: none does.
  std::uint64_t next_ns() const noexcept { return next_ns_; }

  /// Gives every frame whose time is before `end_ns` to `send(DueFrame)`, in the order of time and,
  /// at one instant, of rules, impairments and ports.
  template <typename Send>
  void send_until(std::uint64_t end_ns, const Send& send) noexcept {
    while (next_ns_ < end_ns) {
      Stream& stream = streams_[next_];
      const FrameSchedule& schedule = *stream.rule->steps[stream.step].impairment.schedule;
      if (stream.rule->active_at(stream.next_ns)) {
        send(DueFrame{*stream.rule, stream.step, stream.ingress, stream.egress, stream.next_ns,
                      schedule.frame(stream.sent)});
        ++stream.sent;
        stream.next_ns = time_of(stream);
      } else {
        stream.next_ns = UINT64_MAX;
      }
      find_next();
    }
  }

 private:
  struct Stream {
    const RuleProgram* rule = nullptr;
    std::size_t step = 0;
    std::uint16_t slot = 0;
    std::uint8_t ingress = 0;
    std::uint8_t egress = 0;
    std::uint64_t begins_ns = 0;
    std::uint64_t fingerprint = 0;
    std::uint64_t sent = 0;
    std::uint64_t next_ns = UINT64_MAX;
  };

  void add(const RuleProgram& rule, std::size_t step, std::uint8_t ingress, std::uint8_t egress,
           std::uint64_t now_ns) noexcept;
  static std::uint64_t time_of(const Stream& stream) noexcept;
  void find_next() noexcept;

  std::vector<Stream> streams_;
  std::vector<Stream> before_;  ///< of the policy before
  std::size_t next_ = 0;
  std::uint64_t next_ns_ = UINT64_MAX;
};

}  // namespace faultline
