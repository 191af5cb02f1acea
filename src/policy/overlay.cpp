// Laying the values of `set` over impairments.
#include "policy/overlay.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/units.hpp"
#include "policy/ramp.hpp"

namespace faultline {

PartName part_of(std::string_view key) {
  const std::size_t open = key.find('[');
  if (open == std::string_view::npos)
    return {key};
  PartName name{key.substr(0, open)};
  const auto number =
      key.back() == ']' ? parse_count(key.substr(open + 1, key.size() - open - 2)) : std::nullopt;
  name.good = number && *number > 0;
  name.number = number.value_or(0);
  return name;
}

std::vector<std::size_t> positions_of(const ConfigNode& impair, std::string_view kind) {
  std::vector<std::size_t> positions;
  for (std::size_t index = 0; index < impair.items.size(); ++index) {
    const ConfigNode& item = impair.items[index];
    if (item.is_mapping() && item.entries.size() == 1 && item.entries.front().key == kind)
      positions.push_back(index);
  }
  return positions;
}

std::vector<std::string> part_names(const ConfigNode& impair) {
  std::map<std::string_view, std::size_t> seen;
  std::vector<std::string> names;
  for (const ConfigNode& item : impair.items) {
    if (!item.is_mapping() || item.entries.size() != 1)
      continue;
    const std::string& kind = item.entries.front().key;
    const bool alone = positions_of(impair, kind).size() == 1;
    names.push_back(alone ? kind : fmt::format("{}[{}]", kind, ++seen[kind]));
  }
  return names;
}

std::optional<std::size_t> position_of(const ConfigNode& impair, std::string_view key) {
  const PartName name = part_of(key);
  const std::vector<std::size_t> positions = positions_of(impair, name.kind);
  const std::size_t number = name.number == 0 ? 1 : name.number;
  if (!name.good || number > positions.size() || (name.number == 0 && positions.size() > 1))
    return std::nullopt;
  return positions[number - 1];
}

namespace {

/// What a value written short stands for: {time: 40ms} for a delay of 40ms.
ConfigNode long_form(const ConfigNode& value, std::string_view kind) {
  if (value.is_mapping())
    return value;
  ConfigNode mapping;
  mapping.kind = ConfigNode::Kind::kMapping;
  mapping.mark = value.mark;
  std::string_view key = kind == "delay" ? "time" : kind;
  if (kind == "loss")
    key = parse_probability(value.text) ? "rate" : "model";
  mapping.set(key, value);
  return mapping;
}

/// Puts the values of a step in place of those at the ramp's end. False: they cannot be ramped.
bool take_step(ConfigNode& change, const ConfigNode& before, RampStep at) {
  for (ConfigEntry& key : change.entries) {
    const ConfigNode* from = before.find(key.key);
    if (from == nullptr || !from->is_scalar() || !key.value.is_scalar())
      return false;
    const auto value = value_between(from->text, key.value.text, at.step, at.steps);
    if (!value)
      return false;
    key.value.text = *value;
  }
  return true;
}

}  // namespace

bool overlay(ConfigNode& impair, const ConfigNode& set, RampStep at) {
  bool good = true;
  for (ConfigEntry change : set.entries) {
    const auto position = position_of(impair, change.key);
    if (!position)
      continue;
    ConfigEntry& entry = impair.items[*position].entries.front();
    if (at.steps != 0) {
      ConfigNode wanted = long_form(change.value, entry.key);
      if (take_step(wanted, long_form(entry.value, entry.key), at))
        change.value = std::move(wanted);
      else
        good = false;
    }
    if (!change.value.is_mapping()) {
      entry.value = change.value;
      continue;
    }
    entry.value = long_form(entry.value, entry.key);
    entry.value.mark = change.value.mark;
    for (const ConfigEntry& key : change.value.entries) {
      entry.value.set(key.key, key.value);
      for (ConfigEntry& merged : entry.value.entries)
        if (merged.key == key.key)
          merged.key_mark = key.key_mark;
    }
  }
  return good;
}

}  // namespace faultline
