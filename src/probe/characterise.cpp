// The trials of RFC 2544, sections 26.1 and 26.2.
#include "probe/characterise.hpp"

namespace faultline {
namespace {

class Characterisation {
 public:
  Characterisation(const CharacteriseOptions& options, const std::atomic<bool>& stop,
                   const std::function<void(const Trial&)>& watch)
      : options_(options), stop_(stop), watch_(watch) {}

  Result<SizeResult> measure(std::uint32_t bytes, ProbePair pair,
                             std::optional<ProbePair> baseline) {
    SizeResult result{.bytes = bytes};
    if (auto searched = search(result, pair); !searched)
      return tl::unexpected(std::move(searched.error()));
    if (!result.frames_per_second || stop_)
      return result;
    const auto add = [&](ProbePair through, std::optional<Latency>& latency) -> Result<void> {
      const Result<StreamResult> stream = trial(bytes, *result.frames_per_second, through);
      if (!stream)
        return tl::unexpected(stream.error());
      latency = Latency{.p50_ns = stream->delays.quantile_ns(0.5),
                        .p99_ns = stream->delays.quantile_ns(0.99),
                        .most_ns = stream->delays.most_ns(),
                        .lost = stream->counts.lost};
      return {};
    };
    if (auto added = add(pair, result.latency); !added)
      return tl::unexpected(std::move(added.error()));
    if (baseline)
      if (auto added = add(*baseline, result.baseline); !added)
        return tl::unexpected(std::move(added.error()));
    return result;
  }

 private:
  Result<StreamResult> trial(std::uint32_t bytes, double frames_per_second, ProbePair pair) {
    StreamOptions stream = options_.stream;
    // Frames of the trial before, late ones, are another run's.
    stream.run = options_.stream.run + ++run_;
    stream.sizes = {bytes};
    stream.both = false;
    stream.frames_per_second = frames_per_second;
    stream.duration_ns = options_.trial_ns;
    stream.count = 0;
    const std::uint64_t missed_before = pair.to.missed();
    Result<StreamOutcome> outcome = run_stream(stream, pair.from, pair.to, stop_, {});
    if (!outcome)
      return tl::unexpected(std::move(outcome.error()));
    StreamResult result = std::move(outcome->ways.front());
    result.missed -= missed_before;
    if (watch_)
      watch_({.bytes = bytes,
              .frames_per_second = result.rate(),
              .sent = result.sent,
              .lost = result.counts.lost});
    return result;
  }

  /// The fastest rate without loss, by halves between none and the fastest that was sent.
  Result<void> search(SizeResult& result, ProbePair pair) {
    double high = 0;
    double low = 0;
    for (bool first = true;; first = false) {
      const double asked = first ? options_.frames_per_second_max : (low + high) / 2;
      const Result<StreamResult> tried = trial(result.bytes, asked, pair);
      if (!tried)
        return tl::unexpected(tried.error());
      ++result.trials;
      const bool clean = tried->counts.lost == 0 && tried->sent > 1;
      if (first) {
        high = tried->rate();
        fastest_ = high;
      }
      if (clean) {
        low = first ? high : tried->rate();
        result.frames_per_second = low;
        result.sender_bound = first;
      } else if (!first) {
        high = asked;
      }
      if (result.sender_bound || stop_ || high - low <= options_.resolution * fastest_ ||
          tried->sent < 2)
        return {};
    }
  }

  const CharacteriseOptions& options_;
  const std::atomic<bool>& stop_;
  const std::function<void(const Trial&)>& watch_;
  std::uint32_t run_ = 0;
  double fastest_ = 0;
};

}  // namespace

Result<std::vector<SizeResult>> characterise(const CharacteriseOptions& options, ProbePair pair,
                                             std::optional<ProbePair> baseline,
                                             const std::atomic<bool>& stop,
                                             const std::function<void(const Trial&)>& watch) {
  Characterisation all(options, stop, watch);
  std::vector<SizeResult> results;
  for (const std::uint32_t bytes : options.stream.sizes) {
    if (stop)
      break;
    Result<SizeResult> result = all.measure(bytes, pair, baseline);
    if (!result)
      return tl::unexpected(std::move(result.error()));
    results.push_back(*result);
  }
  return results;
}

}  // namespace faultline
