// The presets that the program carries in itself: texts of configs/presets/*.yaml and tables of
// configs/presets/data, put in by the build. No file is opened for them, so daemon and command line
// know the same ones wherever they run. How a scenario uses them is policy/presets.hpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.hpp"

namespace faultline {

/// A file of configs/presets, or of configs/presets/data, without its extension.
struct PresetText {
  std::string_view name;
  std::string_view text;
};

/// All of them, in the order of their names.
const std::vector<PresetText>& preset_texts();
/// Null when there is none of that name.
const PresetText* find_preset(std::string_view name);
/// The text as a tree. What is built in can be read: a test holds it, and it aborts otherwise.
ConfigNode preset_tree(const PresetText& preset);
/// The lines of comment that a preset begins with, without their "# ": where its numbers come from.
std::string preset_source(const PresetText& preset);

/// The preset of that name nearest to `name`, or empty.
std::string nearest_preset(std::string_view name);

/// A row of a table: from, to and a whole number.
struct PresetRow {
  std::string_view from;
  std::string_view to;
  std::string_view value;
};
/// Empty when there is no such table.
std::vector<PresetRow> preset_table(std::string_view name);

}  // namespace faultline
