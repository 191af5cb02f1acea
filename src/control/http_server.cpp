// Turning what libmicrohttpd reads into whole requests, and one after the other into answers. No
// path, no verb and no policy is known here; the socket's file is UnixListener's, patience
// ConnectionWatch's.
#include "control/http_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "control/connection_watch.hpp"
#include "control/unix_listener.hpp"

namespace faultline {
namespace {

constexpr std::size_t kConnectionMemoryBytes = 64 << 10;  // headers, and a piece of the body

/// A request while it arrives.
struct Arriving {
  HttpRequest http;
  bool is_answered = false;  ///< too large, and told so; the rest is thrown away
  bool has_bad_path = false;
};

struct ResponseFree {
  void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};
using Response = std::unique_ptr<MHD_Response, ResponseFree>;

int socket_of(MHD_Connection* connection) {
  return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

std::string_view header_of(MHD_Connection* connection, const char* name) {
  const char* const value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value == nullptr ? std::string_view() : value;
}

/// "Application/JSON; charset=utf-8" is "application/json".
std::string media_type(std::string_view value) {
  value = value.substr(0, value.find(';'));
  const std::size_t last = value.find_last_not_of(" \t");
  std::string type(value.substr(0, last == std::string_view::npos ? 0 : last + 1));
  std::transform(type.begin(), type.end(), type.begin(), [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  });
  return type;
}

int hex_value(char letter) {
  const std::string_view digits = "0123456789abcdef";
  const auto lower = static_cast<char>(letter >= 'A' && letter <= 'F' ? letter | 0x20 : letter);
  const std::size_t place = digits.find(lower);
  return place == std::string_view::npos ? -1 : static_cast<int>(place);
}

/// Nothing for a broken escape, and for %00, which libmicrohttpd would take for the path's end.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t index = 0; index < text.size(); ++index) {
    if (text[index] != '%') {
      out.push_back(text[index]);
      continue;
    }
    const int high = index + 2 < text.size() ? hex_value(text[index + 1]) : -1;
    const int low = index + 2 < text.size() ? hex_value(text[index + 2]) : -1;
    if (high < 0 || low < 0 || high + low == 0) {
      return std::nullopt;
    }
    out.push_back(static_cast<char>(high * 16 + low));
    index += 2;
  }
  return out;
}

std::optional<Peer> peer_of(int socket) {
  ucred peer = {};
  socklen_t length = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    return std::nullopt;
  }
  std::vector<gid_t> groups(64);
  auto bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  while (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) != 0) {
    if (errno != ERANGE) {
      return std::nullopt;
    }
    groups.resize(bytes / sizeof(gid_t));
  }
  groups.resize(bytes / sizeof(gid_t));
  return Peer{.user = peer.uid, .group = peer.gid, .process = peer.pid, .groups = groups};
}

MHD_Result take_query(void* to, MHD_ValueKind, const char* name, const char* value) noexcept {
  const std::optional<std::string> plain = decoded(value == nullptr ? "" : value);
  static_cast<HttpRequest*>(to)->query[name] = plain.value_or("");
  return MHD_YES;
}

/// Headers and type are added here; the body is in `response` already.
Response make_response(const HttpResponse& answer, Response response) {
  bool is_whole = response != nullptr;
  if (is_whole && !answer.content_type.empty()) {
    is_whole = MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONTENT_TYPE,
                                       answer.content_type.c_str()) == MHD_YES;
  }
  for (const auto& [name, value] : answer.headers) {
    is_whole =
        is_whole && MHD_add_response_header(response.get(), name.c_str(), value.c_str()) == MHD_YES;
  }
  return is_whole ? std::move(response) : nullptr;
}

Response make_response(const HttpResponse& answer) {
  if (answer.status < 200 || answer.status > 599) {
    return nullptr;
  }
  return make_response(answer, Response(MHD_create_response_from_buffer(
                                   answer.body.size(), const_cast<char*>(answer.body.data()),
                                   MHD_RESPMEM_MUST_COPY)));
}

MHD_Result queue(MHD_Connection* connection, const HttpResponse& answer) {
  auto status = static_cast<unsigned>(answer.status);
  Response response = make_response(answer);
  if (response == nullptr) {
    status = 500;
    response = make_response(problem_response(500, "the answer does not fit into HTTP"));
  }
  return response == nullptr ? MHD_NO : MHD_queue_response(connection, status, response.get());
}

/// Only what is said beforehand; the bytes that come are counted all the same.
bool announces_too_much(MHD_Connection* connection) {
  const std::string_view length = header_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
  if (length.empty() || !header_of(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING).empty()) {
    return false;
  }
  std::uint64_t bytes = 0;
  const auto parsed = std::from_chars(length.data(), length.data() + length.size(), bytes);
  return parsed.ec == std::errc::result_out_of_range || bytes > kHttpBodyBytesMax;
}

HttpResponse too_large() {
  return problem_response(
      413, fmt::format("the body is too large; at most {} bytes", kHttpBodyBytesMax));
}

/// Tells the client now and reads on, to nowhere. libmicrohttpd answers before a body only by
/// closing at once, which a client that still writes sees as a broken pipe and not as an answer,
/// and in the middle of a body not at all. It has written nothing for this request yet.
void refuse_while_receiving(MHD_Connection* connection, Arriving& request) {
  const HttpResponse answer = too_large();
  const std::string text = fmt::format(
      "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Type: {}\r\n"
      "Content-Length: {}\r\n\r\n{}",
      answer.content_type, answer.body.size(), answer.body);
  static_cast<void>(
      send(socket_of(connection), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  request.is_answered = true;
  request.http.body = {};
}

/// Blocks what programs handle, for as long as threads are made that must not be the ones to handle
/// it. What a thread does to itself (SIGSEGV, …) stays open for whoever reports crashes.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
      sigdelset(&all, own);
    }
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_ = {};
};

HttpResponse answer_to(const HttpServer::Handler& handler, const Arriving& request) {
  if (request.has_bad_path) {
    return problem_response(400, "the path has a broken % escape");
  }
  try {
    return handler(request.http);
  } catch (const std::exception& error) {
    return problem_response(500, fmt::format("the daemon failed: {}", error.what()));
  } catch (...) {
    return problem_response(500, "the daemon failed");
  }
}

}  // namespace

/// Streams, and the connections that wait for more of them.
class Followers {
 public:
  struct Stream {
    Followers& all;
    MHD_Connection* connection;
    std::shared_ptr<HttpStream> source;
    std::string pending;
  };

  Response response_for(const HttpResponse& answer, MHD_Connection* connection) {
    auto stream = std::make_unique<Stream>(Stream{*this, connection, answer.stream, {}});
    Response response(MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, kPieceBytes, &Followers::read, stream.get(), &Followers::free));
    if (response == nullptr) {
      return nullptr;
    }
    static_cast<void>(stream.release());  // free() takes it back
    return make_response(answer, std::move(response));
  }

  void wake() noexcept {
    const std::lock_guard lock(guard_);
    for (MHD_Connection* connection : waiting_) {
      MHD_resume_connection(connection);
    }
    waiting_.clear();
  }

  void end() noexcept {
    {
      const std::lock_guard lock(guard_);
      ending_ = true;
    }
    wake();
  }

 private:
  static constexpr std::size_t kPieceBytes = 16 << 10;

  static ssize_t read(void* to, std::uint64_t, char* bytes, std::size_t most) noexcept {
    auto& stream = *static_cast<Stream*>(to);
    try {
      return stream.all.read(stream, bytes, most);
    } catch (...) {
      return MHD_CONTENT_READER_END_WITH_ERROR;
    }
  }

  /// A stream that has nothing is suspended under the lock that wake() takes, so none is missed.
  ssize_t read(Stream& stream, char* bytes, std::size_t most) {
    const std::lock_guard lock(guard_);
    if (stream.pending.empty() && !ending_) {
      stream.pending = stream.source->next();
    }
    if (stream.pending.empty()) {
      if (ending_) {
        return MHD_CONTENT_READER_END_OF_STREAM;
      }
      waiting_.push_back(stream.connection);
      MHD_suspend_connection(stream.connection);
      return 0;
    }
    const std::size_t taken = stream.pending.copy(bytes, most);
    stream.pending.erase(0, taken);
    return static_cast<ssize_t>(taken);
  }

  static void free(void* stream) noexcept { delete static_cast<Stream*>(stream); }

  std::mutex guard_;
  std::vector<MHD_Connection*> waiting_;
  bool ending_ = false;
};

struct HttpServer::Parts {
  Parts(UnixListener bound, Handler answer, const HttpLimits& limits)
      : listener(std::move(bound)), handler(std::move(answer)), watch(limits) {}

  bool start(const HttpLimits& limits);
  MHD_Result begin(MHD_Connection* connection, const char* path, const char* method,
                   void** context);
  MHD_Result end(MHD_Connection* connection, Arriving& request);

  static MHD_Result on_accept(void* parts, const sockaddr* address, socklen_t length) noexcept;
  static MHD_Result on_request(void* parts, MHD_Connection* connection, const char* path,
                               const char* method, const char* version, const char* bytes,
                               std::size_t* count, void** context) noexcept;
  static void on_completed(void* parts, MHD_Connection* connection, void** context,
                           MHD_RequestTerminationCode why) noexcept;
  static void on_connection(void* parts, MHD_Connection* connection, void** context,
                            MHD_ConnectionNotificationCode what) noexcept;

  UnixListener listener;
  Handler handler;
  Followers followers;
  ConnectionWatch watch;
  MHD_Daemon* daemon = nullptr;
};

bool HttpServer::Parts::start(const HttpLimits& limits) {
  // libmicrohttpd closes what it is given, at the end or when it fails, so it gets its own.
  const int listening = fcntl(listener.descriptor(), F_DUPFD_CLOEXEC, 0);
  if (listening < 0) {
    return false;
  }
  const unsigned polling =
      MHD_is_feature_supported(MHD_FEATURE_EPOLL) == MHD_YES ? MHD_USE_EPOLL : MHD_USE_POLL;
  // Paths are decoded by us (see decoded), which is said by a callback that leaves them alone.
  using Unescape = std::size_t (*)(void*, MHD_Connection*, char*);
  const Unescape leave_alone = [](void*, MHD_Connection*, char* text) noexcept {
    return std::string_view(text).size();
  };
  daemon = MHD_start_daemon(
      polling | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME, 0,
      &on_accept, this, &on_request, this, MHD_OPTION_LISTEN_SOCKET, listening,
      MHD_OPTION_CONNECTION_LIMIT, limits.connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      kConnectionMemoryBytes, MHD_OPTION_NOTIFY_COMPLETED, &on_completed, this,
      MHD_OPTION_NOTIFY_CONNECTION, &on_connection, this, MHD_OPTION_UNESCAPE_CALLBACK, leave_alone,
      nullptr, MHD_OPTION_END);
  return daemon != nullptr;
}

MHD_Result HttpServer::Parts::begin(MHD_Connection* connection, const char* path,
                                    const char* method, void** context) {
  const std::optional<Peer> peer = peer_of(socket_of(connection));
  if (!peer) {
    return MHD_NO;  // an unknown user must not pass for user 0
  }
  watch.step(socket_of(connection), ConnectionStep::kReceiving);
  const std::optional<std::string> plain_path = decoded(path);
  auto request = std::make_unique<Arriving>();
  request->has_bad_path = !plain_path;
  request->http.method = std::string_view(method) == "HEAD" ? "GET" : method;  // the body is cut
  request->http.path = plain_path.value_or("");
  request->http.content_type = media_type(header_of(connection, MHD_HTTP_HEADER_CONTENT_TYPE));
  request->http.if_match = header_of(connection, MHD_HTTP_HEADER_IF_MATCH);
  request->http.last_event_id = header_of(connection, "Last-Event-ID");
  request->http.peer = *peer;
  MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, &take_query, &request->http);
  Arriving& arriving = *request;
  *context = request.release();  // on_completed takes it back, however the request ends
  if (announces_too_much(connection)) {
    if (!header_of(connection, MHD_HTTP_HEADER_EXPECT).empty()) {
      return queue(connection, too_large());  // no byte of the body is under way yet
    }
    refuse_while_receiving(connection, arriving);
  }
  return MHD_YES;
}

MHD_Result HttpServer::Parts::end(MHD_Connection* connection, Arriving& request) {
  if (request.is_answered) {
    return MHD_NO;
  }
  const int socket = socket_of(connection);
  watch.step(socket, ConnectionStep::kHandling);
  const HttpResponse answer = answer_to(handler, request);
  if (answer.stream != nullptr) {
    watch.step(socket, ConnectionStep::kFollowing);
    const Response response = followers.response_for(answer, connection);
    return response == nullptr
               ? MHD_NO
               : MHD_queue_response(connection, static_cast<unsigned>(answer.status),
                                    response.get());
  }
  watch.step(socket, ConnectionStep::kSending);
  return queue(connection, answer);
}

MHD_Result HttpServer::Parts::on_accept(void* parts, const sockaddr*, socklen_t) noexcept {
  return static_cast<Parts*>(parts)->watch.admit() ? MHD_YES : MHD_NO;
}

/// libmicrohttpd calls this once when the headers are there, then for each piece of the body, and
/// once more at its end. MHD_NO closes the connection.
MHD_Result HttpServer::Parts::on_request(void* parts, MHD_Connection* connection, const char* path,
                                         const char* method, const char*, const char* bytes,
                                         std::size_t* count, void** context) noexcept {
  auto& self = *static_cast<Parts*>(parts);
  try {
    if (*context == nullptr) {
      return self.begin(connection, path, method, context);
    }
    auto& request = *static_cast<Arriving*>(*context);
    const std::size_t taken = std::exchange(*count, 0);
    if (taken == 0) {
      return self.end(connection, request);
    }
    if (request.is_answered) {
      return MHD_YES;
    }
    if (taken > kHttpBodyBytesMax - request.http.body.size()) {
      refuse_while_receiving(connection, request);
    } else {
      request.http.body.append(bytes, taken);
    }
    return MHD_YES;
  } catch (...) {
    return MHD_NO;  // no memory even to say so
  }
}

void HttpServer::Parts::on_completed(void* parts, MHD_Connection* connection, void** context,
                                     MHD_RequestTerminationCode) noexcept {
  delete static_cast<Arriving*>(std::exchange(*context, nullptr));
  static_cast<Parts*>(parts)->watch.step(socket_of(connection), ConnectionStep::kAwaiting);
}

void HttpServer::Parts::on_connection(void* parts, MHD_Connection* connection, void**,
                                      MHD_ConnectionNotificationCode what) noexcept {
  auto& watch = static_cast<Parts*>(parts)->watch;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    watch.opened(socket_of(connection));
  } else {
    watch.closed(socket_of(connection));
  }
}

HttpServer::HttpServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& socket_path,
                                                      Handler handler, const HttpLimits& limits,
                                                      std::optional<gid_t> group) {
  Result<UnixListener> listener = UnixListener::bind(socket_path, group);
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  const SignalsBlocked blocked;
  try {
    auto parts = std::make_unique<Parts>(std::move(*listener), std::move(handler), limits);
    if (parts->start(limits)) {
      return std::unique_ptr<HttpServer>(new HttpServer(std::move(parts)));
    }
  } catch (const std::system_error&) {  // no thread for the watch; told below
  }
  return failure(fmt::format("cannot serve at {}: no thread or no descriptor is left",
                             in_quotes(socket_path)));
}

void HttpServer::wake() noexcept {
  parts_->followers.wake();
}

/// Not MHD_quiesce_daemon: in 0.9.75 it and the polling thread can both take the socket out of
/// epoll, and the second one aborts the process. Refusing whom we accept (see on_accept) does as
/// well.
HttpServer::~HttpServer() {
  parts_->followers.end();
  parts_->watch.finish();
  MHD_stop_daemon(parts_->daemon);
}

}  // namespace faultline
