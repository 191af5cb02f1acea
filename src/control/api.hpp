// The HTTP interface: which path and method ask the engine for what, who may, and how answers
// become status codes. Knows no sockets and no packets. What it offers is written in openapi.json,
// and a test holds the two against each other.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "control/engine.hpp"
#include "control/http.hpp"

namespace faultline {

/// Called with one line for every request that asked for a change.
using AuditLog = std::function<void(const std::string&)>;

/// Who may change. Whoever can connect (the socket's owner and group) may read.
struct Access {
  uid_t daemon_user = 0;  ///< beside root
  std::optional<gid_t> changers;

  bool may_change(const Peer& peer) const {
    return peer.user == 0 || peer.user == daemon_user || (changers && peer.is_in(*changers));
  }
};

class Api {
 public:
  Api(Engine& engine, const Access& access, AuditLog audit)
      : engine_(engine), access_(access), audit_(std::move(audit)) {}

  HttpResponse handle(const HttpRequest& request);

  enum class Right : std::uint8_t { kRead, kChange };
  struct Route {
    std::string_view method;
    std::string_view pattern;  ///< "/v1/rules/{name}"
    Right right;
    HttpResponse (Api::*handler)(const HttpRequest& request, const std::string& name);
  };
  static std::span<const Route> routes();

 private:
  HttpResponse get_status(const HttpRequest& request, const std::string& name);
  HttpResponse get_stats(const HttpRequest& request, const std::string& name);
  HttpResponse get_rules(const HttpRequest& request, const std::string& name);
  HttpResponse get_rule(const HttpRequest& request, const std::string& name);
  HttpResponse get_ports(const HttpRequest& request, const std::string& name);
  HttpResponse get_flows(const HttpRequest& request, const std::string& name);
  HttpResponse get_events(const HttpRequest& request, const std::string& name);
  HttpResponse get_policy(const HttpRequest& request, const std::string& name);
  HttpResponse get_openapi(const HttpRequest& request, const std::string& name);
  HttpResponse get_metrics(const HttpRequest& request, const std::string& name);
  HttpResponse put_policy(const HttpRequest& request, const std::string& name);
  HttpResponse put_partition(const HttpRequest& request, const std::string& name);
  HttpResponse delete_partition(const HttpRequest& request, const std::string& name);
  HttpResponse put_rule(const HttpRequest& request, const std::string& name);
  HttpResponse patch_rule(const HttpRequest& request, const std::string& name);
  HttpResponse delete_rule(const HttpRequest& request, const std::string& name);
  HttpResponse heal(const HttpRequest& request, const std::string& name);
  HttpResponse get_triggers(const HttpRequest& request, const std::string& name);
  HttpResponse get_captures(const HttpRequest& request, const std::string& name);
  HttpResponse call_trigger(const HttpRequest& request, const std::string& name);
  HttpResponse get_runs(const HttpRequest& request, const std::string& name);
  HttpResponse get_run(const HttpRequest& request, const std::string& name);
  HttpResponse begin_run(const HttpRequest& request, const std::string& name);
  HttpResponse get_files(const HttpRequest& request, const std::string& name);
  HttpResponse end_run(const HttpRequest& request, const std::string& name);
  HttpResponse put_lease(const HttpRequest& request, const std::string& name);
  HttpResponse delete_lease(const HttpRequest& request, const std::string& name);
  HttpResponse change(const Route& route, const HttpRequest& request, const std::string& name);
  HttpResponse follow_events(std::uint64_t from);

  Engine& engine_;
  Access access_;
  AuditLog audit_;
  std::shared_ptr<std::atomic<int>> followers_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace faultline
