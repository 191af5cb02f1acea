// The daemon's end of the Unix socket: how many may talk at once and for how long, and one whole
// request after the other to a handler. Which paths exist, and who may do what, is the handler's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "control/http.hpp"

namespace faultline {

/// What one client may take from the others.
struct HttpLimits {
  unsigned connections_max = 64;  ///< more wait in the kernel's queue until one ends
  /// For each of: until a request's headers are there, until its body is, until its answer is
  /// taken. Counted in all, not from the last byte, so that a byte a second does not help.
  std::chrono::milliseconds step_max{10'000};
  std::chrono::milliseconds crowded_idle_max{100};  ///< the first of them while all are taken
  std::chrono::milliseconds stop_grace{500};        ///< for bodies and answers under way at the end
};

class HttpServer {
 public:
  /// Called for one request at a time, in the server's own thread. What it throws is a 500.
  /// It must not destroy the server.
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  /// Binds the socket, of `group`, as UnixListener::bind says, and serves from threads that inherit
  /// the caller's CPU affinity and take no signals. Errors: those of the socket, or of starting a
  /// thread.
  static Result<std::unique_ptr<HttpServer>> start(const std::string& socket_path, Handler handler,
                                                   const HttpLimits& limits = {},
                                                   std::optional<gid_t> group = {});

  /// Any thread: asks every stream whether it has more.
  void wake() noexcept;

  /// Closes whoever comes from now on, waits for a running handler and at most `stop_grace` for
  /// bodies and answers under way, ends streams, then removes the socket's file if it is still this
  /// server's.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  struct Parts;
  explicit HttpServer(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace faultline
