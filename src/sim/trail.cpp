// Remembering touches by the packets' sequence numbers.
#include "sim/trail.hpp"

#include <utility>

namespace faultline {

void Trail::arrived(const Arrivals& arrivals, const JudgedBurst& burst) noexcept {
  if (!wants_flows())
    return;
  for (std::uint32_t i = arrivals.first; i < arrivals.first + arrivals.count; ++i) {
    PacketTrail& trail = trail_of(burst, static_cast<std::uint8_t>(i));
    trail.policy = &arrivals.policy;
    trail.number = burst.number[i];
    trail.flow = arrivals.fields[i].key;
    if (arrivals.policy.paths[arrivals.path_id].draws_by_connection)
      trail.connection =
          flow_connection(arrivals.fields[i], arrivals.connections[i], burst.number[i]);
    trail.hash = frame_hash(arrivals.frames[i]);
    trail.length_bytes = arrivals.frames[i].length;
    if (detail_ != TrailDetail::kAll)
      continue;
    trail.fields = arrivals.fields[i];
    trail.role = arrivals.connections[i].role;
    if (arrivals.policy.paths[arrivals.path_id].follows_tcp)
      trail.tcp = arrivals.tcp[i];
    if (arrivals.policy.paths[arrivals.path_id].needs_payload)
      trail.payload = arrivals.payload[i];
  }
}

void Trail::matched(const RuleProgram& rule, const Selection& matched,
                    const JudgedBurst& burst) noexcept {
  if (detail_ != TrailDetail::kAll)
    return;
  for (std::uint32_t turn = 0; turn < matched.count; ++turn)
    trail_of(burst, matched.position[turn]).matched.push_back(&rule);
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

void Trail::served(const RuleProgram&, std::size_t, const Selection&,
                   const JudgedBurst& burst) noexcept {
  before_ns_ = burst.time_ns;
  before_marked_ = burst.marked;
  serving_ = true;
}

void Trail::judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
                   const JudgedBurst& burst) noexcept {
  if (detail_ == TrailDetail::kNothing)
    return;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    Touch touch;
    touch.rule = &rule;
    touch.step = step;
    touch.delay_ns = burst.time_ns[i] - before_ns_[i];
    touch.reason = burst.reason[i];
    touch.marked = burst.marked[i] && !before_marked_[i];
    // Whether it edits or answers is known later; what came to nothing is left out by take().
    const CompiledImpairment& impairment = rule.steps[step].impairment;
    std::vector<Touch>& touches = trail_of(burst, i).touches;
    // What waited in a queue was asked before, and then knew nothing.
    if (std::exchange(serving_, false) && detail_ == TrailDetail::kAll)
      for (const Touch& before : touches)
        if (before.rule == &rule && before.step == step)
          explanations_[i] = before.explanation;
    std::erase_if(touches, [&](const Touch& before) {
      return impairment.serve != nullptr && before.rule == &rule && before.step == step;
    });
    if (detail_ == TrailDetail::kAll)
      touch.explanation = std::exchange(explanations_[i], {});
    else if (!touch.changed() && impairment.edit == nullptr && impairment.answer == nullptr)
      continue;
    touches.push_back(std::move(touch));
  }
}

void Trail::copied(const RuleProgram& rule, std::size_t step, const JudgedBurst& burst,
                   std::uint8_t of, std::uint8_t copy) noexcept {
  if (detail_ == TrailDetail::kNothing)
    return;
  PacketTrail& trail = trail_of(burst, of);
  const bool known = !trail.touches.empty() && trail.touches.back().rule == &rule &&
                     trail.touches.back().step == step;
  if (!known) {
    trail.touches.emplace_back();
    trail.touches.back().rule = &rule;
    trail.touches.back().step = step;
  }
  Touch& touch = trail.touches.back();
  ++touch.copies;
  PacketTrail made = trail;
  made.touches.back().copies = 1;
  made.touches.back().delay_ns = burst.time_ns[copy] - burst.time_ns[of];
  trail_of(burst, copy) = std::move(made);
}

void Trail::edited(const HoldKey& key, const Edit& edit, std::uint32_t) noexcept {
  for (Touch& touch : packets_[name_of(key)].touches)
    if (&touch.rule->steps[touch.step].impairment == edit.impairment)
      touch.edited = true;
}

void Trail::answered(const HoldKey& key, const HoldKey& of, const FrameAnswer& answer) noexcept {
  if (detail_ == TrailDetail::kNothing)
    return;
  PacketTrail made;
  PacketTrail& because = packets_[name_of(of)];
  made.policy = because.policy;
  made.flow = because.flow;
  made.connection = because.connection;
  made.hash = because.hash;
  made.length_bytes = because.length_bytes;
  made.fields = because.fields;
  for (Touch& touch : because.touches) {
    if (&touch.rule->steps[touch.step].impairment != answer.impairment)
      continue;
    touch.answered = true;
    made.touches.emplace_back();
    made.touches.back().rule = touch.rule;
    made.touches.back().step = touch.step;
    made.touches.back().answered = true;
  }
  packets_[name_of(key)] = std::move(made);
}

void Trail::injected(const HoldKey& key, const RuleProgram& rule, std::size_t step,
                     const FrameView& frame) noexcept {
  if (detail_ == TrailDetail::kNothing)
    return;
  Touch touch;
  touch.rule = &rule;
  touch.step = step;
  touch.answered = true;
  PacketTrail& trail = packets_[name_of(key)];
  trail.touches.push_back(std::move(touch));
  parse_flow_key({frame.bytes, frame.available}, frame.length, trail.flow);
  trail.hash = frame_hash(frame);
  trail.length_bytes = frame.length;
}

PacketTrail Trail::take(const HoldKey& key) {
  const auto found = packets_.find(name_of(key));
  if (found == packets_.end())
    return {};
  PacketTrail trail = std::move(found->second);
  packets_.erase(found);
  if (detail_ != TrailDetail::kAll)
    std::erase_if(trail.touches, [](const Touch& touch) { return !touch.changed(); });
  return trail;
}

}  // namespace faultline
