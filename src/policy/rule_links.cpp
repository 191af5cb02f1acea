// Nodes and ports of rules.
#include "policy/rule_links.hpp"

#include <algorithm>
#include <bit>

namespace faultline {
namespace {

/// The port that a link's end is, told by nothing else.
std::optional<std::uint8_t> port_of(const LinkEnd& end, const NodeTable& nodes) {
  if (end.ports != 0)
    return static_cast<std::uint8_t>(std::countr_zero(end.ports));
  const NodeAddresses& node = nodes.nodes()[static_cast<std::size_t>(std::countr_zero(end.nodes))];
  return node.is_port() ? node.port : std::nullopt;
}

/// Whether every packet that enters or leaves by the port is the rule's.
bool is_about_all_of(std::uint8_t port, const RuleSpec& spec, const Policy& policy,
                     const RuleProgram& rule) {
  if (spec.match != nullptr || spec.passes_tcp_acks || spec.from.nodes != 0 || spec.to.nodes != 0)
    return false;
  for (std::size_t path_id = 0; path_id < policy.paths.size(); ++path_id) {
    const PathProgram& path = policy.paths[path_id];
    if (path.exists && (path.ingress == port || path.egress == port) && !rule.paths.test(path_id))
      return false;
  }
  return true;
}

}  // namespace

/// Keeps the rule to the packets of its nodes and of those that its impairments are about.
void narrow_to_nodes(const RuleSpec& spec, const Scenario& scenario, RuleProgram& rule,
                     Problems& problems) {
  const auto narrow = [&rule](LinkSet links, std::string text) {
    if (!rule.match)
      rule.match = RuleMatch::everything();
    rule.match->narrow(std::move(links), std::move(text));
  };
  if (spec.from.nodes != 0 || spec.to.nodes != 0)
    narrow({scenario.nodes, {{spec.from, spec.to}}}, "from and to its nodes");
  for (const RuleStep& step : rule.steps)
    if (step.impairment.links)
      narrow(*step.impairment.links, "of the nodes that " + step.kind + " is about");
  const auto is_about = [](const RuleStep& step) { return step.impairment.links.has_value(); };
  if (std::ranges::count_if(rule.steps, is_about) > 1)
    problems.push_back(problem_at(spec.mark, "rule '" + rule.name + "' has several faults of nodes",
                                  "one, for a rule is about the packets of its nodes only"));
  const auto spares = [](const RuleStep& step) { return step.impairment.spares_tcp_acks; };
  if (std::ranges::any_of(rule.steps, spares))
    rule.match->spare_tcp_without_data();
}

void take_carriers(const RuleSpec& spec, const Policy& policy, RuleProgram& rule) {
  for (RuleStep& step : rule.steps) {
    const CompiledImpairment& impairment = step.impairment;
    if (impairment.link_is_down == nullptr || !impairment.links)
      continue;
    const auto port = port_of(impairment.links->bundles.front().to, *impairment.links->nodes);
    if (port && is_about_all_of(*port, spec, policy, rule))
      step.carrier = port;
  }
}

std::optional<FlappedLink> flapped_link_of(const RuleProgram& rule) {
  for (const RuleStep& step : rule.steps) {
    if (step.impairment.link_is_down == nullptr || !step.impairment.links)
      continue;
    const LinkEnd& end = step.impairment.links->bundles.front().to;
    const NodeTable& nodes = *step.impairment.links->nodes;
    const auto index =
        static_cast<std::size_t>(std::countr_zero(end.ports != 0 ? end.ports : end.nodes));
    return FlappedLink{end.ports != 0 ? nodes.ports()[index] : nodes.nodes()[index].name,
                       step.carrier};
  }
  return std::nullopt;
}

void check_in_flight(const RuleSpec& spec, const RuleProgram& rule, Problems& problems) {
  if (!rule.cuts_in_flight)
    return;
  const auto refuse = [&](const std::string& why, const std::string& allowed) {
    problems.push_back(
        problem_at(spec.mark, "rule '" + spec.name + "': in_flight: drop " + why, allowed));
  };
  if (std::ranges::none_of(rule.steps, [](const RuleStep& step) { return step.impairment.cuts; }))
    refuse("of a rule that is no cut", "loss: all, partition, or crash of a host");
  if (rule.match && (rule.match->counts_packets() || rule.match->asks_connection() ||
                     rule.match->asks_tcp() || rule.match->root().asks_payload()))
    refuse("of packets that their bytes alone do not tell",
           "a match without role, nth, first, payload and tcp's retransmission, sequence and "
           "connection");
}

}  // namespace faultline
