// Reading the laws of rules out of compiled policies.
#include "report/laws.hpp"

#include <algorithm>

namespace faultline {
namespace {

/// Whether a step other than a delay with a law changes when packets leave, or how many.
bool disturbs(const RuleStep& step) {
  const CompiledImpairment& impairment = step.impairment;
  return impairment.delays || step.parks || step.kind == "reorder" || impairment.copies > 0 ||
         impairment.serve != nullptr;
}

LawTerm term_of(const Policy& policy, const RuleProgram& rule) {
  LawTerm term{.from_ns = policy.active_from_ns - std::min(policy.active_from_ns, policy.zero_ns),
               .enabled = rule.enabled,
               .loss = loss_of(rule)};
  const auto makes_copies = [](const RuleStep& step) { return step.impairment.copies > 0; };
  // A copy is judged by what stands behind its step only.
  if (std::ranges::any_of(rule.steps, makes_copies))
    term.loss.reset();
  std::size_t disturbing = 0;
  bool known = true;
  DelayShape shape;
  const CompiledImpairment* delay = nullptr;
  for (const RuleStep& step : rule.steps) {
    disturbing += disturbs(step) ? 1U : 0U;
    if (!step.impairment.delays)
      continue;
    delay = &step.impairment;
    known = known && step.impairment.delay_shape.has_value();
    if (!known)
      continue;
    shape.packets = std::max(shape.packets, step.impairment.delay_shape->packets);
    shape.apart_ns = std::max(shape.apart_ns, step.impairment.delay_shape->apart_ns);
  }
  if (delay == nullptr || !known)
    return term;
  term.shape = shape;
  if (disturbing == 1 && delay->delay_shape->share_within != nullptr)
    term.delay = *delay;
  return term;
}

std::vector<std::size_t> ports_of(const Policy& policy, const RuleProgram& rule) {
  std::vector<std::size_t> ports;
  for (std::size_t path = 0; path < policy.paths.size(); ++path)
    if (rule.paths.test(path) && policy.paths[path].exists)
      ports.push_back(policy.paths[path].egress);
  std::ranges::sort(ports);
  ports.erase(std::ranges::unique(ports).begin(), ports.end());
  return ports;
}

std::size_t fan_out_of(const Policy& policy, const RuleProgram& rule) {
  std::vector<std::size_t> by_ingress(kPortsMax);
  for (std::size_t path = 0; path < policy.paths.size(); ++path)
    if (rule.paths.test(path) && policy.paths[path].exists)
      ++by_ingress[policy.paths[path].ingress];
  return std::max<std::size_t>(1, *std::ranges::max_element(by_ingress));
}

LawTrigger trigger_of(const Policy& policy, const RuleGate& gate) {
  std::size_t index = 0;
  while (&policy.board->trigger(index) != gate.trigger) ++index;
  return {index, gate.after_ns};
}

std::vector<LawTrigger> triggers_of(const Policy& policy, const RuleProgram& rule) {
  std::vector<LawTrigger> triggers;
  for (const RuleGate& gate : rule.gates)
    if (gate.action == TimelineAction::kEnable)
      triggers.push_back(trigger_of(policy, gate));
  return triggers;
}

/// The rule in all policies, by the values as written or by those that a trigger sets.
void add_terms(const PolicyChain& policies, std::size_t index, std::vector<LawTerm>& terms) {
  const RuleProgram& rule = policies.front()->rules[index];
  std::optional<LawTrigger> set_by;
  for (const RuleGate& gate : rule.gates)
    if (gate.action == TimelineAction::kSet && gate.variant == rule.variant)
      set_by = trigger_of(*policies.front(), gate);
  for (const std::unique_ptr<Policy>& policy : policies) {
    terms.push_back(term_of(*policy, policy->rules[index]));
    terms.back().set_by = set_by;
  }
}

}  // namespace

std::vector<RuleLaw> laws_of(const Scenario& scenario, const PolicyChain& policies) {
  std::vector<RuleLaw> laws;
  const Policy& first = *policies.front();
  for (std::size_t index = 0; index < first.rules.size(); ++index) {
    const RuleProgram& rule = first.rules[index];
    if (rule.variant != 0) {
      laws.back().loses |= rule.loses;
      laws.back().delays |= rule.delays;
      add_terms(policies, index, laws.back().terms);
      continue;
    }
    RuleLaw law{.name = rule.name,
                .optional = scenario.rules[laws.size()].optional,
                .loses = rule.loses,
                .delays = rule.delays,
                .fan_out = fan_out_of(first, rule),
                .ports = ports_of(first, rule),
                .triggers = triggers_of(first, rule)};
    if (rule.per == Per::kRule)
      law.scopes = rule.shared ? 1 : rule.paths.count();
    add_terms(policies, index, law.terms);
    laws.push_back(std::move(law));
  }
  return laws;
}

double confidence_of_each(const Scenario& scenario, const std::vector<RuleLaw>& laws) {
  std::vector<bool> losses;
  std::vector<bool> delays;
  for (const RuleLaw& law : laws) {
    losses.push_back(law.loses);
    delays.push_back(law.delays);
  }
  for (const Expectation& expectation : scenario.expectations) {
    if (!expectation.rule)
      continue;
    if (expectation.quantity == Quantity::kLoss)
      losses[*expectation.rule] = true;
    if (expectation.quantity == Quantity::kDelayQuantile ||
        expectation.quantity == Quantity::kDelayMean ||
        expectation.quantity == Quantity::kPdvQuantile)
      delays[*expectation.rule] = true;
  }
  const auto tests = std::ranges::count(losses, true) + std::ranges::count(delays, true);
  return 1 - (1 - scenario.confidence) / static_cast<double>(std::max<std::ptrdiff_t>(1, tests));
}

}  // namespace faultline
