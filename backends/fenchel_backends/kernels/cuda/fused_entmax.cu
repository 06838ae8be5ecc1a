// alpha-entmax and its pullback. params: alpha. Entries of +inf share the row equally.
#include "simplex.cuh"

namespace fenchel {

template <class T>
__device__ void fused_entmax(const Frame<T>& frame, const T* x, T* y, T* threshold) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const T* params = frame.parameters(row);
    const Threshold t = entmax_root(x + offset, frame.n, params);
    const double a = static_cast<double>(params[0]) - 1.0;
    write_once(threshold, row, t.sum());
    if (t.pivot == -infinity()) {
      const double share = 1.0 / survey(x + offset, frame.n).infinite;
      for (int i = thread(); i < frame.n; i += threads()) {
        const bool first = static_cast<double>(x[offset + i]) == infinity();
        y[offset + i] = static_cast<T>(first ? share : 0.0);
      }
      continue;
    }
    for (int i = thread(); i < frame.n; i += threads()) {
      const double z = t.below(static_cast<double>(x[offset + i]));
      y[offset + i] = static_cast<T>(is_nan(t.pivot) ? t.pivot : exp_alpha(z, a));
    }
  }
}

// gx = s (g - <s, g> / sum s) with s = y^(2 - alpha) on the support.
template <class T>
__device__ void fused_entmax_vjp(const Frame<T>& frame, const T* g, const T* x, const T* y,
                                 const T* threshold, T* gx) {
  (void)x;
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    if (is_nan(static_cast<double>(y[offset]))) {
      fill(gx + offset, frame.n, not_a_number());
      continue;
    }
    if (static_cast<double>(threshold[row]) == -infinity()) {
      fill(gx + offset, frame.n, 0.0);
      continue;
    }
    const double exponent = 2.0 - static_cast<double>(frame.parameters(row)[0]);
    const auto weight = [&](int i) {
      const double value = static_cast<double>(y[offset + i]);
      return value == 0.0 ? 0.0 : power(value, exponent);
    };
    double total[2] = {0.0, 0.0};
    for (int i = thread(); i < frame.n; i += threads()) {
      const double s = weight(i);
      if (s != 0.0) total[0] += s * static_cast<double>(g[offset + i]);
      total[1] += s;
    }
    block_sum(total);
    const double mean = total[1] == 0.0 ? 0.0 : total[0] / total[1];
    for (int i = thread(); i < frame.n; i += threads()) {
      const double s = weight(i);
      const double pulled = s * (static_cast<double>(g[offset + i]) - mean);
      gx[offset + i] = static_cast<T>(s == 0.0 && !is_nan(mean) ? 0.0 : pulled);
    }
  }
}

}  // namespace fenchel

#define FUSED_ENTMAX_ARRAYS(T) const T *x, T *y, T *threshold
#define FUSED_ENTMAX_VJP_ARRAYS(T) const T *g, const T *x, const T *y, const T *threshold, T *gx
FENCHEL_EXPORT(fused_entmax, FUSED_ENTMAX_ARRAYS, x, y, threshold)
FENCHEL_EXPORT(fused_entmax_vjp, FUSED_ENTMAX_VJP_ARRAYS, g, x, y, threshold, gx)
