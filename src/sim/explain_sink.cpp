// Trails into words.
#include "sim/explain_sink.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/units.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {
namespace {

using Json = ExplainSink::Json;

/// What keeps `rule` from the packet: an earlier rule that is final, or a part of its match.
std::string why_not(const RuleProgram& rule, const PacketTrail& trail,
                    std::span<const std::byte> bytes) {
  for (const RuleProgram* earlier : trail.matched)
    if (earlier->final && earlier < &rule)
      return "rule '" + earlier->name + "' is final";
  PayloadHits payload = trail.payload;
  const MatchPacket packet{
      .fields = trail.fields,
      .bytes = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
      .role = trail.role,
      .portless = rule.portless,
      .payload = &payload,
      .scanner = trail.policy->payload != nullptr ? trail.policy->payload->scanner(0) : nullptr,
      .tcp = &trail.tcp};
  const std::string part = rule.match->why_not(packet);
  return part.empty() ? "not the packet that nth or first mean" : "not " + part;
}

/// Of a rule and what triggers make of it, that which matched is told, else that which holds.
bool is_told(const RuleProgram& rule, std::uint64_t at_ns, const PacketTrail& trail) {
  for (const RuleProgram* matched : trail.matched)
    if (matched->slot == rule.slot)
      return matched == &rule;
  return rule.gates.empty() ? rule.variant == 0 : rule.term_at(at_ns).variant == rule.variant;
}

std::string result_text(const Touch& touch) {
  if (touch.reason == DropReason::kLoss)
    return "drop";
  if (touch.reason != DropReason::kNone)
    return fmt::format("drop ({})", drop_reason_name(touch.reason));
  if (touch.copies > 0)
    return fmt::format("{} {}", touch.copies, touch.copies == 1 ? "copy" : "copies");
  if (touch.marked)
    return "mark-ce";
  if (touch.edited)
    return "edit";
  return touch.delay_ns > 0 ? "delay " + format_duration(touch.delay_ns) : "pass";
}

}  // namespace

Json ExplainSink::impairments_json(const RuleProgram& rule, const PacketTrail& trail) const {
  Json impairments = Json::array();
  for (const Touch& touch : trail.touches) {
    if (touch.rule != &rule)
      continue;
    const RuleStep& step = rule.steps[touch.step];
    Json told = {{"kind", step.kind}};
    if (!step.impairment.model.empty())
      told["model"] = step.impairment.model;
    if (touch.explanation.draw)
      told["draw"] = *touch.explanation.draw;
    if (touch.explanation.threshold)
      told["threshold"] = *touch.explanation.threshold;
    if (!touch.explanation.state.empty())
      told["state"] = touch.explanation.state;
    if (touch.delay_ns > 0)
      told["delay_ns"] = touch.delay_ns;
    told["result"] = result_text(touch);
    impairments.push_back(std::move(told));
  }
  return impairments;
}

Json ExplainSink::rules_json(const Departure& departure, const PacketTrail& trail) const {
  Json rules = Json::array();
  if (trail.policy == nullptr)
    return rules;
  for (const RuleProgram& rule : trail.policy->rules) {
    if (!is_told(rule, departure.key.arrival_ns, trail))
      continue;
    const bool matched = std::ranges::find(trail.matched, &rule) != trail.matched.end();
    std::string why;
    if (!rule.paths.test(trail.policy->path_of(departure.key.ingress, departure.key.egress)))
      why = "not on this path";
    else if (matched)
      why = rule.match ? rule.match->text() : "matches every packet";
    else if (!rule.active_at(departure.key.arrival_ns))
      why = rule.enabled                              ? "its ttl is over"
            : rule.may_apply() && !rule.gates.empty() ? "no trigger has it on"
                                                      : "disabled";
    else if (trail.number == 0)
      why = "the frame cannot be parsed";
    else
      why = why_not(rule, trail, departure.bytes);
    rules.push_back({{"rule", rule.name},
                     {"matched", matched},
                     {"why", why},
                     {"impairments", impairments_json(rule, trail)}});
  }
  return rules;
}

Json ExplainSink::fate_json(const Departure& departure, const PacketTrail& trail) const {
  const HoldKey& key = departure.key;
  if (departure.reason != DropReason::kNone) {
    Json fate = {{"action", "drop"}, {"reason", drop_reason_name(departure.reason)}};
    for (const Touch& touch : trail.touches)
      if (touch.reason != DropReason::kNone)
        fate["rule"] = touch.rule->name;
    return fate;
  }
  Json edits = Json::array();
  std::uint32_t copies = 0;
  for (const Touch& touch : trail.touches) {
    if (touch.marked)
      edits.push_back("ecn=ce");
    if (touch.edited)
      edits.push_back(touch.rule->steps[touch.step].kind);
    copies += touch.copies;
  }
  return {{"action", "send"},
          {"release_ns", key.release_ns},
          {"delay_ns", key.release_ns - key.arrival_ns},
          {"copies", copies},
          {"edits", edits}};
}

void ExplainSink::departed(const Departure& departure, const PacketTrail& trail) {
  if (departure.key.copy != 0)
    return;  // what was asked about came in
  const std::uint64_t number = std::uint64_t{departure.key.sequence} + 1;
  Json& told = waiting_[{number, departure.key.egress}];
  told = {{"n", number},
          {"flow", to_text(trail.fields.key)},
          {"packet_in_flow", trail.number},
          {"rules", rules_json(departure, trail)},
          {"fate", fate_json(departure, trail)}};
  if (!ports_.empty())
    told["to"] = ports_[departure.key.egress];
  for (auto first = waiting_.begin();
       ports_.empty() && first != waiting_.end() && first->first.first == next_;
       first = waiting_.begin(), ++next_) {
    tell_(next_, first->second);
    waiting_.erase(first);
  }
}

void ExplainSink::finish() {
  for (const auto& [name, json] : waiting_) tell_(name.first, json);
  waiting_.clear();
}

}  // namespace faultline
