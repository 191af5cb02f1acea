// Judging a run: each expectation, each rule's own law, and the tool itself.
#include "report/verdict.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/units.hpp"
#include "report/delay_sample.hpp"

namespace faultline {
namespace {

/// What an observation must be compatible with.
struct Wanted {
  double least = 0;
  double most = 0;
};

bool compatible(const Interval& interval, const Wanted& wanted) {
  return interval.low <= wanted.most && interval.high >= wanted.least;
}

/// How losses are counted: a share of packets, and how many of them tell as much as one.
struct LossCount {
  Tally tally;
  double factor = 1;
};

class Judge {
 public:
  Judge(const Scenario& scenario, const std::vector<RuleLaw>& laws, const RunEvidence& evidence)
      : scenario_(scenario),
        laws_(laws),
        evidence_(evidence),
        statistics_(evidence.statistics),
        confidence_(confidence_of_each(scenario, laws)) {}

  RunVerdict judge() {
    for (const Expectation& expectation : scenario_.expectations) expect(expectation);
    for (const RuleLaw& law : laws_) {
      hold_to_loss(law);
      hold_to_delay(law);
      want_matches(law);
    }
    for (const Finding& finding : verdict_.findings)
      if (!finding.passes)
        verdict_.reasons.push_back((finding.about.empty() ? "" : finding.about + ": ") +
                                   finding.expected);
    verdict_.outcome = verdict_.reasons.empty() ? Outcome::kPass : Outcome::kFail;
    blame_the_tool();
    return std::move(verdict_);
  }

 private:
  // --- expectations
  // --------------------------------------------------------------------------------

  void expect(const Expectation& expectation) {
    Finding finding;
    finding.expected = expectation.text;
    if (expectation.rule)
      finding.about = laws_[*expectation.rule].name;
    if (expectation.port) {
      finding.about = scenario_.ports[*expectation.port].name;
      finding.is_port = true;
    }
    const Wanted wanted{expectation.least, expectation.most};
    switch (expectation.quantity) {
      case Quantity::kLoss:
        expect_loss(laws_[*expectation.rule], wanted, finding);
        break;
      case Quantity::kDelayQuantile:
      case Quantity::kDelayMean:
      case Quantity::kDelayMin:
      case Quantity::kDelayMax:
      case Quantity::kPdvQuantile:
        expect_delay(expectation, wanted, finding);
        break;
      case Quantity::kIpdvQuantile:
        expect_variation(expectation, wanted, finding);
        break;
      case Quantity::kMatched:
        expect_count("matched", wanted, finding);
        break;
      case Quantity::kDropped:
        expect_count("dropped", wanted, finding);
        break;
      case Quantity::kDuplicated:
        expect_count("duplicated", wanted, finding);
        break;
      case Quantity::kCorrupted:
        expect_count("corrupted", wanted, finding);
        break;
      case Quantity::kReordered:
        expect_count("reordered", wanted, finding);
        break;
      case Quantity::kInjected:
        expect_count("injected", wanted, finding);
        break;
      case Quantity::kOvertaken:
        expect_overtaken(ports_of(expectation), wanted, finding);
        break;
      case Quantity::kRate:
        expect_rate(ports_of(expectation), wanted, finding);
        break;
      case Quantity::kLedger:
        expect_truth(statistics_["ledger"]["balanced"].get<bool>(), finding);
        break;
      case Quantity::kModel:
        expect_truth(statistics_["model"]["holds"].get<bool>(), finding);
        break;
    }
    verdict_.findings.push_back(std::move(finding));
  }

  const Json& counted(const std::string& rule) const { return statistics_["rules"][rule]; }

  void expect_loss(const RuleLaw& law, const Wanted& wanted, Finding& finding) const {
    const LossCount losses = losses_of(law);
    finding.measure = Measure::kShare;
    finding.packets = losses.tally.trials;
    if (losses.tally.trials > 0)
      finding.observed = losses.tally.hits / losses.tally.trials;
    test_share(losses, wanted, finding);
  }

  /// A share that is compatible with one between `wanted`, and how likely one so far off is.
  void test_share(const LossCount& losses, const Wanted& wanted, Finding& finding) const {
    const Tally counts{losses.tally.hits / losses.factor, losses.tally.trials / losses.factor};
    finding.interval = share_interval(counts, confidence_);
    finding.passes = compatible(*finding.interval, wanted);
    double beyond = 0.5;
    if (finding.observed && *finding.observed > wanted.most)
      beyond = chance_of_as_many(counts, wanted.most);
    else if (finding.observed && *finding.observed < wanted.least)
      beyond = chance_of_as_few(counts, wanted.least);
    finding.p_value = std::min(1.0, 2 * beyond);
  }

  void expect_delay(const Expectation& expectation, const Wanted& wanted, Finding& finding) const {
    const RuleLaw& law = laws_[*expectation.rule];
    const DelaySample sample = sample_of(law);
    finding.measure = Measure::kTime;
    finding.packets = static_cast<double>(sample.packets());
    if (sample.packets() == 0) {
      // A rule that met nothing is judged for that; one that let nothing through gave no delay.
      finding.passes = counted(law.name)["matched"].get<std::uint64_t>() == 0;
      return;
    }
    const Estimate estimate = estimate_of(expectation, law, sample);
    finding.observed = estimate.value;
    finding.interval = estimate.within;
    finding.passes = compatible(estimate.within, wanted);
  }

  /// What the traffic and the rule made of it: within a bucket of the histogram, it is known.
  void expect_variation(const Expectation& expectation, const Wanted& wanted,
                        Finding& finding) const {
    const Json& found = counted(finding.about)["ipdv"];
    finding.measure = Measure::kTime;
    finding.packets = found["steps"].get<double>();
    if (finding.packets == 0) {
      finding.passes = counted(finding.about)["matched"].get<std::uint64_t>() == 0;
      return;
    }
    const auto value = found[fmt::format("p{:.0f}_ns", 100 * expectation.quantile)].get<double>();
    constexpr double kHalfBucket = 1.0 / 64;
    finding.observed = value;
    finding.interval =
        Interval{std::floor(value * (1 - kHalfBucket)), std::ceil(value * (1 + kHalfBucket))};
    finding.passes = compatible(*finding.interval, wanted);
  }

  Estimate estimate_of(const Expectation& expectation, const RuleLaw& law,
                       const DelaySample& sample) const {
    const std::optional<double> independent = independent_delays(law, sample.packets());
    if (expectation.quantity == Quantity::kDelayMean)
      return sample.mean(independent, confidence_);
    if (expectation.quantity == Quantity::kDelayMin)
      return sample.least();
    if (expectation.quantity == Quantity::kDelayMax)
      return sample.most();
    Estimate estimate = sample.quantile(expectation.quantile, independent, confidence_);
    if (expectation.quantity == Quantity::kPdvQuantile) {
      const Estimate least = sample.least();
      estimate.value = std::max(0.0, estimate.value - least.value);
      estimate.within = {std::max(0.0, estimate.within.low - least.within.high),
                         std::max(0.0, estimate.within.high - least.within.low)};
    }
    return estimate;
  }

  void expect_count(const char* counter, const Wanted& wanted, Finding& finding) const {
    settle(counted(finding.about)[counter].get<double>(), wanted, finding);
  }

  /// What is counted, and leaves nothing to chance.
  static void settle(double value, const Wanted& wanted, Finding& finding) {
    finding.observed = value;
    finding.interval = Interval{value, value};
    finding.passes = compatible(*finding.interval, wanted);
  }

  std::vector<std::size_t> ports_of(const Expectation& expectation) const {
    return expectation.port ? std::vector{*expectation.port} : laws_[*expectation.rule].ports;
  }
  double counted_at(std::size_t port, const char* counter) const {
    return statistics_["ports"][scenario_.ports[port].name][counter].get<double>();
  }

  void expect_overtaken(const std::vector<std::size_t>& ports, const Wanted& wanted,
                        Finding& finding) const {
    double overtaken = 0;
    for (const std::size_t port : ports) overtaken += counted_at(port, "tx_reordered");
    settle(overtaken, wanted, finding);
  }

  /// Every port must keep to it; the one that is farthest off is told.
  void expect_rate(const std::vector<std::size_t>& ports, const Wanted& wanted,
                   Finding& finding) const {
    finding.measure = Measure::kRate;
    if (evidence_.lasted_ns == 0)
      return;
    double farthest = -std::numeric_limits<double>::infinity();
    for (const std::size_t port : ports) {
      const double rate_bps = counted_at(port, "tx_bytes") * 8 * static_cast<double>(kNsPerSecond) /
                              static_cast<double>(evidence_.lasted_ns);
      double off = rate_bps - wanted.most;
      if (wanted.least > 0)
        off = std::max(off, wanted.least - rate_bps);
      if (off < farthest)
        continue;
      farthest = off;
      settle(rate_bps, wanted, finding);
    }
  }

  static void expect_truth(bool holds, Finding& finding) {
    finding.measure = Measure::kTruth;
    finding.observed = holds ? 1 : 0;
    finding.passes = holds;
  }

  // --- rules' own laws
  // -----------------------------------------------------------------------------

  /// Its terms that were in force, if a rule was ever on.
  std::vector<const LawTerm*> terms_of(const RuleLaw& law) const {
    const auto has_acted = [&](const LawTrigger& one) {
      const Json& all = statistics_["triggers"];
      const Json fired = one.trigger < all.size() ? all[one.trigger]["first_ns"] : Json();
      return !fired.is_null() && fired.get<std::uint64_t>() + one.after_ns <= evidence_.lasted_ns;
    };
    const bool switched_on = std::ranges::any_of(law.triggers, has_acted);
    std::vector<const LawTerm*> terms;
    for (const LawTerm& term : law.terms)
      if (term.from_ns <= evidence_.lasted_ns && (term.enabled || switched_on) &&
          (!term.set_by || has_acted(*term.set_by)))
        terms.push_back(&term);
    return terms;
  }

  /// What the rule loses, if that was the same as long as it was on.
  std::optional<LossShare> share_of(const RuleLaw& law) const {
    const std::vector<const LawTerm*> terms = terms_of(law);
    if (!law.loses || terms.empty())
      return std::nullopt;
    for (const LawTerm* term : terms)
      if (!term->loss || term->loss->rate != terms.front()->loss->rate ||
          term->loss->variance_factor != terms.front()->loss->variance_factor)
        return std::nullopt;
    return terms.front()->loss;
  }

  /// How many fates one throw may have decided: flooded frames count as copies.
  double shared_dice(const RuleLaw& law) const {
    const bool flooded = statistics_["ledger"]["copies"].get<std::uint64_t>() > 0;
    return flooded ? static_cast<double>(law.fan_out) : 1;
  }

  LossCount losses_of(const RuleLaw& law) const {
    LossCount losses = losses_on_one_path(law);
    losses.factor *= shared_dice(law);
    return losses;
  }

  LossCount losses_on_one_path(const RuleLaw& law) const {
    const Json& rule = counted(law.name);
    if (!law.loses)
      return {{rule["dropped"].get<double>(), rule["matched"].get<double>()}, 1};
    const Json& loss = rule["loss"];
    LossCount losses{{loss["lost"].get<double>(), loss["judged"].get<double>()}, 1};
    if (const auto share = share_of(law)) {
      losses.factor = std::max(1.0, share->variance_factor);
      return losses;
    }
    // Unknown: that of a chain of two states with the runs that were seen.
    const auto run = loss["mean_run"].get<double>();
    if (run <= 1 || losses.tally.hits >= losses.tally.trials)
      return losses;
    const double rate = losses.tally.hits / losses.tally.trials;
    const double moves = 1 / run + rate / run / (1 - rate);
    losses.factor = std::max(1.0, (2 - moves) / moves);
    return losses;
  }

  void hold_to_loss(const RuleLaw& law) {
    const std::optional<LossShare> share = share_of(law);
    LossCount losses = losses_of(law);
    if (!share || losses.tally.trials == 0)
      return;
    // What a scope may be off by: it does not begin as it goes on, or is cut within a round.
    double slack = share->settling;
    const bool counts = share->variance_factor == 0 && share->rate > 0 && share->rate < 1;
    if (counts)
      slack += 1;
    // What earlier rules took may be just what a count would have hit, or spared.
    const bool sees_all = losses.tally.trials == counted(law.name)["matched"].get<double>();
    if ((slack > 0 && law.scopes == 0) || (counts && !sees_all))
      return;
    slack *= static_cast<double>(law.scopes) / losses.tally.trials;
    Finding finding;
    finding.about = law.name;
    finding.expected = fmt::format("law: loss {:.6g} %", share->rate * 100);
    finding.measure = Measure::kShare;
    finding.packets = losses.tally.trials;
    finding.observed = losses.tally.hits / losses.tally.trials;
    const Wanted wanted{share->rate - slack, share->rate + (counts ? slack : 0)};
    if (counts) {
      finding.interval = Interval{*finding.observed, *finding.observed};
      finding.passes = compatible(*finding.interval, wanted);
    } else {
      test_share(losses, wanted, finding);
    }
    verdict_.findings.push_back(std::move(finding));
  }

  DelaySample sample_of(const RuleLaw& law) const {
    static const Json kNothing = Json::array();
    const auto found = evidence_.delays.find(law.name);
    return {counted(law.name), found == evidence_.delays.end() ? kNothing : *found};
  }

  /// As how many independent ones the delays count; absent: they depend on the traffic.
  std::optional<double> independent_delays(const RuleLaw& law, std::uint64_t packets) const {
    std::optional<double> independent;
    for (const LawTerm* term : terms_of(law)) {
      if (!term->shape)
        return std::nullopt;
      double count = static_cast<double>(packets) / term->shape->packets;
      if (term->shape->apart_ns > 0)
        count = std::min(count, 1 + static_cast<double>(evidence_.lasted_ns) /
                                        static_cast<double>(term->shape->apart_ns));
      independent = std::min(independent.value_or(count), count);
    }
    return independent;
  }

  void hold_to_delay(const RuleLaw& law) {
    const std::vector<const LawTerm*> terms = terms_of(law);
    if (terms.size() != 1 || !terms.front()->delay ||
        counted(law.name)["clamped"].get<std::uint64_t>() > 0)
      return;
    const DelaySample sample = sample_of(law);
    if (sample.packets() == 0)
      return;
    Finding finding;
    finding.about = law.name;
    finding.expected = "law: delay";
    finding.measure = Measure::kDistance;
    finding.packets = static_cast<double>(sample.packets());
    finding.observed = sample.distance_from(*terms.front()->delay);
    finding.p_value = kolmogorov_tail(*finding.observed, *finding.packets / shared_dice(law));
    finding.passes = *finding.p_value >= 1 - confidence_;
    verdict_.findings.push_back(std::move(finding));
  }

  /// A fault that met nothing proves nothing.
  void want_matches(const RuleLaw& law) {
    const Json& rule = counted(law.name);
    const bool acted = rule["matched"].get<std::uint64_t>() > 0 ||
                       rule["injected"].get<std::uint64_t>() > 0 ||
                       (rule.contains("flap") && rule["flap"]["carrier"].get<bool>());
    if (law.optional || acted || terms_of(law).empty())
      return;
    Finding finding;
    finding.about = law.name;
    finding.expected = "matched: >= 1";
    settle(0, {1, std::numeric_limits<double>::infinity()}, finding);
    verdict_.findings.push_back(std::move(finding));
  }

  // --- the tool itself
  // -----------------------------------------------------------------------------

  void invalid(std::string reason) {
    verdict_.outcome = Outcome::kInvalid;
    verdict_.reasons.push_back(std::move(reason));
  }

  void blame_the_tool() {
    if (!statistics_["ledger"]["balanced"].get<bool>())
      invalid("the ledger does not balance");
    std::uint64_t own = 0;
    for (const char* reason : {"overflow", "no_mbuf", "tx_full", "tx_error"})
      own += statistics_["ledger"]["dropped"][reason].get<std::uint64_t>();
    for (const auto& [name, port] : statistics_["ports"].items())
      for (const char* counter : {"rx_missed", "rx_errors", "rx_no_mbuf"})
        own += port[counter].get<std::uint64_t>();
    if (own > 0)
      invalid(fmt::format("faultline itself lost {} packets", own));
    const Json& lateness = statistics_["lateness"];
    if (const auto early = lateness["early"].get<std::uint64_t>(); early > 0)
      invalid(fmt::format("{} packets left too early", early));
    const LatenessBound& bound = scenario_.lateness;
    const auto late_ns = lateness["p99_ns"].get<std::uint64_t>();
    if (!bound.p99_ns || late_ns <= *bound.p99_ns)
      return;
    const std::string late = fmt::format("of 100 packets one left {} or more late; allowed are {}",
                                         format_duration(late_ns), format_duration(*bound.p99_ns));
    if (bound.warns)
      verdict_.warnings.push_back(late);
    else
      invalid(late);
  }

  const Scenario& scenario_;
  const std::vector<RuleLaw>& laws_;
  const RunEvidence& evidence_;
  const Json& statistics_;
  double confidence_;  ///< of each test
  RunVerdict verdict_;
};

}  // namespace

RunVerdict judge(const Scenario& scenario, const std::vector<RuleLaw>& laws,
                 const RunEvidence& evidence) {
  return Judge(scenario, laws, evidence).judge();
}

}  // namespace faultline
