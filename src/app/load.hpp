// What both programs share: loading a scenario with the right exit status, and telling problems.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "policy/timeline.hpp"

namespace faultline {

/// Exit statuses of both programs (fixed).
enum class Exit : int {
  kDone = 0,
  kWrong = 1,  ///< the scenario has errors, or the verdict is fail
  kUsage = 2,
  kNoDaemon = 3,
  kRefused = 4,   ///< conflict, capacity, permission
  kUnusable = 5,  ///< an input or output file
};
constexpr int code(Exit exit) {
  return static_cast<int>(exit);
}

enum class OutputForm : std::uint8_t { kHuman, kJson };

/// One line a problem on stderr; with kJson also `{"ok":false,"errors":[…]}` on stdout.
void tell(const Problems& problems, OutputForm form);
/// `faultline: error: …` on stderr, likewise.
void tell(const std::string& message, OutputForm form);

struct Loaded {
  std::optional<Scenario> scenario;
  Exit exit = Exit::kDone;  ///< why there is none: kWrong or kUnusable
};

/// A seed for a scenario that has none, or that wins over its own.
struct SeedChoice {
  std::optional<std::uint64_t> number;
  bool wins = false;
};

using Amend = std::function<void(ConfigNode&, Problems&)>;

/// Reads and checks a scenario file and the files it names; problems are told.
Loaded load_scenario(const std::string& path, ScenarioUse use, OutputForm form,
                     const SeedChoice& seed = {}, const Amend& amend = {});

/// A scenario for virtual time, and its policies.
struct LoadedPolicies {
  std::optional<Scenario> scenario;
  PolicyChain policies;
  Exit exit = Exit::kDone;  ///< why there are none: kWrong or kUnusable
};
/// As load_scenario; `seed` wins over the scenario's own, and one that is drawn is told.
LoadedPolicies load_policies(const std::string& path, std::optional<std::uint64_t> seed,
                             OutputForm form, const Amend& amend = {});

/// A scenario's text as a tree, with the texts of the files it names in it, and of a good one the
/// rules of the presets it uses.
struct InlinedScenario {
  bool is_changed = false;  ///< the tree says more than the text
  Result<Scenario> scenario;
  ConfigNode tree;
  Problems unreadable;  ///< files; they are among the scenario's errors too
};
/// `amend` changes the tree before it is read, and says what is wrong with what it takes.
InlinedScenario read_inlined(const std::string& text, const std::string& path, ScenarioUse use,
                             const SeedChoice& seed = {}, const Amend& amend = {});

}  // namespace faultline
