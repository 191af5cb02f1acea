// Scenarios into policies: every key that is read, every key that is refused and how, what survives
// from one policy to the next, and what a policy will need.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "policy/compile.hpp"
#include "policy/scenario.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::lines_of;
using test::tree_of;

std::vector<std::string> errors_of(std::string_view yaml,
                                   ScenarioUse use = ScenarioUse::kSimulate) {
  const Result<Scenario> scenario = read_scenario(tree_of(yaml), use);
  return scenario ? std::vector<std::string>{} : lines_of(scenario.error());
}

Scenario scenario_of(std::string_view yaml, ScenarioUse use = ScenarioUse::kSimulate) {
  Result<Scenario> scenario = read_scenario(tree_of(yaml), use);
  if (!scenario) {
    ADD_FAILURE() << to_line(scenario.error().front()) << "\n" << yaml;
    return {};
  }
  return std::move(*scenario);
}

/// "version: 1" and these rules.
std::string with_rules(const std::vector<std::string>& rules) {
  std::string yaml = "version: 1\nrules:\n";
  for (const std::string& rule : rules) yaml += "  - {" + rule + "}\n";
  return yaml;
}

std::string rule_named(const std::string& name) {
  return "name: " + name + ", impair: [delay: 1ms]";
}

/// Compiles policy after policy with the same slots, as the control plane does.
class Compiler {
 public:
  explicit Compiler(std::size_t ports = 2) : slots(ports) {}

  Policy compile(const std::string& yaml, const CompileRequest& request = {}) {
    const Scenario scenario = scenario_of(yaml);
    Result<Policy> policy = compile_policy(scenario, request, slots);
    if (!policy) {
      ADD_FAILURE() << to_line(policy.error().front());
      return {};
    }
    return std::move(*policy);
  }

  PolicySlots slots;
};

// --- reading -------------------------------------------------------------------------------------

TEST(PolicyScenario, DefaultsOfASimulation) {
  const Scenario scenario = scenario_of("version: 1\n");
  ASSERT_EQ(scenario.ports.size(), 2U);
  EXPECT_EQ(scenario.ports[0].name, "left");
  EXPECT_EQ(scenario.ports[1].name, "right");
  EXPECT_EQ(scenario.ports[0].settings.driver, Driver::kSim);
  ASSERT_EQ(scenario.wires.size(), 1U);
  EXPECT_EQ(scenario.wires[0].name, "lab");
  EXPECT_EQ(scenario.wires[0].first, 0U);
  EXPECT_EQ(scenario.wires[0].second, 1U);
  EXPECT_EQ(scenario.flows_max, 65'536U);
  EXPECT_EQ(scenario.flow_idle_ns, 60 * kNsPerSecond);
  EXPECT_FALSE(scenario.seed.has_value());
  EXPECT_FALSE(scenario.hold_bytes.has_value());
  EXPECT_TRUE(scenario.rules.empty());
}

constexpr std::string_view kWholeScenario =
    "version: 1\n"
    "name: whole\n"
    "description: one of each\n"
    "seed: 18446744073709551615\n"
    "hold: {memory: 2GB}\n"
    "flows: {max: 1M, idle: 90s}\n"
    "ports:\n"
    "  left:  {driver: af_packet, interface: fl-left, mtu: 9000}\n"
    "  right: {driver: 'null', size: 128B, no_rx: true, mtu: 1400B}\n"
    "  a: {driver: 'null'}\n"
    "  b: {driver: sim}\n"
    "wires:\n"
    "  lab: [left, right]\n"
    "  spare: {ports: [b, a]}\n"
    "rules:\n"
    "  - name: first\n"
    "    from: left\n"
    "    to: [right, a]\n"
    "    match: {proto: udp}\n"
    "    per: rule\n"
    "    draw: flow\n"
    "    shared: false\n"
    "    in_flight: deliver\n"
    "    ttl: 10m\n"
    "    final: false\n"
    "    enabled: false\n"
    "    impair: [loss: 1%, delay: 2ms]\n"
    "  - {name: second, from: any, ttl: none, impair: [delay: 1ms]}\n"
    "  - {name: third, impair: [delay: 1ms]}\n";

TEST(PolicyScenario, EveryKeyThatIsRead) {
  const Scenario scenario = scenario_of(kWholeScenario, ScenarioUse::kLive);
  EXPECT_EQ(scenario.name, "whole");
  EXPECT_EQ(scenario.seed, UINT64_MAX);
  EXPECT_EQ(scenario.hold_bytes, 2'000'000'000U);
  EXPECT_EQ(scenario.flows_max, 1'000'000U);
  EXPECT_EQ(scenario.flow_idle_ns, 90 * kNsPerSecond);
  ASSERT_EQ(scenario.ports.size(), 4U);
  EXPECT_EQ(scenario.ports[0].settings.driver, Driver::kAfPacket);
  EXPECT_EQ(scenario.ports[0].settings.interface, "fl-left");
  EXPECT_EQ(scenario.ports[0].settings.mtu_bytes, 9'000U);
  EXPECT_EQ(scenario.ports[1].settings.driver, Driver::kNull);
  EXPECT_EQ(scenario.ports[1].settings.frame_bytes, 128U);
  EXPECT_FALSE(scenario.ports[1].settings.receives);
  EXPECT_EQ(scenario.ports[1].settings.mtu_bytes, 1'400U);
  EXPECT_EQ(scenario.ports[2].settings.frame_bytes, 64U);
  EXPECT_TRUE(scenario.ports[2].settings.receives);
  EXPECT_EQ(scenario.ports[2].settings.mtu_bytes, 1'500U);
  ASSERT_EQ(scenario.wires.size(), 2U);
  EXPECT_EQ(scenario.wires[1].name, "spare");
  EXPECT_EQ(scenario.wires[1].first, 3U);
  EXPECT_EQ(scenario.wires[1].second, 2U);
  ASSERT_EQ(scenario.rules.size(), 3U);
  const RuleSpec& first = scenario.rules[0];
  EXPECT_EQ(first.name, "first");
  EXPECT_EQ(first.from.ports, 0b001U);
  EXPECT_EQ(first.to.ports, 0b110U);
  EXPECT_FALSE(first.from.any || first.to.any);
  EXPECT_FALSE(first.enabled);
  EXPECT_EQ(first.ttl, TtlKind::kTime);
  EXPECT_EQ(first.ttl_ns, 600 * kNsPerSecond);
  ASSERT_NE(first.match, nullptr);
  EXPECT_EQ(first.match->entries.at(0).key, "proto");
  ASSERT_NE(first.impair, nullptr);
  EXPECT_EQ(first.impair->items.size(), 2U);
  EXPECT_EQ(first.mark.line, 16U);
  EXPECT_TRUE(scenario.rules[1].from.any);
  EXPECT_EQ(scenario.rules[1].ttl, TtlKind::kNone);
  EXPECT_EQ(scenario.rules[2].ttl, TtlKind::kDefault);
  EXPECT_TRUE(scenario.rules[2].enabled);
  EXPECT_EQ(scenario.rules[2].match, nullptr);
}

TEST(PolicyScenario, Errors) {
  const std::string ports = "version: 1\nports: {a: {driver: sim}, b: {driver: sim}}\n";
  struct ScenarioCase {
    std::string yaml;
    std::vector<std::string> lines;
  };
  const ScenarioCase cases[] = {
      {"seed: 1\n", {"f:1:1: error: scenario: 'version' is missing"}},
      {"version: 2\n", {"f:1:10: error: unknown version '2'; 1"}},
      {"version: [1]\n", {"f:1:10: error: unknown version a list; 1"}},
      {"[]", {"f:1:1: error: scenario: found a list; a mapping of keys to values"}},
      {"version: 1\nrules: 5\n", {"f:2:8: error: rules is '5'; a list of rules"}},
      {"version: 1\nseed: -1\n",
       {"f:2:7: error: '-1' is negative; a count such as 10, 5k or 1M (k M G)"}},
      {"version: 1\nflows: {max: 0}\n",
       {"f:2:14: error: '0' is out of range; a count between 1 and 67108864"}},
      {"version: 1\nhold: {memory: 1KB}\n",
       {"f:2:16: error: '1KB' is out of range; a size between 1MiB and 1TiB"}},
      // Rules.
      {with_rules({rule_named("r"), rule_named("r")}),
       {"f:4:5: error: a second rule named 'r'; names used once"}},
      {with_rules({"impair: [delay: 1ms]"}), {"f:3:5: error: rule: 'name' is missing"}},
      {with_rules({"name: r"}), {"f:3:5: error: rule: 'impair' is missing"}},
      {with_rules({"name: r, impair: []"}),
       {"f:3:23: error: impair is a list; a list of at least one impairment"}},
      {with_rules({"name: r, impair: {delay: 1ms}"}),
       {"f:3:23: error: impair is a mapping; a list of at least one impairment"}},
      {with_rules({"name: r, impair: [delay: 1ms], from: lefd"}),
       {"f:3:43: error: unknown port 'lefd'; one of the ports left, right; did you mean 'left'?"}},
      {with_rules({"name: r, impair: [delay: 1ms], to: [right, {}]"}),
       {"f:3:49: error: unknown port a mapping; one of the ports left, right"}},
      {with_rules({"name: r, impair: [delay: 1ms], to: []"}),
       {"f:3:41: error: an empty list of ports; at least one port, or leave the key out"}},
      {with_rules({"name: r, impair: [delay: 1ms], from: left, to: left"}),
       {"f:3:5: error: rule 'r' selects no path: no wire leads that way; from and to at the two "
        "ends of a wire"}},
      {with_rules({"name: r, impair: [delay: 1ms], ttl: 1us"}),
       {"f:3:42: error: '1us' is out of range; a duration between 1ms and 366d"}},
      {with_rules({"name: r, impair: [delay: 1ms], per: flwo"}),
       {"f:3:42: error: found 'flwo'; one of rule, flow, source, destination, pair; did you mean "
        "'flow'?"}},
      // Ports and wires.
      {"version: 1\nports: {a: {driver: sim}}\nwires: {w: [a, a]}\n",
       {"f:3:16: error: port 'a' is in a wire already; a port belongs to one wire"}},
      {ports,
       {"f:1:1: error: the ports are joined by no wire; for example wires: {lab: [left, "
        "right]}"}},
      {ports + "wires: {w: [a, c]}\n", {"f:3:16: error: unknown port 'c'; one of the ports a, b"}},
      {ports + "wires: {w: [a]}\n",
       {"f:3:12: error: wire 'w' is a list; a list of exactly two ports"}},
      {ports + "wires: {}\n",
       {"f:2:9: error: port 'a' belongs to no wire; every port in one wire"}},
      {ports + "wires: {v: [a, b], w: [b, a]}\n",
       {"f:3:24: error: port 'b' is in a wire already; a port belongs to one wire",
        "f:3:27: error: port 'a' is in a wire already; a port belongs to one wire"}},
      {"version: 1\nports: {a: {driver: null}, b: {driver: sim}}\nwires: {w: [a, b]}\n",
       {"f:2:21: error: an unquoted null is YAML's nothing; the driver's name in quotes: driver: "
        "\"null\""}},
      {"version: 1\nports: {a: {driver: af_packet}, b: {driver: sim}}\nwires: {w: [a, b]}\n",
       {"f:2:12: error: port: 'interface' is missing"}},
      {"version: 1\nports: {a: {driver: af_packet, interface: a/b}, b: {driver: sim}}\n"
       "wires: {w: [a, b]}\n",
       {"f:2:43: error: 'a/b' cannot be an interface's name; 1 to 15 characters without '/', ':', "
        "',', '%' and blanks"}},
      {"version: 1\nports: {a: {driver: sim, mtu: 67}, b: {driver: sim}}\nwires: {w: [a, b]}\n",
       {"f:2:31: error: '67' is out of range; a count between 68 and 9600"}},
  };
  for (const ScenarioCase& one : cases) EXPECT_EQ(errors_of(one.yaml), one.lines) << one.yaml;
}

TEST(PolicyScenario, AFileForTheDaemonNeedsPorts) {
  EXPECT_EQ(errors_of("version: 1\n", ScenarioUse::kLive),
            std::vector<std::string>{
                "f:1:1: error: a scenario for the daemon needs ports; for example ports: {left: "
                "{driver: af_packet, interface: eth0}, right: …}"});
}

struct UnknownCase {
  std::string yaml;
  std::string begins;
  std::string nearest;  ///< empty: none
};

TEST(PolicyScenario, UnknownKeysAreToldWithTheNearest) {
  const UnknownCase cases[] = {
      {"version: 1\nrulse: []\n", "f:2:1: error: scenario: unknown key 'rulse'; known keys are ",
       "rules"},
      {"version: 1\nzzz: 1\n", "f:2:1: error: scenario: unknown key 'zzz'; ", ""},
      {"version: 1\nhold: {memroy: 1MB}\n", "f:2:8: error: hold: unknown key 'memroy'; ", "memory"},
      {"version: 1\nflows: {maxx: 1}\n", "f:2:9: error: flows: unknown key 'maxx'; ", "max"},
      {"version: 1\nports: {a: {driver: sim, mtus: 1}, b: {driver: sim}}\nwires: {w: [a, b]}\n",
       "f:2:26: error: port: unknown key 'mtus'; ", "mtu"},
      {with_rules({"name: r, impair: [delay: 1ms], form: left"}),
       "f:3:37: error: rule: unknown key 'form'; ", "from"},
      {with_rules({"name: r, impair: [delay: 1ms], match: {dprot: 1}"}),
       "f:3:45: error: match: unknown key 'dprot'; ", "dport"},
      {with_rules({"name: r, impair: [delay: {tiem: 1ms, time: 1ms}]"}),
       "f:3:32: error: delay: unknown key 'tiem'; ", "time"},
  };
  for (const UnknownCase& one : cases) {
    const std::vector<std::string> lines = errors_of(one.yaml);
    ASSERT_EQ(lines.size(), 1U) << one.yaml;
    EXPECT_EQ(lines[0].substr(0, one.begins.size()), one.begins);
    const std::string ending = "; did you mean '" + one.nearest + "'?";
    const bool ends = lines[0].size() >= ending.size() &&
                      lines[0].compare(lines[0].size() - ending.size(), ending.size(), ending) == 0;
    EXPECT_EQ(ends, !one.nearest.empty()) << lines[0];
    EXPECT_EQ(lines[0].find("did you mean") == std::string::npos, one.nearest.empty()) << lines[0];
  }
}

TEST(PolicyScenario, AllProblemsAtOnceInTheOrderOfTheFile) {
  std::vector<std::string> places;
  for (const std::string& line : errors_of("version: 1\n"
                                           "captures: []\n"
                                           "rules:\n"
                                           "  - {name: a, impair: [delay: 1], from: x}\n"
                                           "  - {name: a, impair: [loss: 2]}\n"
                                           "  - {name: -, impair: [los: 2], match: {dport: 0}}\n"
                                           "flows: {max: x}\n"))
    places.push_back(line.substr(0, line.find(": error")));
  EXPECT_EQ(places, (std::vector<std::string>{"f:2:1", "f:4:31", "f:4:41", "f:5:5", "f:5:30",
                                              "f:6:12", "f:6:24", "f:6:48", "f:7:14"}));
}

TEST(PolicyScenario, Bounds) {
  std::vector<std::string> rules;
  for (std::size_t rule = 0; rule < kRulesMax; ++rule)
    rules.push_back(rule_named("r" + std::to_string(rule)));
  EXPECT_EQ(errors_of(with_rules(rules)), std::vector<std::string>{});
  rules.push_back(rule_named("last"));
  EXPECT_EQ(errors_of(with_rules(rules)),
            std::vector<std::string>{"f:3:3: error: more than 1024 rules; at most 1024"});
  for (const std::size_t pairs : {32U, 33U}) {
    std::string ports = "version: 1\nports:\n";
    std::string wires = "wires:\n";
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      const std::string number = std::to_string(pair);
      ports += "  a" + number + ": {driver: sim}\n  b" + number + ": {driver: sim}\n";
      wires += "  w" + number + ": [a" + number + ", b" + number + "]\n";
    }
    EXPECT_EQ(errors_of(ports + wires),
              pairs == 32
                  ? std::vector<std::string>{}
                  : std::vector<std::string>{"f:3:3: error: more than 64 ports; at most 64"});
  }
}

TEST(PolicyCompile, DelaysCompensateForTheRequestsOwnLatency) {
  Compiler compiler;
  const std::string yaml = with_rules({"name: r, impair: [delay: {time: 1ms, compensate: true}]"});
  const auto adds_ns = [&](const CompileRequest& request) {
    return compiler.compile(yaml, request).rules.front().steps.front().impairment.adds_ns;
  };
  EXPECT_EQ(adds_ns({}), 1'000'000U) << "in virtual time there is none";
  EXPECT_EQ(adds_ns({.own_latency_ns = 250}), 999'750U);
  const Scenario scenario = scenario_of(yaml);
  const Result<Policy> policy =
      compile_policy(scenario, {.own_latency_ns = std::nullopt}, compiler.slots);
  ASSERT_FALSE(policy);
  EXPECT_NE(to_line(policy.error().front()).find("the own latency could not be measured"),
            std::string::npos);
}

// --- paths ---------------------------------------------------------------------------------------

struct PathCase {
  std::string ends;
  std::vector<std::size_t> ingress;
};

TEST(PolicyCompile, FromAndToChoosePaths) {
  const std::string head =
      "version: 1\n"
      "ports: {a: {driver: sim}, b: {driver: sim}, c: {driver: sim}, d: {driver: sim}}\n"
      "wires: {one: [a, b], two: [d, c]}\n";
  const PathCase cases[] = {
      {"", {0, 1, 2, 3}},
      {"from: any, to: any, ", {0, 1, 2, 3}},
      {"from: a, ", {0}},
      {"to: a, ", {1}},
      {"from: b, to: a, ", {1}},
      {"from: [a, b], ", {0, 1}},
      {"from: [a, c], to: [b, d], ", {0, 2}},
      {"from: [a, c], to: d, ", {2}},
      {"to: [c, d], ", {2, 3}},
  };
  const std::size_t egress[] = {1, 0, 3, 2};
  for (const PathCase& one : cases) {
    Compiler compiler(4);
    const Policy policy =
        compiler.compile(head + "rules: [{name: r, " + one.ends + "impair: [delay: 1ms]}]\n");
    ASSERT_EQ(policy.paths.size(), 4U);
    for (std::size_t port = 0; port < 4; ++port) {
      const bool wanted =
          std::find(one.ingress.begin(), one.ingress.end(), port) != one.ingress.end();
      EXPECT_EQ(policy.rules.at(0).paths.test(port), wanted) << one.ends << port;
      EXPECT_EQ(policy.paths[port].rules.size(), wanted ? 1U : 0U) << one.ends << port;
      EXPECT_TRUE(policy.paths[port].exists);
      EXPECT_EQ(policy.paths[port].egress, egress[port]);
    }
  }
}

TEST(PolicyCompile, PathsHaveIdentitiesOfTheirPortsNames) {
  Compiler compiler;
  const Policy policy = compiler.compile(with_rules({rule_named("r")}));
  const auto fnv = [](std::string_view text) {
    std::uint64_t hash = 14'695'981'039'346'656'037U;
    for (const char letter : text)
      hash = (hash ^ static_cast<std::uint8_t>(letter)) * 1'099'511'628'211U;
    return hash;
  };
  EXPECT_EQ(policy.paths[0].identity, fnv("left>right"));
  EXPECT_EQ(policy.paths[1].identity, fnv("right>left"));
}

struct NeedsCase {
  std::string rule;
  bool needs_flow;
  bool delays;
};

TEST(PolicyCompile, WhatARuleNeeds) {
  const NeedsCase cases[] = {
      {"impair: [delay: 1ms]", false, true},
      {"impair: [loss: 1%]", true, false},
      {"impair: [loss: {model: gilbert, p: 1%, r: 1%}]", false, false},
      {"impair: [loss: {model: gilbert, p: 1%, r: 1%}, delay: 1ms]", false, true},
      {"match: {}, impair: [delay: 1ms]", true, true},
      {"match: {proto: udp}, impair: [delay: 1ms]", true, true},
  };
  for (const NeedsCase& one : cases) {
    Compiler compiler;
    const Policy policy = compiler.compile(with_rules({"name: r, from: left, " + one.rule}));
    EXPECT_EQ(policy.paths[0].needs_flow, one.needs_flow) << one.rule;
    EXPECT_FALSE(policy.paths[1].needs_flow) << one.rule;
    EXPECT_EQ(policy.rules[0].delays, one.delays) << one.rule;
  }
  Compiler compiler;
  EXPECT_EQ(compiler
                .compile(with_rules({rule_named("a"), "name: b, impair: [loss: 1%]",
                                     "name: c, impair: [delay: 1ms, loss: {model: gilbert, p: "
                                     "1%, r: 1%}]"}))
                .rule_for_one_worker(),
            "c");
  EXPECT_EQ(compiler.compile(with_rules({rule_named("a")})).rule_for_one_worker(), "");
}

TEST(PolicyCompile, KnowsWhatFollowsConnections) {
  struct Case {
    std::string_view rule;
    bool connection;  ///< it asks who opened what: one worker
    bool tcp;         ///< for sequence numbers
  };
  const Case cases[] = {
      {"match: {tcp: {ack: pure, flags: psh}}, impair: [loss: 1%]", false, false},
      {"impair: [tcp: {zero_window: true, only: acks}]", false, false},
      {"match: {role: reply}, impair: [loss: 1%]", true, false},
      {"draw: connection, impair: [loss: 1%]", true, false},
      {"match: {tcp: {retransmission: true}}, impair: [loss: all]", false, true},
      {"match: {tcp: {sequence: 1-9}}, impair: [loss: all]", false, true},
      {"impair: [tcp: {reset: both}]", false, true},
      {"impair: [delay: 1ms, tcp: {zero_window: true, only: retransmissions}]", false, true},
      {"match: {tcp: {connection: 1}}, impair: [loss: all]", true, true},
  };
  for (const Case& one : cases) {
    Compiler compiler;
    const Policy policy =
        compiler.compile(with_rules({"name: r, from: left, " + std::string(one.rule)}));
    EXPECT_EQ(policy.rules[0].follows_tcp, one.tcp) << one.rule;
    EXPECT_EQ(policy.rules[0].needs_one_worker(), one.connection) << one.rule;
    for (const std::size_t port : {0U, 1U}) {  // the way back is followed too
      EXPECT_EQ(policy.paths[port].needs_connection, one.connection || one.tcp) << one.rule;
      EXPECT_EQ(policy.paths[port].follows_tcp, one.tcp) << one.rule;
    }
  }
}

TEST(PolicyCompile, CarriesItsRequest) {
  Compiler compiler;
  const Policy policy = compiler.compile("version: 1\nname: lab\n",
                                         {.generation = 7, .seed = 99, .active_from_ns = 1'234});
  EXPECT_EQ(policy.generation, 7U);
  EXPECT_EQ(policy.seed, 99U);
  EXPECT_EQ(policy.active_from_ns, 1'234U);
  EXPECT_EQ(policy.name, "lab");
  EXPECT_EQ(policy.held, HeldAction::kKeep);
  EXPECT_FALSE(policy.any_active_at(2'000));
}

// --- ends ----------------------------------------------------------------------------------------

constexpr std::uint64_t kNowNs = 1'000'000'000'000;

TEST(PolicyCompile, TtlEndsARule) {
  Compiler compiler;
  const std::string yaml = with_rules({"name: default, impair: [delay: 1ms]",
                                       "name: none, ttl: none, impair: [delay: 1ms]",
                                       "name: timed, ttl: 5s, impair: [delay: 1ms]",
                                       "name: off, enabled: false, ttl: 5s, impair: [delay: 1ms]"});
  const Policy policy =
      compiler.compile(yaml, {.active_from_ns = kNowNs, .ttl_default_ns = 3'600 * kNsPerSecond});
  EXPECT_EQ(policy.rules[0].expires_ns, kNowNs + 3'600 * kNsPerSecond);
  EXPECT_EQ(policy.rules[1].expires_ns, kNever);
  EXPECT_EQ(policy.rules[2].expires_ns, kNowNs + 5 * kNsPerSecond);
  EXPECT_EQ(policy.rules[3].expires_ns, kNever) << "a rule that is off has no end";
  EXPECT_TRUE(policy.rules[2].active_at(kNowNs + 5 * kNsPerSecond - 1));
  EXPECT_FALSE(policy.rules[2].active_at(kNowNs + 5 * kNsPerSecond));
  EXPECT_FALSE(policy.rules[3].active_at(kNowNs));
  EXPECT_TRUE(policy.any_active_at(UINT64_MAX - 1));

  const Policy endless = Compiler().compile(yaml, {.active_from_ns = kNowNs});
  EXPECT_EQ(endless.rules[0].expires_ns, kNever) << "no default: no end";
}

TEST(PolicyCompile, ARuleThatStaysKeepsItsEnd) {
  Compiler compiler;
  const auto request = [](std::uint64_t seconds, const Policy* previous,
                          std::set<std::string> restarted = {}) {
    return CompileRequest{.active_from_ns = kNowNs + seconds * kNsPerSecond,
                          .previous = previous,
                          .restarted = std::move(restarted)};
  };
  const auto rules = [](const std::string& ttl_of_a, const std::string& more_of_b) {
    return with_rules({"name: a, ttl: " + ttl_of_a + ", impair: [delay: 1ms]",
                       "name: b, ttl: 60s, impair: [delay: 1ms]" + more_of_b});
  };
  const Policy first = compiler.compile(rules("60s", ""), request(0, nullptr));
  const Policy second = compiler.compile(rules("60s", ", enabled: false"), request(10, &first));
  EXPECT_EQ(second.rules[0].expires_ns, kNowNs + 60 * kNsPerSecond);
  EXPECT_EQ(second.rules[1].expires_ns, kNever);
  const Policy third = compiler.compile(rules("60s", ""), request(20, &second));
  EXPECT_EQ(third.rules[0].expires_ns, kNowNs + 60 * kNsPerSecond);
  EXPECT_EQ(third.rules[1].expires_ns, kNowNs + 80 * kNsPerSecond) << "it was off: starts anew";
  const Policy fourth = compiler.compile(rules("60s", ""), request(30, &third, {"a"}));
  EXPECT_EQ(fourth.rules[0].expires_ns, kNowNs + 90 * kNsPerSecond) << "restarted by name";
  EXPECT_EQ(fourth.rules[1].expires_ns, kNowNs + 80 * kNsPerSecond);
  const Policy gone = compiler.compile(with_rules({rule_named("c")}), request(40, &fourth));
  const Policy back = compiler.compile(rules("60s", ""), request(50, &gone));
  EXPECT_EQ(back.rules[0].expires_ns, kNowNs + 110 * kNsPerSecond) << "it was gone";
}

// --- slots ---------------------------------------------------------------------------------------

std::vector<std::uint32_t> states_of(const Policy& policy) {
  std::vector<std::uint32_t> states;
  for (const RuleProgram& rule : policy.rules)
    for (const RuleStep& step : rule.steps) states.push_back(step.first_state);
  return states;
}

TEST(PolicyCompile, SlotsStayWithNames) {
  Compiler compiler;
  const Policy first = compiler.compile(
      with_rules({"name: a, impair: [delay: 1ms, loss: 1%]", "name: b, impair: [loss: 1%]"}));
  EXPECT_EQ(first.rules[0].slot, 0U);
  EXPECT_EQ(first.rules[1].slot, 1U);
  EXPECT_EQ(first.fresh_rules, (std::vector<std::uint16_t>{0, 1}));
  EXPECT_EQ(states_of(first), (std::vector<std::uint32_t>{0, 2, 4})) << "two ports each";
  EXPECT_EQ(first.fresh_states, (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5}));

  // The same again, in another order and with other parameters: nothing is fresh.
  const Policy same = compiler.compile(
      with_rules({"name: b, impair: [loss: 2%]", "name: a, impair: [delay: 3ms, loss: 1%]"}));
  EXPECT_EQ(same.rules[0].slot, 1U);
  EXPECT_EQ(same.rules[1].slot, 0U);
  EXPECT_EQ(states_of(same), (std::vector<std::uint32_t>{4, 0, 2}));
  EXPECT_TRUE(same.fresh_rules.empty());
  EXPECT_TRUE(same.fresh_states.empty());

  // Another position or another kind is another impairment; the rule's counters stay.
  const Policy moved = compiler.compile(
      with_rules({"name: a, impair: [loss: 1%, delay: 1ms]", "name: b, impair: [loss: 1%]"}));
  EXPECT_EQ(moved.rules[0].slot, 0U);
  EXPECT_TRUE(moved.fresh_rules.empty());
  EXPECT_EQ(states_of(moved), (std::vector<std::uint32_t>{6, 8, 4}));
  EXPECT_EQ(moved.fresh_states, (std::vector<std::uint32_t>{6, 7, 8, 9}));

  // A rule that was away comes back as a new one.
  const Policy without = compiler.compile(with_rules({"name: b, impair: [loss: 1%]"}));
  EXPECT_EQ(without.rules[0].slot, 1U);
  EXPECT_TRUE(without.fresh_rules.empty());
  const Policy back = compiler.compile(
      with_rules({"name: a, impair: [delay: 1ms]", "name: b, impair: [loss: 1%]"}));
  EXPECT_EQ(back.fresh_rules, std::vector<std::uint16_t>{back.rules[0].slot});
  EXPECT_NE(back.rules[0].slot, 1U);
  EXPECT_EQ(back.fresh_states.size(), 2U);
  EXPECT_EQ(back.fresh_states[0], states_of(back)[0]);
}

TEST(PolicyCompile, AFailureLeavesSlotsAlone) {
  Compiler compiler;
  const Policy first = compiler.compile(with_rules({rule_named("a")}));
  // 25 h a rule is refused by the reader; 4 × 20 h on one path only by the compiler.
  const Scenario bad = scenario_of(
      with_rules({"name: new, impair: [delay: 20h, delay: 20h, delay: 20h, delay: 20h]"}));
  const Result<Policy> failed = compile_policy(bad, {}, compiler.slots);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(lines_of(failed.error()),
            (std::vector<std::string>{
                "f:1:1: error: the delays on the way to port 'right' add up to 80h; at most 3d",
                "f:1:1: error: the delays on the way to port 'left' add up to 80h; at most 3d"}));
  const Policy again = compiler.compile(with_rules({rule_named("a"), rule_named("new")}));
  EXPECT_EQ(again.rules[0].slot, first.rules[0].slot);
  EXPECT_EQ(again.rules[1].slot, 1U) << "the slot after a's: the failure took none";
  EXPECT_EQ(again.fresh_rules, std::vector<std::uint16_t>{1});
  EXPECT_EQ(states_of(again), (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(again.fresh_states, (std::vector<std::uint32_t>{2, 3}));
}

TEST(PolicyCompile, AnotherModelIsAnotherState) {
  // A chain's memory means nothing to another model: same rule, position and kind, fresh state.
  Compiler compiler;
  const std::string chain = "name: r, impair: [loss: {model: gilbert, p: 1%, r: 1%}]";
  EXPECT_EQ(states_of(compiler.compile(with_rules({chain}))), std::vector<std::uint32_t>{0});
  const Policy other = compiler.compile(with_rules({"name: r, impair: [loss: 1%]"}));
  EXPECT_TRUE(other.fresh_rules.empty()) << "the rule's counters go on";
  EXPECT_EQ(states_of(other), std::vector<std::uint32_t>{2});
  EXPECT_EQ(other.fresh_states, (std::vector<std::uint32_t>{2, 3}));
  const Policy back = compiler.compile(with_rules({chain}));
  EXPECT_EQ(back.fresh_states.size(), 2U) << "what it knew is gone";
  EXPECT_EQ(back.fresh_states.front(), states_of(back).front());
  // Another word for the model is the same model.
  const Policy alias = compiler.compile(
      with_rules({"name: r, impair: [loss: {model: gilbert-elliott, p: 1%, r: 1%}]"}));
  EXPECT_TRUE(alias.fresh_states.empty());
  EXPECT_EQ(states_of(alias), states_of(back));
}

TEST(PolicyCompile, DelaysOfAPathAddUpToThreeDaysAtMost) {
  // Over all rules of the path; what stands on the other path does not count.
  const auto errors = [](const std::string& last) {
    Compiler compiler;
    const Scenario scenario =
        scenario_of(with_rules({"name: a, from: left, impair: [delay: 24h, delay: 24h]",
                                "name: b, from: left, impair: [" + last + "]",
                                "name: c, from: right, impair: [delay: 9h]"}));
    const Result<Policy> policy = compile_policy(scenario, {}, compiler.slots);
    return policy ? std::vector<std::string>{} : lines_of(policy.error());
  };
  EXPECT_EQ(errors("delay: 24h"), std::vector<std::string>{});
  const std::vector<std::string> refused = errors("delay: 24h, delay: 1ns");
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].find("f:1:1: error: the delays on the way to port 'right' add up to "), 0U)
      << refused[0];
  EXPECT_NE(refused[0].find("; at most 3d"), std::string::npos) << refused[0];
}

TEST(PolicyCompile, ManyRenamesNeverRunOut) {
  Compiler compiler;
  for (int generation = 0; generation < 3'000; ++generation) {
    const std::string name = "r" + std::to_string(generation);
    const Policy policy = compiler.compile(with_rules({rule_named("stays"), rule_named(name)}));
    ASSERT_EQ(policy.rules.at(0).slot, 0U);
    ASSERT_NE(policy.rules.at(1).slot, 0U);
    ASSERT_EQ(policy.fresh_rules.back(), policy.rules.at(1).slot);
  }
}

TEST(PolicyCompile, ImpairmentsThatMoveNeverRunOut) {
  // The names stay, the positions do not: each policy gives back what the one before it used.
  Compiler compiler(2);
  for (int generation = 0; generation < 40; ++generation) {
    std::string impair = generation % 2 == 0 ? "loss: 1%" : "delay: 1ms";
    for (int index = 0; index < 500; ++index)
      impair += generation % 2 == index % 2 ? ", delay: 1ms" : ", loss: 1%";
    const Policy policy = compiler.compile(with_rules({"name: r, impair: [" + impair + "]"}));
    ASSERT_EQ(policy.rules.size(), 1U) << generation;
    ASSERT_EQ(policy.rules[0].steps.size(), 501U);
    EXPECT_EQ(policy.fresh_states.size(), 2U * 501U) << generation;
  }
}

TEST(PolicyCompile, AFullSetOfRulesGivesWayToAnother) {
  Compiler compiler;
  for (const std::string prefix : {"a", "b", "c"}) {
    std::vector<std::string> rules;
    for (std::size_t rule = 0; rule < kRulesMax; ++rule)
      rules.push_back(rule_named(prefix + std::to_string(rule)));
    const Scenario scenario = scenario_of(with_rules(rules));
    const Result<Policy> policy = compile_policy(scenario, {}, compiler.slots);
    ASSERT_TRUE(policy.has_value()) << prefix << ": " << to_line(policy.error().front());
    std::set<std::uint16_t> slots;
    for (const RuleProgram& rule : policy->rules) slots.insert(rule.slot);
    EXPECT_EQ(slots.size(), kRulesMax);
  }
}

TEST(PolicyCompile, AFullSetOfStatesGivesWayToAnother) {
  // 16,384 states of two ports: 16 rules of 512 impairments, not one more.
  std::string impair = "delay: 0";
  for (int index = 1; index < 512; ++index) impair += ", delay: 0";
  Compiler compiler(2);
  for (const std::string prefix : {"a", "b"}) {
    std::vector<std::string> rules;
    for (int rule = 0; rule < 16; ++rule)
      rules.push_back("name: " + prefix + std::to_string(rule) + ", impair: [" + impair + "]");
    const Policy policy = compiler.compile(with_rules(rules));
    EXPECT_EQ(policy.fresh_states.size(), scope_states_max(2));
    rules.push_back(rule_named("more"));
    const Result<Policy> refused =
        compile_policy(scenario_of(with_rules(rules)), {}, compiler.slots);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().front().message, "too many impairments for the workers' state");
  }
}

TEST(PolicySlots, ASlotRestsAsLongAsPossible) {
  SlotTable table(6, 2);
  std::uint32_t first = 99;
  ASSERT_TRUE(table.take("a", first));
  EXPECT_EQ(first, 0U);
  ASSERT_TRUE(table.take("b", first));
  EXPECT_EQ(first, 2U);
  EXPECT_EQ(table.take_fresh(), (std::vector<std::uint32_t>{0, 1, 2, 3}));
  table.release_unused();
  ASSERT_TRUE(table.take("b", first));
  table.release_unused();  // a is gone, its slots go behind 4
  ASSERT_TRUE(table.take("c", first));
  EXPECT_EQ(first, 4U);
  ASSERT_TRUE(table.take("d", first));
  EXPECT_EQ(first, 0U);
  EXPECT_FALSE(table.take("e", first));
  ASSERT_TRUE(table.take("b", first));
  EXPECT_EQ(first, 2U);
  EXPECT_EQ(table.take_fresh(), (std::vector<std::uint32_t>{4, 5, 0, 1}));
  EXPECT_TRUE(table.take_fresh().empty());
}

}  // namespace
}  // namespace faultline
