// HTTP/1.1 on a Unix socket, both ends: what a request and an answer are. Nothing here knows
// policies; the server (http_server.hpp) hands requests to a handler, the client (http_client.hpp)
// carries them there.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace faultline {

inline constexpr std::size_t kHttpBodyBytesMax = 1 << 20;

/// Who is at the other end of the socket (SO_PEERCRED).
struct Peer {
  uid_t user = 0;
  gid_t group = 0;
  pid_t process = 0;
  std::vector<gid_t> groups;  ///< the other groups it is in (SO_PEERGROUPS)

  bool is_in(gid_t wanted) const {
    return group == wanted || std::find(groups.begin(), groups.end(), wanted) != groups.end();
  }
};

struct HttpRequest {
  std::string method;                        ///< "GET"
  std::string path;                          ///< "/v1/rules/wan", decoded, without the query
  std::string content_type;                  ///< without parameters, lower case; empty when absent
  std::string if_match;                      ///< value of If-Match, empty when absent
  std::string last_event_id;                 ///< of server-sent events, empty when absent
  std::map<std::string, std::string> query;  ///< decoded; the last of a name wins
  std::string body;
  Peer peer;
};

/// An answer without an end: what is there is sent, and then the next when there is more.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  /// What is to be sent next; empty: nothing yet. Called after HttpServer::wake().
  virtual std::string next() = 0;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  ///< beside Content-Type
  std::shared_ptr<HttpStream> stream;  ///< instead of `body`; null for an answer with an end
};

/// application/problem+json (RFC 9457): type, title, status, detail, errors.
HttpResponse problem_response(int status, std::string detail, const Problems& errors = {});

/// The `errors` array of a refusal: [{file, line, column, message, allowed, suggestion}] as JSON
/// text.
std::string problems_to_json(const Problems& problems);

}  // namespace faultline
