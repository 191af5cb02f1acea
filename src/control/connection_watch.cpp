// Patience with connections: how long each step of a request may take, and what is cut off when the
// server is full or stops. Nothing here reads or writes a byte.
#include "control/connection_watch.hpp"

#include <sys/socket.h>

#include <algorithm>

#include "base/check.hpp"

namespace faultline {

using std::chrono::steady_clock;

namespace {

/// How long a connection that was ended may take to be closed.
constexpr std::chrono::milliseconds kCloseWait{1'000};

}  // namespace

ConnectionWatch::ConnectionWatch(const HttpLimits& limits) : limits_(limits) {
  connections_.reserve(limits.connections_max);  // nothing is allocated later, in a callback
  thread_ = std::thread([this] { run(); });
}

ConnectionWatch::~ConnectionWatch() {
  {
    const std::lock_guard lock(guard_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool ConnectionWatch::admit() noexcept {
  const std::lock_guard lock(guard_);
  is_admitting_ = !stopping_since_;
  return is_admitting_;
}

void ConnectionWatch::opened(int socket) noexcept {
  const std::lock_guard lock(guard_);
  is_admitting_ = false;
  connections_.push_back(
      {.socket = socket, .step = ConnectionStep::kAwaiting, .since = steady_clock::now()});
  changed_.notify_all();
}

void ConnectionWatch::step(int socket, ConnectionStep step) noexcept {
  const std::lock_guard lock(guard_);
  const auto place = find(socket);
  if (place == connections_.end()) {
    return;
  }
  place->step = step;
  place->since = steady_clock::now();
  // The thread looks again within step_max of its last look, so only a shorter end is news to it.
  if (stopping_since_ || (is_crowded() && step == ConnectionStep::kAwaiting)) {
    changed_.notify_all();
  }
}

void ConnectionWatch::closed(int socket) noexcept {
  const std::lock_guard lock(guard_);
  if (const auto place = find(socket); place != connections_.end()) {
    connections_.erase(place);
  }
  if (stopping_since_) {
    changed_.notify_all();
  }
}

std::vector<ConnectionWatch::Connection>::iterator ConnectionWatch::find(int socket) {
  return std::find_if(
      connections_.begin(), connections_.end(),
      [socket](const Connection& connection) { return connection.socket == socket; });
}

/// libmicrohttpd 0.9.75 follows a null pointer when it has to refuse a malformed request while
/// MHD_stop_daemon runs; so nothing may be left for it to read by then.
void ConnectionWatch::finish() {
  std::unique_lock lock(guard_);
  stopping_since_ = steady_clock::now();
  Time last = *stopping_since_ + kCloseWait;
  while (!connections_.empty() || is_admitting_) {
    const Time now = steady_clock::now();
    last = std::max(last, end_what_may(now) + kCloseWait);
    if (now >= last) {
      return;  // a connection that does not close; better to go on than to hang
    }
    changed_.wait_for(lock, std::chrono::milliseconds(5));  // time alone may end the grace
  }
}

/// Returns until when the others have time.
ConnectionWatch::Time ConnectionWatch::end_what_may(Time now) const {
  FAULTLINE_CHECK(stopping_since_.has_value());
  Time last = *stopping_since_;
  for (const Connection& connection : connections_) {
    const Time end = connection.step == ConnectionStep::kHandling
                         ? now + limits_.stop_grace  // it ends when the handler does
                         : std::max(connection.since, *stopping_since_) + limits_.stop_grace;
    const bool asks_nothing = connection.step == ConnectionStep::kAwaiting ||
                              connection.step == ConnectionStep::kFollowing;
    if (asks_nothing || end <= now) {
      shutdown(connection.socket, SHUT_RDWR);  // what was written still arrives
    } else {
      last = std::max(last, end);
    }
  }
  return last;
}

void ConnectionWatch::run() {
  std::unique_lock lock(guard_);
  while (!ended_) {
    if (connections_.empty()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, end_overdue(steady_clock::now()));
    }
  }
}

/// Returns when the next one may be overdue.
ConnectionWatch::Time ConnectionWatch::end_overdue(Time now) const {
  Time next = now + limits_.step_max;
  for (const Connection& connection : connections_) {
    if (connection.step == ConnectionStep::kHandling ||
        connection.step == ConnectionStep::kFollowing) {
      continue;  // the client is not to blame, or there is no end to wait for
    }
    const bool is_hurried = is_crowded() && connection.step == ConnectionStep::kAwaiting;
    const Time end = connection.since + (is_hurried ? limits_.crowded_idle_max : limits_.step_max);
    if (end <= now) {
      shutdown(connection.socket, SHUT_RDWR);
    } else {
      next = std::min(next, end);
    }
  }
  return next;
}

}  // namespace faultline
