// What happened: every change of policy, every end of a rule or lease, links and workers. The last
// few thousand are kept; whoever reads too slowly is told how many are gone.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

namespace faultline {

using Json = nlohmann::ordered_json;

class EventLog {
 public:
  static constexpr std::size_t kKept = 4'096;

  /// Any thread. `fields` follow `n`, `t_ns` and `kind`. `t_ns` is the daemon's uptime.
  void add(std::uint64_t t_ns, const std::string& kind, Json fields = Json::object());

  struct Batch {
    Json events = Json::array();
    std::uint64_t next = 0;  ///< the number to ask from next
    std::uint64_t lost = 0;  ///< asked for, but no longer kept
  };
  /// Events number `from` (they count from 1) and later, at most `most`.
  Batch since(std::uint64_t from, std::size_t most = kKept) const;

  /// Called after each add(), in its thread. Set before others know the log.
  void set_listener(std::function<void()> listener) { listener_ = std::move(listener); }

 private:
  mutable std::mutex guard_;
  std::deque<Json> events_;
  std::uint64_t added_ = 0;
  std::function<void()> listener_;
};

}  // namespace faultline
