// Laws of jitter as tables: a deviation from `time` in units of `jitter`, with 32 binary places,
// for a uniform 64-bit number, or for a standard normal one. Built once, of basic IEEE operations
// only; a look-up is whole numbers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/config.hpp"

namespace faultline {

/// A probability given by the nearer tail, so that both tails are exact.
struct Tail {
  double probability = 0.5;  ///< 0 < p ≤ 1/2
  bool upper = false;        ///< 1 − probability is meant
};

/// F⁻¹ of a law, in units of `jitter` from `time`. Asked while a rule is compiled, never later.
class QuantileFunction {
 public:
  virtual ~QuantileFunction() = default;
  virtual double at(const Tail& tail) const = 0;
};
using Quantile = std::shared_ptr<const QuantileFunction>;

/// A deviation in units of jitter, times 2^32.
using Deviation = std::int64_t;
inline constexpr double kDeviationOne = 4294967296.0;

/// F⁻¹(u/2^64): octaves towards both tails, each in 64 steps, linear in between, down to 2^-40.
class QuantileTable {
 public:
  explicit QuantileTable(const QuantileFunction& quantile);
  Deviation at(std::uint64_t uniform) const noexcept;
  Deviation least() const noexcept { return sides_[0].back(); }
  Deviation most() const noexcept { return sides_[1].back(); }

 private:
  static constexpr int kOctaves = 40;
  static constexpr int kSteps = 64;
  /// Values at the boundaries from u = 1/2 outwards.
  using Side = std::array<Deviation, kOctaves * kSteps + 1>;
  std::array<Side, 2> sides_;  ///< below 1/2, and above
};

/// F⁻¹(Φ(x)) for x in [−8, 8], in steps of 2^-8, linear in between.
class GaussianTable {
 public:
  explicit GaussianTable(const QuantileFunction& quantile);
  /// x outside counts as the nearer end.
  Deviation at(double x) const noexcept;

 private:
  static constexpr int kReach = 8;
  static constexpr int kStepsAUnit = 256;
  std::array<Deviation, 2 * kReach * kStepsAUnit + 1> values_;
};

/// Φ⁻¹ of the middle of the 2^-52 that the uniform lies in.
double standard_normal(std::uint64_t uniform) noexcept;

enum class Law : std::uint8_t {
  kConstant,
  kUniform,
  kNormal,
  kExponential,
  kGamma,
  kLognormal,
  kWeibull,
  kPareto,
  kParetonormal,
  kTable,
};

/// The words of `distribution:`, in the order of Law.
const std::vector<std::string_view>& law_names();
bool has_shape(Law law);
/// Laws whose default spacing and range `order: keep` cannot bound without `max`.
bool is_heavy(Law law);
/// Range of `shape` that a law takes.
struct ShapeRange {
  double minimum = 0;
  double maximum = 0;
};
ShapeRange shape_range(Law law);
/// How many `jitter` the knots of a field with this law stand apart by default.
double default_spacing(Law law, double shape);

/// `shape` is within shape_range. Not for kTable.
Quantile quantile_of(Law law, double shape);

/// A table file's text: tc-netem's `.dist` (whole numbers, 8192 a standard deviation, ascending) or
/// rows `probability,deviation`. Nothing, and what is wrong, otherwise.
std::optional<Quantile> quantile_of_text(const ConfigNode& contents, std::string_view name,
                                         Problems& problems);

}  // namespace faultline
