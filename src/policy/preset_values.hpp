// The values of a preset: its parameters with what a scenario gives them, and what becomes of a
// `$name` in its text. A value keeps the place where it was written; everything else of a preset
// stands where the scenario uses it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.hpp"

namespace faultline {

/// Values by name.
class PresetValues {
 public:
  /// `place` is where the preset is used.
  explicit PresetValues(const Mark& place) : place_(place) {}

  void set(std::string_view name, ConfigNode value);
  const ConfigNode* find(std::string_view name) const;
  /// A parameter with what the scenario gives it: of the same kind as its default.
  void set_given(const ConfigEntry& parameter, const ConfigNode& given, Problems& problems);
  /// A value that a table has for two others, as `lookup:` of a preset says.
  void look_up(const ConfigEntry& wanted, Problems& problems);

  /// `node` with every `$name` replaced: a whole scalar by the value as it is, durations also
  /// computed with (`$rtt / 2`), and names inside other text by their text.
  ConfigNode apply(const ConfigNode& node, Problems& problems) const;

 private:
  ConfigNode scalar(const ConfigNode& node, Problems& problems) const;
  Mark place_of(std::string_view text) const;
  std::string in_text(std::string_view text) const;
  std::optional<std::string> computed(std::string_view text) const;

  Mark place_;
  std::vector<ConfigEntry> values_;
};

}  // namespace faultline
