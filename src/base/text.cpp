// The readers of units.hpp for values that are words, not numbers: switches, texts, names, and one
// of a list. Which words a key takes is the caller's knowledge.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/units.hpp"

namespace faultline {
namespace {

char to_lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a')
                                              : character;
}

bool is_name_character(char character) {
  const char lower = to_lower(character);
  return (character >= '0' && character <= '9') || (lower >= 'a' && lower <= 'z') ||
         character == '_' || character == '.' || character == '-';
}

/// What YAML 1.1 and other tools call true and false.
std::string suggest_bool(std::string_view text) {
  constexpr auto kTrueWords = std::to_array<std::string_view>({"true", "yes", "on", "y", "1"});
  constexpr auto kFalseWords = std::to_array<std::string_view>({"false", "no", "off", "n", "0"});
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), to_lower);
  if (std::find(kTrueWords.begin(), kTrueWords.end(), lower) != kTrueWords.end()) {
    return "true";
  }
  if (std::find(kFalseWords.begin(), kFalseWords.end(), lower) != kFalseWords.end()) {
    return "false";
  }
  return nearest_word(lower, {"true", "false"});
}

}  // namespace

std::optional<bool> read_bool(const ConfigNode& node, Problems& problems) {
  const bool is_plain = node.is_scalar() && !node.quoted;
  if (is_plain && (node.text == "true" || node.text == "false")) {
    return node.text == "true";
  }
  problems.push_back(problem_at(
      node.mark, fmt::format("found {}{}", describe(node), node.quoted ? " in quotes" : ""),
      "true or false, without quotes", node.is_scalar() ? suggest_bool(node.text) : ""));
  return std::nullopt;
}

std::optional<std::string> read_text(const ConfigNode& node, Problems& problems) {
  if (node.is_scalar() && !node.text.empty()) {
    return node.text;
  }
  problems.push_back(problem_at(
      node.mark, fmt::format("found {}", node.is_scalar() ? "an empty text" : describe(node)),
      "a text"));
  return std::nullopt;
}

std::optional<std::string> read_name(const ConfigNode& node, Problems& problems) {
  constexpr std::size_t kNameLengthMax = 64;
  const std::string& text = node.text;
  if (node.is_scalar() && !text.empty() && text.size() <= kNameLengthMax && text[0] != '-' &&
      text[0] != '.' && std::all_of(text.begin(), text.end(), is_name_character)) {
    return text;
  }
  problems.push_back(
      problem_at(node.mark, fmt::format("found {}", describe(node)),
                 "a name: 1 to 64 of A-Z a-z 0-9 _ . -, not beginning with '-' or '.'"));
  return std::nullopt;
}

std::optional<std::size_t> read_word(const ConfigNode& node,
                                     const std::vector<std::string_view>& words,
                                     Problems& problems) {
  const auto place = std::find(words.begin(), words.end(), node.text);
  if (node.is_scalar() && place != words.end()) {
    return static_cast<std::size_t>(place - words.begin());
  }
  std::string suggestion = node.is_scalar() ? nearest_word(node.text, words) : "";
  // An unquoted null is YAML for nothing; where "null" is a word, that is the likely slip.
  if (node.kind == ConfigNode::Kind::kNull &&
      std::find(words.begin(), words.end(), "null") != words.end()) {
    suggestion = "\"null\"";
  }
  problems.push_back(problem_at(node.mark, fmt::format("found {}", describe(node)),
                                fmt::format("one of {}", fmt::join(words, ", ")),
                                std::move(suggestion)));
  return std::nullopt;
}

std::optional<double> read_real(const ConfigNode& node, RealBounds bounds, Problems& problems) {
  const std::string allowed =
      fmt::format("a number between {:g} and {:g}", bounds.minimum, bounds.maximum);
  double value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [last, error] = std::from_chars(node.text.data(), end, value);
  if (!node.is_scalar() || error != std::errc{} || last != end) {
    problems.push_back(problem_at(node.mark, "found " + describe(node), allowed));
    return std::nullopt;
  }
  if (!(value >= bounds.minimum && value <= bounds.maximum)) {
    problems.push_back(problem_at(node.mark, describe(node) + " is out of range", allowed));
    return std::nullopt;
  }
  return value;
}

std::optional<std::vector<std::uint8_t>> parse_hex(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  int high = -1;
  for (const char letter : text) {
    if (high < 0 && (letter == ' ' || letter == ':' || letter == '\n' || letter == '\t'))
      continue;
    const char lower = to_lower(letter);
    const bool decimal = lower >= '0' && lower <= '9';
    if (!decimal && (lower < 'a' || lower > 'f'))
      return std::nullopt;
    const int digit = decimal ? lower - '0' : lower - 'a' + 10;
    if (high >= 0)
      bytes.push_back(static_cast<std::uint8_t>(high * 16 + digit));
    high = high < 0 ? digit : -1;
  }
  return high < 0 ? std::optional(std::move(bytes)) : std::nullopt;
}

}  // namespace faultline
