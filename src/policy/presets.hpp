// `use:` of a scenario: presets become rules (and entries of the timeline) before the scenario is
// read, on its tree. Whatever is wrong with them points to the entry that uses them.
#pragma once

#include "policy/preset_library.hpp"
#include "policy/scenario.hpp"

namespace faultline {

inline constexpr std::size_t kUsesMax = 256;

/// Puts the presets that `use:` names in front of the scenario's own rules, and takes `use:` away.
/// Without `ports:` a live scenario keeps it: only who knows the ports can expand it.
void expand_presets(ConfigNode& tree, ScenarioUse use, Problems& problems);

}  // namespace faultline
