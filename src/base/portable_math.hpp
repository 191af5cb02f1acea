// Logarithms, exponentials and the like from the basic operations of IEEE 754 only, which are
// rounded alike everywhere: the C library's own differ in the last bit between CPUs, and tables
// that decide fates must not. Good to some 10⁻¹⁵, slow, for tables and not for packets.
#pragma once

namespace faultline {

/// ln x, x > 0.
double portable_log(double x);
/// ln(1 + x), x > −1, exact also for small x.
double portable_log1p(double x);
/// eˣ; 0 below −700, clamped at e^700.
double portable_exp(double x);
/// x^y, x > 0.
double portable_pow(double x, double y);
/// ln Γ(x), x > 0. Lanczos's approximation (SIAM J. Numer. Anal. B 1, 1964), g = 7.
double portable_log_gamma(double x);
/// P(a, x), the regularised lower incomplete gamma function, and its complement Q = 1 − P.
/// Abramowitz & Stegun 6.5.29 and 6.5.31. a > 0, x ≥ 0.
struct GammaTails {
  double lower = 0;
  double upper = 0;
};
GammaTails portable_gamma_tails(double a, double x);

/// 1 − Φ(x), the upper tail of the standard normal law, to full relative precision.
double normal_upper_tail(double x);
/// The x with Φ(x) = p for 0 < p ≤ 1/2: Wichura, "Algorithm AS 241", Appl. Statist. 37 (1988).
double normal_lower_quantile(double p);

}  // namespace faultline
