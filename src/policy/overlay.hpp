// `set` of a timeline: which impairments of a rule it names, and their list with its values laid
// over them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.hpp"

namespace faultline {

/// "delay[2]" is the second delay of a rule.
struct PartName {
  std::string_view kind;
  std::size_t number = 0;  ///< from 1; 0: not said
  bool good = true;
};
PartName part_of(std::string_view key);

/// The positions of a rule's impairments of one kind.
std::vector<std::size_t> positions_of(const ConfigNode& impair, std::string_view kind);
/// The position of the one that a key of `set` names.
std::optional<std::size_t> position_of(const ConfigNode& impair, std::string_view key);
/// What `set` may name.
std::vector<std::string> part_names(const ConfigNode& impair);

/// How far a `set` has got.
struct RampStep {
  std::uint64_t step = 0;
  std::uint64_t steps = 0;  ///< 0: all the way
  friend auto operator<=>(const RampStep&, const RampStep&) = default;
};

/// Lays the keys of `set` over the impairments. False where a ramp is none: it is at its end then.
bool overlay(ConfigNode& impair, const ConfigNode& set, RampStep at = {});

}  // namespace faultline
