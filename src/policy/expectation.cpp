// What rules lose in the long run, and the power of a test for it.
#include "policy/expectation.hpp"

#include <cmath>

#include "base/portable_math.hpp"

namespace faultline {
namespace {

constexpr double kDeviation = 0.1;
constexpr int kPacketsLog10Max = 12;

}  // namespace

std::optional<LossShare> loss_of(const RuleProgram& rule) {
  double kept = 1;
  double weighted = 0;
  double settling = 0;
  for (const RuleStep& step : rule.steps) {
    if (!step.impairment.drops)
      continue;
    if (!step.impairment.loss)
      return std::nullopt;
    const LossShare& loss = *step.impairment.loss;
    // The variance of a product of independent shares, to first order.
    if (loss.rate < 1)
      weighted += loss.variance_factor * loss.rate / (1 - loss.rate);
    settling += loss.settling;
    kept *= 1 - loss.rate;
  }
  const double rate = 1 - kept;
  return LossShare{rate, kept > 0 && rate > 0 ? weighted * kept / rate : 0, settling};
}

double chance_of(const Expectation& expectation, const LossShare& loss, double confidence,
                 double packets) {
  const double rate = expectation.wanted.value_or(0);
  const double factor = loss.rate > 0 && loss.rate < 1 ? loss.variance_factor : 1;
  const double z = -normal_lower_quantile((1 - confidence) / 2);
  const double sigma = std::sqrt(factor * rate * (1 - rate) / packets);
  const double x = sigma > 0 ? kDeviation * rate / sigma - z : 40;
  return x > 0 ? 1 - normal_upper_tail(x) : normal_upper_tail(-x);
}

std::optional<Power> power_of(const Expectation& expectation, const LossShare& loss,
                              double confidence) {
  if (!expectation.wanted || *expectation.wanted <= 0 || *expectation.wanted >= 1)
    return std::nullopt;
  const double rate = *expectation.wanted;
  for (int log10 = 2; log10 <= kPacketsLog10Max; ++log10) {
    const double chance = chance_of(expectation, loss, confidence, std::pow(10.0, log10));
    if (chance >= kPowerLeast)
      return Power{(expectation.most - rate + kDeviation * rate) / rate, log10, chance};
  }
  return std::nullopt;
}

}  // namespace faultline
