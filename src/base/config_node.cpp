// What is done with a tree once it is read: looking keys up, naming a node in a message, and
// telling which keys of a mapping nobody asked for. How a text becomes a tree, and back, is
// config.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/config.hpp"

namespace faultline {

ConfigNode scalar_node(std::string text, const Mark& mark) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.text = std::move(text);
  node.mark = mark;
  return node;
}

const ConfigNode* ConfigNode::find(std::string_view key) const {
  const auto place = std::find_if(entries.begin(), entries.end(),
                                  [key](const ConfigEntry& entry) { return entry.key == key; });
  return place == entries.end() ? nullptr : &place->value;
}

ConfigNode* ConfigNode::find(std::string_view key) {
  return const_cast<ConfigNode*>(std::as_const(*this).find(key));
}

void ConfigNode::set(std::string_view key, ConfigNode value) {
  FAULTLINE_CHECK(is_mapping());
  if (ConfigNode* const present = find(key)) {
    *present = std::move(value);
    return;
  }
  const Mark key_mark = value.mark;
  entries.push_back({.key = std::string(key), .key_mark = key_mark, .value = std::move(value)});
}

std::string describe(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return "nothing";
    case ConfigNode::Kind::kScalar:
      return in_quotes(node.text);
    case ConfigNode::Kind::kSequence:
      return "a list";
    case ConfigNode::Kind::kMapping:
      return "a mapping";
  }
  return {};
}

MappingReader::MappingReader(const ConfigNode& node, std::string_view what, Problems& problems)
    : node_(node), what_(what), problems_(problems) {
  if (!node.is_mapping()) {
    problems.push_back(problem_at(node.mark, fmt::format("{}: found {}", what, describe(node)),
                                  "a mapping of keys to values"));
  }
}

const ConfigNode* MappingReader::take(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
    known_.push_back(key);
  }
  return node_.find(key);
}

const ConfigNode* MappingReader::require(std::string_view key) {
  const ConfigNode* const value = take(key);
  if (value == nullptr && node_.is_mapping()) {
    problems_.push_back(problem_at(node_.mark, fmt::format("{}: '{}' is missing", what_, key)));
  }
  return value;
}

void MappingReader::finish() {
  for (const ConfigEntry& entry : node_.entries) {
    if (problems_.size() > kConfigProblemsMax) {
      return;
    }
    if (std::find(known_.begin(), known_.end(), entry.key) == known_.end()) {
      problems_.push_back(problem_at(entry.key_mark,
                                     fmt::format("{}: unknown key {}", what_, in_quotes(entry.key)),
                                     fmt::format("known keys are {}", fmt::join(known_, ", ")),
                                     nearest_word(entry.key, known_)));
    }
  }
}

}  // namespace faultline
