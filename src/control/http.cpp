// How problems become JSON for other programs: the `errors` array and application/problem+json.
// Nothing here listens, connects or decides what is a problem.
#include "control/http.hpp"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Problems& problems) {
  Json list = Json::array();
  for (const Problem& problem : problems) {
    list.push_back({{"file", problem.file},
                    {"line", problem.line},
                    {"column", problem.column},
                    {"message", problem.message},
                    {"allowed", problem.allowed},
                    {"suggestion", problem.suggestion}});
  }
  return list;
}

/// Messages quote the user's bytes, which need not be UTF-8; JSON must be, so what is not becomes
/// U+FFFD instead of an exception.
std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// RFC 9110's phrase: with the type about:blank the title should be the same (RFC 9457, 4.2.1).
std::string_view title_of(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return status < 500 ? "Request Refused" : "Server Error";
  }
}

}  // namespace

std::string problems_to_json(const Problems& problems) {
  return text_of(json_of(problems));
}

HttpResponse problem_response(int status, std::string detail, const Problems& errors) {
  const Json body = {{"type", "about:blank"},
                     {"title", title_of(status)},
                     {"status", status},
                     {"detail", std::move(detail)},
                     {"errors", json_of(errors)}};
  return {.status = status,
          .content_type = "application/problem+json",
          .body = text_of(body),
          .headers = {},
          .stream = nullptr};
}

}  // namespace faultline
