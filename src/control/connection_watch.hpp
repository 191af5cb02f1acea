// Patience with connections: how long each step of a request may take, and what is cut off when the
// server is full or stops. Nothing here reads or writes a byte.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "control/http_server.hpp"

namespace faultline {

enum class ConnectionStep {
  kAwaiting,
  kReceiving,
  kHandling,
  kSending,
  kFollowing,  ///< a stream: it may take as long as it likes
};

/// Ends connections that take too long over one step. libmicrohttpd's own time-out counts silence,
/// so one byte a second would keep a place for ever. A connection is ended by shutting its socket
/// down, which libmicrohttpd takes for the client's leaving. Safe, since it closes no socket before
/// it has said so (closed).
class ConnectionWatch {
 public:
  /// Starts a thread; throws std::system_error when there is none.
  explicit ConnectionWatch(const HttpLimits& limits);
  ~ConnectionWatch();
  ConnectionWatch(const ConnectionWatch&) = delete;
  ConnectionWatch& operator=(const ConnectionWatch&) = delete;

  /// May a new connection be made? If so, opened() is expected to follow.
  bool admit() noexcept;
  void opened(int socket) noexcept;  ///< its step is kAwaiting
  void step(int socket, ConnectionStep step) noexcept;
  void closed(int socket) noexcept;

  /// Admits nobody more, ends those that ask nothing, gives the others HttpLimits::stop_grace, and
  /// returns when all are closed.
  void finish();

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Connection {
    int socket;
    ConnectionStep step;
    Time since;
  };

  void run();
  Time end_overdue(Time now) const;
  Time end_what_may(Time now) const;
  /// end() for a socket that libmicrohttpd never opened, or has closed already.
  std::vector<Connection>::iterator find(int socket);
  bool is_crowded() const { return connections_.size() >= limits_.connections_max; }

  const HttpLimits limits_;
  std::mutex guard_;  ///< of all below
  std::condition_variable changed_;
  std::vector<Connection> connections_;
  bool is_admitting_ = false;  ///< between admit and opened
  std::optional<Time> stopping_since_;
  bool ended_ = false;
  std::thread thread_;  ///< the last one: it uses all of the above
};

}  // namespace faultline
