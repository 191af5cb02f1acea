// Grouping pairs by their clients and giving figures their names.
#include "control/clock_report.hpp"

#include <map>
#include <string>

namespace faultline {
namespace {

Json rule_of(const ToldPair& pair, const Policy& policy) {
  for (const RuleProgram& rule : policy.rules)
    if (rule.slot == pair.rule_slot)
      return rule.name;
  return nullptr;
}

Json role_of(const ToldPair& pair) {
  switch (pair.role) {
    case ClockRole::kByItself:
      return nullptr;
    case ClockRole::kSource:
      return "source";
    case ClockRole::kVictim:
      return "victim";
  }
  return nullptr;
}

Json pair_json(const ToldPair& pair, const Policy& policy) {
  const std::string_view mode = clock_mode_name(pair.mode);
  const bool rewritten = pair.rewritten > 0;
  return {{"source", address_text(pair.kind, pair.source)},
          {"protocol", pair.is_ptp ? "ptp" : "ntp"},
          {"mode", mode.empty() ? Json() : Json(mode)},
          {"shifted", pair.is_shifted},
          {"told", pair.told},
          {"rewritten", pair.rewritten},
          {"unrewritable", pair.unrewritable},
          {"dropped", pair.dropped},
          {"late", pair.late},
          {"first_ns", rewritten ? Json(pair.first_ns) : Json()},
          {"last_ns", rewritten ? Json(pair.last_ns) : Json()},
          {"rule", rule_of(pair, policy)},
          {"as", role_of(pair)}};
}

}  // namespace

Json clocks_json(const ClockPairs& pairs, const Policy& policy) {
  if (!policy.watches_clocks())
    return nullptr;
  Json clients = Json::array();
  std::map<std::string, std::size_t> places;
  for (const ToldPair& pair : pairs.pairs()) {
    if (pair.told == 0)
      continue;  // asked, and not answered so far
    const std::string name = address_text(pair.kind, pair.client);
    const auto [place, is_new] = places.try_emplace(name, clients.size());
    if (is_new)
      clients.push_back(
          {{"client", name}, {"sources", 0U}, {"shifted", 0U}, {"pairs", Json::array()}});
    Json& client = clients[place->second];
    client["sources"] = client["sources"].get<std::uint64_t>() + 1;
    client["shifted"] = client["shifted"].get<std::uint64_t>() + (pair.is_shifted ? 1U : 0U);
    client["pairs"].push_back(pair_json(pair, policy));
  }
  return {{"clients", clients}, {"uncounted", pairs.uncounted()}};
}

}  // namespace faultline
