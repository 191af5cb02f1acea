// What a system model of distributed computing promises of the wire, as limits that a worker can
// hold each packet against. docs/models.md has the promises.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/config.hpp"
#include "impair/burst.hpp"

namespace faultline {

struct SystemModel {
  std::string name;                            ///< empty: none, and nothing is watched
  std::uint32_t drops_allowed = 0;             ///< by DropReason, a bit each
  bool duplicates = false;                     ///< packets may become several
  bool answers = false;                        ///< frames may be made because of packets
  bool lies = false;                           ///< bytes may change, frames come from nowhere
  bool loses_before_gst = false;               ///< any drop is allowed until then
  std::uint64_t gst_ns = 0;                    ///< since time zero; 0: the limits hold from then on
  std::uint64_t delay_before_ns = UINT64_MAX;  ///< of packets that came before the GST
  std::uint64_t delay_ns = UINT64_MAX;         ///< of those that came later
  std::uint32_t losses_max = UINT32_MAX;       ///< of a flow, one after the other

  bool is_watched() const noexcept { return !name.empty(); }
  bool counts_losses() const noexcept { return losses_max != UINT32_MAX; }
  bool allows(DropReason reason) const noexcept {
    return (drops_allowed >> static_cast<unsigned>(reason) & 1U) != 0;
  }
  friend bool operator==(const SystemModel&, const SystemModel&) = default;
};

/// Reads `model:`, a name or a mapping with one. Every problem is told.
std::optional<SystemModel> read_system_model(const ConfigNode& node, Problems& problems);

}  // namespace faultline
