// Processes of the shell.
#include "app/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/tsc_clock.hpp"

namespace faultline {
namespace {

int status_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// A shell with the command, in a process group of its own; `prepare` is called in it before. At
/// most 0: there is no process to be had.
template <typename Prepare>
pid_t fork_shell(const std::string& command, const Prepare& prepare) {
  const pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    prepare();
    execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  if (child > 0)
    setpgid(child, child);
  return child;
}

}  // namespace

bool Child::start(const std::string& command, const std::string& log,
                  const std::vector<std::pair<std::string, std::string>>& environment) {
  pid_ = fork_shell(command, [&] {
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(number, SIG_DFL);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    const char* path = log.empty() ? "/dev/null" : log.c_str();
    const int output = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    const int input = open("/dev/null", O_RDONLY);
    if (output < 0 || input < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
      _exit(kCannotRun);
  });
  return pid_ > 0;
}

std::optional<int> Child::take_end() {
  if (pid_ <= 0)
    return std::nullopt;
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR))
    return std::nullopt;
  pid_ = -1;
  return ended > 0 ? status_of(status) : kCannotRun;
}

void Child::ask_to_end() {
  if (pid_ > 0)
    kill(pid_, SIGTERM);
}

void Child::end() {
  if (pid_ <= 0)
    return;
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int run_shell(const std::string& command, std::uint64_t timeout_ns) {
  const pid_t child = fork_shell(command, [] {});
  if (child < 0)
    return kCannotRun;
  const std::uint64_t give_up_ns = monotonic_ns() + timeout_ns;
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child)
      return status_of(status);
    if (ended < 0 && errno != EINTR)
      return kCannotRun;
    if (monotonic_ns() >= give_up_ns) {
      kill(-child, SIGKILL);
      waitpid(child, &status, 0);
      return kTimedOut;
    }
    usleep(2'000);
  }
}

}  // namespace faultline
