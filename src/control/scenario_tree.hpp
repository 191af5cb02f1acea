// Edits of a scenario's tree, and the tree as JSON. Nothing here knows what keys mean.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "base/config.hpp"

namespace faultline {

using Json = nlohmann::ordered_json;

/// `enabled: false` for every rule.
void disable_all(ConfigNode& tree);
/// Null when there is no such rule.
ConfigNode* find_rule(ConfigNode& tree, const std::string& name);
const ConfigNode* find_rule(const ConfigNode& tree, const std::string& name);
/// Takes the place of the rule of that name, else comes last. `rule` is a mapping.
void put_rule(ConfigNode& tree, const std::string& name, ConfigNode rule);
/// The same, before all others when it is new.
void put_rule_first(ConfigNode& tree, const std::string& name, ConfigNode rule);
/// False when there is no such rule.
bool remove_rule(ConfigNode& tree, const std::string& name);

/// Plain numbers and truth values as such, every other scalar as text.
Json to_json(const ConfigNode& node);

}  // namespace faultline
