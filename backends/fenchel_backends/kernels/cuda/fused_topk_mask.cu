// Soft top-k mask and its pullback. params: k, temperature, q.
#include "mask.cuh"

namespace fenchel {

template <class T>
__device__ void fused_topk_mask(const Frame<T>& frame, const T* x, T* y, T* threshold) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const T *entries = x + frame.offset(row), *params = frame.parameters(row);
    const Survey seen = survey(entries, frame.n);
    const Threshold tau = mask_root(seen, entries, frame.n, params);
    const MaskLaw<T> law(entries, frame.n, params, tau.pivot);
    // More entries of +inf than k are all saturated: they share k equally.
    const double scale = seen.infinite > law.k ? law.k / seen.infinite : 1.0;
    write_once(threshold, row, tau.sum());
    for (int i = thread(); i < frame.n; i += threads()) {
      const double share = scale * law.share(i, tau.offset);
      y[frame.offset(row) + i] = static_cast<T>(is_nan(tau.pivot) ? tau.pivot : share);
    }
  }
}

// gx = h (g - <h, g> / sum h). The saved threshold was rounded: one Newton correction restores what the
// rounding of a row with a large common offset does to the free set.
template <class T>
__device__ void fused_topk_mask_vjp(const Frame<T>& frame, const T* g, const T* x, const T* y,
                                    const T* threshold, T* gx) {
  (void)y;
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const double tau = static_cast<double>(threshold[row]);
    const MaskLaw<T> law(x + offset, frame.n, frame.parameters(row), tau);
    if (!is_finite(tau)) {
      fill(gx + offset, frame.n, is_nan(tau) ? tau : 0.0);
      continue;
    }
    const Slope at = law(0.0);
    const double shift = at.slope < 0.0 ? -at.value / at.slope : 0.0;
    double total[2] = {0.0, 0.0};
    for (int i = thread(); i < frame.n; i += threads()) {
      const double h = law.slope(i, shift);
      if (h > 0.0) total[0] += h * static_cast<double>(g[offset + i]);
      total[1] += h;
    }
    block_sum(total);
    const double mean = total[1] > 0.0 ? total[0] / total[1] : 0.0;
    for (int i = thread(); i < frame.n; i += threads()) {
      const double h = law.slope(i, shift);
      const double pulled = h > 0.0 ? h * (static_cast<double>(g[offset + i]) - mean) : 0.0;
      gx[offset + i] = static_cast<T>(pulled);
    }
  }
}

}  // namespace fenchel

#define FUSED_TOPK_MASK_ARRAYS(T) const T *x, T *y, T *threshold
#define FUSED_TOPK_MASK_VJP_ARRAYS(T) const T *g, const T *x, const T *y, const T *threshold, T *gx
FENCHEL_EXPORT(fused_topk_mask, FUSED_TOPK_MASK_ARRAYS, x, y, threshold)
FENCHEL_EXPORT(fused_topk_mask_vjp, FUSED_TOPK_MASK_VJP_ARRAYS, g, x, y, threshold, gx)
