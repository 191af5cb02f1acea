// Faults that the user's own commands make: entries of a scenario's timeline that the client of a
// run takes out, since the daemon runs no commands, and runs at their times.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "app/child.hpp"
#include "base/config.hpp"
#include "base/error.hpp"
#include "control/event_log.hpp"

namespace faultline {

/// `pause: {command, resume}` or `clock: {by: command, command, undo}` at one time.
struct TimedCommand {
  std::string what;  ///< "pause at 40s"
  std::uint64_t at_ns = 0;
  std::uint64_t lasts_ns = 0;
  std::string command;
  std::string undo;
  std::uint64_t timeout_ns = 10'000'000'000;  ///< of each of them
};

/// Takes them out of the tree. Of a pause that names a node the wire's part stays there.
std::vector<TimedCommand> take_commands(ConfigNode& tree, Problems& problems);

/// Runs them, each by `faultline pause`, whose watchdog undoes it whatever happens.
class CommandClock {
 public:
  CommandClock(const std::vector<TimedCommand>& commands, std::string socket);
  /// Starts what is due, `now_ns` since time zero, and tells what began and ended.
  std::vector<Json> look(std::uint64_t now_ns);
  /// Has what goes on undone, and waits for that.
  std::vector<Json> end(std::uint64_t now_ns);
  /// Those that did not go well.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  struct Going {
    const TimedCommand* command;
    Child child;
    bool begun = false;
    bool over = false;
  };
  void note_end(Going& one, int status, std::uint64_t now_ns, std::vector<Json>& events);

  std::string socket_;
  std::deque<Going> all_;
  std::vector<std::string> failures_;
};

}  // namespace faultline
