// Expanding `use:`. A preset writes its rules for a wire with a near and a far end; here the ends
// get their ports, the rules their names, and the parameters their values.
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

ConfigNode list_at(std::initializer_list<std::string> texts, const Mark& mark) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kSequence;
  node.mark = mark;
  for (const std::string& text : texts) node.items.push_back(scalar_at(text, mark));
  return node;
}

struct Wire {
  std::string name;
  std::string first;
  std::string second;
};

/// Where a preset goes: what comes in at the near end is its uplink, if it has one.
struct Place {
  std::string near;
  std::string far;
  bool both_ways = true;  ///< else only what comes in at `into`
  std::string into;
  bool only_wire = false;  ///< rules need not say where
  std::string label;       ///< for names of rules
};

/// Keys of a use that go to each of its rules.
constexpr std::string_view kRuleKeys[] = {"enabled", "ttl", "optional", "lease", "match"};

class Expander {
 public:
  Expander(ConfigNode& tree, Problems& problems) : tree_(tree), problems_(problems) {
    rules_.kind = timeline_.kind = ConfigNode::Kind::kSequence;
  }

  void expand(const ConfigNode& uses) {
    read_wires();
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
  void read_wires() {
    const ConfigNode* wires = tree_.find("wires");
    if (wires == nullptr && tree_.find("ports") == nullptr)
      wires_.push_back({"lab", "left", "right"});
    if (wires == nullptr)
      return;
    for (const ConfigEntry& entry : wires->entries) {
      const ConfigNode* ports = entry.value.is_mapping() ? entry.value.find("ports") : &entry.value;
      if (ports != nullptr && ports->items.size() == 2)
        wires_.push_back({entry.key, ports->items[0].text, ports->items[1].text});
    }
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
      place = on->is_scalar() ? place_of(*on) : unknown_place(*on);
    else if (wires_.size() == 1)
      place = wire_place(wires_.front());
    else
      complain(use.mark, fmt::format("use: 'on' is missing, with {} wires", wires_.size()),
               "on: " + places());
    if (const ConfigNode* value = reader.take("reverse"))
      if (read_bool(*value, problems_).value_or(false) && place)
        std::swap(place->near, place->far);
    return place;
  }

  Place wire_place(const Wire& wire) const {
    return {wire.first, wire.second, true, {}, wires_.size() == 1, wire.name};
  }

  /// A wire, a port (what comes in by it) or a path "from>to".
  std::optional<Place> place_of(const ConfigNode& on) {
    for (const Wire& wire : wires_)
      if (wire.name == on.text)
        return wire_place(wire);
    for (const Wire& wire : wires_)
      for (const auto& [from, to] :
           {std::pair(wire.first, wire.second), std::pair(wire.second, wire.first)}) {
        const bool is_path = without_blanks(on.text) == from + ">" + to;
        if (on.text == from || is_path)
          return Place{from, to, false, from, false, is_path ? from + "-" + to : from};
      }
    return unknown_place(on);
  }

  static std::string without_blanks(std::string text) {
    std::erase(text, ' ');
    return text;
  }

  std::nullopt_t unknown_place(const ConfigNode& on) {
    std::vector<std::string_view> known;
    for (const Wire& wire : wires_) known.insert(known.end(), {wire.name, wire.first, wire.second});
    complain(on.mark, "no wire, port or path " + describe(on), places(),
             on.is_scalar() ? nearest_word(on.text, known) : "");
    return std::nullopt;
  }

  std::string places() const {
    std::string text = "a wire (";
    for (const Wire& wire : wires_) text += (&wire == &wires_.front() ? "" : ", ") + wire.name;
    text += "), a port that packets come in by, or a path such as ";
    return text + (wires_.empty() ? "left>right" : wires_[0].first + ">" + wires_[0].second);
  }

  void add_rules(const ConfigNode& use, const ConfigNode& preset, const PresetValues& values,
                 const Place& place, const std::string& name) {
    const ConfigNode* rules = preset.find("rules");
    FAULTLINE_CHECK(rules != nullptr && rules->is_sequence());
    bool added = false;
    for (const ConfigNode& item : rules->items) {
      const ConfigNode* from = item.find("from");
      FAULTLINE_CHECK(from == nullptr || from->text == "$near" || from->text == "$far");
      const std::string into = from == nullptr         ? place.into
                               : from->text == "$near" ? place.near
                                                       : place.far;
      if (!place.both_ways && into != place.into)
        continue;
      added = true;
      add_rule(use, item, values, name, ends_of(place, into));
    }
    if (!added)
      complain(use.mark,
               fmt::format("nothing of preset '{}' goes that way", preset.find("preset")->text),
               "on: the other direction, a wire, or reverse: true");
  }

  /// `from` and `to` of a rule; lists without items where none are needed.
  struct Ends {
    ConfigNode from;
    ConfigNode to;
  };
  static Ends ends_of(const Place& place, const std::string& into) {
    if (!into.empty())
      return {list_at({into}, {}), list_at({into == place.near ? place.far : place.near}, {})};
    if (place.only_wire)
      return {};
    return {list_at({place.near, place.far}, {}), list_at({place.near, place.far}, {})};
  }

  void add_rule(const ConfigNode& use, const ConfigNode& written, const PresetValues& values,
                const std::string& name, Ends ends) {
    ConfigNode rule = values.apply(without(written, {"name", "from"}), problems_);
    ConfigNode whole;
    whole.kind = ConfigNode::Kind::kMapping;
    whole.mark = use.mark;
    const ConfigNode* part = written.find("name");
    const std::string full = part == nullptr ? name : name + "." + part->text;
    if (!made_.insert(full).second) {
      complain(use.mark, fmt::format("a second rule named '{}' from presets", full),
               "another `on`, or a `name` for this use");
      return;
    }
    whole.set("name", scalar_at(full, use.mark));
    for (auto& [key, end] : {std::pair("from", &ends.from), std::pair("to", &ends.to)}) {
      end->mark = use.mark;
      for (ConfigNode& item : end->items) item.mark = use.mark;
      if (!end->items.empty())
        whole.set(key, std::move(*end));
    }
    for (ConfigEntry& entry : rule.entries) whole.set(entry.key, std::move(entry.value));
    for (const std::string_view key : kRuleKeys)
      if (const ConfigNode* value = use.find(key))
        whole.set(key, key == "match" ? both(whole.find("match"), *value) : *value);
    rules_.items.push_back(std::move(whole));
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
