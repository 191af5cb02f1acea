// Paths, methods, rights and status codes.
#include "control/api.hpp"

#include <charconv>

#include <fmt/format.h>

#include "control/event_stream.hpp"
#include "control/metrics.hpp"
#include "control/openapi.hpp"

namespace faultline {
namespace {

constexpr int kFollowersMax = 16;
constexpr std::uint64_t kLeaseLeastNs = 100 * kNsPerMs;
constexpr std::uint64_t kLeaseMostNs = 24 * 3600 * kNsPerSecond;
constexpr std::size_t kWhyMost = 200;
constexpr std::size_t kPartBytesMax = std::size_t{4} << 20;
constexpr std::uint64_t kRunLeastNs = kNsPerMs;
constexpr std::uint64_t kRunMostNs = 30 * 24 * 3600 * kNsPerSecond;

HttpResponse json_response(int status, const Json& json) {
  HttpResponse response;
  response.status = status;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
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

HttpResponse refused(const ChangeFailure& failure) {
  return problem_response(status_of(failure.refusal), failure.detail, failure.problems);
}

HttpResponse answer(const ChangeResult& result) {
  if (!result)
    return refused(result.error());
  return json_response(result->created ? 201 : 200,
                       {{"generation", result->generation}, {"seed", result->seed}});
}

/// The name in a path that the pattern takes; nothing when it does not fit. A name has no '/'.
std::optional<std::string> match(std::string_view pattern, std::string_view path) {
  const std::size_t brace = pattern.find('{');
  if (brace == std::string_view::npos)
    return pattern == path ? std::optional<std::string>("") : std::nullopt;
  if (!path.starts_with(pattern.substr(0, brace)))
    return std::nullopt;
  const std::string_view name = path.substr(brace);
  if (name.empty() || name.find('/') != std::string_view::npos)
    return std::nullopt;
  return std::string(name);
}

/// If-Match carries the generation in quotes. An unreadable one matches nothing.
IfGeneration expected_generation(const std::string& if_match) {
  if (if_match.empty() || if_match == "*")
    return std::nullopt;
  std::string_view text = if_match;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  return parse_count(text).value_or(UINT64_MAX);
}

/// A number of the query: absent is `otherwise`, nothing when it is none or out of bounds.
std::optional<std::uint64_t> number_in(const HttpRequest& request, const std::string& key,
                                       std::uint64_t otherwise, Bounds bounds) {
  const auto entry = request.query.find(key);
  if (entry == request.query.end())
    return otherwise;
  const auto number = parse_count(entry->second);
  return number && *number >= bounds.minimum && *number <= bounds.maximum ? number : std::nullopt;
}

HttpResponse bad_query(const std::string& key, const std::string& allowed) {
  return problem_response(400, "query: '" + key + "' is out of range; " + allowed);
}

/// Reads a small body, a mapping; what `read` complains about becomes a 422.
template <typename Read>
std::optional<HttpResponse> read_body(const HttpRequest& request, const char* what,
                                      const Read& read) {
  const Result<ConfigNode> body = parse_config(request.body, intern_file_name(what));
  if (!body)
    return problem_response(400, "the body cannot be read", body.error());
  Problems problems;
  MappingReader reader(*body, what, problems);
  read(reader, problems);
  reader.finish();
  if (!problems.empty())
    return problem_response(422, "the request is not valid", problems);
  return std::nullopt;
}

}  // namespace

std::span<const Api::Route> Api::routes() {
  static constexpr Route kRoutes[] = {
      {"GET", "/v1/status", Right::kRead, &Api::get_status},
      {"GET", "/v1/stats", Right::kRead, &Api::get_stats},
      {"GET", "/v1/rules", Right::kRead, &Api::get_rules},
      {"GET", "/v1/rules/{name}", Right::kRead, &Api::get_rule},
      {"PUT", "/v1/rules/{name}", Right::kChange, &Api::put_rule},
      {"PATCH", "/v1/rules/{name}", Right::kChange, &Api::patch_rule},
      {"DELETE", "/v1/rules/{name}", Right::kChange, &Api::delete_rule},
      {"PUT", "/v1/partition", Right::kChange, &Api::put_partition},
      {"DELETE", "/v1/partition", Right::kChange, &Api::delete_partition},
      {"GET", "/v1/triggers", Right::kRead, &Api::get_triggers},
      {"POST", "/v1/triggers/{name}", Right::kChange, &Api::call_trigger},
      {"GET", "/v1/captures", Right::kRead, &Api::get_captures},
      {"GET", "/v1/ports", Right::kRead, &Api::get_ports},
      {"GET", "/v1/flows", Right::kRead, &Api::get_flows},
      {"GET", "/v1/events", Right::kRead, &Api::get_events},
      {"GET", "/v1/policy", Right::kRead, &Api::get_policy},
      {"PUT", "/v1/policy", Right::kChange, &Api::put_policy},
      {"POST", "/v1/heal", Right::kChange, &Api::heal},
      {"PUT", "/v1/leases/{id}", Right::kChange, &Api::put_lease},
      {"DELETE", "/v1/leases/{id}", Right::kChange, &Api::delete_lease},
      {"GET", "/v1/runs", Right::kRead, &Api::get_runs},
      {"POST", "/v1/runs", Right::kChange, &Api::begin_run},
      {"GET", "/v1/runs/{run}", Right::kRead, &Api::get_run},
      {"DELETE", "/v1/runs/{run}", Right::kChange, &Api::end_run},
      {"GET", "/v1/files/{run}", Right::kRead, &Api::get_files},
      {"GET", "/openapi.json", Right::kRead, &Api::get_openapi},
      {"GET", "/metrics", Right::kRead, &Api::get_metrics},
  };
  return kRoutes;
}

HttpResponse Api::handle(const HttpRequest& request) {
  std::string methods;
  for (const Route& route : routes()) {
    const std::optional<std::string> name = match(route.pattern, request.path);
    if (!name)
      continue;
    methods += (methods.empty() ? "" : ", ") + std::string(route.method);
    if (route.method != request.method)
      continue;
    HttpResponse response = route.right == Right::kRead ? (this->*route.handler)(request, *name)
                                                        : change(route, request, *name);
    response.headers.emplace_back("ETag", fmt::format("\"{}\"", engine_.generation()));
    return response;
  }
  if (methods.empty())
    return problem_response(404, "there is nothing at " + request.path);
  HttpResponse response = problem_response(405, "this resource answers " + methods);
  response.headers.emplace_back("Allow", methods);
  return response;
}

HttpResponse Api::change(const Route& route, const HttpRequest& request, const std::string& name) {
  const bool needs_body = route.method != "DELETE" && route.method != "POST";
  const bool readable =
      request.content_type == "application/json" || request.content_type == "application/yaml";
  HttpResponse response;
  if (!access_.may_change(request.peer))
    response = problem_response(
        403, fmt::format("uid {} may read, but not change; root{} may", request.peer.user,
                         access_.changers ? fmt::format(" and group {}", *access_.changers) : ""));
  else if (!readable && (needs_body || !request.body.empty()))
    response = problem_response(415, "the body is '" + request.content_type +
                                         "', not application/json or application/yaml");
  else
    response = (this->*route.handler)(request, name);
  audit_(fmt::format("{} {} by uid {} gid {} pid {}: {}", request.method, request.path,
                     request.peer.user, request.peer.group, request.peer.process, response.status));
  return response;
}

// --- reading -------------------------------------------------------------------------------------

HttpResponse Api::get_status(const HttpRequest&, const std::string&) {
  return json_response(200, engine_.status());
}

HttpResponse Api::get_stats(const HttpRequest&, const std::string&) {
  return json_response(200, engine_.statistics());
}

HttpResponse Api::get_rules(const HttpRequest&, const std::string&) {
  return json_response(200, engine_.rules());
}

HttpResponse Api::get_rule(const HttpRequest&, const std::string& name) {
  const Json rule = engine_.rule(name);
  return rule.is_null() ? problem_response(404, "there is no rule '" + name + "'")
                        : json_response(200, rule);
}

HttpResponse Api::get_ports(const HttpRequest&, const std::string&) {
  return json_response(200, engine_.port_list());
}

HttpResponse Api::get_flows(const HttpRequest& request, const std::string&) {
  const auto most = number_in(request, "limit", 100, {1, FlowSurvey::kRowsMax});
  if (!most)
    return bad_query("limit", fmt::format("1 to {}", FlowSurvey::kRowsMax));
  return json_response(200, engine_.flows(static_cast<std::uint32_t>(*most)));
}

HttpResponse Api::get_events(const HttpRequest& request, const std::string&) {
  const auto from = number_in(request, "from", 1, {1, UINT64_MAX});
  if (!from)
    return bad_query("from", "a number from 1 on");
  const auto follow = request.query.find("follow");
  if (follow != request.query.end() && follow->second != "0") {
    const auto seen = parse_count(request.last_event_id);
    return follow_events(seen ? *seen + 1 : *from);
  }
  EventLog::Batch batch = engine_.events().since(*from);
  return json_response(
      200, {{"events", std::move(batch.events)}, {"next", batch.next}, {"lost", batch.lost}});
}

HttpResponse Api::follow_events(std::uint64_t from) {
  auto stream = EventStream::open(engine_.events(), from, followers_, kFollowersMax);
  if (stream == nullptr)
    return problem_response(429, fmt::format("{} clients follow events already", kFollowersMax));
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-store");
  response.stream = std::move(stream);
  return response;
}

HttpResponse Api::get_captures(const HttpRequest&, const std::string&) {
  return json_response(200, engine_.captures());
}

HttpResponse Api::get_triggers(const HttpRequest&, const std::string&) {
  return json_response(200, engine_.triggers());
}

HttpResponse Api::get_policy(const HttpRequest&, const std::string&) {
  return json_response(200, engine_.policy());
}

HttpResponse Api::get_openapi(const HttpRequest&, const std::string&) {
  HttpResponse response;
  response.body = kOpenApi;
  return response;
}

HttpResponse Api::get_metrics(const HttpRequest&, const std::string&) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4";
  response.body = metrics_text(engine_.status(), engine_.statistics(), engine_.port_list());
  return response;
}

// --- changing ------------------------------------------------------------------------------------

HttpResponse Api::put_policy(const HttpRequest& request, const std::string&) {
  return answer(engine_.put_policy(request.body, expected_generation(request.if_match)));
}

HttpResponse Api::put_rule(const HttpRequest& request, const std::string& name) {
  return answer(engine_.put_rule(name, request.body, expected_generation(request.if_match)));
}

HttpResponse Api::patch_rule(const HttpRequest& request, const std::string& name) {
  return answer(engine_.patch_rule(name, request.body, expected_generation(request.if_match)));
}

HttpResponse Api::delete_rule(const HttpRequest& request, const std::string& name) {
  return answer(engine_.remove_rule(name, expected_generation(request.if_match)));
}

HttpResponse Api::put_partition(const HttpRequest& request, const std::string&) {
  return answer(engine_.put_partition(request.body, expected_generation(request.if_match)));
}

HttpResponse Api::delete_partition(const HttpRequest& request, const std::string&) {
  return answer(engine_.remove_rule(kPartitionRule, expected_generation(request.if_match)));
}

HttpResponse Api::heal(const HttpRequest& request, const std::string&) {
  HeldAction held = HeldAction::kSend;
  const auto read = [&](MappingReader& reader, Problems& problems) {
    if (const ConfigNode* node = reader.take("held"))
      if (const auto word = read_word(*node, {"send", "keep", "drop"}, problems))
        held = *word == 0 ? HeldAction::kSend : *word == 1 ? HeldAction::kKeep : HeldAction::kDrop;
  };
  if (!request.body.empty())
    if (auto refused = read_body(request, "heal", read))
      return std::move(*refused);
  return answer(engine_.heal(held, expected_generation(request.if_match)));
}

HttpResponse Api::call_trigger(const HttpRequest&, const std::string& name) {
  const auto called = engine_.call_trigger(name);
  return called ? json_response(200, *called) : problem_response(404, called.error().detail);
}

HttpResponse Api::put_lease(const HttpRequest& request, const std::string& name) {
  Problems problems;
  read_name(scalar_node(name, {"leases", 0, 0}), problems);
  if (!problems.empty())
    return problem_response(422, "the lease's name is not valid", problems);
  std::optional<std::uint64_t> ttl_ns;
  const auto read = [&](MappingReader& reader, Problems& wrong) {
    if (const ConfigNode* node = reader.require("ttl"))
      ttl_ns = read_duration_ns(*node, {kLeaseLeastNs, kLeaseMostNs}, wrong);
  };
  if (auto refused = read_body(request, "lease", read))
    return std::move(*refused);
  return answer(engine_.put_lease(name, ttl_ns.value_or(kLeaseLeastNs)));
}

HttpResponse Api::delete_lease(const HttpRequest&, const std::string& name) {
  return answer(engine_.remove_lease(name));
}

HttpResponse Api::get_runs(const HttpRequest&, const std::string&) {
  return json_response(200, engine_.runs());
}

HttpResponse Api::get_run(const HttpRequest&, const std::string& name) {
  const Json run = engine_.run(name);
  return run.is_null() ? problem_response(404, "there is no run '" + name + "'")
                       : json_response(200, run);
}

HttpResponse Api::get_files(const HttpRequest& request, const std::string& id) {
  const auto name = request.query.find("name");
  if (name == request.query.end()) {
    const Json files = engine_.files(id);
    return files.is_null() ? problem_response(404, "there is no run '" + id + "'")
                           : json_response(200, files);
  }
  const auto offset = number_in(request, "offset", 0, {0, INT64_MAX});
  if (!offset)
    return bad_query("offset", "bytes from the file's beginning");
  std::optional<std::string> part = engine_.file_part(id, name->second, *offset, kPartBytesMax);
  if (!part)
    return problem_response(404, "run '" + id + "' has no file '" + name->second + "'");
  HttpResponse response;
  response.content_type = "application/octet-stream";
  response.body = std::move(*part);
  return response;
}

HttpResponse Api::begin_run(const HttpRequest& request, const std::string&) {
  RunRequest run;
  const auto duration = request.query.find("duration");
  const auto read =
      duration == request.query.end() ? std::nullopt : parse_duration_ns(duration->second);
  if (!read || *read < kRunLeastNs || *read > kRunMostNs)
    return bad_query("duration", "1ms to 30d, for example 60s");
  run.duration_ns = *read;
  if (request.query.contains("at")) {
    run.at_unix_ns = number_in(request, "at", 0, {1, UINT64_MAX});
    if (!run.at_unix_ns)
      return bad_query("at", "nanoseconds since 1970");
  }
  if (const auto lease = request.query.find("lease"); lease != request.query.end())
    run.lease = lease->second;
  const auto begun = engine_.begin_run(request.body, run);
  return begun ? json_response(201, *begun) : refused(begun.error());
}

HttpResponse Api::end_run(const HttpRequest& request, const std::string& name) {
  const auto by = request.query.find("by");
  const std::string why = by == request.query.end() ? "request" : by->second;
  if (why.empty() || why.size() > kWhyMost)
    return bad_query("by", fmt::format("why it ends, in 1 to {} bytes", kWhyMost));
  const auto ended = engine_.end_run(name, why);
  return ended ? json_response(200, *ended) : refused(ended.error());
}

}  // namespace faultline
