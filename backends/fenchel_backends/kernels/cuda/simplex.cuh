// Thresholds on the simplex: alpha-entmax and normmax.
#ifndef FENCHEL_SIMPLEX_CUH
#define FENCHEL_SIMPLEX_CUH

#include "root.cuh"

namespace fenchel {

// exp_alpha(z) = max(0, 1 + (alpha - 1) z)^(1 / (alpha - 1)), the exponential at alpha = 1. Through
// log1p it is accurate for alpha close to 1 as well.
__device__ inline double exp_alpha(double z, double a) {
  if (a == 0.0) return exp(z);
  const double base = a * z;
  if (!(base > -1.0)) return base != base ? base : 0.0;
  if (a == 1.0) return 1.0 + base;
  if (a == 0.5) return (1.0 + base) * (1.0 + base);
  return exp(log1p(base) / a);
}

template <class T>
struct EntmaxLaw : Additive {
  const T* x;
  int n;
  double a, pivot;  // alpha - 1, largest entry

  __device__ Slope operator()(double offset) const {
    double total[2] = {0.0, 0.0};
    for (int i = thread(); i < n; i += threads()) {
      const double z = (static_cast<double>(x[i]) - pivot) - offset, y = exp_alpha(z, a);
      if (!(y > 0.0)) continue;
      total[0] += y;
      total[1] += a == 1.0 ? 1.0 : y / (1.0 + a * z);  // y^(2 - alpha)
    }
    block_sum(total);
    return {total[0] - 1.0, -total[1]};
  }
};

// Logarithm of sum exp(x - largest).
template <class T>
__device__ double log_sum(const T* x, int n, double largest) {
  double total[1] = {0.0};
  for (int i = thread(); i < n; i += threads()) total[0] += exp(static_cast<double>(x[i]) - largest);
  block_sum(total);
  return log(total[0]);
}

// Rows without an answer of their own: NaN for bad data, +inf where every entry is masked (all get 0),
// -inf where an entry is +inf (no distribution).
__device__ inline bool degenerate(const Survey& row, bool valid, Threshold& t) {
  if (!row.nan && valid && row.infinite == 0.0 && row.finite > 0.0) return false;
  t = {row.nan || !valid ? not_a_number() : (row.infinite > 0.0 ? -infinity() : infinity()), 0.0};
  return true;
}

// t with sum exp_alpha(x - t) = 1. At the largest entry the sum is at least 1; where that entry gets
// 1/m (m candidates) it is at most 1.
template <class T>
__device__ Threshold entmax_root(const T* x, int n, const T* params) {
  const Survey row = survey(x, n);
  const double a = static_cast<double>(params[0]) - 1.0;
  Threshold t;
  if (degenerate(row, a >= 0.0, t)) return t;
  if (a == 0.0) return {row.largest, log_sum(x, n, row.largest)};
  const EntmaxLaw<T> law{{}, x, n, a, row.largest};
  const double high = -expm1(-a * log(row.finite)) / a;
  return {row.largest, decreasing_root(law, 0.0, high, 0.0, 1.0)};
}

template <class T>
struct NormmaxLaw : Additive {
  const T* x;
  int n;
  double exponent, pivot;  // alpha / (alpha - 1), largest entry

  __device__ Slope operator()(double offset) const {
    double total[2] = {0.0, 0.0};
    for (int i = thread(); i < n; i += threads()) {
      const double u = (static_cast<double>(x[i]) - pivot) - offset;
      if (!(u > 0.0)) continue;
      const double slope_share = power(u, exponent - 1.0);
      total[0] += slope_share * u;
      total[1] += slope_share;
    }
    block_sum(total);
    return {total[0] - 1.0, -exponent * total[1]};
  }
};

// tau with sum (x - tau)_+^(alpha / (alpha - 1)) = 1; at alpha = 1 its limit, max x - 1.
template <class T>
__device__ Threshold normmax_root(const T* x, int n, const T* params) {
  const Survey row = survey(x, n);
  const double alpha = static_cast<double>(params[0]);
  Threshold t;
  if (degenerate(row, alpha >= 1.0, t)) return t;
  if (alpha == 1.0) return {row.largest, -1.0};
  const double exponent = is_finite(alpha) ? alpha / (alpha - 1.0) : 1.0;
  const NormmaxLaw<T> law{{}, x, n, exponent, row.largest};
  const double high = -exp(-log(row.finite) / exponent);
  return {row.largest, decreasing_root(law, -1.0, high, -1.0, 1.0)};
}

}  // namespace fenchel

#endif
