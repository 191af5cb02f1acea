// Events as server-sent events (HTML Living Standard, 9.2): one client's place in the log.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "control/event_log.hpp"
#include "control/http.hpp"

namespace faultline {

class EventStream final : public HttpStream {
 public:
  /// Null when `count` has come to `most` already; it is given back at the end.
  static std::shared_ptr<EventStream> open(const EventLog& log, std::uint64_t from,
                                           std::shared_ptr<std::atomic<int>> count, int most);
  ~EventStream() override;

  /// A sign of life every few seconds, so that a client that is gone is noticed.
  std::string next() override;

 private:
  using Clock = std::chrono::steady_clock;
  EventStream(const EventLog& log, std::uint64_t from, std::shared_ptr<std::atomic<int>> count);

  const EventLog& log_;
  std::uint64_t from_;
  std::shared_ptr<std::atomic<int>> count_;
  Clock::time_point last_;  ///< when something was sent; long ago at first
};

}  // namespace faultline
