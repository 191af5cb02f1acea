// Why each packet of a simulation met its fate, as one object of JSON a packet, in the order of the
// input.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "policy/policy.hpp"
#include "sim/departures.hpp"

namespace faultline {

class ExplainSink final : public DepartureSink {
 public:
  using Json = nlohmann::ordered_json;
  /// Called for each packet, numbers ascending from 1.
  using Tell = std::function<void(std::uint64_t number, const Json& explanation)>;

  /// `ports`: names of the ports, where a packet may take several paths; it is told once for each
  /// then, when all is done. Else empty.
  ExplainSink(Tell tell, std::vector<std::string> ports)
      : tell_(std::move(tell)), ports_(std::move(ports)) {}

  /// Everything has departed.
  void finish();

  void departed(const Departure& departure, const PacketTrail& trail) override;

 private:
  Json rules_json(const Departure& departure, const PacketTrail& trail) const;
  Json impairments_json(const RuleProgram& rule, const PacketTrail& trail) const;
  Json fate_json(const Departure& departure, const PacketTrail& trail) const;

  Tell tell_;
  std::vector<std::string> ports_;
  /// By number and port of egress: for packets before them.
  std::map<std::pair<std::uint64_t, std::uint8_t>, Json> waiting_;
  std::uint64_t next_ = 1;
};

}  // namespace faultline
