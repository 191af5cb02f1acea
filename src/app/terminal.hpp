// A terminal taken over for a picture that is drawn again and again, and given back whatever
// happens: at the end, when a signal ends the program, when it stops for a while, when it crashes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace faultline {

/// Text without control characters: what a name may do to a terminal.
std::string harmless(std::string text);

struct ScreenSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

/// One at a time: signals know only one.
class Terminal {
 public:
  /// Whether both ends of the program are one.
  static bool there();

  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  ScreenSize size() const;
  /// Lines beyond the screen are not drawn. `\x01`, `\x02` and `\x03` in a line begin bold, red and
  /// plain text; they take no place.
  void draw(const std::vector<std::string>& lines);
  /// Waits for a key, at most so long; 0: none. Signals end the wait.
  char key(std::uint64_t wait_ns);
  /// Somebody wants the program to end, or nobody sees it any more.
  bool over() const;

 private:
  bool gone_ = false;
};

inline constexpr char kBold = '\x01';
inline constexpr char kRed = '\x02';
inline constexpr char kPlain = '\x03';

}  // namespace faultline
