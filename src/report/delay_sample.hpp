// The delays that a rule gave in a run, as its histogram has them: quantiles, mean and ends, each
// with what is not known of it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/event_log.hpp"
#include "impair/impairment.hpp"
#include "report/binomial.hpp"

namespace faultline {

/// A value, and between what its law's lies. Times in ns; `high` may be infinite.
struct Estimate {
  double value = 0;
  Interval within;
};

class DelaySample {
 public:
  /// `statistics` is the rule's part of the statistics object, `buckets` of StatisticsSum's delays.
  DelaySample(const Json& statistics, const Json& buckets);

  std::uint64_t packets() const { return packets_; }
  /// `independent`: as how many independent delays they count; absent: the traffic made them, and
  /// what was found is all there is to know.
  Estimate quantile(double share, std::optional<double> independent, double confidence) const;
  Estimate mean(std::optional<double> independent, double confidence) const;
  Estimate least() const;
  Estimate most() const;
  /// The largest distance between the shares found and the law's, at the buckets' ends: at most
  /// Kolmogorov's.
  double distance_from(const CompiledImpairment& delay) const;

 private:
  struct Bucket {
    double least_ns = 0;
    double most_ns = 0;
    std::uint64_t packets = 0;
    double middle_ns() const { return (least_ns + most_ns) / 2; }
  };
  const Bucket& at_rank(double rank) const;  ///< from 1; beyond the ends: the end

  std::vector<Bucket> buckets_;
  std::uint64_t packets_ = 0;
  std::uint64_t most_ns_ = 0;
  double mean_ns_ = 0;
};

}  // namespace faultline
