// Safeguarded Newton on a decreasing function inside a bracket.
#ifndef FENCHEL_ROOT_CUH
#define FENCHEL_ROOT_CUH

#include "block.cuh"

namespace fenchel {

struct Slope {
  double value, slope;
};

// Newton in t itself, bisection at the middle.
struct Additive {
  static __device__ double propose(double t, Slope at) { return t - at.value / at.slope; }
  static __device__ double middle(double low, double high) { return low + 0.5 * (high - low); }
};

// Newton in 1/t, exact where the function is linear in 1/t; bisection on the logarithmic scale,
// since positive roots may lie many orders of magnitude below the upper end.
struct Reciprocal {
  static __device__ double propose(double t, Slope at) {
    return t / (1.0 + at.value / (t * at.slope));
  }
  static __device__ double middle(double low, double high) {
    return high > 4.0 * low && low > 0.0 ? sqrt(low) * sqrt(high) : low + 0.5 * (high - low);
  }
};

// A threshold as a number of the row's own size plus an offset of the size of its differences: rows
// with a large common offset keep their digits as long as (x - pivot) - offset is formed in this order.
struct Threshold {
  double pivot, offset;

  __device__ double sum() const { return pivot + offset; }
  __device__ double below(double v) const { return (v - pivot) - offset; }
};

constexpr double epsilon = 2.220446049250313e-16;
constexpr int max_passes = 256;

// Root of a function that decreases from f(low) >= 0 to f(high) <= 0. Bisects whenever Newton leaves
// the bracket or fails to halve its step, so that the number of passes is bounded. `scale` is the size
// of the terms of f: values below its rounding count as zero. A tiny Newton step alone is no proof
// of convergence (the slope is infinite at the edge of a support when alpha > 2): f must be small too.
template <class F>
__device__ double decreasing_root(const F& f, double low, double high, double start, double scale) {
  double t = clamp(start, low, high);
  double step = high - low, before = step;
  for (int pass = 0; pass < max_passes; ++pass) {
    const Slope at = f(t);
    if (at.value == 0.0) return t;
    if (at.value > 0.0) {
      low = t;
    } else {
      high = t;
    }
    double next = F::propose(t, at);
    const bool tiny = fabs(next - t) <= epsilon * fabs(t);
    if (fabs(at.value) <= (tiny ? 1e-8 : 4.0 * epsilon) * scale) {
      return next >= low && next <= high ? next : t;
    }
    if (!(next > low && next < high && fabs(next - t) <= 0.5 * before)) next = F::middle(low, high);
    if (!(next > low && next < high)) return next;
    before = step;
    step = fabs(next - t);
    t = next;
  }
  return t;
}

// Powers of numbers in [0, 1] or above; the exponents 1, 2 and 3 (p = 2, 3/2, 4/3) are products.
__device__ inline double power(double base, double exponent) {
  if (exponent == 1.0) return base;
  if (exponent == 0.0) return 1.0;
  if (exponent == 2.0) return base * base;
  if (exponent == 3.0) return base * base * base;
  return pow(base, exponent);
}

}  // namespace fenchel

#endif
