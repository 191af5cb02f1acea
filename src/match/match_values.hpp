// Reading the values of `match:` keys: words, numbers, ranges and lists of them. For the readers of
// this room.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.hpp"
#include "match/rule_match.hpp"

namespace faultline {

struct Word {
  std::string_view name;
  std::uint32_t number;
};

template <typename Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

/// Calls `read` for a scalar, or for each item of a list of scalars.
template <typename Read>
void for_each_value(const ConfigNode& node, Problems& problems, const Read& read) {
  if (!node.is_sequence()) {
    read(node);
    return;
  }
  if (node.items.empty())
    problems.push_back(
        problem_at(node.mark, "an empty list matches nothing", "at least one value"));
  for (const ConfigNode& item : node.items) read(item);
}

/// A scalar, or the items of a list, as they were written.
std::string written(const ConfigNode& node);

/// A leaf that is told of as KEY VALUE.
MatchLeaf leaf_of(MatchField field, std::string_view key, const ConfigNode& value);

/// Words, numbers and ranges of one kind.
struct NumberKind {
  std::span<const Word> words;
  std::uint32_t minimum = 0;
  std::uint32_t maximum = 0;
  bool has_ranges = false;
  bool has_hex = false;
  std::string_view suffix;  ///< a unit that may stand behind a number
  std::string allowed;
  std::string_view noun;  ///< what is told of a wrong one: "no port"
};

/// Adds what the scalar means.
void read_number(const ConfigNode& node, const NumberKind& kind, std::vector<NumberRange>& ranges,
                 Problems& problems);

}  // namespace faultline
