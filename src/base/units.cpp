// Exact arithmetic from a written decimal to a whole number of base units, and the words in which a
// wrong one is refused. No floating point decides anything, and no key's meaning is known here.
#include "base/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

#include "base/int128.hpp"

namespace faultline {
namespace {

/// More significant digits than this are refused: it keeps every product below 2^128, and no
/// quantity here needs more (2^64 has 20 digits; 1 byte as a fraction of a TiB has 28).
constexpr int kSignificantDigitsMax = 30;
constexpr int kExponentMax = 1000;

/// mantissa * 10^exponent. A mantissa of zero has exponent zero, any other is no multiple of ten.
struct Decimal {
  Uint128 mantissa = 0;
  int exponent = 0;
};

struct DecimalText {
  Decimal value;
  std::string_view rest;  ///< what follows the number: its unit
};

enum class Exponents { kRefuse, kAccept };

bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

std::size_t count_digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) -
                                  text.begin());
}

/// Appends digits to a mantissa. Zeros wait until a digit follows them, so that "1.000" and
/// "1000000000000000000000000000000000" cost one significant digit.
class MantissaBuilder {
 public:
  bool append(std::string_view digits) {
    for (const char digit : digits) {
      if (digit == '0') {
        ++waiting_zeros_;
        continue;
      }
      const bool first = mantissa_ == 0;
      significant_digits_ += first ? 1 : waiting_zeros_ + 1;
      if (significant_digits_ > kSignificantDigitsMax) {
        return false;
      }
      for (int zero = 0; !first && zero < waiting_zeros_; ++zero) {
        mantissa_ *= 10;
      }
      mantissa_ = mantissa_ * 10 + static_cast<unsigned>(digit - '0');
      waiting_zeros_ = 0;
    }
    return true;
  }

  Decimal finish(int fraction_digits, int exponent) const {
    if (mantissa_ == 0) {
      return {};
    }
    return {.mantissa = mantissa_, .exponent = exponent + waiting_zeros_ - fraction_digits};
  }

 private:
  Uint128 mantissa_ = 0;
  int waiting_zeros_ = 0;
  int significant_digits_ = 0;
};

struct ExponentText {
  int value = 0;
  std::size_t length = 0;  ///< 0: no exponent stands here
};

/// "e-7" at the beginning of `text`. Out of range reads as "no exponent", which then is no unit.
ExponentText read_exponent(std::string_view text) {
  if (text.empty() || (text[0] != 'e' && text[0] != 'E')) {
    return {};
  }
  const bool has_sign = text.size() > 1 && (text[1] == '-' || text[1] == '+');
  const std::size_t digits_begin = has_sign ? 2 : 1;
  const std::string_view digits = text.substr(digits_begin);
  const std::size_t digit_count = count_digits(digits);
  int value = 0;
  for (const char digit : digits.substr(0, digit_count)) {
    value = value * 10 + (digit - '0');
    if (value > kExponentMax) {
      return {};
    }
  }
  if (digit_count == 0) {
    return {};
  }
  return {.value = has_sign && text[1] == '-' ? -value : value,
          .length = digits_begin + digit_count};
}

/// digits [ "." digits ] [ exponent ], then whatever is left. Nothing when no number begins there.
std::optional<DecimalText> read_decimal(std::string_view text, Exponents exponents) {
  const std::size_t whole_digits = count_digits(text);
  MantissaBuilder mantissa;
  if (whole_digits == 0 || !mantissa.append(text.substr(0, whole_digits))) {
    return std::nullopt;
  }
  std::string_view rest = text.substr(whole_digits);
  std::size_t fraction_digits = 0;
  if (rest.starts_with('.')) {
    fraction_digits = count_digits(rest.substr(1));
    if (fraction_digits == 0 || !mantissa.append(rest.substr(1, fraction_digits))) {
      return std::nullopt;
    }
    rest.remove_prefix(1 + fraction_digits);
  }
  ExponentText exponent;
  if (exponents == Exponents::kAccept) {
    exponent = read_exponent(rest);
    rest.remove_prefix(exponent.length);
  }
  return DecimalText{.value = mantissa.finish(static_cast<int>(fraction_digits), exponent.value),
                     .rest = rest};
}

enum class Fault {
  kNone,
  kNotANumber,
  kNegative,
  kNoUnit,
  kUnknownUnit,
  kNotWhole,
  kOutOfRange,
};

struct Amount {
  Fault fault = Fault::kNone;
  std::uint64_t value = 0;
};

/// decimal * factor, when that is a whole number of 64 bits. A negative power of ten is cancelled
/// prime by prime before anything is multiplied, so nothing overflows that would have fitted.
Amount scale(Decimal decimal, std::uint64_t factor) {
  for (int power = decimal.exponent; power < 0; ++power) {
    for (const unsigned prime : {2U, 5U}) {
      if (factor % prime == 0) {
        factor /= prime;
      } else if (decimal.mantissa % prime == 0) {
        decimal.mantissa /= prime;
      } else {
        return {.fault = Fault::kNotWhole};
      }
    }
  }
  Uint128 product = 0;
  bool overflow = __builtin_mul_overflow(decimal.mantissa, Uint128{factor}, &product);
  for (int power = decimal.exponent; power > 0 && product <= UINT64_MAX; --power) {
    product *= 10;
  }
  overflow = overflow || product > UINT64_MAX;
  if (overflow) {
    return {.fault = Fault::kOutOfRange};
  }
  return {.value = static_cast<std::uint64_t>(product)};
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

/// One kind of quantity: how it is written, and how it is named in messages.
struct Quantity {
  std::string_view noun;        ///< "a duration"
  std::string_view example;     ///< "such as 40ms (ns us ms s m h d)"
  std::string_view whole;       ///< "a whole number of nanoseconds"
  std::span<const Unit> units;  ///< ascending
  Exponents exponents = Exponents::kRefuse;
  enum class BareNumber { kRefuse, kZeroOnly, kAccept } bare_number = BareNumber::kRefuse;
};

constexpr std::uint64_t kNsPerMinute = 60 * kNsPerSecond;
constexpr std::uint64_t kNsPerHour = 60 * kNsPerMinute;
constexpr std::uint64_t kNsPerDay = 24 * kNsPerHour;
constexpr std::uint64_t kKilo = 1'000;
constexpr std::uint64_t kMega = 1'000 * kKilo;
constexpr std::uint64_t kGiga = 1'000 * kMega;
constexpr std::uint64_t kTera = 1'000 * kGiga;
constexpr std::uint64_t kKibi = 1'024;
constexpr std::uint64_t kMebi = 1'024 * kKibi;
constexpr std::uint64_t kGibi = 1'024 * kMebi;
constexpr std::uint64_t kTebi = 1'024 * kGibi;

constexpr auto kDurationUnits = std::to_array<Unit>({{"ns", 1},
                                                     {"us", kNsPerUs},
                                                     {"ms", kNsPerMs},
                                                     {"s", kNsPerSecond},
                                                     {"m", kNsPerMinute},
                                                     {"h", kNsPerHour},
                                                     {"d", kNsPerDay}});
constexpr auto kRateUnits = std::to_array<Unit>(
    {{"bit", 1}, {"kbit", kKilo}, {"Mbit", kMega}, {"Gbit", kGiga}, {"Tbit", kTera}});
constexpr auto kSizeUnits = std::to_array<Unit>({{"B", 1},
                                                 {"KB", kKilo},
                                                 {"KiB", kKibi},
                                                 {"MB", kMega},
                                                 {"MiB", kMebi},
                                                 {"GB", kGiga},
                                                 {"GiB", kGibi},
                                                 {"TB", kTera},
                                                 {"TiB", kTebi}});
constexpr auto kCountUnits =
    std::to_array<Unit>({{"", 1}, {"k", kKilo}, {"M", kMega}, {"G", kGiga}});

constexpr Quantity kDuration = {.noun = "a duration",
                                .example = "such as 40ms (ns us ms s m h d)",
                                .whole = "a whole number of nanoseconds",
                                .units = kDurationUnits,
                                .bare_number = Quantity::BareNumber::kZeroOnly};
constexpr Quantity kRate = {.noun = "a rate",
                            .example = "such as 10Mbit (bit kbit Mbit Gbit Tbit, per second)",
                            .whole = "a whole number of bits per second",
                            .units = kRateUnits};
constexpr Quantity kSize = {.noun = "a size",
                            .example = "such as 64KiB (B KB KiB MB MiB GB GiB TB TiB)",
                            .whole = "a whole number of bytes",
                            .units = kSizeUnits};
constexpr Quantity kCount = {.noun = "a count",
                             .example = "such as 10, 5k or 1M (k M G)",
                             .whole = "a whole number",
                             .units = kCountUnits,
                             .exponents = Exponents::kAccept,
                             .bare_number = Quantity::BareNumber::kAccept};

Amount parse_amount(std::string_view text, const Quantity& quantity) {
  if (text.size() > 1 && text[0] == '-' && is_digit(text[1])) {
    return {.fault = Fault::kNegative};
  }
  const auto decimal = read_decimal(text, quantity.exponents);
  if (!decimal) {
    return {.fault = Fault::kNotANumber};
  }
  if (decimal->rest.empty()) {
    switch (quantity.bare_number) {
      case Quantity::BareNumber::kAccept:
        return scale(decimal->value, 1);
      case Quantity::BareNumber::kZeroOnly:
        return {.fault = decimal->value.mantissa == 0 ? Fault::kNone : Fault::kNoUnit};
      case Quantity::BareNumber::kRefuse:
        return {.fault = Fault::kNoUnit};
    }
  }
  for (const Unit& unit : quantity.units) {
    if (unit.name == decimal->rest) {
      return scale(decimal->value, unit.factor);
    }
  }
  return {.fault = Fault::kUnknownUnit};
}

std::optional<std::uint64_t> value_of(const Amount& amount) {
  if (amount.fault != Fault::kNone) {
    return std::nullopt;
  }
  return amount.value;
}

char to_lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a')
                                              : character;
}

bool equal_without_case(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char one, char other) { return to_lower(one) == to_lower(other); });
}

/// The same number with the unit that differs only in case ("10mbit" meant "10Mbit").
std::string suggest_unit(std::string_view text, const Quantity& quantity) {
  const auto decimal = read_decimal(text, quantity.exponents);
  if (!decimal) {
    return {};
  }
  for (const Unit& unit : quantity.units) {
    if (equal_without_case(unit.name, decimal->rest)) {
      return fmt::format("{}{}", text.substr(0, text.size() - decimal->rest.size()), unit.name);
    }
  }
  return {};
}

/// The amount in the largest unit of which it is a whole number.
std::string in_largest_unit(std::uint64_t amount, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (amount != 0 && amount % unit.factor == 0) {
      best = &unit;
    }
  }
  return fmt::format("{}{}", amount / best->factor, best->name);
}

std::string allowed_range(const Quantity& quantity, Bounds bounds) {
  const std::string minimum = in_largest_unit(bounds.minimum, quantity.units);
  const std::string maximum = in_largest_unit(bounds.maximum, quantity.units);
  if (bounds.maximum == UINT64_MAX && bounds.minimum != 0) {
    return fmt::format("{} of at least {}", quantity.noun, minimum);
  }
  if (bounds.minimum == 0) {
    return fmt::format("{} of at most {}", quantity.noun, maximum);
  }
  return fmt::format("{} between {} and {}", quantity.noun, minimum, maximum);
}

Problem amount_problem(const ConfigNode& node, const Quantity& quantity, Bounds bounds,
                       Fault fault) {
  const std::string found = describe(node);
  const std::string allowed = fmt::format("{} {}", quantity.noun, quantity.example);
  switch (fault) {
    case Fault::kNone:
    case Fault::kOutOfRange:
      return problem_at(node.mark, fmt::format("{} is out of range", found),
                        allowed_range(quantity, bounds));
    case Fault::kNotANumber:
      break;
    case Fault::kNegative:
      return problem_at(node.mark, fmt::format("{} is negative", found), allowed);
    case Fault::kNoUnit:
      return problem_at(node.mark, fmt::format("{} has no unit", found), allowed);
    case Fault::kUnknownUnit:
      return problem_at(node.mark, fmt::format("{} has an unknown unit", found), allowed,
                        suggest_unit(node.text, quantity));
    case Fault::kNotWhole:
      return problem_at(node.mark, fmt::format("{} is not {}", found, quantity.whole), allowed);
  }
  return problem_at(node.mark, fmt::format("found {}", found), allowed);
}

std::optional<std::uint64_t> read_amount(const ConfigNode& node, const Quantity& quantity,
                                         Bounds bounds, Problems& problems) {
  // Quotes are accepted: JSON has no other way to write "40ms".
  const Amount amount =
      node.is_scalar() ? parse_amount(node.text, quantity) : Amount{.fault = Fault::kNotANumber};
  const bool in_range = amount.value >= bounds.minimum && amount.value <= bounds.maximum;
  if (amount.fault != Fault::kNone || !in_range) {
    problems.push_back(amount_problem(node, quantity, bounds, amount.fault));
    return std::nullopt;
  }
  return amount.value;
}

Threshold to_threshold(Uint128 share) {
  return {.high = static_cast<std::uint64_t>(share >> 32),
          .low = static_cast<std::uint32_t>(share & UINT32_MAX)};
}

/// floor(mantissa / 10^places * 2^64) for a decimal below one. As 10^k = 2^k * 5^k, this is
/// floor(mantissa * 2^(64-k) / 5^k), done by long division one bit at a time.
Uint128 share_of_2_64(Uint128 mantissa, int places) {
  // 5^54 < 2^126, so a doubled remainder fits. Beyond it the value is below 10^(30-55) < 2^-64.
  constexpr int kPlacesMax = 54;
  if (places > kPlacesMax) {
    return 0;
  }
  Uint128 divisor = 1;
  for (int place = 0; place < places; ++place) {
    divisor *= 5;
  }
  Uint128 share = mantissa / divisor;
  Uint128 remainder = mantissa % divisor;
  for (int bit = places; bit < 64; ++bit) {
    remainder *= 2;
    share *= 2;
    if (remainder >= divisor) {
      remainder -= divisor;
      share += 1;
    }
  }
  return share;
}

bool is_below_one(const Decimal& decimal) {
  if (decimal.mantissa == 0) {
    return true;
  }
  Uint128 one = 1;
  for (int place = decimal.exponent; place < 0; ++place) {
    one *= 10;
    if (decimal.mantissa < one) {
      return true;
    }
  }
  return false;
}

struct Probability {
  Fault fault = Fault::kNone;
  Threshold value;
};

Probability parse_share(std::string_view text) {
  if (text.size() > 1 && text[0] == '-' && is_digit(text[1])) {
    return {.fault = Fault::kNegative};
  }
  const auto number = read_decimal(text, Exponents::kAccept);
  if (!number || (!number->rest.empty() && number->rest != "%")) {
    return {.fault = Fault::kNotANumber};
  }
  Decimal share = number->value;
  if (share.mantissa != 0 && !number->rest.empty()) {
    share.exponent -= 2;
  }
  if (share.mantissa == 1 && share.exponent == 0) {
    return {.value = Threshold::always()};
  }
  if (!is_below_one(share)) {
    return {.fault = Fault::kOutOfRange};
  }
  return {.value = to_threshold(share_of_2_64(share.mantissa, -share.exponent))};
}

}  // namespace

std::optional<std::uint64_t> parse_duration_ns(std::string_view text) {
  return value_of(parse_amount(text, kDuration));
}

std::optional<std::uint64_t> parse_rate_bps(std::string_view text) {
  return value_of(parse_amount(text, kRate));
}

std::optional<std::uint64_t> parse_size_bytes(std::string_view text) {
  return value_of(parse_amount(text, kSize));
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  return value_of(parse_amount(text, kCount));
}

std::optional<Threshold> parse_probability(std::string_view text) {
  const Probability probability = parse_share(text);
  if (probability.fault != Fault::kNone) {
    return std::nullopt;
  }
  return probability.value;
}

std::optional<std::uint64_t> read_duration_ns(const ConfigNode& node, Bounds bounds,
                                              Problems& problems) {
  if (bounds.maximum == UINT64_MAX)
    bounds.maximum = kDurationMaxNs;
  return read_amount(node, kDuration, bounds, problems);
}

std::optional<std::uint64_t> read_rate_bps(const ConfigNode& node, Bounds bounds,
                                           Problems& problems) {
  return read_amount(node, kRate, bounds, problems);
}

std::optional<std::uint64_t> read_size_bytes(const ConfigNode& node, Bounds bounds,
                                             Problems& problems) {
  return read_amount(node, kSize, bounds, problems);
}

std::optional<std::uint64_t> read_count(const ConfigNode& node, Bounds bounds, Problems& problems) {
  return read_amount(node, kCount, bounds, problems);
}

std::optional<Threshold> read_probability(const ConfigNode& node, Problems& problems) {
  const Probability probability =
      node.is_scalar() ? parse_share(node.text) : Probability{.fault = Fault::kNotANumber};
  if (probability.fault == Fault::kNone) {
    return probability.value;
  }
  const std::string found = describe(node);
  problems.push_back(problem_at(node.mark,
                                probability.fault == Fault::kNotANumber
                                    ? fmt::format("found {}", found)
                                    : fmt::format("{} is out of range", found),
                                "a probability between 0% and 100%, such as 1%, 0.01 or 1e-7"));
  return std::nullopt;
}

/// Thousandths are written as decimals of the largest unit up to seconds ("40.123ms", "1.5s");
/// minutes, hours and days only when nothing is left over, since 1/60 has no exact decimal.
std::string format_duration(std::uint64_t duration_ns) {
  if (duration_ns == 0) {
    return "0s";
  }
  if (duration_ns % kNsPerMinute == 0) {
    return in_largest_unit(duration_ns, kDurationUnits);
  }
  Unit unit = kDurationUnits.front();
  for (const Unit& candidate : kDurationUnits) {
    if (candidate.factor <= kNsPerSecond && candidate.factor <= duration_ns) {
      unit = candidate;
    }
  }
  std::string fraction;
  std::uint64_t rest = duration_ns % unit.factor;
  for (std::uint64_t place = unit.factor / 10; rest != 0; place /= 10) {
    fraction.push_back(static_cast<char>('0' + rest / place));
    rest %= place;
  }
  return fmt::format("{}{}{}{}", duration_ns / unit.factor, fraction.empty() ? "" : ".", fraction,
                     unit.name);
}

}  // namespace faultline
