// Threshold of the soft top-k mask (arXiv 2302.01425): sum clip((x - tau) / l, 0, 1)^(q-1) = k.
#ifndef FENCHEL_MASK_CUH
#define FENCHEL_MASK_CUH

#include "root.cuh"

namespace fenchel {

// Excess sum y(tau) - k of a row, and its derivative. A zero width gives the hard step: 0/0 is off.
template <class T>
struct MaskLaw : Additive {
  const T* x;
  int n;
  double k, width, q;

  __device__ MaskLaw(const T* x_, int n_, const T* params)
      : x(x_), n(n_), k(params[0]), width(params[1]), q(params[2]) {}

  __device__ double share(double v, double tau) const {
    const double u = (v - tau) / width;
    return u > 0.0 ? (u < 1.0 ? power(u, q - 1.0) : 1.0) : 0.0;
  }
  // h = d share / d v on the free entries, 0 elsewhere.
  __device__ double slope(double v, double tau) const {
    const double u = (v - tau) / width;
    return u > 0.0 && u < 1.0 ? (q - 1.0) / width * power(u, q - 2.0) : 0.0;
  }
  __device__ Slope operator()(double tau) const {
    double total[2] = {0.0, 0.0};
    for (int i = thread(); i < n; i += threads()) {
      const double u = (static_cast<double>(x[i]) - tau) / width;
      if (u >= 1.0) {
        total[0] += 1.0;
      } else if (u > 0.0) {
        const double slope_share = power(u, q - 2.0);
        total[0] += slope_share * u;
        total[1] += slope_share;
      }
    }
    block_sum(total);
    return {total[0] - k, -(q - 1.0) / width * total[1]};
  }
};

// Middle of the thresholds that make the mask hard, or tau itself where none does. The root splits the
// row at half a share; the mask is hard exactly when the k upper entries clear the rest by the width.
// (Testing for free entries instead fails for q > 2: shares below rounding hide u up to 1e-5.)
template <class T>
__device__ double middle_of_gap(const MaskLaw<T>& law, double tau) {
  double extreme[2] = {-infinity(), -infinity()}, count[1] = {0.0};  // largest lower, -smallest upper
  for (int i = thread(); i < law.n; i += threads()) {
    const double v = static_cast<double>(law.x[i]);
    if (law.share(v, tau) >= 0.5) {
      extreme[1] = larger(extreme[1], -v);
      count[0] += 1.0;
    } else {
      extreme[0] = larger(extreme[0], v);
    }
  }
  block_max(extreme);
  block_sum(count);
  const double lower = extreme[0], upper = -extreme[1];
  const bool hard = count[0] == law.k && is_finite(upper - lower) && upper - lower >= law.width;
  return hard ? 0.5 * (upper - law.width + lower) : tau;
}

template <class T>
__device__ double mask_root(const T* x, int n, const T* params) {
  const MaskLaw<T> law(x, n, params);
  const Survey row = survey(x, n);
  if (row.nan || is_nan(law.k + law.width + law.q)) return not_a_number();
  if (law.k <= 0.0) return infinity();
  if (row.finite == 0.0) return 0.0;
  if (law.k >= row.finite + row.infinite) return row.smallest - law.width;
  if (law.k <= row.infinite) return row.largest;
  const double low = row.smallest - law.width, high = row.largest;
  const double start = high - (high - low) * (law.k / static_cast<double>(n));
  const double tau = decreasing_root(law, low, high, start, larger(1.0, law.k));
  return law.k == floor(law.k) ? middle_of_gap(law, tau) : tau;
}

}  // namespace fenchel

#endif
