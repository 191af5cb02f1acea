// Ports and workers as written: the keys of each driver, and which worker polls which queue.
#include <gtest/gtest.h>

#include "policy/compile.hpp"
#include "policy/worker_layout.hpp"
#include "support.hpp"

namespace faultline {
namespace {

Result<Scenario> read(const std::string& text) {
  return read_scenario(test::tree_of("version: 1\n" + text), ScenarioUse::kLive);
}

Scenario scenario_of(const std::string& text) {
  Result<Scenario> scenario = read(text);
  if (!scenario)
    throw std::runtime_error(to_line(scenario.error().front()));
  return std::move(*scenario);
}

std::string first_error(const std::string& text) {
  const Result<Scenario> scenario = read(text);
  return scenario ? "" : to_line(scenario.error().front());
}

/// A wire between the port and one like it of the null driver.
std::string wire_to(const std::string& port) {
  return "ports: {a: {" + port + "}, b: {driver: \"null\"}}\nwires: {w: [a, b]}\n";
}

PortSettings settings_of(const std::string& port) {
  return scenario_of(wire_to(port)).ports[0].settings;
}

TEST(PolicyPorts, EachDriversKeys) {
  EXPECT_EQ(settings_of("driver: af_xdp, interface: eth1"),
            (PortSettings{.driver = Driver::kAfXdp, .interface = "eth1"}));
  EXPECT_EQ(
      settings_of("driver: tap, interface: t0, netns: lab, mtu: 9000"),
      (PortSettings{.driver = Driver::kTap, .interface = "t0", .netns = "lab", .mtu_bytes = 9000}));
  EXPECT_EQ(settings_of("driver: pci, address: \"03:00.1\""),
            (PortSettings{.driver = Driver::kPci, .address = "0000:03:00.1"}));
  EXPECT_EQ(
      settings_of("driver: memif, socket: /run/m.sock, role: server, id: 3"),
      (PortSettings{.driver = Driver::kMemif, .path = "/run/m.sock", .server = true, .id = 3}));
  EXPECT_EQ(settings_of("driver: memif, socket: name, socket_abstract: true"),
            (PortSettings{.driver = Driver::kMemif, .path = "name", .socket_abstract = true}));
  EXPECT_EQ(settings_of("driver: vhost, path: /run/v.sock"),
            (PortSettings{.driver = Driver::kVhost, .path = "/run/v.sock", .server = true}));
  EXPECT_EQ(settings_of("driver: vhost, path: /run/v.sock, client: true"),
            (PortSettings{.driver = Driver::kVhost, .path = "/run/v.sock"}));
  EXPECT_EQ(settings_of("driver: pcap, rx: in.pcap, tx: out.pcap"),
            (PortSettings{.driver = Driver::kPcap, .rx_file = "in.pcap", .tx_file = "out.pcap"}));
  EXPECT_EQ(settings_of("driver: ring, name: r0"),
            (PortSettings{.driver = Driver::kRing, .path = "r0"}));
}

TEST(PolicyPorts, Errors) {
  const std::pair<std::string, std::string> cases[] = {
      {"driver: tap", "f:2:12: error: port: 'interface' is missing"},
      {"driver: tap, interface: a%d",
       "f:2:37: error: 'a%d' cannot be an interface's name; 1 to 15 characters without '/', ':', "
       "',', '%' and blanks"},
      {"driver: tap, interface: a, netns: ../x",
       "f:2:47: error: '../x' cannot be a network namespace's name; a name that `ip netns` lists"},
      {"driver: pci, address: eth1",
       "f:2:35: error: 'eth1' is no PCI address; for example \"0000:03:00.0\""},
      {"driver: memif, socket: \"a,b\"",
       "f:2:36: error: 'a,b' cannot be a device's path; 1 to 107 characters without ',', '[' and "
       "']'"},
      {"driver: memif, socket: a, role: both",
       "f:2:45: error: found 'both'; one of client, server"},
      {"driver: pcap", "f:2:12: error: port: 'rx' is missing"},
      {"driver: pcap, rx: a, queues: 2",
       "f:2:34: error: port: unknown key 'queues'; known keys are driver, mtu, speed, rx, tx"},
      {"driver: ring, name: r, queues: 17",
       "f:2:44: error: '17' is out of range; a count between 1 and 16"},
      {"driver: ring, name: r, queues: 2",
       "f:3:12: error: wire 'w' joins a port of 2 queues to one of 1; as many queues at both "
       "ends"},
      {"driver: vhost, interface: a, path: b",
       "f:2:28: error: port: unknown key 'interface'; known keys are driver, mtu, speed, client, "
       "path, queues"},
  };
  for (const auto& [port, error] : cases) EXPECT_EQ(first_error(wire_to(port)), error) << port;
}

TEST(PolicyPorts, OnlyLinksThatCanBeTakenDownAreMirrored) {
  const auto wire = [](const std::string& port) {
    return "ports: {a: {" + port +
           "}, b: {driver: tap, interface: t}}\n"
           "wires: {w: {ports: [a, b], link: mirror}}\n";
  };
  EXPECT_TRUE(scenario_of(wire("driver: af_packet, interface: e")).wires[0].mirrors);
  for (const std::string port :
       {"driver: \"null\"", "driver: af_xdp, interface: e", "driver: memif, socket: s",
        "driver: vhost, path: s", "driver: pcap, rx: s", "driver: ring, name: s"})
    EXPECT_EQ(
        first_error(wire(port)),
        "f:3:20: error: link: mirror with port 'a', whose link cannot be taken down; ports of "
        "af_packet, tap or pci, or link: keep");
}

TEST(PolicyPorts, WorkersKey) {
  const std::string wire = wire_to("driver: \"null\"");
  const WorkersSpec spec =
      scenario_of(wire + "workers: {cores: [2, 5], rx_burst: 16, power: sleep}").workers;
  EXPECT_EQ(spec.cores, (std::vector<unsigned>{2, 5}));
  EXPECT_EQ(spec.rx_burst, 16U);
  EXPECT_TRUE(spec.sleeps);
  EXPECT_EQ(scenario_of(wire + "workers: {cores: auto}").workers, WorkersSpec{});
  EXPECT_EQ(first_error(wire + "workers: {cores: [1, 1]}"),
            "f:4:22: error: core 1 is in the list already; each core once");
  EXPECT_EQ(first_error(wire + "workers: {cores: 1}"),
            "f:4:18: error: cores is '1'; auto, or a list of 1 to 16 cores");
  EXPECT_EQ(first_error(wire + "workers: {rx_burst: 65}"),
            "f:4:21: error: '65' is out of range; a count between 1 and 64");
}

/// Three wires; the first of two queues.
constexpr const char* kThreeWires =
    "nodes: {n: {port: a}}\n"
    "ports: {a: {driver: \"null\", queues: 2}, b: {driver: \"null\", queues: 2}, "
    "c: {driver: \"null\"}, d: {driver: \"null\"}, e: {driver: \"null\"}, f: {driver: \"null\"}}\n"
    "wires: {w1: [c, d], w2: [a, b], w3: [e, f]}\n";

TEST(PolicyWorkers, WiresGoToTheWorkersWithTheLeastToDo) {
  const Scenario scenario = scenario_of(kThreeWires);
  using Queues = std::vector<std::vector<std::size_t>>;
  const auto laid = [&](std::size_t cores) { return *lay_workers(scenario, cores); };
  EXPECT_EQ(laid(2).queues, (Queues{{0, 1}, {0, 1}, {0}, {0}, {1}, {1}}));
  EXPECT_EQ(laid(3).queues, (Queues{{0, 1}, {0, 1}, {2}, {2}, {0}, {0}}));
  EXPECT_EQ(laid(16).workers, 4U) << "no more than there are queues";
  EXPECT_EQ(least_layout(scenario)->workers, 2U);
  const Result<WorkerLayout> none = lay_workers(scenario, 1);
  ASSERT_FALSE(none);
  EXPECT_EQ(
      none.error().front().message,
      "wire 'w2' has 2 queues, one worker each, but there is 1: name more cores under workers "
      "(auto leaves one for the management plane)");
}

TEST(PolicyWorkers, WrittenCoresAreAllTaken) {
  const Scenario scenario =
      scenario_of(wire_to("driver: \"null\"") + "workers: {cores: [1, 3, 4]}");
  EXPECT_EQ(lay_workers(scenario, 1)->workers, 3U);
}

std::string unshareable(const std::string& rule, std::size_t cores) {
  const Scenario scenario =
      scenario_of(kThreeWires + ("rules: [{name: r, impair: [" + rule + "}]\n"));
  PolicySlots slots(scenario.path_count());
  const Result<Policy> policy = compile_policy(scenario, {}, slots);
  if (!policy)
    throw std::runtime_error(to_line(policy.error().front()));
  return unshareable_rule(*policy, *lay_workers(scenario, cores));
}

TEST(PolicyWorkers, WhatOneWorkerMustOwnIsRefusedOnASharedWire) {
  const std::string shared =
      "rule 'r' keeps one state for packets that 2 workers share; per: flow, clock: time or a wire "
      "of one queue would do";
  const std::string chain = "loss: {model: gilbert-elliott, p: 1%, r: 20%}]";
  EXPECT_EQ(unshareable(chain, 2), shared);
  EXPECT_EQ(unshareable(chain + ", from: a", 2), shared);
  EXPECT_EQ(unshareable(chain + ", per: flow", 2), "");
  EXPECT_EQ(unshareable(chain + ", per: source", 2), shared);
  EXPECT_EQ(unshareable(chain + ", from: c", 2), "") << "another wire";
  EXPECT_EQ(
      unshareable("loss: {model: gilbert-elliott, p: 1%, r: 20%, clock: time, slot: 1ms}]", 2), "");
  EXPECT_EQ(unshareable("loss: 1%]", 2), "");
  EXPECT_EQ(unshareable("loss: 1%], draw: connection", 2), shared);
  EXPECT_EQ(unshareable("delay: {time: 5ms, jitter: 1ms}]", 2), "");
  EXPECT_EQ(unshareable("rate: 10Mbit]", 2), shared);
  EXPECT_EQ(unshareable("loss: 1%], match: {proto: udp, nth: 3}", 2), shared);
  const std::string fixed =
      "rule 'r' keeps one state for packets that 2 workers share; a wire of one queue (queues: 1 "
      "at both ports) would do";
  EXPECT_EQ(unshareable("pause: {node: n}]", 2), fixed);
  EXPECT_EQ(unshareable("pause: {node: n}], per: flow", 2), fixed);
  EXPECT_EQ(unshareable("clock: {node: n, offset: 1s}]", 2), fixed);
  // What a node is has to be found out by one who sees all of its packets.
  const std::string clock = "clock: {node: n, protocols: ptp, offset: 1s";
  EXPECT_EQ(unshareable(clock + "}]", 2), fixed);
  EXPECT_EQ(unshareable(clock + ", as: source}]", 2), "");
  EXPECT_EQ(unshareable(clock + ", as: victim}]", 2), "");
}

TEST(PolicyWorkers, OneStateForWiresOfDifferentWorkersIsRefused) {
  const std::string rule = "rate: 10Mbit], from: [c, e]";
  EXPECT_EQ(unshareable(rule, 2), "");
  EXPECT_EQ(unshareable(rule + ", shared: true", 2),
            "rule 'r' keeps one state (shared: true) for wires that different workers poll; one "
            "worker, or shared: false, would do");
}

}  // namespace
}  // namespace faultline
