// Soft sort and its pullback. order: ascending argsort of x. params: temperature, descending (0 or 1).
#include "sorted.cuh"

namespace fenchel {

// Inside a block the sorted values are those of a line of slope 1 / temperature through their mean.
template <class T>
__device__ void fused_soft_sort(const Frame<T>& frame, const T* x, const long long* order, T* values,
                                int* blocks) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const T* params = frame.parameters(row);
    const double temperature = static_cast<double>(params[0]);
    const bool descending = params[1] != T(0);
    const Sorted<T> sorted{x + offset, order + offset, frame.n, descending};
    const TiltedLoss<T> loss{sorted, temperature, false};
    T* out = values + offset;
    const bool fitted = fit_sorted(frame, loss, blocks + offset, [&](int i, const Block& block) {
      const double along = (descending ? -1.0 : 1.0) * (i - loss.centre(block));
      const double tilt = along == 0.0 ? 0.0 : along / temperature;
      out[i] = static_cast<T>(loss.mean(block) + tilt);
    });
    if (!fitted) fill(out, frame.n, not_a_number());
  }
}

// gx at the place of a sorted entry = mean of g over its block.
template <class T>
__device__ void fused_soft_sort_vjp(const Frame<T>& frame, const T* g, const T* x, const long long* order,
                                    const T* values, const int* blocks, T* gx) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const Sorted<T> sorted{x + offset, order + offset, frame.n, frame.parameters(row)[1] != T(0)};
    const int* names = blocks + offset;
    T* out = gx + offset;
    if (is_nan(static_cast<double>(values[offset]))) {
      fill(out, frame.n, not_a_number());
      continue;
    }
    block_means(sorted, g + offset, false, names, out);
    for (int i = thread(); i < frame.n; i += threads()) {
      if (names[i] != i) out[sorted.place(i)] = out[sorted.place(names[i])];
    }
    __syncthreads();
  }
}

}  // namespace fenchel

#define FUSED_SOFT_SORT_ARRAYS(T) const T *x, const long long *order, T *values, int *blocks
#define FUSED_SOFT_SORT_VJP_ARRAYS(T) \
  const T *g, const T *x, const long long *order, const T *values, const int *blocks, T *gx
FENCHEL_EXPORT(fused_soft_sort, FUSED_SOFT_SORT_ARRAYS, x, order, values, blocks)
FENCHEL_EXPORT(fused_soft_sort_vjp, FUSED_SOFT_SORT_VJP_ARRAYS, g, x, order, values, blocks, gx)
