// Threshold of the soft top-k mask (arXiv 2302.01425): sum clip((x - tau) / l, 0, 1)^(q-1) = k.
#ifndef FENCHEL_MASK_CUH
#define FENCHEL_MASK_CUH

#include "root.cuh"

namespace fenchel {

// Excess sum y - k of a row at threshold pivot + offset, and its derivative in the offset. A zero width
// gives the hard step: 0/0 is off.
template <class T>
struct MaskLaw : Additive {
  const T* x;
  int n;
  double k, width, q, pivot;

  __device__ MaskLaw(const T* x_, int n_, const T* params, double pivot_)
      : x(x_), n(n_), k(params[0]), width(params[1]), q(params[2]), pivot(pivot_) {}

  // Where entry i lies between the threshold (0) and saturation (1).
  __device__ double height(int i, double offset) const {
    return ((static_cast<double>(x[i]) - pivot) - offset) / width;
  }
  __device__ double share(int i, double offset) const {
    const double u = height(i, offset);
    return u > 0.0 ? (u < 1.0 ? power(u, q - 1.0) : 1.0) : 0.0;
  }
  // h = d share / d x on the free entries, 0 elsewhere.
  __device__ double slope(int i, double offset) const {
    const double u = height(i, offset);
    return u > 0.0 && u < 1.0 ? (q - 1.0) / width * power(u, q - 2.0) : 0.0;
  }
  __device__ Slope operator()(double offset) const {
    double total[2] = {0.0, 0.0};
    for (int i = thread(); i < n; i += threads()) {
      const double u = height(i, offset);
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

// Middle of the offsets that make the mask hard, or the offset itself where none does. The root splits the
// row at half a share; the mask is hard exactly when the k upper entries clear the rest by the width.
// (Testing for free entries instead fails for q > 2: shares below rounding hide u up to 1e-5.)
template <class T>
__device__ double middle_of_gap(const MaskLaw<T>& law, double offset) {
  double extreme[2] = {-infinity(), -infinity()}, count[1] = {0.0};  // largest lower, -smallest upper
  for (int i = thread(); i < law.n; i += threads()) {
    const double v = static_cast<double>(law.x[i]) - law.pivot;
    if (law.share(i, offset) >= 0.5) {
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
  return hard ? 0.5 * (upper - law.width + lower) : offset;
}

template <class T>
__device__ Threshold mask_root(const Survey& row, const T* x, int n, const T* params) {
  const MaskLaw<T> law(x, n, params, row.largest);
  if (row.nan || is_nan(law.k + law.width + law.q)) return {not_a_number(), 0.0};
  if (law.k <= 0.0) return {infinity(), 0.0};
  if (row.finite == 0.0) return {0.0, 0.0};
  if (law.k >= row.finite + row.infinite) return {row.smallest, -law.width};
  if (law.k <= row.infinite) return {row.largest, 0.0};
  const double low = (row.smallest - row.largest) - law.width;
  const double start = low * (law.k / static_cast<double>(n));
  const double offset = decreasing_root(law, low, 0.0, start, larger(1.0, law.k));
  return {row.largest, law.k == floor(law.k) ? middle_of_gap(law, offset) : offset};
}

template <class T>
__device__ Threshold mask_root(const T* x, int n, const T* params) {
  return mask_root(survey(x, n), x, n, params);
}

}  // namespace fenchel

#endif
