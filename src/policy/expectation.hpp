// What a scenario expects of a run: `expect:`, read and weighed before a packet comes. A run is
// judged by it in src/report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "policy/policy.hpp"

namespace faultline {

/// Reads `expect:`, `confidence:` and `lateness:` into the scenario, whose ports, rules and model
/// have been read.
void read_expectations(const ConfigNode& node, Scenario& scenario, Problems& problems);
void read_confidence(const ConfigNode& node, Scenario& scenario, Problems& problems);
void read_lateness(const ConfigNode& node, Scenario& scenario, Problems& problems);

/// What all loss models of a rule take together; a packet lost to one does not come to the next.
/// Absent: a model whose losses depend on the traffic.
std::optional<LossShare> loss_of(const RuleProgram& rule);

/// A test that fails less often when it should is told of.
inline constexpr double kPowerLeast = 0.9;
/// The smallest run, in powers of ten, that tells a loss `deviation` beyond the tolerance from one
/// within it.
struct Power {
  double deviation = 0;  ///< relative to the expected rate
  int packets_log10 = 0;
  double chance = 0;  ///< of failing the expectation when it should fail
};
/// With z of the scenario's confidence (two-sided) and σ = √(f·P(1−P)/n), f the variance factor:
/// chance = Φ((D − T)/σ − z). Absent where no run up to 10^12 packets tells.
std::optional<Power> power_of(const Expectation& expectation, const LossShare& loss,
                              double confidence);
/// The chance of the same deviation in a run of `packets`.
double chance_of(const Expectation& expectation, const LossShare& loss, double confidence,
                 double packets);

}  // namespace faultline
