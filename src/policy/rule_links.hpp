// Which links a rule is about: those of its nodes and of its impairments' nodes, and the ports
// whose carrier goes down with them.
#pragma once

#include <optional>
#include <string>

#include "policy/policy.hpp"
#include "policy/scenario.hpp"

namespace faultline {

/// Keeps the rule to the packets of its nodes and of those that its impairments are about.
void narrow_to_nodes(const RuleSpec& spec, const Scenario& scenario, RuleProgram& rule,
                     Problems& problems);

/// What is on its way is asked for as it is then, by its bytes and nothing else; `in_flight: drop`
/// of rules for which that does not do is a problem.
void check_in_flight(const RuleSpec& spec, const RuleProgram& rule, Problems& problems);

/// Finds the ports whose carrier goes down with a link that the rule takes down: where the rule is
/// about whatever enters and leaves by the port, and so nobody loses more than the rule says.
void take_carriers(const RuleSpec& spec, const Policy& policy, RuleProgram& rule);

/// The link that the rule takes down by turns; absent: it takes none down.
struct FlappedLink {
  std::string name;  ///< the port's or the node's
  std::optional<std::uint8_t> carrier;
};
std::optional<FlappedLink> flapped_link_of(const RuleProgram& rule);

}  // namespace faultline
