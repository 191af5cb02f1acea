// Looking presets and tables up in what the build put in.
#include "policy/preset_library.hpp"

#include <algorithm>
#include <iterator>

#include "base/check.hpp"
#include "policy/preset_files.hpp"

namespace faultline {
namespace {

/// The part before `end`, which is taken off `text` with it.
std::string_view take_until(std::string_view& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

}  // namespace

const std::vector<PresetText>& preset_texts() {
  static const std::vector<PresetText> texts = [] {
    std::vector<PresetText> sorted(std::begin(kPresetFiles), std::end(kPresetFiles));
    std::ranges::sort(sorted, {}, &PresetText::name);
    return sorted;
  }();
  return texts;
}

const PresetText* find_preset(std::string_view name) {
  const auto& texts = preset_texts();
  const auto found = std::ranges::lower_bound(texts, name, {}, &PresetText::name);
  return found != texts.end() && found->name == name ? &*found : nullptr;
}

ConfigNode preset_tree(const PresetText& preset) {
  Result<ConfigNode> tree = parse_config(preset.text, intern_file_name(preset.name));
  FAULTLINE_CHECK(tree.has_value() && tree->is_mapping());
  return std::move(*tree);
}

std::string preset_source(const PresetText& preset) {
  std::string source;
  for (std::string_view rest = preset.text; rest.starts_with('#');) {
    std::string_view line = take_until(rest, '\n');
    line.remove_prefix(line.starts_with("# ") ? 2 : 1);
    source += source.empty() ? "" : "\n";
    source += line;
  }
  return source;
}

std::string nearest_preset(std::string_view name) {
  std::vector<std::string_view> names;
  for (const PresetText& preset : preset_texts()) names.push_back(preset.name);
  return nearest_word(name, names);
}

std::vector<PresetRow> preset_table(std::string_view name) {
  std::vector<PresetRow> rows;
  for (const PresetText& table : kPresetTables) {
    if (table.name != name)
      continue;
    for (std::string_view rest = table.text; !rest.empty();) {
      std::string_view line = take_until(rest, '\n');
      if (line.empty() || line.starts_with('#') || line.starts_with("source,"))
        continue;
      const std::string_view from = take_until(line, ',');
      const std::string_view to = take_until(line, ',');
      rows.push_back({from, to, take_until(line, ',')});
    }
  }
  return rows;
}

}  // namespace faultline
