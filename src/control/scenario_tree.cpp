// Walking a scenario's tree.
#include "control/scenario_tree.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace faultline {
namespace {

bool is_named(const ConfigNode& rule, const std::string& name) {
  const ConfigNode* node = rule.is_mapping() ? rule.find("name") : nullptr;
  return node != nullptr && node->text == name;
}

Json scalar_to_json(const ConfigNode& node) {
  if (node.quoted)
    return node.text;
  if (node.text == "true" || node.text == "false")
    return node.text == "true";
  std::uint64_t number = 0;
  const char* end = node.text.data() + node.text.size();
  const auto parsed = std::from_chars(node.text.data(), end, number);
  if (parsed.ec == std::errc{} && parsed.ptr == end)
    return number;
  return node.text;
}

}  // namespace

void disable_all(ConfigNode& tree) {
  ConfigNode* rules = tree.find("rules");
  if (rules == nullptr)
    return;
  for (ConfigNode& rule : rules->items) rule.set("enabled", scalar_node("false", rule.mark));
}

const ConfigNode* find_rule(const ConfigNode& tree, const std::string& name) {
  const ConfigNode* rules = tree.find("rules");
  if (rules == nullptr)
    return nullptr;
  const auto found = std::find_if(rules->items.begin(), rules->items.end(),
                                  [&](const ConfigNode& rule) { return is_named(rule, name); });
  return found == rules->items.end() ? nullptr : &*found;
}

ConfigNode* find_rule(ConfigNode& tree, const std::string& name) {
  return const_cast<ConfigNode*>(find_rule(std::as_const(tree), name));
}

void put_rule(ConfigNode& tree, const std::string& name, ConfigNode rule) {
  if (ConfigNode* before = find_rule(tree, name)) {
    *before = std::move(rule);
    return;
  }
  if (ConfigNode* rules = tree.find("rules"); rules != nullptr && rules->is_sequence()) {
    rules->items.push_back(std::move(rule));
    return;
  }
  ConfigNode list;
  list.kind = ConfigNode::Kind::kSequence;
  list.mark = tree.mark;
  list.items.push_back(std::move(rule));
  tree.set("rules", std::move(list));
}

void put_rule_first(ConfigNode& tree, const std::string& name, ConfigNode rule) {
  const bool is_new = find_rule(tree, name) == nullptr;
  put_rule(tree, name, std::move(rule));
  if (ConfigNode* rules = tree.find("rules"); is_new)
    std::ranges::rotate(rules->items, rules->items.end() - 1);
}

bool remove_rule(ConfigNode& tree, const std::string& name) {
  ConfigNode* rules = tree.find("rules");
  return rules != nullptr && std::erase_if(rules->items, [&](const ConfigNode& rule) {
                               return is_named(rule, name);
                             }) > 0;
}

// Bounded by kConfigDepthMax, which the parser enforces.
Json to_json(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return nullptr;
    case ConfigNode::Kind::kScalar:
      return scalar_to_json(node);
    case ConfigNode::Kind::kSequence: {
      Json list = Json::array();
      for (const ConfigNode& item : node.items) list.push_back(to_json(item));
      return list;
    }
    case ConfigNode::Kind::kMapping: {
      Json object = Json::object();
      for (const ConfigEntry& entry : node.entries) object[entry.key] = to_json(entry.value);
      return object;
    }
  }
  return nullptr;
}

}  // namespace faultline
