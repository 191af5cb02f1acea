// `faultline preset list` and `preset show`: what the program carries in itself; no file is read.
#include <fmt/format.h>

#include "app/commands.hpp"
#include "control/scenario_tree.hpp"
#include "policy/preset_library.hpp"

namespace faultline {
namespace {

std::string text_of(const ConfigNode& tree, std::string_view key) {
  const ConfigNode* node = tree.find(key);
  return node == nullptr ? std::string() : node->text;
}

Json part_of(const ConfigNode& tree, std::string_view key) {
  const ConfigNode* node = tree.find(key);
  return node == nullptr ? Json::object() : to_json(*node);
}

/// "loss 0.1%, delay 40ms".
std::string in_words(const ConfigNode* values) {
  std::string words;
  if (values != nullptr)
    for (const ConfigEntry& entry : values->entries)
      words += fmt::format("{}{} {}", words.empty() ? "" : ", ", entry.key, entry.value.text);
  return words;
}

/// "use: [{preset: geo, loss: 0.5%}]".
std::string use_of(const PresetText& preset, const ConfigNode& tree) {
  std::string keys = fmt::format("preset: {}", preset.name);
  if (const ConfigNode* parameters = tree.find("parameters"))
    for (const ConfigEntry& entry : parameters->entries)
      keys += fmt::format(", {}: {}", entry.key, entry.value.text);
  return "use: [{" + keys + "}]";
}

Json summary_of(const PresetText& preset, const ConfigNode& tree) {
  Json summary;
  summary["name"] = preset.name;
  summary["description"] = text_of(tree, "description");
  summary["headline"] = part_of(tree, "headline");
  summary["parameters"] = part_of(tree, "parameters");
  return summary;
}

}  // namespace

Exit run_preset_list(OutputForm form) {
  Json list = Json::array();
  for (const PresetText& preset : preset_texts()) {
    const ConfigNode tree = preset_tree(preset);
    if (form == OutputForm::kJson)
      list.push_back(summary_of(preset, tree));
    else
      fmt::print("{:<24} {} ({})\n", preset.name, text_of(tree, "description"),
                 in_words(tree.find("headline")));
  }
  if (form == OutputForm::kJson)
    fmt::print("{}\n", Json{{"presets", std::move(list)}}.dump());
  return Exit::kDone;
}

Exit run_preset_show(const std::string& name, OutputForm form) {
  const PresetText* preset = find_preset(name);
  if (preset == nullptr) {
    Problem problem;
    problem.file = "faultline";
    problem.message = "unknown preset " + in_quotes(name);
    problem.allowed = "one of those that `faultline preset list` names";
    problem.suggestion = nearest_preset(name);
    tell(Problems{problem}, form);
    return Exit::kUsage;
  }
  const ConfigNode tree = preset_tree(*preset);
  if (form == OutputForm::kHuman) {
    fmt::print("{}\n# {}\n", preset->text, use_of(*preset, tree));
    return Exit::kDone;
  }
  Json shown = summary_of(*preset, tree);
  shown["source"] = preset_source(*preset);
  for (const std::string_view key : {"lookup", "rules", "timeline"})
    if (tree.find(key) != nullptr)
      shown[std::string(key)] = part_of(tree, key);
  shown["use"] = use_of(*preset, tree);
  shown["text"] = preset->text;
  fmt::print("{}\n", shown.dump());
  return Exit::kDone;
}

}  // namespace faultline
