// Presets: what a use becomes, where it goes, and what is said to a wrong one. What each preset
// does to packets is measured in tests/sim/test_sim_presets.py.
#include <gtest/gtest.h>

#include "policy/presets.hpp"
#include "policy/timeline.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using Lines = std::vector<std::string>;

constexpr const char* kTwoWires =
    "ports: {a: {driver: sim}, b: {driver: sim}, c: {driver: sim}, d: {driver: sim}}\n"
    "wires: {w: [a, b], v: {ports: [c, d]}}\n";

/// The rules of a scenario with this `use:`, as text; the rest of it stands behind.
std::string rules_of(const std::string& use, const std::string& rest = "") {
  ConfigNode tree = test::tree_of("version: 1\nuse: " + use + "\n" + rest);
  Problems problems;
  expand_presets(tree, ScenarioUse::kSimulate, problems);
  EXPECT_EQ(test::lines_of(problems), Lines{});
  EXPECT_EQ(tree.find("use"), nullptr);
  const ConfigNode* rules = tree.find("rules");
  return rules == nullptr ? "none" : to_yaml(*rules);
}

Lines errors_of(const std::string& use, const std::string& rest = "") {
  const Result<Scenario> scenario =
      read_scenario(test::tree_of("version: 1\nuse: " + use + "\n" + rest), ScenarioUse::kSimulate);
  return scenario ? Lines{} : test::lines_of(scenario.error());
}

std::string end_text(const LinkEnd& end) {
  std::string text;
  for (std::size_t bit = 0; bit < 10; ++bit) {
    if (!end.any && (end.ports >> bit & 1U) != 0)
      text += std::to_string(bit);
    if (!end.any && (end.nodes >> bit & 1U) != 0)
      text += "n" + std::to_string(bit);
  }
  return text;
}

/// Names, and the ends of each: "name from>to", ports by their number, nodes by n and theirs.
Lines paths_of(const std::string& use, const std::string& rest = "") {
  const Result<Scenario> scenario =
      read_scenario(test::tree_of("version: 1\nuse: " + use + "\n" + rest), ScenarioUse::kSimulate);
  if (!scenario)
    return test::lines_of(scenario.error());
  Lines lines;
  for (const RuleSpec& rule : scenario->rules)
    lines.push_back(rule.name + " " + end_text(rule.from) + ">" + end_text(rule.to));
  return lines;
}

TEST(PolicyPresets, AUseBecomesRules) {
  EXPECT_EQ(rules_of("[{preset: wan_transatlantic, on: lab, loss: 0.1%}]"),
            "- name: wan_transatlantic\n"
            "  impair:\n"
            "    - loss: 0.1%\n"
            "    - delay:\n"
            "        time: 44.5ms\n"
            "        jitter: 445us\n"
            "        distribution: normal\n"
            "        order: keep\n");
  EXPECT_EQ(rules_of("[{preset: chrome_slow_4g, rtt: 100ms, up: 1Mbit}]"),
            "- name: chrome_slow_4g.down\n"
            "  from:\n    - right\n"
            "  to:\n    - left\n"
            "  impair:\n"
            "    - rate: 1.6Mbit\n"
            "    - queue:\n        limit: 100p\n"
            "    - delay: 50ms\n"
            "- name: chrome_slow_4g.up\n"
            "  from:\n    - left\n"
            "  to:\n    - right\n"
            "  impair:\n"
            "    - rate: 1Mbit\n"
            "    - queue:\n        limit: 100p\n"
            "    - delay: 50ms\n");
  EXPECT_EQ(rules_of("[]"), "none");
}

TEST(PolicyPresets, RulesComeBeforeTheScenariosOwn) {
  EXPECT_EQ(paths_of("[{preset: geo}, {preset: dc_incident}]",
                     "rules: [{name: own, impair: [loss: 1%]}]\n"),
            (Lines{"geo >", "dc_incident >", "own >"}));
  EXPECT_EQ(paths_of("[{preset: geo}]", "rules:\n"), Lines{"geo >"});
}

TEST(PolicyPresets, OnSaysWhere) {
  EXPECT_EQ(paths_of("[{preset: geo, on: w}]", kTwoWires), Lines{"geo 01>01"});
  EXPECT_EQ(paths_of("[{preset: geo, on: v}]", kTwoWires), Lines{"geo 23>23"});
  EXPECT_EQ(paths_of("[{preset: geo, on: d}]", kTwoWires), Lines{"geo 3>2"});
  EXPECT_EQ(paths_of("[{preset: geo, on: 'c > d'}]", kTwoWires), Lines{"geo 2>3"});
  EXPECT_EQ(paths_of("[{preset: geo, on: d>c}]", kTwoWires), Lines{"geo 3>2"});
  EXPECT_EQ(paths_of("[{preset: lighthouse, on: v}]", kTwoWires),
            (Lines{"lighthouse.down 3>2", "lighthouse.up 2>3"}));
  EXPECT_EQ(paths_of("[{preset: lighthouse, on: v, reverse: true}]", kTwoWires),
            (Lines{"lighthouse.down 2>3", "lighthouse.up 3>2"}));
  // One direction: what comes in by a client's port is its uplink.
  EXPECT_EQ(paths_of("[{preset: lighthouse, on: c}]", kTwoWires), Lines{"lighthouse.up 2>3"});
  EXPECT_EQ(paths_of("[{preset: lighthouse, on: c, reverse: true}]", kTwoWires),
            Lines{"lighthouse.down 2>3"});
}

constexpr const char* kRack =
    "ports: {a: {driver: sim}, b: {driver: sim}, c: {driver: sim}}\n"
    "switches: {rack: [a, b, c]}\n"
    "nodes: {db: {port: b}, x: {ip: 10.0.0.1}, y: {ip: 10.0.0.2}}\n";

TEST(PolicyPresets, OnASwitchAndOnNodes) {
  EXPECT_EQ(paths_of("[{preset: geo}]", kRack), Lines{"geo >"});
  EXPECT_EQ(paths_of("[{preset: geo, on: rack}]", kRack), Lines{"geo >"});
  EXPECT_EQ(paths_of("[{preset: geo, on: a}]", kRack), Lines{"geo 0>"});
  EXPECT_EQ(paths_of("[{preset: geo, on: a>c}]", kRack), Lines{"geo 0>2"});
  EXPECT_EQ(paths_of("[{preset: geo, on: x}]", kRack), (Lines{"geo.up n1>", "geo.down >n1"}));
  EXPECT_EQ(paths_of("[{preset: geo, on: x>db}]", kRack), Lines{"geo n1>1"});
  EXPECT_EQ(paths_of("[{preset: rack_wonky, on: [x, y]}]", kRack),
            (Lines{"rack_wonky.up n1n2>", "rack_wonky.down >n1n2"}));
  EXPECT_EQ(paths_of("[{preset: nic_deaf, on: x}]", kRack), Lines{"nic_deaf >n1"});
  EXPECT_EQ(paths_of("[{preset: lighthouse, on: x, reverse: true}]", kRack),
            (Lines{"lighthouse.down n1>", "lighthouse.up >n1"}));
  EXPECT_EQ(errors_of("[{preset: lighthouse}]", kRack),
            Lines{"f:2:7: error: nothing of preset 'lighthouse' goes that way; on: a wire, the "
                  "other direction or a node, or reverse: true"});
  EXPECT_EQ(errors_of("[{preset: geo, on: z}]", kRack),
            Lines{"f:2:25: error: no wire, switch, node, port or path 'z'; a switch (rack), a node "
                  "(db, x, y), a port that packets come in by, or a path such as a>b"});
  EXPECT_EQ(errors_of("[{preset: geo, on: [x, a]}]", kRack),
            Lines{"f:2:29: error: no node 'a'; a list of nodes (db, x, y)"});
  EXPECT_EQ(errors_of("[{preset: geo, on: []}]", kRack).size(), 1U);
  const std::string both =
      std::string(kTwoWires).replace(8, 0, "e: {driver: sim}, f: {driver: sim}, ") +
      "switches: {s: [e, f]}\n";
  EXPECT_EQ(paths_of("[{preset: geo, on: s}]", both), Lines{"geo 01>01"});
  EXPECT_EQ(errors_of("[{preset: geo}]", both)[0].substr(0, 61),
            "f:2:7: error: use: 'on' is missing, with 2 wires and 1 switch");
}

TEST(PolicyPresets, NamesSayWhichUse) {
  EXPECT_EQ(
      paths_of("[{preset: geo, on: w}, {preset: geo, on: c>d}, {preset: geo, on: d}]", kTwoWires),
      (Lines{"geo.w 01>01", "geo.c-d 2>3", "geo.d 3>2"}));
  EXPECT_EQ(paths_of("[{preset: lighthouse, name: mobile}, {preset: geo}]"),
            (Lines{"mobile.down 1>0", "mobile.up 0>1", "geo >"}));
  EXPECT_EQ(errors_of("[{preset: geo}, {preset: geo, on: lab}]"),
            Lines{"f:2:22: error: a second rule named 'geo.lab' from presets; another `on`, or a "
                  "`name` for this use"});
  EXPECT_EQ(errors_of("[{preset: geo}, {preset: dc_incident, name: geo}]"),
            Lines{"f:2:22: error: a second rule named 'geo' from presets; another `on`, or a "
                  "`name` for this use"});
  EXPECT_EQ(errors_of("[{preset: geo}]", "rules: [{name: geo, impair: [loss: 1%]}]\n"),
            Lines{"f:3:9: error: a second rule named 'geo'; names used once"});
}

TEST(PolicyPresets, KeysOfRulesGoToEach) {
  EXPECT_EQ(rules_of("[{preset: github_2018, ttl: 10s, enabled: false, optional: true, lease: lab, "
                     "match: {proto: udp}}]"),
            "- name: github_2018\n"
            "  impair:\n    - loss: all\n"
            "  ttl: 10s\n"
            "  enabled: false\n"
            "  optional: true\n"
            "  lease: lab\n"
            "  match:\n    proto: udp\n");
  const std::string both = rules_of("[{preset: ptp_gm_asym, match: {src: 10.0.0.1}}]");
  EXPECT_NE(both.find("  match:\n    all:\n      - any:\n"), std::string::npos) << both;
  EXPECT_NE(both.find("      - src: 10.0.0.1\n"), std::string::npos) << both;
}

TEST(PolicyPresets, TablesAreLookedUp) {
  const auto delay = [](const std::string& ends) {
    const std::string rules = rules_of("[{preset: wan" + ends + "}]");
    return rules.substr(rules.find("time: ") + 6,
                        rules.find("\n        jitter") - rules.find("time: ") - 6);
  };
  EXPECT_EQ(delay(""), "44.5ms");
  EXPECT_EQ(delay(", from: Brazil South, to: Japan East"), "132.5ms");
  EXPECT_EQ(delay(", from: Japan East, to: Brazil South"), "137.5ms");
  EXPECT_EQ(delay(", from: Qatar Central, to: France Central"), "43.5ms");
  EXPECT_EQ(delay(", from: UAE North, to: Brazil South"), "146.5ms") << "the reverse serves";
  EXPECT_EQ(errors_of("[{preset: wan, from: East Us, to: Mars}]").size(), 2U);
  EXPECT_EQ(errors_of("[{preset: wan, from: East Us}]")[0].substr(0, 61),
            "f:2:27: error: unknown place 'East Us'; one of Australia East");
  EXPECT_EQ(errors_of("[{preset: wan, from: Belgium Central, to: UAE North}]"),
            Lines{"f:2:7: error: no figure for 'Belgium Central' and 'UAE North'; with 'Belgium "
                  "Central' go West Europe"});
}

TEST(PolicyPresets, Errors) {
  const test::ErrorCase cases[] = {
      {"{preset: geo}",
       {"f:2:6: error: use is a mapping; a list of at most 256 presets, such as [{preset: geo}]"}},
      {"[geo]", {"f:2:7: error: use: found 'geo'; a mapping of keys to values"}},
      {"[{on: lab}]", {"f:2:7: error: use: 'preset' is missing"}},
      {"[{preset: wan_transatlantik}]",
       {"f:2:16: error: unknown preset 'wan_transatlantik'; one of those that `faultline preset "
        "list` names; did you mean 'wan_transatlantic'?"}},
      {"[{preset: [geo]}]",
       {"f:2:16: error: unknown preset a list; one of those that `faultline preset list` names"}},
      {"[{preset: geo, los: 1%}]",
       {"f:2:21: error: use: unknown key 'los'; known keys are preset, delay, loss, on, reverse, "
        "name, enabled, ttl, optional, lease, match; did you mean 'loss'?"}},
      {"[{preset: geo, loss: 1ms}]", {"f:2:27: error: loss is '1ms'; a probability such as 0.5%"}},
      {"[{preset: geo, delay: 300}]", {"f:2:28: error: delay is '300'; a duration such as 300ms"}},
      {"[{preset: geo, delay: [1ms]}]",
       {"f:2:28: error: delay is a list; a duration such as 300ms"}},
      {"[{preset: lighthouse, up: 1ms}]", {"f:2:32: error: up is '1ms'; a rate such as 750kbit"}},
      {"[{preset: wan_transatlantic, rtt: 60h}]",
       {"f:2:40: error: '30h' is out of range; a duration of at most 1d"}},
      {"[{preset: lighthouse, queue: 100}]",  // of both rules, told once
       {"f:2:35: error: found '100'; packets such as 100p, bytes such as 1MB or a time such as "
        "50ms"}},
      {"[{preset: aws_short_cuts, for: 70s}]",
       {"f:2:37: error: $every - $for comes to 60s - 70s, which is no duration; other values"}},
      {"[{preset: geo, on: lap}]",
       {"f:2:25: error: no wire, port or path 'lap'; a wire (lab), a port that packets come in "
        "by, or a path such as left>right; did you mean 'lab'?"}},
      {"[{preset: geo, on: [left]}]",
       {"f:2:26: error: no node 'left'; a list of nodes, told under nodes:"}},
      {"[{preset: geo, on: left>left}]",
       {"f:2:25: error: no wire, port or path 'left>left'; a wire (lab), a port that packets come "
        "in by, or a path such as left>right"}},
      {"[{preset: nic_deaf, on: left}]",
       {"f:2:7: error: nothing of preset 'nic_deaf' goes that way; on: a wire, the "
        "other direction or a node, or reverse: true"}},
      {"[{preset: geo, reverse: 1}]",
       {"f:2:30: error: found '1'; true or false, without quotes; did you mean 'true'?"}},
      {"[{preset: geo, enabled: 1}]",
       {"f:2:30: error: found '1'; true or false, without quotes; did you mean 'true'?"}},
  };
  for (const test::ErrorCase& one : cases)
    EXPECT_EQ(errors_of(std::string(one.yaml)), one.lines) << one.yaml;
  EXPECT_EQ(errors_of("[{preset: geo}]", kTwoWires),
            Lines{"f:2:7: error: use: 'on' is missing, with 2 wires; on: a wire (w, v), a port "
                  "that packets come in by, or a path such as a>b"});
}

TEST(PolicyPresets, WithoutPortsALiveScenarioKeepsItsUse) {
  ConfigNode tree = test::tree_of("version: 1\nuse: [{preset: geo}]\n");
  Problems problems;
  expand_presets(tree, ScenarioUse::kLive, problems);
  EXPECT_NE(tree.find("use"), nullptr);
  EXPECT_TRUE(problems.empty());
}

TEST(PolicyPresets, WiresThatAreWrongAreToldWhereTheyStand) {
  const Lines lines = errors_of("[{preset: geo}]", "wires: {lab: [left]}\n");
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.back().substr(0, 6), "f:3:14");
}

constexpr std::string_view kKeys[] = {"preset", "description", "headline", "parameters",
                                      "lookup", "rules",       "timeline"};

/// Each one by itself: its keys, and that it is used and compiled with what it says.
TEST(PolicyPresets, AllOfThem) {
  ASSERT_GE(preset_texts().size(), 60U);
  for (const PresetText& text : preset_texts()) {
    const ConfigNode tree = preset_tree(text);
    for (const ConfigEntry& entry : tree.entries)
      EXPECT_NE(std::ranges::find(kKeys, entry.key), std::end(kKeys)) << text.name;
    EXPECT_EQ(tree.find("preset")->text, text.name);
    EXPECT_GT(preset_source(text).size(), 40U) << text.name << " says where it comes from";
    EXPECT_GT(tree.find("headline")->entries.size(), 0U) << text.name;
    const std::string use = "[{preset: " + std::string(text.name) + "}]";
    const char* nodes = "nodes: {n1: {ip: 10.0.0.1}, n2: {ip: 10.0.0.2}, n3: {ip: 10.0.0.3}}\n";
    const bool needs_nodes = text.text.find("`nodes:`") != std::string::npos;
    EXPECT_EQ(errors_of(use, needs_nodes ? nodes : ""), Lines{}) << text.name;
    EXPECT_EQ(errors_of(use).empty(), !needs_nodes) << text.name;
    EXPECT_EQ(rules_of(use).find('$'), std::string::npos) << text.name;
    if (const ConfigNode* parameters = tree.find("parameters"))
      for (const ConfigEntry& parameter : parameters->entries) {
        EXPECT_TRUE(parameter.value.is_scalar()) << text.name;
        EXPECT_NE(
            text.text.find(parameter.key, text.text.find('\n', text.text.find("parameters:"))),
            std::string::npos)
            << text.name << " uses " << parameter.key;
        for (const char* taken :
             {"preset", "on", "reverse", "name", "enabled", "ttl", "optional", "lease", "match"})
          EXPECT_NE(parameter.key, taken) << text.name;
      }
  }
}

}  // namespace
}  // namespace faultline
