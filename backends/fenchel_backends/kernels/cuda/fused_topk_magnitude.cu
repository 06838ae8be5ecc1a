// Soft top-k in magnitude and its pullback. params: k, temperature, p, debias (0 or 1).
#include "magnitude.cuh"

namespace fenchel {

// v with s = v + l v^(p-1): what an entry that is saturated keeps in the raw operator.
struct Saturation : Additive {
  double s, width, p;

  __device__ Slope operator()(double v) const {
    const double grown = width * pow(v, p - 1.0);
    return {s - v - grown, -1.0 - (p - 1.0) * grown / v};
  }
};

__device__ inline double saturated_value(double s, double width, double p) {
  if (!(s > 0.0) || width == 0.0 || !is_finite(s)) return s;
  if (p == 2.0) return s / (1.0 + width);
  const Saturation law{{}, s, width, p};
  // Each term alone bounds v from above, and half of each from below.
  const double high = smaller(s, pow(s / width, 1.0 / (p - 1.0)));
  const double low = smaller(0.5 * s, pow(0.5 * s / width, 1.0 / (p - 1.0)));
  return decreasing_root(law, low, high, high, s);
}

// Value and derivative data of the entries of a row at one threshold.
template <class T>
struct Magnitude {
  MagnitudeLaw<T> law;
  double theta, top;
  bool debias;

  __device__ Magnitude(const MagnitudeLaw<T>& law_, double theta_, bool debias_)
      : law(law_), theta(theta_), top(law_.ceiling(theta_)), debias(debias_) {}
  __device__ bool off(double s) const { return s <= theta; }
  __device__ bool saturated(double s) const { return s > theta && s >= top; }
  __device__ double value(double s) const {
    if (off(s)) return 0.0;
    if (saturated(s)) return debias ? s : saturated_value(s, law.width, law.p);
    const double raw = power((s - theta) / law.width, law.q - 1.0);
    return debias ? s - theta + raw : raw;
  }
  // a = d raw / d s at fixed threshold, on a free entry.
  __device__ double slope(double s) const {
    return (law.q - 1.0) / law.width * power((s - theta) / law.width, law.q - 2.0);
  }
  __device__ double saturated_slope(double s) const {
    if (debias || law.width == 0.0) return 1.0;
    const double v = saturated_value(s, law.width, law.p);
    const double a = (law.q - 1.0) / law.width * power(v, 2.0 - law.p);
    return is_finite(a) ? a / (1.0 + a) : 1.0;
  }
};

template <class T>
__device__ void fused_topk_magnitude(const Frame<T>& frame, const T* x, T* y, T* threshold) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const T *entries = x + frame.offset(row), *params = frame.parameters(row);
    const double theta = magnitude_root(entries, frame.n, params);
    const Magnitude<T> at(MagnitudeLaw<T>(entries, frame.n, params), theta, params[3] != T(0));
    write_once(threshold, row, theta);
    for (int i = thread(); i < frame.n; i += threads()) {
      const double v = static_cast<double>(entries[i]), kept = at.value(fabs(v));
      y[frame.offset(row) + i] = static_cast<T>(is_nan(theta) ? theta : (v < 0.0 ? -kept : kept));
    }
  }
}

// On the free set F, with a as above and A its sum over F, b = a (raw) or 1 + a (debiased):
// gx = b G - a <b, G>_F / (k - #saturated + A), G = g sign(x); saturated entries pass G through.
template <class T>
__device__ void fused_topk_magnitude_vjp(const Frame<T>& frame, const T* g, const T* x, const T* y,
                                         const T* threshold, T* gx) {
  (void)y;
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const T* params = frame.parameters(row);
    const MagnitudeLaw<T> law(x + offset, frame.n, params);
    double theta = static_cast<double>(threshold[row]);
    if (!is_finite(theta)) {
      fill(gx + offset, frame.n, is_nan(theta) ? theta : 0.0);
      continue;
    }
    if (sizeof(T) == 4 && theta > 0.0) {
      const Slope excess = law(theta);
      if (excess.slope < 0.0) theta -= excess.value / excess.slope;
    }
    const Magnitude<T> at(law, theta, params[3] != T(0));
    double total[3] = {0.0, 0.0, 0.0};  // <b, G>, A, number saturated
    for (int i = thread(); i < frame.n; i += threads()) {
      const double v = static_cast<double>(x[offset + i]), s = fabs(v);
      if (at.saturated(s)) {
        total[2] += 1.0;
      } else if (!at.off(s)) {
        const double signed_g = static_cast<double>(g[offset + i]) * (v < 0.0 ? -1.0 : 1.0);
        const double a = at.slope(s);
        total[0] += (at.debias ? 1.0 + a : a) * signed_g;
        total[1] += a;
      }
    }
    block_sum(total);
    const double shared = total[0] / (law.k - total[2] + total[1]);
    for (int i = thread(); i < frame.n; i += threads()) {
      const double v = static_cast<double>(x[offset + i]), s = fabs(v);
      const double own = static_cast<double>(g[offset + i]);
      double pulled = 0.0;
      if (at.saturated(s)) {
        pulled = at.saturated_slope(s) * own;
      } else if (!at.off(s)) {
        const double a = at.slope(s);
        pulled = (at.debias ? 1.0 + a : a) * own - a * shared * (v < 0.0 ? -1.0 : 1.0);
      }
      gx[offset + i] = static_cast<T>(pulled);
    }
  }
}

}  // namespace fenchel

#define FUSED_TOPK_MAGNITUDE_ARRAYS(T) const T *x, T *y, T *threshold
#define FUSED_TOPK_MAGNITUDE_VJP_ARRAYS(T) \
  const T *g, const T *x, const T *y, const T *threshold, T *gx
FENCHEL_EXPORT(fused_topk_magnitude, FUSED_TOPK_MAGNITUDE_ARRAYS, x, y, threshold)
FENCHEL_EXPORT(fused_topk_magnitude_vjp, FUSED_TOPK_MAGNITUDE_VJP_ARRAYS, g, x, y, threshold, gx)
