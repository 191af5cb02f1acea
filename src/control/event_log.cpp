// Keeping events.
#include "control/event_log.hpp"

#include <algorithm>
#include <utility>

namespace faultline {

void EventLog::add(std::uint64_t t_ns, const std::string& kind, Json fields) {
  {
    const std::lock_guard lock(guard_);
    Json event = {{"n", ++added_}, {"t_ns", t_ns}, {"kind", kind}};
    for (auto& [key, value] : fields.items()) event[key] = std::move(value);
    events_.push_back(std::move(event));
    if (events_.size() > kKept)
      events_.pop_front();
  }
  if (listener_)
    listener_();
}

EventLog::Batch EventLog::since(std::uint64_t from, std::size_t most) const {
  const std::lock_guard lock(guard_);
  const std::uint64_t first = added_ - events_.size() + 1;
  Batch batch;
  from = std::max<std::uint64_t>(from, 1);
  batch.lost = from < first ? first - from : 0;
  batch.next = std::max(from, first);
  while (batch.next <= added_ && batch.events.size() < most)
    batch.events.push_back(events_[batch.next++ - first]);
  return batch;
}

}  // namespace faultline
