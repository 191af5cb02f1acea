// Where a switch sends a frame: to the port behind which its destination was heard, to all others
// when it is for a group or for nobody known, to none when it would go back to where it came from.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "dataplane/mac_table.hpp"
#include "policy/policy.hpp"

namespace faultline {

class Switching {
 public:
  static constexpr std::uint8_t kFlood = 255;   ///< to all other ports
  static constexpr std::uint8_t kFilter = 254;  ///< to none

  Switching(std::size_t ports, const std::vector<SwitchProgram>& switches) : of_port_(ports) {
    for (const SwitchProgram& program : switches) {
      Joined& joined = switches_.emplace_back(program);
      for (const std::uint8_t port : program.ports) of_port_[port] = &joined;
    }
  }

  /// Whether the port belongs to a switch.
  bool joins(std::uint8_t port) const noexcept { return of_port_[port] != nullptr; }
  /// All ports of the switch that `port` belongs to.
  std::span<const std::uint8_t> ports_with(std::uint8_t port) const noexcept {
    return of_port_[port]->ports;
  }

  /// The port out of which a frame leaves that came in by `ingress`, kFlood or kFilter. Its sender
  /// is known from now on. A frame too short for two addresses is for nobody.
  std::uint8_t egress_of(std::uint8_t ingress, std::span<const std::uint8_t> frame,
                         std::uint64_t now_ns) noexcept;

  /// Of all switches together.
  MacCounters counters() const noexcept {
    MacCounters sum;
    for (const Joined& joined : switches_) {
      sum.learned += joined.stations.counters().learned;
      sum.moved += joined.stations.counters().moved;
      sum.evicted += joined.stations.counters().evicted;
    }
    return sum;
  }

 private:
  struct Joined {
    explicit Joined(const SwitchProgram& program)
        : ports(program.ports), stations(program.macs_max, program.mac_age_ns) {}
    std::vector<std::uint8_t> ports;
    MacTable stations;
  };

  std::deque<Joined> switches_;
  std::vector<Joined*> of_port_;  ///< null: it is the end of a wire
};

}  // namespace faultline
