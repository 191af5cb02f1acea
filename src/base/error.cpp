// How a Problem becomes one line for people, and which known word a misspelt one meant. Nothing
// here prints, and nothing here decides what is wrong.
#include "base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <set>
#include <utility>

namespace faultline {
namespace {

/// A message quotes the user's file, which may hold line ends and terminal escapes; the promise is
/// one line a problem, so control characters (C0, DEL, and C1 as UTF-8) are shown by their number.
std::string on_one_line(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t index = 0; index < text.size(); ++index) {
    const auto byte = static_cast<unsigned char>(text[index]);
    const auto next =
        index + 1 < text.size() ? static_cast<unsigned char>(text[index + 1]) : std::uint8_t{0};
    if (byte < 0x20 || byte == 0x7f) {
      shown += fmt::format("\\x{:02x}", byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      shown += fmt::format("\\x{:02x}", next);
      ++index;
    } else {
      shown.push_back(text[index]);
    }
  }
  return shown;
}

/// Optimal string alignment: Levenshtein's distance plus the swap of two neighbours.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> before_last(to.size() + 1);
  std::vector<std::size_t> last(to.size() + 1);
  std::vector<std::size_t> current(to.size() + 1);
  for (std::size_t column = 0; column <= to.size(); ++column) {
    last[column] = column;
  }
  for (std::size_t row = 1; row <= from.size(); ++row) {
    current[0] = row;
    for (std::size_t column = 1; column <= to.size(); ++column) {
      const std::size_t replace_cost = from[row - 1] == to[column - 1] ? 0 : 1;
      std::size_t cost =
          std::min({last[column] + 1, current[column - 1] + 1, last[column - 1] + replace_cost});
      if (row > 1 && column > 1 && from[row - 1] == to[column - 2] &&
          from[row - 2] == to[column - 1]) {
        cost = std::min(cost, before_last[column - 2] + 1);
      }
      current[column] = cost;
    }
    before_last.swap(last);
    last.swap(current);
  }
  return last[to.size()];
}

std::size_t edits_allowed(std::size_t letters) {
  if (letters <= 4) {
    return 1;
  }
  return letters <= 8 ? 2 : 3;
}

}  // namespace

std::string_view intern_file_name(std::string_view name) {
  // Never destroyed: marks in other static objects may outlive this function's statics.
  static auto* const guard = new std::mutex;
  static auto* const names = new std::set<std::string, std::less<>>;
  const std::lock_guard lock(*guard);
  auto place = names->find(name);
  if (place == names->end()) {
    place = names->emplace(name).first;
  }
  return *place;
}

Problem problem_at(const Mark& mark, std::string message, std::string allowed,
                   std::string suggestion) {
  return {.file = std::string(mark.file),
          .line = mark.line,
          .column = mark.column,
          .message = std::move(message),
          .allowed = std::move(allowed),
          .suggestion = std::move(suggestion)};
}

tl::unexpected<Problems> failure(std::string message, std::string allowed) {
  return tl::unexpected<Problems>(Problems{problem_at({}, std::move(message), std::move(allowed))});
}

std::string to_line(const Problem& problem) {
  std::string line = problem.file;
  if (problem.line != 0) {
    line += fmt::format("{}{}:{}", line.empty() ? "" : ":", problem.line, problem.column);
  }
  line += fmt::format("{}error: {}", line.empty() ? "" : ": ", problem.message);
  if (!problem.allowed.empty()) {
    line += fmt::format("; {}", problem.allowed);
  }
  if (!problem.suggestion.empty()) {
    line += fmt::format("; did you mean '{}'?", problem.suggestion);
  }
  return on_one_line(line);
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShownMax = 80;
  if (text.size() <= kShownMax) {
    return fmt::format("'{}'", text);
  }
  std::size_t end = kShownMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;  // never cut inside a character
  }
  return fmt::format("'{}…'", text.substr(0, end));
}

std::string nearest_word(std::string_view word, const std::vector<std::string_view>& known) {
  const std::size_t limit = edits_allowed(word.size());
  std::size_t best_distance = limit + 1;
  std::string_view best;
  for (const std::string_view candidate : known) {
    const std::size_t longer = std::max(word.size(), candidate.size());
    const std::size_t shorter = std::min(word.size(), candidate.size());
    if (longer - shorter >= best_distance) {
      continue;  // the difference in length alone costs that many edits
    }
    const std::size_t distance = edit_distance(word, candidate);
    // A word of which no letter is left is not near, however few its letters ("x" is not "p").
    if (distance < best_distance && distance < longer) {
      best_distance = distance;
      best = candidate;
    }
  }
  return std::string(best);
}

}  // namespace faultline
