// What is joined to what: a scenario's ports, wires, switches and nodes.
#pragma once

#include <optional>

#include "policy/scenario.hpp"

namespace faultline {

/// Reads `ports:`, `wires:`, `switches:` and `nodes:` of the tree into the scenario. A simulation
/// that writes none of them gets left and right, joined by the wire lab.
void read_topology(MappingReader& reader, ScenarioUse use, Scenario& scenario, Problems& problems);

/// One end of a rule's paths: `any`, a port, a node, or a list of them.
LinkEnd read_end(const ConfigNode& node, const Scenario& scenario, Problems& problems);

/// Whether a frame at this port may be of the end: as far as the port tells.
bool may_be_at(const LinkEnd& end, std::size_t port, const Scenario& scenario);

/// The port that the node names; when there is none, that is told.
std::optional<std::size_t> find_port(const ConfigNode& node, const Scenario& scenario,
                                     Problems& problems);

}  // namespace faultline
