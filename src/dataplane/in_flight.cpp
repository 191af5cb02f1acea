// Cutting off what is on its way.
#include "dataplane/in_flight.hpp"

#include <algorithm>

#include "packet/frame_fields.hpp"

namespace faultline {

void InFlight::refresh(const Policy& policy, std::uint64_t now_ns) noexcept {
  policy_ = &policy;
  for (Cut& cut : cuts_) cut.ends_ns = std::min(cut.ends_ns, now_ns);
  for (const RuleProgram& rule : policy.rules) {
    if (!rule.cuts_in_flight || !rule.active_at(now_ns))
      continue;
    const std::uint64_t begins_ns = rule.term_at(now_ns).begins_ns;
    const auto known = std::ranges::find_if(cuts_, [&](const Cut& cut) {
      return cut.ends_ns == now_ns && cut.begins_ns == begins_ns && cut.rule->slot == rule.slot;
    });
    if (known != cuts_.end())
      *known = {&rule, begins_ns, kNever};
    else if (cuts_.size() < kCutsMax)
      cuts_.push_back({&rule, begins_ns, kNever});
    before_ns_ = std::max(before_ns_, begins_ns);
  }
}

void InFlight::drop_ended() noexcept {
  std::erase_if(cuts_, [](const Cut& cut) { return cut.ends_ns != kNever; });
  before_ns_ = 0;
  for (const Cut& cut : cuts_) before_ns_ = std::max(before_ns_, cut.begins_ns);
}

bool InFlight::takes(const HoldKey& key, std::span<const std::uint8_t> frame,
                     std::uint32_t length) noexcept {
  FrameFields fields;
  if (parse_frame(frame, length, fields) == ParseOutcome::kUnparsed)
    return false;
  const PathId path_id = policy_->path_of(key.ingress, key.egress);
  const auto cuts = [&](const Cut& cut) {
    return key.arrival_ns < cut.begins_ns && key.release_ns >= cut.begins_ns &&
           key.release_ns < cut.ends_ns && cut.rule->paths.test(path_id) &&
           (!cut.rule->match || cut.rule->match->of_packet({.fields = fields,
                                                            .bytes = frame,
                                                            .portless = cut.rule->portless,
                                                            .ingress = key.ingress,
                                                            .egress = key.egress}));
  };
  const auto cut = std::ranges::find_if(cuts_, cuts);
  if (cut == cuts_.end())
    return false;
  ++rules_[cut->rule->slot].dropped;
  return true;
}

}  // namespace faultline
