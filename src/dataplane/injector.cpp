// The schedules of a policy's rules, each with its next time, and the earliest of them all.
#include "dataplane/injector.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace faultline {
namespace {

/// How many frames of the schedule lie before `since_ns`.
std::uint64_t frames_before(const FrameSchedule& schedule, std::uint64_t since_ns) noexcept {
  std::uint64_t sent = 0;
  if (schedule.every_ns != 0 && since_ns > schedule.first_ns)
    sent = (since_ns - schedule.first_ns) / schedule.every_ns * schedule.frames.size();
  if (schedule.is_done(sent))
    return sent;
  while (schedule.time_ns(sent) < since_ns) ++sent;
  return sent;
}

}  // namespace

void Injector::add(const RuleProgram& rule, std::size_t step, std::uint8_t ingress,
                   std::uint8_t egress, std::uint64_t now_ns) noexcept {
  const RuleStep& made = rule.steps[step];
  if (made.inject_to && *made.inject_to != egress)
    return;
  FAULTLINE_CHECK(streams_.size() < kSchedulesMax);  // compile.cpp refuses more
  const FrameSchedule& schedule = *made.impairment.schedule;
  const std::uint64_t begins_ns =
      rule.gates.empty() ? rule.begins_ns : rule.term_at(now_ns).begins_ns;
  Stream stream{&rule, step, rule.slot, ingress, egress, begins_ns, schedule.fingerprint};
  const auto known = std::ranges::find_if(before_, [&](const Stream& old) {
    return old.slot == rule.slot && old.step == step && old.ingress == ingress &&
           old.begins_ns == begins_ns;
  });
  if (known != before_.end() && known->fingerprint == schedule.fingerprint)
    stream.sent = known->sent;
  else if (known != before_.end() && now_ns > begins_ns)
    stream.sent = frames_before(schedule, now_ns - begins_ns);
  stream.next_ns = time_of(stream);
  streams_.push_back(stream);
}

std::uint64_t Injector::time_of(const Stream& stream) noexcept {
  const FrameSchedule& schedule = *stream.rule->steps[stream.step].impairment.schedule;
  const std::uint64_t since_ns = schedule.time_ns(stream.sent);
  return since_ns > UINT64_MAX - stream.begins_ns ? UINT64_MAX : stream.begins_ns + since_ns;
}

void Injector::find_next() noexcept {
  next_ns_ = UINT64_MAX;
  for (std::size_t at = 0; at < streams_.size(); ++at)
    if (streams_[at].next_ns < next_ns_) {
      next_ns_ = streams_[at].next_ns;
      next_ = at;
    }
}

}  // namespace faultline
