// Values between two values.
#include "policy/ramp.hpp"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/units.hpp"

namespace faultline {
namespace {

using Parser = std::optional<std::uint64_t> (*)(std::string_view);

struct Number {
  double value = 0;
  bool whole = false;  ///< written without a fraction
  std::string_view unit;
};

std::optional<Number> number_of(std::string_view text) {
  Number number;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number.value);
  if (read.ec != std::errc{})
    return std::nullopt;
  number.unit = std::string_view(read.ptr, static_cast<std::size_t>(end - read.ptr));
  const std::string_view digits = text.substr(0, text.size() - number.unit.size());
  number.whole = digits.find_first_of(".eE") == std::string_view::npos;
  return number;
}

/// Integers of one quantity, in its smallest unit.
std::optional<std::string> whole_between(Parser parse, std::string_view unit, std::string_view from,
                                         std::string_view to, double part) {
  const auto first = parse(from);
  const auto last = parse(to);
  if (!first || !last)
    return std::nullopt;
  const double value = static_cast<double>(*first) +
                       (static_cast<double>(*last) - static_cast<double>(*first)) * part;
  return fmt::format("{}{}", static_cast<std::uint64_t>(std::llround(value)), unit);
}

}  // namespace

std::optional<std::string> value_between(std::string_view from, std::string_view to,
                                         std::uint64_t step, std::uint64_t steps) {
  if (from == to)
    return std::string(to);
  const double part = static_cast<double>(2 * step + 1) / static_cast<double>(2 * steps);
  struct Quantity {
    Parser parse;
    std::string_view unit;
  };
  for (const Quantity& quantity :
       {Quantity{parse_duration_ns, "ns"}, Quantity{parse_rate_bps, "bit"},
        Quantity{parse_size_bytes, "B"}})
    if (auto value = whole_between(quantity.parse, quantity.unit, from, to, part))
      return value;
  const auto first = number_of(from);
  const auto last = number_of(to);
  if (!first || !last || first->unit != last->unit)
    return std::nullopt;
  const double value = first->value + (last->value - first->value) * part;
  const bool rounds = first->whole && last->whole && first->unit != "%";
  return rounds ? fmt::format("{}{}", std::llround(value), first->unit)
                : fmt::format("{:.10g}{}", value, first->unit);
}

}  // namespace faultline
