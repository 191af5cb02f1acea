// Escape sequences (ECMA-48 and xterm's alternate screen), and signals.
#include "app/terminal.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace faultline {
namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";
constexpr std::array kCrashes = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr std::array kEnds = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// Read by signal handlers; written before they are there.
termios found{};
bool has_keys = false;
volatile sig_atomic_t ended = 0;
volatile sig_atomic_t resumed = 0;

/// All of it, whatever interrupts; false: nobody reads.
bool put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void take() {
  if (has_keys) {
    termios raw = found;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  put(kEnter);
}

/// Only what a signal handler may do.
void give_back() {
  put(kLeave);
  if (has_keys)
    tcsetattr(STDIN_FILENO, TCSANOW, &found);
}

void on_crash(int signal) {
  give_back();
  raise(signal);  // what it would have done: SA_RESETHAND
}

void on_stop(int) {
  const int error = errno;
  give_back();
  raise(SIGSTOP);
  take();
  resumed = 1;
  errno = error;
}

void on_end(int) {
  ended = 1;
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(signal, &action, nullptr);
}

/// A line as the terminal wants it, of at most so many columns.
std::string rendered(const std::string& line, std::size_t columns, bool colours) {
  std::string text;
  std::size_t column = 0;
  for (const char letter : line) {
    if (letter == kBold || letter == kRed || letter == kPlain)
      text += letter == kPlain  ? "\x1b[0m"
              : letter == kBold ? "\x1b[1m"
              : colours         ? "\x1b[31m"
                                : "";
    else if (column < columns) {
      text += letter;
      // The further bytes of a letter in UTF-8 take no place.
      column += (static_cast<unsigned char>(letter) & 0xC0) == 0x80 ? 0 : 1;
    }
  }
  return text + "\x1b[0m\x1b[K";
}

}  // namespace

std::string harmless(std::string text) {
  for (char& letter : text)
    if (static_cast<unsigned char>(letter) < 0x20 || letter == 0x7F)
      letter = '?';
  return text;
}

bool Terminal::there() {
  return isatty(STDOUT_FILENO) != 0;
}

Terminal::Terminal() {
  ended = 0;
  has_keys = isatty(STDIN_FILENO) != 0 && tcgetattr(STDIN_FILENO, &found) == 0;
  for (const int signal : kCrashes) handle(signal, on_crash, static_cast<int>(SA_RESETHAND));
  for (const int signal : kEnds) handle(signal, on_end, 0);
  handle(SIGTSTP, on_stop, 0);
  handle(
      SIGWINCH, [](int) {}, 0);  // ends the wait for a key
  take();
}

Terminal::~Terminal() {
  give_back();
  for (const int signal : kCrashes) handle(signal, SIG_DFL, 0);
  for (const int signal : kEnds) handle(signal, SIG_DFL, 0);
  handle(SIGTSTP, SIG_DFL, 0);
}

ScreenSize Terminal::size() const {
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0)
    return {};
  return {.columns = window.ws_col, .rows = window.ws_row};
}

void Terminal::draw(const std::vector<std::string>& lines) {
  const ScreenSize screen = size();
  const bool colours = std::getenv("NO_COLOR") == nullptr;
  std::string picture = "\x1b[H";
  for (std::size_t row = 0; row < std::min(lines.size(), screen.rows); ++row)
    picture += (row == 0 ? "" : "\r\n") + rendered(lines[row], screen.columns, colours);
  picture += "\x1b[J";
  gone_ = !put(picture) || gone_;
}

char Terminal::key(std::uint64_t wait_ns) {
  pollfd keys{.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0};
  const timespec wait{.tv_sec = static_cast<time_t>(wait_ns / 1'000'000'000),
                      .tv_nsec = static_cast<long>(wait_ns % 1'000'000'000)};
  if (ppoll(&keys, 1, &wait, nullptr) <= 0)
    return 0;
  char letter = 0;
  if (read(STDIN_FILENO, &letter, 1) == 1)
    return letter;
  gone_ = gone_ || (keys.revents & POLLHUP) != 0;
  return 0;
}

bool Terminal::over() const {
  return gone_ || ended != 0;
}

}  // namespace faultline
