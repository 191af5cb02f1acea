// Reading a rule's delays out of a histogram.
#include "report/delay_sample.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/portable_math.hpp"

namespace faultline {

DelaySample::DelaySample(const Json& statistics, const Json& buckets) {
  most_ns_ = statistics["delay"]["max_ns"].get<std::uint64_t>();
  const auto most = static_cast<double>(most_ns_);
  const auto mean_of_delayed = statistics["delay"]["mean_ns"].get<double>();
  for (const Json& bucket : buckets) {
    buckets_.push_back({bucket[0].get<double>(), std::min(bucket[1].get<double>(), most),
                        bucket[2].get<std::uint64_t>()});
    packets_ += buckets_.back().packets;
  }
  if (packets_ == 0)
    return;
  // All that were delayed were so equally: the bucket is known to be one value.
  if (mean_of_delayed == most)
    buckets_.back().least_ns = buckets_.back().most_ns;
  mean_ns_ = mean_of_delayed * statistics["delayed"].get<double>() / static_cast<double>(packets_);
}

const DelaySample::Bucket& DelaySample::at_rank(double rank) const {
  double seen = 0;
  for (const Bucket& bucket : buckets_) {
    seen += static_cast<double>(bucket.packets);
    if (seen >= rank)
      return bucket;
  }
  return buckets_.back();
}

Estimate DelaySample::quantile(double share, std::optional<double> independent,
                               double confidence) const {
  const auto packets = static_cast<double>(packets_);
  const double rank = std::min(packets, std::floor(share * packets) + 1);
  const Bucket& found = at_rank(rank);
  Estimate estimate{found.middle_ns(), {found.least_ns, found.most_ns}};
  if (!independent)
    return estimate;
  const double trials = std::max(1.0, std::floor(*independent));
  const Ranks ranks = quantile_ranks(trials, share, confidence);
  estimate.within.low =
      ranks.low < 1 ? 0 : at_rank(std::floor(ranks.low * packets / trials)).least_ns;
  estimate.within.high = ranks.high > trials
                             ? std::numeric_limits<double>::infinity()
                             : at_rank(std::ceil(ranks.high * packets / trials)).most_ns;
  return estimate;
}

Estimate DelaySample::mean(std::optional<double> independent, double confidence) const {
  double squares = 0;
  for (const Bucket& bucket : buckets_) {
    const double off =
        std::max(std::abs(bucket.least_ns - mean_ns_), std::abs(bucket.most_ns - mean_ns_));
    squares += static_cast<double>(bucket.packets) * off * off;
  }
  const double variance = squares / static_cast<double>(packets_);
  const double z = -normal_lower_quantile((1 - confidence) / 2);
  // The mean in the statistics is cut to whole ns.
  const double width =
      1 + (independent ? z * std::sqrt(variance / std::max(1.0, *independent)) : 0);
  return {mean_ns_, {std::max(0.0, mean_ns_ - width), mean_ns_ + width}};
}

Estimate DelaySample::least() const {
  const Bucket& first = buckets_.front();
  return {first.middle_ns(), {first.least_ns, first.most_ns}};
}

Estimate DelaySample::most() const {
  const auto most = static_cast<double>(most_ns_);
  return {most, {most, most}};
}

double DelaySample::distance_from(const CompiledImpairment& delay) const {
  double farthest = 0;
  double seen = 0;
  const auto compare = [&](double at_ns) {
    const double share = at_ns < 0 ? 0
                                   : delay.delay_shape->share_within(
                                         delay.parameters, static_cast<std::uint64_t>(at_ns));
    farthest = std::max(farthest, std::abs(seen / static_cast<double>(packets_) - share));
  };
  for (const Bucket& bucket : buckets_) {
    compare(bucket.least_ns - 1);
    seen += static_cast<double>(bucket.packets);
    compare(bucket.most_ns);
  }
  return farthest;
}

}  // namespace faultline
