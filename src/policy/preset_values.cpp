// Checking parameters, and replacing names by values.
#include "policy/preset_values.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/units.hpp"
#include "policy/preset_library.hpp"

namespace faultline {
namespace {

struct Kind {
  std::string_view words;  ///< for messages
  bool (*holds)(std::string_view);
};

/// In this order: what a default is decides what a value must be. Anything else is any text.
constexpr Kind kKinds[] = {
    {"a duration", [](std::string_view text) { return parse_duration_ns(text).has_value(); }},
    {"a rate", [](std::string_view text) { return parse_rate_bps(text).has_value(); }},
    {"a size", [](std::string_view text) { return parse_size_bytes(text).has_value(); }},
    {"a whole number", [](std::string_view text) { return parse_count(text).has_value(); }},
    {"a probability", [](std::string_view text) { return parse_probability(text).has_value(); }},
};

/// The name that `text` begins with.
std::string_view name_in(std::string_view text) {
  const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  return text.substr(0, end);
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size())
    return std::nullopt;
  return number;
}

/// One of `words` once, in their order.
std::string list_of(std::vector<std::string_view> words) {
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

void PresetValues::set(std::string_view name, ConfigNode value) {
  for (ConfigEntry& entry : values_)
    if (entry.key == name) {
      entry.value = std::move(value);
      return;
    }
  values_.push_back({std::string(name), place_, std::move(value)});
}

const ConfigNode* PresetValues::find(std::string_view name) const {
  const auto found = std::ranges::find(values_, name, &ConfigEntry::key);
  return found == values_.end() ? nullptr : &found->value;
}

void PresetValues::set_given(const ConfigEntry& parameter, const ConfigNode& given,
                             Problems& problems) {
  const std::string& standard = parameter.value.text;
  const auto* kind =
      std::ranges::find_if(kKinds, [&](const Kind& each) { return each.holds(standard); });
  const bool any = kind == std::end(kKinds);
  if (given.is_scalar() && !given.text.empty() && (any || kind->holds(given.text))) {
    set(parameter.key, given);
    return;
  }
  problems.push_back(problem_at(
      given.mark, fmt::format("{} is {}", parameter.key, describe(given)),
      fmt::format("{} such as {}", any ? std::string_view("a text") : kind->words, standard)));
}

void PresetValues::look_up(const ConfigEntry& wanted, Problems& problems) {
  const ConfigNode* table = wanted.value.find("table");
  const ConfigNode* keys = wanted.value.find("keys");
  const ConfigNode* unit = wanted.value.find("unit");
  FAULTLINE_CHECK(table != nullptr && keys != nullptr && unit != nullptr &&
                  keys->items.size() == 2);
  const ConfigNode* from = find(keys->items[0].text);
  const ConfigNode* to = find(keys->items[1].text);
  FAULTLINE_CHECK(from != nullptr && to != nullptr);
  const std::vector<PresetRow> rows = preset_table(table->text);
  const PresetRow* found = nullptr;
  std::vector<std::string_view> known;
  std::vector<std::string_view> partners;
  for (const PresetRow& row : rows) {
    const bool there = row.from == from->text && row.to == to->text;
    const bool back = row.from == to->text && row.to == from->text;
    if (there || (back && found == nullptr))
      found = &row;
    known.insert(known.end(), {row.from, row.to});
    if (row.from == from->text || row.to == from->text)
      partners.push_back(row.from == from->text ? row.to : row.from);
  }
  if (found != nullptr) {
    ConfigNode value;
    value.kind = ConfigNode::Kind::kScalar;
    value.mark = place_;
    value.text = std::string(found->value) + unit->text;
    set(wanted.key, std::move(value));
    return;
  }
  const std::size_t problems_before = problems.size();
  for (const ConfigNode* end : {from, to})
    if (std::ranges::find(known, end->text) == known.end())
      problems.push_back(problem_at(end->mark, fmt::format("unknown place {}", describe(*end)),
                                    "one of " + list_of(known), nearest_word(end->text, known)));
  if (problems.size() == problems_before)
    problems.push_back(
        problem_at(place_, fmt::format("no figure for {} and {}", describe(*from), describe(*to)),
                   fmt::format("with {} go {}", describe(*from), list_of(partners))));
}

ConfigNode PresetValues::apply(const ConfigNode& node, Problems& problems) const {
  if (node.is_scalar() && node.text.find('$') != std::string::npos)
    return scalar(node, problems);
  ConfigNode applied;
  applied.kind = node.kind;
  applied.mark = place_;
  applied.text = node.text;
  applied.quoted = node.quoted;
  for (const ConfigNode& item : node.items) applied.items.push_back(apply(item, problems));
  for (const ConfigEntry& entry : node.entries)
    applied.entries.push_back({in_text(entry.key), place_, apply(entry.value, problems)});
  return applied;
}

ConfigNode PresetValues::scalar(const ConfigNode& node, Problems& problems) const {
  if (const ConfigNode* value = find(std::string_view(node.text).substr(1));
      value != nullptr && node.text.front() == '$')
    return *value;
  ConfigNode applied;
  applied.kind = ConfigNode::Kind::kScalar;
  applied.mark = place_of(node.text);
  applied.quoted = node.quoted;
  const bool computes = node.text.front() == '$' && node.text.find(' ') != std::string::npos;
  if (!computes) {
    applied.text = in_text(node.text);
    return applied;
  }
  const auto result = computed(node.text);
  if (!result)
    problems.push_back(problem_at(
        applied.mark,
        fmt::format("{} comes to {}, which is no duration", node.text, in_text(node.text)),
        "other values"));
  applied.text = result.value_or("1ms");
  return applied;
}

/// Of the first value in `text` that the scenario gave; else of the use.
Mark PresetValues::place_of(std::string_view text) const {
  for (std::size_t at = text.find('$'); at != std::string_view::npos; at = text.find('$', at + 1)) {
    const ConfigNode* value = find(name_in(text.substr(at + 1)));
    if (value != nullptr &&
        std::pair(value->mark.line, value->mark.column) != std::pair(place_.line, place_.column))
      return value->mark;
  }
  return place_;
}

std::string PresetValues::in_text(std::string_view text) const {
  std::string result;
  while (!text.empty()) {
    if (text.front() == '$') {
      const std::string_view name = name_in(text.substr(1));
      const ConfigNode* value = find(name);
      FAULTLINE_CHECK(value != nullptr);
      result += value->text;
      text.remove_prefix(1 + name.size());
      continue;
    }
    result += text.front();
    text.remove_prefix(1);
  }
  return result;
}

/// A sum of products from left to right: `$delay + $jitter / 2`. Doubles hold whole nanoseconds up
/// to 104 days exactly.
std::optional<std::string> PresetValues::computed(std::string_view text) const {
  double sum = 0;
  double term = 0;
  double sign = 1;
  char next = '=';
  const std::string filled = in_text(text);
  for (std::string_view rest = filled;;) {
    rest = trimmed(rest);
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest = trimmed(rest.substr(word.size()));
    const auto duration_ns = parse_duration_ns(word);
    const auto value =
        duration_ns ? std::optional<double>(static_cast<double>(*duration_ns)) : number_of(word);
    if (!value)
      return std::nullopt;
    if (next == '*')
      term *= *value;
    else if (next == '/')
      term /= *value;
    else
      term = *value;
    const char after = rest.empty() ? '=' : rest.front();
    if (after != '*' && after != '/') {
      sum += sign * term;
      sign = after == '-' ? -1 : 1;
    }
    if (after == '=')
      break;
    next = after;
    rest.remove_prefix(1);
  }
  if (!(sum >= 0) || sum > static_cast<double>(kDurationMaxNs))
    return std::nullopt;
  return format_duration(static_cast<std::uint64_t>(sum + 0.5));
}

}  // namespace faultline
