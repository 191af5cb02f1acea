// One request to the daemon's socket, and what its refusals mean for the exit status.
#include "app/daemon_client.hpp"

#include <utility>

namespace faultline {
namespace {

Problems problems_from(const Json& json, const std::string& file) {
  Problems problems;
  if (!json.contains("errors"))
    return problems;
  for (const Json& error : json["errors"]) {
    Problem problem;
    problem.file = error.value("file", "") == "policy" ? file : error.value("file", "");
    problem.line = error.value("line", 0U);
    problem.column = error.value("column", 0U);
    problem.message = error.value("message", "");
    problem.allowed = error.value("allowed", "");
    problem.suggestion = error.value("suggestion", "");
    problems.push_back(std::move(problem));
  }
  return problems;
}

/// 400 and 422 mean that the scenario is wrong; every other refusal is the daemon's.
Exit refused(const HttpResponse& response, const std::string& file, OutputForm form) {
  const Json json = Json::parse(response.body, nullptr, false);
  const Problems problems = json.is_object() ? problems_from(json, file) : Problems{};
  const std::string detail = json.is_object() ? json.value("detail", "") : response.body;
  if (problems.empty())
    tell(fmt::format("the daemon answered {}: {}", response.status, detail), form);
  else
    tell(problems, form);
  const bool wrong = response.status == 400 || response.status == 422;
  return wrong ? Exit::kWrong : Exit::kRefused;
}

}  // namespace

HttpCall call_for(const char* method, std::string path) {
  HttpCall call;
  call.method = method;
  call.path = std::move(path);
  return call;
}

HttpCall call_with(const char* method, std::string path, std::string yaml) {
  HttpCall call = call_for(method, std::move(path));
  call.body = std::move(yaml);
  call.content_type = "application/yaml";
  return call;
}

Exit tell_refusal(const DaemonOptions& options, const HttpResult& result, const std::string& file) {
  if (result.connected)
    return refused(result.response, file, options.form);
  const char* what =
      result.permission_denied ? "the daemon's socket may not be used" : "no daemon answers";
  tell(fmt::format("{} at {}: {}", what, options.socket, result.why_not), options.form);
  return result.permission_denied ? Exit::kRefused : Exit::kNoDaemon;
}

Answer ask_daemon(const DaemonOptions& options, HttpCall call, const std::string& file) {
  call.socket_path = options.socket;
  const HttpResult result = http_call(call);
  if (!result.connected || result.response.status >= 300)
    return {tell_refusal(options, result, file), {}};
  Json json = Json::parse(result.response.body, nullptr, false);
  if (json.is_discarded()) {
    tell("the daemon's answer is no JSON", options.form);
    return {Exit::kNoDaemon, {}};
  }
  return {Exit::kDone, std::move(json)};
}

}  // namespace faultline
