// One request over the Unix socket with libcurl, and what curl's errors mean to a user. Nothing
// here retries, prints, or knows what is in a body.
#include "control/http_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "base/check.hpp"

namespace faultline {
namespace {

/// No answer of the daemon comes near; a stranger at the socket must not fill the memory.
constexpr std::size_t kAnswerBytesMax = std::size_t{64} << 20;

struct EasyFree {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyFree>;
using List = std::unique_ptr<curl_slist, ListFree>;

bool is_plain(unsigned char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

std::string encoded(std::string_view text, std::string_view also_plain) {
  std::string out;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (is_plain(byte) || also_plain.find(letter) != std::string_view::npos) {
      out.push_back(letter);
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

/// A line break in a method or a header would be a second header.
bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char letter) {
    const auto byte = static_cast<unsigned char>(letter);
    return byte < 0x20 || byte == 0x7f;
  });
}

/// Where an answer goes.
struct Taking {
  CURL* easy;
  const HttpCall& call;
  HttpResponse& response;
  bool enough = false;  ///< the follower wants no more
};

std::size_t take_body(char* bytes, std::size_t, std::size_t count, void* to) noexcept {
  auto& taking = *static_cast<Taking*>(to);
  long status = 0;
  curl_easy_getinfo(taking.easy, CURLINFO_RESPONSE_CODE, &status);
  if (taking.call.follow && status == 200) {
    try {
      taking.enough = !taking.call.follow({bytes, count});
    } catch (...) {
      taking.enough = true;
    }
    return taking.enough ? static_cast<std::size_t>(CURL_WRITEFUNC_ERROR) : count;
  }
  std::string& body = taking.response.body;
  if (count > kAnswerBytesMax - body.size()) {
    return CURL_WRITEFUNC_ERROR;
  }
  try {
    body.append(bytes, count);
  } catch (const std::bad_alloc&) {
    return CURL_WRITEFUNC_ERROR;
  }
  return count;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::size_t take_header(char* bytes, std::size_t, std::size_t count, void* to) noexcept {
  auto& response = *static_cast<HttpResponse*>(to);
  const std::string_view line(bytes, count);
  try {
    if (line.starts_with("HTTP/")) {  // a final answer after a 100 Continue starts anew
      response.headers.clear();
      response.content_type.clear();
    }
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      std::string name(line.substr(0, colon));
      std::string value(trimmed(line.substr(colon + 1)));
      if (curl_strequal(name.c_str(), "Content-Type") != 0) {
        response.content_type = std::move(value);
      } else {
        response.headers.emplace_back(std::move(name), std::move(value));
      }
    }
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return count;
}

/// Every one of these options is known to the libcurl we build against, so a refusal means that
/// memory is gone or that the code is wrong.
template <typename Value>
void set(const Easy& easy, CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(easy.get(), option, value);
  if (code == CURLE_OUT_OF_MEMORY) {
    throw std::bad_alloc();
  }
  FAULTLINE_CHECK(code == CURLE_OK);
}

void add(List& list, const std::string& line) {
  curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) {
    throw std::bad_alloc();
  }
  static_cast<void>(list.release());
  list.reset(longer);
}

List headers_of(const HttpCall& call) {
  List list;
  add(list, "Expect:");  // else curl waits a second for a 100 Continue before a large body
  // Without a value the line takes away the form's type that curl would make up.
  add(list, call.content_type.empty() ? "Content-Type:" : "Content-Type: " + call.content_type);
  if (!call.if_match.empty()) {
    add(list, "If-Match: " + call.if_match);
  }
  return list;
}

void prepare(const Easy& easy, const HttpCall& call, const List& headers, Taking& taking) {
  const std::string url = "http://localhost" + encoded(call.path, "/?%&=:@!$'()*+,;");
  const auto timeout_ms = static_cast<long>(std::max(1, call.timeout_ms));  // curl: 0 is for ever
  set(easy, CURLOPT_UNIX_SOCKET_PATH, call.socket_path.c_str());
  set(easy, CURLOPT_URL, url.c_str());
  set(easy, CURLOPT_PATH_AS_IS, 1L);
  set(easy, CURLOPT_PROTOCOLS_STR, "http");
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_PROXY, "");  // an empty one, since none at all means: ask the environment
  set(easy, CURLOPT_NOPROXY, "*");
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_TIMEOUT_MS, call.follow ? 0L : timeout_ms);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
  set(easy, CURLOPT_HTTPHEADER, headers.get());
  set(easy, CURLOPT_WRITEFUNCTION, &take_body);
  set(easy, CURLOPT_WRITEDATA, &taking);
  set(easy, CURLOPT_HEADERFUNCTION, &take_header);
  set(easy, CURLOPT_HEADERDATA, &taking.response);
  if (call.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
  } else if (!call.body.empty() || call.method == "PUT" || call.method == "POST" ||
             call.method == "PATCH") {
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    set(easy, CURLOPT_POSTFIELDS, call.body.c_str());
  }
  set(easy, CURLOPT_CUSTOMREQUEST, call.method.c_str());
}

/// The connection was lost with an answer under way.
bool is_cut(CURLcode code) {
  return code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR ||
         code == CURLE_SEND_ERROR;
}

HttpResult not_connected(std::string why_not) {
  HttpResult result;
  result.why_not = std::move(why_not);
  return result;
}

HttpResult unreachable(const std::string& socket_path, int error) {
  const std::string socket = in_quotes(socket_path);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return not_connected(fmt::format("no daemon: there is no socket {}", socket));
    case ECONNREFUSED:
      return not_connected(fmt::format("no daemon: nothing listens at {}", socket));
    case EACCES:
    case EPERM: {
      HttpResult result = not_connected(fmt::format("no permission to use the socket {}", socket));
      result.permission_denied = true;
      return result;
    }
    default:
      return not_connected(fmt::format("cannot connect to {}: {}", socket,
                                       error != 0 ? std::strerror(error) : "for no known reason"));
  }
}

HttpResult failed(const HttpCall& call, const Easy& easy, CURLcode code) {
  const std::string socket = in_quotes(call.socket_path);
  if (is_cut(code)) {
    return not_connected(fmt::format("the daemon at {} went away before it answered", socket));
  }
  long error = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_OS_ERRNO, &error);
  switch (static_cast<int>(code)) {
    case CURLE_COULDNT_CONNECT:
      return unreachable(call.socket_path, static_cast<int>(error));
    case CURLE_OPERATION_TIMEDOUT: {
      HttpResult result = not_connected(
          fmt::format("no answer from {} within {} ms", socket, std::max(1, call.timeout_ms)));
      result.timed_out = true;
      return result;
    }
    case CURLE_WRITE_ERROR:
      return not_connected(fmt::format("the answer from {} is too large", socket));
    default:
      return not_connected(
          fmt::format("no answer in HTTP from {}: {}", socket, curl_easy_strerror(code)));
  }
}

/// What curl would misread or cut short, told in our words; empty when there is nothing.
std::string unusable(const HttpCall& call) {
  if (call.socket_path.empty() || call.socket_path.find('\0') != std::string::npos) {
    return fmt::format("{} is no path of a socket", in_quotes(call.socket_path));
  }
  if (call.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fmt::format("the socket's path {} has {} bytes; at most {} are possible",
                       in_quotes(call.socket_path), call.socket_path.size(),
                       sizeof(sockaddr_un::sun_path) - 1);
  }
  if (call.method.empty() || !std::all_of(call.method.begin(), call.method.end(), [](char letter) {
        return is_plain(static_cast<unsigned char>(letter));
      })) {
    return fmt::format("{} is no method", in_quotes(call.method));
  }
  if (has_control(call.content_type) || has_control(call.if_match)) {
    return "a header must not hold control characters";
  }
  return call.path.starts_with('/') ? "" : fmt::format("{} is no path", in_quotes(call.path));
}

}  // namespace

HttpResult http_call(const HttpCall& call) {
  if (std::string why_not = unusable(call); !why_not.empty()) {
    return not_connected(std::move(why_not));
  }
  // Once, and before any thread is inside curl: a function's static is exactly that. Nothing of
  // TLS is needed.
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_NOTHING);
  const Easy easy(ready == CURLE_OK ? curl_easy_init() : nullptr);
  if (easy == nullptr) {
    return not_connected("libcurl cannot be used");
  }
  HttpResult result;
  result.response.content_type.clear();  // what the server says, not what a handler would
  const List headers = headers_of(call);
  Taking taking{easy.get(), call, result.response};
  prepare(easy, call, headers, taking);
  const CURLcode code = curl_easy_perform(easy.get());
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  // What is followed has no end of its own: once under way it ends as the daemon does, with its
  // last chunk or, when the daemon is killed or in a hurry, without.
  const bool is_followed_to_its_end = call.follow && status == 200 && is_cut(code);
  if (code != CURLE_OK && !taking.enough && !is_followed_to_its_end) {
    return failed(call, easy, code);
  }
  result.response.status = static_cast<int>(status);
  result.connected = true;
  return result;
}

HttpResult http_call(const std::string& socket_path, const std::string& method,
                     const std::string& path, const std::string& body,
                     const std::string& content_type, int timeout_ms) {
  return http_call({.socket_path = socket_path,
                    .method = method,
                    .path = path,
                    .body = body,
                    .content_type = content_type,
                    .if_match = {},
                    .timeout_ms = timeout_ms,
                    .follow = {}});
}

std::string url_part(std::string_view name) {
  return encoded(name, "");
}

}  // namespace faultline
