// How much the delays of packets differ from one to the next: inter-packet delay variation as of
// RFC 5481, section 4.1, its size without the sign. Counted for the few rules of which it is asked,
// on each path for itself. A worker's own; any thread may read what it counted.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "dataplane/histogram.hpp"
#include "policy/policy.hpp"

namespace faultline {

class VariationMeter {
 public:
  explicit VariationMeter(std::size_t paths)
      : paths_(paths), last_ns_(new std::uint64_t[kVariationsMax * paths]) {
    for (std::uint32_t which = 0; which < kVariationsMax; ++which) clear(which);
  }

  /// Of this packet of the rule, behind those before it.
  void note(std::uint32_t which, PathId path, std::uint64_t delay_ns) noexcept {
    std::uint64_t& last_ns = last_ns_[which * paths_ + path];
    if (last_ns != kNever)
      counts_[which].add(delay_ns > last_ns ? delay_ns - last_ns : last_ns - delay_ns);
    last_ns = delay_ns;
  }

  /// Forgets what was counted for rules that are others, or begin anew, with this policy.
  void adopt(const Policy& policy) noexcept {
    for (const RuleProgram& rule : policy.rules) {
      if (!rule.variation)
        continue;
      bool fresh = owners_[*rule.variation] != rule.name_hash;
      for (const std::uint16_t slot : policy.fresh_rules) fresh |= slot == rule.slot;
      if (fresh)
        clear(*rule.variation);
      owners_[*rule.variation] = rule.name_hash;
    }
  }

  const Histogram& counts(std::uint32_t which) const noexcept { return counts_[which]; }

 private:
  void clear(std::uint32_t which) noexcept {
    counts_[which].clear();
    for (std::size_t path = 0; path < paths_; ++path) last_ns_[which * paths_ + path] = kNever;
  }

  std::size_t paths_;
  std::unique_ptr<std::uint64_t[]> last_ns_;  ///< by rule and path; kNever: there was none
  std::array<std::uint64_t, kVariationsMax> owners_{};
  std::array<Histogram, kVariationsMax> counts_{};
};

}  // namespace faultline
