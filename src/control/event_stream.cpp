// Writing server-sent events.
#include "control/event_stream.hpp"

#include <fmt/format.h>

#include <utility>

namespace faultline {
namespace {

constexpr std::chrono::seconds kSignOfLife{5};
constexpr std::size_t kEventsAtOnce = 64;

}  // namespace

EventStream::EventStream(const EventLog& log, std::uint64_t from,
                         std::shared_ptr<std::atomic<int>> count)
    : log_(log), from_(from), count_(std::move(count)), last_(Clock::now() - 2 * kSignOfLife) {}

std::shared_ptr<EventStream> EventStream::open(const EventLog& log, std::uint64_t from,
                                               std::shared_ptr<std::atomic<int>> count, int most) {
  if (count->fetch_add(1) >= most) {
    count->fetch_sub(1);
    return nullptr;
  }
  return std::shared_ptr<EventStream>(new EventStream(log, from, std::move(count)));
}

EventStream::~EventStream() {
  count_->fetch_sub(1);
}

std::string EventStream::next() {
  const EventLog::Batch batch = log_.since(from_, kEventsAtOnce);
  from_ = batch.next;
  std::string text;
  if (batch.lost > 0)
    text += fmt::format("event: lost\ndata: {{\"lost\":{}}}\n\n", batch.lost);
  for (const Json& event : batch.events)
    text += fmt::format("id: {}\nevent: {}\ndata: {}\n\n", event["n"].get<std::uint64_t>(),
                        event["kind"].get<std::string>(),
                        event.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (text.empty() && Clock::now() - last_ < kSignOfLife)
    return {};
  if (text.empty())
    text = ":\n\n";
  last_ = Clock::now();
  return text;
}

}  // namespace faultline
