// Laws, drawn.
#include "report/asked.hpp"

#include <algorithm>

namespace faultline {
namespace {

constexpr int kPoints = 400;
constexpr std::size_t kDelaysMax = 8;
constexpr double kTail = 0.0005;

double share_within(const CompiledImpairment& delay, std::uint64_t at_ns) {
  return delay.delay_shape->share_within(delay.parameters, at_ns);
}

/// The least delay that so many do not exceed.
std::uint64_t quantile_of(const CompiledImpairment& delay, double share) {
  std::uint64_t low = 0;
  std::uint64_t high = std::uint64_t{1} << 62;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (share_within(delay, middle) >= share)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/// Equal steps between the tails, and the steps' edges where the law jumps at its ends.
Json curve_of(const CompiledImpairment& delay) {
  const std::uint64_t low = quantile_of(delay, kTail);
  const std::uint64_t high = quantile_of(delay, 1 - kTail);
  const std::uint64_t margin = std::max<std::uint64_t>(1, std::max((high - low) / 20, high / 50));
  std::vector<std::uint64_t> places{low, high, high + margin};
  for (const std::uint64_t end : {low, high})
    if (end > 0)
      places.push_back(end - 1);
  places.push_back(low - std::min(low, margin));
  for (int i = 1; i < kPoints; ++i)
    places.push_back(low +
                     static_cast<std::uint64_t>(static_cast<double>(high - low) * i / kPoints));
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  Json curve = Json::array();
  for (const std::uint64_t at_ns : places) curve.push_back({at_ns, share_within(delay, at_ns)});
  return curve;
}

/// Of equal shares of all delays, their quantiles' mean.
double mean_of(const CompiledImpairment& delay) {
  double sum = 0;
  for (int i = 0; i < kPoints; ++i)
    sum += static_cast<double>(quantile_of(delay, (i + 0.5) / kPoints));
  return sum / kPoints;
}

}  // namespace

Json asked_of(const std::vector<RuleLaw>& laws) {
  Json rules = Json::object();
  for (const RuleLaw& law : laws) {
    Json terms = Json::array();
    Json delays = Json::array();
    // What a trigger sets is asked for from a packet on that nobody knows before.
    const bool varies =
        std::ranges::any_of(law.terms, [](const LawTerm& term) { return term.set_by.has_value(); });
    for (const LawTerm& term : law.terms) {
      if (term.set_by)
        continue;
      Json one = {{"from_ns", term.from_ns},
                  {"enabled", term.enabled},
                  {"loss", nullptr},
                  {"delay", nullptr}};
      if (term.loss && law.loses && !varies)
        one["loss"] = term.loss->rate;
      if (term.enabled && term.delay && !varies && delays.size() < kDelaysMax) {
        Json delay = {{"mean_ns", mean_of(*term.delay)}, {"curve", curve_of(*term.delay)}};
        const auto same = std::find(delays.begin(), delays.end(), delay);
        one["delay"] = same - delays.begin();
        if (same == delays.end())
          delays.push_back(std::move(delay));
      }
      terms.push_back(std::move(one));
    }
    rules[law.name] = {{"terms", std::move(terms)},
                       {"delays", std::move(delays)},
                       {"triggered", !law.triggers.empty()}};
  }
  return rules;
}

Json lateness_bound_of(const Scenario& scenario) {
  if (!scenario.lateness.p99_ns)
    return nullptr;
  return {{"p99_ns", *scenario.lateness.p99_ns}};
}

}  // namespace faultline
