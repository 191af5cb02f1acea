// Series and rational approximations, each with its source.
#include "base/portable_math.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace faultline {
namespace {

// ln 2 in two parts, the first with trailing zeros, so that k · kLn2High is exact (fdlibm's way).
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;
constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kSqrtTwoPi = 2.50662827463100050242;
constexpr double kLogSqrtTwoPi = 0.91893853320467274178;

/// 2^k · x for a normal result.
double scaled(double x, int k) {
  return x * std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52);
}

template <std::size_t N>
double polynomial(const std::array<double, N>& coefficients, double x) {
  double sum = coefficients[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

}  // namespace

double portable_log(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1022;
  double mantissa = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFF) | 0x3FE0000000000000);
  if (mantissa < kSqrtHalf) {
    mantissa *= 2;
    --exponent;
  }
  // ln m = 2 artanh((m − 1)/(m + 1)).
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double series = 0;
  for (int k = 23; k >= 3; k -= 2) series = (series + 1.0 / k) * square;
  const double fraction = 2 * (s + s * series);
  return exponent * kLn2High + (fraction + exponent * kLn2Low);
}

double portable_log1p(double x) {
  const double sum = 1 + x;
  if (sum == 1)
    return x;
  return portable_log(sum) * (x / (sum - 1));  // Kahan's correction of the rounded sum
}

double portable_exp(double x) {
  if (x < -700)
    return 0;
  if (x > 700)
    x = 700;
  const double quotient = x / (kLn2High + kLn2Low);
  const int k = static_cast<int>(quotient < 0 ? quotient - 0.5 : quotient + 0.5);
  const double rest = (x - k * kLn2High) - k * kLn2Low;
  double sum = 1;
  for (int n = 16; n > 0; --n) sum = 1 + sum * rest / n;
  return scaled(sum, k);
}

double portable_pow(double x, double y) {
  return portable_exp(y * portable_log(x));
}

double portable_log_gamma(double x) {
  constexpr std::array<double, 9> kLanczos{
      0.99999999999980993,  676.5203681218851,     -1259.1392167224028,
      771.32342877765313,   -176.61502916214059,   12.507343278686905,
      -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7};
  if (x < 0.5)  // Γ(x) = Γ(x + 1)/x
    return portable_log_gamma(x + 1) - portable_log(x);
  const double z = x - 1;
  double sum = kLanczos[0];
  for (std::size_t i = 1; i < kLanczos.size(); ++i)
    sum += kLanczos[i] / (z + static_cast<double>(i));
  const double t = z + 7.5;
  return kLogSqrtTwoPi + (z + 0.5) * portable_log(t) - t + portable_log(sum);
}

GammaTails portable_gamma_tails(double a, double x) {
  if (x <= 0)
    return {0, 1};
  const double front = portable_exp(a * portable_log(x) - x - portable_log_gamma(a));
  if (x < a + 1) {  // 6.5.29: a power series
    double term = 1 / a;
    double sum = term;
    for (double n = a + 1; term > sum * 1e-17; ++n) {
      term *= x / n;
      sum += term;
    }
    const double lower = front * sum;
    return {lower, 1 - lower};
  }
  // 6.5.31: a continued fraction, by Lentz's method.
  double b = x + 1 - a;
  double c = 1e300;
  double d = 1 / b;
  double fraction = d;
  for (int i = 1; i < 10'000; ++i) {
    const double numerator = -i * (i - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    const double factor = d * c;
    fraction *= factor;
    if (factor - 1 < 1e-16 && 1 - factor < 1e-16)
      break;
  }
  const double upper = front * fraction;
  return {1 - upper, upper};
}

double normal_upper_tail(double x) {
  if (x < 0)
    return 1 - normal_upper_tail(-x);
  const double density = portable_exp(-x * x / 2) / kSqrtTwoPi;
  if (x < 2) {
    // G. Marsaglia, "Evaluating the normal distribution", J. Stat. Software 11 (2004).
    double term = x;
    double sum = x;
    for (int i = 3; term > sum * 1e-17; i += 2) {
      term *= x * x / i;
      sum += term;
    }
    return 0.5 - density * sum;
  }
  // Laplace's continued fraction (Abramowitz & Stegun 26.2.14).
  double fraction = x;
  for (int i = 200; i > 0; --i) fraction = x + i / fraction;
  return density / fraction;
}

double normal_lower_quantile(double p) {
  constexpr std::array<double, 8> kA{3.3871328727963666080e0,  1.3314166789178437745e+2,
                                     1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                     4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                     3.3430575583588128105e+4, 2.5090809287301226727e+3};
  constexpr std::array<double, 8> kB{1.0,
                                     4.2313330701600911252e+1,
                                     6.8718700749205790830e+2,
                                     5.3941960214247511077e+3,
                                     2.1213794301586595867e+4,
                                     3.9307895800092710610e+4,
                                     2.8729085735721942674e+4,
                                     5.2264952788528545610e+3};
  constexpr std::array<double, 8> kC{1.42343711074968357734e0,  4.63033784615654529590e0,
                                     5.76949722146069140550e0,  3.64784832476320460504e0,
                                     1.27045825245236838258e0,  2.41780725177450611770e-1,
                                     2.27238449892691845833e-2, 7.74545014278341407640e-4};
  constexpr std::array<double, 8> kD{1.0,
                                     2.05319162663775882187e0,
                                     1.67638483018380384940e0,
                                     6.89767334985100004550e-1,
                                     1.48103976427480074590e-1,
                                     1.51986665636164571966e-2,
                                     5.47593808499534494600e-4,
                                     1.05075007164441684324e-9};
  constexpr std::array<double, 8> kE{6.65790464350110377720e0,  5.46378491116411436990e0,
                                     1.78482653991729133580e0,  2.96560571828504891230e-1,
                                     2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                     2.71155556874348757815e-5, 2.01033439929228813265e-7};
  constexpr std::array<double, 8> kF{1.0,
                                     5.99832206555887937690e-1,
                                     1.36929880922735805310e-1,
                                     1.48753612908506148525e-2,
                                     7.86869131145613259100e-4,
                                     1.84631831751005468180e-5,
                                     1.42151175831644588870e-7,
                                     2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (q >= -0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(kA, r) / polynomial(kB, r);
  }
  const double r = std::sqrt(-portable_log(p));
  if (r <= 5)
    return -polynomial(kC, r - 1.6) / polynomial(kD, r - 1.6);
  return -polynomial(kE, r - 5) / polynomial(kF, r - 5);
}

}  // namespace faultline
