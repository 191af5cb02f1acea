// faultline plan: what giving the daemon a scenario would change, key by key, and nothing else.
#include <set>

#include "app/daemon_client.hpp"
#include "app/prepare.hpp"
#include "control/scenario_tree.hpp"

namespace faultline {
namespace {

/// One difference: a place such as "rules.wan.impair", what stands there now and what would.
struct Difference {
  std::string place;
  Json now;     ///< null: nothing stands there
  Json wanted;  ///< null: nothing would
};

/// What lists are compared by: entries with names by those, all others by their places.
std::string name_of(const Json& item, std::size_t index) {
  if (item.is_object() && item.contains("name") && item["name"].is_string())
    return item["name"].get<std::string>();
  return std::to_string(index + 1);
}

Json by_name(const Json& value) {
  if (!value.is_array())
    return value;
  Json named = Json::object();
  for (std::size_t index = 0; index < value.size(); ++index)
    named[name_of(value[index], index)] = value[index];
  return named;
}

void compare(const std::string& place, const Json& now, const Json& wanted,
             std::vector<Difference>& differences) {
  if (now == wanted)
    return;
  const bool opens = now.is_structured() && wanted.is_structured() && now.type() == wanted.type();
  if (!opens) {
    differences.push_back({place, now, wanted});
    return;
  }
  const Json left = by_name(now);
  const Json right = by_name(wanted);
  const auto inner = [&](const std::string& key) {
    return place.empty() ? key : place + "." + key;
  };
  const auto at = [](const Json& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? Json() : *found;
  };
  std::set<std::string> told;
  for (const auto& [key, value] : left.items()) {
    told.insert(key);
    compare(inner(key), value, at(right, key), differences);
  }
  for (const auto& [key, value] : right.items())
    if (!told.contains(key))
      compare(inner(key), Json(), value, differences);
}

/// Of named lists the order counts as well.
void compare_order(const Json& now, const Json& wanted, std::vector<Difference>& differences) {
  const auto order = [](const Json& policy, const Json& other) {
    Json names = Json::array();
    const Json theirs = by_name(other.value("rules", Json::array()));
    const Json ours = by_name(policy.value("rules", Json::array()));
    for (const auto& [name, rule] : ours.items())
      if (theirs.contains(name))
        names.push_back(name);
    return names;
  };
  const Json before = order(now, wanted);
  const Json after = order(wanted, now);
  if (before != after)
    differences.push_back({"rules, in the order", before, after});
}

void show(const std::vector<Difference>& differences) {
  for (const Difference& each : differences) {
    if (each.now.is_null())
      fmt::print("+ {}: {}\n", each.place, each.wanted.dump());
    else if (each.wanted.is_null())
      fmt::print("- {}: {}\n", each.place, each.now.dump());
    else
      fmt::print("~ {}: {} -> {}\n", each.place, each.now.dump(), each.wanted.dump());
  }
  if (differences.empty())
    fmt::print("no difference\n");
}

}  // namespace

Exit run_plan(const DaemonOptions& daemon, const std::string& file) {
  const PreparedScenario prepared = prepare_scenario(daemon, file, {});
  if (prepared.exit != Exit::kDone)
    return prepared.exit;
  const Answer answer = ask_daemon(daemon, call_for("GET", "/v1/policy"));
  if (answer.exit != Exit::kDone)
    return answer.exit;
  Json wanted = to_json(prepared.scenario->tree);
  Json now = answer.json;
  if (!prepared.has_seed)
    wanted["seed"] = now["seed"];  // one will be drawn: that is no difference of the file
  std::vector<Difference> differences;
  compare("", now, wanted, differences);
  compare_order(now, wanted, differences);
  if (daemon.form == OutputForm::kHuman) {
    show(differences);
    return Exit::kDone;
  }
  Json list = Json::array();
  for (const Difference& each : differences)
    list.push_back({{"place", each.place}, {"now", each.now}, {"wanted", each.wanted}});
  fmt::print("{}\n", Json{{"differences", list}}.dump());
  return Exit::kDone;
}

}  // namespace faultline
