// Following the flaps of a policy with the carriers of its ports.
#include "control/link_flaps.hpp"

#include <algorithm>

namespace faultline {

LinkFlaps::LinkFlaps(const Scenario& scenario, Wiring& wiring)
    : wiring_(wiring),
      wires_(scenario.wires),
      able_(std::make_unique<std::atomic<bool>[]>(wiring.ports())) {
  for (std::size_t port = 0; port < wiring.ports(); ++port)
    able_[port] = can_take_link_down(scenario.ports[port].settings.driver);
}

LinkFlaps::~LinkFlaps() {
  end();
}

/// As workers ask it: enabled, begun, not yet over by ttl or lease, and down by its law.
bool LinkFlaps::Outages::takes_at(std::uint64_t now_ns) const noexcept {
  const std::uint64_t begins_ns = rule.term_at(now_ns).begins_ns;
  return rule.active_at(now_ns) && now_ns >= begins_ns && is_down(parameters, now_ns - begins_ns);
}

/// A wire that mirrors its links is one cable: both ends see it.
PortMask LinkFlaps::with_mirrored(std::size_t port) const {
  PortMask ports = PortMask{1} << port;
  for (const WireSpec& wire : wires_)
    if (wire.mirrors && (wire.first == port || wire.second == port))
      ports |= PortMask{1} << wire.first | PortMask{1} << wire.second;
  return ports;
}

void LinkFlaps::read(const Policy& policy) {
  flaps_.clear();
  for (const RuleProgram& rule : policy.rules)
    for (const RuleStep& step : rule.steps)
      if (step.carrier)
        flaps_.push_back({with_mirrored(*step.carrier), rule, policy.board,
                          step.impairment.parameters, step.impairment.link_is_down});
}

void LinkFlaps::follow(std::uint64_t now_ns) {
  PortMask wanted = 0;
  for (const Outages& flap : flaps_)
    if (flap.takes_at(now_ns))
      wanted |= flap.ports;
  for (std::size_t port = 0; (wanted ^ down_) >> port != 0; ++port) {
    const PortMask bit = PortMask{1} << port;
    if (((wanted ^ down_) & bit) == 0 || !can_take(port))
      continue;
    if ((wanted & bit) == 0)
      wiring_.device(port).let_go(LinkHold::kFault);
    else if (!wiring_.device(port).take_down(LinkHold::kFault))
      able_[port].store(false, std::memory_order_relaxed);
  }
  down_ = wanted;
}

void LinkFlaps::end() {
  flaps_.clear();
  follow(0);
}

void LinkFlaps::let_up() {
  for (std::size_t port = 0; port < wiring_.ports(); ++port)
    for (const Outages& flap : flaps_)
      if ((flap.ports >> port & 1U) != 0 && can_take(port))
        wiring_.device(port).let_up();
}

}  // namespace faultline
