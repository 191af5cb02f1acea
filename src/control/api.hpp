// The HTTP interface: which path and method ask the engine for what, and how its answers become
// status codes. Knows no sockets and no packets.
#pragma once

#include <functional>
#include <string>

#include "control/engine.hpp"
#include "control/http.hpp"

namespace faultline {

/// Called with one line for every request that asked for a change.
using AuditLog = std::function<void(const std::string&)>;

class Api {
 public:
  Api(Engine& engine, AuditLog audit) : engine_(engine), audit_(std::move(audit)) {}

  HttpResponse handle(const HttpRequest& request);

 private:
  HttpResponse get(const HttpRequest& request);
  HttpResponse change(const HttpRequest& request);
  HttpResponse heal(const HttpRequest& request);

  Engine& engine_;
  AuditLog audit_;
};

}  // namespace faultline
