// The status and the ledger as DPDK telemetry: a read-only mirror for tools that know that already.
#pragma once

namespace faultline {

class Engine;

/// While it lives, /faultline/status, /faultline/ledger and /faultline/rules are answered. One at a
/// time.
class TelemetryMirror {
 public:
  explicit TelemetryMirror(Engine& engine);
  ~TelemetryMirror();
  TelemetryMirror(const TelemetryMirror&) = delete;
  TelemetryMirror& operator=(const TelemetryMirror&) = delete;
};

}  // namespace faultline
