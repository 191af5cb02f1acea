// Reading `expect:`, `confidence:` and `lateness:`.
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/units.hpp"
#include "policy/expectation.hpp"

namespace faultline {
namespace {

enum class Unit : std::uint8_t { kShare, kTime, kCount, kRate };

constexpr std::string_view kAllowed[] = {
    "a share such as '1% ± 0.2%', '<= 2%' or '>= 0.5%'",
    "a time such as '40ms ± 1ms', '<= 50ms' or '>= 30ms'",
    "a count such as 0, '100 ± 10', '<= 5' or '>= 1'",
    "a rate such as '10Mbit ± 1Mbit', '<= 10Mbit' or '>= 9Mbit'"};

/// What an expectation's key is about.
struct Subject {
  std::string_view key;
  Quantity quantity;
  Unit unit;
  double quantile = 0;
};
constexpr Subject kOfRules[] = {
    {"loss", Quantity::kLoss, Unit::kShare},
    {"delay_mean", Quantity::kDelayMean, Unit::kTime},
    {"delay_min", Quantity::kDelayMin, Unit::kTime},
    {"delay_p50", Quantity::kDelayQuantile, Unit::kTime, 0.5},
    {"delay_p90", Quantity::kDelayQuantile, Unit::kTime, 0.9},
    {"delay_p99", Quantity::kDelayQuantile, Unit::kTime, 0.99},
    {"delay_max", Quantity::kDelayMax, Unit::kTime},
    {"pdv_p50", Quantity::kPdvQuantile, Unit::kTime, 0.5},
    {"pdv_p90", Quantity::kPdvQuantile, Unit::kTime, 0.9},
    {"pdv_p99", Quantity::kPdvQuantile, Unit::kTime, 0.99},
    {"ipdv_p50", Quantity::kIpdvQuantile, Unit::kTime, 0.5},
    {"ipdv_p90", Quantity::kIpdvQuantile, Unit::kTime, 0.9},
    {"ipdv_p99", Quantity::kIpdvQuantile, Unit::kTime, 0.99},
    {"matched", Quantity::kMatched, Unit::kCount},
    {"dropped", Quantity::kDropped, Unit::kCount},
    {"duplicates", Quantity::kDuplicated, Unit::kCount},
    {"corrupted", Quantity::kCorrupted, Unit::kCount},
    {"reordered", Quantity::kReordered, Unit::kCount},
    {"injected", Quantity::kInjected, Unit::kCount},
};
constexpr Subject kOfPorts[] = {
    {"overtaken", Quantity::kOvertaken, Unit::kCount},
    {"rate", Quantity::kRate, Unit::kRate},
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<double> value_of(std::string_view text, Unit unit) {
  text = trimmed(text);
  std::optional<std::uint64_t> whole;
  switch (unit) {
    case Unit::kShare: {
      const auto probability = parse_probability(text);
      return probability ? std::optional(probability->approximate()) : std::nullopt;
    }
    case Unit::kTime:
      whole = parse_duration_ns(text);
      break;
    case Unit::kCount:
      whole = parse_count(text);
      break;
    case Unit::kRate:
      whole = parse_rate_bps(text);
      break;
  }
  return whole ? std::optional(static_cast<double>(*whole)) : std::nullopt;
}

/// "P ± T" (or "P +- T"), "P", "<= P", ">= P".
bool read_bounds(std::string_view text, Unit unit, Expectation& expectation) {
  const double top = unit == Unit::kShare ? 1 : std::numeric_limits<double>::infinity();
  expectation.least = 0;
  expectation.most = top;
  text = trimmed(text);
  if (text.starts_with("<=") || text.starts_with(">=")) {
    const auto bound = value_of(text.substr(2), unit);
    (text.front() == '<' ? expectation.most : expectation.least) = bound.value_or(0);
    return bound.has_value();
  }
  std::optional<double> width = 0;
  for (const std::string_view sign : {std::string_view("±"), std::string_view("+-")})
    if (const std::size_t place = text.find(sign); place != std::string_view::npos) {
      width = value_of(text.substr(place + sign.size()), unit);
      text = text.substr(0, place);
      break;
    }
  const auto wanted = value_of(text, unit);
  if (!wanted || !width)
    return false;
  expectation.wanted = wanted;
  expectation.least = std::max(0.0, *wanted - *width);
  expectation.most = std::min(top, *wanted + *width);
  return true;
}

/// Reads one item of `expect:`, which says one thing or several of a rule, a port or the run.
class ExpectationReader {
 public:
  ExpectationReader(Scenario& scenario, Problems& problems)
      : scenario_(scenario), problems_(problems) {}

  void read(const ConfigNode& node) {
    MappingReader reader(node, "expectation", problems_);
    if (!node.is_mapping())
      return;
    const std::size_t before = problems_.size();
    mark_ = node.mark;
    const ConfigNode* rule = reader.take("rule");
    const ConfigNode* port = reader.take("port");
    for (const Subject& subject : kOfRules) take(reader, subject);
    const bool needs_rule = found_;
    for (const Subject& subject : kOfPorts) take(reader, subject);
    const bool needs_place = found_;
    take_word(reader, "ledger", "balanced", Quantity::kLedger);
    take_word(reader, "model", "holds", Quantity::kModel);
    reader.finish();
    if (needs_rule && rule == nullptr)
      complain(mark_, "expectation: 'rule' is missing");
    else if (needs_place && rule == nullptr && port == nullptr)
      complain(mark_, "expectation: 'rule' or 'port' is missing");
    if (rule != nullptr && port != nullptr)
      complain(port->mark, "expectation: both 'rule' and 'port'", "one of them");
    if (!found_ && problems_.size() == before)
      complain(mark_, "expectation: it expects nothing",
               "loss, delay_p50, overtaken, rate, ledger and others");
    if (rule != nullptr)
      rule_ = find_rule_named(*rule, scenario_, problems_);
    if (port != nullptr)
      find_port(*port);
    if (problems_.size() == before)
      keep();
  }

 private:
  void complain(const Mark& mark, std::string found, std::string allowed = {},
                std::string suggestion = {}) {
    problems_.push_back(
        problem_at(mark, std::move(found), std::move(allowed), std::move(suggestion)));
  }

  void take(MappingReader& reader, const Subject& subject) {
    const ConfigNode* value = reader.take(subject.key);
    if (value == nullptr)
      return;
    found_ = true;
    Expectation expectation;
    expectation.quantity = subject.quantity;
    expectation.quantile = subject.quantile;
    if (!value->is_scalar() || !read_bounds(value->text, subject.unit, expectation))
      complain(value->mark, "found " + describe(*value),
               std::string(kAllowed[static_cast<std::size_t>(subject.unit)]));
    expectation.text = fmt::format("{}: {}", subject.key, value->text);
    expectations_.push_back(std::move(expectation));
  }

  void take_word(MappingReader& reader, std::string_view key, std::string_view word,
                 Quantity quantity) {
    const ConfigNode* value = reader.take(key);
    if (value == nullptr)
      return;
    found_ = true;
    read_word(*value, {word}, problems_);
    if (quantity == Quantity::kModel && !scenario_.model.is_watched())
      complain(value->mark, "the scenario names no model", "'model:' beside 'rules:'");
    Expectation expectation;
    expectation.quantity = quantity;
    expectation.text = fmt::format("{}: {}", key, word);
    expectations_.push_back(std::move(expectation));
  }

  void find_port(const ConfigNode& node) {
    std::vector<std::string_view> names;
    for (const PortSpec& port : scenario_.ports) names.push_back(port.name);
    if (const auto index = read_word(node, names, problems_))
      port_ = *index;
  }

  void keep() {
    for (Expectation& expectation : expectations_) {
      const bool of_the_run =
          expectation.quantity == Quantity::kLedger || expectation.quantity == Quantity::kModel;
      expectation.mark = mark_;
      if (!of_the_run) {
        expectation.rule = rule_;
        expectation.port = port_;
      }
      scenario_.expectations.push_back(std::move(expectation));
    }
  }

  Scenario& scenario_;
  Problems& problems_;
  Mark mark_;
  bool found_ = false;
  std::optional<std::size_t> rule_;
  std::optional<std::size_t> port_;
  std::vector<Expectation> expectations_;
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
  if (rules_of_variation(scenario).size() > kVariationsMax)
    problems.push_back(problem_at(node.mark, "ipdv of more than 16 rules", "at most 16"));
}

std::vector<std::size_t> rules_of_variation(const Scenario& scenario) {
  std::vector<std::size_t> rules;
  for (const Expectation& expectation : scenario.expectations)
    if (expectation.quantity == Quantity::kIpdvQuantile && expectation.rule &&
        std::ranges::find(rules, *expectation.rule) == rules.end())
      rules.push_back(*expectation.rule);
  return rules;
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

void read_lateness(const ConfigNode& node, Scenario& scenario, Problems& problems) {
  MappingReader reader(node, "lateness", problems);
  if (const ConfigNode* value = reader.require("p99"))
    scenario.lateness.p99_ns = read_duration_ns(*value, {0, kDurationMaxNs}, problems);
  if (const ConfigNode* value = reader.take("on_exceed"))
    scenario.lateness.warns = read_word(*value, {"invalid", "warn"}, problems) == 1U;
  reader.finish();
}

}  // namespace faultline
