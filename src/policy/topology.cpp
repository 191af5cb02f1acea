// Reading ports and what joins them.
#include "policy/topology.hpp"

#include <algorithm>
#include <set>

#include "packet/addresses.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kMacAgeNs = 300 * kNsPerSecond;  // IEEE 802.1Q: the default of ageing
constexpr std::uint64_t kMacsDefault = 8'192;
constexpr std::uint64_t kMacsMax = 1 << 20;
constexpr std::uint64_t kVlanMax = 4'094;

std::string names_of(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

class TopologyReader {
 public:
  TopologyReader(ScenarioUse use, Scenario& scenario, Problems& problems)
      : use_(use), scenario_(scenario), problems_(problems) {}

  void read(MappingReader& reader) {
    read_ports(reader.take("ports"));
    const ConfigNode* wires = reader.take("wires");
    const ConfigNode* switches = reader.take("switches");
    read_wires(wires, switches != nullptr);
    if (switches != nullptr)
      read_switches(*switches);
    find_loose_ports();
    std::vector<NodeAddresses> nodes;
    if (const ConfigNode* node = reader.take("nodes"))
      nodes = read_nodes(*node);
    std::vector<std::string> ports;
    for (const PortSpec& port : scenario_.ports) ports.push_back(port.name);
    scenario_.nodes = std::make_shared<const NodeTable>(std::move(nodes), std::move(ports));
  }

 private:
  void complain(const Mark& mark, std::string found, std::string allowed = {}) {
    problems_.push_back(problem_at(mark, std::move(found), std::move(allowed)));
  }

  void read_ports(const ConfigNode* node) {
    if (node == nullptr) {
      if (use_ == ScenarioUse::kSimulate) {
        scenario_.ports.push_back(PortSpec{.name = "left", .settings = {}, .mark = {}});
        scenario_.ports.push_back(PortSpec{.name = "right", .settings = {}, .mark = {}});
      } else {
        complain(scenario_.tree.mark, "a scenario for the daemon needs ports",
                 "for example ports: {left: {driver: af_packet, interface: eth0}, right: …}");
      }
      return;
    }
    if (!node->is_mapping()) {
      complain(node->mark, "ports is " + describe(*node), "a mapping of names to ports");
      return;
    }
    for (const ConfigEntry& entry : node->entries)
      scenario_.ports.push_back(read_port(entry, problems_));
    if (scenario_.ports.size() > kPortsMax)
      complain(node->mark, "more than 64 ports", "at most 64");
  }

  void read_wires(const ConfigNode* node, bool has_switches) {
    const bool drawn = use_ == ScenarioUse::kSimulate && scenario_.tree.find("ports") == nullptr;
    if (node == nullptr) {
      if (has_switches)
        return;
      if (drawn)
        scenario_.wires.push_back({"lab", 0, 1, false});
      else if (!scenario_.ports.empty())
        complain(scenario_.tree.mark, "the ports are joined by no wire",
                 "for example wires: {lab: [left, right]}");
      return;
    }
    if (!node->is_mapping()) {
      complain(node->mark, "wires is " + describe(*node), "a mapping of names to two ports");
      return;
    }
    for (const ConfigEntry& entry : node->entries) read_wire(entry);
  }

  /// Every port is joined to something, where nothing else is wrong.
  void find_loose_ports() {
    if (scenario_.tree.find("wires") == nullptr && scenario_.tree.find("switches") == nullptr)
      return;
    for (std::size_t index = 0; index < scenario_.ports.size(); ++index)
      if (!taken_.contains(index) && problems_.empty())
        complain(scenario_.ports[index].mark,
                 "port '" + scenario_.ports[index].name + "' belongs to no wire",
                 scenario_.switches.empty() ? "every port in one wire"
                                            : "every port in one wire or switch");
  }

  void take_port(const ConfigNode& node, std::size_t index) {
    if (!taken_.insert(index).second)
      complain(node.mark,
               "port '" + scenario_.ports[index].name + "' is in a wire" +
                   (scenario_.tree.find("switches") != nullptr ? " or switch" : "") + " already",
               scenario_.tree.find("switches") != nullptr ? "a port belongs to one wire or switch"
                                                          : "a port belongs to one wire");
  }

  void read_wire(const ConfigEntry& entry) {
    const ConfigNode* ports = &entry.value;
    bool mirrors = false;
    if (entry.value.is_mapping()) {
      MappingReader reader(entry.value, "wire", problems_);
      ports = reader.require("ports");
      if (const ConfigNode* value = reader.take("link"))
        mirrors = read_word(*value, {"keep", "mirror"}, problems_).value_or(0) == 1;
      reader.finish();
      if (ports == nullptr)
        return;
    }
    if (!ports->is_sequence() || ports->items.size() != 2) {
      complain(ports->mark, "wire '" + entry.key + "' is " + describe(*ports),
               "a list of exactly two ports");
      return;
    }
    const auto first = find_port(ports->items[0], scenario_, problems_);
    const auto second = find_port(ports->items[1], scenario_, problems_);
    if (!first || !second)
      return;
    take_port(ports->items[0], *first);
    take_port(ports->items[1], *second);
    const std::uint16_t queues = scenario_.ports[*first].settings.queues;
    if (scenario_.ports[*second].settings.queues != queues)
      complain(ports->mark,
               "wire '" + entry.key + "' joins a port of " + std::to_string(queues) +
                   " queues to one of " + std::to_string(scenario_.ports[*second].settings.queues),
               "as many queues at both ends");
    for (const std::size_t end : {*first, *second})
      if (mirrors && !can_take_link_down(scenario_.ports[end].settings.driver))
        complain(ports->mark,
                 "link: mirror with port '" + scenario_.ports[end].name +
                     "', whose link cannot be "
                     "taken down",
                 "ports of af_packet, tap or pci, or link: keep");
    scenario_.wires.push_back({entry.key, *first, *second, mirrors});
  }

  void read_switches(const ConfigNode& node) {
    if (!node.is_mapping()) {
      complain(node.mark, "switches is " + describe(node), "a mapping of names to lists of ports");
      return;
    }
    for (const ConfigEntry& entry : node.entries) read_switch(entry);
  }

  void read_switch(const ConfigEntry& entry) {
    SwitchSpec read{.name = entry.key, .mac_age_ns = kMacAgeNs, .macs_max = kMacsDefault};
    const ConfigNode* ports = &entry.value;
    if (entry.value.is_mapping()) {
      MappingReader reader(entry.value, "switch", problems_);
      ports = reader.require("ports");
      if (const ConfigNode* value = reader.take("mac_age"))
        read.mac_age_ns =
            read_duration_ns(*value, {kNsPerMs, kDurationMaxNs}, problems_).value_or(kMacAgeNs);
      if (const ConfigNode* value = reader.take("macs"))
        read.macs_max = read_count(*value, {1, kMacsMax}, problems_).value_or(kMacsDefault);
      reader.finish();
      if (ports == nullptr)
        return;
    }
    if (!ports->is_sequence() || ports->items.size() < 2) {
      complain(ports->mark, "switch '" + entry.key + "' is " + describe(*ports),
               "a list of at least two ports");
      return;
    }
    for (const ConfigNode& item : ports->items) {
      const auto port = find_port(item, scenario_, problems_);
      if (!port)
        continue;
      take_port(item, *port);
      read.ports.push_back(*port);
      if (scenario_.ports[*port].settings.queues != 1)
        complain(item.mark, "port '" + scenario_.ports[*port].name + "' has several queues",
                 "one queue: a switch belongs to one worker");
    }
    scenario_.switches.push_back(std::move(read));
  }

  std::vector<NodeAddresses> read_nodes(const ConfigNode& node) {
    if (!node.is_mapping()) {
      complain(node.mark, "nodes is " + describe(node), "a mapping of names to addresses");
      return {};
    }
    if (node.entries.size() > kNodesMax) {
      complain(node.mark, std::to_string(node.entries.size()) + " nodes",
               "at most " + std::to_string(kNodesMax));
      return {};
    }
    std::vector<NodeAddresses> nodes;
    for (const ConfigEntry& entry : node.entries) nodes.push_back(read_node(entry));
    return nodes;
  }

  NodeAddresses read_node(const ConfigEntry& entry) {
    NodeAddresses node{.name = entry.key};
    if (std::ranges::find(scenario_.ports, entry.key, &PortSpec::name) != scenario_.ports.end())
      complain(entry.key_mark, "node '" + entry.key + "' has the name of a port",
               "a name of its own");
    const std::size_t problems_before = problems_.size();
    MappingReader reader(entry.value, "node", problems_);
    if (const ConfigNode* value = reader.take("port"))
      if (const auto port = find_port(*value, scenario_, problems_))
        node.port = static_cast<std::uint8_t>(*port);
    if (const ConfigNode* value = reader.take("mac")) {
      node.mac = value->is_scalar() ? parse_mac(value->text) : std::nullopt;
      if (!node.mac)
        complain(value->mark, "found " + describe(*value),
                 "an address such as \"02:00:00:00:00:01\"");
    }
    if (const ConfigNode* value = reader.take("vlan"))
      if (const auto vlan = read_count(*value, {1, kVlanMax}, problems_))
        node.vlan = static_cast<std::uint16_t>(*vlan);
    if (const ConfigNode* value = reader.take("ip")) {
      if (value->is_sequence() && value->items.empty())
        complain(value->mark, "an empty list of addresses", "at least one");
      for (const ConfigNode& item :
           value->is_sequence() ? value->items : std::vector<ConfigNode>{*value})
        read_ip(item, node);
    }
    reader.finish();
    if (problems_.size() == problems_before && !node.port && !node.mac && !node.vlan &&
        node.ips.empty())
      complain(entry.value.mark, "node '" + entry.key + "' has no address",
               "one or more of port, mac, ip, vlan");
    return node;
  }

  void read_ip(const ConfigNode& item, NodeAddresses& node) {
    const auto address = item.is_scalar() ? parse_ip(item.text) : std::nullopt;
    if (address)
      node.ips.push_back(*address);
    else
      complain(item.mark, "found " + describe(item), "an address such as 10.0.0.9 or fd00::9");
  }

  ScenarioUse use_;
  Scenario& scenario_;
  Problems& problems_;
  std::set<std::size_t> taken_;  ///< ports that belong to a wire or switch
};

std::optional<std::size_t> index_of(const ConfigNode& node,
                                    const std::vector<std::string_view>& names) {
  const auto found = std::ranges::find(names, node.is_scalar() ? node.text : std::string());
  if (!node.is_scalar() || found == names.end())
    return std::nullopt;
  return static_cast<std::size_t>(found - names.begin());
}

std::vector<std::string_view> port_names_of(const Scenario& scenario) {
  std::vector<std::string_view> names;
  for (const PortSpec& port : scenario.ports) names.push_back(port.name);
  return names;
}

std::vector<std::string_view> node_names_of(const Scenario& scenario) {
  std::vector<std::string_view> names;
  if (scenario.nodes != nullptr)
    for (const NodeAddresses& node : scenario.nodes->nodes()) names.push_back(node.name);
  return names;
}

}  // namespace

void read_topology(MappingReader& reader, ScenarioUse use, Scenario& scenario, Problems& problems) {
  TopologyReader(use, scenario, problems).read(reader);
}

std::optional<std::size_t> find_port(const ConfigNode& node, const Scenario& scenario,
                                     Problems& problems) {
  const std::vector<std::string_view> names = port_names_of(scenario);
  const auto index = index_of(node, names);
  if (!index)
    problems.push_back(
        problem_at(node.mark, "unknown port " + describe(node),
                   names.empty() ? "one of the ports" : "one of the ports " + names_of(names),
                   node.is_scalar() ? nearest_word(node.text, names) : ""));
  return index;
}

LinkEnd read_end(const ConfigNode& node, const Scenario& scenario, Problems& problems) {
  if (node.is_scalar() && node.text == "any")
    return LinkEnd::anybody();
  if (node.is_sequence() && node.items.empty()) {
    problems.push_back(
        problem_at(node.mark, "an empty list of ports", "at least one port, or leave the key out"));
    return LinkEnd::anybody();
  }
  std::vector<std::string_view> names = port_names_of(scenario);
  const std::vector<std::string_view> nodes = node_names_of(scenario);
  LinkEnd end;
  for (const ConfigNode& item : node.is_sequence() ? node.items : std::vector<ConfigNode>{node}) {
    if (const auto port = index_of(item, names)) {
      end.ports |= PortMask{1} << *port;
    } else if (const auto index = index_of(item, nodes)) {
      const NodeAddresses& named = scenario.nodes->nodes()[*index];
      if (named.is_port())
        end.ports |= PortMask{1} << *named.port;
      else
        end.nodes |= NodeMask{1} << *index;
    } else if (nodes.empty()) {
      find_port(item, scenario, problems);
    } else {
      std::vector<std::string_view> all = names;
      all.insert(all.end(), nodes.begin(), nodes.end());
      problems.push_back(
          problem_at(item.mark, "unknown port or node " + describe(item),
                     "one of the ports " + names_of(names) + " or nodes " + names_of(nodes),
                     item.is_scalar() ? nearest_word(item.text, all) : ""));
    }
  }
  return end.ports == 0 && end.nodes == 0 ? LinkEnd::anybody() : end;  // told already
}

bool may_be_at(const LinkEnd& end, std::size_t port, const Scenario& scenario) {
  if (end.any || (end.ports >> port & 1U) != 0)
    return true;
  if (scenario.nodes == nullptr)
    return false;
  const std::vector<NodeAddresses>& nodes = scenario.nodes->nodes();
  for (std::size_t index = 0; index < nodes.size(); ++index)
    if ((end.nodes >> index & 1U) != 0 && (!nodes[index].port || *nodes[index].port == port))
      return true;
  return false;
}

}  // namespace faultline
