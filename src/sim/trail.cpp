// Remembering touches by the packets' sequence numbers.
#include "sim/trail.hpp"

#include <utility>

namespace faultline {

void Trail::arrived(const Arrivals& arrivals, const JudgedBurst& burst) noexcept {
  if (!wants_flows())
    return;
  for (std::uint32_t i = arrivals.first; i < arrivals.first + arrivals.count; ++i) {
    PacketTrail& trail = packets_[burst.sequence[i]];
    trail.policy = &arrivals.policy;
    trail.number = burst.number[i];
    if (detail_ != TrailDetail::kAll)
      continue;
    trail.fields = arrivals.fields[i];
    trail.role = arrivals.connections[i].role;
  }
}

void Trail::matched(const RuleProgram& rule, const Selection& matched,
                    const JudgedBurst& burst) noexcept {
  if (detail_ != TrailDetail::kAll)
    return;
  for (std::uint32_t turn = 0; turn < matched.count; ++turn)
    packets_[burst.sequence[matched.position[turn]]].matched.push_back(&rule);
}

void Trail::asks(const RuleProgram& rule, std::size_t step, const Selection& selection,
                 const Asked& asked, const JudgedBurst& burst) noexcept {
  if (detail_ == TrailDetail::kNothing)
    return;
  before_ns_ = burst.time_ns;
  before_marked_ = burst.marked;
  const CompiledImpairment& impairment = rule.steps[step].impairment;
  if (detail_ != TrailDetail::kAll || impairment.explain == nullptr)
    return;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    explanations_[i] = impairment.explain(impairment.parameters, asked, burst, i);
  }
}

void Trail::judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
                   const JudgedBurst& burst) noexcept {
  if (detail_ == TrailDetail::kNothing)
    return;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    Touch touch{&rule,
                step,
                burst.time_ns[i] - before_ns_[i],
                burst.reason[i],
                burst.marked[i] && !before_marked_[i],
                {}};
    if (detail_ == TrailDetail::kAll)
      touch.explanation = std::exchange(explanations_[i], {});
    else if (!touch.changed())
      continue;
    packets_[burst.sequence[i]].touches.push_back(std::move(touch));
  }
}

PacketTrail Trail::take(std::uint32_t sequence) {
  const auto found = packets_.find(sequence);
  if (found == packets_.end())
    return {};
  PacketTrail trail = std::move(found->second);
  packets_.erase(found);
  return trail;
}

}  // namespace faultline
