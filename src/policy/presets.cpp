// Expanding `use:`. A preset writes its rules for a near and a far end; here the ends get their
// ports or nodes, the rules their names, and the parameters their values.
#include "policy/presets.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/units.hpp"
#include "policy/preset_values.hpp"

namespace faultline {
namespace {

ConfigNode scalar_at(std::string text, const Mark& mark) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.mark = mark;
  node.text = std::move(text);
  return node;
}

using Names = std::vector<std::string>;

ConfigNode list_at(const Names& names, const Mark& mark) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kSequence;
  node.mark = mark;
  for (const std::string& name : names) node.items.push_back(scalar_at(name, mark));
  return node;
}

struct Wire {
  std::string name;
  std::string first;
  std::string second;
};

struct Switch {
  std::string name;
  Names ports;
};

/// `from` and `to` of a rule; empty: anybody.
struct Ends {
  Names from;
  Names to;
};

enum class Role : std::uint8_t { kUp, kDown };

/// A direction, as presets with directions see it.
struct Way {
  Role role = Role::kUp;
  Ends ends;
};

/// Where a preset goes.
struct Place {
  std::vector<Way> ways;      ///< none: nothing of it has a near end
  std::optional<Ends> whole;  ///< for what has no directions; absent: a rule for each way
  std::string label;          ///< for names of rules
};

/// Keys of a use that go to each of its rules.
constexpr std::string_view kRuleKeys[] = {"enabled", "ttl", "optional", "lease", "match"};

class Expander {
 public:
  Expander(ConfigNode& tree, Problems& problems) : tree_(tree), problems_(problems) {
    rules_.kind = timeline_.kind = ConfigNode::Kind::kSequence;
  }

  void expand(const ConfigNode& uses) {
    read_topology();
    if (!uses.is_sequence() || uses.items.size() > kUsesMax) {
      complain(uses.mark, "use is " + (uses.is_sequence() ? "a long list" : describe(uses)),
               fmt::format("a list of at most {} presets, such as [{{preset: geo}}]", kUsesMax));
      return;
    }
    for (const ConfigNode& item : uses.items)
      if (const ConfigNode* preset = item.is_mapping() ? item.find("preset") : nullptr)
        names_.insert(preset->text);
    for (const ConfigNode& item : uses.items) expand_one(item);
    put_in_front("rules", rules_);
    put_in_front("timeline", timeline_);
  }

 private:
  void complain(const Mark& mark, std::string found, std::string allowed = {},
                std::string suggestion = {}) {
    problems_.push_back(
        problem_at(mark, std::move(found), std::move(allowed), std::move(suggestion)));
  }

  /// Those that are well formed; what is wrong with the others is told where they are read.
  void read_topology() {
    const ConfigNode* wires = tree_.find("wires");
    const ConfigNode* switches = tree_.find("switches");
    if (wires == nullptr && switches == nullptr && tree_.find("ports") == nullptr)
      wires_.push_back({"lab", "left", "right"});
    for (const ConfigEntry& entry : entries_of(wires))
      if (const Names ports = ports_of(entry); ports.size() == 2)
        wires_.push_back({entry.key, ports[0], ports[1]});
    for (const ConfigEntry& entry : entries_of(switches))
      switches_.push_back({entry.key, ports_of(entry)});
    for (const ConfigEntry& entry : entries_of(tree_.find("nodes"))) nodes_.push_back(entry.key);
  }

  static const std::vector<ConfigEntry>& entries_of(const ConfigNode* node) {
    static const std::vector<ConfigEntry> kNone;
    return node == nullptr ? kNone : node->entries;
  }

  static Names ports_of(const ConfigEntry& entry) {
    const ConfigNode* ports = entry.value.is_mapping() ? entry.value.find("ports") : &entry.value;
    Names names;
    if (ports != nullptr)
      for (const ConfigNode& item : ports->items) names.push_back(item.text);
    return names;
  }

  void expand_one(const ConfigNode& use) {
    const std::size_t problems_before = problems_.size();
    MappingReader reader(use, "use", problems_);
    const PresetText* text = find_text(reader.require("preset"));
    if (text == nullptr)
      return;
    const ConfigNode preset = preset_tree(*text);
    PresetValues values(use.mark);
    read_values(reader, preset, values);
    std::optional<Place> place = read_place(reader, use);
    std::string name(text->name);
    if (const ConfigNode* node = reader.take("name"))
      name = read_name(*node, problems_).value_or(name);
    else if (place && names_.count(name) > 1)
      name += "." + place->label;
    for (const std::string_view key : kRuleKeys) reader.take(key);
    reader.finish();
    if (problems_.size() != problems_before)
      return;
    add_rules(use, preset, values, *place, name);
    add_timeline(preset, values, name);
  }

  const PresetText* find_text(const ConfigNode* node) {
    if (node == nullptr)
      return nullptr;
    const PresetText* text = node->is_scalar() ? find_preset(node->text) : nullptr;
    if (text == nullptr)
      complain(node->mark, "unknown preset " + describe(*node),
               "one of those that `faultline preset list` names",
               node->is_scalar() ? nearest_preset(node->text) : "");
    return text;
  }

  void read_values(MappingReader& reader, const ConfigNode& preset, PresetValues& values) {
    const std::size_t problems_before = problems_.size();
    if (const ConfigNode* parameters = preset.find("parameters"))
      for (const ConfigEntry& parameter : parameters->entries) {
        values.set(parameter.key, scalar_at(parameter.value.text, reader.node().mark));
        if (const ConfigNode* given = reader.take(parameter.key))
          values.set_given(parameter, *given, problems_);
      }
    const ConfigNode* lookup = preset.find("lookup");
    if (lookup != nullptr && problems_.size() == problems_before)
      for (const ConfigEntry& wanted : lookup->entries) values.look_up(wanted, problems_);
  }

  std::optional<Place> read_place(MappingReader& reader, const ConfigNode& use) {
    std::optional<Place> place;
    if (const ConfigNode* on = reader.take("on"))
      place = on->is_sequence() ? nodes_place(*on) : place_of(*on);
    else if (wires_.size() + switches_.size() == 1)
      place = wires_.empty() ? switch_place(switches_[0]) : wire_place(wires_[0]);
    else
      complain(
          use.mark,
          fmt::format("use: 'on' is missing, with {} wires{}", wires_.size(),
                      switches_.empty() ? "" : fmt::format(" and {} switches", switches_.size())),
          "on: " + places());
    if (const ConfigNode* value = reader.take("reverse"))
      if (read_bool(*value, problems_).value_or(false) && place)
        for (Way& way : place->ways) way.role = way.role == Role::kUp ? Role::kDown : Role::kUp;
    return place;
  }

  /// Where there is nothing else rules need not say where.
  Ends everywhere_or(const Names& ports) const {
    return wires_.size() + switches_.size() == 1 ? Ends{} : Ends{ports, ports};
  }

  Place wire_place(const Wire& wire) const {
    return {
        {{Role::kUp, {{wire.first}, {wire.second}}}, {Role::kDown, {{wire.second}, {wire.first}}}},
        everywhere_or({wire.first, wire.second}),
        wire.name};
  }

  Place switch_place(const Switch& one) const { return {{}, everywhere_or(one.ports), one.name}; }

  static Place path_place(Ends ends, std::string label) {
    return {{{Role::kUp, ends}}, ends, std::move(label)};
  }

  static Place node_place(const Names& nodes) {
    return {{{Role::kUp, {nodes, {}}}, {Role::kDown, {{}, nodes}}},
            std::nullopt,
            fmt::format("{}", fmt::join(nodes, "-"))};
  }

  std::optional<Place> nodes_place(const ConfigNode& on) {
    Names nodes;
    for (const ConfigNode& item : on.items) {
      if (std::ranges::find(nodes_, item.text) == nodes_.end()) {
        complain(item.mark, "no node " + describe(item),
                 nodes_.empty() ? "a list of nodes, told under nodes:"
                                : fmt::format("a list of nodes ({})", fmt::join(nodes_, ", ")));
        return std::nullopt;
      }
      nodes.push_back(item.text);
    }
    if (nodes.empty())
      return unknown_place(on);
    return node_place(nodes);
  }

  /// A wire, a switch, a port (what comes in by it), a node (from it and to it) or a path
  /// "from>to".
  std::optional<Place> place_of(const ConfigNode& on) {
    if (on.text.find('>') != std::string::npos)
      return path_of(on);
    for (const Wire& wire : wires_)
      if (wire.name == on.text)
        return wire_place(wire);
    for (const Switch& one : switches_)
      if (one.name == on.text)
        return switch_place(one);
    for (const Wire& wire : wires_) {
      if (wire.first == on.text)
        return path_place({{wire.first}, {wire.second}}, on.text);
      if (wire.second == on.text)
        return path_place({{wire.second}, {wire.first}}, on.text);
    }
    for (const Switch& one : switches_)
      if (std::ranges::find(one.ports, on.text) != one.ports.end())
        return path_place({{on.text}, {}}, on.text);
    if (std::ranges::find(nodes_, on.text) != nodes_.end())
      return node_place({on.text});
    return unknown_place(on);
  }

  /// Between two ports of a wire or switch; where there is a node, its rule tells whether there is
  /// a way.
  std::optional<Place> path_of(const ConfigNode& on) {
    std::string text = on.text;
    std::erase(text, ' ');
    const std::string from = text.substr(0, text.find('>'));
    const std::string to = text.substr(from.size() + 1);
    const auto is_node = [&](const std::string& name) {
      return std::ranges::find(nodes_, name) != nodes_.end();
    };
    const auto is_port = [&](const std::string& name) {
      const Names all = all_ports();
      return std::ranges::find(all, name) != all.end();
    };
    bool joined = (is_node(from) || is_node(to)) && (is_node(from) || is_port(from)) &&
                  (is_node(to) || is_port(to));
    for (const Wire& wire : wires_)
      joined |=
          (wire.first == from && wire.second == to) || (wire.second == from && wire.first == to);
    for (const Switch& one : switches_)
      joined |= std::ranges::find(one.ports, from) != one.ports.end() &&
                std::ranges::find(one.ports, to) != one.ports.end();
    if (!joined || from == to)
      return unknown_place(on);
    return path_place({{from}, {to}}, from + "-" + to);
  }

  Names all_ports() const {
    Names names;
    for (const Wire& wire : wires_) names.insert(names.end(), {wire.first, wire.second});
    for (const Switch& one : switches_)
      names.insert(names.end(), one.ports.begin(), one.ports.end());
    return names;
  }

  std::nullopt_t unknown_place(const ConfigNode& on) {
    const Names ports = all_ports();
    std::vector<std::string_view> known(ports.begin(), ports.end());
    for (const Wire& wire : wires_) known.push_back(wire.name);
    for (const Switch& one : switches_) known.push_back(one.name);
    known.insert(known.end(), nodes_.begin(), nodes_.end());
    complain(on.mark,
             fmt::format("no wire, {}port or path {}",
                         switches_.empty() && nodes_.empty() ? "" : "switch, node, ", describe(on)),
             places(), on.is_scalar() ? nearest_word(on.text, known) : "");
    return std::nullopt;
  }

  std::string places() const {
    const auto names_of = [](const auto& all) {
      Names names;
      for (const auto& each : all) names.push_back(each.name);
      return fmt::format("{}", fmt::join(names, ", "));
    };
    std::string text;
    if (!wires_.empty())
      text += fmt::format("a wire ({}), ", names_of(wires_));
    if (!switches_.empty())
      text += fmt::format("a switch ({}), ", names_of(switches_));
    if (!nodes_.empty())
      text += fmt::format("a node ({}), ", fmt::join(nodes_, ", "));
    const Names ports = all_ports();
    return text + "a port that packets come in by, or a path such as " +
           (ports.size() < 2 ? "left>right" : ports[0] + ">" + ports[1]);
  }

  void add_rules(const ConfigNode& use, const ConfigNode& preset, const PresetValues& values,
                 const Place& place, const std::string& name) {
    const ConfigNode* rules = preset.find("rules");
    FAULTLINE_CHECK(rules != nullptr && rules->is_sequence());
    bool added = false;
    for (const ConfigNode& item : rules->items) {
      const ConfigNode* from = item.find("from");
      FAULTLINE_CHECK(from == nullptr || from->text == "$near" || from->text == "$far");
      const ConfigNode* part = item.find("name");
      const std::string full = part == nullptr ? name : name + "." + part->text;
      if (from == nullptr && place.whole) {
        add_rule(use, item, values, full, *place.whole);
        added = true;
        continue;
      }
      for (const Way& way : place.ways) {
        const bool is_up = way.role == Role::kUp;
        if (from != nullptr && is_up != (from->text == "$near"))
          continue;
        add_rule(use, item, values, from != nullptr ? full : full + (is_up ? ".up" : ".down"),
                 way.ends);
        added = true;
      }
    }
    if (!added)
      complain(use.mark,
               fmt::format("nothing of preset '{}' goes that way", preset.find("preset")->text),
               "on: a wire, the other direction or a node, or reverse: true");
  }

  void add_rule(const ConfigNode& use, const ConfigNode& written, const PresetValues& values,
                const std::string& name, const Ends& ends) {
    if (!made_.insert(name).second) {
      complain(use.mark, fmt::format("a second rule named '{}' from presets", name),
               "another `on`, or a `name` for this use");
      return;
    }
    ConfigNode rule;
    rule.kind = ConfigNode::Kind::kMapping;
    rule.mark = use.mark;
    rule.set("name", scalar_at(name, use.mark));
    if (!ends.from.empty())
      rule.set("from", list_at(ends.from, use.mark));
    if (!ends.to.empty())
      rule.set("to", list_at(ends.to, use.mark));
    ConfigNode rest = values.apply(without(written, {"name", "from"}), problems_);
    for (ConfigEntry& entry : rest.entries) rule.set(entry.key, std::move(entry.value));
    for (const std::string_view key : kRuleKeys)
      if (const ConfigNode* value = use.find(key))
        rule.set(key, key == "match" ? both(rule.find("match"), *value) : *value);
    rules_.items.push_back(std::move(rule));
  }

  static ConfigNode without(ConfigNode node, std::initializer_list<std::string_view> keys) {
    std::erase_if(node.entries, [&](const ConfigEntry& entry) {
      return std::ranges::find(keys, entry.key) != keys.end();
    });
    return node;
  }

  /// The preset's own match, if it has one, and the use's.
  static ConfigNode both(const ConfigNode* own, const ConfigNode& given) {
    if (own == nullptr)
      return given;
    ConfigNode list;
    list.kind = ConfigNode::Kind::kSequence;
    list.mark = given.mark;
    list.items = {*own, given};
    ConfigNode all;
    all.kind = ConfigNode::Kind::kMapping;
    all.mark = given.mark;
    all.set("all", std::move(list));
    return all;
  }

  void add_timeline(const ConfigNode& preset, const PresetValues& values, const std::string& name) {
    const ConfigNode* timeline = preset.find("timeline");
    if (timeline == nullptr)
      return;
    for (const ConfigNode& item : timeline->items) {
      ConfigNode entry = values.apply(item, problems_);
      if (ConfigNode* rule = entry.find("rule"))
        rule->text = name + "." + rule->text;
      // An entry for a rule that a path left out has nothing to do.
      if (const ConfigNode* rule = entry.find("rule");
          rule == nullptr || made_.contains(rule->text))
        timeline_.items.push_back(std::move(entry));
    }
  }

  void put_in_front(std::string_view key, ConfigNode& added) {
    if (added.items.empty())
      return;
    ConfigNode* own = tree_.find(key);
    added.mark = added.items.front().mark;
    if (own == nullptr || own->kind == ConfigNode::Kind::kNull) {
      tree_.set(key, std::move(added));
      return;
    }
    if (own->is_sequence())
      own->items.insert(own->items.begin(), std::make_move_iterator(added.items.begin()),
                        std::make_move_iterator(added.items.end()));
  }

  ConfigNode& tree_;
  Problems& problems_;
  std::vector<Wire> wires_;
  std::vector<Switch> switches_;
  Names nodes_;
  std::multiset<std::string> names_;  ///< of presets used
  std::set<std::string> made_;        ///< names of rules
  ConfigNode rules_;
  ConfigNode timeline_;
};

}  // namespace

void expand_presets(ConfigNode& tree, ScenarioUse use, Problems& problems) {
  const ConfigNode* found = tree.is_mapping() ? tree.find("use") : nullptr;
  if (found == nullptr || (use == ScenarioUse::kLive && tree.find("ports") == nullptr))
    return;
  const ConfigNode uses = *found;
  std::erase_if(tree.entries, [](const ConfigEntry& entry) { return entry.key == "use"; });
  Expander(tree, problems).expand(uses);
}

}  // namespace faultline
