// The user's own commands, run by the shell as the user: to their end, or beside what goes on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace faultline {

/// How a command ended is its exit status, 128 + the signal that ended it, or one of these.
inline constexpr int kTimedOut = 124;
inline constexpr int kCannotRun = 126;

/// Runs the command in a process group of its own, which is ended when the time is over.
int run_shell(const std::string& command, std::uint64_t timeout_ns);

/// A command that runs beside what goes on, in a process group of its own.
class Child {
 public:
  Child() = default;
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// `environment` is added to ours. What it prints goes to the file, or nowhere if that is empty.
  /// False: there is no process to be had.
  bool start(const std::string& command, const std::string& log,
             const std::vector<std::pair<std::string, std::string>>& environment = {});
  bool is_running() const { return pid_ > 0; }
  /// How it ended, once, when it has.
  std::optional<int> take_end();
  /// Sends it SIGTERM.
  void ask_to_end();
  /// Ends it and all of its group, at once.
  void end();

 private:
  pid_t pid_ = -1;
};

}  // namespace faultline
