// Paths, methods and status codes.
#include "control/api.hpp"

#include <charconv>

#include <fmt/format.h>

namespace faultline {
namespace {

constexpr std::string_view kRulePrefix = "/v1/rules/";

HttpResponse json_response(int status, const Json& json) {
  HttpResponse response;
  response.status = status;
  response.body = json.dump() + "\n";
  return response;
}

int status_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kUnreadable:
      return 400;
    case Refusal::kInvalid:
      return 422;
    case Refusal::kNotFound:
      return 404;
    case Refusal::kConflict:
      return 409;
    case Refusal::kPrecondition:
      return 412;
    case Refusal::kNotAdopted:
      return 503;
  }
  return 500;
}

HttpResponse answer(const ChangeResult& result) {
  if (!result)
    return problem_response(status_of(result.error().refusal), result.error().detail,
                            result.error().problems);
  return json_response(200, {{"generation", result->generation}, {"seed", result->seed}});
}

HttpResponse method_not_allowed(const std::string& allowed) {
  HttpResponse response = problem_response(405, "this resource answers " + allowed);
  response.headers.emplace_back("Allow", allowed);
  return response;
}

/// What a path answers; empty when there is no such path.
std::string methods_of(const std::string& path) {
  if (path == "/v1/status" || path == "/v1/stats" || path == "/v1/rules")
    return "GET";
  if (path == "/v1/policy")
    return "PUT";
  if (path == "/v1/heal")
    return "POST";
  if (path.starts_with(kRulePrefix) && path.find('/', kRulePrefix.size()) == std::string::npos)
    return "GET, PATCH";
  return {};
}

bool readable_type(const std::string& type) {
  return type == "application/json" || type == "application/yaml";
}

/// If-Match carries the generation in quotes. An unreadable one matches nothing.
std::optional<std::uint64_t> expected_generation(const std::string& if_match) {
  if (if_match.empty() || if_match == "*")
    return std::nullopt;
  std::string_view text = if_match;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  std::uint64_t generation = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), generation);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() ? generation
                                                                             : UINT64_MAX;
}

}  // namespace

HttpResponse Api::handle(const HttpRequest& request) {
  const std::string methods = methods_of(request.path);
  if (methods.empty())
    return problem_response(404, "there is nothing at " + request.path);
  const std::string padded = methods + ",";
  if (request.method.empty() || padded.find(request.method + ",") == std::string::npos)
    return method_not_allowed(methods);
  HttpResponse response = request.method == "GET" ? get(request) : change(request);
  response.headers.emplace_back("ETag", fmt::format("\"{}\"", engine_.generation()));
  return response;
}

HttpResponse Api::get(const HttpRequest& request) {
  if (request.path == "/v1/status")
    return json_response(200, engine_.status());
  if (request.path == "/v1/stats")
    return json_response(200, engine_.statistics());
  if (request.path == "/v1/rules")
    return json_response(200, engine_.rules());
  const std::string name = request.path.substr(kRulePrefix.size());
  const Json rule = engine_.rule(name);
  return rule.is_null() ? problem_response(404, "there is no rule '" + name + "'")
                        : json_response(200, rule);
}

HttpResponse Api::change(const HttpRequest& request) {
  const bool has_body = !request.body.empty() || request.path != "/v1/heal";
  if (has_body && !readable_type(request.content_type))
    return problem_response(415, "the body is '" + request.content_type +
                                     "', not application/json or application/yaml");
  const auto expected = expected_generation(request.if_match);
  HttpResponse response;
  if (request.path == "/v1/policy")
    response = answer(engine_.put_policy(request.body, expected));
  else if (request.path == "/v1/heal")
    response = heal(request);
  else
    response =
        answer(engine_.patch_rule(request.path.substr(kRulePrefix.size()), request.body, expected));
  audit_(fmt::format("{} {} by uid {} gid {} pid {}: {}", request.method, request.path,
                     request.peer.user, request.peer.group, request.peer.process, response.status));
  return response;
}

HttpResponse Api::heal(const HttpRequest& request) {
  HeldAction held = HeldAction::kSend;
  if (!request.body.empty()) {
    const Result<ConfigNode> body = parse_config(request.body, intern_file_name("heal"));
    if (!body)
      return problem_response(400, "the body cannot be read", body.error());
    Problems problems;
    MappingReader reader(*body, "heal", problems);
    if (const ConfigNode* node = reader.take("held"))
      if (const auto word = read_word(*node, {"send", "keep", "drop"}, problems))
        held = *word == 0 ? HeldAction::kSend : *word == 1 ? HeldAction::kKeep : HeldAction::kDrop;
    reader.finish();
    if (!problems.empty())
      return problem_response(422, "the request is not valid", problems);
  }
  return answer(engine_.heal(held));
}

}  // namespace faultline
