// What all loss models share: what becomes of a packet that the dice hit (`action:`), and walking
// through a selection scope by scope.
#pragma once

#include <optional>

#include "base/units.hpp"
#include "impair/impairment.hpp"

namespace faultline {

enum class LossAction : std::uint8_t {
  kDrop,
  kMarkCe,  ///< a packet that is ECN-capable gets CE instead of being lost (RFC 3168), others are
            ///< lost
};

/// An ECN-capable packet leaves with CE.
inline void mark(JudgedBurst& burst, std::uint8_t i) noexcept {
  burst.marked[i] = burst.marked[i] || burst.ecn[i] != kEcnCongestionExperienced;
  burst.ecn[i] = kEcnCongestionExperienced;
}

inline void lose(LossAction action, JudgedBurst& burst, std::uint8_t i) noexcept {
  if (action == LossAction::kMarkCe && burst.ecn[i] != kEcnNotCapable) {
    mark(burst, i);
    return;
  }
  burst.reason[i] = DropReason::kLoss;
}

/// `action: drop | mark-ce`; drop when the key is left out or wrong.
inline LossAction read_loss_action(MappingReader& reader, Problems& problems) {
  const ConfigNode* value = reader.take("action");
  if (value == nullptr)
    return LossAction::kDrop;
  const auto word = read_word(*value, {"drop", "mark-ce"}, problems);
  return word && *word == 1 ? LossAction::kMarkCe : LossAction::kDrop;
}

/// Calls `walk(first, end)` for each run of turns [first, end) of the selection whose packets are
/// of one scope, so that a model can keep the scope's state in locals. Needs state_bytes.
template <typename Walk>
void for_each_scope_run(const Asked& asked, const Selection& selection, const Walk& walk) noexcept {
  std::uint32_t first = 0;
  while (first < selection.count) {
    const ScopeState* state = asked.state[selection.position[first]];
    std::uint32_t end = first + 1;
    while (end < selection.count && asked.state[selection.position[end]] == state) ++end;
    walk(first, end);
    first = end;
  }
}

}  // namespace faultline
