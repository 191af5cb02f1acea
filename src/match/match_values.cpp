// Words and numbers out of scalars.
#include "match/match_values.hpp"

#include <fmt/format.h>

namespace faultline {
namespace {

std::optional<std::uint32_t> parse_one(std::string_view text, const NumberKind& kind) {
  if (!kind.suffix.empty() && text.ends_with(kind.suffix))
    text.remove_suffix(kind.suffix.size());
  const bool hex = kind.has_hex && text.starts_with("0x");
  const auto number = parse_number<std::uint32_t>(hex ? text.substr(2) : text, hex ? 16 : 10);
  return number && *number >= kind.minimum && *number <= kind.maximum ? number : std::nullopt;
}

}  // namespace

std::string written(const ConfigNode& node) {
  if (node.is_scalar())
    return node.text;
  std::string text;
  for (const ConfigNode& item : node.items) text += (text.empty() ? "" : ", ") + item.text;
  return text;
}

MatchLeaf leaf_of(MatchField field, std::string_view key, const ConfigNode& value) {
  MatchLeaf leaf;
  leaf.field = field;
  leaf.text = fmt::format("{} {}", key, written(value));
  return leaf;
}

void read_number(const ConfigNode& node, const NumberKind& kind, std::vector<NumberRange>& ranges,
                 Problems& problems) {
  const std::string_view text = node.is_scalar() ? std::string_view(node.text) : "";
  std::vector<std::string_view> known;
  for (const Word& word : kind.words) {
    if (text == word.name) {
      ranges.push_back({word.number, word.number});
      return;
    }
    known.push_back(word.name);
  }
  const std::size_t dash = kind.has_ranges ? text.find('-') : std::string_view::npos;
  const auto first = parse_one(text.substr(0, dash), kind);
  const auto last = dash == std::string_view::npos ? first : parse_one(text.substr(dash + 1), kind);
  if (!first || !last || *last < *first) {
    problems.push_back(problem_at(node.mark, std::string(kind.noun) + describe(node), kind.allowed,
                                  node.is_scalar() ? nearest_word(node.text, known) : ""));
    return;
  }
  ranges.push_back({*first, *last});
}

}  // namespace faultline
