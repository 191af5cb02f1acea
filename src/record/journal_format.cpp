// Names and checks of the journal's file.
#include "record/journal_format.hpp"

#include <nlohmann/json.hpp>

#include "base/dice.hpp"
#include "base/int128.hpp"
#include "policy/policy.hpp"

namespace faultline {

using Json = nlohmann::ordered_json;

std::uint32_t journal_check(std::string_view bytes) noexcept {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15;
  std::uint64_t hash = kFactor ^ bytes.size();
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof word, bytes.size() - at));
    const Uint128 product = Uint128{hash ^ word} * kFactor;
    hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

JournalNames journal_names(const Policy& policy, const std::vector<std::string>& ports) {
  JournalNames names{ports, {}};
  for (const RuleProgram& rule : policy.rules) {
    if (rule.variant != 0)
      continue;
    if (names.rules.size() <= rule.slot)
      names.rules.resize(rule.slot + std::size_t{1});
    JournalNames::Rule& named = names.rules[rule.slot];
    named.name = rule.name;
    named.hash = rule.name_hash;
    for (const RuleStep& step : rule.steps) named.kinds.push_back(step.kind);
  }
  return names;
}

std::string names_text(std::uint64_t generation, const JournalNames& names,
                       const JournalNames* before) {
  Json text = {{"generation", generation}};
  if (before != nullptr && *before == names)
    return text.dump();
  text["ports"] = names.ports;
  text["rules"] = Json::array();
  for (std::size_t slot = 0; slot < names.rules.size(); ++slot)
    if (!names.rules[slot].name.empty())
      text["rules"].push_back(
          {{"slot", slot}, {"name", names.rules[slot].name}, {"impair", names.rules[slot].kinds}});
  return text.dump();
}

bool read_names(std::string_view text, JournalNamesByGeneration& all) {
  constexpr std::size_t kSlotsMax = std::size_t{1} << 16;
  const Json read = Json::parse(text, nullptr, false);
  if (!read.is_object() || !read.contains("generation") || !read["generation"].is_number_unsigned())
    return false;
  const auto generation = read["generation"].get<std::uint64_t>();
  if (!read.contains("ports")) {
    const auto before = all.lower_bound(generation);
    if (before == all.begin())
      return false;
    all[generation] = std::prev(before)->second;
    return true;
  }
  auto names = std::make_shared<JournalNames>();
  if (!read["ports"].is_array() || !read.contains("rules") || !read["rules"].is_array())
    return false;
  for (const Json& port : read["ports"]) {
    if (!port.is_string())
      return false;
    names->ports.push_back(port.get<std::string>());
  }
  for (const Json& rule : read["rules"]) {
    const bool whole = rule.is_object() && rule.contains("slot") &&
                       rule["slot"].is_number_unsigned() && rule.contains("name") &&
                       rule["name"].is_string() && rule.contains("impair") &&
                       rule["impair"].is_array();
    if (!whole || rule["slot"].get<std::uint64_t>() >= kSlotsMax)
      return false;
    const auto slot = rule["slot"].get<std::size_t>();
    if (names->rules.size() <= slot)
      names->rules.resize(slot + 1);
    JournalNames::Rule& named = names->rules[slot];
    named.name = rule["name"].get<std::string>();
    named.hash = hash_name(named.name);
    for (const Json& kind : rule["impair"])
      named.kinds.push_back(kind.is_string() ? kind.get<std::string>() : std::string());
  }
  all[generation] = std::move(names);
  return true;
}

}  // namespace faultline
