// The laws' inverse distribution functions, standardised, and the tables made of them.
#include "impair/distribution.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/int128.hpp"
#include "base/portable_math.hpp"

namespace faultline {
namespace {

/// What a table can hold: 2^31 standard deviations.
constexpr double kDeviationMax = 2147483647.0;

Deviation to_deviation(double value) {
  return static_cast<Deviation>(std::clamp(value, -kDeviationMax, kDeviationMax) * kDeviationOne);
}

template <typename Function>
class QuantileOf final : public QuantileFunction {
 public:
  explicit QuantileOf(Function function) : function_(std::move(function)) {}
  double at(const Tail& tail) const override { return function_(tail); }

 private:
  Function function_;
};

template <typename Function>
Quantile make_quantile(Function function) {
  return std::make_shared<const QuantileOf<Function>>(std::move(function));
}

double normal_quantile(const Tail& tail) {
  const double lower = normal_lower_quantile(tail.probability);
  return tail.upper ? -lower : lower;
}

/// −ln of the upper tail probability.
double minus_log_survival(const Tail& tail) {
  return tail.upper ? -portable_log(tail.probability) : -portable_log1p(-tail.probability);
}

Quantile weibull(double shape) {
  // sd = λ √(Γ(1 + 2/k) − Γ(1 + 1/k)²).
  const double mean = portable_exp(portable_log_gamma(1 + 1 / shape));
  const double square = portable_exp(portable_log_gamma(1 + 2 / shape));
  const double scale = 1 / std::sqrt(square - mean * mean);
  return make_quantile(
      [=](const Tail& tail) { return scale * portable_pow(minus_log_survival(tail), 1 / shape); });
}

Quantile lognormal(double sigma) {
  // e^(σZ) has the standard deviation √((e^(σ²) − 1)·e^(σ²)).
  const double growth = portable_exp(sigma * sigma);
  const double scale = 1 / std::sqrt((growth - 1) * growth);
  return make_quantile(
      [=](const Tail& tail) { return scale * portable_exp(sigma * normal_quantile(tail)); });
}

/// u^(−1/α) has mean α/(α − 1) and standard deviation √(α/(α − 2))/(α − 1).
Quantile pareto(double alpha) {
  const double mean = alpha / (alpha - 1);
  const double sd = std::sqrt(alpha / (alpha - 2)) / (alpha - 1);
  return make_quantile([=](const Tail& tail) {
    return (portable_exp(minus_log_survival(tail) / alpha) - mean) / sd;
  });
}

/// A mixture of quantiles (normal + 3·pareto)/4, with netem's tail index 3, brought to the standard
/// deviation 1 (found by summing over equal shares).
Quantile paretonormal() {
  constexpr int kShares = 1 << 14;
  const Quantile heavy = pareto(3);
  const auto mixed = [heavy](const Tail& tail) {
    return (normal_quantile(tail) + 3 * heavy->at(tail)) / 4;
  };
  // E[Z·P] for the covariance; both have mean 0 and variance 1.
  double covariance = 0;
  for (int share = 0; share < kShares; ++share) {
    const double place = (share + 0.5) / kShares;
    const Tail tail{std::min(place, 1 - place), place > 0.5};
    covariance += normal_quantile(tail) * heavy->at(tail) / kShares;
  }
  const double sd = std::sqrt(1 + 9 + 6 * covariance) / 4;
  return make_quantile([=](const Tail& tail) { return mixed(tail) / sd; });
}

/// By bisection and Newton's steps on the incomplete gamma function.
Quantile gamma(double shape) {
  const double scale = 1 / std::sqrt(shape);
  return make_quantile([=](const Tail& tail) {
    double low = 0;
    double high = shape + 1;
    const auto too_low = [&](double x) {
      const GammaTails tails = portable_gamma_tails(shape, x);
      return tail.upper ? tails.upper > tail.probability : tails.lower < tail.probability;
    };
    while (too_low(high)) high *= 2;
    for (int halving = 0; halving < 60; ++halving) {
      const double middle = (low + high) / 2;
      (too_low(middle) ? low : high) = middle;
    }
    return scale * (low + high) / 2;
  });
}

}  // namespace

double standard_normal(std::uint64_t uniform) noexcept {
  const double share = (static_cast<double>(uniform >> 12) + 0.5) * 0x1p-52;
  return share < 0.5 ? normal_lower_quantile(share) : -normal_lower_quantile(1 - share);
}

const std::vector<std::string_view>& law_names() {
  static const std::vector<std::string_view> kNames{
      "constant",  "uniform", "normal", "exponential",  "gamma",
      "lognormal", "weibull", "pareto", "paretonormal", "table"};
  return kNames;
}

bool has_shape(Law law) {
  return law == Law::kGamma || law == Law::kLognormal || law == Law::kWeibull ||
         law == Law::kPareto;
}

bool is_heavy(Law law) {
  return law == Law::kPareto || law == Law::kParetonormal;
}

ShapeRange shape_range(Law law) {
  switch (law) {
    case Law::kGamma:
      return {0.1, 1'000};
    case Law::kLognormal:
      return {0.01, 2};
    case Law::kWeibull:
      return {0.3, 50};
    case Law::kPareto:
      return {2.01, 100};
    case Law::kConstant:
    case Law::kUniform:
    case Law::kNormal:
    case Law::kExponential:
    case Law::kParetonormal:
    case Law::kTable:
      break;
  }
  return {0, 0};
}

double default_spacing(Law law, double shape) {
  switch (law) {
    case Law::kConstant:
      return 1;
    case Law::kUniform:
      return 4;
    case Law::kNormal:
      return 6;
    case Law::kExponential:
      return 10;
    case Law::kGamma:
      return shape >= 1 ? 10 : 40;
    case Law::kWeibull:
      return shape >= 1 ? 10 : 40;
    case Law::kLognormal:
      return 40;
    case Law::kPareto:
    case Law::kParetonormal:
      return 40;
    case Law::kTable:
      return 10;
  }
  return 10;
}

Quantile quantile_of(Law law, double shape) {
  switch (law) {
    case Law::kConstant:
    case Law::kTable:
      return make_quantile([](const Tail&) { return 0.0; });
    case Law::kUniform:
      return make_quantile([](const Tail& tail) {
        return tail.upper ? 1 - 2 * tail.probability : 2 * tail.probability - 1;
      });
    case Law::kNormal:
      return make_quantile(normal_quantile);
    case Law::kExponential:
      return make_quantile(minus_log_survival);
    case Law::kGamma:
      return gamma(shape);
    case Law::kLognormal:
      return lognormal(shape);
    case Law::kWeibull:
      return weibull(shape);
    case Law::kPareto:
      return pareto(shape);
    case Law::kParetonormal:
      return paretonormal();
  }
  return {};
}

QuantileTable::QuantileTable(const QuantileFunction& quantile) {
  for (int octave = 0; octave < kOctaves; ++octave) {
    for (int step = 0; step <= kSteps; ++step) {
      // Outwards from 2^-(octave+1) to half of it.
      const double share = 1.0 - static_cast<double>(step) / (2 * kSteps);
      const double probability = std::ldexp(share, -(octave + 1));
      const auto index = static_cast<std::size_t>(octave * kSteps + step);
      sides_[0][index] = to_deviation(quantile.at({probability, false}));
      sides_[1][index] = to_deviation(quantile.at({probability, true}));
    }
  }
}

Deviation QuantileTable::at(std::uint64_t uniform) const noexcept {
  // No way to go by which half it is: nobody could foretell it.
  const std::uint64_t upper = uniform >> 63;
  const std::uint64_t outward = uniform ^ (0 - upper);  // the tail's probability, below 2^63
  const Side& side = sides_[upper];
  const int octave = std::countl_zero(outward | 1) - 1;
  if (octave >= kOctaves)
    return side.back();
  // The octave's part of u, from 2^64 (its inner end, excluded) down to 2^63.
  const std::uint64_t within = outward << (octave + 1);
  const std::uint64_t from_inner = ~within << 1;  // 0 … 2^64: how far out, in the octave
  const auto step = static_cast<std::size_t>(from_inner >> 58);
  const std::uint64_t rest = (from_inner << 6) >> 32;
  const std::size_t index = static_cast<std::size_t>(octave) * kSteps + step;
  const Deviation inner = side[index];
  const Deviation outer = side[index + 1];
  return inner + static_cast<Deviation>(
                     (static_cast<Int128>(outer - inner) * static_cast<Int128>(rest)) >> 32);
}

GaussianTable::GaussianTable(const QuantileFunction& quantile) {
  constexpr std::size_t kMiddle = kReach * kStepsAUnit;
  using Tails = std::array<double, kMiddle + 1>;  // the same for every law, and most of the work
  static const Tails tails = [] {
    Tails made;
    for (std::size_t index = 0; index < made.size(); ++index)
      made[index] = normal_upper_tail(static_cast<double>(index) / kStepsAUnit);
    return made;
  }();
  for (std::size_t index = 0; index < values_.size(); ++index) {
    const std::size_t outward = index > kMiddle ? index - kMiddle : kMiddle - index;
    values_[index] = to_deviation(quantile.at({tails[outward], index > kMiddle}));
  }
}

Deviation GaussianTable::at(double x) const noexcept {
  const double place = (std::clamp<double>(x, -kReach, kReach) + kReach) * kStepsAUnit;
  const auto index = std::min(static_cast<std::size_t>(place), values_.size() - 2);
  const auto rest = static_cast<std::int64_t>((place - static_cast<double>(index)) * kDeviationOne);
  return values_[index] +
         static_cast<Deviation>((static_cast<Int128>(values_[index + 1] - values_[index]) * rest) >>
                                32);
}

namespace {

/// Ascending points (probability, deviation) of an inverse distribution function.
struct Point {
  double probability = 0;
  double deviation = 0;
};

double interpolate(const std::vector<Point>& points, double probability) {
  if (probability <= points.front().probability)
    return points.front().deviation;
  if (probability >= points.back().probability)
    return points.back().deviation;
  const auto after = std::ranges::upper_bound(points, probability, {}, &Point::probability);
  const Point& right = *after;
  const Point& left = *(after - 1);
  return left.deviation + (right.deviation - left.deviation) * (probability - left.probability) /
                              (right.probability - left.probability);
}

class TableText {
 public:
  TableText(const ConfigNode& contents, std::string_view name, Problems& problems)
      : contents_(contents), name_(name), problems_(problems) {}

  std::vector<Point> read() {
    std::string_view text = contents_.text;
    for (line_ = 1; !text.empty(); ++line_) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      read_line(text.substr(0, std::min(end, text.find('#'))));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (!values_.empty() && !points_.empty())
      complain("both whole numbers and rows of two", "one of the two forms");
    for (std::size_t index = 0; index < values_.size(); ++index)
      points_.push_back({(static_cast<double>(index) + 0.5) / static_cast<double>(values_.size()),
                         values_[index] / 8192.0});
    check();
    return points_;
  }

 private:
  void complain(const std::string& found, std::string allowed) {
    problems_.push_back(
        problem_at(contents_.mark, fmt::format("{}: {}", name_, found), std::move(allowed)));
  }

  bool number(std::string_view word, double& value) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error == std::errc{} && end == word.data() + word.size())
      return true;
    complain(fmt::format("line {}: found {}", line_, in_quotes(word)), "a number");
    return false;
  }

  static std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos)
      return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
  }

  void read_line(std::string_view line) {
    line = trimmed(line);
    if (const std::size_t comma = line.find(','); comma != std::string_view::npos) {
      const std::string_view first = trimmed(line.substr(0, comma));
      if (points_.empty() && !first.empty() && (first[0] | 0x20) >= 'a' && (first[0] | 0x20) <= 'z')
        return;  // a line of column names
      Point point;
      if (number(first, point.probability) &&
          number(trimmed(line.substr(comma + 1)), point.deviation))
        points_.push_back(point);
      return;
    }
    while (!line.empty()) {
      const std::string_view word = line.substr(0, line.find_first_of(" \t"));
      double value = 0;
      if (!number(word, value))
        return;
      values_.push_back(value);
      line = trimmed(line.substr(word.size()));
    }
  }

  void check() {
    if (points_.size() < 2)
      complain(fmt::format("{} values", points_.size()), "at least two");
    for (std::size_t index = 0; index < points_.size(); ++index) {
      const Point& point = points_[index];
      if (!(point.probability >= 0 && point.probability <= 1))
        complain(fmt::format("a probability of {:g}", point.probability), "0 to 1");
      if (!(point.deviation >= -1e6 && point.deviation <= 1e6))
        complain(fmt::format("a deviation of {:g}", point.deviation), "-1e6 to 1e6");
      if (index > 0 && !(point.deviation >= points_[index - 1].deviation &&
                         point.probability > points_[index - 1].probability)) {
        complain("values that fall", "ascending values");
        return;
      }
    }
  }

  const ConfigNode& contents_;
  std::string_view name_;
  Problems& problems_;
  std::size_t line_ = 0;
  std::vector<double> values_;
  std::vector<Point> points_;
};

}  // namespace

std::optional<Quantile> quantile_of_text(const ConfigNode& contents, std::string_view name,
                                         Problems& problems) {
  const std::size_t problems_before = problems.size();
  std::vector<Point> points = TableText(contents, name, problems).read();
  if (problems.size() != problems_before)
    return std::nullopt;
  return make_quantile([points = std::move(points)](const Tail& tail) {
    return interpolate(points, tail.upper ? 1 - tail.probability : tail.probability);
  });
}

}  // namespace faultline
