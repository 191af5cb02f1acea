// faultline check: parse, compile, capacity.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/run_commands.hpp"
#include "dataplane/flow_table.hpp"
#include "policy/capacity.hpp"
#include "policy/expectation.hpp"
#include "policy/timeline.hpp"
#include "report/laws.hpp"

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;

/// Beyond these, a delay that is not the one asked for is worth a warning.
constexpr double kWaitingMost = 1e-3;
constexpr double kCutMost = 1e-3;
/// A run of so many packets should tell.
constexpr double kUsualPackets = 1e5;
/// How long each of them is looked at, and all together (about a second).
constexpr std::uint64_t kKnotsEach = 10'000;
constexpr std::uint64_t kKnotsLeast = 100;
constexpr std::uint64_t kKnotsAll = 100'000;

/// What check finds beside errors, as JSON and for people.
class Findings {
 public:
  Findings(const Scenario& scenario, const PolicyChain& policies, const WorkerLayout& layout)
      : scenario_(scenario),
        policy_(*policies.front()),
        confidence_(confidence_of_each(scenario, laws_of(scenario, policies))) {
    for (const std::unique_ptr<Policy>& policy : policies) {
      Capacity capacity =
          capacity_of(scenario, *policy, FlowTable::bytes_for(scenario.flows_max), layout);
      if (policy == policies.front() || capacity.hold_needed > capacity_.hold_needed)
        capacity_ = std::move(capacity);
    }
    std::uint64_t reviews = 1;
    for (const RuleProgram& rule : policy_.rules)
      for (const RuleStep& step : rule.steps) reviews += step.impairment.review != nullptr ? 1 : 0;
    knots_ = std::clamp(kKnotsAll / reviews, kKnotsLeast, kKnotsEach);
    for (const RuleProgram& rule : policy_.rules)
      if (rule.variant == 0)
        look_at(rule);
    for (const Expectation& expectation : scenario.expectations) weigh(expectation);
    if (!capacity_.fits() && !capacity_.must_refuse())
      warnings_.push_back({{"message", capacity_.misfit}});
  }

  const Capacity& capacity() const { return capacity_; }
  const Json& warnings() const { return warnings_; }
  const Json& power() const { return power_; }

  Json to_json() const {
    return {{"ok", true},
            {"errors", Json::array()},
            {"power", power_},
            {"warnings", warnings_},
            {"rules", rules_},
            {"capacity",
             {{"hold_bytes", capacity_.hold},
              {"hold_bytes_needed", capacity_.hold_needed},
              {"flows", capacity_.flows},
              {"flows_bytes", capacity_.flows_memory},
              {"streams", capacity_.streams},
              {"stream_state_bytes", capacity_.stream_state},
              {"streams_bytes", capacity_.streams_memory},
              {"patterns_bytes", capacity_.patterns},
              {"mbufs", capacity_.mbufs},
              {"memory_bytes", capacity_.memory},
              {"speed_bps", capacity_.speed_bps},
              {"stay_ns", capacity_.stay_ns},
              {"fits", capacity_.fits()}}}};
  }

 private:
  void warn(const std::string& rule, std::string message) {
    warnings_.push_back({{"rule", rule}, {"message", std::move(message)}});
  }

  void look_at(const RuleProgram& rule) {
    Json json = {{"name", rule.name},
                 {"match_per_flow", rule.match.has_value()},
                 {"match_per_packet", rule.match && rule.match->per_packet()},
                 {"paths", rule.paths.count()},
                 {"enabled", rule.enabled}};
    if (rule.paths.none())
      warn(rule.name, "selects no path");
    if (const auto loss = loss_of(rule); loss && loss->rate > 0)
      json["loss"] = loss->rate;
    for (std::size_t index = 0; index < rule.steps.size(); ++index) look_at(rule, index, json);
    rules_.push_back(std::move(json));
  }

  void look_at(const RuleProgram& rule, std::size_t index, Json& json) {
    const CompiledImpairment& impairment = rule.steps[index].impairment;
    const std::string place = fmt::format("impair[{}], {}", index + 1, rule.steps[index].kind);
    if (impairment.adds_unbounded)
      warn(rule.name,
           place + ": no `queue:` stands behind it; what waits is bounded by the hold only");
    if (impairment.review == nullptr)
      return;
    const DelayReview review = impairment.review(impairment.parameters, knots_);
    json["waiting"] = std::max(json.value("waiting", 0.0), review.waiting);
    json["cut"] = std::max(json.value("cut", 0.0), review.cut);
    if (review.waiting > kWaitingMost)
      warn(rule.name, fmt::format("{}: for {:.2g} % of time packets wait for those before them, so "
                                  "their delay is not the law's; a longer correlation_time helps",
                                  place, review.waiting * 100));
    if (review.cut > kCutMost)
      warn(rule.name,
           fmt::format("{}: {:.2g} % of the delays come out negative and become zero, so "
                       "the mean is above the one asked for",
                       place, review.cut * 100));
  }

  void weigh(const Expectation& expectation) {
    if (expectation.quantity == Quantity::kLoss)
      weigh_loss(expectation, policy_.written(*expectation.rule));
    else if (is_of_delay(expectation.quantity) && !policy_.written(*expectation.rule).delays)
      warn(policy_.written(*expectation.rule).name,
           fmt::format("{}: the rule delays nothing", expectation.text));
  }

  static bool is_of_delay(Quantity quantity) {
    return quantity == Quantity::kDelayQuantile || quantity == Quantity::kDelayMean ||
           quantity == Quantity::kDelayMin || quantity == Quantity::kDelayMax ||
           quantity == Quantity::kPdvQuantile || quantity == Quantity::kIpdvQuantile;
  }

  void weigh_loss(const Expectation& expectation, const RuleProgram& rule) {
    const std::string text = fmt::format("{}: {}", rule.name, expectation.text);
    const auto loss = loss_of(rule);
    if (!loss) {
      warn(rule.name, fmt::format("{}: the rule's loss depends on the traffic", expectation.text));
      return;
    }
    constexpr double kRounding = 1e-12;
    const bool contradicts =
        loss->rate < expectation.least - kRounding || loss->rate > expectation.most + kRounding;
    if (contradicts)
      warn(rule.name, fmt::format("{}: the rule loses {:.4g} %, so a long run fails",
                                  expectation.text, loss->rate * 100));
    if (!expectation.wanted)
      return;
    const auto power = power_of(expectation, *loss, confidence_);
    if (!power) {
      warn(rule.name, fmt::format("{}: no run up to 10^12 packets tells", expectation.text));
      return;
    }
    const double usual = chance_of(expectation, *loss, confidence_, kUsualPackets);
    if (!contradicts && usual < kPowerLeast)
      warn(rule.name,
           fmt::format("{}: 10^5 packets tell a loss {:.3g}% off with {:.2f} only",
                       expectation.text, power->deviation * 100, std::floor(usual * 100) / 100));
    power_.push_back(
        {{"expect", text},
         {"detects", fmt::format("{:.3g}% at 10^{} packets with {:.2f}", power->deviation * 100,
                                 power->packets_log10, std::floor(power->chance * 100) / 100)}});
  }

  const Scenario& scenario_;
  const Policy& policy_;
  double confidence_;  ///< of each test
  Capacity capacity_;
  std::uint64_t knots_ = kKnotsEach;
  Json warnings_ = Json::array();
  Json rules_ = Json::array();
  Json power_ = Json::array();
};

/// Where `key` stands, else where the rules do.
Mark place_of(const Scenario& scenario, std::string_view wanted) {
  for (const std::string_view key : {wanted, std::string_view("rules")})
    for (const ConfigEntry& entry : scenario.tree.entries)
      if (entry.key == key)
        return entry.key_mark;
  return scenario.tree.mark;
}

}  // namespace

Exit run_check(const CheckOptions& options) {
  const LoadedPolicies loaded = load_policies(options.file, 0, options.form, take_commands);
  if (!loaded.scenario)
    return loaded.exit;
  const Scenario& scenario = *loaded.scenario;
  const Result<WorkerLayout> layout = least_layout(scenario);
  if (!layout) {
    tell(Problems{problem_at(place_of(scenario, "workers"), layout.error().front().message)},
         options.form);
    return Exit::kWrong;
  }
  for (const auto& policy : loaded.policies)
    if (const std::string unshareable = unshareable_rule(*policy, *layout); !unshareable.empty()) {
      tell(Problems{problem_at(place_of(scenario, "rules"), unshareable)}, options.form);
      return Exit::kWrong;
    }
  const Findings findings(scenario, loaded.policies, *layout);
  if (findings.capacity().must_refuse()) {
    tell(Problems{problem_at(place_of(scenario, "hold"), findings.capacity().misfit,
                             "more hold.memory, shorter delays, or a port's own speed:")},
         options.form);
    return Exit::kWrong;
  }
  if (options.form == OutputForm::kJson) {
    fmt::print("{}\n", findings.to_json().dump());
    return Exit::kDone;
  }
  for (const Json& warning : findings.warnings())
    fmt::print(stderr, "{}: warning: {}{}\n", options.file,
               warning.contains("rule") ? "rule " + warning["rule"].get<std::string>() + ": " : "",
               warning["message"].get<std::string>());
  for (const Json& power : findings.power())
    fmt::print(stderr, "{}: {}: detects {}\n", options.file, power["expect"].get<std::string>(),
               power["detects"].get<std::string>());
  fmt::print(stderr, "{}: good: {} ports, {} rules; the hold needs {} of {} bytes\n", options.file,
             scenario.ports.size(), scenario.rules.size(), findings.capacity().hold_needed,
             findings.capacity().hold);
  if (findings.capacity().patterns > 0)
    fmt::print(stderr,
               "{}: payload patterns take {} bytes; {} streams of {} bytes of state each take {}\n",
               options.file, findings.capacity().patterns, findings.capacity().streams,
               findings.capacity().stream_state, findings.capacity().streams_memory);
  return Exit::kDone;
}

}  // namespace faultline
