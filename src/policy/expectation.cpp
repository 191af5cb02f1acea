// Reading expectations, and the power of a test for a loss rate.
#include "policy/expectation.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/portable_math.hpp"
#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::string_view kAllowed = "a share such as '1% ± 0.2%', '<= 2%' or '>= 0.5%'";
constexpr double kDeviation = 0.1;
constexpr double kChanceLeast = 0.9;
constexpr int kPacketsLog10Max = 12;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<double> share_of(std::string_view text) {
  const auto probability = parse_probability(trimmed(text));
  return probability ? std::optional(probability->approximate()) : std::nullopt;
}

/// "P ± T" (or "P +- T"), "P", "<= P", ">= P".
bool read_share(std::string_view text, Expectation& expectation) {
  text = trimmed(text);
  if (text.starts_with("<=") || text.starts_with(">=")) {
    const auto bound = share_of(text.substr(2));
    (text.front() == '<' ? expectation.most : expectation.least) = bound.value_or(0);
    return bound.has_value();
  }
  std::string_view tolerance = "0";
  for (const std::string_view sign : {std::string_view("±"), std::string_view("+-")})
    if (const std::size_t place = text.find(sign); place != std::string_view::npos) {
      tolerance = text.substr(place + sign.size());
      text = text.substr(0, place);
      break;
    }
  const auto rate = share_of(text);
  const auto width = share_of(tolerance);
  if (!rate || !width)
    return false;
  expectation.rate = rate;
  expectation.least = std::max(0.0, *rate - *width);
  expectation.most = std::min(1.0, *rate + *width);
  return true;
}

class ExpectationReader {
 public:
  ExpectationReader(Scenario& scenario, Problems& problems)
      : scenario_(scenario), problems_(problems) {}

  void read(const ConfigNode& node) {
    MappingReader reader(node, "expectation", problems_);
    if (!node.is_mapping())
      return;
    if (reader.refuse_not_yet({"delay_p50", "overtaken", "rate", "ledger"})) {
      for (const std::string_view key : {"rule", "loss"}) reader.take(key);
      reader.finish();
      return;
    }
    Expectation expectation;
    expectation.mark = node.mark;
    bool good = find_rule(reader.require("rule"), expectation);
    if (const ConfigNode* value = reader.require("loss")) {
      expectation.text = "loss: " + value->text;
      if (!value->is_scalar() || !read_share(value->text, expectation)) {
        problems_.push_back(
            problem_at(value->mark, "found " + describe(*value), std::string(kAllowed)));
        good = false;
      }
    }
    reader.finish();
    if (good && !expectation.text.empty())
      scenario_.expectations.push_back(std::move(expectation));
  }

 private:
  bool find_rule(const ConfigNode* node, Expectation& expectation) {
    const auto index =
        node != nullptr ? find_rule_named(*node, scenario_, problems_) : std::nullopt;
    expectation.rule = index.value_or(0);
    return index.has_value();
  }

  Scenario& scenario_;
  Problems& problems_;
};

}  // namespace

void read_expectations(const ConfigNode& node, Scenario& scenario, Problems& problems) {
  if (node.kind == ConfigNode::Kind::kNull)
    return;
  if (!node.is_sequence()) {
    problems.push_back(
        problem_at(node.mark, "expect is " + describe(node), "a list of expectations"));
    return;
  }
  for (const ConfigNode& item : node.items) ExpectationReader(scenario, problems).read(item);
}

void read_confidence(const ConfigNode& node, Scenario& scenario, Problems& problems) {
  const auto confidence = read_probability(node, problems);
  if (!confidence)
    return;
  scenario.confidence = confidence->approximate();
  if (scenario.confidence < 0.5 || scenario.confidence > 1 - 1e-9)
    problems.push_back(problem_at(node.mark, describe(node) + " is out of range",
                                  "a confidence between 50% and 99.9999999%"));
}

std::optional<LossShare> loss_of(const RuleProgram& rule) {
  double kept = 1;
  double weighted = 0;
  for (const RuleStep& step : rule.steps) {
    if (!step.impairment.drops)
      continue;
    if (!step.impairment.loss)
      return std::nullopt;
    const LossShare& loss = *step.impairment.loss;
    // The variance of a product of independent shares, to first order.
    if (loss.rate < 1)
      weighted += loss.variance_factor * loss.rate / (1 - loss.rate);
    kept *= 1 - loss.rate;
  }
  const double rate = 1 - kept;
  return LossShare{rate, kept > 0 && rate > 0 ? weighted * kept / rate : 0};
}

std::optional<Power> power_of(const Expectation& expectation, const LossShare& loss,
                              double confidence) {
  if (!expectation.rate || *expectation.rate <= 0 || *expectation.rate >= 1)
    return std::nullopt;
  const double rate = *expectation.rate;
  const double factor = loss.rate > 0 && loss.rate < 1 ? loss.variance_factor : 1;
  const double beyond = kDeviation * rate;
  const double z = -normal_lower_quantile((1 - confidence) / 2);
  for (int log10 = 2; log10 <= kPacketsLog10Max; ++log10) {
    const double sigma = std::sqrt(factor * rate * (1 - rate) / std::pow(10.0, log10));
    const double x = sigma > 0 ? beyond / sigma - z : 40;
    const double chance = x > 0 ? 1 - normal_upper_tail(x) : normal_upper_tail(-x);
    if (chance >= kChanceLeast)
      return Power{(expectation.most - rate + beyond) / rate, log10, chance};
  }
  return std::nullopt;
}

}  // namespace faultline
