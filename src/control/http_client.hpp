// A program's end of the Unix socket: one request, one answer, and why there was none. What an
// answer means is the caller's; nothing here retries.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "control/http.hpp"

namespace faultline {

inline constexpr int kHttpTimeoutMsDefault = 10'000;

struct HttpCall {
  std::string socket_path;
  std::string method;        ///< "GET"
  std::string path;          ///< as in a URL, "/v1/rules/wan?x=1"; see url_part for names
  std::string body;          ///< may be empty
  std::string content_type;  ///< not sent when empty
  std::string if_match;      ///< not sent when empty
  int timeout_ms = kHttpTimeoutMsDefault;  ///< for all of it; at least 1
  /// Takes a 200's body piece by piece, as it comes and for as long as it comes; the timeout is
  /// then for the connection only. False ends it, and so does the daemon's end, however it ends.
  /// What else the server answers is in the response.
  std::function<bool(std::string_view)> follow = {};
};

struct HttpResult {
  bool connected = false;          ///< false: there is no whole answer, and why_not says why
  std::string why_not;             ///< empty when connected
  bool permission_denied = false;  ///< not connected, since this user may not use the socket
  bool timed_out = false;          ///< not connected, since the time ran out
  HttpResponse response;           ///< only when connected; status as the server said it
};

/// Asks and waits for the whole answer, never longer than the timeout. May be called by several
/// threads at once. No proxy, no redirect, no other protocol, whatever the environment says.
HttpResult http_call(const HttpCall& call);

HttpResult http_call(const std::string& socket_path, const std::string& method,
                     const std::string& path, const std::string& body = {},
                     const std::string& content_type = {}, int timeout_ms = kHttpTimeoutMsDefault);

/// A name as one part of a path: everything but letters, digits and "-._~" as %XX (RFC 3986, 2.3).
std::string url_part(std::string_view name);

}  // namespace faultline
