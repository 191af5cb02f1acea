// What this machine has of what drivers need, and the truths about interfaces that falsify a test:
// for `faultline doctor`. Changes nothing.
#pragma once

#include <string>
#include <vector>

#include "policy/port_spec.hpp"

namespace faultline {

struct Precondition {
  enum class State : std::uint8_t { kGood, kNote, kMissing };
  std::string about;  ///< "clock", "driver af_xdp", "port left"
  State state = State::kGood;
  std::string found;
  std::string advice;  ///< what to do; empty when there is nothing to be done
};

std::vector<Precondition> look_at_machine();
std::vector<Precondition> look_at_drivers();
std::vector<Precondition> look_at_port(const PortSpec& spec);

}  // namespace faultline
